"""What every first pass tells besides its own sums: how many rows, and if they can be used."""

from __future__ import annotations

import numbers
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

# Mean squares below this are about to underflow.
LEAST_SQUARE = 1e-290


class InvalidValue(NamedTuple):
    """The first entry that cannot be used: in which part, at which row and column, what it is.

    ``others`` tells of a label what those before it are, which it cannot be compared with.
    """

    part: str
    row: int
    column: int
    value: Any
    others: str = ""


class RowStats(NamedTuple):
    """Row count, summed weight, and the first invalid value of each of X, y and w."""

    n_rows: int
    weight: float
    invalid: tuple[InvalidValue, ...]

    def __add__(self, other: RowStats) -> RowStats:
        seen = {entry.part for entry in self.invalid}
        later = (f._replace(row=f.row + self.n_rows) for f in other.invalid if f.part not in seen)
        return RowStats(
            self.n_rows + other.n_rows, self.weight + other.weight, (*self.invalid, *later)
        )

    def with_invalid(self, entry: InvalidValue | None) -> RowStats:
        """The same with one more entry that cannot be used, if it is one."""
        return self if entry is None else self._replace(invalid=(*self.invalid, entry))


def row_stats_of(block, suspect_X: bool) -> RowStats:
    """Count a block.

    ``suspect_X`` tells that a sum over X came out not finite: only then is X searched, so that
    clean data are not read a second time.
    """
    invalid = []
    if suspect_X:
        invalid.append(_first_not_finite("X", block.X))
    if block.y is not None:
        invalid.append(invalid_target(block.y))
    weight = float(block.X.shape[0])
    if block.w is not None:
        weight = float(block.w.sum())
        bad = ~(block.w >= 0) | np.isinf(block.w)
        if bad.any():
            row = int(np.argmax(bad))
            invalid.append(InvalidValue("sample_weight", row, 0, float(block.w[row])))
    return RowStats(block.X.shape[0], weight, tuple(f for f in invalid if f is not None))


def invalid_target(y, known=None, whose="those of the fit") -> InvalidValue | None:
    """The first of the targets ``y (n,)`` or ``(n, K)`` that cannot be used.

    It is not finite, missing, or a label of another kind than those before it, or than ``known``
    ones (``whose`` says which these are): text cannot be compared with numbers, and a fraction is
    none of the labels that whole numbers name.
    """
    if y.dtype.kind in "fc":
        entry = _first_not_finite("y", y)
    else:
        entry = _first_missing(y) if y.dtype.kind == "O" else None
    if entry is not None or not y.size or (known is None and y.dtype.kind != "O"):
        return entry
    known, whose = (y.ravel(), "those before it") if known is None else (known, whose)
    if not len(known):
        return None
    if y.dtype.kind == "f" and known.dtype.kind in "biuf":
        return _first_fraction(y.ravel(), known, whose)
    return _first_of_another_kind(y.ravel(), known[0], whose)


def raise_invalid(stats: RowStats, names=None, in_chunk=False) -> None:
    """Raise ValueError if the rows cannot be used, naming the first row and column that shows why.

    Parameters
    ----------
    stats : RowStats over all rows
    names : array of str (p,) or None
        Names of the columns of X.
    in_chunk : bool
        Whether the rows are those of one chunk of a collection.
    """
    if stats.n_rows == 0:
        raise ValueError(
            "Found array with 0 sample(s) while a minimum of 1 is required: X has no rows. "
            "Check the filter or the files that X is made from."
        )
    for entry in stats.invalid:
        raise ValueError(_sentence(entry, names) + _chunk_note(stats.n_rows) * in_chunk)
    if not stats.weight > 0:
        raise ValueError(
            "sample_weight must have a positive sum, but all weights are zero: no row would count. "
            "Pass sample_weight=None to weigh all rows alike."
        )


def raise_missing(X, index=None, names=None, whole=False) -> None:
    """Raise ValueError if rows X (n, ...) of a chunk are not finite, so that none is predicted.

    ``index`` are the labels (n,) of the rows and ``names`` those of the columns, where they have
    any; ``whole`` tells that they are all rows there are.
    """
    entry = _first_not_finite("X", X if sparse.issparse(X) else X.reshape(len(X), -1))
    if entry is not None:
        label = "" if index is None else f" The index of this one is {index[entry.row]!r}."
        raise ValueError(_sentence(entry, names) + _chunk_note(X.shape[0]) * (not whole) + label)


