"""Ridge regression on the products of rows. Found by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.solvers._symmetric import solve


class _State(NamedTuple):
    """Coefficients and intercept ``theta (1, size)``; ``system`` is what the first read gave."""

    theta: np.ndarray
    value: float = np.inf
    gradient_norm: float = float("nan")
    step: float = 1.0
    null_space: np.ndarray | None = None
    status: str | None = None
    name: str = "row-products"
    system: object = None
    u: np.ndarray | None = None


class Dual(NamedTuple):
    """Ridge regression where columns are more than rows: ``b = A'(A A' + alpha I)^-1 y``.

    ``A`` is X, centred if there is an intercept, its rows times the roots of their weights; y
    alike. One read gives the n x n products of rows, the second one the coefficients. They have a
    relative error of about ``eps`` times the condition number of ``A A' + alpha I``. Where that is
    above ``limit`` the fit ends with status "stalled" and without them.

    References
    ----------
    Saunders, C., Gammerman, A. and Vovk, V. (1998). Ridge regression learning algorithm in dual
    variables. ICML.
    """

    limit: float = np.inf

    needs = frozenset({"row products"})

    def init(self, theta) -> _State:
        return _State(theta)

    def step(self, state: _State, objective) -> _State:
        if state.u is None:
            return self._solved(state, objective)
        return _primal(state, objective)

    def _solved(self, state, objective) -> _State:
        system = objective.row_products()
        ridge = float(np.ravel(objective.problem.penalty.strength)[0])
        u, _, condition = solve(system.gram, system.y, ridge=ridge)
        value = 0.5 * ridge * float(u @ system.y) / system.weight
        status = None if condition <= self.limit else "stalled"
        return state._replace(value=value, system=system, u=u, status=status)


def _primal(state, objective) -> _State:
    """The coefficients of the dual variables."""
    system, problem = state.system, objective.problem
    coef = objective.coefficients(state.u)
    theta = (
        coef if not problem.fit_intercept else np.append(coef, system.y_mean - system.mean @ coef)
    )
    return state._replace(theta=theta[None], name="coefficients", status="converged", system=None)
