"""Raw scores of linear models, what they say of classes, and how well they predict, by sums."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from daskdsml.losses.logistic import Logistic
from daskdsml.losses.multinomial import Multinomial
from daskdsml.passes.row_stats import RowStats, invalid_target, row_stats_of
from daskdsml.utils.variation import Variation


class LinearPredictor(NamedTuple):
    """``coef (K, p)``, ``intercept (K,)``; calling it gives raw scores (n, K), or (n,) if ``flat``.

    Scores have the dtype of X, which is never copied to a wider one.
    """

    coef: np.ndarray
    intercept: np.ndarray
    flat: bool = True

    def __call__(self, X):
        dtype = X.dtype if X.dtype in (np.float32, np.float64) else np.float64
        z = np.asarray(X @ self.coef.T.astype(dtype)) + self.intercept.astype(dtype)
        return z[:, 0] if self.flat else z


class Errors(NamedTuple):
    """Squared errors of predictions, ``residual (K,)`` by weight, beside the spread of y."""

    stats: RowStats
    y: Variation
    residual: np.ndarray

    @np.errstate(over="ignore", invalid="ignore")  # row stats name what is not finite
    def __add__(self, other: Errors) -> Errors:
        return Errors(self.stats + other.stats, self.y + other.y, self.residual + other.residual)

    @property
    def weight(self) -> float:
        return self.y.weight

    def r2(self) -> float:
        """Coefficient of determination, averaged over outputs; 0 or 1 for a y that is constant.

        NaN of a single row.
        """
        return float(np.mean(self.y.r2(self.residual, self.stats.n_rows)))


class Hits(NamedTuple):
    """Weighted number of rows whose label is predicted."""

    stats: RowStats
    correct: float

    def __add__(self, other: Hits) -> Hits:
        return Hits(self.stats + other.stats, self.correct + other.correct)


def errors(predictor: LinearPredictor, block) -> Errors:
    """Kernel: squared errors of one block."""
    y = (block.y if block.y.ndim == 2 else block.y[:, None]).astype(np.float64)
    w = np.ones(y.shape[0]) if block.w is None else block.w
    z = predictor(block.X).reshape(y.shape)
    residual = w @ (y - z) ** 2
    suspect = not np.isfinite(residual).all()
    return Errors(row_stats_of(block, suspect), Variation.of(y, w), residual)


class Labels(NamedTuple):
    """Turns raw scores into labels."""

    classes: np.ndarray

    def __call__(self, z):
        return self.classes[likeliest(z)]


def likeliest(z):
    """Codes (...) of the likeliest class, from scores (..., K) of all or (..., 1) of the second.

    Scores (n,), too, are of the second of two classes.
    """
    z = _by_output(z)
    return (z[..., 0] > 0).astype(np.intp) if z.shape[-1] == 1 else np.argmax(z, axis=-1)


def probabilities(z):
    """Probabilities (..., K) from scores as for `likeliest`."""
    z = _by_output(z)
    if z.shape[-1] == 1:
        return np.concatenate([Logistic().mean(np, -z), Logistic().mean(np, z)], axis=-1)
    return Multinomial(z.shape[-1]).mean(np, z)


def log_probabilities(z):
    """Logarithms of `probabilities`, exact where these underflow."""
    z = _by_output(z)
    if z.shape[-1] == 1:
        return -np.logaddexp(0.0, np.concatenate([z, -z], axis=-1)).astype(z.dtype)
    return z - logsumexp(z, axis=-1, keepdims=True)


def _by_output(z):
    return z[:, None] if z.ndim == 1 else z


def hits(state, block) -> Hits:
    """Kernel: right predictions of one block; ``state`` is (predictor, classes (K,))."""
    predictor, classes = state
    invalid = invalid_target(block.y, known=classes)
    if invalid is not None:
        return Hits(RowStats(len(block.y), 1.0, (invalid,)), 0.0)
    z = predictor(block.X)
    right = Labels(classes)(z) == np.ravel(block.y)
    stats = row_stats_of(block, suspect_X=not np.isfinite(z).all())
    return Hits(stats, float(right.sum() if block.w is None else block.w @ right))
