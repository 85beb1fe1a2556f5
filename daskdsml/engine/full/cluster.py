"""Passes on a Dask cluster: one task per worker thread, over the shards its worker holds."""

from __future__ import annotations

import itertools
from collections import defaultdict
from concurrent.futures import CancelledError
from functools import partial
from typing import Any
from uuid import uuid4

import dask
from dask.base import is_dask_collection
from distributed.client import Future

from daskdsml.engine import chunk_tasks as ct
from daskdsml.engine import tree
from daskdsml.engine.full import shards as shd
from daskdsml.engine.full.local import delayed_shards, run_one
from daskdsml.engine.memory import fits_workers
from daskdsml.engine.scheduling import RESENDS, SEND_SECONDS, split
from daskdsml.engine.tree import FAN_IN, PartialSums, add_parts

# Streams are cut finer than held shards, so that a slow or lost worker costs less.
STREAM_TASKS_PER_THREAD = 2
# Two clients of one scheduler must not use the same key for different work.
_serial = (f"{uuid4().hex[:8]}-{i}" for i in itertools.count())


class ClusterRows:
    """A table on the workers of a Dask client.

    Tasks prefer the worker that holds their shards and may run on any other; a lost worker means
    that its shards are read, or sent, again.

    Attributes
    ----------
    n_rows_read, n_bytes_read : int
        Rows and bytes of X read so far, over all passes that ended.
    """

    def __init__(self, client, origin, keep, scattered):
        self._client = client
        self._origin = origin
        self._shards = list(origin)
        self._keep = keep
        self._scattered = scattered
        self._placed: tuple[frozenset, list] = (frozenset(), [])
        self.n_rows_read = 0
        self.n_bytes_read = 0

    @classmethod
    def open(cls, client, table, tasks, plan, cache, scattered) -> ClusterRows:
        """Lay out ``table`` with its chunks grouped as ``plan`` says.

        ``scattered`` tells that the rows are in this process and are to be sent to the workers.
        """
        keep = {"memory": True, "none": False, "auto": None}[cache]
        if tasks.held or scattered:
            keep = True
        elif keep is None and table.n_bytes is not None:
            keep = fits_workers(client, table.n_bytes)
        if tasks.shared or tasks.held:
            return cls(client, delayed_shards(table, plan), keep, False)
        streams = [shd.Stream(i, tuple(tasks.chunks[j] for j in js)) for i, js in enumerate(plan)]
        if not scattered:
            streams = [s._replace(chunks=tuple(map(ct.serialize, s.chunks))) for s in streams]
        return cls(client, streams, keep, scattered)

    def run(self, kernel, state, name):
        """Sum of ``kernel(state, block)`` over all blocks; tasks are called ``name``."""
        work = partial(shd.run_shards, kernel, state, n_shards=len(self._shards))
        part = self._insist(lambda key: self._sum(self._submit(work, key)), name)
        return tree.root(part.nodes, len(self._shards))

    def fold(self, kernel, state, order, name):
        """The state after ``state = kernel(state, block)`` for one block after another.

        ``order`` has the index of each shard, of ``n_shards``; blocks of a shard keep their order.
        The state goes to the workers that hold the shards, where there are such.
        """
        begin = shd.Folded(state)
        wait = self._result
        return self._insist(lambda key: wait(self._chain(kernel, begin, order, key)), name).state

    @property
    def n_shards(self) -> int:
        """Runs of chunks that a task takes one or more of."""
        return len(self._shards)

    def _insist(self, attempt, name):
        """What ``attempt(key)`` returns, made again with blocks sent again if these were lost."""
        if self._keep is None and self.n_bytes_read:
            self._keep = fits_workers(self._client, self.n_bytes_read)
        if self._keep and not isinstance(self._shards[0], Future):
            self._hold()
        for _ in range(RESENDS):
            try:
                found = attempt(f"{name}-{next(_serial)}")
            except CancelledError:
                if not self._renew():
                    raise
                continue
            self.n_rows_read += found.n_rows
            self.n_bytes_read += found.n_bytes
            return found
        raise RuntimeError(f"Workers that held the data were lost {RESENDS} times during {name!r}.")

    def map(self, transform) -> ClusterRows:
        """The same rows with ``transform`` applied to every block."""
        if is_dask_collection(self._origin[0]):
            change = dask.delayed(shd.transformed, pure=False)
            origin = [change(shard, transform) for shard in self._origin]
        else:
            origin = [shd.transformed(shard, transform) for shard in self._origin]
        rows = ClusterRows(self._client, origin, self._keep, self._scattered)
        rows.n_rows_read, rows.n_bytes_read = self.n_rows_read, self.n_bytes_read
        if isinstance(self._shards[0], Future):
            rows._placed = self._placed
            rows._shards = [
                self._client.submit(shd.transformed, shard, transform, key=_key("encode", i))
                for i, shard in enumerate(self._shards)
            ]
        return rows

    def close(self) -> None:
        """Let go of the blocks that workers hold for these rows."""
        self._shards = []

    def _hold(self) -> None:
        """Have each worker read, or be sent, a run of neighbouring shards to keep."""
        threads = self._client.nthreads()
        workers = sorted(threads)
        pieces = split(len(self._origin), len(workers))
        groups = list(zip(workers, pieces, strict=False))
        for worker, piece in groups:
            for i in piece:
                self._shards[i] = self._make(i, worker)
        self._placed = (frozenset(workers), _tasks(groups, threads))

    def _make(self, i: int, worker=None):
        """A future of shard ``i`` made from its origin, preferably on ``worker``."""
        source = self._origin[i]
        if is_dask_collection(source):
            return self._client.compute(source, **_on(worker))
        if not self._scattered:
            return self._client.submit(shd.hold, source, key=_key("read", i), **_on(worker))
        return self._send(i, worker)

    def _send(self, i: int, worker) -> Future:
        """Send shard ``i`` from this process to ``worker``, or to any other if that is lost."""
        held = shd.hold(self._origin[i])
        for _ in range(RESENDS):
            there = worker if worker in self._client.nthreads() else None
            try:
                sent = self._client.scatter(
                    {_key("rows", i): held},
                    workers=None if there is None else [there],
                    hash=False,
                    direct=True,
                    timeout=SEND_SECONDS,
                )
                return next(iter(sent.values()))
            except (OSError, TimeoutError):
                worker = None  # it was lost while the rows were on their way
        raise RuntimeError(f"Rows could not be sent to any worker in {RESENDS} attempts.")

    def _renew(self) -> bool:
        """Send shards again whose workers were lost; whether there were any."""
        lost = [i for i, s in enumerate(self._shards) if getattr(s, "status", "") in LOST]
        for i in lost:
            self._shards[i] = self._make(i)
        self._placed = (frozenset(), [])
        return bool(lost)

    def _submit(self, work, name) -> list[Future]:
        """One future of a PartialSums per task."""
        client, shards = self._client, self._shards
        if isinstance(shards[0], Future):
            return [
                client.submit(
                    work,
                    [(i, shards[i]) for i in piece],
                    key=f"{name}-{task}",
                    **_on(worker),
                )
                for task, (worker, piece) in enumerate(self._placement())
            ]
        if is_dask_collection(shards[0]):
            run = dask.delayed(run_one, pure=False)
            return client.compute(
                [run(work, i, s, dask_key_name=f"{name}-{i}") for i, s in enumerate(shards)]
            )
        n_tasks = sum(client.nthreads().values()) * STREAM_TASKS_PER_THREAD
        return [
            client.submit(partial(work, [(i, shards[i]) for i in piece]), key=f"{name}-{task}")
            for task, piece in enumerate(split(len(shards), n_tasks))
        ]

    def _chain(self, kernel, carried, order, name) -> Future:
        """One task after another, each of which takes what the one before it made."""
        client, shards, last = self._client, self._shards, carried
        if is_dask_collection(shards[0]):
            fold = dask.delayed(shd.fold_shards, pure=False)
            for link, i in enumerate(order):
                last = fold(kernel, [(i, shards[i])], last, dask_key_name=f"{name}-{link}")
            return client.compute(last)
        held = isinstance(shards[0], Future)
        for link, (worker, piece) in enumerate(self._links(order, held)):
            work: Any = (shd.fold_shards, kernel, [(i, shards[i]) for i in piece])
            work = work if held else (partial(*work),)
            last = client.submit(*work, last, key=f"{name}-{link}", **_on(worker))
        return last

    def _result(self, future: Future):
        try:
            return future.result()
        except BaseException:
            self._client.cancel([future])
            raise

    def _links(self, order, held) -> list:
        """Runs of shards in ``order`` that one task takes, with the worker that holds them."""
        if not held:
            n_tasks = sum(self._client.nthreads().values()) * STREAM_TASKS_PER_THREAD
            return [(None, [order[i] for i in piece]) for piece in split(len(order), n_tasks)]
        holder = {i: worker for worker, piece in self._placement() for i in piece}
        return [(w, list(run)) for w, run in itertools.groupby(order, key=holder.__getitem__)]

    def _placement(self) -> list:
        """For each task, the worker it should run on and the shards it takes."""
        threads = self._client.nthreads()
        if self._placed[0] != frozenset(threads):
            holders = self._client.who_has(self._shards)
            groups = defaultdict(list)
            for i, shard in enumerate(self._shards):
                found = sorted(holders.get(shard.key, ()))
                groups[found[0] if found else None].append(i)
            self._placed = (frozenset(threads), _tasks(groups.items(), threads))
        return self._placed[1]

    def _sum(self, futures: list[Future]) -> PartialSums:
        n_shards = len(self._shards)
        try:
            while len(futures) > FAN_IN:
                groups = [futures[i : i + FAN_IN] for i in range(0, len(futures), FAN_IN)]
                futures = [
                    self._client.submit(add_parts, group, n_shards, key=_key("add", next(_serial)))
                    for group in groups
                ]
            return add_parts(self._client.gather(futures), n_shards)
        except BaseException:
            self._client.cancel(futures)
            raise


LOST = ("lost", "cancelled")


def _tasks(groups, threads) -> list:
    """Cut each worker's shards into one piece per thread of it."""
    tasks = []
    for worker, shards in groups:
        shards = list(shards)
        for piece in split(len(shards), threads.get(worker, 1)):
            tasks.append((worker, shards[piece.start : piece.stop]))
    return tasks


def _on(worker) -> dict:
    """Have a task preferably run on ``worker``; None says nothing."""
    return {} if worker is None else {"workers": [worker], "allow_other_workers": True}


def _key(name: str, i) -> str:
    return f"{name}-{next(_serial)}-{i}"
