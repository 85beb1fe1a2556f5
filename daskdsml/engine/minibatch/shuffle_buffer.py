"""Shuffle buffer: which rows make up which mini-batch, decided by layout and seed alone.

The buffer is a set of slots that hold rows. Partitions of the data come in random order into slots
that are free, batches are drawn at random from all slots in use, and free them. So the buffer is
always close to full, and a batch of data sorted by label mixes all the partitions that it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from daskdsml.data.blocks import group

# Neighbouring chunks are joined until a partition has this many bytes: below it, reading it and
# finding slots for it costs more than moving its rows.
PARTITION_BYTES = 2**20
# The buffer has room for this many of the largest partitions, however few bytes it is given: drawn
# from one partition alone, batches of sorted data would have one label.
MIN_PARTITIONS = 2


class Load(NamedTuple):
    """The partition at ``position`` of an epoch comes into ``slots``, one for each of its rows."""

    position: int
    partition: int
    slots: np.ndarray


class Layout(NamedTuple):
    """How rows lie in partitions, and how many make a batch.

    ``lengths (n_partitions,)`` are rows of each partition, ``capacity`` the slots of the buffer. A
    ``whole`` buffer holds all rows, each in the slot of its own number, and nothing comes or goes.
    A last batch of a single row joins the one before, unless it may stay ``alone``.
    """

    lengths: np.ndarray
    capacity: int
    whole: bool
    batch_size: int
    alone: bool = True

    @property
    def n_rows(self) -> int:
        return int(self.lengths.sum())

    @property
    def n_steps(self) -> int:
        """Batches of an epoch; the last one may be smaller than the others."""
        return len(batch_slices(self.n_rows, self.batch_size, self.alone))


def lay_out(lengths, row_bytes, batch_size, pool_bytes, in_memory, alone=True) -> Layout:
    """Lay out partitions of rows of ``row_bytes`` bytes on average.

    The buffer and the partition that is read ahead for it take ``pool_bytes`` together, if that is
    three partitions or more. Data of fewer bytes, or in memory anyway, are one whole buffer.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    n, largest = int(lengths.sum()), int(lengths.max())
    room = int(pool_bytes / max(row_bytes, 1e-9))
    if in_memory or n <= room:
        return Layout(lengths, n, True, batch_size, alone)
    least = max(MIN_PARTITIONS * largest, largest + batch_size)
    capacity = max(room - largest, least)
    return Layout(lengths, min(capacity, n), capacity >= n, batch_size, alone)


def joined(lengths, row_bytes, n_wanted=0) -> list[list[int]]:
    """Group neighbouring chunks into partitions; empty chunks go along."""
    least = partition_rows(sum(lengths), row_bytes, n_wanted)
    groups = list(group(range(len(lengths)), lengths.__getitem__, least))
    if len(groups) > 1 and not any(lengths[i] for i in groups[-1]):
        groups[-2:] = [groups[-2] + groups[-1]]
    return groups


def batch_slices(n_rows: int, batch_size: int, alone: bool) -> list[slice]:
    """Rows of each batch; a single one at the end joins the batch before if not ``alone``."""
    joins = not alone and n_rows > batch_size > 1 and n_rows % batch_size == 1
    starts = range(0, n_rows - joins, batch_size)
    return [slice(a, b) for a, b in pairwise([*starts, n_rows])]


def partition_rows(n_rows: int, row_bytes: float, n_wanted: int) -> float:
    """Rows that make PARTITION_BYTES, or fewer where there would not be ``n_wanted`` partitions."""
    rows = PARTITION_BYTES / max(row_bytes, 1e-9)
    return max(min(rows, n_rows / n_wanted) if n_wanted else rows, 1)


def cut_rows(n_rows: int, row_bytes: float, n_wanted=0) -> list[int]:
    """Lengths of partitions of rows in memory."""
    length = int(partition_rows(n_rows, max(row_bytes, 1.0), n_wanted))
    return [min(length, n_rows - start) for start in range(0, n_rows, length)]


