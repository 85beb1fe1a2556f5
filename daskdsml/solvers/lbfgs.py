"""Limited-memory BFGS. Found by name through `daskdsml.registry`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.solvers._line_search import accepts, shorter


class _State(NamedTuple):
    """Where L-BFGS stands.

    ``direction`` is ``move`` in the user's parameters; ``move``, ``gradient`` and ``pairs``, the
    latest (step, change of gradient), are those of standardised columns.
    """

    theta: np.ndarray
    trial: np.ndarray
    value: float = np.inf
    gradient: np.ndarray | None = None
    gradient_norm: float = np.inf
    direction: np.ndarray | None = None
    move: np.ndarray | None = None
    slope: float = 0.0
    length: float = 1.0
    step: float = float("nan")
    pairs: tuple = ()
    null_space: np.ndarray | None = None
    status: str | None = None
    name: str = "gradient"


class LBFGS(NamedTuple):
    """Quasi-Newton from the last ``memory`` gradients, for more columns than a Hessian can have.

    Works on centred columns of unit spread, by algebra on the gradient, so its pace does not depend
    on the columns' units. Stops when the standardised gradient is at most ``tol`` in every entry,
    or when the objective can be lowered no further in the precision of the data.

    References
    ----------
    Liu, D. C. and Nocedal, J. (1989). On the limited memory BFGS method for large scale
    optimization. Mathematical Programming 45, 503-528.
    """

    tol: float = 1e-4
    memory: int = 20

    needs = frozenset({"gradient"})

    def init(self, theta) -> _State:
        return _State(theta, theta)

    def step(self, state: _State, objective) -> _State:
        here = objective.evaluate(state.trial)
        noise = objective.problem.epsilon * abs(here.value)
        if not accepts(state, here.value, noise):
            return shorter(state, here)
        gradient = objective.standardized(here.gradient)
        norm = float(np.max(np.abs(gradient), initial=0.0))
        pairs = self._remembered(state, gradient)
        move = -_inverse_hessian_times(gradient, pairs)
        slope = float(gradient @ move)
        # Where values no longer tell points apart, gradients still do for a while.
        exhausted = pairs and -slope <= noise and norm > 0.5 * state.gradient_norm
        status = "converged" if norm <= self.tol or exhausted else None
        direction = objective.original(move)
        length = 1.0 if pairs else 1.0 / max(1.0, float(np.linalg.norm(gradient)))
        return _State(
            theta=state.trial,
            trial=state.trial + length * direction,
            value=here.value,
            gradient=gradient,
            gradient_norm=norm,
            direction=direction,
            move=move,
            slope=slope,
            length=length,
            step=state.length,
            pairs=pairs,
            status=status,
        )

    def _remembered(self, state, gradient) -> tuple:
        if state.gradient is None:
            return ()
        change = gradient - state.gradient
        move = state.length * state.move
        curvature = move @ change
        if curvature <= 1e-14 * np.linalg.norm(move) * np.linalg.norm(change):
            return state.pairs
        return (*state.pairs, (move, change))[-self.memory :]


def _inverse_hessian_times(gradient, pairs):
    """The two-loop recursion (Nocedal and Wright, algorithm 7.4)."""
    q = gradient.copy()
    shares = []
    for move, change in reversed(pairs):
        share = (move @ q) / (move @ change)
        q -= share * change
        shares.append(share)
    if pairs:
        move, change = pairs[-1]
        q *= (move @ change) / (change @ change)
    for (move, change), share in zip(pairs, reversed(shares), strict=True):
        q += (share - (change @ q) / (move @ change)) * move
    return q
