"""Shards: runs of consecutive chunks, and the work of a task over the shards it was given."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import dask
import numpy as np
from dask.base import is_dask_collection

from daskdsml.contracts import Block
from daskdsml.data.blocks import aligned_block, as_block, group, joined, nbytes, small_together
from daskdsml.engine import tree
from daskdsml.engine.scheduling import read_ahead
from daskdsml.engine.signatures import concatenated, signature
from daskdsml.engine.tree import PartialSums
from daskdsml.utils.threads import single_threaded_blas

# A shard is the least a task takes: about 1/64 of the data, within these bounds in bytes.
SHARDS = 64
SMALLEST, LARGEST = 2**20, 2**26


class Stream(NamedTuple):
    """A shard that is read anew each time it is iterated over.

    ``chunks`` are callables without arguments that give raw chunks (see `as_block`);
    ``transforms`` are applied to each block in turn. Chunks that could change are ``signed``.
    """

    index: int  # type: ignore[assignment]  # nobody asks a shard for a tuple's method
    chunks: Iterable[Callable]
    transforms: tuple[Callable, ...] = ()
    signed: bool = True

    def __call__(self, signatures: list) -> Iterator[Block]:
        """The blocks, while their signatures are appended to a list."""
        chunks = (as_block(read(), (self.index, i)) for i, read in enumerate(self.chunks))
        for block in map(partial(self._joined, signatures), small_together(chunks)):
            for transform in self.transforms:
                block = transform(block)
            yield block
            del block  # or the next block would be made while this one is still held here

    def _joined(self, signatures: list, blocks: list[Block]) -> Block:
        block = joined(blocks)
        if self.signed:
            signatures.append(signature(*block[:3], [part.X.shape[0] for part in blocks]))
        return block


class Held(NamedTuple):
    """A shard whose blocks are in memory, with the signatures of the chunks they were made of."""

    blocks: list[Block]
    signatures: list

    def __call__(self, signatures: list) -> Iterator[Block]:
        signatures += self.signatures
        return map(aligned_block, self.blocks)


class Folded(NamedTuple):
    """What a fold hands from task to task: a state, and what was read to come to it.

    A shard is begun only while of its ``seconds`` some are left; ``n_shards`` were.
    """

    state: Any
    n_rows: int = 0
    n_bytes: int = 0
    signatures: dict = {}
    n_shards: int = 0
    seconds: float = np.inf


def plan(chunk_bytes: list[float]) -> list[list[int]]:
    """Group consecutive chunks into shards.

    The borders depend on the chunks alone. Chunks of unknown size (NaN) are taken as equal.
    """
    sizes = np.asarray(chunk_bytes, dtype=float)
    if np.isnan(sizes).any():
        sizes = np.full(len(sizes), LARGEST / max(len(sizes) / SHARDS, 1.0))
    target = float(np.clip(sizes.sum() / SHARDS, SMALLEST, LARGEST))
    return list(group(range(len(sizes)), sizes.item, target))


def lay_out(table, tasks, chunk_bytes: list[float]) -> list:
    """The shards of a table cut into chunk tasks: streams, or Delayed where Dask makes chunks."""
    groups = plan(chunk_bytes)
    if tasks.shared or tasks.held:
        return _delayed(table, groups)
    return [
        Stream(i, tuple(tasks.chunks[j] for j in js), signed=not table.is_local)
        for i, js in enumerate(groups)
    ]


def hold(shard) -> Held:
    """Read a shard into memory."""
    signatures: list = []
    return Held(list(shard(signatures)), signatures)


def hold_sent(shard: Stream, recipes) -> Held:
    """Read a stream, whose recipes were sent, into memory."""
    return hold(recipes.reader(shard.index, shard))


def hold_chunks(index, chunks) -> Held:
    """Make a held shard of chunks that are in memory already."""
    return hold(Stream(index, tuple(partial(_given, chunk) for chunk in chunks)))


def _given(chunk):
    return chunk


def transformed(shard, transform):
    """The shard with ``transform`` applied to each block: now if held, at each read if streamed."""
    if isinstance(shard, Held):
        return shard._replace(blocks=[transform(block) for block in shard.blocks])
    return shard._replace(transforms=(*shard.transforms, transform))


def run_shards(
    kernel, state, shards: list[tuple[int, Any]], n_shards: int, seconds=np.inf, stopped=None
) -> PartialSums:
    """Add up ``kernel(state, block)`` of all blocks as far as the tree over ``n_shards`` allows.

    ``shards`` are pairs (index, shard) in ascending order of the index; no more are begun after
    ``seconds``, or where ``stopped()``.
    """
    read, signatures = Counter[str](), dict[int, list]()

    def values():
        for index, block in _blocks(shards, read, signatures, seconds, stopped):
            yield index, kernel(state, block)
            del block

    # What is not finite is found by the sums, and then named with its row and column.
    with single_threaded_blas(), np.errstate(all="ignore"):
        nodes = tree.collect(values(), n_shards)
    return PartialSums(nodes, read["rows"], read["bytes"], _by_shard(signatures))


def fold_shards(kernel, shards: list[tuple[int, Any]], folded: Folded) -> Folded:
    """Go on with ``state = kernel(state, block)`` for one block after another.

    The kernel leaves its arguments as they are, for a task may be made again.
    """
    state, read = folded.state, Counter(rows=folded.n_rows, bytes=folded.n_bytes)
    signatures: dict[int, list] = {}
    begun = time.monotonic()
    with single_threaded_blas(), np.errstate(all="ignore"):
        for _, block in _blocks(shards, read, signatures, folded.seconds):
            state = kernel(state, block)
            del block
    signed = folded.signatures | _by_shard(signatures)
    left = folded.seconds - (time.monotonic() - begun)
    n_shards = folded.n_shards + len(signatures)
    return Folded(state, read["rows"], read["bytes"], signed, n_shards, left)


def run_sent(work, shards: list[tuple[int, Stream]], recipes, *arguments):
    """Do ``work(shards, *arguments)`` on streams whose recipes were sent."""
    return work([(i, recipes.reader(i, shard)) for i, shard in shards], *arguments)


def _begun(shards, seconds, stopped=None) -> Iterator[tuple[int, Any]]:
    """Shards for so many seconds, or until ``stopped()``: the first one, if there are any left."""
    begun = time.monotonic()
    for index, shard in shards:
        if time.monotonic() - begun >= seconds or (stopped is not None and stopped()):
            break
        yield index, shard


def _blocks(
    shards, read: Counter, signatures: dict, seconds, stopped=None
) -> Iterator[tuple[int, Block]]:
    """Blocks with the index of their shard; ``read`` counts their rows and bytes.

    ``signatures`` takes those of the blocks of each shard that is begun.
    """
    blocks = (
        (index, block)
        for index, shard in _begun(shards, seconds, stopped)
        for block in shard(signatures.setdefault(index, []))
    )
    streams = any(isinstance(shard, Stream) for _, shard in shards)
    for index, block in read_ahead(blocks) if streams else blocks:
        read.update(rows=block.X.shape[0], bytes=nbytes(block.X))
        yield index, block
        del block


def _by_shard(signatures: dict[int, list]) -> dict[int, tuple]:
    return {index: concatenated(runs) for index, runs in signatures.items() if runs}


# Shards as Dask Delayed objects, for chunks that only Dask's own scheduler should make.


def _delayed(table, groups) -> list:
    X, *others = table.row_parts
    columns = X.to_delayed()
    others = [None if part is None else part.to_delayed().ravel() for part in others]
    make = dask.delayed(hold_chunks, pure=False)
    return [
        make(i, [[list(columns[j]), *(p if p is None else p[j] for p in others)] for j in chunks])
        for i, chunks in enumerate(groups)
    ]


def map_shards(shards: list, transform) -> list:
    """`transformed` of each shard, be it Delayed or not."""
    delayed = is_dask_collection(shards[0])
    change = dask.delayed(transformed, pure=False) if delayed else transformed
    return [change(shard, transform) for shard in shards]


def delayed_sums(work, shards: list, which, name: str | None = None) -> list:
    """Delayed ``work([(index, shard)])`` of each of ``which`` Delayed shards."""
    run = dask.delayed(work, pure=False)
    return [run([(i, shards[i])], dask_key_name=name and f"{name}-{i}") for i in which]


def delayed_fold(work, shards: list, order, folded, name: str | None = None):
    """Delayed ``work([(index, shard)], folded)`` of one Delayed shard after another."""
    fold = dask.delayed(work, pure=False)
    for link, i in enumerate(order):
        folded = fold([(i, shards[i])], folded, dask_key_name=name and f"{name}-{link}")
    return folded
