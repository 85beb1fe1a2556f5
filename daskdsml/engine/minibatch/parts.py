"""Parts of the rows, each with mini-batches of its own, for copies of a model that train apart."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from daskdsml.engine import tree
from daskdsml.engine.minibatch.accumulate import finished
from daskdsml.engine.minibatch.shuffle_buffer import EpochPlan, Layout, Load, lay_out
from daskdsml.network_contracts import Batch
from daskdsml.utils.threads import single_threaded_blas

# Where there are chunks enough, a part has this many partitions or more: neighbouring rows, which
# may be of one label, then come into many parts.
PARTITIONS_PER_PART = 8


class Part(NamedTuple):
    """The ``partitions (m,)`` of all that part ``number`` has, and how their rows make batches."""

    number: int
    partitions: np.ndarray
    layout: Layout


def cut_parts(layout: Layout, row_bytes: float, pool_bytes: float, n_parts: int) -> list[Part]:
    """Deal the partitions of a layout out to parts in turn; there are not more parts than these."""
    n_parts = min(n_parts, len(layout.lengths))
    parts = []
    for number in range(n_parts):
        own = np.arange(number, len(layout.lengths), n_parts)
        sizes = layout.lengths[own], row_bytes, layout.batch_size, pool_bytes / n_parts
        parts.append(Part(number, own, lay_out(*sizes, layout.whole, layout.alone)))
    return parts


class LocalStep(NamedTuple):
    """A mini-batch in this process."""

    batch: Batch

    @property
    def n_rows(self) -> int:
        return self.batch.size

    def run(self, kernel, state):
        """What the kernel returns for the batch; it may be run as often as wanted."""
        with np.errstate(all="ignore"):
            return finished(kernel(state, self.batch))


class PartSteps:
    """The mini-batches of a part whose rows come into the slots ``places`` of ``rows``.

    ``rows`` are an `ArrayRows` or a `RowStore`, ``places (capacity,)`` an array, or None for the
    first slots; ``seed`` is a tuple of integers.
    """

    def __init__(self, part: Part, rows, places, shuffle: bool, seed: tuple[int, ...]):
        self.part = part
        self._rows, self._places = rows, places
        self._shuffle, self._seed = shuffle, seed
        self._place, self._coming = (-1, 0), self.epoch(0)

    def epoch(self, epoch: int, first: int = 0) -> Iterator[LocalStep]:
        """The mini-batches of an epoch from the ``first`` on, each row in one of them."""
        plan, step = EpochPlan(self.part.layout, self._seed, epoch, self._shuffle), 0
        numbers = self.part.partitions
        for event in plan:
            if isinstance(event, Load):
                self._load(event, plan, numbers)
                continue
            if step >= first:
                X, y, w, mask = self._rows.take(self._placed(event))
                key = (*self._seed, epoch, step)
                yield LocalStep(Batch(X, y, w, mask, size=len(event), key=key))
            step += 1

    def steps(self, epoch: int, first: int, count: int) -> Iterator[LocalStep]:
        """At most ``count`` mini-batches of an epoch; none is left out where this is told anew."""
        if self._place != (epoch, first):
            self._coming = self.epoch(epoch, first)
        self._place = (epoch, first + count)
        return islice(self._coming, count)

    def _placed(self, slots):
        return slots if self._places is None else self._places[slots]

    def _load(self, event: Load, plan: EpochPlan, numbers) -> None:
        number = int(numbers[event.partition])
        if not self._rows.holds(number):
            self._rows.load(number, None, self._placed(event.slots))
            following = plan.order[event.position + 1 : event.position + 2]
            self._rows.expect(*(int(numbers[i]) for i in following))


def advance(kernel, state, parts: list[PartSteps], n_parts: int, *steps: int) -> tree.PartialSums:
    """Add up ``kernel(state, batches)`` of parts, in order, as far as the tree over all allows.

    ``steps`` are epoch, first step and how many; a part that has no more is given no batch.
    """
    values = ((each.part.number, kernel(state, each.steps(*steps))) for each in parts)
    with single_threaded_blas(), np.errstate(all="ignore"):
        return tree.PartialSums(tree.collect(values, n_parts), 0, 0, {})


class Round(NamedTuple):
    """Some mini-batches of each part; it can be run until the next round is asked for."""

    parts: Any
    steps: tuple[int, int, int]

    def run(self, kernel, state):
        """The sum of ``kernel(state, batches)`` over the parts, in order."""
        return self.parts.advance(kernel, state, *self.steps)


def rounds(parts, epoch: int, count: int | None, first: int = 0) -> Iterator[Round]:
    """The rounds of an epoch, of ``count`` mini-batches of each part; None is for all of them.

    They begin with mini-batch number ``first`` of each part.
    """
    count = count or parts.steps_per_epoch
    for step in range(first, parts.steps_per_epoch, count):
        yield Round(parts, (epoch, step, count))


class LocalParts:
    """`Parts` in this process, of `LocalBatches` whose rows are cut into them."""

    def __init__(self, batches, rows, parts: list[Part], shuffle: bool, seed: int):
        self._batches = batches
        self.n_rows, self.in_shape, self.run = batches.n_rows, batches.in_shape, batches.run
        self.steps_per_epoch = max(part.layout.n_steps for part in parts)
        self._parts = [
            PartSteps(part, rows, _places(part, parts), shuffle, (seed, part.number))
            for part in parts
        ]

    def rounds(self, epoch: int, count: int | None, first: int = 0) -> Iterator[Round]:
        """See `rounds`."""
        return rounds(self, epoch, count, first)

    def advance(self, kernel, state, *steps: int):
        """See `Round.run`."""
        n_parts = len(self._parts)
        return tree.root(advance(kernel, state, self._parts, n_parts, *steps).nodes, n_parts)

    @property
    def n_rows_read(self) -> int:
        """Rows read so far."""
        return self._batches.n_rows_read

    @property
    def n_bytes_held(self) -> int:
        """Bytes of the rows held beside those the user holds."""
        return self._batches.n_bytes_held

    def close(self) -> None:
        """Release all rows."""
        self._parts = []
        self._batches.close()


def _places(part: Part, parts: list[Part]) -> np.ndarray:
    """Where the rows of a part go: each to its own number if all rows stay, else after others."""
    if not part.layout.whole:
        start = sum(other.layout.capacity for other in parts[: part.number])
        return np.arange(start, start + part.layout.capacity)
    lengths = np.empty(sum(len(other.partitions) for other in parts), dtype=np.int64)
    for other in parts:
        lengths[other.partitions] = other.layout.lengths
    starts = np.cumsum(lengths) - lengths
    return np.concatenate([np.arange(starts[i], starts[i] + lengths[i]) for i in part.partitions])
