"""Training on the sum over all rows, by L-BFGS: one pass for each trial of its steps."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Evaluation
from daskdsml.engine.minibatch.accumulate import finished
from daskdsml.losses.penalties.l2 import L2
from daskdsml.neural_network._kept import KeptTraining
from daskdsml.neural_network._step import Epoch, TrainConfig, TrainState, column_variation
from daskdsml.neural_network._training import TrainingBar, ended_by_callback, interrupted, warn
from daskdsml.neural_network._validation import check_weight
from daskdsml.neural_network.backprop import Backprop
from daskdsml.neural_network.network import Point
from daskdsml.optimizers.gradient_descent import GradientDescent
from daskdsml.passes.progress import History
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


def train_full_batch(
    model, backprop, config: TrainConfig, point: Point, batches, kept: KeptTraining
) -> None:
    """Iterations of L-BFGS from ``point`` until no entry of the gradient is above ``tol``.

    After the first of them, Ctrl-C ends them where they have come to.
    """
    solver, theta = config.solver, point.theta.copy()
    problem = NetworkProblem(L2(config.l2), backprop.network.scale())
    # L-BFGS has a state of its own: what goes on from here by mini-batches begins anew.
    model._train_state = TrainState(GradientDescent().init(theta), point.statistics.copy())
    descent, history = kept.resumed() or (Descent(solver.init(theta.copy())), [])
    model.history_ = History(history)
    descent.show_in(model, batches.n_rows, config.mean_weight)
    begun, going = time.perf_counter(), True
    # The bar is closed before a warning, which would stand in its line.
    with closing(
        TrainingBar(model, lambda n_iter: "", total=model.max_iter, unit=" iterations")
    ) as shown:
        while going and descent.n_iter < model.max_iter and descent.n_passes < model.max_fun:
            before = descent
            try:
                state = _stepped(model, backprop, batches, solver, before.state, problem)
            except KeyboardInterrupt:
                if before.n_iter < 1:
                    raise
                kept.interrupted = True
                kept.keep((before, list(model.history_)))
                break
            descent = before.after(state)
            descent.show_in(model, batches.n_rows, config.mean_weight)
            # The solver itself asks for more, where an optimum may lie at infinity.
            going = state.status is None and state.gradient_norm > solver.tol
            if descent.n_iter > before.n_iter and (descent.n_iter or not going):
                begun, seconds = time.perf_counter(), time.perf_counter() - begun
                model.history_.append(_record(descent.n_iter, seconds, state, batches))
                model._publish(kept)
                shown.step(descent.n_iter, state.value, 1)
                going &= not ended_by_callback(model, model.history_[-1])
            if going and kept.is_due(ended=True):
                kept.keep((descent, list(model.history_)))
    model._publish(kept)
    model.converged_ = not (going or descent.state.status == "stalled")
    if kept.interrupted:
        warn(interrupted(model))
    elif not model.converged_ and model.tol is not None:
        warn(_short_of_optimum(model, descent.state, descent.n_iter))


class Descent(NamedTuple):
    """The state of L-BFGS, its iterations and passes; the first one tells where it begins."""

    state: Any
    n_iter: int = -1
    n_passes: int = 0

    def after(self, state) -> Descent:
        """The next one, whose ``state`` may still be where this one is."""
        moved = state.gradient is not self.state.gradient
        return Descent(state, self.n_iter + moved, self.n_passes + 1)

    def show_in(self, model, n_rows, mean_weight) -> None:
        """Have the model stand where this does."""
        met = max(self.n_iter, 0) * n_rows
        model._train_state.point.theta[:] = self.state.theta
        model._train_state = model._train_state._replace(
            step=self.n_passes, epoch=max(self.n_iter, 0), n_rows=met, weight=met * mean_weight
        )


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
