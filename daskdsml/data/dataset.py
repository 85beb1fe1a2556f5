"""What the user passes, aligned: all of it in this process's memory, or all Dask Arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from scipy import sparse

from daskdsml.data.blocks import float_dtype, nbytes
from daskdsml.data.checks import check_not_empty, check_numeric, check_rank
from daskdsml.data.frames import frame_to_array, is_dask_frame

# Numbers of axes that a table may have.
MATRIX = (2,)


class Dataset(NamedTuple):
    """Aligned X, y, weights, groups and masks.

    ``X`` is (n, p), or (n, ...) for networks; ``y`` (n,), (n, K), (n, T) or None; ``w`` and ``g``
    (n,) or None; ``mask (n, T)``, True at the time steps that count, or None. Dask Arrays have
    equal row chunks, whose lengths may be unknown (NaN). ``extra_reads`` counts reads of X spent on
    lengths.
    """

    X: Any
    y: Any = None
    w: Any = None
    g: Any = None
    mask: Any = None
    extra_reads: int = 0

    @property
    def row_parts(self) -> tuple:
        """X, y, w and g: what passes over all rows are given."""
        return self[:4]

    @property
    def batch_parts(self) -> tuple:
        """X, y, w and mask: what mini-batches are made of."""
        return self.X, self.y, self.w, self.mask

    @property
    def is_local(self) -> bool:
        return not isinstance(self.X, da.Array)

    @property
    def n_features(self) -> int:
        return self.X.shape[1]

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Shape of one row of X."""
        return tuple(int(k) for k in self.X.shape[1:])

    @property
    def n_rows(self) -> int | None:
        """Number of rows, or None while unknown."""
        n = self.X.shape[0]
        return None if np.isnan(n) else int(n)

    @property
    def n_bytes(self) -> float | None:
        """Bytes of X in the form passes compute with, or None while unknown."""
        if self.is_local:
            return nbytes(self.X)
        if self.n_rows is None or not isinstance(self.X._meta, np.ndarray):
            return None
        return float(self.n_rows) * self.n_features * float_dtype(self.X.dtype).itemsize

    @property
    def stored_bytes(self) -> float | None:
        """Bytes of X as it is; None for Dask Arrays of sparse chunks. Views count what they see."""
        if sparse.issparse(self.X):
            return nbytes(self.X)
        if self.is_local:
            low, high = np.lib.array_utils.byte_bounds(self.X)
            return min(self.X.nbytes, high - low)
        return float(self.X.nbytes) if isinstance(self.X._meta, np.ndarray) else None


def is_dask(X) -> bool:
    """Whether X is a Dask Array, DataFrame or Series."""
    return isinstance(X, da.Array) or is_dask_frame(X)


def meta_of(X):
    """What tells the names and number of columns: the empty frame behind a Dask DataFrame."""
    return X._meta if is_dask_frame(X) else X


def dask_rows(X, ranks=MATRIX):
    """X as a Dask Array, from a Dask Array or DataFrame, after checking shape and dtype.

    Columns end up in one chunk per row chunk only where a caller needs it; row chunks are kept.
    """
    if is_dask_frame(X):
        return frame_to_array(X, "X")
    check_rank(X, ranks)
    check_numeric(X.dtype, "X")
    if np.isnan(X.shape[1:]).any():
        raise ValueError(
            f"The number of columns of X is unknown: expected a known shape of each row, but X has "
            f"shape {X.shape}. Call X.compute_chunk_sizes() first."
        )
    check_not_empty(X.shape)
    return X


def score_dtype(X) -> np.dtype:
    """The dtype of the scores of a Dask collection: the one X is computed with."""
    return float_dtype(dask_rows(X).dtype)
