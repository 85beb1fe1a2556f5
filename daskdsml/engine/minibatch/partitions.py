"""Partitions: runs of neighbouring chunks of examples, and the ways to read them."""

from __future__ import annotations

from typing import Any, NamedTuple

import dask
import numpy as np
from dask.delayed import Delayed
from scipy import sparse

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
        return together([read() for read in self.chunks], self.n_rows)

    def packed(self) -> Partition:
        """The partition as it can be sent to another process."""
        return self._replace(chunks=tuple(map(ct.serialize, self.chunks)))


class Computed(NamedTuple):
    """A partition that Dask's own scheduler makes."""

    task: Any

    def __call__(self) -> RowBlock:
        return dask.compute(self.task)[0]


class Partitions(NamedTuple):
    """The partitions of examples.

    ``sources`` are callables that give the `RowBlock` of each partition, ``lengths`` their rows,
    ``row_bytes`` the bytes that a row takes in slots. ``tasks`` are Dask Delayed objects of the
    partitions, given if Dask had better make them, ``at_once`` if they share upstream work; None
    otherwise. ``at_home`` tells that this process had better read the rows: they are in its memory
    or in the graph, or their source cannot be pickled.
    """

    sources: list
    lengths: list[int]
    row_bytes: float
    tasks: list | None = None
    at_once: bool = False
    at_home: bool = False

    @property
    def n_bytes(self) -> float:
        return self.row_bytes * sum(self.lengths)


def cut(examples: Dataset, travel: bool) -> Partitions:
    """Cut examples into partitions; ``travel`` tells that other processes are to read them."""
    if examples.is_local:
        return _cut_local(examples)
    chunk_tasks = ct.cut(examples.batch_parts)
    lengths = [int(k) for k in examples.X.chunks[0]]
    row_bytes = _row_bytes(examples, chunk_tasks, lengths)
    at_home = travel and ct.at_home(chunk_tasks, [k * row_bytes for k in lengths])
    groups = shuffle_buffer.joined(lengths, row_bytes)
    n_rows = [sum(lengths[j] for j in group) for group in groups]
    tasks: Any = None
    at_once = chunk_tasks.repeats > MAX_REPEATS
    if chunk_tasks.held or at_once:
        tasks = _tasks(_joint(examples) if at_once else _single(chunk_tasks), groups, n_rows)
    if chunk_tasks.held:
        sources: list[Any] = list(map(Computed, tasks))
    else:
        sources = [
            Partition(n, tuple(chunk_tasks.chunks[j] for j in group))
            for n, group in zip(n_rows, groups, strict=True)
        ]
    return Partitions(sources, n_rows, row_bytes, tasks, at_once, at_home)


def together(chunks, n_rows: int) -> RowBlock:
    """Raw chunks ``([X], y, w, mask)`` as one `RowBlock`.

    Raises
    ------
    ValueError
        If parts of a chunk differ in length, or their rows are not ``n_rows`` in all.
    """
    rows = [_checked(chunk) for chunk in chunks]
    joined = rows[0] if len(rows) == 1 else RowBlock(*map(_stacked, zip(*rows, strict=True)))
    if joined.n_rows != n_rows:
        raise ValueError(
            f"Chunks of X hold {joined.n_rows} rows where {n_rows} were announced. Call "
            "compute_chunk_sizes(), or persist a collection that gives other data each time."
        )
    return joined


def _checked(chunk) -> RowBlock:
    (X, *_), *others = chunk
    if sparse.issparse(X) or hasattr(X, "tocsr"):
        X = X.tocsr()
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
    else:
        X = np.asarray(X)
    y, w, mask = (None if part is None else np.asarray(part) for part in others)
    for name, part in (("y", y), ("sample_weight", w), ("mask", mask)):
        if part is not None and len(part) != X.shape[0]:
            raise ValueError(
                f"X and {name} must have the same rows in each chunk, but a chunk of X has "
                f"{X.shape[0]} rows and that of {name} has {len(part)}. Make both from the same "
                "collection, or call compute_chunk_sizes() on both to have them aligned."
            )
    return RowBlock(X, y, None if w is None else w.astype(np.float64), mask)


def _stacked(parts):
    if parts[0] is None:
        return None
    if sparse.issparse(parts[0]):
        return sparse.vstack(parts, format="csr")
    return np.concatenate(parts)


def _cut_local(examples: Dataset) -> Partitions:
    n = int(examples.X.shape[0])
    row_bytes = RowBlock(*examples.batch_parts).n_bytes / n
    step = max(int(shuffle_buffer.PARTITION_BYTES / max(row_bytes, 1.0)), 1)
    borders = [*range(0, n, step), n]
    sources = [
        Partition(stop - start, (ct.Slice(examples.batch_parts, start, stop),))
        for start, stop in zip(borders[:-1], borders[1:], strict=True)
    ]
    return Partitions(sources, [source.n_rows for source in sources], row_bytes, at_home=True)


def _row_bytes(examples, tasks, lengths) -> float:
    """Bytes of a row in slots: told by dtypes and shapes, or by a few chunks if X is sparse."""
    if examples.stored_bytes is not None:
        parts = [part for part in examples.batch_parts if part is not None]
        return sum(float(part.nbytes) for part in parts) / examples.n_rows
    # The fullest of them counts, for rows may lie sorted by what they hold.
    filled = [j for j, length in enumerate(lengths) if length]
    looked = sorted({filled[0], filled[len(filled) // 2], filled[-1]})
    groups, n_rows = [range(j, j + 1) for j in looked], [lengths[j] for j in looked]
    if tasks.held:
        found = dask.compute(*_tasks(_single(tasks), groups, n_rows))
    else:
        reads = (Partition(lengths[j], (tasks.chunks[j],)) for j in looked)
        found = (read() for read in reads)
    return max(map(row_bytes, found))


def _joint(examples) -> list:
    """Delayed parts of each chunk, all of one graph."""
    # Optimised one by one, parts would read a source they share twice, and persisted chunks would
    # be given other names than those that the scheduler knows them by.
    parts = [
        p if p is None else p.to_delayed(optimize_graph=False).ravel() for p in examples.batch_parts
    ]
    n_chunks = examples.X.numblocks[0]
    return [[None if part is None else part[j] for part in parts] for j in range(n_chunks)]


def _single(tasks) -> list:
    """Delayed parts of each chunk, of a graph with nothing else in it, which is fast to send."""
    return [
        [
            None if key is None else Delayed(key, chunk.graph)
            for key in (*chunk.keys[0], *chunk.keys[1:])
        ]
        for chunk in tasks.chunks
    ]


def _tasks(chunks, groups, n_rows) -> list:
    make = dask.delayed(_made, pure=False)
    return [make([chunks[j] for j in group], n) for group, n in zip(groups, n_rows, strict=True)]


def _made(chunks, n_rows) -> RowBlock:
    return together([([X], *others) for X, *others in chunks], n_rows)
