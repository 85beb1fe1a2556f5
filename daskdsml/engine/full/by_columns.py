"""A table laid out in blocks of columns, for passes over features."""

from __future__ import annotations

from copy import copy

import numpy as np

from daskdsml.contracts import Block
from daskdsml.data.columns import columns_first
from daskdsml.data.dataset import Dataset
from daskdsml.engine.full.rows import open_rows


class ByColumns:
    """A table laid out in blocks of columns, with y, weights and groups in this process.

    Passes see the transposed X: a block's rows are features, numbered by its ``y``.
    """

    def __init__(self, table: Dataset, cache: str, n_jobs: int | None, square: bool, journal=None):
        X, self.y, self.w, self.g = columns_first(table)
        self.n_rows = table.n_rows
        self._features = X.X.shape[0]
        self._rows = open_rows(X, cache, n_jobs, square, journal)
        self.run = self._rows.run
        self.close = self._rows.close

    def map(self, transform) -> ByColumns:
        """The same table with ``transform`` applied to targets, weights and groups."""
        rows = copy(self)
        rows._rows = copy(self._rows)
        rows.run, rows.close = rows._rows.run, rows._rows.close
        block = transform(Block(np.empty((self.n_rows, 0)), self.y, self.w, self.g))
        rows.y, rows.w, rows.g = block.y, block.w, block.g
        return rows

    @property
    def n_rows_read(self) -> float:
        """Rows of X read so far: complete reads of all columns, times rows."""
        return self._rows.n_rows_read * self.n_rows / self._features


def suits_columns(table: Dataset) -> bool:
    """Whether X is laid out by columns: more column chunks than row chunks, or in Fortran order."""
    if table.n_rows is None:
        return False
    if table.is_local:
        return isinstance(table.X, np.ndarray) and not table.X.flags.c_contiguous
    return table.X.numblocks[1] > table.X.numblocks[0]
