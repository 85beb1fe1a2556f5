"""Least squares to the last digit: R factor and refinement. Found by name."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from daskdsml.solvers._moments import normal_equations, ridge_per_output
from daskdsml.solvers._symmetric import EPSILON, complement
from daskdsml.utils.double_double import Double, double

# Moments may lose six of sixteen digits before a second read is spent on the others.
MAX_CONDITION = 1e6
# A table of this many entries in this process's memory (1 MiB) is read again whatever its
# condition: that takes milliseconds.
SMALL_ENTRIES = 2**17
# Most corrections: each gains some digits, and stops by itself where it gains none.
MAX_CORRECTIONS = 10
# Parameters that add less than this share of the largest to predictions are as good as zero.
MIN_RELATIVE_SIZE = 2.0**-26


class _State(NamedTuple):
    """Where the search stands.

    ``extended`` is ``theta`` as a Double (size, K), the intercept first. ``factors`` holds the
    `_Factor` of each ridge, ``change`` the last correction, relative to the coefficients.
    """

    theta: np.ndarray
    value: float = np.inf
    gradient_norm: float = float("nan")
    step: float = float("nan")
    moments: Any = None
    singular: np.ndarray | None = None
    null_space: np.ndarray | None = None
    status: str | None = None
    name: str = "moments"
    extended: Double | None = None
    factors: dict | None = None
    change: float = np.inf
    corrections: int = 0


class _Factor(NamedTuple):
    """What solves ``R'R x = s`` in the framed design ``[1, (X - centre) / scale]``.

    ``R`` (size, size) is upper triangular with columns of length ``norm``; where those of X depend
    on each other ``basis`` holds ``(values, vectors)``, the kept part of the singular value
    decomposition of their R with unit columns, and ``coefs (p, r)`` spans what no row tells.
    ``rate`` is the relative error of a solution.
    """

    R: np.ndarray
    norm: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    rate: float = 0.0
    basis: tuple | None = None
    coefs: np.ndarray | None = None


class QR(NamedTuple):
    """Least squares and ridge from moments and, where these lose digits, the R factor, refined.

    The first read gives centred moments, whose solution has a relative error of about ``eps`` times
    the condition number of X'X, for columns of unit spread. Where that number is at most ``limit``
    it is the answer. Otherwise the second read gives the R factor of [1 X y], which tells the rank,
    and ``A'(y - A b)`` in twice the working precision. The correction from both leaves ``eps``
    times the condition number of X of the error; it is repeated, at a read each, until the error is
    below the last bit that float64 can hold. Where columns are dependent the coefficients of least
    norm are taken.

    References
    ----------
    Björck, Å. (1967). Iterative refinement of linear least squares solutions. BIT 7, 257-278.
    Björck, Å. (1987). Stability analysis of the method of seminormal equations for linear least
    squares problems. Linear Algebra and its Applications 88, 31-48.
    """

    limit: float = 0.0

    needs = frozenset({"moments"})

    def init(self, theta) -> _State:
        return _State(theta)

    def step(self, state: _State, objective) -> _State:
        if state.moments is None:
            return self._from_moments(objective)
        if state.factors is None:
            return _factored(state, objective)
        return _corrected(state, objective, objective.normal_residual(state.extended))

    def _from_moments(self, objective) -> _State:
        first, condition = normal_equations(objective, needs_basis=True)
        enough = condition <= self.limit
        one = int(objective.problem.fit_intercept)
        return _State(
            first.theta,
            first.value,
            moments=first.moments,
            null_space=first.null_space if enough else None,
            status="converged" if enough else None,
            extended=double(np.roll(first.theta, one, axis=1).T),
        )


def _factored(state, objective) -> _State:
    """The R factor, and with it the first correction."""
    moments, problem = state.moments, objective.problem
    p, one = problem.n_features, int(problem.fit_intercept)
    spread = np.sqrt(np.maximum(np.diag(moments.cross), 0.0) / moments.weight)
    # Powers of two, so that scaling rounds nothing.
    scale = np.ldexp(1.0, np.frexp(np.where(spread > 0.0, spread, 1.0))[1])
    # Without an intercept the moments are about zero, and so is the frame.
    R, residual = objective.r_factor(moments.mean, scale, state.extended)
    R = np.vstack([R, np.zeros((p + one, R.shape[1]))])[: p + one, : p + one]
    ridges = ridge_per_output(problem, moments.mean.size - p)
    factors = {
        ridge: _with_rank(R, moments.mean[:p], scale[:p], ridge, moments.weight)
        for ridge in np.unique(ridges).tolist()
    }
    coefs = next(iter(factors.values())).coefs
    if coefs is not None:
        intercept = -(moments.mean[:p] @ coefs)[None, :][: one or 0]
        coefs = np.vstack([coefs, intercept])
    state = state._replace(
        singular=_singular(R[one:, one:] * scale[:p]), factors=factors, null_space=coefs
    )
    return _corrected(state, objective, residual)._replace(name="r-factor")


def _singular(R) -> np.ndarray:
    """Singular values (p,) of R (p, p), of which the last rows may be zero."""
    values = linalg.svdvals(R[R.any(axis=1)])
    return np.append(values, np.zeros(len(R) - len(values)))


def _with_rank(R, centre, scale, ridge, weight) -> _Factor:
    """The factor with ``ridge`` on the coefficients' squares, and its null space if it has one."""
    p = len(scale)
    one = len(R) - p
    if ridge:
        rows = np.zeros((p, one + p))
        rows[:, one:] = np.diag(np.sqrt(ridge) / scale)
        R = linalg.qr(np.vstack([R, rows]), mode="r")[0][: one + p]
    norm = np.linalg.norm(R, axis=0)
    # A constant column is left with what rounding its mean leaves.
    dead = norm[one:] <= 8.0 * EPSILON * np.sqrt(weight) * (1.0 + np.abs(centre) / scale)
    norm[one:][dead] = 0.0
    norm = np.where(norm > 0.0, norm, 1.0)
    factor = _Factor(R, norm, centre, scale)
    inverse = 0.0 if dead.any() else linalg.lapack.dtrcon(R / norm)[0]
    if inverse > 10.0 * len(R) * EPSILON:
        return factor._replace(rate=10.0 * EPSILON / inverse)
    unit = R[one:, one:] / norm[one:]
    unit[:, dead] = 0.0
    # Rows of zeros, which fewer rows than columns leave, would only cost time.
    _, values, vectors = np.linalg.svd(unit[unit.any(axis=1)], full_matrices=False)
    kept = values > 10.0 * len(R) * EPSILON * np.max(values, initial=1e-300)
    basis = values[kept], vectors[kept].T
    # What rows tell is spanned by the kept vectors in the user's units; the rest is unknown.
    told = basis[1] * (norm[one:] * scale)[:, None]
    coefs = complement(told)
    rate = 10.0 * EPSILON * values[0] / values[kept][-1] if kept.any() else 0.0
    return factor._replace(rate=rate, basis=basis, coefs=coefs if coefs.size else None)


