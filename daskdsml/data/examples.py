"""The door of networks: rows of any rank become aligned, checked examples; for estimators.

Nothing here reads X, except to learn chunk sizes that are unknown.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from scipy import sparse
from sklearn.utils import check_array, check_consistent_length

from daskdsml.data import door
from daskdsml.data.blocks import nbytes
from daskdsml.data.checks import check_not_empty, check_numeric, check_rows, check_two_dimensional
from daskdsml.data.frames import is_dask_frame
from daskdsml.data.windows import WindowedSequences


class Examples(NamedTuple):
    """Aligned X, y, weights and masks: either all in this process's memory or all Dask Arrays.

    ``X`` is (n, *in_shape) in the dtype it is stored in, or CSR (n, p); ``y`` (n,), (n, K),
    (n, T) or None; ``w (n,)`` or None; ``mask (n, T)`` True at the steps that count, or None. Dask
    Arrays have equal row chunks of known lengths, and one chunk along all other axes.
    ``extra_reads`` counts reads of X spent on lengths.
    """

    X: Any
    y: Any = None
    w: Any = None
    mask: Any = None
    extra_reads: int = 0

    @property
    def parts(self) -> tuple:
        """X, y, w and mask."""
        return self[:4]

    @property
    def is_local(self) -> bool:
        return not isinstance(self.X, da.Array)

    @property
    def n_rows(self) -> int:
        return int(self.X.shape[0])

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Shape of one row of X."""
        return tuple(int(k) for k in self.X.shape[1:])

    @property
    def n_bytes(self) -> float | None:
        """Bytes of X; None for Dask Arrays of sparse chunks. Views into fewer bytes count these."""
        if sparse.issparse(self.X):
            return nbytes(self.X)
        if self.is_local:
            low, high = np.lib.array_utils.byte_bounds(self.X)
            return min(self.X.nbytes, high - low)
        return float(self.X.nbytes) if isinstance(self.X._meta, np.ndarray) else None


def admit_examples(
    X,
    y=None,
    sample_weight=None,
    mask=None,
    *,
    labels=False,
    multi_output=False,
    y_steps=False,
    ndim=None,
    estimator=None,
) -> Examples:
    """Check and align what the user passed.

    Parameters
    ----------
    X : array (n, ...), list, CSR (n, p), pandas or Dask DataFrame, Dask Array, WindowedSequences
    y : array (n,), (n, K) or (n, T), series, or None
    sample_weight : array (n,), series, number or None
    mask : array (n, T) or None
        True at the time steps that count.
    labels : bool
        Whether ``y`` holds class labels of any dtype; otherwise it must hold numbers.
    multi_output : bool
        Whether ``y`` may be (n, K).
    y_steps : bool
        Whether ``y`` is (n, T), a target for each time step.
    ndim : int, tuple of int or None
        Ranks that X may have; None stands for any from 2 on.
    estimator : estimator instance, named in messages

    Returns
    -------
    Examples

    Raises
    ------
    ValueError, TypeError
        If a rank, shape, dtype or length is not what is expected; the message names the remedy.
    """
    X = X.X if isinstance(X, WindowedSequences) else X
    ranks = (ndim,) if isinstance(ndim, int) else ndim
    if door.is_dask(X):
        return _admit_dask(X, y, sample_weight, mask, labels, multi_output, y_steps, ranks)
    X = _local_rows(X, ranks, estimator)
    y = None if y is None else door.local_target(_fetch(y), labels, multi_output or y_steps)
    w = door.local_weight(sample_weight, X.shape[0])
    mask = None if mask is None else _flags(np.asarray(_fetch(mask)))
    check_consistent_length(X, y, w)
    _check_steps(X, y if y_steps else None, mask)
    return Examples(X, y, w, mask)


