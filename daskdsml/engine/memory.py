"""Whether data fit into memory: this machine's, or that of a cluster's workers."""

from __future__ import annotations

import psutil

from daskdsml.engine.clients import current_worker, worker_info

CACHES = ("auto", "memory", "none")
# Data in this process's memory goes to a cluster only from this size on: reading 128 MiB takes this
# process about as long as one pass on a cluster costs in messages alone.
MIN_CLUSTER_BYTES = 2**27
# Blocks are kept in memory as long as workers stay below this share of their limit: Dask begins to
# spill at 0.6.
MEMORY_SHARE = 0.5


def check_cache(cache) -> None:
    """Raise ValueError unless ``cache`` is one of `CACHES`."""
    if cache not in CACHES:
        raise ValueError(f"Unknown cache {cache!r}: expected one of {list(CACHES)}.")


def keeps(cache: str, n_bytes: float | None, client=None, n_parts=None) -> bool | None:
    """Whether rows stay in memory once they were read; None while that depends on their size."""
    if cache != "auto":
        return cache == "memory"
    return None if n_bytes is None else fits(n_bytes, client, n_parts)


def fits(n_bytes: float, client=None, n_parts: int | None = None) -> bool:
    """Whether there is room for ``n_bytes``.

    They may take half of this machine's free memory, or what the workers of a client have left
    before Dask would begin to spill; in a task, its thread's share of what its own worker has left.
    Of ``n_parts`` equal ones, if there are such, each is held by one worker.
    """
    if client is None:
        return n_bytes <= min(0.5 * psutil.virtual_memory().available, _room_in_task())
    workers = worker_info(client).values()
    if any(not worker["memory_limit"] for worker in workers):
        return True
    if n_parts and len(workers):  # as if all held as much as the one with most parts
        n_bytes *= -(-n_parts // len(workers)) * len(workers) / n_parts
    used = (worker.get("metrics", {}).get("memory", 0) for worker in workers)
    free = (MEMORY_SHARE * w["memory_limit"] - m for w, m in zip(workers, used, strict=True))
    return n_bytes <= sum(max(room, 0.0) for room in free)


def _room_in_task() -> float:
    """Bytes that the task which this thread runs may take: as many as one on each other thread."""
    worker = current_worker()
    limit = worker and worker.memory_manager.memory_limit
    if not limit:
        return float("inf")
    used = psutil.Process().memory_info().rss
    return max(MEMORY_SHARE * limit - used, 0.0) / worker.state.nthreads
