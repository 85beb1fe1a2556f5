"""Proximal Newton with active sets. Found by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.solvers._line_search import SHORTEST, SUFFICIENT, settled
from daskdsml.solvers._model import Model, updated

# Most parameters in the quadratic model, whose Hessian is dense, and most that join it at once
# while it is small.
MAX_MODEL_SIZE, MIN_JOINING = 2048, 100
# Parameters whose slope is above this share of the L1 penalty are likely to be needed soon.
NEAR_PENALTY_SHARE = 0.9
# A step that leaves more than this share of the residual asks for a new Hessian.
SLOW_RATIO = 0.3
# Changes of the gradient that correct a Hessian from elsewhere.
MAX_PAIRS = 10


class _State(NamedTuple):
    """Where the search stands.

    ``hessian`` is that of the parameters of ``columns``, intercepts included; ``curved`` tells the
    columns whose Hessian is wanted at ``trial``, or False. ``pairs`` are (step, change of gradient)
    since.
    """

    theta: np.ndarray
    trial: np.ndarray
    value: float = np.inf
    gradient: np.ndarray | None = None
    gradient_norm: float = np.inf
    direction: np.ndarray | None = None
    slope: float = 0.0
    length: float = 1.0
    step: float = float("nan")
    columns: np.ndarray | None = None
    hessian: np.ndarray | None = None
    curved: object = False
    pairs: tuple = ()
    cells: np.ndarray | None = None
    null_space: np.ndarray | None = None
    status: str | None = None
    name: str = "gradient"


class ProximalNewton(NamedTuple):
    """Minimises a smooth loss with an L1 or elastic net penalty by Newton steps on active columns.

    Each step is the optimum of ``g'd + d'B d / 2 + penalty(theta + d)`` over the parameters in use
    and those whose slope breaks the optimality conditions, found by coordinate descent and exact
    solutions for the signs. ``B`` is the Hessian of these columns alone, read with a gradient, and
    used again as long as steps are good; changes of the gradient correct it (BFGS). So a read costs
    what a gradient costs and no Hessian of all columns is ever made.

    It begins with ``hessian``, of the parameters of ``columns``, where these are given: those of a
    sample of the rows, or of a model nearby. At most 2,048 parameters move in one step, those
    farthest from their optimality first.

    Stops when the KKT residual (see `daskdsml.passes.objective.Problem.residual`) is at most
    ``tol`` and what the next step promises is at most ``tol`` times the objective, or when the
    objective can be lowered no further in the precision of the data.

    References
    ----------
    Lee, J. D., Sun, Y. and Saunders, M. A. (2014). Proximal Newton-type methods for minimizing
    composite functions. SIAM J. Optim. 24(3), 1420-1443.
    Friedman, J., Hastie, T. and Tibshirani, R. (2010). Regularization paths for generalized linear
    models via coordinate descent. Journal of Statistical Software 33(1).
    """

    tol: float = 1e-4
    columns: np.ndarray | None = None
    hessian: np.ndarray | None = None

    needs = frozenset({"column hessian"})

    def init(self, theta) -> _State:
        known = self.columns is not None
        return _State(
            theta,
            theta,
            columns=self.columns,
            hessian=self.hessian,
            curved=self.columns if known and self.hessian is None else False,
        )

    def step(self, state: _State, objective) -> _State:
        here = objective.evaluate(state.trial, state.curved)
        return self.tell(state, here, objective.problem)

    def tell(self, state: _State, here, problem) -> _State:
        """The state after the evaluation ``here`` of its trial."""
        noise = problem.noise(state.trial, here.value)
        promised = SUFFICIENT * state.length * state.slope
        if state.direction is not None and not here.value <= state.value + promised + 8.0 * noise:
            return _shorter(state, here)
        reached = self._next(self._reached(state, here, problem), problem)
        # Where values no longer tell points apart, gradients still do for a while.
        stuck = abs(reached.slope) <= noise and reached.gradient_norm > 0.9 * state.gradient_norm
        if stuck and state.direction is not None and reached.curved is False:
            best = reached if reached.gradient_norm <= state.gradient_norm else state
            return best._replace(status="converged")
        # Where classes are all but separated, gradients are small far from the optimum.
        small = reached.gradient_norm <= self.tol
        if small and settled(reached.slope, here.value, self.tol):
            return reached._replace(status="converged")
        return reached

    def _reached(self, state, here, problem) -> _State:
        """The state at its trial, with what that told."""
        norm = problem.residual(state.trial, here.gradient)
        slow = norm > SLOW_RATIO * state.gradient_norm and len(state.pairs) > 1
        reached = state._replace(
            theta=state.trial,
            value=here.value,
            gradient=here.gradient,
            gradient_norm=norm,
            step=state.length,
            cells=here.cells,
            name="gradient" if here.hessian is None else "hessian",
        )
        if here.hessian is not None:
            return reached._replace(
                columns=state.curved, hessian=here.hessian, curved=False, pairs=()
            )
        if state.direction is not None:
            pair = state.length * state.direction, here.gradient - state.gradient
            reached = reached._replace(pairs=(*state.pairs, pair)[-MAX_PAIRS:])
        return reached._replace(curved=state.columns) if slow else reached

    def _next(self, state, problem) -> _State:
        """The state with the next trial, and what is to be asked for there."""
        wrong = problem.violations(state.theta, state.gradient)
        indices = _in_use(state, wrong, problem)
        known = _features(indices, problem)
        missing = state.columns is None or not np.isin(known, state.columns).all()
        if missing:
            state = state._replace(curved=_likely(state, known, problem))
        if state.columns is None:
            return state._replace(trial=state.theta)
        model = _model_of(state, indices, problem)
        l1 = problem.penalty.l1
        tol = 0.01 * float(np.max(np.abs(wrong[model.indices]), initial=0.0))
        diagonal = np.diag(model.B)
        tol /= float(np.sqrt(np.max(diagonal, initial=1e-300)))
        direction = model.step(state.theta, l1, max(tol, 1e-15))
        there = state.theta + direction
        gain = np.abs(there) - np.abs(state.theta)
        slope = float(state.gradient @ direction + l1 * (problem.penalised @ gain))
        return state._replace(trial=there, direction=direction, slope=slope, length=1.0)


def _shorter(state, here):
    """``state`` with a shorter trial, at the minimum of the parabola through what is known."""
    rise = here.value - state.value - state.length * state.slope
    share = -state.length * state.slope / (2.0 * rise) if np.isfinite(rise) else 0.1
    length = state.length * min(max(share, 0.1), 0.5)
    if length < SHORTEST:
        return state._replace(status="stalled")
    # Where the model led astray, its Hessian is to be renewed.
    return state._replace(
        trial=state.theta + length * state.direction, length=length, curved=state.columns
    )


def _in_use(state, wrong, problem):
    """Places of the parameters that are to move: in use, or breaking the conditions, but few."""
    penalised = problem.penalised > 0.0
    in_use = np.flatnonzero((state.theta != 0.0) & penalised)
    joining = np.flatnonzero((state.theta == 0.0) & penalised & (wrong != 0.0))
    most = max(MIN_JOINING, in_use.size)
    if joining.size > most:
        steepest = np.argpartition(-np.abs(wrong[joining]), most)[:most]
        joining = joining[steepest]
    indices = np.concatenate([in_use, joining])
    if indices.size > MAX_MODEL_SIZE:
        indices = indices[np.argpartition(-np.abs(wrong[indices]), MAX_MODEL_SIZE)[:MAX_MODEL_SIZE]]
    return np.sort(indices)


def _features(indices, problem):
    """Columns of X that the parameters at ``indices`` belong to, sorted."""
    return np.unique(indices % (problem.size // problem.n_outputs))


def _likely(state, known, problem):
    """``known`` columns, and those that are likely to be in use soon."""
    room = MAX_MODEL_SIZE // problem.n_outputs - known.size
    slopes, _ = problem.by_output(state.gradient)
    slopes = np.abs(slopes).max(axis=0)
    near = np.flatnonzero(slopes > NEAR_PENALTY_SHARE * problem.penalty.l1)
    near = np.setdiff1d(near, known)
    most = min(max(room, 0), known.size)
    if near.size > most:
        near = near[np.argsort(-slopes[near], kind="stable")[:most]]
    return np.sort(np.concatenate([known, near]))


def _model_of(state, indices, problem) -> Model:
    """The quadratic model on those of ``indices`` whose columns the Hessian holds."""
    K, one = problem.n_outputs, problem.fit_intercept
    d, p, q = problem.size // K, problem.n_features, len(state.columns)
    indices = indices[np.isin(indices % d, state.columns)]
    inner = (indices // d) * (q + one) + np.searchsorted(state.columns, indices % d)
    free = np.arange(K) * d + p if one else np.empty(0, dtype=int)
    order = np.concatenate([inner, np.arange(K) * (q + one) + q]) if one else inner
    B = state.hessian[np.ix_(order, order)]
    used = np.concatenate([indices, free])
    pairs = [
        (move[used], change[used])
        for move, change in state.pairs
        if np.count_nonzero(move) == np.count_nonzero(move[used])
    ]
    return Model.of(indices, free, updated(B, pairs), state.gradient, problem.epsilon)
