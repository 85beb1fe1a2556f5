"""Newton's method. Found by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.solvers._line_search import STEP_IN_ERRORS, accepts, is_flat, shorter, step_in_errors
from daskdsml.solvers._symmetric import shortest, solve_newton

# With a step this short, in the norm of the Hessian, that Hessian still holds at its end to some
# percent and is used again: a pass for the gradient alone costs a fraction of the work.
REUSE_STEP = 0.01

# Sampled rows for each parameter from which on a sample's Hessian is as good as that of all rows
# nearby: it is off by some percent.
TRUSTED_ROWS_PER_PARAMETER = 400
# What remains may be this much less where it is not taken.
UNTAKEN_SHARE = 0.1


class _State(NamedTuple):
    """Where Newton stands: the last accepted ``theta`` and the ``trial`` to evaluate next."""

    theta: np.ndarray
    trial: np.ndarray
    value: float = np.inf
    gradient_norm: float = np.inf
    direction: np.ndarray | None = None
    slope: float = 0.0
    length: float = 1.0
    step: float = float("nan")
    move: float = np.inf
    drift: int = 0
    hessian: np.ndarray | None = None
    curved: bool = True
    cells: np.ndarray | None = None
    null_space: np.ndarray | None = None
    status: str | None = None
    name: str = "hessian"


class Newton(NamedTuple):
    """Damped Newton; the pass that tries a step also gives the next step, so none is extra.

    Stops when the standardised gradient is at most ``tol`` in every entry *and* the step that
    remains is small: a twentieth of a standard error (the root mean square over parameters), a
    hundredth of the coefficients, and half the step before. That last step is then taken: it costs
    nothing.

    ``hessian (size, size)``, of ``n_sampled`` rows at the start, saves the first one; if these are
    400 for each parameter, it is used again as long as steps shrink tenfold.

    A step that stays long while the objective no longer changes tells that the optimum lies at
    infinity (separated classes): status "separated".

    References
    ----------
    Nocedal, J. and Wright, S. J. (2006). Numerical Optimization, 2nd ed., chapter 3.
    """

    tol: float = 1e-4
    hessian: np.ndarray | None = None
    n_sampled: int = 0

    needs = frozenset({"hessian"})

    def init(self, theta) -> _State:
        return _State(theta, theta, hessian=self.hessian, curved=self.hessian is None)

    def step(self, state: _State, objective) -> _State:
        here = objective.evaluate(state.trial, state.curved)
        return self.tell(state, here, objective.problem)

    def tell(self, state: _State, here, problem) -> _State:
        """The state after the evaluation ``here`` of its trial."""
        if not accepts(state, here.value, problem.noise(state.trial, here.value)):
            return shorter(state, here)
        noise = problem.epsilon * abs(here.value)
        reached = self._reached(state, here, problem)
        flat = is_flat(here.gradient, reached.null_space, problem, self.tol)
        if not flat and state.direction is None and state.trial.any():
            return self.init(np.zeros_like(state.trial))._replace(curved=True)
        return self._judged(state, reached, problem, noise) if flat else reached

    def _reached(self, state, here, problem) -> _State:
        """The state at the accepted trial, with the next step."""
        hessian = state.hessian if here.hessian is None else here.hessian
        direction, null_space, _ = solve_newton(
            hessian, here.gradient, problem.n_features, problem.n_outputs
        )
        slope = float(here.gradient @ direction)
        move = problem.largest_move(direction)
        settles = _settles(move, state, problem)
        if state.direction is None and here.hessian is None:
            again = self.n_sampled >= TRUSTED_ROWS_PER_PARAMETER * problem.size
        else:
            still_good = here.hessian is not None or -slope <= 0.01 * -state.slope
            again = settles and still_good and -slope <= REUSE_STEP**2
        return _State(
            theta=state.trial,
            trial=state.trial + direction,
            value=here.value,
            gradient_norm=problem.residual(state.trial, here.gradient),
            direction=direction,
            slope=slope,
            step=state.length,
            move=move,
            hessian=hessian,
            curved=not again,
            cells=here.cells,
            null_space=null_space,
            name="gradient" if here.hessian is None else "hessian",
        )

    def _judged(self, before, reached, problem, noise) -> _State:
        """``reached`` with a status, if the search is over."""
        # The step that remains is taken, but not where losses of groups of rows are wanted: those
        # belong to the point that was evaluated.
        share = 1.0 if reached.cells is None else UNTAKEN_SHARE
        close = step_in_errors(reached.slope, problem) <= share * STEP_IN_ERRORS
        settles = _settles(reached.move, before, problem)
        drift = before.drift + 1 if close and not settles else 0
        largest = max(problem.largest_move(reached.theta), 1.0)
        small = close and settles and reached.move <= 0.01 * share * largest
        worse = before.direction is not None and reached.gradient_norm > 0.5 * before.gradient_norm
        exhausted = -reached.slope <= noise and (reached.cells is None or worse)
        if small and (reached.gradient_norm <= self.tol or exhausted):
            theta = reached.trial if reached.cells is None else reached.theta
            theta = shortest(theta, reached.null_space, problem.penalised > 0.0)
            return reached._replace(theta=theta, status="converged")
        if drift >= 3 and problem.unbounded:
            theta = shortest(reached.theta, reached.null_space, problem.penalised > 0.0)
            return reached._replace(theta=theta, status="separated")
        return reached._replace(drift=drift)


def _settles(move, before, problem) -> bool:
    """Whether steps shrink as they do near an optimum, or are down to rounding."""
    return move <= max(0.5 * before.move, 1e-6 * max(problem.largest_move(before.trial), 1.0))
