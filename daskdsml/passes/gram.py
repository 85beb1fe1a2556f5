"""``[1 X]'w[1 X]`` in twice the working precision, beside the R factor and the residual sums."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.passes.normal_residual import TILE_ENTRIES, NormalResidual, Solution, normal_residual
from daskdsml.passes.r_factor import ColumnScaling, RFactor, r_factor
from daskdsml.utils.double_double import Double, double, two_product


class Exactly(NamedTuple):
    """What `exact_sums` is to sum: the frame of the R factor, and the model's coefficients.

    ``gram`` asks for the matrix too: that costs some 30 operations for each one of `Moments`.
    """

    frame: ColumnScaling
    solution: Solution
    gram: bool


class ExactSums(NamedTuple):
    """R factor of [1 X y], residual sums, and ``gram`` (size, size), a Double, or None."""

    factor: RFactor
    residual: NormalResidual
    gram: Any

    def __add__(self, other: ExactSums) -> ExactSums:
        gram = None if self.gram is None else self.gram + other.gram
        return ExactSums(self.factor + other.factor, self.residual + other.residual, gram)


def exact_sums(state: Exactly, block) -> ExactSums:
    """Kernel: what one block adds."""
    one = state.solution.intercept
    return ExactSums(
        r_factor(state.frame, block),
        normal_residual(state.solution, block),
        _gram(block, one) if state.gram else None,
    )


def _gram(block, one) -> Double:
    n, p = block.X.shape
    size = p + one
    total = double(np.zeros((size, size)))
    step = max(TILE_ENTRIES // size, 8)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        X = block.X[rows]
        X = (X if isinstance(X, np.ndarray) else X.toarray()).astype(np.float64)
        A = np.column_stack([np.ones(len(X)), X]) if one else X
        total = total + _tile(A, None if block.w is None else block.w[rows])
    return total


def _tile(A, w) -> Double:
    size = A.shape[1]
    high, low = np.zeros((size, size)), np.zeros((size, size))
    for j in range(size):
        column = A[:, [j]]
        column = double(column) if w is None else Double(*two_product(column, w[:, None]))
        column = Double(*(np.broadcast_to(part, A[:, j:].shape) for part in column))
        row = column.times(A[:, j:]).sum()
        high[j, j:], low[j, j:] = high[j:, j], low[j:, j] = row
    return Double(high, low)
