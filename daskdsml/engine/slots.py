"""Rows in memory, in the slots of a pool, and gathered from there into batches."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from daskdsml.data.blocks import nbytes


class Rows(NamedTuple):
    """Rows in memory: ``X`` an array (n, ...) or CSR matrix, ``y``, ``w`` and ``mask`` or None."""

    X: Any
    y: Any = None
    w: Any = None
    mask: Any = None

    @property
    def n_rows(self) -> int:
        return self.X.shape[0]

    @property
    def n_bytes(self) -> int:
        """Bytes of all parts, as if none were a view."""
        return sum(nbytes(part) for part in self.parts if part is not None)

    @property
    def parts(self) -> tuple:
        """X, y, w and mask."""
        return self.X, self.y, self.w, self.mask

    def take(self, places) -> Rows:
        """Copies of the rows at ``places``, or views of a slice of them; CSR becomes dense."""
        return Rows(*(None if part is None else _taken(part, places) for part in self.parts))

    def only(self, places) -> Rows:
        """Copies of the rows at ``places``; CSR stays CSR."""
        return Rows(*(None if part is None else part[places] for part in self.parts))


class Slots:
    """Slots that rows are put into and taken from; there are more whenever more are needed.

    Parameters
    ----------
    capacity : int
        Slots to begin with.
    """

    def __init__(self, capacity: int = 0):
        self._capacity = capacity
        self._columns: list | None = None

    def put(self, slots, rows: Rows) -> None:
        """Copy ``rows`` to ``slots``, an array of as many numbers."""
        if self._columns is None:
            kinds = (None if p is None else _column(p, self._capacity) for p in rows.parts)
            self._columns = list(kinds)
        for column, part in zip(self._columns, rows.parts, strict=True):
            if column is not None:
                column.put(slots, part)

    def take(self, slots) -> Rows:
        """The rows in ``slots``, an array or a slice, as `Rows.take` gives them."""
        return Rows(*(None if column is None else column.take(slots) for column in self._columns))

    @property
    def n_bytes(self) -> int:
        """Bytes that the slots take, in use or not."""
        return sum(column.n_bytes for column in self._columns or () if column is not None)


def _column(part, capacity):
    return _Sparse(part, capacity) if sparse.issparse(part) else _Dense(part, capacity)


class Placed(NamedTuple):
    """The rows of a piece that are in slots: its i-th row is in slot ``where[i]``."""

    slots: Slots
    where: np.ndarray

    def take(self, places) -> Rows:
        """Copies of the rows at ``places``, an array or a slice."""
        return self.slots.take(self.where[places])


class _Dense:
    """Slots of one array."""

    def __init__(self, like, capacity):
        self._rows = np.empty((capacity, *like.shape[1:]), dtype=like.dtype)

    def put(self, slots, part):
        self._rows = _grown(self._rows, slots)
        self._rows[slots] = part

    def take(self, slots):
        return _taken(self._rows, slots)

    @property
    def n_bytes(self):
        return self._rows.nbytes


class _Sparse:
    """Slots of a CSR matrix: column numbers and values of each row, on their own."""

    def __init__(self, like, capacity):
        self._width, self._dtype = like.shape[1], like.dtype
        self._entries = np.empty(capacity, dtype=object)

    def put(self, slots, part):
        self._entries = _grown(self._entries, slots)
        borders = part.indptr[1:-1]
        columns, values = np.split(part.indices, borders), np.split(part.data, borders)
        for slot, c, v in zip(np.asarray(slots).tolist(), columns, values, strict=True):
            self._entries[slot] = c.copy(), v.copy()  # views would keep all of the piece alive

    def take(self, slots):
        chosen = self._entries[slots]
        dense = np.zeros((len(chosen), self._width), dtype=self._dtype)
        rows = np.repeat(np.arange(len(chosen)), [len(c) for c, _ in chosen])
        columns = np.concatenate([c for c, _ in chosen])
        dense[rows, columns] = np.concatenate([v for _, v in chosen])
        return dense

    @property
    def n_bytes(self):
        return sum(c.nbytes + v.nbytes for c, v in filter(None, self._entries))


def _grown(rows, slots):
    """An array with room for all ``slots``, half as many again if it must grow."""
    needed = int(np.max(slots, initial=-1)) + 1
    if needed <= len(rows):
        return rows
    grown = np.empty((max(needed, len(rows) * 3 // 2), *rows.shape[1:]), dtype=rows.dtype)
    grown[: len(rows)] = rows
    return grown


def _taken(part, places):
    if sparse.issparse(part):
        return part[places].toarray()
    if isinstance(places, slice) or not part.flags.c_contiguous:
        return part[places]  # `take` would first copy all of a part that is not contiguous
    return part.take(places, axis=0)
