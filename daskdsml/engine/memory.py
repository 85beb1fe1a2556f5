"""Whether data fit into memory: this machine's, or that of a cluster's workers."""

from __future__ import annotations

import psutil

CACHES = ("auto", "memory", "none")
# Data in this process's memory goes to a cluster only from this size on: reading 128 MiB takes this
# process about as long as one pass on a cluster costs in messages alone.
HOME_BYTES = 2**27
# Blocks are kept in memory as long as workers stay below this share of their limit: Dask begins to
# spill at 0.6.
MEMORY_SHARE = 0.5


def check_cache(cache) -> None:
    """Raise ValueError unless ``cache`` is one of `CACHES`."""
    if cache not in CACHES:
        raise ValueError(f"Unknown cache {cache!r}: expected one of {list(CACHES)}.")


def worker_info(client) -> dict:
    """What the scheduler says of each worker, by address."""
    # `Client.scheduler_info` may give what a periodic call has fetched meanwhile: no workers.
    return client.sync(client.scheduler.identity)["workers"]


def fits_workers(client, n_bytes: float) -> bool:
    """Whether the workers have room for ``n_bytes`` before Dask would begin to spill."""
    workers = worker_info(client).values()
    if any(not worker["memory_limit"] for worker in workers):
        return True
    used = (worker.get("metrics", {}).get("memory", 0) for worker in workers)
    free = (MEMORY_SHARE * w["memory_limit"] - m for w, m in zip(workers, used, strict=True))
    return n_bytes <= sum(max(room, 0.0) for room in free)


def fits_here(n_bytes: float) -> bool:
    """Whether ``n_bytes`` take at most half of this machine's free memory."""
    return n_bytes <= 0.5 * psutil.virtual_memory().available
