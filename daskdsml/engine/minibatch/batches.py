"""Mini-batches of examples, on this machine or a Dask cluster. The estimators' way in."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import dask
import numpy as np

from daskdsml.data.blocks import split
from daskdsml.data.dataset import Dataset
from daskdsml.engine import memory, tree
from daskdsml.engine.clients import current_client
from daskdsml.engine.minibatch import partitions as pts
from daskdsml.engine.minibatch.accumulate import accumulate, pass_rows
from daskdsml.engine.minibatch.parts import (
    PARTITIONS_PER_PART,
    LocalParts,
    LocalStep,
    Part,
    PartSteps,
    cut_parts,
)
from daskdsml.engine.minibatch.row_buffer import RowBlock
from daskdsml.engine.minibatch.row_store import RowStore
from daskdsml.engine.minibatch.shuffle_buffer import Layout, lay_out


def open_batches(
    examples: Dataset,
    batch_size: int,
    *,
    shuffle: bool = True,
    alone: bool = True,
    seed: int,
    pool_bytes: float = 2**28,
    cache: str = "auto",
    n_jobs: int | None = None,
    n_parts: int | None = None,
    by_columns: bool = False,
):
    """`Batches`: examples laid out for training on mini-batches, or `Parts` where these are wanted.

    Uses the current Dask client if there is one, else this process. Data in this process's memory,
    and data that only this process can read because their source cannot be pickled, stay here if
    they are smaller than 128 MiB or do not fit into the workers' memory. Which rows make up a batch
    depends on the chunks of the data, ``batch_size``, ``alone``, ``pool_bytes``, ``seed`` and the
    number of the epoch; not on threads, workers or ``cache``.

    Parameters
    ----------
    examples : Dataset
    batch_size : int
        Rows of a batch; the last one of an epoch may be smaller.
    alone : bool
        Whether a single row may be the last batch; if not, it joins the batch before.
    shuffle : bool
        Draw batches at random from a buffer of partitions, which come in random order; or take
        rows in the order in which they are.
    seed : int
    pool_bytes : float
        Bytes of the shuffle buffer and of what is read ahead for it, but three of the largest
        chunks at least. Data of fewer bytes, and arrays in memory, are shuffled as a whole. Of
        sparse data the first, middle and last chunk are read to learn how much a row takes.
    cache : {"auto", "memory", "none"}
        Keep what was read in memory, read it for each epoch, or decide by the free memory. Chunks
        that share upstream work, such as those of a shuffle, are made on a cluster all at once:
        uncached chunks are recomputed each epoch and released after use, and Dask writes to disk
        what does not fit into the workers' memory until then.
    n_jobs : int or None
        Threads that ``run`` uses in this process; None is one. Kernels must allow it.
    n_parts : int or None
        Cut the rows into so many parts with mini-batches of their own, or as many as there are
        chunks. Partitions are dealt out to them in turn.
    by_columns : bool
        Whether workers are to share columns of all rows: `ColumnBatches`, on a cluster.
    """
    _check(batch_size, pool_bytes, cache)
    small = (examples.stored_bytes or np.inf) < memory.MIN_CLUSTER_BYTES
    client = None if examples.is_local and small else current_client(examples.batch_parts)
    partitions = pts.cut(examples, client is not None, (n_parts or 0) * PARTITIONS_PER_PART)
    sizes = (partitions.lengths, partitions.row_bytes, int(batch_size), pool_bytes)
    layout = lay_out(*sizes, examples.is_local, alone)
    parts = cut_parts(layout, partitions.row_bytes, pool_bytes, n_parts) if n_parts else []
    if client is not None and not _stays(client, examples, partitions, cache):
        from daskdsml.engine.minibatch.cluster import ClusterBatches, ClusterParts
        from daskdsml.engine.minibatch.column_batches import ColumnBatches

        keep = partitions.only_here or _keep(cache, layout, partitions, client)
        if parts and partitions.tasks is not None and not keep:
            raise ValueError(
                "Parts that train apart need rows that workers keep or read themselves, but these "
                "are persisted or shuffled, and do not fit or cache='none'. Write them to a store "
                "and read that, or use cache='memory' or strategy='all_reduce'."
            )
        options = (client, examples, layout, partitions, keep, shuffle, seed)
        if by_columns:
            return ColumnBatches(*options)
        there = ClusterBatches(*options, parts)
        return ClusterParts(there) if parts else there
    rows: Any
    if examples.is_local:
        rows = ArrayRows(RowBlock(*examples.batch_parts), layout.lengths)
    else:
        rows = _row_store(layout, partitions, _keep(cache, layout, partitions))
    batches = LocalBatches(examples, layout, rows, shuffle, seed, n_jobs)
    return LocalParts(batches, rows, parts, shuffle, seed) if parts else batches


def _check(batch_size, pool_bytes, cache) -> None:
    if not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"batch_size={batch_size!r} must be an integer of at least 1: rows.")
    if not pool_bytes > 0:
        raise ValueError(f"pool_bytes={pool_bytes!r} must be positive: bytes of the shuffle pool.")
    memory.check_cache(cache)


def _stays(client, examples, partitions, cache) -> bool:
    """Whether this process had better train, though there is a client."""
    if not partitions.only_here:
        return False
    n_bytes = partitions.n_bytes
    small = (examples.stored_bytes or n_bytes) < memory.MIN_CLUSTER_BYTES
    apart = small or cache == "none" or partitions.at_once
    return apart or not memory.fits(n_bytes, client)


def _keep(cache, layout, partitions, client=None) -> bool:
    """Whether to keep what was read; a buffer that holds all rows anyway is memory granted."""
    whole = layout.whole and cache != "none"
    return whole or bool(memory.keeps(cache, partitions.n_bytes, client))


def _row_store(layout, partitions, keep) -> RowStore:
    """Partitions that this process reads; those that Dask had better make are read now."""
    store = RowStore(keep, keep and layout.whole, layout.capacity)
    store.learn(dict(enumerate(partitions.sources)))
    if keep and partitions.tasks is not None:
        # What cannot leave this process must not go to the client's cluster.
        scheduler = "threads" if partitions.only_here else None
        store.keep(dict(enumerate(dask.compute(*partitions.tasks, scheduler=scheduler))))
    return store


class LocalRound(NamedTuple):
    """One mini-batch in this process."""

    step: LocalStep

    def run(self, kernel, state):
        """What ``kernel(state, batches)`` returns."""
        return kernel(state, iter([self.step]))

    def serve(self, step, state, staleness, n_servers):
        """A step here, where nothing is older than the step before."""
        state, record = step(state, self.step)
        return state, [record]


class LocalBatches:
    """`Batches` in this process, of rows in an `ArrayRows` or a `RowStore`."""

    def __init__(self, examples, layout: Layout, rows, shuffle, seed, n_jobs):
        self.n_rows, self.steps_per_epoch = layout.n_rows, layout.n_steps
        self.in_shape = examples.in_shape
        self._layout, self._rows, self._n_jobs = layout, rows, n_jobs or 1
        whole = Part(0, np.arange(len(layout.lengths)), layout)
        self._steps = PartSteps(whole, rows, None, shuffle, (seed,))
        self._pass_rows = pass_rows(examples, layout.batch_size)

    def epoch(self, epoch: int) -> Iterator[LocalStep]:
        """The mini-batches of an epoch, each row in one of them; the last one may be smaller."""
        return self._steps.epoch(epoch)

    def rounds(self, epoch: int, first: int = 0) -> Iterator[LocalRound]:
        """The mini-batches of an epoch from the ``first`` on, one at a time."""
        return map(LocalRound, self._steps.epoch(epoch, first))

    def run(self, kernel, state, name: str):
        """Sum of ``kernel(state, batch)`` over all rows in order; ``name`` says what it is for.

        With ``n_jobs`` several batches are evaluated at once, on threads.
        """
        lengths = self._layout.lengths.tolist()

        def work(partitions):
            return accumulate(kernel, state, partitions, lengths, self._pass_rows)

        runs = [self._rows.partitions(run) for run in split(len(lengths), self._n_jobs)]
        if len(runs) == 1:
            sums = [work(runs[0])]
        else:
            with ThreadPoolExecutor(len(runs), thread_name_prefix=f"daskdsml-{name}") as threads:
                sums = list(threads.map(work, runs))
        return tree.root(tree.add_sums(sums, len(lengths)).nodes, len(lengths))

    @property
    def n_rows_read(self) -> int:
        """Rows read so far: those of arrays in memory each time they are used."""
        return self._rows.n_rows_read

    @property
    def n_bytes_held(self) -> int:
        """Bytes of the rows held beside those the user holds."""
        return self._rows.n_bytes

    def close(self) -> None:
        """Release all rows."""
        self._rows.close()


class ArrayRows:
    """Rows of arrays in memory, used as those of a `RowStore` in which all rows stay.

    Parameters
    ----------
    rows : RowBlock
    lengths : array (n_partitions,)
        Rows of each partition.
    """

    n_bytes = 0

    def __init__(self, rows: RowBlock, lengths):
        self._rows, self._borders = rows, [0, *np.cumsum(lengths).tolist()]
        self.n_rows_read = 0

    def holds(self, partition: int) -> bool:
        """Whether rows are in their slots, which are their numbers: always."""
        return True

    def take(self, slots) -> RowBlock:
        """Copies of the rows in ``slots``."""
        self.n_rows_read += len(slots)
        return self._rows.take(slots)

    def partitions(self, numbers) -> Iterator[tuple]:
        """Number and rows of partitions."""
        slices = {i: slice(self._borders[i], self._borders[i + 1]) for i in numbers}
        self.n_rows_read += sum(rows.stop - rows.start for rows in slices.values())
        return ((i, self._rows.only(rows)) for i, rows in slices.items())

    def close(self) -> None:
        """Release the arrays."""
        self._rows = RowBlock(np.empty(0))
