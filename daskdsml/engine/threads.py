"""One BLAS thread inside a task, however many tasks share the process."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache

import scipy.linalg  # noqa: F401  its BLAS, which compiled loops call, must be there to be limited
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_users = 0
_limit = None


@contextmanager
def single_threaded_blas():
    """Hold BLAS at one thread while anyone in this process is inside.

    The limit is process-wide, so the first in sets it and the last one out lifts it: were each to
    restore what it found, a task that ends would hand its neighbours more threads, and with them
    other bits. threadpoolctl 3.8 ignores every thread but the one that set a limit first, so a
    thread of our own does both.
    """
    global _users, _limit
    with _lock:
        if _users == 0:
            _limit = _owner().submit(_limited).result()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _owner().submit(_lift, _limit).result()
                _limit = None


def _limited():
    _give_up_ownership(force=True)
    return _controller().limit(limits=1, user_api="blas").__enter__()


def _lift(limit) -> None:
    limit.__exit__(None, None, None)
    _give_up_ownership(force=False)


def _give_up_ownership(force: bool) -> None:
    """Let any thread set a limit; ``force`` takes it from a thread that is inside its own limit.

    That thread gets its limit back when ours is lifted.
    """
    for library in _controller().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force)


@lru_cache(maxsize=1)
def _owner() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="daskdsml-blas")


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    # Finding the loaded libraries takes milliseconds, setting their limit microseconds.
    return ThreadpoolController()
