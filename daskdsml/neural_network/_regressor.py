"""What neural regressors share: losses, targets, predictions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from daskdsml.data.labels import checked
from daskdsml.neural_network._model import NeuralModel
from daskdsml.utils import registry

LOSSES = (
    "squared_error",
    "poisson",
    "gamma",
    "huber_residual",
    "epsilon_insensitive",
    "squared_epsilon_insensitive",
)


class NeuralRegression(RegressorMixin, NeuralModel):
    """Base of the regressors."""

    _metric = "r2"
    _target_options = {"multi_output": True}

    def fit(self, X, y, sample_weight=None, mask=None, *, X_val=None, y_val=None, mask_val=None):
        """Train from new weights or, with ``warm_start``, from those of the last fit.

        Parameters
        ----------
        X : array (n, ...), Dask Array chunked by rows, DataFrame, or `WindowedSequences`
            Rows of the shape the first layer takes.
        y : array (n,) or (n, K), series, or Dask collection of them
        sample_weight : array (n,), series, Dask collection of them, or None
            Factor of each row's loss.
        mask : array (n, T), bool, or None
            True at the steps of each sequence that count.
        X_val, y_val, mask_val : as X, y and mask, or None
            Rows that tell when to stop early, in place of a fraction of X.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If data or parameters cannot be used, or layer shapes are incompatible.

        Warns
        -----
        ConvergenceWarning
            If a loss is no longer finite (the weights are those before that step), or if
            ``max_iter`` epochs did not bring what ``tol`` asks for.
        """
        self._fit(X, y, sample_weight, mask, (X_val, y_val, mask_val))
        return self

    def partial_fit(self, X, y, sample_weight=None, mask=None):
        """One epoch over the rows given, from where the last call (or a fit) ended.

        Parameters
        ----------
        X, y, sample_weight, mask : as for `fit`

        Returns
        -------
        self
        """
        self._fit_once(X, y, sample_weight, mask)
        return self

    def _targets(self, examples, first=True):
        shape = examples.y.shape[1:]
        if first:
            self._target_shape = shape
        elif shape != self._target_shape:
            raise ValueError(
                f"y has rows of shape {shape}, but {type(self).__name__} was fitted to "
                f"{self._target_shape}. Reshape y."
            )
        if not hasattr(registry.find("losses", self.loss), "takes"):
            return examples
        return checked(examples, "y", _InRange(type(self).__name__, self.loss))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _loss(self, out_shape):
        K = self._target_shape[0] if self._target_shape else 1
        if out_shape != (K,):
            raise ValueError(
                f"The last layer gives {out_shape} for each row, but y has {K} target(s): expected "
                f"({K},). Let the last layer be Dense({K})."
            )
        return registry.find("losses", self.loss)()

    def _check(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(
                f"Unknown loss {self.loss!r} of {type(self).__name__}: expected one of "
                f"{list(LOSSES)}."
            )
        super()._check()

    def predict(self, X, mask=None):
        """Predictions (n,) or (n, K), float64, in the shape y had in `fit`. Lazy as X is.

        Parameters
        ----------
        X : array (n, ...), DataFrame, Dask collection or `WindowedSequences`
        mask : array (n, T) or None
            True at the steps of each sequence that count.
        """
        check_is_fitted(self)
        finish = _Mean(self._network.loss, not self._target_shape)
        return self._predicted(X, mask, finish, lambda shape: self._target_shape, float)

    def score(self, X, y, sample_weight=None, mask=None) -> float:
        """Coefficient of determination, the mean over targets."""
        return self._score(X, y, sample_weight, mask)


class _InRange(NamedTuple):
    """Raises ValueError where a loss does not take some target."""

    model: str
    loss: str

    def __call__(self, y) -> None:
        loss = registry.find("losses", self.loss)()
        if not loss.takes(y).all():
            raise ValueError(
                f"{self.model} with loss={self.loss!r} expects {loss.expects}, but y holds "
                f"{np.nanmin(y):g}. Drop such rows, correct them, or use another loss."
            )


class _Mean:
    """Turns raw scores into predictions: by the inverse link of a loss."""

    def __init__(self, loss, flat):
        self.loss, self.flat = loss, flat

    def __dask_tokenize__(self):
        return repr(self.loss), self.flat

    def __call__(self, z):
        mean = self.loss.mean(np, z)
        return (mean[:, 0] if self.flat else mean).astype(np.float64)
