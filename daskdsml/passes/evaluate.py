"""How well a fitted linear model predicts, summed over blocks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.passes.row_stats import RowStats, row_stats_of
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
        """Coefficient of determination, averaged over outputs; 0 or 1 for a y that is constant."""
        return float(np.mean(self.y.r2(self.residual)))


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


def likeliest(z):
    """Codes (n,) of the likeliest class, from raw scores (n,) of the second or (n, K) of all."""
    return (z > 0).astype(int) if z.ndim == 1 else np.argmax(z, axis=1)


def hits(state, block) -> Hits:
    """Kernel: right predictions of one block; ``state`` is (predictor, classes (K,))."""
    predictor, classes = state
    z = predictor(block.X)
    right = classes[likeliest(z)] == np.ravel(block.y)
    stats = row_stats_of(block, suspect_X=not np.isfinite(z).all())
    return Hits(stats, float(right.sum() if block.w is None else block.w @ right))
