"""Errors of ridge models on each row when it is left out, from one read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.passes.row_stats import RowStats, row_stats_of

# Rows worked on at once: they meet all models.
TILE_ROWS = 1024


class RidgeModels(NamedTuple):
    """Ridge models of falling penalty in the basis of X'X.

    ``coefs (m, K, p)`` and ``intercepts (m, K)``; ``centre (p,)`` are the columns' means (zero
    without an intercept), ``vectors (p, r)`` the eigenvectors of the centred cross products and
    ``shrunk (m, r)`` the inverses of eigenvalue plus penalty; ``of_mean`` is the inverse of the
    summed weight (0 without an intercept).
    """

    coefs: np.ndarray
    intercepts: np.ndarray
    centre: np.ndarray
    vectors: np.ndarray
    shrunk: np.ndarray
    of_mean: float


class LeaveOneOut(NamedTuple):
    """``squares (m,)``: weighted squared errors of rows left out, summed over rows and outputs."""

    stats: RowStats
    squares: np.ndarray

    def __add__(self, other: LeaveOneOut) -> LeaveOneOut:
        return LeaveOneOut(self.stats + other.stats, self.squares + other.squares)


def leave_one_out(models: RidgeModels, block) -> LeaveOneOut:
    """Kernel: what one block adds.

    A model fitted without row i misses it by ``e_i / (1 - h_i)``, with the error ``e_i`` and the
    leverage ``h_i`` of the model fitted with it (Golub, Heath and Wahba, 1979).
    """
    y = np.atleast_2d(block.y.T).T.astype(np.float64)
    squares = np.zeros(len(models.coefs))
    for start in range(0, len(y), TILE_ROWS):
        rows = slice(start, start + TILE_ROWS)
        X = block.X[rows]
        X = (X if isinstance(X, np.ndarray) else X.toarray()).astype(np.float64)
        w = np.ones(len(X)) if block.w is None else block.w[rows]
        turned = ((X - models.centre) @ models.vectors) ** 2
        leverage = w * (models.of_mean + models.shrunk @ turned.T)
        fitted = np.tensordot(models.coefs, X, axes=(2, 1)) + models.intercepts[:, :, None]
        error = (y[rows].T - fitted) / (1.0 - leverage)[:, None, :]
        squares += np.einsum("mkn,n->m", error**2, w)
    return LeaveOneOut(row_stats_of(block, suspect_X=not np.isfinite(squares).all()), squares)
