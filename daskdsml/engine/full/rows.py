"""Rows: a table laid out in shards, ready for passes. The estimators' way in."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor
from copy import copy
from functools import partial

import dask
import numpy as np
from dask.base import is_dask_collection

from daskdsml.data.blocks import Slice, nbytes, split
from daskdsml.data.dataset import Dataset
from daskdsml.engine import chunk_tasks as ct
from daskdsml.engine import memory, tree
from daskdsml.engine.clients import current_client
from daskdsml.engine.full import shards as shd
from daskdsml.engine.full.kept_rows import KeptRows
from daskdsml.engine.full.parts import KeptParts, tasks_of_parts, together
from daskdsml.engine.full.reads import Reads
from daskdsml.engine.full.shards import Held
from daskdsml.engine.scheduling import n_threads

# In-memory tables are cut into blocks of about this many bytes, not of fewer rows than this, nor
# than there are columns where p x p sums are made: adding one takes as long as the products of a
# few hundred rows.
LOCAL_BLOCK, LOCAL_ROWS = 2**23, 128
EVEN_BLOCKS = 8
# Blocks in memory take equal times, those that are read do not; each task costs a small pass more.
TASKS_PER_THREAD, TASKS_IN_MEMORY = 4, 1
THREADED = ("threads", "synchronous")
PROCESSES = ("processes", "multiprocessing")


def open_rows(
    table: Dataset,
    cache: str = "auto",
    n_jobs: int | None = None,
    square: bool = True,
    journal=None,
    n_parts: int | None = None,
):
    """`Rows`: a table laid out for passes.

    Uses the current Dask client if there is one, else this process with the scheduler that
    ``dask.config`` names. Data in this process's memory stays here if it is smaller than 128 MiB
    or does not fit into the workers' memory.

    Parameters
    ----------
    table : Dataset
    cache : {"auto", "memory", "none"}
        Keep blocks in memory after the first read, stream each pass, or decide by the free memory.
    n_jobs : int or None
        Threads in this process; None means what ``dask.config`` says. A cluster decides for itself.
    square : bool
        Whether sums of p x p numbers are to be made, for which larger blocks are better.
    journal : `daskdsml.utils.journal.Journal` or None
        What passes are kept in.
    n_parts : int or None
        How many parts there will be (see `Rows.parts`): a worker then holds whole ones.
    """
    rows = _open(table, cache, n_jobs, square, n_parts)
    return rows if journal is None else KeptRows(rows, journal)


def _open(table, cache, n_jobs, square, n_parts):
    memory.check_cache(cache)
    n_bytes = table.n_bytes
    small = n_bytes is None or n_bytes < memory.MIN_CLUSTER_BYTES or cache == "none"
    client = None if table.is_local and small else current_client(table.row_parts)
    if table.is_local:
        tasks, only_here = ct.ChunkTasks(_slices(table, square)), True
        sizes = [nbytes(table.X) / len(tasks.chunks)] * len(tasks.chunks)
    else:
        tasks, sizes = ct.cut(table.row_parts), ct.chunk_bytes(table)
        only_here = client is not None and ct.only_here(tasks, sizes)
    shards = shd.lay_out(table, tasks, sizes)
    if client is None or (
        only_here and (small or not memory.fits(n_bytes or 0.0, client, n_parts))
    ):
        return LocalRows(table, shards, cache, n_jobs)
    from daskdsml.engine.full.cluster import ClusterRows

    keep = only_here or tasks.held or memory.keeps(cache, n_bytes, client, n_parts)
    return ClusterRows(client, shards, keep, only_here, n_parts)


def _slices(table: Dataset, square: bool) -> list[Slice]:
    n = table.X.shape[0]
    n_blocks = -(-nbytes(table.X) // LOCAL_BLOCK)
    least = max(LOCAL_ROWS, table.n_features * square)
    most = max(-(-n // least), 1)
    # As many for each of several threads: with five blocks, one of two threads has three.
    if n_blocks > 1:
        n_blocks = -(-n_blocks // EVEN_BLOCKS) * EVEN_BLOCKS
    if n_blocks > most:
        n_blocks = most // EVEN_BLOCKS * EVEN_BLOCKS or 2 ** (most.bit_length() - 1)
    runs = split(n, int(n_blocks))
    return [Slice(table.row_parts, run.start, run.stop) for run in runs]


class LocalRows:
    """`Rows` on this process's threads, or on the local scheduler the Dask configuration names.

    Attributes
    ----------
    n_shards : int
        Runs of chunks that a task takes one or more of.
    read : Reads
        What all passes together have read so far.
    """

    def __init__(self, table: Dataset, shards: list, cache: str, n_jobs):
        self._shards, self.n_shards = shards, len(shards)
        self._keep = memory.keeps(cache, table.n_bytes)
        self._scheduler, self._n_jobs = _configured_scheduler(), n_jobs
        self._pool: ProcessPoolExecutor | None = None
        self._stop = threading.Event()
        self.read, self._kept = Reads(), KeptParts()
        if self._scheduler in THREADED:
            return
        if table.is_local:
            # The rows are here and kernels release the GIL: other processes have nothing to add.
            self._scheduler = "threads"
        elif cache == "memory":
            raise ValueError(
                f"cache='memory' keeps blocks in this process, where scheduler {self._scheduler!r} "
                "does not compute. Use cache='none', scheduler='threads' or a dask.distributed "
                "Client."
            )
        else:
            self._keep = False

    def run(self, kernel, state, name):
        """Sum of ``kernel(state, block)`` over all blocks."""
        return tree.root(self.sums(kernel, state, name).nodes, self.n_shards)

    def sums(self, kernel, state, name, which=None, seconds=np.inf) -> tree.PartialSums:
        """The sums of ``which`` shards, None for all; of those begun within ``seconds`` or so."""
        self._prepare()
        which = range(self.n_shards) if which is None else which
        work = partial(shd.run_shards, kernel, state, n_shards=self.n_shards)
        if is_dask_collection(self._shards[0]):
            sums = self._compute(shd.delayed_sums(work, self._shards, which))
        else:
            pieces = self._pieces([(i, self._shards[i]) for i in which])
            if self._scheduler == "threads":
                work = partial(work, stopped=self._stop.is_set)
            # Of a thread's tasks each has its share of the time.
            share = seconds * min(self._n_threads() / len(pieces), 1.0)
            sums = self._call([partial(work, piece, seconds=share) for piece in pieces], name)
        total = tree.add_sums(sums, self.n_shards)
        self.read.add(total)
        return total

    def fold(self, kernel, state, order, name):
        """The state after one block after another, shards in ``order``."""
        return self.folded(kernel, shd.Folded(state), order, name).state

    def folded(self, kernel, folded, order, name) -> shd.Folded:
        """A `Folded` after the shards in ``order``, of which it begins those it has time for."""
        self._prepare()
        work, before = partial(shd.fold_shards, kernel), folded
        if is_dask_collection(self._shards[0]):
            (folded,) = self._compute([shd.delayed_fold(work, self._shards, order, folded)])
        else:
            shards = [(i, self._shards[i]) for i in order]
            (folded,) = self._call([partial(work, shards, folded)], name)
        self.read.add(folded, before)
        return folded

    def parts(self, kernel, common, states, name, keep=False, kept=None) -> list:
        """What ``kernel(common, state, kept, rows)`` returns for each part of the rows."""

        def call(*asked):
            calls = [
                partial(work, [(i, self._shards[i]) for i in own], kept)
                for own, work, kept in tasks_of_parts(self._shards, *asked)
            ]
            return self._call(calls, name)

        self._prepare()
        done = together(self._kept.work(call, kernel, common, states, keep, kept))
        self.read.add(done)
        return done.value

    @property
    def n_rows_read(self) -> float:
        """Rows of X read so far."""
        return self.read.n_rows

    def map(self, transform) -> LocalRows:
        """The same rows with ``transform`` applied to every block."""
        if isinstance(self._shards[0], Held):
            shards = self._each(partial(shd.transformed, transform=transform), "map")
        else:
            shards = shd.map_shards(self._shards, transform)
        rows = copy(self)
        rows._shards, self._pool = shards, None  # processes go along
        return rows

    def close(self) -> None:
        """Release the blocks, and processes started for these rows."""
        self._shards = []
        if self._pool is not None:
            self._pool.shutdown()

    def _prepare(self) -> None:
        """Read blocks into memory where that was asked for, or found to fit."""
        if self._keep is None and self.read.n_bytes:
            self._keep = memory.fits(self.read.n_bytes)
        if self._keep and not isinstance(self._shards[0], Held):
            delayed = is_dask_collection(self._shards[0])
            self._shards = self._compute(self._shards) if delayed else self._each(shd.hold, "read")

    def _each(self, function, name: str) -> list:
        """``function`` of each shard."""
        calls = [partial(_each, function, shards) for shards in self._pieces(self._shards)]
        return [value for values in self._call(calls, name) for value in values]

    def _pieces(self, shards) -> list[list]:
        """Shards by the tasks that take them."""
        shards, threads = list(shards), self._n_threads()
        held = isinstance(self._shards[0], Held)
        per_thread = TASKS_IN_MEMORY if held else TASKS_PER_THREAD
        n_tasks = threads * per_thread if threads > 1 else 1
        return [shards[run.start : run.stop] for run in split(len(shards), n_tasks)]

    def _n_threads(self) -> int:
        return 1 if self._scheduler == "synchronous" else n_threads(self._n_jobs)

    def _call(self, calls: list, name: str) -> list:
        if len(calls) == 1 and self._scheduler in THREADED:
            return [calls[0]()]
        # A plain graph: making Delayed objects and optimising them takes longer than a small pass.
        graph = {f"{name}-{i}": (call,) for i, call in enumerate(calls)}
        get = dask.base.get_scheduler(scheduler=self._scheduler)
        try:
            return list(get(graph, list(graph), **self._options()))
        except BaseException:
            # Dask leaves tasks that run to themselves: they end after the shards they have begun.
            self._stop.set()
            self._stop = threading.Event()
            raise

    def _compute(self, tasks: list) -> list:
        options = {"scheduler": self._scheduler, **self._options()}
        return list(dask.compute(*tasks, optimize_graph=False, **options))

    def _options(self) -> dict:
        """Options of the scheduler: how many threads or processes, and whose."""
        options = {} if self._n_jobs is None else {"num_workers": self._n_jobs}
        if self._scheduler in PROCESSES and dask.config.get("pool", None) is None:
            # Dask would start new processes for each pass.
            self._pool = self._pool or ProcessPoolExecutor(
                n_threads(self._n_jobs), mp_context=multiprocessing.get_context("spawn")
            )
            options["pool"] = self._pool
        return options


def _each(function, shards) -> list:
    return [function(shard) for shard in shards]


def _configured_scheduler() -> str:
    """The local scheduler to use; a client's own name means threads, since work stays here."""
    name = dask.config.get("scheduler", None)
    if name in (None, "dask.distributed", "distributed", "threading", "threaded"):
        return "threads"
    return "synchronous" if name in ("sync", "single-threaded") else name
