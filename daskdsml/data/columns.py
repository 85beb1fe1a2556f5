"""Columns of Dask collections, chosen or put back lazily; for selectors of features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from daskdsml.data.dataset import dask_rows
from daskdsml.data.frames import is_dask_frame


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
    if len(columns):
        return dask_rows(X)[:, columns]
    return dask_rows(X)[:, :0]
