"""From raw chunks of a collection to the blocks that kernels receive; for the engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from scipy import sparse

from daskdsml.contracts import Block

# Chunks are joined until a block has this many bytes: below it, the cost of calling a kernel shows.
SMALL_BLOCK = 2**20


def as_block(chunk, id=(0, 0)) -> Block:
    """Turn one chunk into a Block.

    Parameters
    ----------
    chunk : tuple (columns, y, w, g)
        ``columns`` is a list of the column chunks of these rows (arrays, frames or sparse
        matrices); ``y``, ``w`` and ``g`` are arrays, series or None.
    id : tuple (shard, position)

    Raises
    ------
    ValueError
        If X, y, w and g of this chunk differ in length.
    """
    columns, y, w, g = chunk
    X = _join([_matrix(part) for part in columns], axis=1)
    y = None if y is None else np.asarray(y)
    w = None if w is None else np.asarray(w, dtype=np.float64).reshape(-1)
    g = None if g is None else np.asarray(g).reshape(-1)
    for name, part in (("y", y), ("sample_weight", w), ("groups", g)):
        if part is not None and part.shape[0] != X.shape[0]:
            raise ValueError(
                f"X and {name} must have the same rows in each partition, but partition {id} of X "
                f"has {X.shape[0]} rows and that of {name} has {part.shape[0]}. Make both from the "
                "same collection, or call compute_chunk_sizes() on both to have them aligned."
            )
    return aligned(Block(X, y, w, g, id))


def aligned(block: Block) -> Block:
    """The block with arrays that start where their dtype wants it; those that do are not copied.

    Arrays that came over a network may start anywhere: NumPy then leaves BLAS, and other bits come.
    """
    X, *others, id = block
    if sparse.issparse(X):
        parts = (X.data, X.indices, X.indptr)
        if not all(part.flags.aligned for part in parts):
            X = sparse.csr_matrix(tuple(map(_aligned, parts)), shape=X.shape)
    else:
        X = _aligned(X)
    y, w, g = (None if part is None else _aligned(part) for part in others)
    return Block(X, y, w, g, id)


def _aligned(array):
    return array if array.flags.aligned else array.copy()


def join_small(blocks: Iterable[Block]) -> Iterator[Block]:
    """Join consecutive blocks until each has SMALL_BLOCK bytes; yields at least one block.

    What is joined depends on the blocks' own sizes alone, never on who reads them.
    """
    pending: list[Block] = []
    size = 0
    for block in blocks:
        pending.append(block)
        size += nbytes(block.X)
        if size >= SMALL_BLOCK:
            yield _joined(pending)
            pending, size = [], 0
    if pending:
        yield _joined(pending)


def nbytes(X) -> int:
    """Bytes that a dense array or a CSR matrix occupies."""
    if sparse.issparse(X):
        return X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    return X.nbytes


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    X, y, w, g = (
        None if parts[0] is None else _join(list(parts), axis=0)
        for parts in zip(*(block[:4] for block in blocks), strict=True)
    )
    return Block(X, y, w, g, blocks[0].id)


def _join(parts: list, axis: int):
    if len(parts) == 1:
        return parts[0]
    if any(sparse.issparse(part) for part in parts):
        stack = sparse.hstack if axis else sparse.vstack
        return stack(parts, format="csr")
    return np.concatenate(parts, axis=axis)


def _matrix(part):
    """A float CSR matrix or C-contiguous float array; float32 stays, all else becomes float64."""
    if hasattr(part, "to_numpy") and hasattr(part, "columns"):
        part = part.to_numpy()
    if hasattr(part, "tocsr"):
        part = part.tocsr()
        if not sparse.issparse(part):
            raise TypeError(f"Expected SciPy CSR from tocsr(), got {type(part).__name__}.")
        part = part.astype(float_dtype(part.dtype), copy=False)
        if not part.has_canonical_format:  # kernels meet each column once a row
            part = part.copy()
            part.sum_duplicates()
        return part
    part = np.asarray(part)
    return np.ascontiguousarray(part, dtype=float_dtype(part.dtype))


def float_dtype(dtype) -> np.dtype:
    """The dtype in which X of ``dtype`` is computed with: float32 for 16 and 32 bit floats."""
    dtype = np.dtype(dtype)
    return np.dtype(np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64)
