"""X, y and weights in this process's memory as arrays; or a sentence that says what is wrong.

Imported by validation and by predictions.
"""

from __future__ import annotations

import numbers
import re

import numpy as np
from dask.delayed import Delayed
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.validation import column_or_1d

from daskdsml.data.dataset import (
    MATRIX,
    check_columns,
    check_in_memory,
    check_not_empty,
    check_numeric,
    check_rank,
    is_dask,
)

ROWS = "an array with a row for each sample, a DataFrame or a Dask collection"
# What is passed by mistake, and what makes rows of it.
REMEDIES: dict[type, str] = {
    type(None): "Pass the data",
    str: "Read the file first, for instance with dask.dataframe.read_csv",
    dict: "Make a table of it, for instance with pandas.DataFrame",
    Delayed: "Make a collection of it with dask.array.from_delayed or dask.dataframe.from_delayed",
    numbers.Number: "Pass the data",
}


def local_rows(X, ranks=MATRIX, any_dtype=False, estimator=None):
    """X as an array or CSR matrix; finiteness is left to a pass, or to the loss of a network."""
    check_in_memory(X, "X")
    check_collection("X", X)
    check_no_times("X", X)
    if isinstance(X, np.ndarray) or hasattr(X, "iloc"):
        check_rank(X, ranks)
    if isinstance(X, np.ndarray) and X.dtype.kind == "c":
        check_numeric(X.dtype, "X")
    try:
        X = check_array(
            X,
            accept_sparse="csr",
            dtype="numeric" if any_dtype else (np.float64, np.float32),
            allow_nd=ranks != MATRIX,
            ensure_2d=ranks == MATRIX,
            ensure_all_finite=False,
            estimator=estimator,
            input_name="X",
        )
    except (TypeError, ValueError) as error:
        raise told("X", X, error) from error
    check_rank(X, ranks)
    check_numeric(X.dtype, "X")
    check_not_empty(X.shape)
    return X


def local_target(y, labels, multi_output):
    """A target (n,), or (n, K) if ``multi_output``; labels of any dtype, else float64."""
    check_collection("y", y)
    if not labels:
        check_no_times("y", y)
    if labels and isinstance(y, list | tuple) and len({isinstance(a, str) for a in y}) > 1:
        y = np.array(y, dtype=object)  # NumPy would make text of all of them
    kind = getattr(getattr(y, "dtype", None), "kind", "")
    if kind == "c" or (kind in "US" and kind and not labels):
        check_numeric(y.dtype, "y")
    dtype = None if labels else "numeric"
    options = {"ensure_2d": False, "allow_nd": True, "ensure_all_finite": False}
    try:
        y = check_array(y, dtype=dtype, input_name="y", **options)
    except (TypeError, ValueError) as error:
        raise told("y", y, error) from error
    if y.ndim == 2 and y.shape[1] == 1 and not multi_output:
        y = column_or_1d(y, warn=True)
    check_target_rank(y, multi_output)
    return y if labels else np.asarray(y, dtype=np.float64)


def check_target_rank(y, multi_output) -> None:
    """Raise ValueError unless y is (n,), or (n, K) where that is allowed."""
    if y.ndim != 1 and not (multi_output and y.ndim == 2):
        raise ValueError(
            f"y should be a 1d array, got an array of shape {y.shape} instead. "
            "Pass one column, such as y[:, 0]."
        )


def local_weights(w):
    """Weights of rows, or a number, in float64."""
    try:
        return np.asarray(w, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise told("sample_weight", w, error) from error


def check_collection(name, given) -> None:
    """Raise ValueError if ``given`` is no rows at all, saying what would make some of it."""
    if sparse.issparse(given):  # SciPy's matrices of keys are dicts, too
        return
    what = "a Delayed" if isinstance(given, Delayed) else f"a {type(given).__name__}"
    remedy = next((text for kind, text in REMEDIES.items() if isinstance(given, kind)), None)
    if isinstance(given, list | tuple) and any(map(is_dask, given)):
        what = "a list of Dask collections"
        remedy = "Join them with dask.array.concatenate or dask.dataframe.concat"
    elif isinstance(given, list | tuple) and any(isinstance(part, Delayed) for part in given):
        what = "a list of Delayed"
        remedy = (
            "Make a Dask Array of each with dask.array.from_delayed and join these with "
            "dask.array.concatenate, or call dask.dataframe.from_delayed"
        )
    elif remedy is None and hasattr(given, "keys") and not hasattr(given, "shape"):
        remedy = "Pass one of the arrays in it, such as dask.array.from_array(group['X'])"
    if remedy is not None:
        what = "None" if given is None else what
        raise ValueError(f"{name} is {what}: expected {ROWS}. {remedy}.")


def check_no_times(name, given) -> None:
    """Raise ValueError if an array or frame holds dates or durations, which NumPy may count."""
    dtypes = getattr(given, "dtypes", None)
    if hasattr(dtypes, "items"):
        check_columns(dtypes, name, lambda dtype: dtype.kind not in "mM")
    elif getattr(getattr(given, "dtype", None), "kind", "") in tuple("mM"):
        check_numeric(given.dtype, name)


def told(name, given, error) -> Exception:
    """The error of NumPy or scikit-learn, told of the part it is about, with a remedy."""
    why = re.split(r"\.(?= |$|[A-Z][a-z]+ )", str(error))[0]
    if "inhomogeneous" in str(error) and isinstance(given, list | tuple):
        lengths = [np.size(row) for row in given]
        odd = next((i for i, length in enumerate(lengths) if length != lengths[0]), 0)
        return ValueError(
            f"{name} has rows of different lengths: row 0 has {lengths[0]} entries, row {odd} has "
            f"{lengths[odd]}. Pass as many for each row; pad sequences, and pass mask."
        )
    kind = TypeError if isinstance(error, TypeError) else ValueError
    if re.search("could not convert|promoted|float\\(\\) argument|not compatible", why):
        columns = ", ".join(_text_columns(given))
        which = f" in column {columns}" if columns else ""
        return kind(
            f"{name} must hold numbers, but{which} {why}. Encode or drop what is not a number."
        )
    return kind(str(error))


def _text_columns(given) -> list[str]:
    """Names of the columns of a frame that are no numbers, and cannot be read as such."""
    columns: list[str] = []
    if not (hasattr(given, "items") and getattr(given, "ndim", 0) == 2):
        return columns
    for name, column in given.items():
        try:
            np.asarray(column, dtype=np.float64)
        except (TypeError, ValueError):
            columns.append(repr(name))
    return columns
