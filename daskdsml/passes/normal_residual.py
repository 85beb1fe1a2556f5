"""``A'w(y - A b)`` in twice the working precision: what iterative refinement asks of the data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.passes.r_factor import ColumnScaling, RFactor, r_factor
from daskdsml.utils.double_double import Double, double

# Entries of X worked on at once: a tile and its dozen temporaries stay in the cache.
TILE_ENTRIES = 2**14


class Solution(NamedTuple):
    """Coefficients in twice the working precision.

    ``theta`` is a Double of (size, K): the intercept first if ``intercept``, then (p, K).
    """

    theta: Double
    intercept: bool


class NormalResidual(NamedTuple):
    """``score`` (size, K), the sums ``sum_i w_i a_i r_i`` for rows ``a_i = [1 x_i]`` and residuals
    ``r_i = y_i - a_i'theta``, and ``rss (K,) = sum_i w_i r_i**2``, as Doubles.
    """

    score: Double
    rss: Double

    def __add__(self, other: NormalResidual) -> NormalResidual:
        return NormalResidual(self.score + other.score, self.rss + other.rss)


class Refinement(NamedTuple):
    """The R factor and the residual sums of the same read."""

    factor: RFactor
    residual: NormalResidual

    def __add__(self, other: Refinement) -> Refinement:
        return Refinement(self.factor + other.factor, self.residual + other.residual)


def refinement(state: tuple[ColumnScaling, Solution], block) -> Refinement:
    """Kernel: both of one block."""
    frame, solution = state
    return Refinement(r_factor(frame, block), normal_residual(solution, block))


def normal_residual(solution: Solution, block) -> NormalResidual:
    """Kernel: what one block adds."""
    n, p = block.X.shape
    y = np.atleast_2d(block.y.T).T.astype(np.float64)
    size, n_outputs = p + solution.intercept, y.shape[1]
    total = NormalResidual(double(np.zeros((size, n_outputs))), double(np.zeros(n_outputs)))
    step = max(TILE_ENTRIES // size, 8)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        X = block.X[rows]
        X = (X if isinstance(X, np.ndarray) else X.toarray()).astype(np.float64)
        if solution.intercept:
            X = np.column_stack([np.ones(len(X)), X])
        w = None if block.w is None else block.w[rows]
        total = total + _tile(solution.theta, X, y[rows], w)
    return total


def _tile(theta, X, y, w) -> NormalResidual:
    scores, squares = [], []
    for k in range(y.shape[1]):
        b = Double(theta.high[:, k], theta.low[:, k])
        r = double(y[:, k]) + -_rows(b, X)
        weighted = r if w is None else r.times(w)
        scores.append(Double(weighted.high[:, None], weighted.low[:, None]).times(X).sum())
        low = weighted.times(r.low)
        squares.append((weighted.times(r.high) + low).sum())
    return NormalResidual(
        Double(*(np.column_stack([s[i] for s in scores]) for i in (0, 1))),
        Double(*(np.array([s[i] for s in squares]) for i in (0, 1))),
    )


def _rows(b, X) -> Double:
    """``X b`` (n,) for ``b`` (size,)."""
    return Double(np.broadcast_to(b.high, X.shape), np.broadcast_to(b.low, X.shape)).times(X).sum(1)
