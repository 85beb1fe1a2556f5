"""Large matrix products in parts, which threads of this process share."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np

from daskdsml.utils.threads import granted_threads

# Multiply-adds of a part: some 0.2 ms of a core.
PART = 6_000_000
# Of fewer rows a part would take longer to copy b, as BLAS does for each, than to compute.
FEWEST_ROWS, MOST_PARTS = 96, 16

_IN_USE = threading.Lock()


def product(a, b, out):
    """``out <- a b`` for a (n, k) and b (k, m); returns ``out``.

    Large products are cut by rows into parts, by shapes alone, so that bits are the same however
    many threads there are.
    """
    (n, k), m = a.shape, b.shape[1]
    n_parts = min(n * k * m // PART, n // FEWEST_ROWS, MOST_PARTS)
    if n_parts < 2:
        return np.matmul(a, b, out=out)
    parts = iter([slice(n * i // n_parts, n * (i + 1) // n_parts) for i in range(n_parts)])
    n_threads = min(n_parts, granted_threads())
    if n_threads == 1 or not _IN_USE.acquire(blocking=False):
        _make(parts, a, b, out)  # helpers are at the product of another thread
        return out
    try:
        helpers = [_pool().submit(_make, parts, a, b, out) for _ in range(n_threads - 1)]
        try:
            _make(parts, a, b, out)
        finally:
            for helper in helpers:
                helper.result()
    finally:
        _IN_USE.release()
    return out


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is an answer
def _make(parts, a, b, out) -> None:
    """Make the parts of a product that are left, one after the other."""
    for rows in parts:
        np.matmul(a[rows], b, out=out[rows])


@lru_cache(maxsize=1)
def _pool():
    return ThreadPoolExecutor(MOST_PARTS - 1, thread_name_prefix="daskdsml-product")


# Threads do not come along into a forked process.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
