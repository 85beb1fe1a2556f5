"""The shelf: the rows that one place holds, and a thread that reads ahead for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from daskdsml.engine.shards import read_ahead
from daskdsml.engine.slots import Placed, Rows, Slots


class Given(NamedTuple):
    """A piece that was sent; it is forgotten once it was read."""

    rows: Rows

    def __call__(self) -> Rows:
        # What came over a network may start anywhere, where NumPy leaves BLAS.
        X, *others = self.rows
        X = X if hasattr(X, "tocsr") else np.require(X, requirements="A")
        return Rows(X, *(p if p is None else np.require(p, requirements="A") for p in others))


class Shelf:
    """Pieces that can be read, those kept in memory, and rows in the slots of a pool.

    Parameters
    ----------
    keep : bool
        Whether pieces stay in memory once they were read.
    stay : bool
        Whether rows stay in their slots, so that a piece there need not be kept elsewhere.
    capacity : int
        Slots to begin with.

    Attributes
    ----------
    n_rows_read : int
    """

    def __init__(self, keep: bool, stay: bool, capacity: int):
        self._keep, self._stay = keep, stay
        self._sources: dict = {}
        self._kept: dict[int, Rows] = {}
        self._where: dict = {}
        self._slots = Slots(capacity)
        self._ahead: dict = {}
        self._reader: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._turn = 0
        self.n_rows_read = 0

    def learn(self, sources: dict) -> None:
        """How to read pieces: callables that give `Rows`, by number."""
        for piece, source in sources.items():
            if piece not in self._kept and piece not in self._where:
                self._sources[piece] = source

    def receive(self, piece: int, given: Given, turn: int) -> None:
        """Take a piece that was sent in a ``turn``; those of earlier turns are not wanted now."""
        with self._lock:
            if turn > self._turn:
                self._turn, self._sources = turn, {}
            if turn == self._turn:
                self.learn({piece: given})

    def keep(self, pieces: dict[int, Rows]) -> None:
        """Take pieces that were read elsewhere."""
        self._kept.update(pieces)
        self._count(sum(rows.n_rows for rows in pieces.values()))

    def expect(self, piece: int | None) -> None:
        """Begin to read a piece; what was read ahead before and not asked for is let go."""
        if piece is None or piece in self._kept or piece in self._where or piece in self._ahead:
            return
        if self._reader is None:
            self._reader = ThreadPoolExecutor(1, thread_name_prefix="daskdsml-read")
        for other in self._ahead.values():
            other.cancel()
        self._ahead = {piece: self._reader.submit(self._read, piece)}

    def load(self, piece: int, rows, slots) -> None:
        """Put a piece, or those of its ``rows`` that an array tells, into ``slots``."""
        found = self._fetch(piece)
        self._slots.put(slots, found if rows is None else found.only(rows))
        if self._stay:
            self._where[piece] = slots
            self._kept.pop(piece, None)

    def holds(self, piece: int) -> bool:
        """Whether the rows of a piece stay in slots."""
        return piece in self._where

    def take(self, slots) -> Rows:
        """Copies of the rows in ``slots``."""
        return self._slots.take(slots)

    def pieces(self, numbers) -> Iterator[tuple]:
        """Number and rows of pieces, one after the other; the next one is read meanwhile.

        Rows have ``take``, be they `Rows` or `Placed` in slots.
        """
        numbers = list(numbers)
        found = ((i, self._placed(i) or self._fetch(i)) for i in numbers)
        at_hand = all(i in self._kept or i in self._where for i in numbers)
        return found if at_hand else read_ahead(found)

    @property
    def n_bytes(self) -> int:
        """Bytes of the slots and of the pieces kept, read ahead, or sent and not read yet."""
        ahead = {i: a.result() for i, a in self._ahead.items() if a.done() and not a.exception()}
        sent = (s.rows.n_bytes for s in list(self._sources.values()) if isinstance(s, Given))
        pieces = (rows.n_bytes for rows in {**ahead, **self._kept}.values())
        return self._slots.n_bytes + sum(pieces) + sum(sent)

    def close(self) -> None:
        """Let go of all rows, once a read that is under way has ended."""
        try:
            if self._reader is not None:
                self._reader.shutdown(cancel_futures=True)
        finally:
            self._reader, self._ahead, self._kept, self._where = None, {}, {}, {}
            self._sources, self._slots = {}, Slots()

    def _placed(self, piece) -> Placed | None:
        return Placed(self._slots, self._where[piece]) if piece in self._where else None

    def _fetch(self, piece) -> Rows:
        ahead = self._ahead.pop(piece, None)
        if piece in self._kept:
            return self._kept[piece]
        return self._read(piece) if ahead is None else ahead.result()

    def _read(self, piece) -> Rows:
        source = self._sources[piece]
        rows = source()
        if isinstance(source, Given):
            self._sources.pop(piece, None)
        self._count(rows.n_rows)
        if self._keep:
            self._kept[piece] = rows
        return rows

    def _count(self, n_rows) -> None:
        with self._lock:
            self.n_rows_read += n_rows
