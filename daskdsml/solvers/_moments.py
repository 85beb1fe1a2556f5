"""What the solvers that work on moments share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.solvers._symmetric import EPSILON, SymmetricSolution, solve


class MomentsState(NamedTuple):
    """Coefficients and intercepts ``theta (K, size)`` of K outputs."""

    theta: np.ndarray
    value: float = np.inf
    gradient_norm: float = 0.0
    step: float = 1.0
    moments: Any = None
    null_space: np.ndarray | None = None
    status: str | None = None
    name: str = "moments"


def normal_equations(objective, needs_basis=False) -> tuple[MomentsState, float]:
    """Coefficients of all outputs from the moments of one read, and the worst condition number.

    Where rows ``needs_basis`` but are too few for one, coefficients are zeros: to find that out
    would take p**3 operations.
    """
    problem, p = objective.problem, objective.problem.n_features
    moments = objective.moments()
    inner, cross = moments.cross[:p, :p], moments.cross[:p, p:]
    floor = constant_floor(moments, p)
    coef, null_space, worst = np.empty_like(cross), None, 0.0
    ridges = ridge_per_output(problem, cross.shape[1])
    for ridge in np.unique(ridges):
        outputs = ridges == ridge
        if needs_basis and not ridge and moments.stats.n_rows <= p:
            solution = SymmetricSolution(np.zeros_like(cross[:, outputs]), None)
        else:
            solution = solve(inner, cross[:, outputs], floor, ridge)
        coef[:, outputs], worst = solution.x, max(worst, solution.condition)
        null_space = solution.null_space if null_space is None else null_space
    value = squared_error(moments, coef, ridges)
    theta = with_intercept(coef, moments, problem)
    return MomentsState(theta, value, moments=moments, null_space=null_space), worst


def with_intercept(coef, moments, problem) -> np.ndarray:
    """``theta (K, size)`` from coefficients (p, K): the fit passes through the means."""
    if not problem.fit_intercept:
        return coef.T
    p = problem.n_features
    return np.column_stack([coef.T, moments.mean[p:] - moments.mean[:p] @ coef])


def constant_floor(moments, p) -> np.ndarray:
    """Sum of squares (p,) about its mean that rounding alone gives a constant column."""
    return rounded_spread(moments.mean[:p], moments.weight, moments.stats.n_rows)


def rounded_spread(mean, weight, n_rows) -> np.ndarray:
    """`constant_floor` of columns with these means."""
    rounding = EPSILON * (8.0 + n_rows**0.5)
    return weight * (rounding * mean) ** 2


def ridge_per_output(problem, n_outputs) -> np.ndarray:
    """What is added to the diagonal of the summed cross products, for each output (K,)."""
    return np.broadcast_to(problem.penalty.strength, n_outputs) * problem.weight


def squared_error(moments, coef, ridges) -> float:
    """Mean of half the squared error, summed over outputs, plus penalty, at ``coef (p, K)``."""
    p = len(coef)
    inner, cross, total = moments.cross[:p, :p], moments.cross[:p, p:], moments.cross[p:, p:]
    explained = 2.0 * np.sum(coef * cross) - np.sum(coef * (inner @ coef))
    penalty = np.sum(ridges * np.sum(coef**2, axis=0))
    return float(0.5 * (np.trace(total) - explained + penalty) / moments.weight)
