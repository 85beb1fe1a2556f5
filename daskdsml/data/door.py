"""The one door: checks, aligns and names what the user passes; imported by estimators.

Nothing here reads a Dask collection, except to learn chunk sizes that are unknown and needed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import column_or_1d

from daskdsml.data.blocks import float_dtype, nbytes
from daskdsml.data.checks import check_not_empty, check_numeric, check_rows, check_two_dimensional
from daskdsml.data.frames import frame_to_array, is_dask_frame, series_to_array


class Table(NamedTuple):
    """Aligned X, y, weights and groups: either all in this process's memory or all Dask Arrays.

    ``X`` is (n, p); ``y`` (n,), (n, K) or None; ``w`` and ``g`` (n,) or None. Dask Arrays have
    equal row chunks, whose lengths may be unknown (NaN). ``extra_reads`` counts reads of X spent on
    lengths.
    """

    X: Any
    y: Any = None
    w: Any = None
    g: Any = None
    extra_reads: int = 0

    @property
    def parts(self) -> tuple:
        """X, y, w and g."""
        return self[:4]

    @property
    def is_local(self) -> bool:
        return not isinstance(self.X, da.Array)

    @property
    def n_features(self) -> int:
        return self.X.shape[1]

    @property
    def n_rows(self) -> int | None:
        """Number of rows, or None while unknown."""
        n = self.X.shape[0]
        return None if np.isnan(n) else int(n)

    @property
    def n_bytes(self) -> float | None:
        """Bytes of X in the form it is computed with, or None while unknown."""
        if self.is_local:
            return nbytes(self.X)
        if self.n_rows is None or not isinstance(self.X._meta, np.ndarray):
            return None
        return float(self.n_rows) * self.n_features * float_dtype(self.X.dtype).itemsize


def is_dask(X) -> bool:
    """Whether X is a Dask Array, DataFrame or Series."""
    return isinstance(X, da.Array) or is_dask_frame(X)


def likeness(X):
    """What tells the names and number of columns: the empty frame behind a Dask DataFrame."""
    return X._meta if is_dask_frame(X) else X


def score_dtype(X) -> np.dtype:
    """The dtype of the scores of a Dask collection: the one X is computed with."""
    return float_dtype(matrix_of(X).dtype)


def admit(
    X,
    y=None,
    sample_weight=None,
    groups=None,
    *,
    labels=False,
    multi_output=False,
    known_rows=False,
    estimator=None,
) -> Table:
    """Check and align what the user passed.

    Parameters
    ----------
    X : array (n, p), CSR, pandas or Dask DataFrame, or Dask Array
    y : array (n,) or (n, K), series, or None
    sample_weight : array (n,), series, number or None
    groups : array (n,), series or None
        A label of any kind for each row.
    labels : bool
        Whether ``y`` holds class labels of any dtype; otherwise it must hold numbers.
    multi_output : bool
        Whether ``y`` may be (n, K).
    known_rows : bool
        Whether chunk lengths must be known: they are counted, at the cost of a read, if not.
    estimator : estimator instance, named in messages

    Returns
    -------
    Table

    Raises
    ------
    ValueError, TypeError
        If a shape, dtype or length is not what is expected; the message names the remedy.
    """
    if is_dask(X):
        return _admit_dask(X, y, sample_weight, groups, labels, multi_output, known_rows)
    X = _local_matrix(X, estimator)
    y = None if y is None else local_target(_fetch(y), labels, multi_output)
    w = local_weight(sample_weight, X.shape[0])
    g = None if groups is None else _local_groups(_fetch(groups))
    check_consistent_length(X, y, w, g)
    return Table(X, y, w, g)


def matrix_of(X):
    """X (n, p) as a Dask Array, from a Dask Array or DataFrame, after checking shape and dtype.

    Columns end up in one chunk per row chunk only where a caller needs it; row chunks are kept.
    """
    if is_dask_frame(X):
        return frame_to_array(X, "X")
    check_two_dimensional(X)
    check_numeric(X.dtype, "X")
    if np.isnan(X.shape[1]):
        raise ValueError(
            "The number of columns of X is unknown: expected an array with known columns. "
            "Call X.compute_chunk_sizes() first."
        )
    check_not_empty(X.shape)
    return X


def _local_matrix(X, estimator):
    """X in this process's memory as a float array or CSR matrix; finiteness is left to a pass."""
    if isinstance(X, np.ndarray):
        check_two_dimensional(X)
        if X.dtype.kind == "c":
            check_numeric(X.dtype, "X")
    try:
        return check_array(
            X,
            accept_sparse="csr",
            dtype=(np.float64, np.float32),
            ensure_all_finite=False,
            estimator=estimator,
            input_name="X",
        )
    except ValueError as error:
        if "could not convert" not in str(error):
            raise
        raise ValueError(
            f"X must hold numbers, but {error}. Encode or drop what is not a number."
        ) from error


