"""Classification by a multi-layer perceptron with scikit-learn's parameters."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from daskdsml.data.labels import check_class_weight
from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.dense import Dense
from daskdsml.layers.dropout import Dropout
from daskdsml.neural_network._multilabel import MultiLabel, named_labels
from daskdsml.neural_network._rows import batch_rows
from daskdsml.neural_network._step import TrainConfig
from daskdsml.neural_network._validation import RowCounts, check_activation
from daskdsml.neural_network.network import Point
from daskdsml.neural_network.neural_classifier import NeuralClassifier
from daskdsml.optimizers.adam import Adam
from daskdsml.optimizers.gradient_descent import GradientDescent
from daskdsml.optimizers.momentum import Momentum
from daskdsml.optimizers.nesterov import Nesterov
from daskdsml.optimizers.schedules.constant import Constant
from daskdsml.optimizers.schedules.invscaling import Invscaling
from daskdsml.solvers.lbfgs import LBFGS
from daskdsml.utils.early_stopping import EarlyStopping
from daskdsml.utils.validation import check_flag, check_number, random_state_of, set_parameters

SOLVERS = ("adam", "sgd", "lbfgs")
LEARNING_RATES = ("constant", "invscaling", "adaptive")


class MLPClassifier(NeuralClassifier):
    """Multi-layer perceptron [1]_ that tells classes, with scikit-learn's parameters and more.

    Minimises the mean cross-entropy plus ``alpha / (2 w batch_size) ||W||**2``, where ``w`` is the
    mean weight of a row (1 without weights). A last layer of K scores has the softmax, one of two
    classes is a single score with the logistic function. With several labels for each row, y (n, K)
    of zeros and ones, each has a score with the logistic function, and the loss of a row is their
    sum; `score` counts rows of which all labels are right.

    Parameters
    ----------
    hidden_layer_sizes : int or tuple of int, default=(100,)
        Units of the hidden layers; () makes logistic regression.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Of the hidden layers.
    solver : {"adam", "sgd", "lbfgs"}, default="adam"
        "adam" [2]_; "sgd" with ``momentum`` (Nesterov's by default); "lbfgs" takes all rows in each
        step, one pass over the data, in float64.
    alpha : float, default=0.0001
        ``alpha / 2 ||W||**2`` is added to the summed loss of a batch, as in scikit-learn: divided
        by the weight of ``batch_size`` rows it is the strength against the mean loss. Biases are
        not penalised.
    batch_size : int or "auto", default="auto"
        Rows of a step; "auto" is 200, or all rows if there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        For "adam", too. "adaptive" divides by 5 where training would end.
    learning_rate_init : float, default=0.001
        The learning rate that training begins with.
    power_t : float, default=0.5
        "invscaling" divides the rate by ``(t + 1)**power_t``, for t rows in the epochs before.
    max_iter : int, default=200
        Most epochs; most iterations of "lbfgs".
    tol : float or None, default=1e-4
        Training ends when ``n_iter_no_change`` epochs in a row did not better the best loss (or
        validation score) by ``tol``; "lbfgs" ends when no entry of the gradient is above it.
    momentum : float, default=0.9
        Of "sgd": the share of the last step that the next one keeps.
    nesterovs_momentum : bool, default=True
        Whether the momentum of "sgd" is Nesterov's.
    early_stopping : bool, default=False
        Whether a validation score tells when to end; the best weights are put back.
    validation_fraction : float, default=0.1
        Share of rows held out to be scored with ``early_stopping``, unless `fit` gets ``X_val``.
    beta_1, beta_2 : float, default=0.9 and 0.999
        Of "adam": shares of the past in the running means of gradients and of their squares.
    epsilon : float, default=1e-8
        Of "adam": added to the root of the mean square.
    n_iter_no_change : int, default=10
        Epochs in a row without a better loss (or score) after which training ends; see ``tol``.
    max_fun : int, default=15000
        Most passes of "lbfgs": one at the start and mostly one for each iteration.
    batch_norm : bool, default=False
        Whether each hidden layer is normalised by its batch before the activation.
    dropout : float, default=0.0
        Share of the units of each hidden layer dropped while training.
    random_state : int, RandomState or None, default=None
        Seed of all that is drawn, None stands for 0. The first weights are scikit-learn's of the
        same seed.
    shuffle, verbose, warm_start, checkpoint, strategy : see `NeuralClassifier`
    clip_norm, pool_bytes, class_weight, callbacks, dtype, backend, cache : see `NeuralClassifier`

    Attributes
    ----------
    classes_ : array (K,)
        The labels, sorted; 0, 1, ... where y has several labels for each row.
    coefs_, intercepts_ : lists of arrays (n_in, n_out) and (n_out,)
    n_layers_, n_outputs_ : int
        Layers with input and output; scores of a row.
    out_activation_ : str
    best_loss_ : float, or None with ``early_stopping``

    All other attributes are those of `NeuralClassifier`.

    References
    ----------
    .. [1] Rumelhart, D. E., Hinton, G. E. and Williams, R. J. (1986). Learning representations by
       back-propagating errors. Nature 323, 533-536.
    .. [2] Kingma, D. P. and Ba, J. (2015). Adam: a method for stochastic optimization. ICLR.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskdsml.neural_network import MLPClassifier
    >>> X = da.random.default_rng(0).normal(size=(2000, 2), chunks=(500, 2))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> model = MLPClassifier((32,), learning_rate_init=0.01, max_iter=50, tol=None).fit(X, y)
    >>> bool(model.score(X, y) > 0.95)
    True
    >>> model.predict([[1.0, 1.0], [-1.0, 1.0]])
    array([1, 0])
    """

    _label = "mlp-classifier"
    _ranks = (2,)
    _target_options = {"labels": True, "multi_output": True}

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        batch_norm=False,
        dropout=0.0,
        clip_norm=None,
        class_weight=None,
        pool_bytes=2**28,
        callbacks=None,
        dtype="float32",
        backend="auto",
        cache="auto",
        strategy="auto",
        checkpoint=None,
    ):
        set_parameters(self, locals())

    def _check(self) -> None:
        check_class_weight(self.class_weight)
        check_perceptron(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _layers(self, n_outputs):
        return perceptron_layers(self, n_outputs if n_outputs > 2 or self._multilabel else 1)

    def _first_point(self, network) -> Point:
        return perceptron_point(self, network)

    def _learn_targets(self, examples, classes=None) -> None:
        self._multilabel = examples.y.ndim == 2
        if not self._multilabel:
            super()._learn_targets(examples, classes)
            return
        if self.class_weight is not None:
            raise ValueError(
                "class_weight weighs rows by their class, but y has several labels for each row. "
                "Pass sample_weight instead."
            )
        self.classes_ = named_labels(examples.y.shape[1], classes)
        self._class_weight = None

    @property
    def _targets(self) -> Any:
        return MultiLabel(len(self.classes_)) if self._multilabel else super()._targets

    def _train_config(self, counts: RowCounts) -> TrainConfig:
        return perceptron_config(self, counts)

    def _publish(self, batches=None) -> None:
        super()._publish(batches)
        publish_perceptron(self)
        logistic = self.n_outputs_ == 1 or self._multilabel
        self.out_activation_ = "logistic" if logistic else "softmax"


def check_perceptron(model) -> None:
    """Raise ValueError if a parameter that both perceptrons have cannot be used."""
    sizes = model.hidden_layer_sizes
    sizes = sizes if np.iterable(sizes) else (sizes,)
    if not all(isinstance(k, numbers.Integral) and int(k) > 0 for k in sizes):
        raise ValueError(
            "hidden_layer_sizes must be a positive integer or a tuple of such, got "
            f"{model.hidden_layer_sizes!r}."
        )
    for name, known in (("solver", SOLVERS), ("learning_rate", LEARNING_RATES)):
        if getattr(model, name) not in known:
            raise ValueError(
                f"Unknown {name} {getattr(model, name)!r} of {type(model).__name__}: expected "
                f"one of {list(known)}."
            )
    check_activation(model)
    check_number(model, "alpha", 0, high=np.finfo(float).max)
    check_number(model, "learning_rate_init", 0, strict=True)
    check_number(model, "power_t", 0)
    check_number(model, "momentum", 0, high=1)
    for name in ("beta_1", "beta_2"):
        check_number(model, name, 0, below=1)
    check_number(model, "epsilon", 0, strict=True)
    check_number(model, "max_fun", 1, integer=True)
    check_flag(model, "nesterovs_momentum", "batch_norm")
    batched = model.batch_norm or model.dropout or model.early_stopping or model.clip_norm
    if model.solver == "lbfgs" and batched:
        raise ValueError(
            "solver='lbfgs' takes all rows at once, block by block: batch_norm, dropout, "
            "early_stopping and clip_norm need mini-batches. Use solver='adam' or 'sgd', or "
            "leave them out."
        )
    if model.batch_size != "auto":
        check_number(model, "batch_size", 1, integer=True)


def perceptron_layers(model, n_scores) -> list:
    """Hidden layers, each with batch norm and dropout where there is such, and the scores."""
    layers: list[Any] = []
    for units in np.atleast_1d(model.hidden_layer_sizes).tolist():
        layers.append(Dense(units, activation=None if model.batch_norm else model.activation))
        if model.batch_norm:
            layers.append(BatchNorm(activation=model.activation))
        if model.dropout:
            layers.append(Dropout(model.dropout))
    return [*layers, Dense(n_scores)]


def perceptron_point(model, network) -> Point:
    """The weights and biases that scikit-learn draws from the same ``random_state``.

    Evenly from -limit to limit, where ``limit**2`` is 6 / (fan_in + fan_out), of logistic units 2 /
    (fan_in + fan_out): Glorot and Bengio (2010).
    """
    rng = random_state_of(model)
    point = network.init(np.random.default_rng(0))
    factor = 2.0 if model.activation == "logistic" else 6.0
    for arrays in network.views(point.theta):
        if "W" in arrays:
            limit = np.sqrt(factor / sum(arrays["W"].shape))
            for name in ("W", "b"):
                arrays[name][...] = rng.uniform(-limit, limit, arrays[name].shape)
    return point


def perceptron_config(model, counts: RowCounts) -> TrainConfig:
    """How to train on these rows by scikit-learn's parameters."""
    n_rows, mean_weight = counts.n_rows, counts.mean_weight
    # alpha / 2 ||W||**2 counts once a batch, whose summed loss is divided by its weight.
    rows = n_rows if model.solver == "lbfgs" else batch_rows(model, n_rows)
    factor = Constant().factor
    if model.learning_rate == "invscaling":
        factor = Invscaling(float(model.power_t), counts.epoch_rows).factor
    stopping = EarlyStopping(model.tol, model.n_iter_no_change, model.learning_rate == "adaptive")
    l2, clip = float(model.alpha) / (rows * mean_weight), model.clip_norm
    return TrainConfig(perceptron_solver(model), factor, stopping, 0.0, l2, clip, mean_weight)


def perceptron_solver(model):
    """L-BFGS, or the optimizer of mini-batches."""
    rate = float(model.learning_rate_init)
    if model.solver == "lbfgs":
        return LBFGS(0.0 if model.tol is None else model.tol)
    if model.solver == "adam":
        return Adam(rate, model.beta_1, model.beta_2, model.epsilon)
    if model.momentum == 0:
        return GradientDescent(rate)
    return (Nesterov if model.nesterovs_momentum else Momentum)(rate, model.momentum)


def publish_perceptron(model) -> None:
    """The attributes that scikit-learn's perceptrons have."""
    dense = [arrays for arrays in model.weights_ if "W" in arrays]
    model.coefs_ = [arrays["W"] for arrays in dense]
    model.intercepts_ = [arrays["b"] for arrays in dense]
    model.n_layers_, model.n_outputs_ = len(dense) + 1, model.out_shape_[-1]
    if model.early_stopping:
        model.best_loss_ = None
