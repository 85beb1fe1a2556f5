"""Columns of datasets: chosen or put back lazily, and turned into rows."""

from __future__ import annotations

from typing import NamedTuple

import dask
import dask.array as da
import numpy as np
from scipy import sparse

from daskdsml.data.dataset import Dataset, dask_rows, is_dask_frame


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
    return dask_rows(X)[:, columns if len(columns) else slice(0)]


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
    y = np.reshape(y, (X.shape[0], -1))[:, 0].astype(np.float64)
    w = None if w is None else np.asarray(w, dtype=np.float64)
    return Dataset(X.T, numbers), y, w, g
