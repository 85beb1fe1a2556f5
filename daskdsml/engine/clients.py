"""The Dask client that work goes to: which one, whether its workers can, and waiting for them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import threading
import time
import warnings
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

import dask
from dask.utils import parse_timedelta

from daskdsml.utils.validation import outside

# How often to look at the workers while one waits for what they do.
POLL_SECONDS = 1.0
# After how long without a sign of life to warn of a worker, and of a cluster without workers.
SILENT_SECONDS = 30.0
# How long to wait for workers to say whether they have this package: they may be busy.
ANSWER_SECONDS = 5.0
# How long it takes at most until a client knows that its connection was closed.
CLOSED_SECONDS = 0.5
PACKAGE = __name__.partition(".")[0]

# Workers of each client that have the package. Threads that ask at once ask twice, no more.
_checked: WeakKeyDictionary[Any, frozenset] = WeakKeyDictionary()


def current_client(parts=()):
    """The Dask client that work on ``parts`` goes to, or None for this process.

    None also inside a task of a worker: a pass that waited there for other tasks could wait for
    ever; unless the task gave up its place for others, as within ``worker_client()``. Where parts
    are persisted collections, which only Dask can read, it gives up its place here.
    ``dask.config.set(scheduler=...)`` with a local scheduler wins over a client, as in Dask.

    Raises
    ------
    RuntimeError
        If the client is asynchronous and this thread is that of its event loop, or if workers do
        not have this package.
    """
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    if dask.config.get("scheduler", None) not in (None, "dask.distributed", "distributed"):
        return None
    if current_worker() is not None:
        if not _has_left_pool():
            if not distributed.futures_of([part for part in parts if part is not None]):
                return None
            distributed.secede()
        return _usable(distributed.get_client())
    try:
        client = distributed.default_client()
    except ValueError:
        return None
    return _usable(client) if client.status == "running" else None


def current_worker():
    """The Dask worker that this thread runs a task of, or None."""
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        with suppress(ValueError):  # this thread runs no task
            return distributed.get_worker()
    return None


def worker_info(client) -> dict:
    """What the scheduler says of each worker, by address."""
    # `Client.scheduler_info` may give what a periodic call has fetched meanwhile: no workers.
    return client.sync(client.scheduler.identity)["workers"]


@contextmanager
def scheduler_needed(client):
    """RuntimeError for whatever is raised because the scheduler of a client, or None, is lost."""
    address = None if client is None else getattr(client.scheduler, "address", None)
    try:
        yield
    except (OSError, CancelledError) as error:
        time.sleep(CLOSED_SECONDS)  # the client hears of it by another connection
        if client is None or client.status == "running":
            raise
        raise RuntimeError(
            f"The scheduler {address} is lost, and what its workers had with it. "
            "Start it and workers again, and make a new Client; with checkpoint= the same call "
            "goes on from what it had come to."
        ) from error


def gathered(client, futures) -> list:
    """Results of futures, which are cancelled if one fails, or who waits for them is interrupted.

    Workers that show no sign of life meanwhile are told of.
    """
    with scheduler_needed(client):
        return _gathered(client, futures)


def _gathered(client, futures) -> list:
    watch, ended = Watch(client), threading.Semaphore(0)
    try:
        for future in futures:
            # Dask's own `wait` raises at its timeout, and the traceback would hold the futures.
            future.add_done_callback(lambda _: ended.release())
        for _ in futures:
            while not ended.acquire(timeout=POLL_SECONDS):
                watch.look()
        return client.gather(futures)
    except BaseException:
        client.cancel(futures)
        raise


def wait_for_worker(client) -> None:
    """Wait until the cluster of a client has a worker."""
    if not client.nthreads():
        # A task that waits has a cluster start workers, if it adapts to what there is to do.
        waiting = client.submit(importlib.util.find_spec, PACKAGE, pure=False)
        gathered(client, [waiting])


def compute(*collections) -> tuple:
    """`dask.compute` that tells of silent workers, and whose tasks end where it is interrupted."""
    client = current_client(collections)
    if client is None:
        return dask.compute(*collections)
    return tuple(gathered(client, client.compute(list(collections))))


class Watch:
    """Looks after workers while somebody waits: `look` at them every second or so.

    A worker that is silent for half a minute is told of once. Dask itself gives it up after its
    configuration's ``distributed.scheduler.worker-ttl``; where ``daskdsml.stall-timeout`` is set,
    such as to "60s", it is restarted, or given up, after that time, and a cluster that has no
    worker for as long is a RuntimeError.
    """

    def __init__(self, client):
        self._client = client
        limit = dask.config.get("daskdsml.stall-timeout", None)
        try:
            self._limit = None if limit is None else parse_timedelta(limit)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"daskdsml.stall-timeout of Dask's configuration is {limit!r}: expected a time "
                "such as '60s', or None."
            ) from error
        self._seen: dict[str, tuple] = {}
        self._told: set[str] = set()
        self._next = 0.0

    def look(self) -> None:
        """Warn of workers that are silent, and give up those that are for too long."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + POLL_SECONDS
        signs = {worker: info["last_seen"] for worker, info in worker_info(self._client).items()}
        signs = signs or {"": None}
        for worker, sign in signs.items():
            if worker not in self._seen or self._seen[worker][0] != sign:
                self._seen[worker] = (sign, now)
        self._seen = {worker: self._seen[worker] for worker in signs}
        silent = {worker: now - since for worker, (_, since) in self._seen.items()}
        for worker, seconds in silent.items():
            if seconds >= SILENT_SECONDS and worker not in self._told:
                self._told.add(worker)
                _warn(worker, seconds, self._limit)
        late = [w for w, seconds in silent.items() if self._limit and seconds >= self._limit]
        if late == [""]:
            raise RuntimeError(
                f"The cluster had no worker for {self._limit:g} seconds, which is "
                "daskdsml.stall-timeout of Dask's configuration. Start some."
            )
        if late:
            self._client.run_on_scheduler(_restart, late)


