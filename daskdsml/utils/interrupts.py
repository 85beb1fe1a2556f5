"""Ctrl-C, held back while it would do harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Hold:
    """Whether Ctrl-C is held back: once somebody has ``begun`` to change what must be whole."""

    begun = False


@contextmanager
def uninterrupted() -> Iterator[Hold]:
    """Hold Ctrl-C back to the end of this block, once its `Hold` says so; but not a second one."""
    hold, here = Hold(), threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield hold
        return
    came: list[int] = []

    def later(number, frame):
        if came or not hold.begun:
            raise KeyboardInterrupt
        came.append(number)

    signal.signal(signal.SIGINT, later)
    try:
        yield hold
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt
