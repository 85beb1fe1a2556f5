"""One step of training on a mini-batch: what is measured in it, and where it leads."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from daskdsml.layers.embedding import Embedding
from daskdsml.network_contracts import BatchGradient
from daskdsml.neural_network._columns import SplitStep
from daskdsml.neural_network.backprop import Backprop
from daskdsml.neural_network.network import Point
from daskdsml.utils.early_stopping import EarlyStopping
from daskdsml.utils.interrupts import Hold
from daskdsml.utils.variation import Variation

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

    def at(self, theta, n_steps: int) -> TrainState:
        """So many steps ahead, at other parameters."""
        return self._replace(state=self.state._replace(theta=theta), step=self.step + n_steps)

    def of(self, where) -> TrainState:
        """That of a slice or an array of the parameters, in arrays of its own."""
        arrays = (a[where].copy() if isinstance(a, np.ndarray) else a for a in self.state)
        return self._replace(state=type(self.state)(*arrays), best_point=None, outer=None)

    def joined(self, parts, places) -> TrainState:
        """This one some steps ahead, as ``parts`` of it have become, which are at ``places``.

        Where these have some in common, the first one counts.
        """

        def whole(old, *new):
            if not isinstance(old, np.ndarray):
                return new[0]
            old = old.copy()
            for where, part in reversed([*zip(places, new, strict=True)]):
                old[where] = part
            return old

        state = map(whole, self.state, *(part.state for part in parts))
        return self._replace(state=type(self.state)(*state), step=parts[0].step)


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

    def beside(self, others) -> StepRecord:
        """That of a step which others have made in other slices of the parameters."""
        penalty = self.penalty + sum(other.penalty for other in others)
        norm = math.hypot(self.norm, *(other.norm for other in others))
        return self._replace(penalty=penalty, norm=norm)

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


class Measured(NamedTuple):
    """What a mini-batch of ``n_rows`` tells at a point: can be added for parts of its rows.

    ``variation`` is how the columns of a table vary, None but for the first rows.
    """

    n_rows: int
    total: BatchGradient
    variation: Variation | None = None

    def __add__(self, other: Any) -> Measured:
        variation = None if self.variation is None else self.variation + other.variation
        return Measured(self.n_rows, self.total + other.total, variation)

    def of(self, where: slice) -> Measured:
        """That of a slice of the parameters."""
        return self._replace(total=self.total._replace(gradient=self.total.gradient[where]))

    def copy(self) -> Measured:
        """With a gradient of its own, which is good beyond the next batch."""
        return self._replace(total=self.total._replace(gradient=self.total.gradient.copy()))


class TrainStep:
    """A step of training: ``step(train_state, batch)`` gives the next state and a `StepRecord`.

    It is made of `measure`, for which rows are needed, and `update`, for which they are not.
    ``n_epochs`` of ``steps_per_epoch`` are planned, which schedules refer to. A ``hold`` is told
    when arrays begin to change in this process.
    """

    def __init__(self, backprop: Backprop, config: TrainConfig, n_epochs: int, steps_per_epoch=1):
        self.backprop, self.config = backprop, config
        self._n_epochs, self._steps_per_epoch = n_epochs, steps_per_epoch
        self.hold: Hold | None = None
        network = backprop.network
        self._kernels = backprop.backend.layers()
        self._scale, self._momentum = network.scale(), network.momentum()
        self._fixed = network.fixed
        codes = bool(network.placed) and isinstance(network.placed[0].layer, Embedding)
        self._has_columns = len(network.in_shape) == 1 and not codes

    def __reduce__(self):
        return TrainStep, (self.backprop, self.config, self._n_epochs, self._steps_per_epoch)

    @property
    def whole(self) -> bool:
        """Whether `update` needs the gradient as a whole: to clip its norm."""
        return self.config.clip is not None

    def of(self, where: slice) -> TrainStep:
        """The step whose `update` is that of a slice of the parameters."""
        start, stop, _ = where.indices(len(self._scale))
        part = self.with_backprop(self.backprop)
        part._scale = self._scale[where]
        part._fixed = [
            slice(max(fixed.start, start) - start, min(fixed.stop, stop) - start)
            for fixed in self._fixed
            if fixed.start < stop and fixed.stop > start
        ]
        return part

    def with_backprop(self, backprop: Backprop) -> TrainStep:
        """The same step of another network."""
        return TrainStep(backprop, self.config, self._n_epochs, self._steps_per_epoch)

    def by_columns(self, columns: list[slice]) -> SplitStep:
        """The step cut into those of who share the columns of X."""
        return SplitStep.of(self, columns)

    def __call__(self, train_state, batch, complete=None) -> tuple[TrainState, StepRecord]:
        after, record = self.update(train_state, self.measure(train_state, batch), complete)
        if record.failure is not None:
            layer = batch.run(self.backprop.trace, train_state.point).layer
            record = record._replace(failure=self.failed_in(layer, record.failure))
        return after, record

    def measure(self, train_state, batch) -> Measured:
        """What the rows of a batch tell at the point of a train state."""
        n_rows, variation = batch.n_rows, None
        if self._has_columns and train_state.step * n_rows < ROWS_OF_VARIATION:
            variation = batch.run(column_variation, None)
        return Measured(n_rows, batch.run(self.backprop.gradient, train_state.point), variation)

    def update(
        self, train_state, measured: Measured, complete=None
    ) -> tuple[TrainState, StepRecord]:
        """The train state after what was measured in a batch, and a record of it.

        Both the arrays of the state and the gradient are changed. Where a loss or gradient is not
        finite the state stays as it is, and the record has a failure. ``complete`` is called in
        place of `complete` where others have parameters too.
        """
        config, kernels, point = self.config, self._kernels, train_state.point
        n_rows, total, variation = measured
        gradient, share = total.gradient, 1.0 / (n_rows * config.mean_weight)
        penalty, squares = (complete or self.complete)(gradient, point.theta, share)
        norm = math.sqrt(squares)
        if not (math.isfinite(total.loss * share + penalty) and math.isfinite(norm)):
            failure = Failure(train_state.step + 1, train_state.epoch + 1, None)
            return train_state, StepRecord(variation=variation, failure=failure)
        if config.clip is not None and norm > config.clip:
            kernels.scale(gradient, config.clip / norm)
        held = [point.theta[where].copy() for where in self._fixed]
        factor = self.factor(train_state)
        if self.hold is not None:
            self.hold.begun = True
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

    def complete(self, gradient, theta, share, where=slice(None)) -> tuple[float, float]:
        """Turn sums of a gradient (d,) into means with the penalty's slopes; its value and squares.

        ``where`` leaves out other parameters.
        """
        l1, l2, scale = self.config.l1, self.config.l2, self._scale[where]
        return self._kernels.complete(gradient[where], theta[where], scale, share, l1, l2)

    def factor(self, train_state) -> float:
        """What multiplies the learning rate.

        Schedules go by ``step / n_steps``: epochs of a stream differ in length, and that of those
        to come is not known, so it is the share of epochs that are over.
        """
        step, epoch, start = train_state.step, train_state.epoch, train_state.start
        n_steps = self._n_epochs * self._steps_per_epoch
        over = epoch * self._steps_per_epoch + step - start
        if over != step:
            n_steps = round(step * n_steps / max(over, 1))
        drop = train_state.drop if self.config.stopping.adaptive else 1.0
        return drop * self.config.factor(step, epoch, n_steps)

    def failed_in(self, layer: int, failure: Failure) -> Failure:
        """A failure with the name of the ``layer`` whose output is the first that is not finite."""
        placed = self.backprop.network.placed
        return failure._replace(layer=placed[layer].name if layer < len(placed) else None)


def column_variation(_, batch):
    """Kernel: how the columns of a table vary in a batch."""
    return Variation.of(np.asarray(batch.X, dtype=float), np.ones(len(batch.X)))
    yield  # a kernel is a generator
