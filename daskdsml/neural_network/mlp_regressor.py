"""Regression by a multi-layer perceptron with scikit-learn's parameters."""

from __future__ import annotations

from daskdsml.losses.gamma import Gamma
from daskdsml.losses.poisson import Poisson
from daskdsml.neural_network._step import TrainConfig
from daskdsml.neural_network._validation import RowCounts
from daskdsml.neural_network.mlp_classifier import (
    check_perceptron,
    perceptron_config,
    perceptron_layers,
    perceptron_point,
    publish_perceptron,
)
from daskdsml.neural_network.network import Point
from daskdsml.neural_network.neural_regressor import NeuralRegressor, check_loss
from daskdsml.utils.validation import set_parameters


class MLPRegressor(NeuralRegressor):
    """Multi-layer perceptron that predicts numbers, with scikit-learn's parameters and more.

    Minimises the mean loss (half the squared error, the mean over targets) plus
    ``alpha / (2 w batch_size) ||W||**2``, where ``w`` is the mean weight of a row.

    Parameters
    ----------
    loss : str, default="squared_error"
        "poisson" or another loss of `NeuralRegressor`.

    All other parameters are those of `MLPClassifier`, without ``class_weight``;
    ``hidden_layer_sizes=()`` makes linear regression.

    Attributes
    ----------
    coefs_, intercepts_, n_layers_, n_outputs_, out_activation_, best_loss_ : as of `MLPClassifier`

    All other attributes are those of `NeuralRegressor`.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskdsml.neural_network import MLPRegressor
    >>> X = da.random.default_rng(0).normal(size=(2000, 2), chunks=(500, 2))
    >>> y = X[:, 0] * X[:, 1]
    >>> model = MLPRegressor(
    ...     hidden_layer_sizes=(32,), learning_rate_init=0.01, max_iter=50, tol=None
    ... ).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    _label = "mlp-regressor"
    _ranks = (2,)

    def __init__(
        self,
        loss="squared_error",
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
        check_loss(self)
        check_perceptron(self)

    def _layers(self, n_outputs):
        return perceptron_layers(self, n_outputs)

    def _first_point(self, network) -> Point:
        return perceptron_point(self, network)

    def _train_config(self, counts: RowCounts) -> TrainConfig:
        return perceptron_config(self, counts)

    def _publish(self, batches=None) -> None:
        super()._publish(batches)
        publish_perceptron(self)
        log_link = isinstance(self._network.loss, Poisson | Gamma)
        self.out_activation_ = "exp" if log_link else "identity"
