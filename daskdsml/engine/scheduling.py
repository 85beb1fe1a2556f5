"""Sums on workers, threads of this process, and reading ahead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from uuid import uuid4

import dask
from dask.array.optimization import Alias, Task
from dask.blockwise import List, parse_input
from dask.highlevelgraph import HighLevelGraph
from dask.sizeof import sizeof
from dask.system import CPU_COUNT

from daskdsml.data.blocks import split
from daskdsml.engine.clients import current_worker, gathered
from daskdsml.engine.tree import PartialSums, add_sums

# How often blocks that this process had sent to workers are sent again after workers were lost.
RESENDS = 10
# How long to wait for a worker to take what is sent before another one is tried.
SEND_SECONDS = 5
# Sums of more tasks than this are added on the workers, this many at a time.
FAN_IN = 8
# Bytes up to which sums may stay on the workers after a pass.
SMALL_SUMS = 2**20


def gather_sums(client, sums: list, n_leaves: int, places=None, last=None) -> PartialSums:
    """Add `PartialSums` of futures, or of tasks; these may prefer the workers in ``places``.

    Small sums stay on the workers while they are the ``last``: Dask would hold back for 10 ms what
    it is asked for after their release.
    """
    given = sums  # the scheduler forgets futures that nobody holds, and would make them again
    tasks = [part for part in given if isinstance(part, Task)]
    while len(sums) > FAN_IN:
        sums = [
            Task(
                f"add-sums-{uuid4().hex}",
                add_sums,
                List(*(Alias(part.key) for part in sums[i : i + FAN_IN])),
                n_leaves,
            )
            for i in range(0, len(sums), FAN_IN)
        ]
        tasks += sums
    if tasks:
        sums = submitted(client, tasks, [part.key for part in sums], places)
    last = [] if last is None else last
    last[:] = sums
    total = add_sums(gathered(client, sums), n_leaves)
    if sizeof(total) > SMALL_SUMS:
        last.clear()
    return total


def submitted(client, tasks: list, keys: list, places: dict | None = None) -> list:
    """Futures of ``keys``, of tasks that may prefer the workers in ``places``, by key.

    All go in one message: the scheduler takes as long for one task as for dozens.
    """
    near = defaultdict(list, {key: [worker] for key, worker in (places or {}).items() if worker})
    options = {"workers": near.__getitem__, "allow_other_workers": True} if near else {}
    # Dask would hash the states in a plain dict, only to name it.
    graph = HighLevelGraph.from_collections(keys[0], {task.key: task for task in tasks})
    with dask.annotate(**options):
        return client.get(graph, keys, sync=False, fifo_timeout="100 ms")


def pieces_of(groups, threads) -> list:
    """Cut each worker's shards into one piece per thread of it."""
    return [
        (worker, shards[piece.start : piece.stop])
        for worker, shards in groups
        for piece in split(len(shards), threads.get(worker, 1))
    ]


def on_worker(worker) -> dict:
    """Have a task preferably run on ``worker``; None says nothing."""
    return {} if worker is None else {"workers": [worker], "allow_other_workers": True}


def new_key(name: str) -> str:
    """A key that no other work has: clients of other processes share the scheduler."""
    return f"{name}-{uuid4().hex}"


def sent(client, value, name: str, worker=None, direct: bool | None = None):
    """A future of what this process has, sent to ``worker``, or to any other if that is lost.

    ``name`` begins its key; ``direct`` is as for `distributed.Client.scatter`. Other workers get it
    from that one when they need it: Dask's broadcast never ends if a worker is lost meanwhile.
    """
    for _ in range(RESENDS):
        there = worker if worker in client.nthreads() else None
        try:
            futures = client.scatter(
                {f"{name}-{uuid4().hex}": value},
                workers=None if there is None else [there],
                hash=False,
                timeout=SEND_SECONDS,
                direct=direct,
            )
            return next(iter(futures.values()))
        except (OSError, TimeoutError, KeyError):  # by its address the scheduler knows it no more
            worker = None  # it was lost while this was on its way
    raise RuntimeError(f"Workers could not be sent {name} in {RESENDS} attempts.")


def sent_to_all(client, value, name: str):
    """A future of what this process has, `sent` and then fetched by each worker.

    Dask runs the tasks that need it where it is, so a first pass would lie with one worker.
    """
    for _ in range(RESENDS):
        future = sent(client, value, name)
        places = {new_key("fetch"): worker for worker in client.nthreads()}
        tasks = [Task(key, type, parse_input(future)) for key in places]
        try:
            gathered(client, submitted(client, tasks, list(places), places))
        except CancelledError:  # it is lost again
            continue
        return future
    raise RuntimeError(f"Workers were lost {RESENDS} times before they had fetched {name}.")


def n_threads(n_jobs: int | None = None) -> int:
    """Threads that this process has for a pass, or ``n_jobs``.

    A task has its share of its worker's: it is not alone on the machine.
    """
    asked = n_jobs or dask.config.get("num_workers", None)
    worker = current_worker()
    if asked or worker is None:
        return asked or CPU_COUNT
    return max(worker.state.nthreads // max(worker.state.executing_count, 1), 1)


def read_ahead(items: Iterable) -> Iterator:
    """Make the next item on a thread of its own while the caller works on this one.

    Never more than one item ahead: a queue, even of length one, would hold a third block.
    """
    iterator = iter(items)
    end = object()
    reader = ThreadPoolExecutor(1, thread_name_prefix="daskdsml-read")
    try:
        ahead = reader.submit(next, iterator, end)
        while (item := ahead.result()) is not end:
            ahead = reader.submit(next, iterator, end)
            yield item
            del item
    finally:
        reader.shutdown(wait=False)  # who is interrupted does not wait for the block that is read