def _admit_dask(X, y, sample_weight, groups, labels, multi_output, known_rows) -> Table:
    X = matrix_of(X)
    y = None if y is None else dask_target(y, labels, multi_output)
    w = None if sample_weight is None else dask_weight(sample_weight)
    g = None if groups is None else _dask_groups(groups)
    for name, part in (("y", y), ("sample_weight", w), ("groups", g)):
        if part is None or part.ndim == 0 or np.isnan(part.shape[0]) or np.isnan(X.shape[0]):
            continue
        if part.shape[0] != X.shape[0]:
            raise ValueError(
                "Found input variables with inconsistent numbers of samples: "
                f"X has {X.shape[0]} rows and {name} has {part.shape[0]}."
            )
    extra_reads = 0
    if known_rows or any(_needs_lengths(X, part) for part in (y, w, g) if part is not None):
        if np.isnan(X.shape[0]):
            X = X.copy().compute_chunk_sizes()
            extra_reads = 1
            check_not_empty(X.shape)
    others = (part if part is None else like_rows(part, X, extra_reads > 0) for part in (y, w, g))
    return Table(X, *others, extra_reads)


def _needs_lengths(X, part) -> bool:
    """Whether row chunks can only be matched once their lengths are known."""
    unknown = np.isnan(X.shape[0]) or (isinstance(part, da.Array) and np.isnan(part.shape[0]))
    same_blocks = isinstance(part, da.Array) and part.numblocks[0] == X.numblocks[0]
    both_unknown = isinstance(part, da.Array) and np.isnan(part.shape[0]) and np.isnan(X.shape[0])
    return unknown and not (same_blocks and both_unknown)


def like_rows(part, X, counted):
    """``part``, or a number for all rows, as a Dask Array with the row chunks of X.

    ``counted`` tells that the lengths of X were as unknown as those of ``part``: where both have as
    many chunks, these are taken as equal.
    """
    if part.ndim == 0:
        return da.full(X.shape[0], float(part), chunks=(X.chunks[0],))
    if not isinstance(part, da.Array):
        check_rows(part.shape[0], X.shape[0])
        return da.from_array(part, chunks=(X.chunks[0], *((k,) for k in part.shape[1:])))
    if np.isnan(part.shape[0]) and not np.isnan(X.shape[0]):
        if counted and part.numblocks[0] == X.numblocks[0]:
            # Blocks that differ in length from those of X are found when they are read.
            chunks = (X.chunks[0], *part.chunks[1:])
            part = da.Array(part.dask, part.name, chunks, meta=part._meta)
        else:
            part = part.copy().compute_chunk_sizes()
        check_rows(part.shape[0], X.shape[0])
    chunks = {0: X.chunks[0]} if not np.isnan(X.shape[0]) else {}
    if part.ndim == 2:
        chunks[1] = -1
    return part.rechunk(chunks) if chunks else part


def dask_target(y, labels, multi_output):
    """A target for a Dask X: checked, as a Dask Array if it is a Dask collection."""
    if not is_dask(y):
        return local_target(y, labels, multi_output)
    y = series_to_array(y, labels)
    if y.ndim == 2 and y.shape[1] == 1 and not multi_output:
        y = y[:, 0]
    if y.ndim != 1 and not (multi_output and y.ndim == 2):
        raise ValueError(
            f"y should be a 1d array, got an array of shape {y.shape} instead. "
            "Pass one column, such as y[:, 0]."
        )
    if not labels or y.dtype.kind == "c":
        check_numeric(y.dtype, "y")
    return y


def dask_weight(w):
    """Weights for a Dask X: a number, or (n,) in memory or as a Dask Array."""
    if not is_dask(w):
        return local_weight(w, None)
    w = series_to_array(w, labels=False)
    if w.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {w.ndim}D array.")
    check_numeric(w.dtype, "sample_weight")
    return w


def _dask_groups(g):
    if not is_dask(g):
        return _local_groups(g)
    g = series_to_array(g, labels=True)
    if g.ndim != 1:
        raise ValueError(f"groups must be 1D, one label per row, got {g.ndim}D.")
    return g


def _local_groups(g):
    """Labels (n,) of any kind."""
    g = np.asarray(g)
    if g.ndim != 1:
        raise ValueError(f"groups must be 1D, one label per row, got an array of shape {g.shape}.")
    return g


def local_target(y, labels, multi_output):
    """A target in memory (n,), or (n, K) if ``multi_output``; numbers in float64."""
    dtype = None if labels else "numeric"
    y = check_array(y, dtype=dtype, ensure_2d=False, ensure_all_finite=False, input_name="y")
    if y.ndim == 2 and not multi_output:
        y = column_or_1d(y, warn=True)
    return y if labels else np.asarray(y, dtype=np.float64)


def local_weight(w, n):
    """Weights (n,) in float64, or None; ``n`` None leaves length, or a number, for later."""
    if w is None:
        return None
    w = np.asarray(_fetch(w), dtype=np.float64)
    if w.ndim == 0 and n is not None:
        w = np.full(n, float(w))
    if w.ndim > 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {w.ndim}D array.")
    if n is not None and w.shape != (n,):
        raise ValueError(f"sample_weight.shape == {w.shape}, expected {(n,)}: one weight per row.")
    return w


def _fetch(part):
    """A small Dask vector that accompanies an X in memory is brought to X."""
    return part.compute() if is_dask(part) else part
