"""The loop over epochs and mini-batches: what every neural estimator trains with."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from daskdsml.layers.embedding import Embedding
from daskdsml.neural_network.backprop import Backprop
from daskdsml.neural_network.network import Point
from daskdsml.passes.progress import bar
from daskdsml.utils.early_stopping import DROP, SMALLEST_RATE, EarlyStopping
from daskdsml.utils.validation import outside
from daskdsml.utils.variation import Variation, warn_of_descent

# Rows from which spread and mean of columns are known well enough to warn of them.
ROWS_OF_VARIATION = 32


class TrainConfig(NamedTuple):
    """How to train.

    ``factor(step, epoch, n_steps)`` multiplies the solver's learning rate, ``stopping`` tells when
    to end; ``l1`` and ``l2`` are strengths against the mean loss; ``clip`` is the largest norm of a
    gradient, or None. ``mean_weight`` is that of a row among all of them: were a batch divided by
    its own weight, weights would count for less the fewer rows it has.
    """

    solver: Any
    factor: Callable
    stopping: EarlyStopping = EarlyStopping()
    l1: float = 0.0
    l2: float = 0.0
    clip: float | None = None
    mean_weight: float = 1.0


class Epoch(NamedTuple):
    """One epoch, as ``history_`` keeps it.

    ``loss`` is the mean loss of its rows as they were met, plus the penalty; ``score`` that of the
    rows for validation, NaN without such; ``gradient_norm`` the mean over steps of the Euclidean
    norm of the gradient (before it is clipped), ``learning_rate`` that of the last step (NaN of
    L-BFGS, which has none).
    ``step_losses (T,)`` are mean losses at each time step of sequences with a label for each, NaN
    where all rows are masked; None for others.
    """

    epoch: int
    seconds: float
    loss: float
    score: float
    gradient_norm: float
    learning_rate: float
    rows_per_second: float
    step_losses: tuple[float, ...] | None = None


class TrainState(NamedTuple):
    """Where training stands: all of it can be saved, and gone on with.

    ``drop`` is what "adaptive" has made of the learning rate; ``best`` the best cost so far (a
    loss, or a score with its sign changed), met at ``best_point``, and ``stale`` the epochs since.
    ``n_rows`` and ``weight`` are summed over all epochs; ``outer (d,)`` is the strategy's own,
    ``start`` the step at which this epoch began.
    """

    state: Any
    statistics: np.ndarray
    step: int = 0
    epoch: int = 0
    drop: float = 1.0
    best: float = np.inf
    stale: int = 0
    best_point: Point | None = None
    n_rows: int = 0
    weight: float = 0.0
    outer: np.ndarray | None = None
    start: int = 0

    @property
    def point(self) -> Point:
        """Parameters and statistics; steps change their arrays."""
        return Point(self.state.theta, self.statistics)


class Failure(NamedTuple):
    """Training stopped: a loss or gradient is not finite, first in ``layer`` (None: beyond all)."""

    step: int
    epoch: int
    layer: str | None


class StepRecord(NamedTuple):
    """What steps met: sums of losses, weights, and penalties times rows; of norms of gradients.

    ``variation`` is how the columns of a table vary in the first rows, ``failure`` the first one.
    """

    loss: float = 0.0
    weight: float = 0.0
    penalty: float = 0.0
    n_rows: int = 0
    norm: float = 0.0
    n_steps: int = 0
    by_step: Any = 0.0
    variation: Variation | None = None
    failure: Failure | None = None

    def __add__(self, other: Any) -> StepRecord:
        sums = [a + b for a, b in zip(self[:-2], other[:-2], strict=True)]
        known = [v for v in (self.variation, other.variation) if v is not None]
        variation = known[0] + known[1] if len(known) == 2 else next(iter(known), None)
        return StepRecord(*sums, variation, self.failure or other.failure)

    @property
    def objective(self) -> float:
        """The mean loss plus the mean penalty; NaN before the first row of some weight."""
        return self.loss / self.weight + self.penalty / self.n_rows if self.weight else float("nan")

    @property
    def step_losses(self) -> tuple[float, ...] | None:
        """Mean losses at each time step, where there are such."""
        if np.ndim(self.by_step) == 0:
            return None
        with np.errstate(invalid="ignore"):
            return tuple((self.by_step[0] / self.by_step[1]).tolist())


def train_epochs(model, trainer: Trainer, batches, score=None, n_epochs=None) -> None:
    """Epochs until one of the ends that were asked for; the best weights are put back.

    There is none where layers hold nothing that training changes.

    ``score(point)`` is that of the rows for validation, None without such; ``n_epochs`` are those
    of `partial_fit`, None for those of a fit, ``max_iter`` at most.
    """
    if not trainer.backprop.network.learns:
        model._publish(batches)
        model.converged_ = True
        warn(_nothing_to_learn(model))
        return
    of = f"/{model.max_iter}" if n_epochs is None else ""
    total = (n_epochs or model.max_iter) * batches.n_rows
    options = {"total": total, "unit": " rows", "unit_scale": True}
    # The bar is closed before a warning, which would stand in its line.
    with closing(TrainingBar(model, lambda epoch: f"epoch {epoch}{of}, ", **options)) as shown:
        unfinished = _epochs(model, trainer, batches, score, shown, n_epochs or model.max_iter)
    best = model._train_state.best_point
    if best is not None and n_epochs is None:
        model._train_state.point.theta[:] = best.theta
        model._train_state.point.statistics[:] = best.statistics
    model._publish(batches)
    if trainer.variation is not None:
        warn_of_descent(model, trainer.variation)
    model.converged_ = not (unfinished or n_epochs or trainer.failure)
    if trainer.failure is not None:
        warn(_failed(trainer.failure, model))
    elif unfinished and model.tol is not None and n_epochs is None:
        warn(_out_of_epochs(model))
    elif n_epochs is not None and trainer.has_ended(model):
        warn(_out_of_schedule(model))


def _epochs(model, trainer, batches, score, shown, n_epochs) -> bool:
    """Make ``n_epochs`` unless one of the other ends comes; whether none of these came."""
    for _ in range(n_epochs):
        train_state, record = trainer.epoch(model._train_state, batches, shown.step)
        if trainer.failure is not None:
            return False
        model._train_state = train_state
        if score is not None:
            record = record._replace(score=score(train_state.point))
        cost = record.loss if score is None else -record.score
        model._train_state, going = trainer.judged(train_state, cost, score is not None)
        model.history_.append(record)
        model._publish(batches)
        shown.end(record)
        if ended_by_callback(model, record) or not going:
            return False
    return True


def ended_by_callback(model, record) -> bool:
    """Whether a callback wants training to end; all are called."""
    return any([bool(callback(model, record)) for callback in model.callbacks or ()])


class Trainer:
    """Trains a network on mini-batches; ``n_epochs`` are planned, which schedules refer to."""

    def __init__(self, backprop: Backprop, config: TrainConfig, n_epochs: int, strategy):
        self._strategy = strategy
        self.backprop, self.config, self._n_epochs = backprop, config, n_epochs
        network = backprop.network
        self._kernels = backprop.backend.layers()
        self.scale, self._momentum = network.scale(), network.momentum()
        self._fixed = network.fixed
        codes = bool(network.placed) and isinstance(network.placed[0].layer, Embedding)
        self._has_columns = len(network.in_shape) == 1 and not codes
        self.failure: Failure | None = None
        self.variation: Variation | None = None

    def __reduce__(self):
        return Trainer, (self.backprop, self.config, self._n_epochs, self._strategy)

    def begin(self, point: Point) -> TrainState:
        """Before the first step; the arrays of ``point`` are copied, for steps change them."""
        return TrainState(self.config.solver.init(point.theta.copy()), point.statistics.copy())

    def continues(self, train_state: TrainState) -> bool:
        """Whether a train state is one of this optimizer, and of this dtype."""
        theta = train_state.point.theta
        same = type(self.config.solver.init(theta[:0])) is type(train_state.state)
        return same and theta.dtype == self.backprop.network.dtype

    def epoch(self, train_state: TrainState, batches, shown) -> tuple[TrainState, Epoch]:
        """Every row once. ``shown(epoch, loss, n_rows)`` is told of each step."""
        begun, met, rate = time.perf_counter(), StepRecord(), float("nan")
        step = partial(self.step, steps_per_epoch=batches.steps_per_epoch)
        train_state = train_state._replace(start=train_state.step)
        for after, record in self._strategy.train(step, train_state, batches, train_state.epoch):
            train_state, met = after, met + record
            if met.failure is not None:
                break
            last = after._replace(step=after.step - 1)
            rate = self.config.solver.learning_rate * self._factor(last, batches.steps_per_epoch)
            shown(train_state.epoch + 1, met.objective, record.n_rows)
        self.failure, self.variation = met.failure, self.variation or met.variation
        seconds = time.perf_counter() - begun
        epoch = train_state.epoch + 1
        n_rows, weight = train_state.n_rows + met.n_rows, train_state.weight + met.weight
        norm = met.norm / met.n_steps if met.n_steps else float("nan")
        told = (met.objective, float("nan"), norm, rate, met.n_rows / seconds, met.step_losses)
        record = Epoch(epoch, seconds, *told)
        return train_state._replace(epoch=epoch, n_rows=n_rows, weight=weight), record

    def judged(self, train_state: TrainState, cost: float, keep: bool) -> tuple[TrainState, bool]:
        """Take in the ``cost`` of an epoch: from where training goes on, and whether it does.

        ``keep`` copies the weights if it is the best one.
        """
        rate = self.config.solver.learning_rate * train_state.drop
        verdict = self.config.stopping.judge(cost, train_state.best, train_state.stale, rate)
        if cost < train_state.best:
            copy = Point(*map(np.copy, train_state.point)) if keep else None
            train_state = train_state._replace(best=cost, best_point=copy)
        if verdict.slower:
            train_state = train_state._replace(drop=train_state.drop / DROP)
        return train_state._replace(stale=int(verdict.stale)), not verdict.ended

    def step(self, train_state, batch, steps_per_epoch) -> tuple[TrainState, StepRecord]:
        """The train state after a batch, and what was met in it."""
        config, kernels, point = self.config, self._kernels, train_state.point
        n_rows, variation = batch.n_rows, None
        if self._has_columns and train_state.step * n_rows < ROWS_OF_VARIATION:
            variation = batch.run(column_variation, None)
        total = batch.run(self.backprop.gradient, point)
        gradient, share = total.gradient, 1.0 / (n_rows * config.mean_weight)
        penalty, squares = kernels.complete(
            gradient, point.theta, self.scale, share, config.l1, config.l2
        )
        norm = math.sqrt(squares)
        if not (math.isfinite(total.loss * share + penalty) and math.isfinite(norm)):
            failure = self._diagnosed(train_state, batch)
            return train_state, StepRecord(variation=variation, failure=failure)
        if config.clip is not None and norm > config.clip:
            kernels.scale(gradient, config.clip / norm)
        factor = self._factor(train_state, steps_per_epoch)
        held = [point.theta[where].copy() for where in self._fixed]
        state = config.solver.update(kernels, train_state.state, gradient, factor)
        for where, values in zip(self._fixed, held, strict=True):
            state.theta[where] = values  # decay of weights needs no gradient
        statistics = train_state.statistics
        if len(statistics):
            statistics += self._momentum * (total.statistics - statistics)
        by_step = 0.0 if total.by_step is None else total.by_step
        sums = total.loss, total.weight, penalty * n_rows, n_rows, norm, 1, by_step
        train_state = train_state._replace(state=state, step=train_state.step + 1)
        return train_state, StepRecord(*sums, variation)

    def has_ended(self, model) -> bool:
        """Whether the schedule, or "adaptive", left nothing of the learning rate."""
        rate = model.history_[-1].learning_rate
        dropped = self.config.stopping.adaptive and model._train_state.drop < 1.0
        return rate == 0.0 or (dropped and rate <= SMALLEST_RATE)

    def _factor(self, train_state, steps_per_epoch) -> float:
        """What multiplies the learning rate.

        Schedules go by ``step / n_steps``: epochs of a stream differ in length, and that of those
        to come is not known, so it is the share of epochs that are over.
        """
        step, epoch, start = train_state.step, train_state.epoch, train_state.start
        n_steps = self._n_epochs * steps_per_epoch
        over = epoch * steps_per_epoch + step - start
        if over != step:
            n_steps = round(step * n_steps / max(over, 1))
        drop = train_state.drop if self.config.stopping.adaptive else 1.0
        return drop * self.config.factor(step, epoch, n_steps)

    def _diagnosed(self, train_state, batch) -> Failure:
        placed = self.backprop.network.placed
        layer = batch.run(self.backprop.trace, train_state.point).layer
        name = placed[layer].name if layer < len(placed) else None
        return Failure(train_state.step + 1, train_state.epoch + 1, name)


def column_variation(_, batch):
    """Kernel: how the columns of a table vary in a batch."""
    return Variation.of(np.asarray(batch.X, dtype=float), np.ones(len(batch.X)))
    yield  # a kernel is a generator


def warn(text) -> None:
    """Warn of what did not converge, at the user's own call."""
    warnings.warn(text, ConvergenceWarning, stacklevel=outside())


