"""The normal equations on centred moments. Found by name."""

from __future__ import annotations

from typing import NamedTuple

from daskdsml.solvers._moments import MomentsState, normal_equations


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
        state, _ = normal_equations(objective)
        return state._replace(status="converged")
