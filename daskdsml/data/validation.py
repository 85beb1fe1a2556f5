"""Checks and aligns what the user passes; imported by estimators.

Nothing here reads a Dask collection, except to learn chunk sizes that are unknown and needed.
"""

from __future__ import annotations

import warnings

import numpy as np
from dask.array import core as da
from dask.array.wrap import full
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_consistent_length

from daskdsml.data.dataset import (
    MATRIX,
    Dataset,
    check_in_memory,
    check_not_empty,
    check_not_released,
    check_numeric,
    dask_rows,
    is_dask,
    meta_of,
    plain,
    series_to_array,
)
from daskdsml.data.local import check_target_rank, local_rows, local_target, local_weights
from daskdsml.data.windows import WindowedSequences
from daskdsml.engine.clients import current_client
from daskdsml.utils.validation import outside


def validate_dataset(
    X,
    y=None,
    sample_weight=None,
    groups=None,
    mask=None,
    *,
    labels=False,
    multi_output=False,
    y_steps=False,
    ranks=MATRIX,
    any_dtype=False,
    known_rows=False,
    estimator=None,
) -> Dataset:
    """Check and align what the user passed; messages name what is wrong, and the remedy.

    Parameters
    ----------
    X : array (n, ...), list, CSR (n, p), pandas or Dask DataFrame, Dask Array, WindowedSequences
    y : array (n,), (n, K) or (n, T), series, or None
    sample_weight : array (n,), series, number or None
        Where ``y_steps``, also (n, T), a weight for each time step.
    groups : array (n,), series or None
        A label of any kind for each row.
    mask : array (n, T) or None
        True at the time steps that count.
    labels : bool
        Whether ``y`` holds class labels of any dtype; otherwise it must hold numbers.
    multi_output : bool
        Whether ``y`` may be (n, K).
    y_steps : bool
        Whether ``y`` is (n, T), a target for each time step.
    ranks : tuple of int or None
        Numbers of axes that X may have; None stands for any from 2 on.
    any_dtype : bool
        Whether X stays in the dtype it is stored in, and rows of more than one axis in one chunk,
        as networks want it; otherwise an X in memory becomes floating point.
    known_rows : bool
        Whether chunk lengths must be known: they are counted, at the cost of a read, if not.
    estimator : estimator instance, named in messages
    """
    X = X.X if isinstance(X, WindowedSequences) else X
    given = {"X": X, "y": y, "sample_weight": sample_weight, "groups": groups, "mask": mask}
    for name, part in given.items():
        check_in_memory(part, name)
    lazy = is_dask(X)
    if not lazy:
        X = local_rows(X, ranks, any_dtype, estimator)
    else:
        current_client()  # tells what is wrong with it before Dask reads anything
        X = dask_rows(X, ranks)
        if any_dtype and X.ndim > 2 and max(X.numblocks[1:]) > 1:
            X = X.rechunk({axis: -1 for axis in range(1, X.ndim)})
    y, w, g, mask = (
        # A small Dask vector that accompanies an X in memory is brought to X.
        part.compute() if is_dask(part) and not lazy else part
        for part in (y, sample_weight, groups, mask)
    )
    y = None if y is None else _target(y, labels, multi_output or y_steps)
    w = None if w is None else _weight(w, None if lazy else X.shape[0], y_steps)
    g = None if g is None else _groups(g)
    mask = None if mask is None else _mask(mask)
    if lazy:
        dataset = _aligned(X, y, w, g, mask, known_rows)
    else:
        check_consistent_length(X, y, w, g)
        dataset = Dataset(X, y, w, g, mask)
    _check_steps(dataset, y_steps)
    return dataset


def warn_of_one_row(scores, remedy="Score two rows or more.") -> None:
    """Warn as scikit-learn does if one of the ``scores`` is NaN: R2 of a single row."""
    if np.isnan(scores).any():
        warnings.warn(
            f"R2 is not defined for a single row, so it is NaN. {remedy}",
            UndefinedMetricWarning,
            stacklevel=outside(),
        )


def target_names(y) -> list | None:
    """Names of the columns of a DataFrame y, or of the one of a Series; None for an array."""
    meta = meta_of(y)
    if not hasattr(meta, "iloc"):
        return None
    return list(meta.columns) if meta.ndim == 2 else [meta.name]


def _check_steps(dataset, y_steps) -> None:
    """Raise ValueError unless mask, and y and weights of steps, have one for each step of rows."""
    X, y, w, mask = dataset.X, dataset.y, dataset.w, dataset.mask
    expected = tuple(X.shape[:2])
    if mask is not None and tuple(mask.shape) != expected:
        raise ValueError(
            f"mask.shape == {tuple(mask.shape)}, expected {expected}: one flag per step."
        )
    if y_steps and y is not None and tuple(y.shape) != expected:
        raise ValueError(
            f"y.shape == {tuple(y.shape)}, expected {expected}: one target per step. "
            "Pad shorter sequences and pass mask."
        )
    if w is not None and w.ndim > 1 and tuple(w.shape) != expected:
        raise ValueError(
            f"sample_weight.shape == {tuple(w.shape)}, expected {expected[:1]} or {expected}: one "
            "weight per row, or per step."
        )