class TrainingBar:
    """A bar of training, where ``verbose`` asks for one: loss and the last validation score.

    ``prefix(epoch)`` is what it says before them; ``options`` are tqdm's.
    """

    def __init__(self, model, prefix, **options):
        self._bar = bar(type(model).__name__, **options) if model.verbose else None
        self._prefix, self._score = prefix, ""

    def step(self, epoch, loss, n) -> None:
        """Go ``n`` units ahead, in an ``epoch`` whose loss so far is ``loss``."""
        if self._bar is not None:
            text = f"{self._prefix(epoch)}loss {loss:.4g}{self._score}"
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(n)

    def end(self, record) -> None:
        """An epoch is over: its score stays in view until the next one."""
        if not np.isnan(record.score):
            self._score = f", validation score {record.score:.4g}"
        self.step(record.epoch, record.loss, 0)

    def close(self) -> None:
        """Take the bar away, leaving its last state in view."""
        if self._bar is not None:
            self._bar.close()


def _failed(failure: Failure, model) -> str:
    best = model._train_state.best_point
    left = "before this step" if best is None else "of the best epoch"
    where = "the gradient" if failure.layer is None else f"the output of layer {failure.layer}"
    return (
        f"{type(model).__name__} stopped at step {failure.step} in epoch {failure.epoch}: {where} "
        f"is not finite. The weights are those {left}. Lower learning_rate_init, set clip_norm, or "
        "scale the columns of X (and y, if it holds numbers)."
    )


def _nothing_to_learn(model) -> str:
    return (
        f"{type(model).__name__} made no epoch: none of its layers holds a parameter that is "
        "trainable, so there is nothing to learn. It predicts with the weights given or drawn; "
        "leave trainable=False out of a layer to train it."
    )


def _out_of_schedule(model) -> str:
    return (
        f"{type(model).__name__} learned nothing from these rows: learning_rate="
        f"{model.learning_rate!r} has come to its end at {model.history_[-1].learning_rate:.1g}, "
        f"after {model.n_iter_ - 1} epochs of max_iter={model.max_iter}. Set "
        "learning_rate='constant', or raise max_iter, which most schedules are planned for."
    )


def _out_of_epochs(model) -> str:
    return (
        f"{type(model).__name__} stopped after max_iter={model.max_iter} epochs while the "
        f"{'validation score' if model.early_stopping else 'loss'} was still improving by more "
        f"than tol={model.tol} within n_iter_no_change={model.n_iter_no_change} epochs. "
        "Raise max_iter or tol; tol=None makes max_iter epochs without this warning."
    )
