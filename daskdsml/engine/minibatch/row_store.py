"""Row store: the rows that one process holds for training, and a thread that reads ahead for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from daskdsml.data.blocks import aligned
from daskdsml.engine.minibatch.row_buffer import BufferedRows, RowBlock, RowBuffer
from daskdsml.engine.scheduling import read_ahead
from daskdsml.engine.signatures import Unchanged, signature


class SentRows(NamedTuple):
    """A partition that was sent; it is forgotten once it was read."""

    rows: RowBlock

    def __call__(self) -> RowBlock:
        return RowBlock(*map(aligned, self.rows))


class RowStore:
    """Partitions that can be read, those kept in memory, and rows in the slots of a buffer.

    Parameters
    ----------
    keep : bool
        Whether partitions stay in memory once they were read.
    stay : bool
        Whether rows stay in their slots, so that a partition there need not be kept elsewhere.
    capacity : int
        Slots to begin with.

    Attributes
    ----------
    n_rows_read : int
    """

    def __init__(self, keep: bool, stay: bool, capacity: int):
        self._keep, self._stay = keep, stay
        self._sources: dict = {}
        self._cached: dict[int, RowBlock] = {}
        self._buffer = RowBuffer(capacity)
        self._slots: dict[int, np.ndarray] = {}
        self._ahead: dict = {}
        self._reader: ThreadPoolExecutor | None = None
        self._unchanged = Unchanged(joined=True)
        self._lock = threading.Lock()
        self._epoch = 0
        self.n_rows_read = 0

    def learn(self, sources: dict) -> None:
        """How to read partitions: callables that give `RowBlock`, by number."""
        for partition, source in sources.items():
            if not self._at_hand(partition):
                self._sources[partition] = source

    def receive(self, partition: int, sent: SentRows, epoch: int) -> None:
        """Take a partition that was sent in an ``epoch``; those of earlier ones are not wanted."""
        with self._lock:
            if epoch > self._epoch:
                self._epoch, self._sources = epoch, {}
            if epoch == self._epoch:
                self.learn({partition: sent})

    def keep(self, partitions: dict[int, RowBlock]) -> None:
        """Take partitions that were read elsewhere."""
        self._cached.update(partitions)
        self._count(sum(rows.n_rows for rows in partitions.values()))

    def expect(self, partition: int | None = None) -> None:
        """Begin to read a partition; another one that was read ahead is dropped."""
        if partition is None or self._at_hand(partition) or partition in self._ahead:
            return
        if partition not in self._sources:
            return  # it is not to be read, but will be sent
        if self._reader is None:
            self._reader = ThreadPoolExecutor(1, thread_name_prefix="daskdsml-read")
        for other in self._ahead.values():
            other.cancel()
        self._ahead = {partition: self._reader.submit(self._read, partition)}

    def load(self, partition: int, rows, slots) -> None:
        """Put a partition, or ``rows`` of it by their numbers, into ``slots``."""
        block = self._fetch(partition)
        self._buffer.put(slots, block if rows is None else block.only(rows))
        if self._stay:
            self._slots[partition] = slots
            self._cached.pop(partition, None)

    def holds(self, partition: int) -> bool:
        """Whether the rows of a partition stay in slots."""
        return partition in self._slots

    def take(self, slots) -> RowBlock:
        """Copies of the rows in ``slots``."""
        return self._buffer.take(slots)

    def partitions(self, numbers) -> Iterator[tuple]:
        """Number and rows of partitions, one after the other; the next one is read meanwhile.

        Rows have ``take``, be they `RowBlock` or `BufferedRows` in slots.
        """
        numbers = list(numbers)
        partitions = ((i, self._buffered(i) or self._fetch(i)) for i in numbers)
        return partitions if all(map(self._at_hand, numbers)) else read_ahead(partitions)

    @property
    def n_bytes(self) -> int:
        """Bytes of the slots and of the partitions kept, read ahead, or sent and not read yet."""
        ahead = {i: a.result() for i, a in self._ahead.items() if a.done() and not a.exception()}
        sent = (s.rows.n_bytes for s in list(self._sources.values()) if isinstance(s, SentRows))
        partitions = (rows.n_bytes for rows in {**ahead, **self._cached}.values())
        return self._buffer.n_bytes + sum(partitions) + sum(sent)

    def close(self) -> None:
        """Release all rows, once a read that is under way has ended."""
        try:
            if self._reader is not None:
                self._reader.shutdown(cancel_futures=True)
        finally:
            self._reader, self._ahead, self._cached, self._slots = None, {}, {}, {}
            self._sources, self._buffer = {}, RowBuffer()

    def _at_hand(self, partition) -> bool:
        return partition in self._cached or partition in self._slots

    def _buffered(self, partition) -> BufferedRows | None:
        slots = self._slots.get(partition)
        return None if slots is None else BufferedRows(self._buffer, slots)

    def _fetch(self, partition) -> RowBlock:
        ahead = self._ahead.pop(partition, None)
        if partition in self._cached:
            return self._cached[partition]
        return self._read(partition) if ahead is None else ahead.result()

    def _read(self, partition) -> RowBlock:
        source = self._sources[partition]
        rows = source()
        self._unchanged.check({partition: signature(rows.X, rows.y, rows.w)})
        if isinstance(source, SentRows):
            self._sources.pop(partition, None)
        self._count(rows.n_rows)
        if self._keep:
            self._cached[partition] = rows
        return rows

    def _count(self, n_rows) -> None:
        with self._lock:
            self.n_rows_read += n_rows
