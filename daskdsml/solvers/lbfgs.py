"""Limited-memory BFGS. Found by name through `daskdsml.registry`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.solvers._curvature import Dense, Diagonal
from daskdsml.solvers._line_search import accepts, settled, shorter

# Steps with small gradients, each of which lowers the objective by a good part of what is left.
DRIFTING = 10


class _State(NamedTuple):
    """Where L-BFGS stands; ``pairs`` are the latest (step, change of gradient)."""

    theta: np.ndarray
    trial: np.ndarray
    value: float = np.inf
    gradient: np.ndarray | None = None
    gradient_norm: float = np.inf
    direction: np.ndarray | None = None
    slope: float = 0.0
    length: float = 1.0
    step: float = float("nan")
    pairs: tuple = ()
    curvature: Any = None
    curved: bool = False
    since: int = 0
    drift: int = 0
    cells: np.ndarray | None = None
    null_space: np.ndarray | None = None
    status: str | None = None
    name: str = "gradient"


class LBFGS(NamedTuple):
    """Quasi-Newton from the last ``memory`` gradients, begun with what is known of the Hessian.

    ``curvature`` is an approximate inverse Hessian of `daskdsml.solvers._curvature`, such as that
    of a sample of the rows; without one, the loss is taken to be as steep in all centred columns of
    unit spread, so its pace does not depend on the columns' units. Where ``refresh`` steps
    have not been enough, the Hessian at the next point is asked for and taken in its place; 0 asks
    for none, as where it would be too large.

    Stops when the standardised gradient is at most ``tol`` in every entry and what the next step
    promises is at most ``tol`` times the objective: where classes are all but separated, gradients
    are small far from the optimum. Or when the objective can be lowered no further in the precision
    of the data. If nothing but the data bounds the coefficients and the objective goes on falling
    for ten steps with such small gradients, the optimum lies at infinity: status "separated".

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
    refresh: int = 0

    needs = frozenset({"gradient"})

    def init(self, theta) -> _State:
        return _State(theta, theta, curvature=self.curvature)

    def step(self, state: _State, objective) -> _State:
        here = objective.evaluate(state.trial, state.curved)
        return self.tell(state, here, objective.problem)

    def tell(self, state: _State, here, problem) -> _State:
        """The state after the evaluation ``here`` of its trial."""
        noise = problem.noise(state.trial, here.value)
        if not accepts(state, here.value, noise):
            return shorter(state, here)
        norm = problem.residual(state.trial, here.gradient)
        pairs, curvature, since = self._remembered(state, here, problem)
        direction = -_inverse_hessian_times(problem, here.gradient, pairs, curvature)
        slope = float(here.gradient @ direction)
        # Where values no longer tell points apart, gradients still do for a while.
        exhausted = (pairs or curvature) and -slope <= noise and norm > 0.5 * state.gradient_norm
        done = exhausted or (norm <= self.tol and settled(slope, here.value, self.tol))
        drift = state.drift + 1 if norm <= self.tol and not done else 0
        status = "converged" if done else None
        if drift >= DRIFTING and problem.unbounded:
            status = "separated"
        length = 1.0
        if not pairs and curvature is None:
            length = 1.0 / max(1.0, (-slope) ** 0.5)
        return _State(
            theta=state.trial,
            trial=state.trial + length * direction,
            value=here.value,
            gradient=here.gradient,
            gradient_norm=norm,
            direction=direction,
            slope=slope,
            length=length,
            step=state.length,
            pairs=pairs,
            curvature=curvature,
            curved=bool(self.refresh) and since >= self.refresh,
            since=since,
            cells=here.cells,
            drift=drift,
            status=status,
            name="gradient" if here.hessian is None else "hessian",
        )

    def _remembered(self, state, here, problem):
        """Pairs, curvature, and steps since that was renewed."""
        if here.hessian is not None:
            return (), Dense.of(problem, here.hessian), 0
        if state.gradient is None:
            return (), state.curvature, 0
        move, change = state.length * state.direction, here.gradient - state.gradient
        size = problem.residual(state.trial, change) * problem.largest_move(move)
        pairs = state.pairs
        if move @ change > 1e-14 * size:
            pairs = (*pairs, (move, change))[-self.memory :]
        return pairs, state.curvature, state.since + 1


def _inverse_hessian_times(problem, gradient, pairs, curvature):
    """The two-loop recursion (Nocedal and Wright, 2006, algorithm 7.4)."""
    q = gradient.copy()
    shares = []
    for move, change in reversed(pairs):
        share = (move @ q) / (move @ change)
        q -= share * change
        shares.append(share)
    if curvature is None:
        curvature = Diagonal.of(problem, *pairs[-1]) if pairs else Diagonal()
    q = curvature.times(problem, q)
    for (move, change), share in zip(pairs, reversed(shares), strict=True):
        q += (share - (change @ q) / (move @ change)) * move
    return q
