"""Passes in this process, on the scheduler that ``dask.config`` names."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import dask
from dask.base import is_dask_collection
from dask.system import CPU_COUNT

from daskdsml.engine import tree
from daskdsml.engine.full.shards import (
    Folded,
    Held,
    Stream,
    fold_shards,
    hold_all,
    hold_chunks,
    run_shards,
    transformed,
    transformed_all,
)
from daskdsml.engine.memory import fits_here
from daskdsml.engine.scheduling import split

# Blocks in memory take equal times, those that are read do not; each task costs a small pass more.
TASKS_PER_THREAD, TASKS_IN_MEMORY = 4, 1
THREADED = ("threads", "synchronous")
PROCESSES = ("processes", "multiprocessing")


class LocalRows:
    """A table on this process's threads, or on the local scheduler the Dask configuration names.

    Attributes
    ----------
    n_rows_read, n_bytes_read : int
        Rows and bytes of X read so far, over all passes.
    """

    def __init__(self, shards, keep, scheduler, n_jobs, pool=None):
        self._shards = list(shards)
        self._keep = keep
        self._scheduler = scheduler
        self._n_jobs = n_jobs
        self._pool = pool
        self.n_rows_read = 0
        self.n_bytes_read = 0

    @classmethod
    def open(cls, table, tasks, plan, cache, n_jobs) -> LocalRows:
        """Lay out ``table`` with its chunks grouped as ``plan`` says."""
        scheduler = configured_scheduler()
        if table.is_local and scheduler not in THREADED:
            # The rows are here and kernels release the GIL: other processes have nothing to add.
            scheduler = "threads"
        if cache == "memory" and scheduler not in THREADED:
            raise ValueError(
                f"cache='memory' keeps blocks in this process, where scheduler {scheduler!r} does "
                "not compute. Use cache='none', scheduler='threads' or a dask.distributed Client."
            )
        if tasks.shared or tasks.held:
            shards = delayed_shards(table, plan)
        else:
            shards = [Stream(i, tuple(tasks.chunks[j] for j in js)) for i, js in enumerate(plan)]
        keep = {"memory": True, "none": False, "auto": None}[cache]
        if scheduler not in THREADED:
            keep = False
        if keep is None and table.n_bytes is not None:
            keep = fits_here(table.n_bytes)
        return cls(shards, keep, scheduler, n_jobs)

    def run(self, kernel, state, name):
        """Sum of ``kernel(state, block)`` over all blocks. ``name`` says what the pass does."""
        self._prepare()
        n_shards = len(self._shards)
        work = partial(run_shards, kernel, state, n_shards=n_shards)
        if is_dask_collection(self._shards[0]):
            tasks = [
                dask.delayed(run_one, pure=False)(work, i, shard)
                for i, shard in enumerate(self._shards)
            ]
            parts = self._compute(tasks)
        else:
            pieces = split(n_shards, self._n_tasks())
            calls = [partial(work, [(i, self._shards[i]) for i in piece]) for piece in pieces]
            parts = self._call(calls, name)
        self.n_rows_read += sum(part.n_rows for part in parts)
        self.n_bytes_read += sum(part.n_bytes for part in parts)
        return tree.root(tree.merge((part.nodes for part in parts), n_shards), n_shards)

    def fold(self, kernel, state, order, name):
        """The state after ``state = kernel(state, block)`` for one block after another.

        ``order`` has the index of each shard, of ``n_shards``; blocks of a shard keep their order.
        """
        self._prepare()
        carried = Folded(state)
        if is_dask_collection(self._shards[0]):
            fold = dask.delayed(fold_shards, pure=False)
            for i in order:
                carried = fold(kernel, [(i, self._shards[i])], carried)
            (carried,) = self._compute([carried])
        else:
            shards = [(i, self._shards[i]) for i in order]
            (carried,) = self._call([partial(fold_shards, kernel, shards, carried)], name)
        self.n_rows_read += carried.n_rows
        self.n_bytes_read += carried.n_bytes
        return carried.state

    def map(self, transform) -> LocalRows:
        """The same rows with ``transform`` applied to every block."""
        if is_dask_collection(self._shards[0]):
            change = dask.delayed(transformed, pure=False)
            changed = [change(shard, transform) for shard in self._shards]
        else:
            pieces = split(len(self._shards), self._n_tasks())
            parts = [[self._shards[i] for i in piece] for piece in pieces]
            calls = [partial(transformed_all, part, transform) for part in parts]
            held = isinstance(self._shards[0], Held)
            changed = self._call(calls, "map") if held else [call() for call in calls]
            changed = [shard for part in changed for shard in part]
        rows = LocalRows(changed, self._keep, self._scheduler, self._n_jobs, self._pool)
        self._pool = None
        rows.n_rows_read, rows.n_bytes_read = self.n_rows_read, self.n_bytes_read
        return rows

    def close(self) -> None:
        """Let go of the blocks, and of processes started for these rows."""
        self._shards = []
        if self._pool is not None:
            self._pool.shutdown()

    @property
    def n_shards(self) -> int:
        """Runs of chunks that a task takes one or more of."""
        return len(self._shards)

    def _prepare(self) -> None:
        """Read blocks into memory where that was asked for, or found to fit."""
        if self._keep is None and self.n_bytes_read:
            self._keep = fits_here(self.n_bytes_read)
        if self._keep and not isinstance(self._shards[0], Held):
            self._shards = self._read()

    def _read(self) -> list[Held]:
        if is_dask_collection(self._shards[0]):
            return self._compute(self._shards)
        pieces = split(len(self._shards), self._n_tasks())
        calls = [partial(hold_all, [self._shards[i] for i in piece]) for piece in pieces]
        return [shard for held in self._call(calls, "read") for shard in held]

    def _n_tasks(self) -> int:
        if self._scheduler == "synchronous":
            return 1
        threads = self._n_jobs or dask.config.get("num_workers", None) or CPU_COUNT
        held = isinstance(self._shards[0], Held)
        return threads * (TASKS_IN_MEMORY if held else TASKS_PER_THREAD) if threads > 1 else 1

    def _call(self, calls: list, name: str) -> list:
        if len(calls) == 1 and self._scheduler in THREADED:
            return [calls[0]()]
        # A plain graph: making Delayed objects and optimising them takes longer than a small pass.
        graph = {f"{name}-{i}": (call,) for i, call in enumerate(calls)}
        get = dask.base.get_scheduler(scheduler=self._scheduler)
        return list(get(graph, list(graph), **self._options()))

    def _compute(self, tasks: list) -> list:
        options = {"scheduler": self._scheduler, **self._options()}
        return list(dask.compute(*tasks, optimize_graph=False, **options))

    def _options(self) -> dict:
        """What the scheduler is told: how many threads or processes, and whose."""
        options = {} if self._n_jobs is None else {"num_workers": self._n_jobs}
        if self._scheduler in PROCESSES and dask.config.get("pool", None) is None:
            # Dask would start new processes for each pass.
            self._pool = self._pool or ProcessPoolExecutor(
                self._n_jobs or dask.config.get("num_workers", None) or CPU_COUNT,
                mp_context=multiprocessing.get_context("spawn"),
            )
            options["pool"] = self._pool
        return options


def delayed_shards(table, plan) -> list:
    """Shards as Dask Delayed objects, for chunks that only Dask's own scheduler should make."""
    X, *others = table.row_parts
    columns = X.to_delayed()
    others = [None if part is None else part.to_delayed().ravel() for part in others]
    make = dask.delayed(hold_chunks, pure=False)
    return [
        make(i, [[list(columns[j]), *(p if p is None else p[j] for p in others)] for j in chunks])
        for i, chunks in enumerate(plan)
    ]


def configured_scheduler() -> str:
    """The local scheduler to use; a client's own name means threads, since work stays here."""
    name = dask.config.get("scheduler", None)
    if name in (None, "dask.distributed", "distributed", "threading", "threaded"):
        return "threads"
    return "synchronous" if name in ("sync", "single-threaded") else name


def run_one(work, index, shard):
    """``work`` on a single shard, for graphs in which Dask makes each shard."""
    return work([(index, shard)])