def raise_overflow(*sums) -> None:
    """Raise ValueError if sums of squares over clean data are not finite."""
    if not all(np.isfinite(part).all() for part in sums):
        raise ValueError(
            "X or y holds finite values so large that their squares overflow float64. "
            "Rescale the columns, for instance with dask_ml.preprocessing.StandardScaler."
        )


def raise_underflow(mean, squares, weight, names=None) -> None:
    """Raise ValueError if squares of columns that are not zero are too small for float64.

    ``mean (p,)`` and ``squares (p,)`` about it are those of rows of a summed ``weight``.
    """
    tiny = (squares < LEAST_SQUARE * weight) & (np.abs(mean) < LEAST_SQUARE**0.5)
    tiny &= (squares > 0.0) | (mean != 0.0)
    if tiny.any():
        column = int(np.argmax(tiny))
        label = column if names is None else repr(str(names[column]))
        raise ValueError(
            f"Column {label} of X holds numbers so small that their squares underflow float64. "
            "Rescale it, for instance with dask_ml.preprocessing.StandardScaler."
        )


def _chunk_note(n_rows) -> str:
    return f" Rows are numbered within a chunk, which has {n_rows}."


def _sentence(entry: InvalidValue, names) -> str:
    if entry.part == "sample_weight":
        return (
            f"sample_weight must be finite and not negative, but row {entry.row} has weight "
            f"{entry.value}. Drop the row or give it weight 0."
        )
    if entry.others:
        return (
            f"Mix of label input types: y holds {entry.value!r} at row {entry.row}, but "
            f"{entry.others}. Convert all labels to one kind, for instance with y.astype(str)."
        )
    kind = "NaN" if entry.value != entry.value else "infinity"
    if entry.part == "y":
        return (
            f"Input y contains {kind} at row {entry.row}, column {entry.column}, but every row "
            "needs a target: a finite number, or a label. Drop such rows."
        )
    named = names is not None and isinstance(names[entry.column], str)
    label = f" ({str(names[entry.column])!r})" if named else ""
    return (
        f"Input {entry.part} contains {kind} at row {entry.row}, column {entry.column}{label}, but "
        "only finite numbers can be used. Drop such rows, or impute them, for instance with "
        "dask_ml.impute.SimpleImputer."
    )


def _first_not_finite(part: str, A) -> InvalidValue | None:
    if sparse.issparse(A):
        bad = np.flatnonzero(~np.isfinite(A.data))
        if not bad.size:
            return None
        row = int(np.searchsorted(A.indptr, bad[0], side="right")) - 1
        return InvalidValue(part, row, int(A.indices[bad[0]]), float(A.data[bad[0]]))
    A = A if A.ndim == 2 else A[:, None]
    bad = ~np.isfinite(A)
    if not bad.any():
        return None
    row = int(np.argmax(bad.any(axis=1)))
    column = int(np.argmax(bad[row]))
    return InvalidValue(part, row, column, float(A[row, column]))


def _first_missing(y) -> InvalidValue | None:
    from pandas import isna  # slow to import, and only labels that are objects need it

    bad = isna(np.ravel(y))
    return InvalidValue("y", int(np.argmax(bad)), 0, float("nan")) if bad.any() else None


def _first_of_another_kind(y, one, whose) -> InvalidValue | None:
    """The first of the labels ``y (n,)`` that is text where ``one`` is a number, or the like."""
    wanted = _kind(one)
    kinds = {type(y[0])} if y.dtype.kind != "O" else set(map(type, y))
    if all(_kind_of_type(kind) == wanted for kind in kinds):
        return None
    row = next(i for i, label in enumerate(y) if _kind(label) != wanted)
    others = f"{whose} are of kind {wanted}, such as {_plain(one)!r}"
    return InvalidValue("y", row, 0, _plain(y[row]), others)


def _first_fraction(y, known, whose) -> InvalidValue | None:
    """The first of the numbers ``y (n,)`` that is not whole, where all ``known`` ones are."""
    bad = y % 1 != 0
    if not bad.any() or (known % 1 != 0).any():
        return None
    row = int(np.argmax(bad))
    others = f"{whose} are whole numbers, such as {_plain(known[0])!r}"
    return InvalidValue("y", row, 0, _plain(y[row]), others)


def _kind(label) -> str:
    return _kind_of_type(type(label))


def _kind_of_type(kind: type) -> str:
    if issubclass(kind, numbers.Number | np.bool_):
        return "number"
    return "string" if issubclass(kind, str) else kind.__name__


def _plain(label):
    """A label as users write it, without NumPy's name of its type."""
    return label.item() if isinstance(label, np.generic) else label
