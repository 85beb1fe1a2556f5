"""Partitions: runs of neighbouring chunks of examples, and the ways to read them."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import dask
import numpy as np
from dask.delayed import Delayed

from daskdsml.data.blocks import Slice, canonical, check_same_rows, stack
from daskdsml.data.dataset import Dataset
from daskdsml.engine import chunk_tasks as ct
from daskdsml.engine.minibatch import shuffle_buffer
from daskdsml.engine.minibatch.row_buffer import RowBlock, row_bytes

# Reading partitions one by one may repeat upstream work this often before Dask had better make them
# all at once: rechunked data and windows across chunks do so twice, a shuffle once a partition.
MAX_REPEATS = 3


class Partition(NamedTuple):
    """A partition that is read anew at each call; ``chunks`` are callables that give raw chunks."""

    n_rows: int
    chunks: tuple

    def __call__(self) -> RowBlock:
        return as_rows([read() for read in self.chunks], self.n_rows)


class Partitions(NamedTuple):
    """The partitions of examples.

    ``sources`` are callables that give the `RowBlock` of each partition, ``lengths`` their rows,
    ``row_bytes`` the bytes that a row takes in slots. ``tasks`` are Dask Delayed objects of the
    partitions, given if Dask had better make them, ``at_once`` if they share upstream work; None
    otherwise. ``only_here`` means that no other process should read the rows: they are in this
    one's memory or in the graph, or their source cannot be pickled.
    """

    sources: list
    lengths: list[int]
    row_bytes: float
    tasks: list | None = None
    at_once: bool = False
    only_here: bool = False

    @property
    def n_bytes(self) -> float:
        return self.row_bytes * sum(self.lengths)


def cut(
    examples: Dataset, remote: bool, n_wanted: int = 0, row_bytes: float | None = None
) -> Partitions:
    """Cut examples into partitions, ``n_wanted`` or more where there are chunks enough.

    ``remote`` tells that other processes are to read them; ``row_bytes`` is what a row is taken to
    have, None to find out.
    """
    if examples.is_local:
        return _cut_arrays(examples, n_wanted, row_bytes)
    if examples.X.numblocks[1] > 1:
        examples = examples._replace(X=examples.X.rechunk({1: -1}))
    chunk_tasks = ct.cut(examples.batch_parts)
    lengths = [int(k) for k in examples.X.chunks[0]]
    if row_bytes is None:
        row_bytes = _row_bytes(examples, chunk_tasks, lengths)
    only_here = remote and ct.only_here(chunk_tasks, [k * row_bytes for k in lengths])
    groups = shuffle_buffer.joined(lengths, row_bytes, n_wanted)
    n_rows = [sum(lengths[j] for j in group) for group in groups]
    at_once = chunk_tasks.repeats > MAX_REPEATS
    tasks = None
    if chunk_tasks.held or at_once:
        chunks = _all_delayed(examples) if at_once else _each_delayed(chunk_tasks)
        tasks = _tasks(chunks, groups, n_rows)
    sources = _sources(chunk_tasks, groups, n_rows)
    return Partitions(sources, n_rows, row_bytes, tasks, at_once, only_here)


def as_rows(chunks, n_rows: int) -> RowBlock:
    """Raw chunks ``([X], y, w, mask)`` as one `RowBlock`, which has to have ``n_rows`` rows."""
    rows = RowBlock(*map(stack, zip(*map(_arrays, chunks), strict=True)))
    if rows.n_rows != n_rows:
        raise ValueError(
            f"Chunks of X hold {rows.n_rows} rows where {n_rows} were announced. Call "
            "compute_chunk_sizes(), or persist a collection that gives other data each time."
        )
    return rows


def _arrays(chunk) -> RowBlock:
    (X, *_), *others = chunk
    X = canonical(X.tocsr()) if hasattr(X, "tocsr") else np.asarray(X)
    y, w, mask = (None if part is None else np.asarray(part) for part in others)
    check_same_rows(X, {"y": y, "sample_weight": w, "mask": mask}, "chunk", "a chunk")
    return RowBlock(X, y, None if w is None else w.astype(np.float64), mask)


def _cut_arrays(examples: Dataset, n_wanted: int, row_bytes) -> Partitions:
    rows = RowBlock(*examples.batch_parts)
    row_bytes = rows.n_bytes / rows.n_rows if row_bytes is None else row_bytes
    lengths = shuffle_buffer.cut_rows(rows.n_rows, row_bytes, n_wanted)
    stops = np.cumsum(lengths).tolist()
    sources = [Partition(n, (Slice(rows, i - n, i),)) for n, i in zip(lengths, stops, strict=True)]
    return Partitions(sources, lengths, row_bytes, only_here=True)


def _row_bytes(examples, chunk_tasks, lengths) -> float:
    """Bytes of a row in slots: by dtypes and shapes, or by those of a few chunks if X is sparse."""
    if examples.stored_bytes is not None:
        parts = [part for part in examples.batch_parts if part is not None]
        return sum(float(part.nbytes) for part in parts) / examples.n_rows
    # The fullest of them counts, for rows may lie sorted by what they hold.
    filled = [j for j, length in enumerate(lengths) if length]
    probes = sorted({filled[0], filled[len(filled) // 2], filled[-1]})
    sources = _sources(chunk_tasks, [[j] for j in probes], [lengths[j] for j in probes])
    return max(row_bytes(read()) for read in sources)


def _sources(chunk_tasks, groups, n_rows) -> list:
    """How this process, or an actor, reads groups of chunks."""
    if chunk_tasks.held:
        return [partial(_compute, t) for t in _tasks(_each_delayed(chunk_tasks), groups, n_rows)]
    chunks = chunk_tasks.chunks
    return [
        Partition(n, tuple(chunks[j] for j in group))
        for n, group in zip(n_rows, groups, strict=True)
    ]


def _compute(task) -> RowBlock:
    return dask.compute(task)[0]


def _all_delayed(examples) -> list:
    """Delayed raw chunks, all of one graph."""
    # Optimised one by one, parts would read a source they share twice, and persisted chunks would
    # be given other names than those that the scheduler knows them by.
    parts: list[Any] = [
        p if p is None else p.to_delayed(optimize_graph=False).ravel() for p in examples.batch_parts
    ]
    X, *others = parts
    return [([x], *(p if p is None else p[j] for p in others)) for j, x in enumerate(X)]


def _each_delayed(chunk_tasks) -> list:
    """Delayed raw chunks, each of a graph with nothing else in it, which is fast to send."""
    return [
        (
            [Delayed(key, chunk.graph) for key in chunk.keys[0]],
            *(None if key is None else Delayed(key, chunk.graph) for key in chunk.keys[1:]),
        )
        for chunk in chunk_tasks.chunks
    ]


def _tasks(chunks, groups, n_rows) -> list:
    make: Any = dask.delayed(as_rows, pure=False)
    return [make([chunks[j] for j in group], n) for group, n in zip(groups, n_rows, strict=True)]
