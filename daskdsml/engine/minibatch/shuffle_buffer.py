"""Shuffle buffer: which rows make up which mini-batch, decided by layout and seed alone.

The buffer is a set of slots that hold rows. Partitions of the data come in random order into slots
that are free, batches are drawn at random from all slots in use, and free them. So the buffer is
always close to full, and a batch of data sorted by label mixes all the partitions that it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

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


class Draw(NamedTuple):
    """The rows in ``slots`` are a batch; the slots are free once the batch has been used."""

    slots: np.ndarray


class Layout(NamedTuple):
    """How rows lie in partitions, and how many make a batch.

    ``lengths (n_partitions,)`` are rows of each partition, ``capacity`` the slots of the buffer. A
    ``whole`` buffer holds all rows, each in the slot of its own number, and nothing comes or goes.
    """

    lengths: np.ndarray
    capacity: int
    whole: bool
    batch_size: int

    @property
    def n_rows(self) -> int:
        return int(self.lengths.sum())

    @property
    def n_steps(self) -> int:
        """Batches of an epoch; the last one may be smaller than the others."""
        return -(-self.n_rows // self.batch_size)


def lay_out(lengths, row_bytes, batch_size, pool_bytes, in_memory) -> Layout:
    """Lay out partitions of rows of ``row_bytes`` bytes on average.

    The buffer and the partition that is read ahead for it take ``pool_bytes`` together, if that is
    three partitions or more. Data of fewer bytes, or in memory anyway, are one whole buffer.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    n, largest = int(lengths.sum()), int(lengths.max())
    room = int(pool_bytes / max(row_bytes, 1e-9))
    if in_memory or n <= room:
        return Layout(lengths, n, True, batch_size)
    least = max(MIN_PARTITIONS * largest, largest + batch_size)
    capacity = max(room - largest, least)
    return Layout(lengths, min(capacity, n), capacity >= n, batch_size)


def joined(lengths, row_bytes) -> list[range]:
    """Group neighbouring chunks into partitions of PARTITION_BYTES; empty chunks go along."""
    groups, start, rows = [], 0, 0
    for i, length in enumerate(lengths):
        rows += length
        if rows and rows * row_bytes >= PARTITION_BYTES:
            groups.append(range(start, i + 1))
            start, rows = i + 1, 0
    if rows or not groups:
        groups.append(range(start, len(lengths)))
    elif start < len(lengths):
        groups[-1] = range(groups[-1].start, len(lengths))
    return groups


class EpochPlan:
    """One epoch: what comes into the buffer and which batches are drawn, in turn.

    Attributes
    ----------
    order : array (n_partitions,)
        The partitions in the order in which they come.
    """

    def __init__(self, layout: Layout, seed: int, epoch: int, shuffle: bool):
        self._layout, self._shuffle = layout, shuffle
        self._rng = np.random.default_rng((seed, epoch))
        n_partitions = len(layout.lengths)
        shuffled = shuffle and not layout.whole
        self.order = self._rng.permutation(n_partitions) if shuffled else np.arange(n_partitions)

    def __iter__(self) -> Iterator[Load | Draw]:
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
        for position, partition in enumerate(self.order.tolist()):
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
        size = self._layout.batch_size
        for start in range(0, len(slots), size):
            yield Draw(slots[start : start + size])
