"""Least squares with no negative coefficient. Found by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg, optimize

from daskdsml.solvers._moments import (
    MomentsState,
    constant_floor,
    ridge_per_output,
    squared_error,
    with_intercept,
)
from daskdsml.solvers._symmetric import EPSILON


class NNLS(NamedTuple):
    """Least squares and ridge with non-negative coefficients, from the moments of one read.

    Factors ``S + alpha I = R'R`` and solves ``min |R b - R^-T s|`` for ``b >= 0`` by the active
    sets of Lawson and Hanson. The intercept may have any sign.

    References
    ----------
    Lawson, C. L. and Hanson, R. J. (1995). Solving Least Squares Problems, chapter 23.
    """

    needs = frozenset({"moments"})

    def init(self, theta) -> MomentsState:
        return MomentsState(theta)

    def step(self, state: MomentsState, objective) -> MomentsState:
        problem, p = objective.problem, objective.problem.n_features
        moments = objective.moments()
        inner, cross = moments.cross[:p, :p], moments.cross[:p, p:]
        ridges = ridge_per_output(problem, cross.shape[1])
        varies = np.diag(inner) > constant_floor(moments, p)
        coef, inner = np.zeros_like(cross), inner[np.ix_(varies, varies)]
        for k, ridge in enumerate(ridges):
            coef[varies, k] = _one_output(inner + ridge * np.eye(len(inner)), cross[varies, k])
        value = squared_error(moments, coef, ridges)
        theta = with_intercept(coef, moments, problem)
        return MomentsState(theta, value, moments=moments, status="converged")


def _one_output(inner, cross):
    """The coefficients (p,) of columns that vary, whatever their units."""
    if not len(inner):
        return np.zeros(0)
    scale = np.sqrt(np.diag(inner))
    values, vectors = linalg.eigh(inner / scale / scale[:, None])
    significant = values > 10.0 * len(values) * EPSILON * values[-1]
    root = np.sqrt(values[significant])[:, None] * vectors[:, significant].T
    target = (vectors[:, significant].T @ (cross / scale)) / np.sqrt(values[significant])
    return optimize.nnls(root, target)[0] / scale
