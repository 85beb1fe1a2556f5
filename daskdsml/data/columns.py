"""Columns of datasets: chosen or put back lazily, and turned into rows."""

from __future__ import annotations

from typing import NamedTuple

import dask
import numpy as np
from dask.array import core as da
from scipy import sparse

from daskdsml.data.dataset import Dataset, checked_rows, is_dask_frame


class Spread(NamedTuple):
    """Puts columns (n, k) back to where ``support (p,)`` is True, with zeros elsewhere."""

    support: np.ndarray

    def __call__(self, block) -> np.ndarray:
        block = block.toarray() if sparse.issparse(block) else np.asarray(block)
        wide = np.zeros((block.shape[0], len(self.support)), dtype=block.dtype)
        wide[:, self.support] = block
        return wide


def take_columns(X, support):
    """The columns of a Dask Array or DataFrame X (n, p) where ``support (p,)`` is True, lazily.

    Rows keep their chunks or partitions, a DataFrame its index, and blocks their kind.
    """
    columns = np.flatnonzero(support)
    if is_dask_frame(X):
        return X.iloc[:, columns.tolist()]
    X = checked_rows(X)
    X = X if X.numblocks[1] == 1 else X.rechunk({1: -1})
    chunks = (X.chunks[0], (len(columns),))
    return X.map_blocks(_taken, columns, dtype=X.dtype, meta=X._meta, chunks=chunks)


def _taken(block, columns):
    return block[:, columns]


def columns_first(table: Dataset):
    """The table turned over, and y (n,), weights and groups as NumPy arrays or None.

    The turned table's rows are the features, its ``y`` their numbers. Reads y, w and g, not X.
    """
    X, *others = table.row_parts
    numbers = np.arange(X.shape[1])
    if not table.is_local:
        numbers = da.from_array(numbers, chunks=(X.chunks[1],))
        others = dask.compute(*others)
    y, w, g = others
    y = np.reshape(y, (X.shape[0], -1))[:, 0]
    w = None if w is None else np.asarray(w, dtype=np.float64)
    return Dataset(X.T, numbers), y, w, g
