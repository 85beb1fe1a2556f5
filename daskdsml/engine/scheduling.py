"""Where work goes: the Dask client, runs of it for each task, reading ahead, sending again."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import dask
import numpy as np

# How often blocks that this process had sent to workers are sent again after workers were lost.
RESENDS = 10
# How long to wait for a worker to take what is sent before another one is tried.
SEND_SECONDS = 5


def current_client():
    """The Dask client that work goes to, or None for this process.

    None also inside a task of a worker: a pass that waited there for other tasks could wait for
    ever. ``dask.config.set(scheduler=...)`` with a local scheduler wins over a client, as in Dask.
    """
    distributed = sys.modules.get("distributed")
    if distributed is None or inside_task():
        return None
    scheduler = dask.config.get("scheduler", None)
    if scheduler not in (None, "dask.distributed", "distributed"):
        return None
    try:
        client = distributed.default_client()
    except ValueError:
        return None
    return client if client.status == "running" else None


def inside_task() -> bool:
    """Whether this thread runs a task of a Dask worker."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True


def split(n: int, n_tasks: int) -> list[range]:
    """Cut ``range(n)`` into at most ``n_tasks`` runs of nearly equal length."""
    borders = np.linspace(0, n, min(n, max(n_tasks, 1)) + 1).round().astype(int)
    return [range(a, b) for a, b in zip(borders[:-1], borders[1:], strict=True)]


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
