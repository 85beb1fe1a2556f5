"""Training on the sum over all rows, by L-BFGS: one pass for each trial of its steps."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Evaluation
from daskdsml.engine.minibatch.accumulate import finished
from daskdsml.losses.penalties.l2 import L2
from daskdsml.neural_network._step import TrainConfig, TrainState, column_variation
from daskdsml.neural_network._training import Epoch, TrainingBar, ended_by_callback, warn
from daskdsml.neural_network._validation import check_weight
from daskdsml.neural_network.backprop import Backprop
from daskdsml.neural_network.network import Point
from daskdsml.optimizers.gradient_descent import GradientDescent
from daskdsml.utils.variation import warn_of_descent


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


class FullGradient(NamedTuple):
    """Kernel: the gradient of a batch, in arrays of its own, for sums over all rows."""

    backprop: Backprop

    def __call__(self, point, batch):
        total = yield from self.backprop.gradient(point, batch)
        return total._replace(gradient=total.gradient.astype(np.float64))


class FirstPass(NamedTuple):
    """What the first pass tells: the gradient, and how the columns of a table vary."""

    gradient: Any
    variation: Any

    def __add__(self, other):
        return FirstPass(self.gradient + other.gradient, self.variation + other.variation)


class FirstGradient(NamedTuple):
    """Kernel: a `FirstPass` over a table."""

    backprop: Backprop

    def __call__(self, point, batch):
        total = yield from FullGradient(self.backprop)(point, batch)
        return FirstPass(total, finished(column_variation(point, batch)))


def train_full_batch(model, backprop, config: TrainConfig, point: Point, batches) -> None:
    """Iterations of L-BFGS from ``point`` until no entry of the gradient is above ``tol``."""
    solver, theta = config.solver, point.theta.copy()
    problem = NetworkProblem(L2(config.l2), backprop.network.scale())
    # L-BFGS has a state of its own: what goes on from here by mini-batches begins anew.
    model._train_state = TrainState(GradientDescent().init(theta), point.statistics.copy())
    state, begun, going = solver.init(theta.copy()), time.perf_counter(), True
    # The first pass tells where descent begins: it is no iteration.
    n_iter, n_passes = -1, 0
    # The bar is closed before a warning, which would stand in its line.
    with closing(
        TrainingBar(model, lambda n_iter: "", total=model.max_iter, unit=" iterations")
    ) as shown:
        while going and n_iter < model.max_iter and n_passes < model.max_fun:
            before, state = state, _stepped(model, backprop, batches, solver, state, problem)
            moved, n_passes = state.gradient is not before.gradient, n_passes + 1
            theta[:], n_iter = state.theta, n_iter + moved
            n_rows, weight = n_iter * batches.n_rows, n_iter * batches.n_rows * config.mean_weight
            model._train_state = model._train_state._replace(
                step=n_passes, epoch=n_iter, n_rows=n_rows, weight=weight
            )
            # The solver itself asks for more, where an optimum may lie at infinity.
            going = state.status is None and state.gradient_norm > solver.tol
            if moved and (n_iter or not going):
                begun, seconds = time.perf_counter(), time.perf_counter() - begun
                model.history_.append(_record(n_iter, seconds, state, batches))
                model._publish(batches)
                shown.step(n_iter, state.value, 1)
                going &= not ended_by_callback(model, model.history_[-1])
    model._publish(batches)
    model.converged_ = not (going or state.status == "stalled")
    if not model.converged_ and model.tol is not None:
        warn(_short_of_optimum(model, state, n_iter))


def _stepped(model, backprop, batches, solver, state, problem):
    """The state of L-BFGS after a pass over all rows at its trial."""
    point = model._train_state.point._replace(theta=state.trial)
    name = f"{model._label}-gradient"
    if state.gradient is None and len(backprop.network.in_shape) == 1:
        total, variation = batches.run(FirstGradient(backprop), point, name)
        warn_of_descent(model, variation)
    else:
        total = batches.run(FullGradient(backprop), point, name)
    check_weight(total.weight)
    with np.errstate(all="ignore"):
        penalty = problem.penalty
        value = total.loss / total.weight + penalty.value(state.trial, problem.penalised)
        gradient = total.gradient / total.weight
        gradient += penalty.gradient(state.trial, problem.penalised)
        if state.gradient is None and not (np.isfinite(value) and np.isfinite(gradient).all()):
            raise ValueError(
                f"The loss of {type(model).__name__} at its first weights is {value:g}, or its "
                "gradient is not finite: values of X or y are too large. Scale them, for instance "
                "to unit spread."
            )
        return solver.tell(state, Evaluation(value, gradient, None), problem)


def _record(n_iter, seconds, state, batches) -> Epoch:
    """An iteration as an epoch: its objective and its gradient; it has no learning rate."""
    norm, nan = float(np.linalg.norm(state.gradient)), float("nan")
    return Epoch(n_iter, seconds, state.value, nan, norm, nan, batches.n_rows / seconds)


def _short_of_optimum(model, state, n_iter) -> str:
    name = type(model).__name__
    norm = f"the largest entry of the gradient is {state.gradient_norm:.2e}"
    if state.status == "stalled":
        return (
            f"{name} could not lower the loss further after {n_iter} iterations, but {norm}, above "
            f"tol={model.tol}. Scale the columns of X, or raise tol."
        )
    few = n_iter >= model.max_iter
    limit = f"max_iter={n_iter} iterations" if few else f"max_fun={model.max_fun} passes"
    return (
        f"{name} stopped after {limit}, before it converged to tol={model.tol}: {norm}. Raise "
        f"{'max_iter' if few else 'max_fun'} or tol, or scale the columns of X."
    )
