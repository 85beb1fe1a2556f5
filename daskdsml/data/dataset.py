"""What the user passes, aligned: all of it in this process's memory, or all Dask Arrays."""

from __future__ import annotations

import sys
from operator import methodcaller
from typing import Any, NamedTuple

import dask.array
import numpy as np
from dask.array import core as da
from dask.core import flatten
from dask.delayed import Delayed
from dask.highlevelgraph import MaterializedLayer
from scipy import sparse

from daskdsml.data.blocks import float_dtype, nbytes

# Numbers of axes that a table may have.
MATRIX = (2,)
# Array-likes of more bytes are not read whole in silence.
LARGEST_READ = 2**27
# What says that an object's data are in memory, and packages whose objects always are there.
MEMORY_PROTOCOLS = ("__array_interface__", "__cuda_array_interface__", "__dlpack__")
MEMORY_PACKAGES = ("pandas", "polars", "pyarrow", "scipy")


class Dataset(NamedTuple):
    """Aligned X, y, weights, groups and masks.

    ``X`` is (n, p), or (n, ...) for networks; ``y`` (n,), (n, K), (n, T) or None; ``w`` and ``g``
    (n,) or None; ``mask (n, T)``, True at the time steps that count, or None. Dask Arrays are
    `plain` and have equal row chunks, whose lengths may be unknown (NaN). ``extra_reads`` counts
    reads of X spent on lengths.
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
    return isinstance(X, da.Array | dask.array.Array) or is_dask_frame(X)


def is_dask_frame(X) -> bool:
    """Whether X is a Dask DataFrame or Series."""
    # Nobody can hold a Dask DataFrame without having imported its module, which is slow to import.
    frames = sys.modules.get("dask.dataframe")
    return frames is not None and isinstance(X, frames.DataFrame | frames.Series)


def check_in_memory(part, name) -> None:
    """Raise ValueError if ``part`` is a large array-like outside of memory, such as zarr.Array.

    NumPy would read it whole. Those up to 128 MiB are left to it.
    """
    package = type(part).__module__.partition(".")[0]
    stored = hasattr(part, "shape") and hasattr(part, "dtype") and not is_dask(part)
    if not stored or package in MEMORY_PACKAGES or isinstance(part, Delayed):
        return
    n_bytes = np.prod(part.shape, dtype=float) * getattr(part.dtype, "itemsize", 8)
    if n_bytes <= LARGEST_READ or any(hasattr(part, known) for known in MEMORY_PROTOCOLS):
        return
    remedy = {"zarr": "dask.array.from_zarr({})", "xarray": "{}.chunk().data"}
    lazy = remedy.get(package, "dask.array.from_array({}, chunks='auto')").format(name)
    raise ValueError(
        f"{name} is a {package}.{type(part).__name__} of {n_bytes / 2**20:,.0f} MiB, which would "
        "be read whole into this process's memory: expected an array in memory, or a Dask "
        f"collection. Pass {lazy} to have it read chunk by chunk, or numpy.asarray({name})."
    )


def check_not_released(array, name) -> None:
    """Raise ValueError if chunks that a cluster was to hold for a plain Dask Array were released.

    Persisted collections are graphs of futures, which end as cancelled where somebody cancels them,
    and where their client is closed or restarted.
    """
    for layer in array.dask.layers.values():
        if not isinstance(layer, MaterializedLayer):
            continue  # it computes
        nodes = (getattr(node, "value", node) for node in layer.values())
        released = sum(getattr(node, "status", None) == "cancelled" for node in nodes)
        if released:
            raise ValueError(
                f"{name} was persisted on a cluster, but {released} of its chunks were released: "
                "they were cancelled, or their client was closed or restarted. Persist it again "
                "with the current client."
            )


def meta_of(X):
    """What has the names and number of columns: the empty frame behind a Dask DataFrame."""
    return X._meta if is_dask_frame(X) else X


def plain(X):
    """A Dask collection as a Dask Array of a graph of tasks: the form that is worked with.

    With ``array.query-planning`` Dask's arrays are expressions, as its DataFrames always are.
    """
    if isinstance(X, da.Array):
        return X
    X = X.optimize()
    graph, keys = dict(X.__dask_graph__()), list(flatten(X.__dask_keys__()))
    if not is_dask_frame(X):
        return da.Array(graph, keys[0][0], X.chunks, dtype=X.dtype, meta=X._meta)
    meta, name = X._meta.to_numpy(), f"values-{keys[0][0]}"
    tail = (0,) * (meta.ndim - 1)
    graph.update({(name, i, *tail): (methodcaller("to_numpy"), key) for i, key in enumerate(keys)})
    chunks = ((np.nan,) * len(keys), *((k,) for k in meta.shape[1:]))
    return da.Array(graph, name, chunks, meta=meta[:0])


def dask_rows(X, ranks=MATRIX):
    """X as a plain Dask Array, from a Dask collection, after checking shape and dtype.

    Columns end up in one chunk per row chunk only where a caller needs it; row chunks are kept.
    """
    return plain(checked_rows(X, ranks))


def checked_rows(X, ranks=MATRIX):
    """A Dask collection X after checking shape and dtype; a DataFrame's columns get one dtype."""
    check_rank(X, ranks)
    if is_dask_frame(X):
        return numbers_of(X, "X")
    check_numeric(X.dtype, "X")
    if np.isnan(X.shape[1:]).any():
        raise ValueError(
            f"The number of columns of X is unknown: expected a known shape of each row, but X has "
            f"shape {X.shape}. Call X.compute_chunk_sizes() first."
        )
    check_not_empty(X.shape)
    return X


