"""The R factor of [1 X y] in one read: it squares no condition number, as X'X does."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg

from daskdsml.passes.row_stats import RowStats, row_stats_of

# Rows factored at once: some multiple of the columns, or stacking R above them costs too much.
TILE_ROWS, TILE_COLUMNS = 1024, 4


class ColumnScaling(NamedTuple):
    """How columns are moved before they are factored.

    Rows become ``sqrt(w_i) [1, (v_i - centre) / scale]`` for ``v_i = [x_i y_i]``, with ``centre``
    and ``scale`` (q,); the first column is there if ``intercept``. A centre near the mean makes the
    columns as independent as they can be, and subtracting it costs no accuracy: where ``v`` is near
    it the difference is exact. Powers of two as scale cost none either.
    """

    centre: np.ndarray
    scale: np.ndarray
    intercept: bool


class RFactor(NamedTuple):
    """Upper triangle ``R`` with ``R'R = A'A`` for the rows A seen; two are joined by factoring one
    above the other.

    References
    ----------
    Demmel, J., Grigori, L., Hoemmen, M. and Langou, J. (2012). Communication-optimal parallel and
    sequential QR and LU factorizations. SIAM J. Sci. Comput. 34(1), A206-A239.
    """

    stats: RowStats
    R: np.ndarray

    def __add__(self, other: RFactor) -> RFactor:
        return RFactor(self.stats + other.stats, _factor(self.R, other.R))


def r_factor(frame: ColumnScaling, block) -> RFactor:
    """Kernel: the R factor of one block, tile after tile. Sums are made by NumPy on the CPU."""
    n, p = block.X.shape
    y = np.zeros((n, 0)) if block.y is None else np.atleast_2d(block.y.T).T
    size = p + y.shape[1] + frame.intercept
    R = np.zeros((0, size))
    step = max(TILE_ROWS, TILE_COLUMNS * size)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        tile = design(block.X[rows], y[rows], frame)
        if block.w is not None:
            tile *= np.sqrt(block.w[rows])[:, None]
        R = _factor(R, tile)
    return RFactor(row_stats_of(block, suspect_X=not np.isfinite(R).all()), R)


def design(X, y, frame: ColumnScaling) -> np.ndarray:
    """The rows ``[1, ([x y] - centre) / scale]`` (n, q + intercept) in float64."""
    X = X if isinstance(X, np.ndarray) else X.toarray()
    one, p = int(frame.intercept), X.shape[1]
    tile = np.empty((len(X), one + p + y.shape[1]))
    tile[:, :one] = 1.0
    np.subtract(X, frame.centre[:p], out=tile[:, one : one + p])
    np.subtract(y, frame.centre[p:], out=tile[:, one + p :])
    tile[:, one:] /= frame.scale
    return tile


def power_of_two(scale) -> np.ndarray:
    """The powers of two nearest to ``scale (q,)``; 1 where that is 0."""
    exponent = np.frexp(np.where(scale > 0.0, scale, 1.0))[1]
    return np.ldexp(1.0, exponent)


def _factor(above, below) -> np.ndarray:
    stacked = np.concatenate([above, below])
    if not np.isfinite(stacked).all():
        # LAPACK may not return from it; the stats then tells which entry it was.
        return np.full((1, stacked.shape[1]), np.nan)
    return linalg.qr(stacked, mode="r", overwrite_a=True, check_finite=False)[0][: stacked.shape[1]]
