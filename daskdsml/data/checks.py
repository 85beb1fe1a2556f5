"""Checks of shapes and dtypes that the door makes, each with the sentence that says how to mend."""

from __future__ import annotations


def check_two_dimensional(X) -> None:
    """Raise ValueError unless X is a matrix."""
    if X.ndim == 2:
        return
    mend = (
        "X[:, None] if it has a single feature or X[None, :] if it is a single sample"
        if X.ndim < 2
        else "X.reshape(len(X), -1), or use CNNClassifier for images, RNNClassifier for sequences"
    )
    raise ValueError(
        f"Expected 2D array, got {X.ndim}D array instead for X. Reshape your data using {mend}."
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
    """Raise ValueError if the matrix of this shape is known to have no rows or no columns."""
    if shape[0] == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={shape}) while a minimum of 1 is required."
        )
    if shape[1] == 0:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={shape}) while a minimum of 1 is required."
        )


def check_rows(n_part, n) -> None:
    """Raise ValueError unless y or weights have as many rows as X."""
    if n_part != n:
        raise ValueError(
            "Found input variables with inconsistent numbers of samples: "
            f"X has {n} rows, but y or sample_weight has {n_part}."
        )
