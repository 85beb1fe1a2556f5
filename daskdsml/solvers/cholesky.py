"""The normal equations on centred moments. Found by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.solvers._moments import (
    MomentsState,
    constant_floor,
    ridge_per_output,
    squared_error,
    with_intercept,
)
from daskdsml.solvers._symmetric import solve


class Cholesky(NamedTuple):
    """Least squares and ridge from the moments of one read: ``(S + alpha I) b = s``.

    ``S`` and ``s`` are the centred, weighted cross products of X with itself and with y; ``alpha``
    is the penalty's strength times the problem's weight. Where S is singular the
    coefficients of least norm are taken, and ``null_space`` tells which directions are unknown.

    References
    ----------
    Golub, G. H. and Van Loan, C. F. (2013). Matrix Computations, 4th ed., section 5.3.
    """

    needs = frozenset({"moments"})

    def init(self, theta) -> MomentsState:
        return MomentsState(theta)

    def step(self, state: MomentsState, objective) -> MomentsState:
        problem, p = objective.problem, objective.problem.n_features
        moments = objective.moments()
        inner, cross = moments.cross[:p, :p], moments.cross[:p, p:]
        floor = constant_floor(moments, p)
        coef, null_space = np.empty_like(cross), None
        ridges = ridge_per_output(problem, cross.shape[1])
        for ridge in np.unique(ridges):
            outputs = ridges == ridge
            coef[:, outputs], empty, _ = solve(inner, cross[:, outputs], floor, ridge)
            null_space = empty if null_space is None else null_space
        value = squared_error(moments, coef, ridges)
        theta = with_intercept(coef, moments, problem)
        return MomentsState(
            theta, value, null_space=null_space, moments=moments, status="converged"
        )
