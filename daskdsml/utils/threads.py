"""One BLAS thread inside a task, however many tasks share the process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import scipy.linalg  # noqa: F401  its BLAS, which compiled loops call, must be there to be limited
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_users = 0
_limit: Any = None
_granted = 1


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS at one thread while anyone in this process is inside.

    The limit is process-wide, so the first in sets it and the last one out lifts it: were each to
    restore what it found, a task that ends would hand its neighbours more threads, and with them
    other bits. threadpoolctl 3.8 ignores every thread but the one that set a limit first, so a
    thread of our own does both.
    """
    global _users, _limit, _granted
    with _lock:
        if _users == 0:
            _granted, _limit = _owner().submit(_limited).result()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _owner().submit(_lift, _limit).result()
                _granted, _limit = 1, None


def granted_threads() -> int:
    """Threads that BLAS was given up for the limit; 1 where there is none."""
    return _granted


def _limited() -> tuple[int, Any]:
    _give_up_ownership(force=True)
    libraries = _controller().lib_controllers
    granted = min((b.num_threads for b in libraries if b.user_api == "blas"), default=1)
    return granted, _controller().limit(limits=1, user_api="blas").__enter__()


def _lift(limit: Any) -> None:
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


def _begin_anew() -> None:
    """In a forked process: the thread that owns the limit did not come along."""
    global _lock, _users, _limit, _granted
    _lock, _users, _limit, _granted = threading.Lock(), 0, None, 1
    _owner.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
