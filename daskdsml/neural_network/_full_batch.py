"""Training on the sum over all rows, by L-BFGS: one pass for each trial of its steps."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Evaluation
from daskdsml.losses.penalties.l2 import L2
from daskdsml.neural_network._messages import TrainingBar, short_of_optimum
from daskdsml.neural_network._training import Epoch, check_weight
from daskdsml.solvers.lbfgs import LBFGS


class NetworkProblem(NamedTuple):
    """A network's mean loss plus penalty: a `SmoothProblem` whose parameters are of like scale."""

    penalty: L2
    penalised: np.ndarray

    unbounded = False

    def noise(self, theta, value) -> float:
        return float(np.finfo(np.float64).eps * abs(value))

    def residual(self, theta, gradient) -> float:
        return self.largest_move(gradient)

    def largest_move(self, step) -> float:
        return float(np.max(np.abs(step), initial=0.0))

    def original(self, step):
        return step

    standardized = standardized_step = original

    @property
    def penalty_curvature(self) -> float:
        return self.penalty.l2


class Whole(NamedTuple):
    """Kernel: the slopes of a batch, in arrays of their own, for sums over all rows."""

    backprop: Any

    def __call__(self, point, batch):
        found = yield from self.backprop.gradient(point, batch)
        return found._replace(gradient=found.gradient.astype(np.float64))


def train_full_batch(model, trainer, examples) -> None:
    """Iterations of L-BFGS until no entry of the gradient is above ``tol``."""
    theta, tol = model._train_state.point.theta, trainer.config.stopping.tol
    problem = NetworkProblem(L2(trainer.config.l2), trainer.scale)
    solver = LBFGS(0.0 if tol is None else tol)
    batches = model._open(examples)
    state, begun, going = solver.init(theta.copy()), time.perf_counter(), True
    # The first pass tells where descent begins: it is no iteration.
    n_iter, n_passes = -1, 0
    shown = TrainingBar(model, lambda n_iter: "", total=model.max_iter)
    with closing(batches), closing(shown):
        while going and n_iter < model.max_iter and n_passes < model.max_fun:
            before, state = state, _stepped(model, trainer, batches, solver, state, problem)
            moved, n_passes = state.gradient is not before.gradient, n_passes + 1
            theta[:], n_iter = state.theta, n_iter + moved
            model._train_state = model._train_state._replace(step=n_passes, epoch=n_iter)
            # The solver itself asks for more, where an optimum may lie at infinity.
            going = state.status is None and state.gradient_norm > solver.tol
            if moved and (n_iter or not going):
                begun, seconds = time.perf_counter(), time.perf_counter() - begun
                going &= not _told(model, _record(n_iter, seconds, state, batches), batches, shown)
        short = going or state.status == "stalled"
        shown.close()  # before a warning, which would stand in its line
        model._end(trainer, batches, short_of_optimum(model, state, n_iter) if short else "")


def _stepped(model, trainer, batches, solver, state, problem):
    """The state of L-BFGS after a pass over all rows at its trial."""
    point = model._train_state.point._replace(theta=state.trial)
    found = batches.run(Whole(trainer.backprop), point, f"{model._label}-gradient")
    check_weight(found.weight)
    with np.errstate(all="ignore"):
        penalty = problem.penalty
        value = found.loss / found.weight + penalty.value(state.trial, problem.penalised)
        gradient = found.gradient / found.weight
        gradient += penalty.gradient(state.trial, problem.penalised)
        if state.gradient is None and not (np.isfinite(value) and np.isfinite(gradient).all()):
            raise ValueError(
                f"The loss of {type(model).__name__} at its first weights is {value:g}, or its "
                "gradient is not finite: values of X or y are too large. Scale them, for instance "
                "to unit spread."
            )
        return solver.tell(state, Evaluation(value, gradient, None), problem)


def _record(n_iter, seconds, state, batches) -> Epoch:
    """An iteration as an epoch: its objective, its gradient, and the length of its step."""
    norm, rate = float(np.linalg.norm(state.gradient)), batches.n_rows / seconds
    return Epoch(n_iter, seconds, state.value, float("nan"), norm, state.step, rate)


def _told(model, record, batches, shown) -> bool:
    """Publish the model and show an iteration; whether a callback wants training to end."""
    model.history_.append(record)
    model._publish(batches)
    shown.step(record.epoch, record.loss, 1)
    return model._called(record)
