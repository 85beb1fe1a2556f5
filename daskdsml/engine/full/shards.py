"""Shards: runs of consecutive chunks, and the work of a task over the shards it was given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Block
from daskdsml.data.blocks import aligned, as_block, join_small, nbytes
from daskdsml.engine import tree
from daskdsml.engine.scheduling import read_ahead
from daskdsml.engine.tree import PartialSums
from daskdsml.utils.threads import single_threaded_blas

# A shard is the least a task takes: about 1/64 of the data, within these bounds in bytes.
SHARDS = 64
SMALLEST, LARGEST = 2**20, 2**26


class Stream(NamedTuple):
    """A shard that is read anew each time it is iterated over.

    ``chunks`` are callables without arguments that give raw chunks (see `as_block`);
    ``transforms`` are applied to each block in turn.
    """

    index: int  # type: ignore[assignment]  # nobody asks a shard for a tuple's method
    chunks: tuple[Any, ...]
    transforms: tuple[Callable, ...] = ()

    def __call__(self) -> Iterator[Block]:
        raw = (as_block(read(), (self.index, i)) for i, read in enumerate(self.chunks))
        for block in join_small(raw):
            for transform in self.transforms:
                block = transform(block)
            yield block
            del block  # or the next block would be made while this one is still held here


class Held(NamedTuple):
    """A shard whose blocks are in memory."""

    blocks: list[Block]

    def __call__(self) -> Iterator[Block]:
        return map(aligned, self.blocks)


class Folded(NamedTuple):
    """What a fold hands from task to task: a state, and what was read to come to it."""

    state: Any
    n_rows: int = 0
    n_bytes: int = 0


def plan(chunk_bytes: list[float]) -> list[range]:
    """Group consecutive chunks into shards.

    The borders depend on the chunks alone. Chunks of unknown size (NaN) are taken as equal.
    """
    sizes = np.asarray(chunk_bytes, dtype=float)
    if np.isnan(sizes).any():
        sizes = np.full(len(sizes), LARGEST / max(len(sizes) / SHARDS, 1.0))
    target = float(np.clip(sizes.sum() / SHARDS, SMALLEST, LARGEST))
    shards, start, size = [], 0, 0.0
    for i, chunk in enumerate(sizes):
        size += chunk
        if size >= target:
            shards.append(range(start, i + 1))
            start, size = i + 1, 0.0
    if start < len(sizes):
        shards.append(range(start, len(sizes)))
    return shards


def hold(shard) -> Held:
    """Read a shard into memory."""
    return Held(list(shard()))


def hold_all(shards) -> list[Held]:
    """Read shards into memory, one after the other."""
    return [hold(shard) for shard in shards]


def transformed(shard, transform):
    """The shard with ``transform`` applied to each block: now if held, at each read if streamed."""
    if isinstance(shard, Held):
        return Held([transform(block) for block in shard.blocks])
    return shard._replace(transforms=(*shard.transforms, transform))


def transformed_all(shards, transform) -> list:
    """`transformed` of each shard."""
    return [transformed(shard, transform) for shard in shards]


def hold_chunks(index, chunks) -> Held:
    """Make a held shard of chunks that are in memory already."""
    return hold(Stream(index, tuple(_Constant(chunk) for chunk in chunks)))


def run_shards(kernel, state, shards: list[tuple[int, Any]], n_shards: int) -> PartialSums:
    """Apply ``kernel(state, block)`` to every block and add up as far as the tree allows.

    Parameters
    ----------
    kernel : callable (state, block) -> Summable
    shards : list of (index, shard), in ascending order of index
    n_shards : int
        Number of shards of the whole data, which fixes the tree.
    """
    nodes: dict = {}
    n_rows = n_bytes = 0
    current, total = None, None
    # What is not finite is found by the sums, and then named with its row and column.
    with single_threaded_blas(), np.errstate(all="ignore"):
        for index, block in _blocks(shards):
            if index != current and current is not None:
                tree.insert(nodes, (0, current), total, n_shards)
                total = None
            value = kernel(state, block)
            total = value if total is None else total + value
            current = index
            n_rows += block.X.shape[0]
            n_bytes += nbytes(block.X)
            del block
        if current is not None:
            tree.insert(nodes, (0, current), total, n_shards)
    return PartialSums(nodes, n_rows, n_bytes)


def fold_shards(kernel, shards: list[tuple[int, Any]], carried: Folded) -> Folded:
    """Apply ``state = kernel(state, block)`` to one block after another.

    Parameters
    ----------
    kernel : callable (state, block) -> state, which leaves its arguments as they are
    shards : list of (index, shard), in the order in which they are to be met
    carried : Folded
        The state to begin with, and what was read before.
    """
    state, n_rows, n_bytes = carried
    with single_threaded_blas(), np.errstate(all="ignore"):
        for _, block in _blocks(shards):
            state = kernel(state, block)
            n_rows += block.X.shape[0]
            n_bytes += nbytes(block.X)
            del block
    return Folded(state, n_rows, n_bytes)


def _blocks(shards) -> Iterator[tuple[int, Block]]:
    blocks = ((index, block) for index, shard in shards for block in shard())
    streams = any(isinstance(shard, Stream) for _, shard in shards)
    return read_ahead(blocks) if streams else blocks


class _Constant(NamedTuple):
    chunk: tuple

    def __call__(self):
        return self.chunk
