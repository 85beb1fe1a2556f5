"""Sums on workers, threads of this process, and reading ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import dask
from dask.system import CPU_COUNT

from daskdsml.engine.clients import current_worker, gathered
from daskdsml.engine.tree import PartialSums, add_sums

# How often blocks that this process had sent to workers are sent again after workers were lost.
RESENDS = 10
# How long to wait for a worker to take what is sent before another one is tried.
SEND_SECONDS = 5
# Sums of more tasks than this are added on the workers, this many at a time.
FAN_IN = 8


def gather_sums(client, futures: list, n_leaves: int) -> PartialSums:
    """Add what tasks return as futures of `PartialSums`."""
    while len(futures) > FAN_IN:
        futures = [
            client.submit(add_sums, futures[i : i + FAN_IN], n_leaves, pure=False)
            for i in range(0, len(futures), FAN_IN)
        ]
    return add_sums(gathered(client, futures), n_leaves)


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