def numbers_of(frame, name):
    """A Dask DataFrame with all columns in the dtype that they are computed with.

    ValueError names columns that hold no numbers.
    """
    dtypes = dict(frame.dtypes.items())
    check_columns(dtypes, name, _is_number)
    if not dtypes:
        check_not_empty((np.nan, 0))
    kinds = [float_dtype(_numpy_dtype(kind)) for kind in dtypes.values()]
    return frame.astype(np.result_type(*kinds))


def series_to_array(y, labels):
    """A Dask collection as a plain Dask Array, of numbers unless y holds ``labels``."""
    if not is_dask_frame(y):
        return plain(y)
    if y.ndim == 2:
        return plain(y if labels else numbers_of(y, "y"))
    # Extension dtypes have no NumPy form of their own.
    if _is_number(y.dtype):
        kind = _numpy_dtype(y.dtype)
        kind = kind if labels else float_dtype(kind)
        y = y.map_partitions(_as_numpy, kind, meta=(y.name, kind))
    elif labels:
        y = y.astype(object)
    return plain(y)


def _as_numpy(part, kind):
    """A Series in a dtype of NumPy; with missing values, which integers cannot be, as float."""
    missing = kind.kind != "f" and part.isna().any()
    return part.astype(np.float64 if missing else kind)


def _numpy_dtype(kind):
    return np.dtype(
        getattr(kind, "numpy_dtype", np.float64 if not hasattr(kind, "itemsize") else kind)
    )


def _is_number(kind) -> bool:
    try:
        return _numpy_dtype(kind).kind in "fiub" and str(kind) not in ("category", "string", "str")
    except TypeError:
        return False


def check_rank(X, ranks) -> None:
    """Raise ValueError unless X has one of these numbers of axes; None stands for 2 and more."""
    if X.ndim >= 2 if ranks is None else X.ndim in ranks:
        return
    if ranks in (None, MATRIX):
        remedy = (
            "X.to_frame(), a table of a single feature"
            if hasattr(X, "to_frame")
            else "X[:, None] if it has a single feature or X[None, :] if it is a single sample"
            if X.ndim < 2
            else "X.reshape(len(X), -1), or use CNNClassifier for images, RNNClassifier for "
            "sequences"
        )
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D array instead for X. Reshape your data using "
            f"{remedy}."
        )
    expected = " or ".join(str(rank) for rank in ranks)
    raise ValueError(
        f"X has shape {tuple(X.shape)}, an array of {X.ndim} dimensions, expected {expected}: "
        "rows first, then the shape of a row. Reshape it with X.reshape(len(X), ...)."
    )


def check_columns(dtypes, name, usable) -> None:
    """Raise ValueError unless all ``dtypes``, a dict by column, are ``usable``."""
    wrong = [f"{column!r} ({kind})" for column, kind in dtypes.items() if not usable(kind)]
    if wrong:
        raise ValueError(
            f"{name} must hold numbers, but these columns do not: {', '.join(wrong)}. Encode or "
            "drop them, for instance with dask_ml.preprocessing.DummyEncoder."
        )


def check_numeric(dtype, name) -> None:
    """Raise ValueError unless ``dtype`` is one of real numbers."""
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


def check_not_empty(shape) -> None:
    """Raise ValueError if an array of this shape is known to have no rows, or empty ones."""
    if len(shape) > 2 and shape[0] != 0 and 0 in shape:
        raise ValueError(
            f"X has shape {tuple(shape)}, whose rows are empty: expected one entry or more along "
            "each axis (time steps, features, channels). Drop empty sequences, or pad them and "
            "pass mask."
        )
    for length, axis in zip(shape, ("sample", "feature"), strict=False):
        if length == 0:
            raise ValueError(
                f"Found array with 0 {axis}(s) (shape={shape}) while a minimum of 1 is required."
            )
