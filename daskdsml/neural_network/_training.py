"""The loop over epochs and mini-batches: what every neural estimator trains with."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from daskdsml.neural_network.backprop import Backprop
from daskdsml.neural_network.network import Point
from daskdsml.utils import registry
from daskdsml.utils.early_stopping import DROP, EarlyStopping


class TrainConfig(NamedTuple):
    """How to train.

    ``factor(step, epoch, n_steps)`` multiplies the solver's learning rate, ``stopping`` tells when
    to end; ``l1`` and ``l2`` are strengths against the mean loss; ``clip`` is the largest norm of a
    gradient, or None.
    """

    solver: Any
    factor: Callable
    stopping: EarlyStopping = EarlyStopping()
    l1: float = 0.0
    l2: float = 0.0
    clip: float | None = None


class Epoch(NamedTuple):
    """One epoch, as ``history_`` keeps it.

    ``loss`` is the mean loss of its rows as they were met, plus the penalty; ``score`` that of the
    rows for validation, NaN without such; ``gradient_norm`` the mean over steps of the Euclidean
    norm of the gradient (before it is clipped), ``learning_rate`` that of the last step.
    """

    epoch: int
    seconds: float
    loss: float
    score: float
    gradient_norm: float
    learning_rate: float
    rows_per_second: float


class TrainState(NamedTuple):
    """Where training stands: all of it can be saved, and gone on with.

    ``drop`` is what "adaptive" has made of the learning rate; ``best`` the best cost so far (a
    loss, or a score with its sign changed), met by ``kept``, and ``stale`` the epochs since.
    """

    state: Any
    statistics: np.ndarray
    step: int = 0
    epoch: int = 0
    drop: float = 1.0
    best: float = np.inf
    stale: int = 0
    kept: Point | None = None

    @property
    def point(self) -> Point:
        """Parameters and statistics; steps change their arrays."""
        return Point(self.state.theta, self.statistics)


class Failure(NamedTuple):
    """Training stopped: a loss or gradient is not finite, first in ``layer`` (None: beyond all)."""

    step: int
    epoch: int
    layer: str | None


class Trainer:
    """Trains a network on batches by `TrainConfig`.

    Parameters
    ----------
    backprop : Backprop
    config : TrainConfig
    n_epochs : int
        Epochs planned, which schedules refer to.
    """

    needs = frozenset({"batches"})

    def __init__(self, backprop: Backprop, config: TrainConfig, n_epochs: int):
        self._strategy = registry.find_strategy(self)
        self.backprop, self.config, self._n_epochs = backprop, config, n_epochs
        network = backprop.network
        self._kernels = backprop.backend.layers()
        self.scale, self._momentum = network.scale(), network.momentum()
        self.failure: Failure | None = None

    def begin(self, point: Point) -> TrainState:
        """Before the first step; the arrays of ``point`` are copied, for steps change them."""
        return TrainState(self.config.solver.init(point.theta.copy()), point.statistics.copy())

    def continues(self, train_state: TrainState) -> bool:
        """Whether a train state is one of this optimizer, and not of another."""
        return type(self.config.solver.init(train_state.point.theta[:0])) is type(train_state.state)

    def epoch(self, train_state: TrainState, batches, shown) -> tuple[TrainState, Epoch]:
        """Every row once. ``shown(epoch, loss, n_rows)`` is told of each step."""
        begun, total, weight, norms, n_rows = time.perf_counter(), 0.0, 0.0, [], 0
        n_steps = self._n_epochs * batches.steps_per_epoch
        step, made = partial(self._step, n_steps=n_steps), batches.epoch(train_state.epoch)
        steps = self._strategy.train(step, train_state, made)
        for train_state, (loss, share, norm), batch in steps:
            if self.failure is not None:
                break
            total, weight, n_rows = total + loss * share, weight + share, n_rows + batch.n_rows
            norms.append(norm)
            shown(train_state.epoch + 1, total / weight if weight else np.nan, batch.n_rows)
        if self.failure is None:
            check_weight(weight)
        seconds = time.perf_counter() - begun
        record = Epoch(
            train_state.epoch + 1,
            seconds,
            total / weight if weight else float("nan"),
            float("nan"),
            float(np.mean(norms)) if norms else float("nan"),
            self._rate(train_state, n_steps),
            n_rows / seconds,
        )
        return train_state._replace(epoch=train_state.epoch + 1), record

    def judged(self, train_state: TrainState, cost: float, keep: bool) -> tuple[TrainState, bool]:
        """Take in the ``cost`` of an epoch: whether training is to go on, and from where.

        ``keep`` has the weights of the best epoch kept.
        """
        rate = self.config.solver.learning_rate * train_state.drop
        verdict = self.config.stopping.judge(cost, train_state.best, train_state.stale, rate)
        if cost < train_state.best:
            copy = Point(*map(np.copy, train_state.point)) if keep else None
            train_state = train_state._replace(best=cost, kept=copy)
        if verdict.slower:
            train_state = train_state._replace(drop=train_state.drop / DROP)
        return train_state._replace(stale=int(verdict.stale)), not verdict.ended

    def _step(self, train_state, batch, n_steps):
        """The train_state after a batch; its mean objective, weight and gradient norm."""
        config, kernels, point = self.config, self._kernels, train_state.point
        found = batch.run(self.backprop.gradient, point)
        if not found.weight > 0.0:
            return train_state._replace(step=train_state.step + 1), (0.0, 0.0, 0.0)
        gradient, share = found.gradient, 1.0 / found.weight
        penalty, squares = kernels.complete(
            gradient, point.theta, self.scale, share, config.l1, config.l2
        )
        loss, norm = found.loss * share + penalty, math.sqrt(squares)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.failure = self._diagnosed(train_state, batch)
            return train_state, (0.0, 0.0, 0.0)
        if config.clip is not None and norm > config.clip:
            kernels.scale(gradient, config.clip / norm)
        factor = train_state.drop * config.factor(train_state.step, train_state.epoch, n_steps)
        state = config.solver.update(kernels, train_state.state, gradient, factor)
        statistics = train_state.statistics
        if len(statistics):
            statistics += self._momentum * (found.statistics - statistics)
        train_state = train_state._replace(state=state, step=train_state.step + 1)
        return train_state, (loss, found.weight, norm)

    def _rate(self, train_state, n_steps) -> float:
        last = max(train_state.step - 1, 0)
        factor = self.config.factor(last, train_state.epoch, n_steps)
        return self.config.solver.learning_rate * train_state.drop * factor

    def _diagnosed(self, train_state, batch) -> Failure:
        parts = self.backprop.network.parts
        layer = batch.run(self.backprop.trace, train_state.point).layer
        name = parts[layer].name if layer < len(parts) else None
        return Failure(train_state.step + 1, train_state.epoch + 1, name)


def check_weight(weight) -> None:
    """Raise ValueError unless the summed weight of rows is positive."""
    if not weight > 0.0:
        raise ValueError(
            "No row (or step) has a positive weight; with all at zero there is nothing to learn "
            "from. Expected sample_weight and class_weight above 0, and a mask that leaves steps."
        )
