"""Lazy predictions: a fitted model applied to the chunks of a Dask collection."""

from __future__ import annotations

import dask
import dask.array
import numpy as np
from dask.array import core
from dask.base import tokenize
from scipy import sparse

from daskdsml.data.blocks import float_dtype
from daskdsml.data.dataset import checked_rows, is_dask_frame, plain
from daskdsml.passes.evaluate import Labels
from daskdsml.passes.row_stats import raise_missing


def lazily(X, predictor, finish, *, name, mask=None, ranks=(2,), tail=(), columns=None, dtype=None):
    """``finish(predictor(rows, mask))`` for the rows of each chunk of a Dask collection X (n, ...).

    A Dask Array for an array. For a DataFrame a Series, or a DataFrame if ``tail`` is (K,), with
    its partitions and index; but an array where there is a mask, or ``tail`` has more axes.

    Parameters
    ----------
    X : Dask Array (n, ...) or DataFrame
    predictor : callable, small enough to be shipped
    finish : callable, from raw scores to what is wanted
    name : str
        What the names of the tasks begin with.
    mask : plain Dask Array (n, T) with the row chunks of X, which is plain then too, or None
    ranks : tuple of int or None
        Numbers of axes that X may have, as for `validate_dataset`.
    tail : tuple of int
        Shape of one row of the result.
    columns : sequence of names or None
        Of the columns of a DataFrame, None for 0, 1, ...; or the one name of a Series.
    dtype : dtype of the result; None for the one that X is computed with
    """
    X = checked_rows(X, ranks)
    frame = is_dask_frame(X)
    dtype = float_dtype(X.dtypes.iloc[0] if frame else X.dtype) if dtype is None else dtype
    if not frame:
        return _of_array(X, mask, predictor, finish, tail, dtype, name)
    if len(tail) > 1 or mask is not None:
        return _of_array(plain(X), mask, predictor, finish, tail, dtype, name)
    names = [] if columns is None else list(columns)
    if len(names) != np.prod(tail, dtype=int):
        names = list(range(*tail)) if tail else [None]
    held_in = _dtype_in_frames(finish, dtype)
    return X.map_partitions(
        _finished_part,
        dask.delayed(predictor, pure=True),
        finish,
        names,
        held_in,
        meta=_framed(np.empty((0, *tail), dtype), X._meta.index, names, held_in),
        token=name,
    )


def _dtype_in_frames(finish, dtype):
    """The dtype of a column of predictions: that of text is Dask's, who reads text in it."""
    if not isinstance(finish, Labels):
        return dtype
    import dask.dataframe as dd  # who has a frame has it; slow to import
    import pandas as pd

    # From all labels: a partition may have none.
    labels = pd.Series(finish.classes)
    text = pd.api.types.infer_dtype(labels) == "string"
    return dd.from_pandas(labels, npartitions=1).dtype if text else labels.dtype


def _of_array(X, mask, predictor, finish, tail, dtype, name):
    arrays = core if isinstance(X, core.Array) else dask.array
    if max(X.numblocks[1:], default=1) > 1:
        X = X.rechunk({axis: -1 for axis in range(1, X.ndim)})
    # As one key of the graph the model travels to each worker once, however many blocks.
    model = np.empty((), dtype=object)
    model[()] = predictor
    token = tokenize(X.name, getattr(mask, "name", None), predictor, finish, tail)
    boxed = arrays.from_array(model, chunks=(), name=f"{name}-model-{token}", asarray=False)
    given = [boxed] if mask is None else [boxed, mask[(..., *[None] * (X.ndim - mask.ndim))]]
    return X.map_blocks(
        _finished_block,
        *given,
        finish=finish,
        name=f"{name}-{token}",
        drop_axis=list(range(1, X.ndim)),
        new_axis=list(range(1, 1 + len(tail))),
        chunks=(X.chunks[0], *((length,) for length in tail)),
        dtype=np.dtype(dtype),
        meta=np.empty((0,) * (1 + len(tail)), dtype=dtype),
    )


def _finished_block(X, model, mask=None, *, finish):
    masks = () if mask is None else (mask.reshape(mask.shape[:2]),)
    return _finished(model.item(), finish, X, *masks)


def _finished_part(part, predictor, finish, names, dtype):
    values = _finished(predictor, finish, part.to_numpy(), index=part.index, names=part.columns)
    return _framed(values, part.index, names, dtype)


def _framed(values, index, names, dtype):
    """A Series of a name, or a DataFrame of columns."""
    import pandas as pd

    if values.ndim == 1:
        return pd.Series(values, index=index, name=names[0], dtype=dtype)
    return pd.DataFrame(values, index=index, columns=names, dtype=dtype)


def _finished(predictor, finish, X, *mask, index=None, names=None):
    # An activation may make a number of what is none, so scores do not tell.
    with np.errstate(all="ignore"):
        if not np.isfinite((X.data if sparse.issparse(X) else X).sum(dtype=float)):
            raise_missing(X, index, names)
        return finish(predictor(X, *mask))
