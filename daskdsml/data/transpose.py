"""A table turned over, so that blocks of columns become blocks of rows; for the engine."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np

from daskdsml.data.dataset import Dataset


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
