"""Limited-memory BFGS. Found by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import SmoothProblem
from daskdsml.solvers._curvature import Diagonal, inverse_hessian_times
from daskdsml.solvers._line_search import accepts, agreement, fits_model, shorter, step_in_errors

# Steps with small gradients, each of which lowers the objective by a good part of what is left.
DRIFT_STEPS = 10
# Ratios of actual to predicted decrease that tell that the curvature is about right, or so wrong
# that a new one is worth its price; and steps in a row that leave most of the gradient.
GOOD_AGREEMENT, BAD_AGREEMENT = (0.5, 1.5), (0.6, 1.5)
# Decreases below so many rounding errors tell nothing.
MIN_DECREASE_IN_ROUNDING = 100.0
MAX_SLOW_STEPS, SLOW_RATIO = 3, 0.5
# The step that may remain, in standard errors: a model of the curvature, which promises too little
# where it is too stiff, is given less than Newton's method.
STEP_IN_ERRORS = 0.02
UNTAKEN_SHARE = 0.1
# Rejected trials in a row after which a curvature is given up.
MAX_REJECTED = 3
# A rise of the objective, in units of what was promised, from which on nothing is to be learnt.
MAX_RISE_RATIO = 10.0
# Share of the coefficients that may differ from those at which the curvature was made.
MOVED_SHARE = 0.02
# The most that a step may promise at the end, in units of ``tol`` times the objective.
MAX_PROMISE_IN_TOL = 0.2


class _State(NamedTuple):
    """Where L-BFGS stands; ``pairs`` are the latest (step, change of gradient).

    ``modelled`` tells that ``direction`` is a quasi-Newton step, ``predicted`` how much a step of
    ``length`` of it lowers the objective, ``rejected`` how often it was shortened, ``slow`` how
    many steps in a row left most of the gradient, ``renewed`` how often the curvature was asked for
    anew, ``waited`` the passes since the gradient was first small.
    """

    theta: np.ndarray
    trial: np.ndarray
    value: float = np.inf
    first_value: float = float("nan")
    gradient: np.ndarray | None = None
    gradient_norm: float = np.inf
    direction: np.ndarray | None = None
    slope: float = 0.0
    length: float = 1.0
    step: float = float("nan")
    pairs: tuple = ()
    curvature: Any = None
    made_at: np.ndarray | None = None
    curved: bool = False
    modelled: bool = False
    predicted: float = float("nan")
    rejected: int = 0
    slow: int = 0
    renewed: int = 0
    waited: int = 0
    drift: int = 0
    cells: np.ndarray | None = None
    null_space: np.ndarray | None = None
    status: str | None = None
    name: str = "gradient"


class LBFGS(NamedTuple):
    """Quasi-Newton from the last ``memory`` gradients, begun with what is known of the Hessian.

    ``curvature`` is an approximate inverse Hessian of `daskdsml.solvers._curvature`, such as that
    of a sample of the rows; without one, the loss is taken to be as steep in all centred columns of
    unit spread, so its pace does not depend on the columns' units. It is judged after each pass by
    the ratio of actual to predicted decrease, as a trust region's radius is: where that is far from
    1, or the gradient hardly falls, ``renew(theta)`` gives another one, ``renewals`` times at most;
    where none is left and steps go too far twice, the plain one takes its place. ``first (size,)``,
    if given, is where the first step goes, provided that the objective falls in that direction.
    Steps have the ``length(theta, direction, slope)`` that is best on sampled rows, or 1, but
    promise no more than the objective is above ``floor``.

    A trial that is too high gives a pair as any other does: the next one goes where the corrected
    model has its minimum, and only then nearer along the line, to the minimum of the cubic through
    both values and slopes.

    Stops when the standardised gradient is at most ``tol`` in every entry and the next step
    promises at most ``promise`` (None is ``tol``) times the objective (where classes are all but
    separated, gradients are small far from the optimum; with each pass since the gradient was first
    small it may be ``growth`` times more, up to a fifth of ``tol``) and is below a fiftieth of a
    standard error, or a tenth of that where it is not taken because losses of groups of rows belong
    to the point that was evaluated. If the last decrease was as predicted, that next step is
    otherwise taken: it costs nothing.
    Or when the objective can be lowered no further in the precision of the data. If nothing but the
    data bounds the coefficients and the objective goes on falling for ten steps with such small
    gradients, the optimum lies at infinity: status "separated".

    References
    ----------
    Liu, D. C. and Nocedal, J. (1989). On the limited memory BFGS method for large scale
    optimization. Mathematical Programming 45, 503-528.
    Byrd, R. H., Chin, G. M., Neveitt, W. and Nocedal, J. (2011). On the use of stochastic Hessian
    information in optimization methods for machine learning. SIAM J. Optim. 21(3), 977-995.
    """

    tol: float = 1e-4
    memory: int = 20
    curvature: Any = None
    renew: Callable | None = None
    renewals: int = 0
    first: np.ndarray | None = None
    length: Any = None
    promise: float | None = None
    growth: float = 1.0
    floor: float = -np.inf

    needs = frozenset({"gradient"})

    def init(self, theta) -> _State:
        made_at = theta if self.first is None else self.first
        return _State(theta, theta, curvature=self.curvature, made_at=made_at)

    def step(self, state: _State, objective) -> _State:
        here = objective.evaluate(state.trial)
        return self.tell(state, here, objective.problem)

    def tell(self, state: _State, here, problem: SmoothProblem) -> _State:
        """The state after the evaluation ``here`` of its trial."""
        noise = problem.noise(state.trial, here.value)
        if not accepts(state, here.value, noise):
            return self._rejected(state, here, problem)
        norm = problem.residual(state.trial, here.gradient)
        reached = self._remembered(state, here, problem, norm, noise)
        modelled, direction, slope, length, predicted = self._next(state, here, reached, problem)
        pairs, curvature = reached.pairs, reached.curvature
        # Where values no longer tell points apart, gradients still do for a while.
        exhausted = (pairs or curvature) and -slope <= noise and norm > 0.5 * state.gradient_norm
        # A step that is not taken is to be shorter: see `_last_step_counts`.
        most = STEP_IN_ERRORS * (1.0 if here.cells is None else UNTAKEN_SHARE)
        close = self.promise is None or step_in_errors(slope * length, problem) <= most
        small = norm <= self.tol
        late = state.waited + 1 if small or state.waited else 0
        # An objective may cross zero. Its own unit is that of where the search began.
        unit = min(2.0 * abs(reached.first_value), 1.0)
        promised = -slope * length / (max(abs(here.value), self.tol * unit) or 1.0)
        small = small and self._is_little(promised, late) and close and modelled
        done = exhausted or small
        drift = state.drift + 1 if norm <= self.tol and not done else 0
        status = "converged" if done else None
        if drift >= DRIFT_STEPS and problem.unbounded:
            status = "separated"
        trial = state.trial + length * direction
        return reached._replace(
            theta=trial if small and self._last_step_counts(state, here, noise) else state.trial,
            trial=trial,
            direction=direction,
            slope=slope,
            length=length,
            modelled=modelled,
            predicted=predicted,
            rejected=0,
            drift=drift,
            waited=late,
            status=status,
        )

    def _is_little(self, promised, late) -> bool:
        """Whether what the next step promises, relative to the objective, is not worth a read.

        With ``growth`` more and more is not, the more passes there were since the gradient was
        first small: where classes are all but separated, promises fall slowly.
        """
        promise = self.tol if self.promise is None else self.promise
        if self.growth > 1.0:
            promise *= self.growth ** max(late - 1, 0)
            promise = min(promise, MAX_PROMISE_IN_TOL * self.tol)
        return promised <= promise

    def _next(self, state, here, reached, problem):
        """Whether the next step is the model's; its direction, slope, length, and decrease."""
        gradient, pairs, curvature = reached.gradient, reached.pairs, reached.curvature
        if self.first is not None and reached.step != reached.step:
            direction = self.first - reached.theta
            slope = float(gradient @ direction)
            if slope < 0.0:
                return False, direction, slope, 1.0, float("nan")
        direction = -inverse_hessian_times(problem, gradient, pairs, curvature)
        slope = float(gradient @ direction)
        length = 1.0
        if not pairs and curvature is None:
            length = 1.0 / max(1.0, (-slope) ** 0.5)
        elif self.length is not None and not fits_model(state, here):
            length = self.length(reached.theta, direction, slope)
            return True, direction, slope, length, -0.5 * length * slope
        # No step can promise more than there is above the floor.
        length = min(length, 2.0 * (here.value - self.floor) / -slope) if slope < 0.0 else length
        return True, direction, slope, length, -slope * length * (1.0 - 0.5 * length)

    def _remembered(self, state, here, problem, norm, noise) -> _State:
        """The state at its trial, with pairs and curvature as they are after it."""
        step = state.length if state.direction is not None else float("nan")
        reached = state._replace(
            theta=state.trial,
            value=here.value,
            first_value=here.value if state.gradient is None else state.first_value,
            gradient=here.gradient,
            gradient_norm=norm,
            step=step,
            cells=here.cells,
        )
        if state.gradient is None:
            return reached
        slow = state.slow + 1 if norm > SLOW_RATIO * state.gradient_norm else 0
        reached = reached._replace(pairs=self._with_pair(state, here, problem), slow=slow)
        low, high = BAD_AGREEMENT
        told = state.modelled and state.predicted > MIN_DECREASE_IN_ROUNDING * noise
        poor = told and not low <= agreement(state, here) <= high
        wrong = poor or state.rejected or slow >= MAX_SLOW_STEPS
        if wrong if norm > self.tol else self._is_elsewhere(reached, problem):
            stiff = told and agreement(state, here) > high and slow >= MAX_SLOW_STEPS
            return self._renewed(reached, stiff or state.rejected > 1)
        return reached

    def _is_elsewhere(self, state, problem) -> bool:
        """Whether the curvature that is to tell how near the optimum is was made far from there."""
        if self.renew is None or state.made_at is None:
            return False
        moved = problem.largest_move(state.theta - state.made_at)
        return moved > MOVED_SHARE * problem.largest_move(state.theta)

    def _renewed(self, state, is_wrong) -> _State:
        """The state with a curvature made where it stands, or if none is, without a wrong one."""
        here = state.made_at is not None and np.array_equal(state.made_at, state.theta)
        if self.renew is not None and state.renewed < self.renewals and not here:
            fresh = self.renew(state.theta)
            return state._replace(
                curvature=fresh, made_at=state.theta, pairs=(), slow=0, renewed=state.renewed + 1
            )
        return state._replace(curvature=Diagonal()) if is_wrong else state

    def _with_pair(self, state, here, problem) -> tuple:
        """The pairs with what the step from the last point to the trial told."""
        move, change = state.trial - state.theta, here.gradient - state.gradient
        size = problem.residual(state.trial, change) * problem.largest_move(move)
        if move @ change > 1e-14 * size:
            return (*state.pairs, (move, change))[-self.memory :]
        return state.pairs

    def _rejected(self, state, here, problem) -> _State:
        """The state with a trial that goes less far, after one whose value was too high."""
        nearer = shorter(state, here)._replace(rejected=state.rejected + 1)
        absurd = not here.value - state.value <= MAX_RISE_RATIO * -state.slope * state.length
        pairs = state.pairs if absurd else self._with_pair(state, here, problem)
        if state.rejected == MAX_REJECTED and not isinstance(state.curvature, Diagonal):
            state, nearer = (s._replace(curvature=Diagonal()) for s in (state, nearer))
        elif state.rejected or nearer.status or pairs is state.pairs:
            return nearer
        direction = -inverse_hessian_times(problem, state.gradient, pairs, state.curvature)
        return nearer._replace(
            trial=state.theta + direction,
            direction=direction,
            slope=float(state.gradient @ direction),
            length=1.0,
            modelled=True,
            pairs=pairs,
        )

    def _last_step_counts(self, state, here, noise) -> bool:
        """Whether the step that remains may be taken without a look at where it leads."""
        low, high = GOOD_AGREEMENT
        foreseen = state.modelled and not state.rejected and low <= agreement(state, here) <= high
        # Losses of groups of rows belong to the point that was evaluated.
        return foreseen and here.cells is None and state.value - here.value > noise