def _aligned(X, y, w, g, mask, known_rows) -> Dataset:
    """All parts as Dask Arrays with the row chunks of X."""
    parts = {"y": y, "sample_weight": w, "groups": g, "mask": mask}
    given = {name: part for name, part in parts.items() if part is not None}
    for name, part in {"X": X, **given}.items():
        if is_dask(part):
            check_not_released(part, name)
    for name, part in given.items():
        known = part.ndim > 0 and not np.isnan(part.shape[0] + X.shape[0])
        if known and part.shape[0] != X.shape[0]:
            raise ValueError(
                "Found input variables with inconsistent numbers of samples: "
                f"X has {X.shape[0]} rows and {name} has {part.shape[0]}."
            )
    extra_reads = 0
    needed = known_rows or any(_needs_lengths(X, part) for part in given.values())
    if needed and np.isnan(X.shape[0]):
        X = X.copy().compute_chunk_sizes()
        extra_reads = 1
        check_not_empty(X.shape)
    y, w, g, mask = (
        None if part is None else _like_rows(name, part, X, extra_reads > 0)
        for name, part in parts.items()
    )
    return Dataset(X, y, w, g, mask, extra_reads)


def _needs_lengths(X, array) -> bool:
    """Whether row chunks can only be matched once their lengths are known."""
    if not isinstance(array, da.Array):
        return np.isnan(X.shape[0])
    unknown = np.isnan([X.shape[0], array.shape[0]])
    return bool(unknown.any() and not (unknown.all() and array.numblocks[0] == X.numblocks[0]))


def _like_rows(name, array, X, counted):
    """The part ``name``, or a number for all rows, as a Dask Array with the row chunks of X.

    ``counted`` is True if the lengths of X were unknown, too: where both have as many chunks, these
    are taken as equal.
    """
    if array.ndim == 0:
        return full(X.shape[0], float(array), chunks=(X.chunks[0],))
    if not isinstance(array, da.Array):
        _check_rows(name, array, X)
        return da.from_array(array, chunks=(X.chunks[0], *((k,) for k in array.shape[1:])))
    known = not np.isnan(X.shape[0])
    if np.isnan(array.shape[0]) and known:
        if counted and array.numblocks[0] == X.numblocks[0]:
            # Blocks that differ in length from those of X are found when they are read.
            chunks = (X.chunks[0], *array.chunks[1:])
            array = da.Array(array.dask, array.name, chunks, meta=array._meta)
        else:
            array = array.copy().compute_chunk_sizes()
    if known:
        _check_rows(name, array, X)
    wanted = {0: X.chunks[0]} if known else {}
    if array.ndim == 2:
        wanted[1] = -1
    return array.rechunk(wanted) if wanted else array


def _check_rows(name, array, X) -> None:
    if array.shape[0] != X.shape[0]:
        raise ValueError(
            "Found input variables with inconsistent numbers of samples: "
            f"X has {X.shape[0]} rows and {name} has {array.shape[0]}."
        )


def _target(y, labels, multi_output):
    """A target (n,), or (n, K) if ``multi_output``, in memory or as a Dask Array."""
    if not is_dask(y):
        return local_target(y, labels, multi_output)
    y = series_to_array(y, labels)
    if y.ndim == 2 and y.shape[1] == 1 and not multi_output:
        y = y[:, 0]
    check_target_rank(y, multi_output)
    if not labels or y.dtype.kind == "c":
        check_numeric(y.dtype, "y")
    return y


def _weight(w, n, of_steps):
    """Weights (n,), in float64 or as a Dask Array; ``n`` None leaves a number, or length, as is.

    They may be (n, T) if ``of_steps``.
    """
    lazy = is_dask(w)
    w = series_to_array(w, labels=False) if lazy else local_weights(w)
    if w.ndim == 0 and n is not None:
        w = np.full(n, float(w))
    if w.ndim > 1 + of_steps or (lazy and w.ndim == 0):
        raise ValueError(
            f"Sample weights must be 1D array or scalar, got {w.ndim}D array of shape {w.shape}. "
            "Pass one weight for each row, such as sample_weight[:, 0]."
        )
    if lazy:
        check_numeric(w.dtype, "sample_weight")
    if n is not None and w.shape[:1] != (n,):
        raise ValueError(f"sample_weight.shape == {w.shape}, expected {(n,)}: one weight per row.")
    return w


def _groups(g):
    """Labels (n,) of any kind, in memory or as a Dask Array."""
    g = series_to_array(g, labels=True) if is_dask(g) else np.asarray(g)
    if g.ndim != 1:
        got = f"{g.ndim}D" if is_dask(g) else f"an array of shape {g.shape}"
        raise ValueError(f"groups must be 1D, one label per row, got {got}.")
    return g


def _mask(mask):
    """Flags as booleans, in memory or as a Dask Array."""
    if not is_dask(mask):
        return _flags(np.asarray(mask))
    mask = plain(mask)
    meta = np.empty((0,) * mask.ndim, dtype=bool)
    return mask if mask.dtype == bool else mask.map_blocks(_flags, dtype=bool, meta=meta)


def _flags(mask):
    """A mask as booleans; ValueError where it holds what is neither true nor false."""
    if mask.dtype == bool:
        return mask
    wrong = ~np.isin(mask, (0, 1)) if mask.dtype.kind in "iufO" else np.ones(mask.shape, dtype=bool)
    if wrong.any():
        raise ValueError(
            f"mask holds {mask[wrong].tolist()[0]!r}: expected True (or 1) at the steps that "
            "count and False (or 0) at all others, such as mask = codes != padding."
        )
    return mask.astype(bool)
