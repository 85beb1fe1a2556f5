"""Deliveries: pieces that Dask holds, brought to the places of a pool by tasks of their own."""

from __future__ import annotations

import time
import warnings
from uuid import uuid4
from weakref import WeakKeyDictionary

from daskdsml.engine.place import deliver
from daskdsml.engine.seats import LOOK_SECONDS
from daskdsml.engine.workers import identities
from daskdsml.settings import outside

# Dask has a worker whose memory is nearly full take no tasks: after how long a wait for it that is
# told, and after how long there is no more hope.
TELL_SECONDS, HOPE_SECONDS = 10.0, 300.0


class Deliveries:
    """Pieces on their way to places.

    Parameters
    ----------
    client : distributed.Client
    futures : list
        What holds the `Rows` of each piece.
    """

    def __init__(self, client, futures):
        self._client, self.futures = client, futures
        # What is on its way to a place is forgotten with the place.
        self._under_way: WeakKeyDictionary = WeakKeyDictionary()
        self._turn = 0
        self._told = False

    def begin(self, seat, pieces) -> None:
        """Send pieces to a seat, unless they are on their way."""
        under_way = self._under_way.setdefault(seat.future, {})
        for i in pieces:
            if i not in under_way:
                # The task must run where the place is; whether that worker lives is looked at
                # while it is waited for.
                under_way[i] = self._client.submit(
                    deliver,
                    seat.name,
                    i,
                    self.futures[i],
                    self._turn,
                    key=f"daskdsml-deliver-{uuid4().hex}",
                    workers=[seat.worker],
                )

    def end(self, seat, pieces) -> None:
        """Wait until pieces are there, or the seat's worker is lost.

        Raises
        ------
        RuntimeError
            If the worker has been paused for too long.
        """
        under_way = self._under_way.get(seat.future, {})
        for i in pieces:
            task = under_way.pop(i, None)
            if task is not None:
                self._wait(task, seat.worker)

    def clear(self) -> None:
        """Begin an epoch: what is on its way, or waits at a place, is not wanted any more."""
        self._under_way.clear()
        self._turn += 1

    def _wait(self, task, worker) -> None:
        running = time.monotonic()
        while not _ended(task):
            status = self._status(worker)
            if status is None:
                task.cancel()
                return
            if status != "paused":
                running = time.monotonic()
            self._tell(worker, time.monotonic() - running)

    def _status(self, worker) -> str | None:
        """What the scheduler says of a worker; None if it is lost."""
        found = identities(self._client).get(worker)
        return None if found is None else found["status"]

    def _tell(self, worker, seconds) -> None:
        """Warn once of a worker that is paused, and raise after a long while."""
        if seconds < TELL_SECONDS or (self._told and seconds < HOPE_SECONDS):
            return
        text = (
            f"Worker {worker} cannot take rows of the data: Dask has paused it for {seconds:.0f} "
            "seconds, because its memory is nearly full. Give workers more memory, or free some"
        )
        if seconds >= HOPE_SECONDS:
            raise RuntimeError(f"{text}.")
        self._told = True
        warnings.warn(
            f"{text}; training goes on once it is running again, and ends with an error after "
            f"{HOPE_SECONDS:g} seconds.",
            RuntimeWarning,
            stacklevel=outside(),
        )


def _ended(task) -> bool:
    """Wait for a little while; whether a task has ended. Raises what it raised."""
    try:
        task.result(timeout=LOOK_SECONDS)
    except TimeoutError:
        if not task.done():
            return False
        task.result()  # it has just ended, or is itself what timed out
    return True
