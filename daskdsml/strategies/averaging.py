"""_Copies of a model that train apart, and whose parameters are averaged. Found by name."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from daskdsml.passes.sgd_copies import averaged, of_copy
from daskdsml.passes.stochastic import closed
from daskdsml.utils.validation import check_number

# Mini-batches of each part between two averages, where their number is not told.
STEPS = 16


@dataclass(frozen=True)
class Averaging:
    """Local SGD: copies of a model train on parts of the rows, and are averaged now and then.

    A round is ``steps`` mini-batches of each part. All copies begin it with the same parameters
    and the same state of the optimizer (momentum, running means), and end it with the mean of
    theirs, weighted by the rows that each has met. A copy's batches have ``batch_size`` rows, so
    training reads each row once an epoch, but makes ``n_parts`` times fewer steps in sequence than
    `AllReduce`, and sends parameters once a round instead of gradients once a step.

    With ``outer_momentum`` or ``outer_learning_rate`` the change of the mean in a round is the
    gradient of an outer step: ``delta = theta - mean``, ``v <- outer_momentum v + delta``,
    ``theta <- theta - outer_learning_rate (delta + outer_momentum v)``.

    Partitions of the data are dealt out to the parts in turn, so that sorted labels come into all
    of them; which rows a part has depends on chunks and ``n_parts`` alone, and parts are added in
    their order. So the result has the same bits on any number of workers, of which ``n_parts`` at
    most have work.

    Linear models (`SGDClassifier`, `SGDRegressor`) average once an epoch, or with ``steps=inf``
    never while they train: then what an epoch leaves to be scored and kept is the mean of copies
    that go on by themselves. Their parts are dealt out by shards (runs of chunks, of 1 MiB or
    more), which an epoch shuffles as ever. Means are taken of coefficients, of their averages over
    updates, and of the L1 penalty due; a coefficient is zero if it is in all copies. The learning
    rate falls with the updates of a copy (``t_`` is that of the one that made most), so
    ``n_parts`` times slower than in one chain.

    Parameters
    ----------
    n_parts : int, default=4
        Parts of the rows, or as many as there are partitions (linear models: shards) if these are
        fewer.
    steps : int, None, inf or "auto", default="auto"
        Mini-batches of each part between two averages; None averages once an epoch. "auto" is 16,
        and None for linear models, which take None and inf alone.
    outer_learning_rate : float above 0, default=1.0
    outer_momentum : float from 0 to below 1, default=0.0
        Both are for networks.

    References
    ----------
    Zinkevich, M., Weimer, M., Li, L. and Smola, A. (2010). Parallelized stochastic gradient
    descent. NeurIPS 23.
    Stich, S. U. (2019). Local SGD converges fast and communicates little. ICLR.
    Douillard, A. et al. (2023). DiLoCo: Distributed low-communication training of language models.
    arXiv 2311.08105.
    """

    n_parts: int = 4
    steps: int | float | str | None = "auto"
    outer_learning_rate: float = 1.0
    outer_momentum: float = 0.0

    reproducible: ClassVar = True

    @property
    def provides(self) -> frozenset[str]:
        """What these settings do for: mini-batches of networks, epochs of linear models."""
        kinds = {"batches", "batch sums", "whole rows"} if self.steps != np.inf else ()
        given = frozenset(kinds)
        outer = self.outer_learning_rate != 1.0 or self.outer_momentum
        return given | ({"epochs"} if self.steps in ("auto", None, np.inf) and not outer else set())

    def check(self) -> None:
        """Raise ValueError for settings out of range."""
        check_number(self, "n_parts", 1, integer=True)
        steps = self.steps
        whole = isinstance(steps, numbers.Integral) and steps is not True and int(steps) >= 1
        if steps not in ("auto", None, np.inf) and not whole:
            raise ValueError(
                'steps of Averaging must be an integer of at least 1, None, inf or "auto", got '
                f"{self.steps!r}."
            )
        check_number(self, "outer_learning_rate", 0, strict=True, high=np.finfo(float).max)
        check_number(self, "outer_momentum", 0, below=1)

    def train(self, step, state, batches, epoch: int):
        """The rounds of an epoch: see `AllReduce.train`; ``batches`` are `Parts`.

        ``state`` has ``point.theta (d,)``, and ``outer``, which is this strategy's own.
        """
        for part_steps in batches.rounds(epoch, STEPS if self.steps == "auto" else self.steps):
            total = part_steps.run(_LocalSteps(step), state)
            mean = _combined(partial(_divided, weight=total.weight), total.sums)
            state = self._outer_step(state, mean)
            yield state, [total.told]

    def epoch(self, kernel, state, rows, order, name):
        """The state after an epoch of each copy: see `AllReduce.epoch`.

        ``state`` is a `daskdsml.passes.stochastic.SGDEpoch`.
        """
        copies = state.copies or [None] * min(self.n_parts, rows.n_shards)
        common = state._replace(copies=()), order
        copies = tuple(rows.parts(_LocalEpoch(kernel), common, copies, name))
        state = averaged(state, copies)
        return state._replace(copies=copies) if self.steps == np.inf else state

    def _outer_step(self, before, mean):
        """The state from which the next round begins."""
        if self.outer_learning_rate == 1.0 and not self.outer_momentum:
            return mean
        theta, momentum = before.point.theta, self.outer_momentum
        delta = theta - mean.point.theta
        velocity = delta if before.outer is None else momentum * before.outer + delta
        mean.point.theta[:] = theta - self.outer_learning_rate * (delta + momentum * velocity)
        return mean._replace(outer=velocity)


class _LocalEpoch(NamedTuple):
    """Kernel of parts: a copy of the models goes through the rows of its part."""

    kernel: Any

    def __call__(self, common, copy, kept, rows):
        state, order = common
        return closed(rows.fold(self.kernel, of_copy(state, copy), order)).models


class _LocalSteps(NamedTuple):
    """Kernel: one step after the other over mini-batches, by a copy of the state."""

    step: Any

    def __call__(self, state, batches):
        state, told, n_rows = _combined(np.copy, state), None, 0
        for batch in batches:
            state, record = self.step(state, batch)
            told, n_rows = record if told is None else told + record, n_rows + batch.n_rows
            if record.failure is not None:
                break
        return _Copies(float(n_rows), _combined(partial(np.multiply, n_rows), state), told)


class _Copies(NamedTuple):
    """Rows that copies have met, sums of their states times these rows, and what steps told."""

    weight: float
    sums: Any
    told: Any

    def __add__(self, other: Any) -> _Copies:
        told = [each.told for each in (self, other) if each.told is not None]
        together = told[0] + told[1] if len(told) == 2 else next(iter(told), None)
        sums = _combined(np.add, self.sums, other.sums)
        return _Copies(self.weight + other.weight, sums, together)


def _divided(sums, weight):
    return sums / sums.dtype.type(weight)


def _combined(function, *states):
    """``function`` of the arrays of nested named tuples; of other entries the largest, or None."""
    first = states[0]
    if isinstance(first, np.ndarray):
        return function(*states).astype(first.dtype, copy=False)
    if hasattr(first, "_fields"):
        return type(first)(*(_combined(function, *each) for each in zip(*states, strict=True)))
    return first if first is None else max(states)
