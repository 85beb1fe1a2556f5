"""Symmetric positive semidefinite systems whose rank may be short, for the solvers beside it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg

EPSILON = np.finfo(np.float64).eps


class Solution(NamedTuple):
    """``x`` (d,) or (d, k) of least norm among the solutions; ``null_space (d, r)`` or None.

    The columns of ``null_space`` are orthonormal. ``condition`` estimates the condition number of
    A scaled to a unit diagonal; it is infinite if A is singular to rounding.
    """

    x: np.ndarray
    null_space: np.ndarray | None
    condition: float = np.inf


def solve(A, b, floor=0.0) -> Solution:
    """Solve ``A x = b`` for a symmetric positive semidefinite A.

    A is first scaled to a unit diagonal, so neither the rank found nor the accuracy depends on the
    units of the columns. If it is too ill-conditioned for Cholesky, directions with eigenvalues
    below ``10 d`` rounding units are taken as unknown.

    Parameters
    ----------
    A : array (d, d)
    b : array (d,) or (d, k)
    floor : float or array (d,)
        Diagonal entries up to this size are rounding, and count as zero.
    """
    diagonal = np.diag(A).copy()
    dead = ~(diagonal > floor)
    scale = np.sqrt(np.where(dead, 1.0, diagonal))
    unit = A / np.outer(scale, scale)
    unit[dead, :] = unit[:, dead] = 0.0
    scaled = (b.T / scale).T
    if not dead.any():
        factor, failed = linalg.lapack.dpotrf(unit, lower=True)
        norm = np.abs(unit).sum(axis=0).max(initial=0.0)
        inverse = 0.0 if failed else linalg.lapack.dpocon(factor, norm, uplo="L")[0]
        if inverse > _smallest(unit):
            x = (linalg.cho_solve((factor, True), scaled).T / scale).T
            return Solution(x, None, 1.0 / inverse)
    found = _least_norm(unit, scaled, scale)
    found.x[dead] = 0.0
    return found


def _smallest(unit) -> float:
    return 10.0 * unit.shape[0] * EPSILON


def _least_norm(unit, scaled, scale) -> Solution:
    values, vectors = linalg.eigh(unit)
    kept = values > _smallest(unit) * max(values[-1], 1.0)
    basis = vectors[:, kept]
    x = basis @ ((basis.T @ scaled).T / values[kept]).T
    x = (x.T / scale).T
    if kept.all():
        return Solution(x, None)
    null_space = np.linalg.qr(vectors[:, ~kept] / scale[:, None])[0]
    return Solution(x - null_space @ (null_space.T @ x), null_space)


def solve_newton(hessian, gradient, n_features) -> Solution:
    """The Newton step ``-H^-1 g`` where the last parameter is an intercept, if there is one.

    The intercept is eliminated first, which centres the columns: a column far from zero then costs
    no accuracy. ``null_space`` holds steps (size, r) that change no prediction, orthonormal in the
    coefficients.
    """
    p = n_features
    inner, border, corner = hessian[:p, :p], hessian[p:, :p], hessian[p:, p:]
    if not corner.size:
        return solve(inner, -gradient)
    if not corner[0, 0] > 0.0:
        return solve(hessian, -gradient)
    mean = border[0] / corner[0, 0]
    centred = inner - np.outer(mean, border[0])
    floor = 64.0 * EPSILON * np.diag(inner)
    coef, null_space, condition = solve(centred, -(gradient[:p] - mean * gradient[p]), floor)
    step = np.append(coef, -gradient[p] / corner[0, 0] - mean @ coef)
    if null_space is not None:
        null_space = np.vstack([null_space, -(mean @ null_space)[None, :]])
    return Solution(step, null_space, condition)


def shortest(theta, null_space, n_features):
    """``theta (..., size)`` less its coefficients' part along ``null_space (size, r)``."""
    if null_space is None:
        return theta
    return theta - (theta[..., :n_features] @ null_space[:n_features]) @ null_space.T
