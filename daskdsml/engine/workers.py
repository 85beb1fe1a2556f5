"""What a cluster's scheduler knows of its workers."""

from __future__ import annotations

# Blocks are kept in memory as long as workers stay below this share of their limit: Dask begins to
# spill at 0.6.
MEMORY_SHARE = 0.5


def identities(client) -> dict:
    """What the scheduler says of each worker, by address."""
    # `Client.scheduler_info` may give what a periodic call has fetched meanwhile: no workers.
    return client.sync(client.scheduler.identity)["workers"]


def fits(client, n_bytes: float) -> bool:
    """Whether the workers have room for ``n_bytes`` before Dask would begin to spill."""
    workers = identities(client).values()
    if any(not worker["memory_limit"] for worker in workers):
        return True
    used = (worker.get("metrics", {}).get("memory", 0) for worker in workers)
    free = (MEMORY_SHARE * w["memory_limit"] - m for w, m in zip(workers, used, strict=True))
    return n_bytes <= sum(max(room, 0.0) for room in free)
