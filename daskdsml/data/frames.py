"""Dask DataFrames and Series as Dask Arrays."""

from __future__ import annotations

import sys

import numpy as np

from daskdsml.data.blocks import float_dtype
from daskdsml.data.checks import check_not_empty


def is_dask_frame(X) -> bool:
    """Whether X is a Dask DataFrame or Series."""
    # Nobody can hold a Dask DataFrame without having imported its module, which is slow to import.
    frames = sys.modules.get("dask.dataframe")
    return frames is not None and isinstance(X, frames.DataFrame | frames.Series)


def frame_to_array(frame, name):
    """A Dask DataFrame of numbers as a Dask Array (n, p) in the dtype it is computed with.

    Raises
    ------
    ValueError
        If columns hold something else; the message names them.
    """
    dtypes = dict(frame.dtypes.items())
    wrong = [f"{column!r} ({kind})" for column, kind in dtypes.items() if not _is_number(kind)]
    if wrong:
        raise ValueError(
            f"{name} must hold numbers only, but these columns do not: {', '.join(wrong)}. "
            "Encode or drop them, for instance with dask_ml.preprocessing.DummyEncoder."
        )
    if not dtypes:
        check_not_empty((np.nan, 0))
    kinds = [float_dtype(_numpy_dtype(kind)) for kind in dtypes.values()]
    return frame.astype(np.result_type(*kinds)).to_dask_array()


def series_to_array(y, labels):
    """A Dask Series or DataFrame as a Dask Array; Dask Arrays are returned as they are."""
    if not is_dask_frame(y):
        return y
    if y.ndim == 2:
        return frame_to_array(y, "y") if not labels else y.to_dask_array()
    # Extension dtypes have no NumPy form of their own.
    if _is_number(y.dtype):
        kind = _numpy_dtype(y.dtype)
        y = y.astype(kind if labels else float_dtype(kind))
    elif labels:
        y = y.astype(object)
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
