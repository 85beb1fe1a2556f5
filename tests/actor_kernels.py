"""Kernels that fail at places; workers of the test cluster import this file by name."""

import os
import sys
import threading
import time
from typing import NamedTuple

import numpy as np


class TwoWordsError(Exception):
    """An error that pickles, but does not unpickle."""

    def __init__(self, one, other):
        super().__init__(f"{one} {other}")


class LockedError(Exception):
    """An error that does not pickle."""

    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


class Elsewhere:
    """What unpickles in the process that made it alone."""

    def __init__(self, home=None):
        self.home = os.getpid() if home is None else home
        if self.home != os.getpid():
            raise ImportError("no such thing here")

    def __reduce__(self):
        return Elsewhere, (self.home,)


def two_words(state, batch):
    """Kernel: raises what does not unpickle."""
    yield np.ones(1)
    raise TwoWordsError("bad", "row")


def locked(state, batch):
    """Kernel: raises what does not pickle."""
    yield from ()
    raise LockedError("bad lock")


def ending(state, batch):
    """Kernel: would end its process."""
    yield from ()
    sys.exit("enough")


def returning_lock(state, batch):
    """Kernel: returns what does not pickle."""
    yield from ()
    return threading.Lock()


def returning_elsewhere(state, batch):
    """Kernel: returns what does not unpickle."""
    yield from ()
    return Elsewhere()


class Busy(NamedTuple):
    """Kernel: sleeps."""

    seconds: float

    def __call__(self, state, batch):
        yield from ()
        time.sleep(self.seconds)
        return np.ones(1)


def sent_pieces():
    """Partitions that were sent to the places of this process and wait there."""
    from daskdsml.engine.minibatch import actor
    from daskdsml.engine.minibatch.row_store import SentRows

    stores = [actor._store for actor in list(actor._actors.values())]
    return [i for s in stores for i, given in s._sources.items() if isinstance(given, SentRows)]


def pause_above(share, dask_worker):
    """Have a worker paused while its memory is fuller than this share of its limit."""
    dask_worker.memory_manager.memory_pause_fraction = share
