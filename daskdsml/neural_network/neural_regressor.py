"""Regression by layers of the user's choice."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from daskdsml.data.labels import checked
from daskdsml.neural_network._model import NeuralModel, takes_batches
from daskdsml.neural_network._predictor import Mean, predict, score
from daskdsml.neural_network._scores import check_log_link, ending
from daskdsml.neural_network._validation import check_layers, check_solver_options
from daskdsml.utils import registry
from daskdsml.utils.validation import set_parameters

LOSSES = registry.losses_of("real", "positive")


class NeuralRegressor(RegressorMixin, NeuralModel):
    """A network of given layers that predicts numbers, trained on mini-batches of Dask data.

    Minimises ``sum_i w_i mean_k loss(y_ik, z_k(x_i)) / sum_i w_i`` plus penalties, for K outputs.

    Parameters
    ----------
    layers : list of layers of `daskdsml.layers`
        The last one gives a score for each target: ``Dense(K)``.
    loss : str, default="squared_error"
        "squared_error" (half the square); "poisson" for counts of at least 0 and "gamma" for
        amounts above 0, which predict the exponential of the score; "huber_residual",
        "epsilon_insensitive", "squared_epsilon_insensitive".

    All other parameters and attributes are those of `NeuralClassifier`.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskdsml.layers import Dense
    >>> from daskdsml.neural_network import NeuralRegressor
    >>> X = da.random.default_rng(0).normal(size=(2000, 2), chunks=(500, 2))
    >>> y = X[:, 0] * X[:, 1]
    >>> layers = [Dense(32, "relu"), Dense(1)]
    >>> model = NeuralRegressor(layers, learning_rate_init=0.01, max_iter=30).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    _label = "neural-regressor"
    _target_options = {"multi_output": True}

    def __init__(
        self,
        layers,
        *,
        loss="squared_error",
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
    def partial_fit(self, X, y, sample_weight=None, mask=None):
        """One epoch over the rows given, from where the last call (or a fit) ended.

        Parameters
        ----------
        X, y, sample_weight, mask : as for `fit`

        Returns
        -------
        self
        """
        return self._fit_epoch(X, y, sample_weight, mask)

    def predict(self, X, mask=None):
        """Predictions (n,), or (n, K) of K > 1 targets, float64. Lazy as X is.

        Parameters
        ----------
        X : array (n, ...), DataFrame, Dask collection or `WindowedSequences`
        mask : array (n, T) or None
            True at the steps of each sequence that count.
        """
        check_is_fitted(self)
        finish = Mean(self._network.loss, flat=not self._target_shape)
        return predict(self, X, mask, finish, self._target_shape, float)

    def score(self, X, y, sample_weight=None, mask=None) -> float:
        """Coefficient of determination, the mean over targets."""
        return score(self, X, y, sample_weight, mask)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _check(self) -> None:
        check_loss(self)
        check_solver_options(self)
        check_layers(self.layers)
        check_log_link(self)

    def _layers(self, n_outputs):
        return list(self.layers)

    def _learn_targets(self, examples, classes=None) -> None:
        shape = examples.y.shape[1:]
        self._target_shape = () if shape == (1,) else shape  # a column is a vector

    @property
    def _targets(self) -> Regression:
        return Regression(type(self).__name__, self._target_shape, self.loss)


class Regression(NamedTuple):
    """Numbers as targets, of this ``shape`` for each row, and the name of their loss."""

    model: str
    shape: tuple
    loss_name: str

    metric = "r2"

    @property
    def n_outputs(self) -> int:
        """Number of targets."""
        return self.shape[0] if self.shape else 1

    def encoded(self, examples, scored=False):
        """The examples as they are; ValueError where y has another shape, or is out of range."""
        if not self.shape and examples.y.shape[1:] == (1,):
            examples = examples._replace(y=examples.y[:, 0])
        if examples.y.shape[1:] != self.shape:
            raise ValueError(
                f"y has rows of shape {examples.y.shape[1:]}, but {self.model} was fitted to "
                f"{self.shape}. Reshape y."
            )
        takes_all = not hasattr(registry.find("losses", self.loss_name), "takes")
        return examples if takes_all else checked(examples, "y", self._check_range)

    def weighted(self, examples):
        """The examples as they are: there are no weights but those of rows."""
        return examples

    def loss(self, out_shape):
        """The loss of scores ``out_shape``, which is to be that of the targets."""
        K = self.n_outputs
        if out_shape != (K,):
            raise ValueError(
                f"The last layer gives {out_shape} for each row, but y has {K} target(s): expected "
                f"({K},). {ending(out_shape, 1, K)}"
            )
        return registry.find("losses", self.loss_name)()

    def _check_range(self, y) -> None:
        loss = registry.find("losses", self.loss_name)()
        if not loss.takes(y).all():
            raise ValueError(
                f"{self.model} with loss={self.loss_name!r} expects {loss.expects}, but y holds "
                f"{np.nanmin(y):g}. Drop such rows, correct them, or use another loss."
            )


def check_loss(model) -> None:
    """Raise ValueError unless the loss is one of `LOSSES`."""
    if model.loss not in LOSSES:
        raise ValueError(
            f"Unknown loss {model.loss!r} of {type(model).__name__}: expected one of "
            f"{list(LOSSES)}."
        )