def _local_rows(X, ranks, estimator):
    """X in this process's memory in its own dtype; finiteness is left to the loss."""
    if isinstance(X, np.ndarray):
        _check_rank(X, ranks)
        if X.dtype.kind == "c":
            check_numeric(X.dtype, "X")
    try:
        X = check_array(
            X,
            accept_sparse="csr",
            allow_nd=True,
            ensure_2d=False,
            ensure_all_finite=False,
            estimator=estimator,
            input_name="X",
        )
    except (TypeError, ValueError) as error:
        if not re.search("could not convert|promoted", str(error)):
            raise
        why = str(error).partition(". ")[0]
        raise ValueError(
            f"X must hold numbers, but: {why}. Encode or drop what is not a number."
        ) from error
    _check_rank(X, ranks)
    check_numeric(X.dtype, "X")
    check_not_empty(X.shape)
    return X


def _check_rank(X, ranks) -> None:
    """Raise ValueError unless X has one of these ranks."""
    if ranks == (2,) or (ranks is None and X.ndim < 2):
        check_two_dimensional(X)
    if ranks is not None and X.ndim not in ranks:
        expected = " or ".join(str(rank) for rank in ranks)
        raise ValueError(
            f"X has shape {tuple(X.shape)}, an array of {X.ndim} dimensions, expected {expected}: "
            "rows first, then the shape of a row. Reshape it with X.reshape(len(X), ...)."
        )


def _check_steps(X, y, mask) -> None:
    """Raise ValueError unless a mask, and a y of steps, have a value for each step of each row."""
    expected = tuple(int(k) for k in X.shape[:2])
    if mask is not None and tuple(mask.shape) != expected:
        raise ValueError(
            f"mask.shape == {tuple(mask.shape)}, expected {expected}: one flag per step."
        )
    if y is not None and tuple(y.shape) != expected:
        raise ValueError(
            f"y.shape == {tuple(y.shape)}, expected {expected}: one target per step. "
            "Pad shorter sequences and pass mask."
        )


def _admit_dask(X, y, sample_weight, mask, labels, multi_output, y_steps, ranks) -> Examples:
    X = _dask_rows(X, ranks)
    y = None if y is None else door.dask_target(y, labels, multi_output or y_steps)
    w = None if sample_weight is None else door.dask_weight(sample_weight)
    mask = None if mask is None else _dask_mask(mask)
    counted = bool(np.isnan(X.shape[0]))
    if counted:
        X = X.copy().compute_chunk_sizes()
        check_not_empty(X.shape)
    for part in (y, w):
        if part is not None and part.ndim and not np.isnan(part.shape[0]):
            check_rows(part.shape[0], X.shape[0])
    if mask is not None and not np.isnan(mask.shape[0]):
        _check_steps(X, None, mask)
    y, w, mask = (None if a is None else door.like_rows(a, X, counted) for a in (y, w, mask))
    _check_steps(X, y if y_steps else None, mask)
    return Examples(X, y, w, mask, int(counted))


def _dask_rows(X, ranks):
    """X as a Dask Array with one chunk along every axis but the first."""
    if is_dask_frame(X):
        X = door.matrix_of(X)
    _check_rank(X, ranks)
    check_numeric(X.dtype, "X")
    if np.isnan(X.shape[1:]).any():
        raise ValueError(
            f"X has shape {X.shape}: expected a known shape of each row. "
            "Call X.compute_chunk_sizes() first."
        )
    check_not_empty(X.shape)
    return X.rechunk({axis: -1 for axis in range(1, X.ndim)}) if max(X.numblocks[1:]) > 1 else X


def _dask_mask(mask):
    if is_dask_frame(mask):
        mask = mask.to_dask_array()
    if not door.is_dask(mask):
        return _flags(np.asarray(mask))
    meta = np.empty((0,) * mask.ndim, dtype=bool)
    return mask if mask.dtype == bool else mask.map_blocks(_flags, dtype=bool, meta=meta)


def _flags(mask):
    """A mask as booleans; ValueError where it holds what is neither true nor false."""
    if mask.dtype == bool:
        return mask
    strange = np.ones(mask.shape, dtype=bool)
    if mask.dtype.kind in "iufO":
        strange = ~np.isin(mask, (0, 1))
    if strange.any():
        raise ValueError(
            f"mask holds {mask[strange].tolist()[0]!r}: expected True (or 1) at the steps that "
            "count and False (or 0) at all others, such as mask = codes != padding."
        )
    return mask.astype(bool)


def _fetch(part):
    return part.compute() if door.is_dask(part) else part
