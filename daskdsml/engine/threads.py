"""One BLAS thread inside a task, however many tasks share the process."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import lru_cache

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_users = 0
_limit = None


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    # Finding the loaded libraries takes milliseconds, setting their limit microseconds.
    return ThreadpoolController()


@contextmanager
def single_threaded_blas():
    """Hold BLAS at one thread while any task of this process is inside.

    The limit is process-wide, so the first task in sets it and the last one out lifts it: were each
    to restore what it found, a task that ends would hand its neighbours more threads, and with them
    other bits.
    """
    global _users, _limit
    with _lock:
        if _users == 0:
            _limit = _controller().limit(limits=1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limit.restore_original_limits()
                _limit = None
