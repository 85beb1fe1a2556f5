"""Products of rows with each other, from blocks of columns: what a dual problem asks for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.passes.features import Stack
from daskdsml.passes.row_stats import RowStats, row_stats_of


class Weighing(NamedTuple):
    """How the design A (n, p) is made of X: rows times ``root (n,)``, the roots of their weights.

    With ``centred`` the weighted mean of each column is subtracted first.
    """

    root: np.ndarray
    centred: bool


class RowProducts(NamedTuple):
    """``gram (n, n) = A A'``, and the columns' means (zeros if not centred) with their numbers."""

    stats: RowStats
    gram: np.ndarray
    means: Stack

    @np.errstate(over="ignore", invalid="ignore")  # row stats name what is not finite
    def __add__(self, other: RowProducts) -> RowProducts:
        return RowProducts(
            self.stats + other.stats, self.gram + other.gram, self.means + other.means
        )


class RowSystem(NamedTuple):
    """The products of rows ``gram (n, n)`` with ``y (n,)``, both centred and weighed.

    ``mean (p,)`` and ``y_mean`` are the weighted means of X and y, ``weight`` the sum of weights.
    """

    gram: np.ndarray
    y: np.ndarray
    mean: np.ndarray
    y_mean: float
    weight: float


def row_products(weighing: Weighing, block) -> RowProducts:
    """Kernel: what some columns, the rows of the block, add."""
    A, mean = design(weighing, block)
    gram = A.T @ A
    stats = row_stats_of(block, suspect_X=not np.isfinite(gram).all())
    return RowProducts(stats, gram, Stack(stats, ((block.y, mean[:, None]),)))


def coefficients(state: tuple[Weighing, np.ndarray], block) -> Stack:
    """Kernel: ``A'u`` for the dual variables ``u (n,)``, of each column."""
    weighing, u = state
    A, _ = design(weighing, block)
    stats = RowStats(block.X.shape[0], float(block.X.shape[0]), ())
    return Stack(stats, ((block.y, A @ u[:, None]),))


def design(weighing, block) -> tuple[np.ndarray, np.ndarray]:
    """The columns of A as rows (k, n) in float64, and their means (k,)."""
    X = block.X if isinstance(block.X, np.ndarray) else block.X.toarray()
    X = X.astype(np.float64)
    mean = np.zeros(len(X))
    if weighing.centred:
        share = weighing.root**2 / (weighing.root @ weighing.root)
        mean = X @ share
        X -= mean[:, None]
        # Of columns far from zero the first mean has lost digits.
        if (mean**2 > np.einsum("jn,jn->j", X, X) / X.shape[1]).any():
            rest = X @ share
            X -= rest[:, None]
            mean += rest
    X *= weighing.root
    return X, mean
