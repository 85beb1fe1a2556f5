"""Fits that end in the midst of it, as if their process was killed, and are called again."""

import os
import signal
import threading
from contextlib import contextmanager

from daskdsml import Checkpoint
from daskdsml.utils.checkpoint import CheckpointFiles
from daskdsml.utils.portable import pack


class Killed(BaseException):
    """What a fit cannot tell from the end of its process: it has no time to write anything."""


def dies_after(monkeypatch, n_writes):
    """Have a fit end right after it has written its checkpoint so many times."""
    written, write = [], CheckpointFiles.write

    def last(self, value):
        write(self, value)
        written.append(value)
        if len(written) == n_writes:
            raise Killed

    monkeypatch.setattr(CheckpointFiles, "write", last)


def resumed_until_done(make, fit, path, monkeypatch, n_writes=1):
    """A model that was made and fitted anew after each death, and how often it died."""
    for deaths in range(1000):
        model = make(checkpoint=Checkpoint(str(path), seconds=0))
        with monkeypatch.context() as patch:
            dies_after(patch, n_writes)
            try:
                fit(model)
                return model, deaths
            except Killed:
                continue
    raise AssertionError("the fit does not get on")


TIMES = ("seconds", "rows_per_second")


def assert_same_fit(model, other, but=()):
    """All that a fit has learned, to the bit, with its counts and history; but no times."""
    learnt = [{k: v for k, v in vars(m).items() if k.endswith("_")} for m in (model, other)]
    assert learnt[0].keys() == learnt[1].keys()
    for name in learnt[0].keys() - {"history_", "layers_", *but}:
        a, b = (b"".join(map(bytes, pack(each[name]))) for each in learnt)
        assert a == b, name
    histories = [
        [{k: v for k, v in r._asdict().items() if k not in TIMES} for r in m.history_]
        for m in (model, other)
    ]
    assert repr(histories[0]) == repr(histories[1])


@contextmanager
def ctrl_c(seconds=None):
    """Have Ctrl-C come after so many seconds, or 0.2 seconds after what is given is called.

    And again after a while, for Python loses it where it comes in callbacks of the interpreter.
    """
    wanted, over = threading.Event(), threading.Event()

    def press():
        wanted.wait(seconds)
        while not over.wait(0.2):
            os.kill(os.getpid(), signal.SIGINT)
            over.wait(60.0)

    # The processes of a parallel test run ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=press, daemon=True).start()
    try:
        yield wanted.set
    finally:
        over.set()
        wanted.set()
        signal.signal(signal.SIGINT, before)
