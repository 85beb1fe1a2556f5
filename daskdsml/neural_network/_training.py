"""The loop over epochs and mini-batches: what every neural estimator trains with."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from daskdsml.backprop import Backprop
from daskdsml.network import Point

# "adaptive" divides the learning rate by this where an estimator would stop, down to the smallest.
DROP, SMALLEST_RATE = 5.0, 1e-6


class Rules(NamedTuple):
    """How to train.

    ``factor(step, epoch, n_steps)`` multiplies the solver's learning rate; ``adaptive`` drops it
    where training would end. ``l1`` and ``l2`` are strengths against the mean loss; ``clip`` the
    largest norm of a gradient, or None. Training ends after ``patience`` epochs in a row none of
    which bettered the best loss (or score) by ``tol``; None for no such end.
    """

    solver: Any
    factor: Callable
    adaptive: bool = False
    l1: float = 0.0
    l2: float = 0.0
    clip: float | None = None
    tol: float | None = None
    patience: int = 10


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


class Standing(NamedTuple):
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
    """Trains a network on batches by `Rules`.

    Parameters
    ----------
    backprop : Backprop
    rules : Rules
    n_epochs : int
        Epochs planned, which schedules refer to.
    """

    def __init__(self, backprop: Backprop, rules: Rules, n_epochs: int):
        self.backprop, self.rules, self._n_epochs = backprop, rules, n_epochs
        network = backprop.network
        self._kernels = backprop.backend.layers()
        self.scale, self._momentum = network.scale(), network.momentum()
        self.failure: Failure | None = None

    def begin(self, point: Point) -> Standing:
        """Before the first step; the arrays of ``point`` are copied, for steps change them."""
        return Standing(self.rules.solver.init(point.theta.copy()), point.statistics.copy())

    def continues(self, standing: Standing) -> bool:
        """Whether the state of a standing is one of this solver, and not of another."""
        return type(self.rules.solver.init(standing.point.theta[:0])) is type(standing.state)

    def epoch(self, standing: Standing, batches, shown) -> tuple[Standing, Epoch]:
        """Every row once. ``shown(epoch, loss, n_rows)`` is told of each step."""
        begun, total, weight, norms, n_rows = time.perf_counter(), 0.0, 0.0, [], 0
        n_steps = self._n_epochs * batches.steps_per_epoch
        for batch in batches.epoch(standing.epoch):
            standing, loss, share, norm = self._step(standing, batch, n_steps)
            if self.failure is not None:
                break
            total, weight, n_rows = total + loss * share, weight + share, n_rows + batch.n_rows
            norms.append(norm)
            shown(standing.epoch + 1, total / weight if weight else np.nan, batch.n_rows)
        if self.failure is None:
            check_weight(weight)
        seconds = time.perf_counter() - begun
        record = Epoch(
            standing.epoch + 1,
            seconds,
            total / weight if weight else float("nan"),
            float("nan"),
            float(np.mean(norms)) if norms else float("nan"),
            self._rate(standing, n_steps),
            n_rows / seconds,
        )
        return standing._replace(epoch=standing.epoch + 1), record

    def judged(self, standing: Standing, cost: float, keep: bool) -> tuple[Standing, bool]:
        """Take in the ``cost`` of an epoch: whether training is to go on, and from where.

        ``keep`` has the weights of the best epoch kept.
        """
        rules = self.rules
        tol = 0.0 if rules.tol is None else rules.tol
        better = cost < standing.best - tol
        stale = 0 if better else standing.stale + 1
        if cost < standing.best:
            copy = Point(*map(np.copy, standing.point)) if keep else None
            standing = standing._replace(best=cost, kept=copy)
        standing = standing._replace(stale=stale)
        if rules.tol is None or stale < rules.patience:
            return standing, True
        rate = rules.solver.learning_rate * standing.drop
        if rules.adaptive and rate > SMALLEST_RATE:
            return standing._replace(stale=0, drop=standing.drop / DROP), True
        return standing, False

    def _step(self, standing, batch, n_steps):
        """The standing after a batch, its mean objective, weight and gradient norm."""
        rules, kernels, point = self.rules, self._kernels, standing.point
        found = batch.run(self.backprop.gradient, point)
        if not found.weight > 0.0:
            return standing._replace(step=standing.step + 1), 0.0, 0.0, 0.0
        gradient, share = found.gradient, 1.0 / found.weight
        penalty, squares = kernels.complete(
            gradient, point.theta, self.scale, share, rules.l1, rules.l2
        )
        loss, norm = found.loss * share + penalty, math.sqrt(squares)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.failure = self._diagnosed(standing, batch)
            return standing, 0.0, 0.0, 0.0
        if rules.clip is not None and norm > rules.clip:
            kernels.scale(gradient, rules.clip / norm)
        factor = standing.drop * rules.factor(standing.step, standing.epoch, n_steps)
        state = rules.solver.update(kernels, standing.state, gradient, factor)
        statistics = standing.statistics
        if len(statistics):
            statistics += self._momentum * (found.statistics - statistics)
        standing = standing._replace(state=state, step=standing.step + 1)
        return standing, loss, found.weight, norm

    def _rate(self, standing, n_steps) -> float:
        last = max(standing.step - 1, 0)
        factor = self.rules.factor(last, standing.epoch, n_steps)
        return self.rules.solver.learning_rate * standing.drop * factor

    def _diagnosed(self, standing, batch) -> Failure:
        parts = self.backprop.network.parts
        layer = batch.run(self.backprop.trace, standing.point).layer
        name = parts[layer].name if layer < len(parts) else None
        return Failure(standing.step + 1, standing.epoch + 1, name)


def check_weight(weight) -> None:
    """Raise ValueError unless the summed weight of rows is positive."""
    if not weight > 0.0:
        raise ValueError(
            "No row (or step) has a positive weight; with all at zero there is nothing to learn "
            "from. Expected sample_weight and class_weight above 0, and a mask that leaves steps."
        )