def _corrected(state, objective, residual) -> _State:
    """One correction, from residuals in twice the working precision."""
    problem, weight = objective.problem, state.moments.weight
    one = int(problem.fit_intercept)
    ridges = ridge_per_output(problem, state.extended.high.shape[1])
    score = residual.score + -_penalised(state.extended, ridges, one)
    change = np.empty_like(state.extended.high)
    slope = 0.0
    for ridge, factor in state.factors.items():
        outputs = ridges == ridge
        framed = _framed(Double(*(part[:, outputs] for part in score)), factor, one)
        change[:, outputs] = _solve(factor, framed, one)
        slope = max(slope, float(np.max(np.abs(framed), initial=0.0)) / weight)
    after = state.extended + double(change)
    relative = float(np.max(np.abs(change) / _sizes(after.high, state.factors, one), initial=0.0))
    rate = max(factor.rate for factor in state.factors.values())
    # A correction no smaller than the one before is rounding: what was there is kept.
    gained = relative < state.change
    done = not gained or rate * relative <= EPSILON / 4.0 or state.corrections == MAX_CORRECTIONS
    kept = after if gained else state.extended
    penalty = np.sum(ridges * np.sum(kept.high[one:] ** 2, axis=0))
    return state._replace(
        theta=np.roll(kept.high, -one, axis=0).T,
        value=float(0.5 * (residual.rss.high.sum() + penalty) / weight),
        gradient_norm=slope,
        name="residual",
        extended=kept,
        change=relative,
        corrections=state.corrections + 1,
        status="converged" if done else None,
    )


def _sizes(theta, factors, one):
    """What a correction of ``theta (size, K)`` is measured by: the parameters themselves.

    One that is zero, or nearly so beside what the others of its output add to predictions, would
    never be right by its own measure, and end the search while others still gain.
    """
    factor = next(iter(factors.values()))
    spread = (factor.scale * factor.norm[one:])[:, None]
    coef = np.abs(theta[one:])
    largest = np.max(coef * spread, axis=0, initial=0.0)
    intercept = largest / factor.norm[0] + np.abs(factor.centre) @ coef
    least = MIN_RELATIVE_SIZE * np.vstack([*([intercept] * one), largest / spread])
    sizes = np.maximum(np.abs(theta), least)
    return np.where(sizes > 0.0, sizes, np.inf)


def _penalised(theta, ridges, one) -> Double:
    """The penalty's part of the score: ``ridge`` times the coefficients."""
    product = theta.times(ridges)
    product.high[:one] = product.low[:one] = 0.0
    return product


def _framed(score, factor, one):
    """The sums ``A'r`` (size, K) of [1 X], a Double, as those of the framed design."""
    inner = Double(score.high[one:], score.low[one:])
    if one:
        intercept = Double(*(np.broadcast_to(part[:1], inner.high.shape) for part in score))
        inner = inner + -intercept.times(factor.centre[:, None])
    return np.vstack([score.high[:one], inner.high / factor.scale[:, None]])


def _solve(factor, right, one):
    """``theta (size, K)``, intercept first, from ``R'R framed = right``; least norm."""
    if factor.basis is None:
        framed = linalg.solve_triangular(factor.R, right, trans="T")
        framed = linalg.solve_triangular(factor.R, framed)
    else:
        framed = _solve_dependent(factor, right, one)
    coef = framed[one:] / factor.scale[:, None]
    if factor.coefs is not None:
        coef = coef - factor.coefs @ (factor.coefs.T @ coef)
        # A column of its own null space, such as a constant one, has no coefficient at all.
        coef[np.linalg.norm(factor.coefs, axis=1) > 1.0 - 1e-12] = 0.0
    return np.vstack([framed[:one] - factor.centre @ coef, coef])


def _solve_dependent(factor, right, one):
    """A solution (size, K) of ``R'R framed = right`` where columns depend on each other.

    The intercept is eliminated first: what is left has no other way to make up for a column.
    """
    values, vectors = factor.basis
    corner, border = factor.R[:one, :one], factor.R[:one, one:]
    intercept = right[:one] / corner if one else right[:one]
    inner = vectors.T @ ((right[one:] - border.T @ intercept) / factor.norm[one:, None])
    rest = (vectors @ (inner / values[:, None] ** 2)) / factor.norm[one:, None]
    intercept = (intercept - border @ rest) / corner if one else intercept
    return np.vstack([intercept, rest])
