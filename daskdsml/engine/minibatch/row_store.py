"""Row store: the rows that one actor holds, and a thread that reads ahead for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from daskdsml.engine.minibatch.row_buffer import BufferedRows, RowBlock, RowBuffer
from daskdsml.engine.scheduling import read_ahead


class SentRows(NamedTuple):
    """A partition that was sent; it is forgotten once it was read."""

    rows: RowBlock

    def __call__(self) -> RowBlock:
        # What came over a network may start anywhere, where NumPy leaves BLAS.
        X, *others = self.rows
        X = X if hasattr(X, "tocsr") else np.require(X, requirements="A")
        return RowBlock(X, *(p if p is None else np.require(p, requirements="A") for p in others))


class RowStore:
    """Partitions that can be read, those kept in memory, and rows in the slots of a buffer.

    Parameters
    ----------
    keep : bool
        Whether partitions stay in memory once they were read.
    stay : bool
        Whether rows stay in their slots, so that a partition there need not be kept elsewhere.
    capacity : int
        RowBuffer to begin with.

    Attributes
    ----------
    n_rows_read : int
    """

    def __init__(self, keep: bool, stay: bool, capacity: int):
        self._keep, self._stay = keep, stay
        self._sources: dict = {}
        self._kept: dict[int, RowBlock] = {}
        self._where: dict = {}
        self._slots = RowBuffer(capacity)
        self._ahead: dict = {}
        self._reader: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._epoch = 0
        self.n_rows_read = 0

    def learn(self, sources: dict) -> None:
        """How to read partitions: callables that give `RowBlock`, by number."""
        for partition, source in sources.items():
            if partition not in self._kept and partition not in self._where:
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
        self._kept.update(partitions)
        self._count(sum(rows.n_rows for rows in partitions.values()))

    def expect(self, partition: int | None) -> None:
        """Begin to read a partition; what was read ahead before and not asked for is let go."""
        if (
            partition is None
            or partition in self._kept
            or partition in self._where
            or partition in self._ahead
        ):
            return
        if self._reader is None:
            self._reader = ThreadPoolExecutor(1, thread_name_prefix="daskdsml-read")
        for other in self._ahead.values():
            other.cancel()
        self._ahead = {partition: self._reader.submit(self._read, partition)}

    def load(self, partition: int, rows, slots) -> None:
        """Put a partition, or those of its ``rows`` that an array tells, into ``slots``."""
        found = self._fetch(partition)
        self._slots.put(slots, found if rows is None else found.only(rows))
        if self._stay:
            self._where[partition] = slots
            self._kept.pop(partition, None)

    def holds(self, partition: int) -> bool:
        """Whether the rows of a partition stay in slots."""
        return partition in self._where

    def take(self, slots) -> RowBlock:
        """Copies of the rows in ``slots``."""
        return self._slots.take(slots)

    def partitions(self, numbers) -> Iterator[tuple]:
        """Number and rows of partitions, one after the other; the next one is read meanwhile.

        Rows have ``take``, be they `RowBlock` or `BufferedRows` in slots.
        """
        numbers = list(numbers)
        found = ((i, self._buffered(i) or self._fetch(i)) for i in numbers)
        at_hand = all(i in self._kept or i in self._where for i in numbers)
        return found if at_hand else read_ahead(found)

    @property
    def n_bytes(self) -> int:
        """Bytes of the slots and of the partitions kept, read ahead, or sent and not read yet."""
        ahead = {i: a.result() for i, a in self._ahead.items() if a.done() and not a.exception()}
        sent = (s.rows.n_bytes for s in list(self._sources.values()) if isinstance(s, SentRows))
        partitions = (rows.n_bytes for rows in {**ahead, **self._kept}.values())
        return self._slots.n_bytes + sum(partitions) + sum(sent)

    def close(self) -> None:
        """Let go of all rows, once a read that is under way has ended."""
        try:
            if self._reader is not None:
                self._reader.shutdown(cancel_futures=True)
        finally:
            self._reader, self._ahead, self._kept, self._where = None, {}, {}, {}
            self._sources, self._slots = {}, RowBuffer()

    def _buffered(self, partition) -> BufferedRows | None:
        return (
            BufferedRows(self._slots, self._where[partition]) if partition in self._where else None
        )

    def _fetch(self, partition) -> RowBlock:
        ahead = self._ahead.pop(partition, None)
        if partition in self._kept:
            return self._kept[partition]
        return self._read(partition) if ahead is None else ahead.result()

    def _read(self, partition) -> RowBlock:
        source = self._sources[partition]
        rows = source()
        if isinstance(source, SentRows):
            self._sources.pop(partition, None)
        self._count(rows.n_rows)
        if self._keep:
            self._kept[partition] = rows
        return rows

    def _count(self, n_rows) -> None:
        with self._lock:
            self.n_rows_read += n_rows
