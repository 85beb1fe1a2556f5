"""Forward stepwise least squares as a pivoted Cholesky factorisation; for the selector."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

EPSILON = np.finfo(np.float64).eps
# Gains that differ by less are a tie: the order must not hang on how rows were cut into blocks.
TIE = 1e-10
# Whether rounding made what is left of a column is asked where less than this share is left.
DOUBTFUL = 1e-3


class SelectionPath(NamedTuple):
    """The models of 0, 1, ..., k columns, each with the next column that lowers the RSS most.

    With columns and y divided by ``scale (p + 1,)``, the square roots of their centred sums of
    squares, ``factor (k, k)`` is the lower Cholesky factor ``L`` of the cross products of the
    columns ``order (k,)``. ``effects (k,)`` are y's coefficients on the orthonormal directions
    ``z = L^-1 x``; the model of the first m columns has coefficients ``L_m^-T effects_m``.
    ``rss (k + 1,)`` are the weighted residual sums of squares in the units of y.
    """

    order: np.ndarray
    rss: np.ndarray
    factor: np.ndarray
    effects: np.ndarray
    scale: np.ndarray

    def coefficients(self, m: int) -> np.ndarray:
        """Coefficients (m,) of the model of the first m columns, in their order of entry."""
        if m == 0:
            return np.zeros(0)
        coef = solve_triangular(self.factor[:m, :m], self.effects[:m], lower=True, trans="T")
        return coef * self.scale[-1] / self.scale[self.order[:m]]


def forward_path(moments) -> SelectionPath:
    """The whole path from the moments of [X y], as far as columns are independent.

    Moments are about the mean with an intercept, about zero without. Each step takes the column j
    with the largest ``c_j**2 / d_j``, where ``c`` are the covariances of the residual with what is
    left of the columns, and ``d`` their squares: the diagonal of the Schur complement. The next row
    of the factor updates both, in O(k p).

    References
    ----------
    Miller, A. J. (2002). Subset Selection in Regression, 2nd ed., sections 2.2 and 3.2.
    Lucas, C. (2004). LAPACK-style codes for level 2 and 3 pivoted Cholesky factorizations.
    """
    cross, p = moments.cross, len(moments.mean) - 1
    scale, noise = _units(moments)
    rows = np.empty((p, p + 1))
    rest = np.ones(p + 1)  # the diagonal of the Schur complement; its last entry is the RSS
    slope = cross[p, :p] / (scale[p] * scale[:p])
    order: list[int] = []
    rss = [1.0 if rest[p] > noise[p] else 0.0]
    while len(order) < p and rest[p] > noise[p]:
        candidates = np.flatnonzero(rest[:p] > noise[:p])
        if not candidates.size:
            break
        gains = slope[candidates] ** 2 / rest[candidates]
        # The first of those that tie. All columns tie that leave nothing but rounding.
        tied = gains >= (1.0 - TIE) * gains.max() - noise[p]
        j = int(candidates[np.argmax(tied)])
        k = len(order)
        if rest[j] < DOUBTFUL and rest[j] <= noise[j] * _loss(rows[:k], order, j):
            rest[j] = 0.0
            continue
        row = rows[k]
        np.divide(cross[j], scale[j] * scale, out=row)
        row -= rows[:k, j] @ rows[:k]
        row /= np.sqrt(rest[j])
        rest -= row**2
        rest[j] = 0.0
        slope -= row[p] * row[:p]
        order.append(j)
        rss.append(rest[p] if rest[p] > noise[p] else 0.0)
    chosen = np.array(order, dtype=np.intp)
    factor = np.tril(rows[: len(order), chosen].T)
    effects = rows[: len(order), p].copy()
    return SelectionPath(chosen, np.array(rss) * scale[p] ** 2, factor, effects, scale)


def test_errors(path: SelectionPath, train, test) -> np.ndarray:
    """Mean squared errors (k + 1,) of the models of a path, by moments of training and test rows.

    The error of a model is a quadratic form in the moments of the test rows about the means of the
    training rows. On the directions ``z`` all models of the path share one such form: each adds a
    row and a column to that of the model before it.
    """
    k, effects = len(path.order), path.effects
    columns = np.append(path.order, len(path.scale) - 1)
    scale, shift = path.scale[columns], (test.mean - train.mean)[columns]
    form = test.cross[np.ix_(columns, columns)] + test.weight * np.outer(shift, shift)
    form /= np.outer(scale, scale)
    errors = np.full(k + 1, form[k, k])
    if k:
        half = solve_triangular(path.factor, form[:k], lower=True)
        inner = solve_triangular(path.factor, half[:, :k].T, lower=True)
        own = effects * np.diag(inner) + 2.0 * (np.tril(inner, -1) @ effects) - 2.0 * half[:, k]
        errors[1:] += np.cumsum(effects * own)
    return np.maximum(errors, 0.0) * path.scale[-1] ** 2 / test.weight


def _units(moments) -> tuple[np.ndarray, np.ndarray]:
    """Scale (p + 1,) of [X y], and what rounding leaves of a unit square (inf for a constant)."""
    square, p = np.diag(moments.cross), len(moments.mean) - 1
    floor = (8.0 * EPSILON) ** 2 * moments.weight * moments.mean**2
    constant = ~(square > floor)
    square = np.where(constant, 1.0, square)
    noise = 10.0 * EPSILON * max(p, 100) + floor / square
    return np.sqrt(square), np.where(constant, np.inf, noise)


def _loss(rows, order, j) -> float:
    """By how much rounding in the cross products is magnified in what is left of column j.

    That is ``v'Rv`` for ``v = (-b, 1)``, with the coefficients ``b (k,)`` of column j on those that
    entered and R their cross products: entries wrong by e change it by up to ``e |v|_1**2``.
    """
    coef = solve_triangular(rows[:, order], rows[:, j])
    return float((1.0 + np.abs(coef).sum()) ** 2)
