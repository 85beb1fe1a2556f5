"""The one door: checks, aligns and names what the user passes; imported by estimators.

Nothing here reads a Dask collection, except to learn chunk sizes that are unknown and needed.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from scipy import sparse
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import column_or_1d

from daskdsml.data.blocks import float_dtype, nbytes


class Table(NamedTuple):
    """Aligned X, y and weights: either all in this process's memory or all Dask Arrays.

    ``X`` is (n, p); ``y`` (n,), (n, K) or None; ``w`` (n,) or None. Dask Arrays have equal row
    chunks, whose lengths may be unknown (NaN). ``extra_reads`` counts reads of X spent on lengths.
    """

    X: Any
    y: Any
    w: Any
    extra_reads: int = 0

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
    return isinstance(X, da.Array) or _is_dask_frame(X)


def likeness(X):
    """What tells the names and number of columns: the empty frame behind a Dask DataFrame."""
    return X._meta if _is_dask_frame(X) else X


def score_dtype(X) -> np.dtype:
    """The dtype of the scores of a Dask collection: the one X is computed with."""
    return float_dtype(matrix_of(X).dtype)


def admit(X, y=None, sample_weight=None, *, labels=False, multi_output=False, estimator=None):
    """Check and align what the user passed.

    Parameters
    ----------
    X : array (n, p), CSR, pandas or Dask DataFrame, or Dask Array
    y : array (n,) or (n, K), series, or None
    sample_weight : array (n,), series, number or None
    labels : bool
        Whether ``y`` holds class labels of any dtype; otherwise it must hold numbers.
    multi_output : bool
        Whether ``y`` may be (n, K).
    estimator : estimator instance, named in messages

    Returns
    -------
    Table

    Raises
    ------
    ValueError, TypeError
        If a shape, dtype or length is not what is expected; the message says how to mend it.
    """
    if is_dask(X):
        return _admit_dask(X, y, sample_weight, labels, multi_output)
    X = _local_matrix(X, estimator)
    y = None if y is None else _local_target(_fetch(y), labels, multi_output)
    w = _local_weight(sample_weight, X.shape[0])
    check_consistent_length(X, y, w)
    return Table(X, y, w)


def matrix_of(X):
    """X (n, p) as a Dask Array, from a Dask Array or DataFrame, after checking shape and dtype.

    Columns end up in one chunk per row chunk only where a caller needs it; row chunks are kept.
    """
    if _is_dask_frame(X):
        return _frame_to_array(X, "X")
    _check_two_dimensional(X)
    _check_numeric(X.dtype, "X")
    if np.isnan(X.shape[1]):
        raise ValueError(
            "The number of columns of X is unknown: expected an array with known columns. "
            "Call X.compute_chunk_sizes() first."
        )
    _check_not_empty(X.shape)
    return X


def _local_matrix(X, estimator):
    """X in this process's memory as a float array or CSR matrix; finiteness is left to a pass."""
    if isinstance(X, np.ndarray):
        _check_two_dimensional(X)
        if X.dtype.kind == "c":
            _check_numeric(X.dtype, "X")
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


def _check_two_dimensional(X) -> None:
    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D array instead for X. Reshape your data using "
            "X[:, None] if it has a single feature or X[None, :] if it is a single sample."
        )


def _admit_dask(X, y, sample_weight, labels, multi_output) -> Table:
    X = matrix_of(X)
    y = None if y is None else _dask_target(y, labels, multi_output)
    w = None if sample_weight is None else _dask_weight(sample_weight)
    for name, part in (("y", y), ("sample_weight", w)):
        known = part is not None and not np.isnan(part.shape[0]) and not np.isnan(X.shape[0])
        if known and part.shape[0] != X.shape[0]:
            raise ValueError(
                "Found input variables with inconsistent numbers of samples: "
                f"X has {X.shape[0]} rows and {name} has {part.shape[0]}."
            )
    extra_reads = 0
    if any(_needs_lengths(X, part) for part in (y, w) if part is not None):
        if np.isnan(X.shape[0]):
            X = X.copy().compute_chunk_sizes()
            extra_reads = 1
    y, w = (part if part is None else _like_rows(part, X) for part in (y, w))
    return Table(X, y, w, extra_reads)


def _needs_lengths(X, part) -> bool:
    """Whether row chunks can only be matched once their lengths are known."""
    unknown = np.isnan(X.shape[0]) or (isinstance(part, da.Array) and np.isnan(part.shape[0]))
    same_blocks = isinstance(part, da.Array) and part.numblocks[0] == X.numblocks[0]
    both_unknown = isinstance(part, da.Array) and np.isnan(part.shape[0]) and np.isnan(X.shape[0])
    return unknown and not (same_blocks and both_unknown)


