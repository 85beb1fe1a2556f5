"""Classification by layers of the user's choice."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from daskdsml.data.labels import (
    check_class_weight,
    class_weights,
    classes_of,
    encode,
    known_classes,
    weigh,
)
from daskdsml.layers.dense import Dense
from daskdsml.layers.dropout import Dropout
from daskdsml.losses.logistic import Logistic
from daskdsml.losses.multinomial import Multinomial
from daskdsml.neural_network._model import NeuralModel, takes_batches
from daskdsml.neural_network._predictor import predict, score
from daskdsml.neural_network._scores import check_scores, ending, up_to_scores
from daskdsml.neural_network._validation import check_layers, check_solver_options
from daskdsml.passes.evaluate import Labels, log_probabilities, probabilities
from daskdsml.utils.validation import check_labels, set_parameters


class NeuralClassifier(ClassifierMixin, NeuralModel):
    """A network of given layers that tells classes, trained on mini-batches of Dask data.

    Minimises the mean cross-entropy ``sum_i w_i (-log p_{y_i}(x_i)) / sum_i w_i`` plus penalties,
    where ``p`` is the softmax of the last layer's K scores, or the logistic function of its one
    score of two classes. An epoch takes chunks in random order into a pool (``pool_bytes``) and
    draws batches from all of it; a batch that is spread over workers has the gradient of the whole
    batch. Its summed loss is divided by its number of rows times the mean weight of all rows (of
    `partial_fit`, of the rows so far), so that weights mean the same whatever ``batch_size`` is.

    Parameters
    ----------
    layers : list of layers of `daskdsml.layers`
        The last one gives K scores for each row: ``Dense(K)``, or ``Dense(1)`` for two classes. A
        softmax or logistic function at the end, as in ``Dense(K, "softmax")`` or an `Activation`,
        is taken into the loss: ``layers_`` are those up to the raw scores. Other activations at
        the end would hold scores within bounds, and are refused.
    solver : str or solver, default="adam"
        "adam", "gradient_descent", "momentum", "nesterov", "rmsprop", "adagrad", or one with
        settings of its own, such as ``daskdsml.optimizers.Adam(beta_1=0.8)``.
    learning_rate_init : float or None, default=0.001
        The learning rate that schedules start from; None for the solver's own. A solver that is
        given with its settings has its own.
    learning_rate : str, schedule or callable, default="constant"
        "constant", "adaptive" (a fifth where training would end), a schedule of
        `daskdsml.optimizers.schedules` by name or with settings, or a factor ``f(step, epoch,
        n_steps)``.
    batch_size : int, default=128
        Rows of a step. The last batch of an epoch may be shorter.
    max_iter : int, default=100
        Most epochs.
    l1, l2 : float, default=0.0
        ``l1 |W|_1 + l2 / 2 ||W||**2`` is added to the mean loss, for weights and filters; biases
        and batch norm are not penalised. The derivative of ``|W|`` at 0 is taken as 0.
    clip_norm : float or None, default=None
        Longest gradient: longer ones are scaled down to it.
    shuffle : bool, default=True
        Whether rows are met in another order in each epoch.
    pool_bytes : int, default=2**28
        Bytes of X that rows are drawn from: data of this size or less are shuffled as a whole;
        larger data by chunks in random order, of which a pool of this size is mixed at a time: if
        they are sorted by label, it should hold ten chunks or more.
    tol : float or None, default=None
        Training ends when ``n_iter_no_change`` epochs in a row did not better the best loss (or
        validation score) by ``tol``; None makes ``max_iter`` epochs.
    n_iter_no_change : int, default=10
        See ``tol``.
    early_stopping : bool, default=False
        Whether a validation score tells when to end; the best weights are put back. Without
        ``tol``, all epochs are made.
    validation_fraction : float, default=0.1
        Share of rows held out to be scored, unless `fit` gets ``X_val``.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class (of its steps, for a tagger); "balanced" is ``n / (K n_class)``.
    callbacks : list of callables or None, default=None
        ``f(model, record)`` after each epoch (see ``history_``); True from one ends training. The
        model can predict and be saved meanwhile.
    warm_start : bool, default=False
        Whether `fit` starts from the weights of the last fit.
    random_state : int or None, default=None
        Seed of all that is drawn; None means 0, so that fits can be repeated. The bits of a fit do
        not depend on the number of threads.
    dtype : {"float32", "float64"}, default="float32"
        Of weights and of what is computed with them.
    backend : {"auto", "numpy", "numba", "cupy"}, default="auto"
        "auto" compiles where rows, epochs and layers make that pay: from 2**34 multiplications on.
    cache : {"auto", "memory", "none"}, default="auto"
        Whether blocks are kept in (workers') memory after the first read: "auto" if they fit.
    strategy : {"auto", "all_reduce", "averaging", "parameter_server", "columns"} or one of \
`daskdsml.strategies`, default="auto"
        How training is spread: each step over all workers ("auto"); copies of the network that
        train on parts of the rows and are averaged, such as ``Averaging(n_parts=4, steps=16)``;
        workers that push gradients to servers, such as ``ParameterServer(staleness=4)``; or, where
        the first layer is `Dense`, workers that share the columns of X and the weights of these.
    checkpoint : str, path-like, `daskdsml.Checkpoint` or None, default=None
        File or URL where `fit` keeps all of training, for the same call to go on from after it was
        ended, in the middle of an epoch too. It is removed when the fit is over.

    Attributes
    ----------
    classes_ : array (K,), the labels, sorted
    layers_ : list of layers up to the raw scores
    weights_ : list of dicts of arrays, one a layer
    n_parameters_ : int
        Those of layers that are not trainable among them; `describe` tells them apart.
    n_iter_, t_ : int
        Epochs, and rows in all of them.
    history_ : list of Epoch (epoch, seconds, loss, score, gradient_norm, learning_rate,
        rows_per_second, step_losses)
    loss_, best_loss_ : float
    loss_curve_ : list of the epochs' losses
    validation_scores_, best_validation_score_ : list and float, or None
    converged_ : bool
        Whether training ended by ``tol`` or a callback.
    n_rows_read_ : int
        Rows of X read.
    reproducible_ : bool
        Whether the same fit gives the same bits: not with a `ParameterServer` whose ``staleness``
        is above 0.

    References
    ----------
    Goodfellow, I., Bengio, Y. and Courville, A. (2016). Deep Learning. MIT Press, chapters 6 and 8.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskdsml.layers import Dense
    >>> from daskdsml.neural_network import NeuralClassifier
    >>> X = da.random.default_rng(0).normal(size=(2000, 2), chunks=(500, 2))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> layers = [Dense(32, "relu"), Dense(1)]
    >>> model = NeuralClassifier(layers, learning_rate_init=0.01, max_iter=30).fit(X, y)
    >>> bool(model.score(X, y) > 0.95)
    True
    >>> model.layers_
    [Dense(32, activation='relu'), Dense(1)]
    """

    _label = "neural-classifier"
    _target_options = {"labels": True}
    _multilabel = False

    def __init__(
        self,
        layers,
        *,
        solver="adam",
        learning_rate_init=0.001,
        learning_rate="constant",
        batch_size=128,
        max_iter=100,
        l1=0.0,
        l2=0.0,
        clip_norm=None,
        shuffle=True,
        pool_bytes=2**28,
        tol=None,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        class_weight=None,
        callbacks=None,
        warm_start=False,
        random_state=None,
        dtype="float32",
        backend="auto",
        cache="auto",
        strategy="auto",
        verbose=False,
        checkpoint=None,
    ):
        set_parameters(self, locals())

    @available_if(takes_batches)
    def partial_fit(self, X, y, sample_weight=None, classes=None, mask=None):
        """One epoch over the rows given, from where the last call (or a fit) ended.

        Parameters
        ----------
        X, y, sample_weight, mask : as for `fit`
        classes : array (K,) or None
            All labels there will be; the first call needs them.

        Returns
        -------
        self
        """
        return self._fit_epoch(X, y, sample_weight, mask, self._classes_named(classes))

    def predict(self, X, mask=None):
        """The likeliest label of each row, in the labels' own dtype. Lazy as X is.

        Parameters
        ----------
        X : array (n, ...), DataFrame, Dask collection or `WindowedSequences`
        mask : array (n, T) or None
            True at the steps of each sequence that count.
        """
        check_is_fitted(self)
        targets = self._targets
        return predict(self, X, mask, targets.labels, targets.tail, targets.dtype)

    def predict_proba(self, X, mask=None):
        """Probabilities of the classes, in the order of ``classes_``, on the last axis. Lazy."""
        check_is_fitted(self)
        return predict(self, X, mask, self._targets.probabilities, (len(self.classes_),))

    def predict_log_proba(self, X, mask=None):
        """Logarithms of `predict_proba`, exact where these underflow. Lazy as X is."""
        check_is_fitted(self)
        return predict(self, X, mask, self._targets.log_probabilities, (len(self.classes_),))

    def score(self, X, y, sample_weight=None, mask=None) -> float:
        """Share of rows (steps of a tagger), by weight, whose label is predicted."""
        return score(self, X, y, sample_weight, mask)

    def _check(self) -> None:
        check_class_weight(self.class_weight)
        check_solver_options(self)
        check_layers(self.layers)

    def _layers(self, n_outputs):
        layers = up_to_scores(self.layers)
        check_scores(layers)
        return layers

    def _learn_targets(self, examples, classes=None) -> None:
        """The classes in y, or those that are named, and their weights."""
        labels, counts = classes_of(examples)
        check_labels(labels)
        self.classes_ = labels if classes is None else classes
        if len(self.classes_) < 2:
            held = f"one class: {labels.tolist()[0]!r}" if len(labels) else "no label at all"
            raise ValueError(
                f"{type(self).__name__} needs samples of 2 classes or more, but y holds "
                f"{held}. Check how y (or mask) is made or filtered."
            )
        self._class_weight = class_weights(self.class_weight, self.classes_, counts)

    @property
    def _targets(self) -> Classification:
        of_steps, fitted = "y_steps" in self._target_options, getattr(self, "_class_weight", None)
        return Classification(self.classes_, self.class_weight, fitted, of_steps)

    def _classes_named(self, classes):
        """The classes of all calls of `partial_fit`."""
        known = getattr(self, "classes_", None)
        if classes is None and known is None:
            raise ValueError(
                "classes must be passed on the first call to partial_fit: all labels there will be."
            )
        if classes is not None:
            classes = known_classes(classes)
            if known is not None and not np.array_equal(known, classes):
                raise ValueError(
                    f"classes={classes[:10].tolist()} is not the same as on the last call to "
                    f"partial_fit: {known[:10].tolist()}. Pass all labels there will be at first."
                )
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs the labels of all rows, which partial_fit does not "
                "see. Pass a dict of weights."
            )
        return classes if known is None else known


class Classification(NamedTuple):
    """Labels as targets: of rows, or ``of_steps``.

    ``class_weight`` is the parameter, ``fitted_weight (K,)`` what the fit made of it, or None.
    """

    classes: np.ndarray
    class_weight: Any
    fitted_weight: Any
    of_steps: bool

    metric = "accuracy"
    tail = ()
    probabilities = staticmethod(probabilities)
    log_probabilities = staticmethod(log_probabilities)

    @property
    def labels(self) -> Labels:
        """Turns raw scores into labels."""
        return Labels(self.classes)

    @property
    def dtype(self) -> np.dtype:
        """That of labels."""
        return self.classes.dtype

    @property
    def n_outputs(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def encoded(self, examples, scored=False):
        """The examples with codes of classes; where ``scored``, -1 for labels that are none."""
        return encode(examples, self.classes, others=scored)

    def weighted(self, examples):
        """The examples with weights of their classes: balanced ones are those of the fit."""
        weights = self.fitted_weight
        if not isinstance(self.class_weight, str):
            weights = class_weights(self.class_weight, self.classes, None)
        return examples if weights is None else weigh(examples, weights)

    def loss(self, out_shape):
        """Softmax of K scores, or the logistic loss of one score of two classes."""
        K, wanted = len(self.classes), "(T, K)" if self.of_steps else "(K,)"
        fits = out_shape[-1:] == (K,) or (K, out_shape[-1:]) == (2, (1,))
        if len(out_shape) != 1 + self.of_steps or not fits:
            raise ValueError(
                f"The last layer gives {out_shape} for each row, but y holds {K} classes: expected "
                f"{wanted} with K={K}. {ending(out_shape, 1 + self.of_steps, K)}"
            )
        return Logistic() if out_shape[-1] == 1 else Multinomial(K)


def dense_layers(model, n_outputs) -> list:
    """Hidden dense layers, each after dropout if there is some, and one score for each class."""
    layers: list[Any] = []
    sizes = [(units, model.activation) for units in model.hidden_layer_sizes]
    for units, activation in [*sizes, (n_outputs, None)]:
        if model.dropout:
            layers.append(Dropout(model.dropout))
        layers.append(Dense(units, activation=activation))
    return layers
