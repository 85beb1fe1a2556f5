"""Checks of shapes and dtypes of data, each with its remedy."""

from __future__ import annotations


def check_two_dimensional(X) -> None:
    """Raise ValueError unless X is a matrix."""
    if X.ndim == 2:
        return
    remedy = (
        "X[:, None] if it has a single feature or X[None, :] if it is a single sample"
        if X.ndim < 2
        else "X.reshape(len(X), -1), or use CNNClassifier for images, RNNClassifier for sequences"
    )
    raise ValueError(
        f"Expected 2D array, got {X.ndim}D array instead for X. Reshape your data using {remedy}."
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


def check_rank(X, ranks) -> None:
    """Raise ValueError unless X has one of these ranks."""
    if ranks == (2,) or (ranks is None and X.ndim < 2):
        check_two_dimensional(X)
    if ranks is not None and X.ndim not in ranks:
        expected = " or ".join(str(rank) for rank in ranks)
        raise ValueError(
            f"X has shape {tuple(X.shape)}, an array of {X.ndim} dimensions, expected {expected}: "
            "rows first, then the shape of a row. Reshape it with X.reshape(len(X), ...)."
        )


def check_steps(X, y, mask) -> None:
    """Raise ValueError unless a mask, and a y of steps, have a value for each step of each row."""
    expected = tuple(X.shape[:2])
    if mask is not None and tuple(mask.shape) != expected:
        raise ValueError(
            f"mask.shape == {tuple(mask.shape)}, expected {expected}: one flag per step."
        )
    if y is not None and tuple(y.shape) != expected:
        raise ValueError(
            f"y.shape == {tuple(y.shape)}, expected {expected}: one target per step. "
            "Pad shorter sequences and pass mask."
        )