def _like_rows(part, X):
    """``part`` as a Dask Array with the row chunks of X."""
    if not isinstance(part, da.Array):
        _check_rows(part.shape[0], X.shape[0])
        return da.from_array(part, chunks=(X.chunks[0], *((k,) for k in part.shape[1:])))
    if np.isnan(part.shape[0]) and not np.isnan(X.shape[0]):
        part = part.copy().compute_chunk_sizes()
        _check_rows(part.shape[0], X.shape[0])
    chunks = {0: X.chunks[0]} if not np.isnan(X.shape[0]) else {}
    if part.ndim == 2:
        chunks[1] = -1
    return part.rechunk(chunks) if chunks else part


def _check_rows(n_part, n) -> None:
    if n_part != n:
        raise ValueError(
            "Found input variables with inconsistent numbers of samples: "
            f"X has {n} rows, but y or sample_weight has {n_part}."
        )


def _dask_target(y, labels, multi_output):
    if not is_dask(y):
        return _local_target(y, labels, multi_output)
    y = _series_to_array(y, labels)
    if y.ndim == 2 and y.shape[1] == 1 and not multi_output:
        y = y[:, 0]
    if y.ndim != 1 and not (multi_output and y.ndim == 2):
        raise ValueError(
            f"y should be a 1d array, got an array of shape {y.shape} instead. "
            "Pass one column, such as y[:, 0]."
        )
    if not labels:
        _check_numeric(y.dtype, "y")
    return y


def _dask_weight(w):
    if not is_dask(w):
        return _local_weight(w, None)
    w = _series_to_array(w, labels=False)
    if w.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {w.ndim}D array.")
    _check_numeric(w.dtype, "sample_weight")
    return w


def _local_target(y, labels, multi_output):
    dtype = None if labels else "numeric"
    y = check_array(y, dtype=dtype, ensure_2d=False, ensure_all_finite=False, input_name="y")
    if y.ndim == 2 and not multi_output:
        y = column_or_1d(y, warn=True)
    return y if labels else np.asarray(y, dtype=np.float64)


def _local_weight(w, n):
    """Weights (n,) in float64, or None; ``n`` None leaves the length to be checked later."""
    if w is None:
        return None
    w = np.asarray(_fetch(w), dtype=np.float64)
    if w.ndim == 0 and n is not None:
        w = np.full(n, float(w))
    if w.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {w.ndim}D array.")
    if n is not None and w.shape != (n,):
        raise ValueError(f"sample_weight.shape == {w.shape}, expected {(n,)}: one weight per row.")
    return w


def _fetch(part):
    """A small Dask vector that accompanies an X in memory is brought to X."""
    return part.compute() if is_dask(part) else part


def _frame_to_array(frame, name):
    dtypes = dict(frame.dtypes.items())
    wrong = [f"{column!r} ({kind})" for column, kind in dtypes.items() if not _is_number(kind)]
    if wrong:
        raise ValueError(
            f"{name} must hold numbers only, but these columns do not: {', '.join(wrong)}. "
            "Encode or drop them, for instance with dask_ml.preprocessing.DummyEncoder."
        )
    if not dtypes:
        _check_not_empty((np.nan, 0))
    kinds = [float_dtype(_numpy_dtype(kind)) for kind in dtypes.values()]
    return frame.astype(np.result_type(*kinds)).to_dask_array()


def _series_to_array(y, labels):
    if not _is_dask_frame(y):
        return y
    if y.ndim == 2:
        return _frame_to_array(y, "y") if not labels else y.to_dask_array()
    if labels and not _is_number(y.dtype):
        y = y.astype(object)  # extension dtypes have no NumPy form of their own
    return y.to_dask_array()


def _numpy_dtype(kind):
    return np.dtype(
        getattr(kind, "numpy_dtype", np.float64 if not hasattr(kind, "itemsize") else kind)
    )


def _is_number(kind) -> bool:
    try:
        return _numpy_dtype(kind).kind in "fiub" and str(kind) not in ("category", "string", "str")
    except TypeError:
        return False


def _check_numeric(dtype, name) -> None:
    if dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: {name} has dtype {dtype}. Pass its real and imaginary "
            "parts as columns of their own."
        )
    if dtype.kind not in "fiub":
        raise ValueError(
            f"{name} must hold numbers, but has dtype {dtype}. Convert it with "
            f"{name}.astype('float64'), or encode what is not a number."
        )


def _check_not_empty(shape) -> None:
    if shape[0] == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={shape}) while a minimum of 1 is required."
        )
    if shape[1] == 0:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={shape}) while a minimum of 1 is required."
        )


def _is_dask_frame(X) -> bool:
    # Nobody can hold a Dask DataFrame without having imported its module, which is slow to import.
    frames = sys.modules.get("dask.dataframe")
    return frames is not None and isinstance(X, frames.DataFrame | frames.Series)


def is_sparse(X) -> bool:
    """Whether X, or a block of it, is a SciPy sparse matrix."""
    return sparse.issparse(getattr(X, "_meta", X))
