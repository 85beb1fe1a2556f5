"""Lazy predictions: a fitted model applied to the blocks of a Dask collection."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
from dask.base import tokenize

from daskdsml.data.dataset import dask_rows
from daskdsml.passes.row_stats import raise_missing


def lazily(X, predictor, finish, *, columns, dtype, name):
    """`lazily_rows` of a Dask Array or DataFrame X (n, p): a vector, or a matrix of ``columns``."""
    X = dask_rows(X)
    X = X if X.numblocks[1] == 1 else X.rechunk({1: -1})
    tail = () if columns is None else (columns,)
    return lazily_rows(X, None, predictor, finish, tail=tail, dtype=dtype, name=name)


def lazily_rows(X, mask, predictor, finish, *, tail, dtype, name):
    """``finish(predictor(block, mask))`` for each block of rows of X, as a Dask Array.

    Parameters
    ----------
    X : Dask Array (n, ...), in one chunk along all axes but the first
    mask : Dask Array (n, T) with the row chunks of X, or None
    predictor : callable, small enough to be shipped
    finish : callable, from raw scores to what is wanted
    tail : shape of one row of the result
    dtype : dtype of the result
    name : str
        What the names of the tasks begin with.
    """
    given = [X, tuple(range(X.ndim))]
    if mask is not None:
        # Axes of their own: the result keeps the rows alone.
        given += [mask, (0, X.ndim)]
    rows = (0, *(X.ndim + 1 + axis for axis in range(len(tail))))
    return da.blockwise(
        _finished,
        rows,
        *given,
        # As one key of the graph the model travels to each worker once, however many blocks.
        predictor=dask.delayed(predictor, pure=True),
        finish=finish,
        new_axes={axis: length for axis, length in zip(rows[1:], tail, strict=True)},
        dtype=dtype,
        meta=np.empty((0,) * len(rows), dtype=dtype),
        name=f"{name}-{tokenize(X.name, getattr(mask, 'name', None), predictor, finish, tail)}",
    )


def _finished(*blocks, predictor, finish):
    X, *mask = map(_alone, blocks)
    with np.errstate(invalid="ignore"):  # told of below, with the row
        scores = predictor(X, *mask)
    if not np.isfinite(scores).all():
        raise_missing(X)
    return finish(scores)


def _alone(block):
    """The only block in the nested lists that Dask makes of axes the result does not have."""
    while isinstance(block, list):
        (block,) = block
    return block
