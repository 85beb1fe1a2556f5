"""Symmetric positive semidefinite systems whose rank may be short, for the solvers beside it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg

EPSILON = np.finfo(np.float64).eps
# From this condition number in the 1-norm on that in the 2-norm is found, in so many power steps.
ROUGH_CONDITION, POWER_STEPS = 1e5, 12


class SymmetricSolution(NamedTuple):
    """``x`` (d,) or (d, k) of least norm among the solutions; ``null_space (d, r)`` or None.

    The columns of ``null_space`` are orthonormal. ``condition`` estimates the condition number of
    A scaled to a unit diagonal; it is infinite if A is singular to rounding.
    """

    x: np.ndarray
    null_space: np.ndarray | None
    condition: float = np.inf


def _condition(factor) -> float:
    """The condition number of ``L L'`` in the 2-norm, within a third, from its Cholesky factor L.

    Power iterations find the largest eigenvalue, and of the inverse the smallest one. LAPACK's
    estimate is in the 1-norm, which for d columns alike may be the root of d times as much.
    """
    v, dtrmv = np.cos(np.arange(len(factor)) + 1.0), linalg.blas.dtrmv
    largest, smallest = v / np.linalg.norm(v), v / np.linalg.norm(v)
    for _ in range(POWER_STEPS):
        moved = dtrmv(factor, dtrmv(factor, largest, lower=1, trans=1), lower=1)
        back = linalg.lapack.dpotrs(factor, smallest, lower=True)[0]
        high, low = np.linalg.norm(moved), np.linalg.norm(back)
        largest, smallest = moved / high, back / low
    return 1.5 * float(high * low)


def solve(A, b, floor=0.0, ridge=0.0) -> SymmetricSolution:
    """Solve ``(A + ridge I) x = b`` for a symmetric positive semidefinite A.

    A is first scaled to a unit diagonal, so neither the rank found nor the accuracy depends on the
    units of the columns. If it is too ill-conditioned for Cholesky, directions with eigenvalues
    below ``10 d`` rounding units are taken as unknown.

    Parameters
    ----------
    A : array (d, d)
    b : array (d,) or (d, k)
    floor : float or array (d,)
        Diagonal entries up to this size are rounding, and count as zero.
    ridge : float
        At least 0.
    """
    diagonal = np.diag(A) + ridge
    dead = ~(diagonal > floor)
    scale = np.sqrt(np.where(dead, 1.0, diagonal))
    scaled = (b.T / scale).T
    if not dead.any():
        unit = _unit(A, scale, dead, ridge)
        norm = linalg.lapack.dlange("1", unit.T)
        # The factor takes the place of the matrix: columns of the transpose lie in a row.
        factor, failed = linalg.lapack.dpotrf(unit.T, lower=True, overwrite_a=True, clean=False)
        inverse = 0.0 if failed else linalg.lapack.dpocon(factor, norm, uplo="L")[0]
        if inverse > _smallest(unit):
            x = linalg.lapack.dpotrs(factor, scaled, lower=True)[0]
            condition = 1.0 / inverse
            if condition > ROUGH_CONDITION:
                condition = min(condition, _condition(factor))
            return SymmetricSolution((x.T / scale).T, None, condition)
    solution = _least_norm(_unit(A, scale, dead, ridge), scaled, scale)
    solution.x[dead] = 0.0
    return solution


def _unit(A, scale, dead, ridge) -> np.ndarray:
    """A + ridge I with its diagonal scaled to one; rows and columns that are ``dead`` are zeros."""
    unit = A / scale
    unit /= scale[:, None]
    unit[np.diag_indices(len(unit))] += ridge / scale**2
    if dead.any():
        unit[dead, :] = unit[:, dead] = 0.0
    return unit


def _smallest(unit) -> float:
    return 10.0 * unit.shape[0] * EPSILON


def _least_norm(unit, scaled, scale) -> SymmetricSolution:
    values, vectors = linalg.eigh(unit)
    significant = values > _smallest(unit) * max(values[-1], 1.0)
    basis = vectors[:, significant]
    x = basis @ ((basis.T @ scaled).T / values[significant]).T
    x = (x.T / scale).T
    if significant.all():
        return SymmetricSolution(x, None)
    null_space = np.linalg.qr(vectors[:, ~significant] / scale[:, None])[0]
    return SymmetricSolution(x - null_space @ (null_space.T @ x), null_space)


def complement(A) -> np.ndarray:
    """An orthonormal basis (d, d - r) of what is orthogonal to the r independent columns of A.

    The last columns of ``I - V T V'``, the product of the Householder reflections ``I - tau v v'``
    that make A triangular: ``T**-1`` is the upper triangle of ``V'V`` with ``1 / tau`` on its
    diagonal. One product of matrices; LAPACK's own takes ten times as long.

    References
    ----------
    Puglisi, C. (1992). Modification of the Householder method based on the compact WY
    representation. SIAM J. Sci. Stat. Comput. 13(3), 723-726.
    """
    d, r = A.shape
    (V, tau), _ = linalg.qr(A, mode="raw", check_finite=False)
    V = np.tril(V, -1)
    V[np.arange(r), np.arange(r)] = 1.0
    inverse = np.triu(V.T @ V, 1)
    with np.errstate(divide="ignore"):  # tau is 0 where there is nothing to reflect
        inverse[np.arange(r), np.arange(r)] = 1.0 / tau
    basis = -V @ linalg.solve_triangular(inverse, V[r:].T, check_finite=False)
    basis[r:] += np.eye(d - r)
    return basis


def solve_newton(hessian, gradient, n_features, n_outputs=1) -> SymmetricSolution:
    """The Newton step ``-H^-1 g``; parameters are ordered output by output, the intercept last.

    The intercepts, if there are any, are eliminated first, which centres the columns: a column far
    from zero then costs no accuracy. ``null_space`` holds steps (size, r) that change no
    prediction, orthonormal in the coefficients. Of coupled outputs the step sums to zero over them.
    """
    H = hessian if n_outputs == 1 else without_shift(hessian, n_outputs)
    b = _intercepts(len(H), n_features, n_outputs)
    a = np.setdiff1d(np.arange(len(H)), b)
    inner, border, corner = H[np.ix_(a, a)], H[np.ix_(b, a)], H[np.ix_(b, b)]
    if not b.size:
        return solve(inner, -gradient)
    if not (np.diag(corner) > 0.0).all():
        return solve(H, -gradient)
    mean = np.linalg.solve(corner, border)
    centred = inner - border.T @ mean
    floor = 64.0 * EPSILON * np.diag(inner)
    coef, null_space, condition = solve(centred, -(gradient[a] - mean.T @ gradient[b]), floor)
    step = np.empty(len(H))
    step[a] = coef
    step[b] = -np.linalg.solve(corner, gradient[b]) - mean @ coef
    if null_space is not None:
        directions = np.empty((len(H), null_space.shape[1]))
        directions[a], directions[b] = null_space, -mean @ null_space
        null_space = directions
    return SymmetricSolution(step, null_space, condition)


def without_shift(hessian, n_outputs):
    """The Hessian of K coupled outputs, made regular where all of them move alike.

    Scores that all change by the same number predict the same. What is added acts on these moves
    alone, to which a gradient that sums to zero over the outputs is orthogonal.
    """
    K = n_outputs
    d = len(hessian) // K
    out = hessian.reshape(K, d, K, d).copy()
    size = np.einsum("kjkj->j", out) / K
    size = np.where(size > 0.0, size, 1.0)
    j = np.arange(d)
    out[:, j, :, j] += size[:, None, None] / K
    return out.reshape(K * d, K * d)


def _intercepts(size, n_features, n_outputs):
    """The places of intercepts among ``size`` parameters; none if there are but coefficients."""
    d = size // n_outputs
    return np.arange(n_outputs) * d + n_features if d > n_features else np.empty(0, dtype=int)


def shortest(theta, null_space, coefs):
    """``theta (size,)`` less the part of ``theta[coefs]`` along ``null_space (size, r)``."""
    if null_space is None:
        return theta
    return theta - null_space @ (theta[coefs] @ null_space[coefs])