class EpochPlan:
    """One epoch, in turn: what is loaded into the buffer, and the slots of each batch.

    Slots are free once their batch has been used.

    Attributes
    ----------
    order : list of int
        The partitions in the order in which they come.
    """

    def __init__(self, layout: Layout, seed: tuple[int, ...], epoch: int, shuffle: bool):
        self._layout, self._shuffle = layout, shuffle
        self._rng = np.random.default_rng((*seed, epoch))
        n_partitions = len(layout.lengths)
        shuffled = shuffle and not layout.whole
        order = self._rng.permutation(n_partitions) if shuffled else np.arange(n_partitions)
        self.order = order.tolist()

    def __iter__(self) -> Iterator[Load | np.ndarray]:
        return self._whole() if self._layout.whole else self._sliding()

    def _whole(self):
        layout = self._layout
        rows, start = np.arange(layout.n_rows), 0
        for partition, length in enumerate(layout.lengths.tolist()):
            yield Load(partition, partition, rows[start : start + length])
            start += length
        yield from self._batches(self._rng.permutation(rows) if self._shuffle else rows)

    def _sliding(self):
        layout, size = self._layout, self._layout.batch_size
        free, used = np.arange(layout.capacity), np.empty(0, dtype=np.int64)
        for position, partition in enumerate(self.order):
            length = int(layout.lengths[partition])
            missing = length - len(free)
            if missing > 0:
                drawn, used = self._drawn(used, -(-missing // size) * size)
                yield from self._batches(drawn)
                free = np.concatenate([free, drawn])
            slots, free = free[:length], free[length:]
            yield Load(position, partition, slots)
            used = np.concatenate([used, slots])
        yield from self._batches(self._drawn(used, len(used))[0])

    def _drawn(self, used, count):
        """``count`` of the slots in use, in the order in which they are used, and the others."""
        if not self._shuffle:
            return used[:count], used[count:]
        chosen = self._rng.choice(len(used), count, replace=False)
        stay = np.ones(len(used), dtype=bool)
        stay[chosen] = False
        return used[chosen], used[stay]

    def _batches(self, slots):
        layout = self._layout
        for rows in batch_slices(len(slots), layout.batch_size, layout.alone):
            yield slots[rows]


class SlotMap:
    """Which row is in which slot of the buffer, and which actor has it: actors number their own.

    Parameters
    ----------
    capacity : int
        Slots of the buffer.
    n_actors : int
    """

    def __init__(self, capacity: int, n_actors: int):
        self._actor = np.full(capacity, -1, dtype=np.int32)
        self._local, self._partition, self._row = (np.zeros(capacity, np.int64) for _ in range(3))
        self._free = [np.empty(0, dtype=np.int64) for _ in range(n_actors)]
        self._size = [0] * n_actors

    def load(self, actor: int, partition: int, slots) -> np.ndarray:
        """Put a partition into ``slots`` of the buffer: the actor's own numbers of these."""
        missing = len(slots) - len(self._free[actor])
        if missing > 0:
            size = self._size[actor]
            self._free[actor] = np.concatenate([self._free[actor], np.arange(size, size + missing)])
            self._size[actor] += missing
        own, self._free[actor] = np.split(self._free[actor], [len(slots)])
        self._actor[slots], self._local[slots] = actor, own
        self._partition[slots], self._row[slots] = partition, np.arange(len(slots))
        return own

    def parts(self, slots) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """For each actor, in order, its own slots of a batch and their positions in the batch."""
        actors = self._actor[slots]
        parts = {}
        for actor in np.unique(actors).tolist():
            positions = np.flatnonzero(actors == actor)
            parts[actor] = self._local[slots[positions]], positions
        return parts

    def free(self, slots) -> None:
        """Let other rows come into slots."""
        for actor, (own, _) in self.parts(slots).items():
            self._free[actor] = np.concatenate([self._free[actor], own])
        self._actor[slots] = -1

    def held(self, actor: int) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """What an actor holds, by partition: (partition, rows of it, the actor's own slots)."""
        slots = np.flatnonzero(self._actor == actor)
        slots = slots[np.argsort(self._partition[slots], kind="stable")]
        partitions, starts = np.unique(self._partition[slots], return_index=True)
        runs = np.split(slots, starts[1:])
        return [
            (partition, self._row[run], self._local[run])
            for partition, run in zip(partitions.tolist(), runs, strict=False)
        ]
