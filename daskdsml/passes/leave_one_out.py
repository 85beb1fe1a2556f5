"""Errors of ridge models on each row when it is left out, from one read."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.passes.row_stats import RowStats, row_stats_of
from daskdsml.passes.scores import joined

# Rows worked on at once: they meet all models.
TILE_ROWS = 1024


class RidgeModels(NamedTuple):
    """Ridge models of falling penalty in the basis of X'X.

    ``coefs (m, K, p)`` and ``intercepts (m, K)``; ``centre (p,)`` are the columns' means (zero
    without an intercept), ``vectors (p, r)`` the eigenvectors of the centred cross products and
    ``shrunk (m, r)`` the inverses of eigenvalue plus penalty; ``of_mean`` is the inverse of the
    summed weight (0 without an intercept). ``judge`` is a `Judge`.
    """

    coefs: np.ndarray
    intercepts: np.ndarray
    centre: np.ndarray
    vectors: np.ndarray
    shrunk: np.ndarray
    of_mean: float
    judge: Any


class Judge(NamedTuple):
    """What is to be counted beside squared errors: a ``metric`` of predictions, or None.

    It is counted for each of ``outputs``: columns of y, or slices of them for all at once. One that
    needs "errors" is given these.
    """

    metric: Any = None
    outputs: tuple = ()

    def count(self, y, error, w) -> LeaveOneOut:
        """Of rows ``y (n, K)`` of weight w (or None) that m models miss by ``error (m, K, n)``."""
        squares, totals = error**2 @ (np.ones(len(y)) if w is None else w), []
        for missed in error if self.outputs else ():
            told = missed.T if self.metric.needs == "errors" else y - missed.T
            totals += [self.metric.count(y[:, k], told[:, k], w, 0) for k in self.outputs]
        return LeaveOneOut(RowStats(0, 0.0, ()), squares, tuple(totals))


class LeaveOneOut(NamedTuple):
    """``squares (m, K)``: weighted squared errors of rows left out, summed over rows.

    ``totals`` are sums of the metric, model by model and output by output.
    """

    stats: RowStats
    squares: np.ndarray
    totals: tuple

    def __add__(self, other: LeaveOneOut) -> LeaveOneOut:
        pairs = zip(self.totals, other.totals, strict=True)
        totals = tuple(joined(a, b) for a, b in pairs)
        return LeaveOneOut(self.stats + other.stats, self.squares + other.squares, totals)


def leave_one_out(models: RidgeModels, block) -> LeaveOneOut:
    """Kernel: what one block adds.

    A model fitted without row i misses it by ``e_i / (1 - h_i)``, with the error ``e_i`` and the
    leverage ``h_i`` of the model fitted with it (Golub, Heath and Wahba, 1979).
    """
    y = np.atleast_2d(block.y.T).T.astype(np.float64)
    m, n_outputs = len(models.coefs), len(models.judge.outputs)
    stats = row_stats_of(block, suspect_X=False)
    total = LeaveOneOut(stats, np.zeros((m, y.shape[1])), (None,) * (m * n_outputs))
    for start in range(0, len(y), TILE_ROWS):
        rows = slice(start, start + TILE_ROWS)
        X = block.X[rows]
        X = (X if isinstance(X, np.ndarray) else X.toarray()).astype(np.float64)
        w = None if block.w is None else block.w[rows]
        turned = ((X - models.centre) @ models.vectors) ** 2
        leverage = models.of_mean + models.shrunk @ turned.T
        leverage = leverage if w is None else w * leverage
        fitted = np.tensordot(models.coefs, X, axes=(2, 1)) + models.intercepts[:, :, None]
        error = (y[rows].T - fitted) / (1.0 - leverage)[:, None, :]
        total = total + models.judge.count(y[rows], error, w)
    return total
