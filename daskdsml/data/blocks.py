"""Blocks: raw chunks of rows as the arrays that kernels receive, and how many go together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse

from daskdsml.contracts import Block

# Chunks are joined until a block has this many bytes: below it, the cost of calling a kernel shows.
SMALL_BLOCK = 2**20


class Slice(NamedTuple):
    """Reads the raw chunk of rows [start, stop) of ``parts`` in memory, X first, or None."""

    parts: tuple
    start: int
    stop: int

    def __call__(self):
        X, *others = (None if a is None else a[self.start : self.stop] for a in self.parts)
        return [X], *others


def as_block(chunk, id=(0, 0)) -> Block:
    """Turn a raw chunk into a Block with an id (shard, position).

    A chunk is a list of the column chunks of its rows (arrays, frames or sparse matrices), then y,
    w and g: arrays, series or None.
    """
    columns, y, w, g = chunk
    X = stack([_matrix(column) for column in columns], axis=1)
    y = None if y is None else np.asarray(y)
    w = None if w is None else np.asarray(w, dtype=np.float64).reshape(-1)
    g = None if g is None else np.asarray(g).reshape(-1)
    others = {"y": y, "sample_weight": w, "groups": g}
    check_same_rows(X, others, "partition", f"partition {id}")
    return aligned_block(Block(X, y, w, g, id))


def check_same_rows(X, others: dict, kind: str, which: str) -> None:
    """Raise ValueError unless all parts of ``which`` chunk, or another kind, have the rows of X."""
    for name, array in others.items():
        if array is not None and array.shape[0] != X.shape[0]:
            raise ValueError(
                f"X and {name} must have the same rows in each {kind}, but {which} of X has "
                f"{X.shape[0]} rows and that of {name} has {array.shape[0]}. Make both from the "
                "same collection, or call compute_chunk_sizes() on both to have them aligned."
            )


def aligned_block(block: Block) -> Block:
    """The block with `aligned` arrays."""
    X, y, w, g = map(aligned, block[:4])
    return Block(X, y, w, g, block.id)


def aligned(array):
    """The array or CSR matrix, or None, so that it starts where its dtype wants it.

    Arrays that came over a network may start anywhere: NumPy then leaves BLAS, and other bits come.
    Those that are aligned are not copied.
    """
    if array is None or isinstance(array, np.ndarray):
        return array if array is None or array.flags.aligned else array.copy()
    buffers = (array.data, array.indices, array.indptr)
    if all(buffer.flags.aligned for buffer in buffers):
        return array
    return sparse.csr_matrix(tuple(map(aligned, buffers)), shape=array.shape)


def small_together(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Runs of consecutive blocks that are to be joined, of SMALL_BLOCK bytes or more each.

    What is joined depends on the blocks' own sizes alone, never on who reads them.
    """
    return group(blocks, lambda block: nbytes(block.X), SMALL_BLOCK)


def group(items: Iterable, size: Callable, least: float) -> Iterator[list]:
    """Runs of consecutive items of at least ``least`` in size together, but for the last run."""
    run, total = [], 0
    for item in items:
        run.append(item)
        total += size(item)
        if total >= least:
            yield run
            run, total = [], 0
    if run:
        yield run


def split(n: int, n_parts: int) -> list[range]:
    """Cut ``range(n)`` into at most ``n_parts`` runs of nearly equal length."""
    borders = np.linspace(0, n, min(n, max(n_parts, 1)) + 1).round().astype(int)
    return [range(a, b) for a, b in zip(borders[:-1], borders[1:], strict=True)]


def nbytes(X) -> int:
    """Bytes that a dense array or a CSR matrix occupies."""
    if isinstance(X, np.ndarray):
        return X.nbytes
    return X.data.nbytes + X.indices.nbytes + X.indptr.nbytes


def joined(blocks: list[Block]) -> Block:
    """Blocks as one, with the id of the first."""
    X, y, w, g = (stack(parts) for parts in zip(*(block[:4] for block in blocks), strict=True))
    return Block(X, y, w, g, blocks[0].id)


def stack(parts, axis: int = 0):
    """Arrays or CSR matrices as one; None if the first is None, and itself if there is one."""
    if parts[0] is None or len(parts) == 1:
        return parts[0]
    if any(map(sparse.issparse, parts)):
        return (sparse.hstack if axis else sparse.vstack)(parts, format="csr")
    return np.concatenate(parts, axis=axis)


def _matrix(chunk):
    """A float CSR matrix or C-contiguous float array; float32 stays, all else becomes float64."""
    if hasattr(chunk, "to_numpy") and hasattr(chunk, "columns"):
        chunk = chunk.to_numpy()
    if hasattr(chunk, "tocsr"):
        chunk = chunk.tocsr()
        if not sparse.issparse(chunk):
            raise TypeError(f"Expected SciPy CSR from tocsr(), got {type(chunk).__name__}.")
        return canonical(chunk.astype(float_dtype(chunk.dtype), copy=False))
    chunk = np.asarray(chunk)
    return np.ascontiguousarray(chunk, dtype=float_dtype(chunk.dtype))


def canonical(X):
    """A CSR matrix with each column at most once in a row, in order; kernels count on it."""
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def float_dtype(dtype) -> np.dtype:
    """The dtype in which X of ``dtype`` is computed with: float32 for 16 and 32 bit floats."""
    dtype = np.dtype(dtype)
    return np.dtype(np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64)
