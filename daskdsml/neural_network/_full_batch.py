"""Training on the sum over all rows, by L-BFGS: one pass a step."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from daskdsml.contracts import Evaluation
from daskdsml.neural_network._training import Epoch, check_weight
from daskdsml.penalties.l2 import L2
from daskdsml.solvers.lbfgs import LBFGS


class WholeProblem(NamedTuple):
    """What L-BFGS asks of a problem, for parameters (d,) of like scale."""

    size: int
    penalty: L2
    scale: np.ndarray

    n_outputs = 1
    fit_intercept = False
    unbounded = False
    spread = 1.0

    @property
    def n_features(self) -> int:
        return self.size

    def standardized(self, gradient):
        return gradient

    def original(self, step):
        return step

    def noise(self, theta, value) -> float:
        """Rounding error of the mean objective."""
        return float(np.finfo(np.float64).eps * abs(value))

    def residual(self, theta, gradient) -> float:
        return float(np.max(np.abs(gradient), initial=0.0))

    def largest_move(self, step) -> float:
        return float(np.max(np.abs(step), initial=0.0))


class Whole(NamedTuple):
    """Kernel: the slopes of a batch, in arrays of their own, for sums over all rows."""

    backprop: object

    def __call__(self, point, batch):
        found = yield from self.backprop.gradient(point, batch)
        return found._replace(gradient=found.gradient.astype(np.float64))


def train_full_batch(model, trainer, examples) -> None:
    """Steps of L-BFGS until the largest entry of the gradient is at most ``tol``."""
    standing = model._standing
    theta, rules = standing.point.theta, trainer.rules
    problem = WholeProblem(len(theta), L2(rules.l2), trainer.scale)
    solver = LBFGS(0.0 if rules.tol is None else rules.tol)
    batches = model._open(examples)
    state, n_steps = solver.init(theta.copy()), 0
    try:
        while state.status is None and n_steps < min(model.max_iter, model.max_fun):
            begun = time.perf_counter()
            point = standing.point._replace(theta=state.trial)
            found = batches.run(Whole(trainer.backprop), point, f"{model._label}-gradient")
            check_weight(found.weight)
            value = found.loss / found.weight + problem.penalty.value(state.trial, problem.scale)
            gradient = found.gradient / found.weight
            gradient += problem.penalty.gradient(state.trial, problem.scale)
            state = solver.tell(state, Evaluation(value, gradient, None), problem)
            n_steps += 1
            theta[:] = state.theta
            model._standing = standing._replace(step=n_steps, epoch=n_steps)
            seconds = time.perf_counter() - begun
            model.history_.append(_record(n_steps, seconds, state, batches.n_rows))
            model._publish(batches)
            if model._called(model.history_[-1]):
                break
        model._end(trainer, batches, state.status is None, False)
    finally:
        batches.close()


def _record(step, seconds, state, n_rows) -> Epoch:
    """A step as an epoch: its objective, gradient, and the length of the next step."""
    norm = float(np.linalg.norm(state.gradient))
    return Epoch(step, seconds, state.value, float("nan"), norm, state.length, n_rows / seconds)
