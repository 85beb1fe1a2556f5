"""What a part does in a round of ADMM: it minimises its own problem."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Evaluation
from daskdsml.passes.gradient import evaluate
from daskdsml.passes.objective import Problem
from daskdsml.solvers._line_search import SHORTEST, SUFFICIENT
from daskdsml.solvers._symmetric import solve_newton

# A part's problem is solved until the gradient left, in the norm of its inverse Hessian, is this
# share of what it was; and the reads that this may take.
LOCAL_SHARE, LOCAL_READS = 0.2, 20
# A step that leaves more than this share of the gradient asks a part for a new Hessian.
SLOW_SHARE = 0.1


class Told(NamedTuple):
    """What a part tells of a round: its loss and gradient at the consensus, and ``v_k``."""

    value: float
    gradient: np.ndarray
    pull: np.ndarray
    hessian: np.ndarray | None = None


class Begin(NamedTuple):
    """Kernel of parts: their Hessians at the consensus, from where they would not move."""

    problem: Problem

    def __call__(self, at, state, kept, rows) -> Told:
        (here,) = evaluate(rows.run, [self.problem], [at], [True])
        return Told(here.value, here.gradient, -here.gradient, here.hessian)


class PartRound(NamedTuple):
    """Kernel of parts: each to the optimum of its own problem."""

    problem: Problem
    relaxation: float

    def __call__(self, common, pull, kept, rows) -> Told:
        at, moved = common
        metric = kept.hessian
        own = _Own(self.problem, rows, at, pull - metric @ moved, metric)
        here = own.evaluate(at)
        if not np.isfinite(here.value):
            return Told(np.inf, np.zeros_like(at), pull)
        step = own.optimum(here) - at
        return Told(here.value, here.gradient, own.dual + self.relaxation * (metric @ step))


class _Own(NamedTuple):
    """The problem of a part: its loss, the multiplier ``dual``, and the distance to ``at``."""

    problem: Problem
    rows: Any
    at: np.ndarray
    dual: np.ndarray
    metric: np.ndarray

    def evaluate(self, x, hessian=False) -> Evaluation:
        """The loss alone, in one read of the part's rows."""
        return evaluate(self.rows.run, [self.problem], [x], [hessian])[0]

    def with_distance(self, x, here) -> tuple[float, np.ndarray]:
        """Value and gradient (size,) of all, from the loss at ``x (size,)``."""
        step = x - self.at
        pull = self.metric @ step
        value = here.value + float(self.dual @ step + 0.5 * (step @ pull))
        return value, here.gradient + self.dual + pull

    def optimum(self, here) -> np.ndarray:
        """The optimum (size,), to `LOCAL_SHARE`; ``here`` is the loss at the consensus.

        Newton's method with the Hessian it began with, until that is no longer good. The last step
        is taken unseen.
        """
        x, hessian = self.at, 2.0 * self.metric
        value, gradient = self.with_distance(x, here)
        least, before = None, np.inf
        for _ in range(LOCAL_READS):
            noise = self.problem.noise(x, value)
            step, size = self._step(hessian, gradient)
            least = LOCAL_SHARE**2 * size if least is None else least
            slow = size > SLOW_SHARE**2 * before
            if size <= least or (slow and size <= noise):
                return x + step
            if slow:
                hessian = self.evaluate(x, True).hessian + self.metric
                step, size = self._step(hessian, gradient)
            length, most = 1.0, value + 8.0 * noise
            while True:
                there = x + length * step
                value, slopes = self.with_distance(there, self.evaluate(there))
                if value <= most - SUFFICIENT * length * size:
                    break
                length *= 0.25
                if length < SHORTEST:
                    return x
            x, gradient, before = there, slopes, size
        return x

    def _step(self, hessian, gradient) -> tuple[np.ndarray, float]:
        """The Newton step (size,), and the square of its length in the norm of the Hessian."""
        step = solve_newton(hessian, gradient, self.problem.n_features, self.problem.n_outputs).x
        return step, -float(gradient @ step)
