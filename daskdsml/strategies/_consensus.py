"""The consensus of parts: how far to go after each of their rounds, and when it is over."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Evaluation
from daskdsml.passes.objective import Problem
from daskdsml.solvers._line_search import SHORTEST, STEP_IN_ERRORS, is_flat, settled, step_in_errors
from daskdsml.solvers._model import Model
from daskdsml.solvers._symmetric import shortest, solve_newton

# The precision of the quadratic model with an L1 part, relative to the residual.
MODEL_SHARE = 1e-3
# A round that leaves more than this share of the residual asks all parts for new Hessians; while
# such rounds leave as much, all are steps of Newton's method.
SLOW_ROUND = 0.25
# What rounds leave of the residual where rounding keeps them from getting on.
STUCK_ROUND = 0.5
FINITE = np.finfo(float).max
# The relative move of the coefficients that may remain.
SMALL_MOVE = 0.01
# Rounds at the data's own Hessians whose steps stay long while the gradient has vanished.
SEPARATED_ROUNDS = 3


class _State(NamedTuple):
    """Where rounds stand: the last good consensus ``theta`` and the ``trial`` after it.

    ``pulls`` are the parts' ``v_k`` (size,). ``curved`` tells that parts are to give their Hessians
    at the trial; the last were given at ``origin``, and sum up to ``hessian``, with the penalty's
    squares. ``best`` is the point of least objective, ``least``; a trial of more than ``most`` is
    not good: the next is the best one, if the search ``retreats``, or nearer. ``drift`` counts
    rounds of vanished gradients and long steps.
    """

    theta: np.ndarray
    trial: np.ndarray
    pulls: tuple = ()
    curved: bool = True
    origin: np.ndarray | None = None
    hessian: Any = None
    value: float = np.inf
    best: np.ndarray | None = None
    least: float = np.inf
    most: float = FINITE
    retreats: bool = False
    restarted: bool = False
    gradient_norm: float = np.inf
    step: float = float("nan")
    drift: int = 0
    null_space: np.ndarray | None = None
    status: str | None = None
    name: str = "hessian"


class Consensus(NamedTuple):
    """Brings parts to agree: what a solver is to an objective."""

    tol: float

    def init(self, theta) -> _State:
        return _State(theta, theta)

    def step(self, state: _State, parts) -> _State:
        """The state after a round; ``parts`` have a ``round(state)`` and the problem."""
        problem, at, told = parts.problem, state.trial, parts.round(state)
        state = state._replace(name="hessian" if state.curved else "round")
        here = _evaluation(problem, told, at)
        if not here.value <= state.most:
            return _shorter(state)
        hessian: Any = here.hessian if state.curved else state.hessian
        model = _Quadratic(problem, hessian)
        ahead, slope, null_space = model.step(at, here.gradient)
        flat = not state.curved or is_flat(here.gradient, null_space, problem, self.tol)
        if not (flat or state.restarted) and at.any():
            return self.init(np.zeros_like(at))._replace(restarted=True)
        pulls = tuple(each.pull for each in told)
        smooth = problem.penalty.l2 * problem.penalised * at
        move = ahead if state.curved else model.step(at, smooth - _total(pulls))[0]
        reached = state._replace(
            theta=at,
            trial=at + move,
            pulls=pulls,
            origin=at if state.curved else state.origin,
            hessian=hessian,
            value=here.value,
            gradient_norm=problem.residual(at, here.gradient),
            null_space=null_space,
        )
        if not here.value >= state.least:
            reached = reached._replace(best=at, least=here.value)
        return self._judged(state, reached, problem, ahead, slope)

    def _judged(self, before, reached, problem, ahead, slope) -> _State:
        """``reached`` with a status if rounds are over, and how the next one is made.

        ``ahead (size,)`` is the step that the gradient there asks for, and ``slope`` what it
        promises, by Hessians that may be those of another point.
        """
        norm, fresh = reached.gradient_norm, before.curved
        rest = norm / before.gradient_norm if before.gradient_norm < np.inf else 0.0
        largest = max(problem.largest_move(reached.theta), 1.0)
        small = problem.largest_move(ahead) <= SMALL_MOVE * largest
        if problem.penalty.l1:
            close, small = settled(slope, reached.value, self.tol), True
        else:
            close = step_in_errors(slope, problem) <= STEP_IN_ERRORS
        exhausted = -slope <= problem.epsilon * abs(reached.value) and rest > STUCK_ROUND
        if close and (norm <= self.tol or exhausted):
            # Only Hessians of this very point tell whether the optimum lies at infinity.
            sure = fresh or (norm <= self.tol and not problem.unbounded)
            if sure and small:
                return _ended(reached, problem, "converged")
            if sure and problem.unbounded and reached.drift + 1 >= SEPARATED_ROUNDS:
                return _ended(reached._replace(trial=reached.theta), problem, "separated")
            return _renewed(reached, problem, fresh)._replace(drift=reached.drift + sure)
        if rest > SLOW_ROUND:
            return _renewed(reached, problem, fresh)
        most = _about(reached, problem) if fresh else FINITE
        return reached._replace(curved=False, most=most, retreats=False)


def _renewed(reached, problem, fresh) -> _State:
    """The state whose next trial is to be seen with the Hessians there, and to be no worse."""
    most = _about(reached, problem)
    return reached._replace(curved=True, most=most, retreats=not fresh)


def _about(reached, problem) -> float:
    """The least value so far, and its rounding."""
    return reached.least + 8.0 * problem.noise(reached.best, reached.least)


def _shorter(state) -> _State:
    """The state with a trial nearer to where the objective was lower.

    What parts were to begin with still holds, for it belongs to the point before.
    """
    if state.retreats:
        return state._replace(trial=state.best, most=FINITE, retreats=False)
    trial = 0.5 * (state.theta + state.trial)
    if (np.abs(trial - state.theta) > SHORTEST * np.abs(state.theta)).any():
        return state._replace(trial=trial)
    if state.best is None:  # the objective was infinite where it began
        return _State(0.0 * trial, 0.0 * trial, restarted=True)
    return state._replace(status="stalled")


def _evaluation(problem, told, at) -> Evaluation:
    """The objective at ``at (size,)``, with its Hessian if parts gave theirs."""
    penalty, penalised = problem.penalty, problem.penalised
    value = sum(each.value for each in told) + penalty.value(at, penalised)
    gradient = _total([each.gradient for each in told]) + penalty.l2 * penalised * at
    hessian = None
    if told[0].hessian is not None:
        hessian = _total([each.hessian for each in told]) + np.diag(penalty.l2 * penalised)
    return Evaluation(value, gradient, hessian)


def _ended(reached, problem, status) -> _State:
    """The state at the end, with a last step that costs no round."""
    theta = reached.trial
    if not problem.penalty.l1:
        theta = shortest(theta, reached.null_space, problem.penalised > 0.0)
    return reached._replace(theta=theta, status=status)


class _Quadratic(NamedTuple):
    """The quadratic model of an objective with ``hessian (size, size)``, beside an L1 part."""

    problem: Problem
    hessian: np.ndarray

    def step(self, theta, gradient) -> tuple[np.ndarray, float, np.ndarray | None]:
        """The step (size,) to the least of the model, its slope, and what the data leave open.

        ``gradient (size,)`` is that of the smooth part at ``theta``.
        """
        problem, l1 = self.problem, self.problem.penalty.l1
        if not l1:
            step, null_space, _ = solve_newton(
                self.hessian, gradient, problem.n_features, problem.n_outputs
            )
            return step, float(gradient @ step), null_space
        penalised = problem.penalised > 0.0
        indices, free = np.flatnonzero(penalised), np.flatnonzero(~penalised)
        order = np.concatenate([indices, free])
        hessian = self.hessian[np.ix_(order, order)]
        model = Model.of(indices, free, hessian, gradient, problem.epsilon)
        wrong = float(np.max(np.abs(problem.violations(theta, gradient)), initial=0.0))
        unit = float(np.sqrt(np.max(np.diag(model.B), initial=1e-300)))
        step = model.step(theta, l1, max(MODEL_SHARE * wrong / unit, 1e-15))
        gain = problem.penalised @ (np.abs(theta + step) - np.abs(theta))
        return step, float(gradient @ step + l1 * gain), None


def _total(arrays) -> np.ndarray:
    """The sum of the parts' arrays, in their order."""
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total
