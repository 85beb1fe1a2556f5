"""Rows in memory, in the slots of a buffer, and gathered from there into batches."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from daskdsml.data.blocks import nbytes


class RowBlock(NamedTuple):
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
        return sum(nbytes(part) for part in self if part is not None)

    def take(self, indices) -> RowBlock:
        """Copies of the rows at ``indices``, or views of a slice of them; CSR becomes dense."""
        return RowBlock(*(None if part is None else _taken(part, indices) for part in self))

    def only(self, indices) -> RowBlock:
        """Copies of the rows at ``indices``; CSR stays CSR."""
        return RowBlock(*(None if part is None else part[indices] for part in self))


class RowBuffer:
    """Slots that rows are put into and taken from; there are more whenever more are needed.

    Parameters
    ----------
    capacity : int
        Slots to begin with.
    """

    def __init__(self, capacity: int = 0):
        self._capacity = capacity
        self._columns: dict[str, Any] = {}

    def put(self, slots, rows: RowBlock) -> None:
        """Copy ``rows`` to ``slots``, an array of as many numbers."""
        for name, array in rows._asdict().items():
            if array is None:
                continue
            if name not in self._columns:
                kind = _Sparse if sparse.issparse(array) else _Dense
                self._columns[name] = kind(name, array, self._capacity)
            self._columns[name].put(slots, array)

    def take(self, slots) -> RowBlock:
        """The rows in ``slots``, an array or a slice, as `RowBlock.take` gives them."""
        return RowBlock(**{name: column.take(slots) for name, column in self._columns.items()})

    @property
    def n_bytes(self) -> int:
        """Bytes that the slots take, in use or not."""
        return sum(column.n_bytes for column in self._columns.values())


def row_bytes(rows: RowBlock) -> float:
    """Bytes that a row takes in slots, on average over ``rows``."""
    buffer = RowBuffer(rows.n_rows)
    buffer.put(np.arange(rows.n_rows), rows)
    return buffer.n_bytes / rows.n_rows


class BufferedRows(NamedTuple):
    """The rows of a partition that are in a buffer: its i-th row is in ``slots[i]``."""

    buffer: RowBuffer
    slots: np.ndarray

    def take(self, indices) -> RowBlock:
        """Copies of the rows at ``indices``, an array or a slice."""
        return self.buffer.take(self.slots[indices])


class _Dense:
    """Slots of one array."""

    def __init__(self, name, like, capacity):
        self._name = name
        self._rows = np.empty((capacity, *like.shape[1:]), dtype=like.dtype)

    def put(self, slots, array):
        dtype = _common(self._name, self._rows.dtype, array.dtype)
        self._rows = _grown(self._rows.astype(dtype, copy=False), slots)
        self._rows[slots] = array

    def take(self, slots):
        return _taken(self._rows, slots)

    @property
    def n_bytes(self):
        return self._rows.nbytes


class _Sparse:
    """Slots of a CSR matrix: the entries of each row as bytes, the cheapest object there is."""

    def __init__(self, name, like, capacity):
        self._name, self._width = name, like.shape[1]
        self._entry = self._entries_of(like.dtype)
        self._rows = np.empty(capacity, dtype=object)

    def put(self, slots, matrix):
        self._widen(matrix.dtype)
        self._rows = _grown(self._rows, slots)
        entries = self._packed(matrix.indices, matrix.data, matrix.nnz)
        self._rows[slots] = _cut(entries, matrix.indptr)

    def take(self, slots):
        borders, entries = self._joined(self._rows[slots].tolist())
        dense = np.zeros((len(borders) - 1, self._width), dtype=self._entry["value"])
        rows = np.repeat(np.arange(len(dense)), np.diff(borders))
        dense[rows, entries["column"]] = entries["value"]
        return dense

    @property
    def n_bytes(self):
        return self._rows.nbytes + sum(map(sys.getsizeof, filter(None, self._rows)))

    def _entries_of(self, dtype) -> np.dtype:
        column = np.int32 if self._width <= np.iinfo(np.int32).max else np.int64
        return np.dtype([("column", column), ("value", dtype)])

    def _packed(self, columns, values, n):
        entries = np.empty(n, dtype=self._entry)
        entries["column"], entries["value"] = columns[:n], values[:n]
        return entries

    def _joined(self, rows: list[bytes]):
        """Where each row begins, and the entries of all."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows)) // self._entry.itemsize
        return np.append(0, lengths.cumsum()), np.frombuffer(b"".join(rows), dtype=self._entry)

    def _widen(self, dtype):
        """Have entries hold values of another dtype, too."""
        known = self._entry["value"]
        common = _common(self._name, known, dtype)
        if common == known:
            return
        used = [slot for slot, row in enumerate(self._rows) if row is not None]
        borders, entries = self._joined(self._rows[used].tolist())
        self._entry = self._entries_of(common)
        packed = self._packed(entries["column"], entries["value"], len(entries))
        self._rows[used] = _cut(packed, borders)


def _cut(entries, borders) -> list[bytes]:
    """The entries between borders, each on their own: views would keep all of them alive."""
    data, borders = entries.tobytes(), (borders * np.int64(entries.itemsize)).tolist()
    return [data[a:b] for a, b in zip(borders[:-1], borders[1:], strict=True)]


def _common(name, known, other) -> np.dtype:
    """The dtype that holds values of both; text and numbers have none."""
    if known == other:
        return known
    try:
        common = np.promote_types(known, other)
    except TypeError:
        common = None
    kinds = {known.kind in "SU", other.kind in "SU"}
    if common is None or (common.kind != "O" and len(kinds) == 2):
        raise ValueError(
            f"All chunks of {name} must be of one kind, but one holds {other} and those before it "
            f"{known}. Give them one dtype, as map_blocks(lambda block: block.astype(...)) does."
        )
    return common


def _grown(rows, slots):
    """An array with room for all ``slots``, half as many again if it must grow."""
    needed = int(np.max(slots, initial=-1)) + 1
    if needed <= len(rows):
        return rows
    grown = np.empty((max(needed, len(rows) * 3 // 2), *rows.shape[1:]), dtype=rows.dtype)
    grown[: len(rows)] = rows
    return grown


def _taken(array, indices):
    if sparse.issparse(array):
        return array[indices].toarray()
    if isinstance(indices, slice) or not (array.flags.c_contiguous and array.flags.aligned):
        # `take` would first copy all of an array that is not contiguous, or came over a network and
        # starts anywhere.
        return np.require(array[indices], requirements="A")
    return array.take(indices, axis=0)
