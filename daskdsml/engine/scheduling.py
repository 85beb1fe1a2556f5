"""Where work goes: the Dask client, sums on its workers, and reading ahead."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import dask

from daskdsml.engine.tree import PartialSums, add_sums

# How often blocks that this process had sent to workers are sent again after workers were lost.
RESENDS = 10
# How long to wait for a worker to take what is sent before another one is tried.
SEND_SECONDS = 5
# Sums of more tasks than this are added on the workers, this many at a time.
FAN_IN = 8


def current_client():
    """The Dask client that work goes to, or None for this process.

    None also inside a task of a worker: a pass that waited there for other tasks could wait for
    ever. ``dask.config.set(scheduler=...)`` with a local scheduler wins over a client, as in Dask.
    """
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    with suppress(ValueError):  # this thread runs no task
        distributed.get_worker()
        return None
    scheduler = dask.config.get("scheduler", None)
    if scheduler not in (None, "dask.distributed", "distributed"):
        return None
    try:
        client = distributed.default_client()
    except ValueError:
        return None
    return client if client.status == "running" else None


def gather_sums(client, futures: list, n_leaves: int) -> PartialSums:
    """Add what tasks return as futures of `PartialSums`."""
    try:
        while len(futures) > FAN_IN:
            futures = [
                client.submit(add_sums, futures[i : i + FAN_IN], n_leaves, pure=False)
                for i in range(0, len(futures), FAN_IN)
            ]
        return add_sums(client.gather(futures), n_leaves)
    except BaseException:
        client.cancel(futures)
        raise


def read_ahead(items: Iterable) -> Iterator:
    """Make the next item on a thread of its own while the caller works on this one.

    Never more than one item ahead: a queue, even of length one, would hold a third block.
    """
    iterator = iter(items)
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="daskdsml-read") as reader:
        ahead = reader.submit(next, iterator, end)
        while (item := ahead.result()) is not end:
            ahead = reader.submit(next, iterator, end)
            yield item
            del item