def _warn(worker: str, seconds: float, limit) -> None:
    if not worker:
        text = f"The cluster has no worker since {seconds:.0f} seconds; work waits until one starts"
    else:
        until = "Dask's worker-ttl" if limit is None else "daskdsml.stall-timeout"
        text = (
            f"Worker {worker} shows no sign of life since {seconds:.0f} seconds; it is waited for "
            f"until {until} has passed. End it to have its work done by others"
        )
    remedy = "dask.config.set({'daskdsml.stall-timeout': '60s'}) sets how long to wait"
    warnings.warn(f"{text}; {remedy}.", RuntimeWarning, stacklevel=outside())


async def _restart(workers: list[str], dask_scheduler) -> None:
    """What Dask does with workers when their worker-ttl has passed."""
    await dask_scheduler.restart_workers(
        workers, timeout=5.0, wait_for_workers=False, on_error="return", stimulus_id="daskdsml"
    )


def _has_left_pool() -> bool:
    """Whether this task has given up its place for other tasks."""
    from distributed.threadpoolexecutor import thread_state

    return not getattr(thread_state, "proceed", True)


def _usable(client):
    """The client, once it is known that it can be waited for, and that its workers can work."""
    if client.asynchronous:
        raise RuntimeError(
            "The current Dask client is asynchronous, and waiting for it here would stop its event "
            "loop. Run this on another thread, as await asyncio.to_thread(model.fit, X, y) does, "
            "or without the cluster: dask.config.set(scheduler='threads')."
        )
    wait_for_worker(client)
    workers = frozenset(client.nthreads())
    without = _without_package(client, sorted(workers - _checked.get(client, frozenset())))
    if without:
        raise RuntimeError(
            f"Workers cannot import {PACKAGE}, which their tasks need: {', '.join(without)}. "
            f"Install {PACKAGE} {importlib.metadata.version(PACKAGE)} for them and for the "
            "scheduler, or run without the cluster: dask.config.set(scheduler='threads')."
        )
    _checked[client] = workers
    return client


def _without_package(client, workers: list[str]) -> list[str]:
    """Those workers that say that they do not have this package."""
    # By tasks, for a function that is run past the queue would not return from a frozen worker.
    asked = [
        client.submit(importlib.util.find_spec, PACKAGE, workers=[worker], pure=False)
        for worker in workers
    ]
    until = time.monotonic() + ANSWER_SECONDS
    without = []
    for worker, future in zip(workers, asked, strict=True):
        with suppress(Exception):  # it does not answer, or is lost: who waits for work will see
            if future.result(timeout=max(until - time.monotonic(), 0.0)) is None:
                without.append(worker)
    return without
