"""Transfer tasks: partitions that Dask holds, brought to actors by tasks of their own."""

from __future__ import annotations

import time
import warnings
from uuid import uuid4
from weakref import WeakKeyDictionary

from daskdsml.engine.memory import worker_info
from daskdsml.engine.minibatch.actor import receive_partition
from daskdsml.engine.minibatch.actor_pool import POLL_SECONDS
from daskdsml.utils.validation import outside

# Dask has a worker whose memory is nearly full take no tasks: after how long a wait for it that is
# told, and after how long there is no more hope.
WARN_SECONDS, MAX_PAUSE_SECONDS = 10.0, 300.0


class TransferTasks:
    """Partitions on their way to actors.

    Parameters
    ----------
    client : distributed.Client
    futures : list
        What holds the `Rows` of each partition.
    """

    def __init__(self, client, futures):
        self._client, self._futures = client, futures
        # What is on its way to an actor is forgotten with the actor.
        self._under_way: WeakKeyDictionary = WeakKeyDictionary()
        self._epoch = 0
        self._warned = False

    def begin(self, handle, partitions) -> None:
        """Send partitions to an actor, unless they are on their way."""
        under_way = self._under_way.setdefault(handle.future, {})
        for i in partitions:
            if i not in under_way:
                # The task must run where the actor is; whether that worker lives is looked at
                # while it is waited for.
                under_way[i] = self._client.submit(
                    receive_partition,
                    handle.name,
                    i,
                    self._futures[i],
                    self._epoch,
                    key=f"daskdsml-transfer-{uuid4().hex}",
                    workers=[handle.worker],
                )

    def end(self, handle, partitions) -> None:
        """Wait until partitions are there, or the actor's worker is lost.

        Raises
        ------
        RuntimeError
            If the worker has been paused for too long.
        """
        under_way = self._under_way.get(handle.future, {})
        for i in partitions:
            task = under_way.pop(i, None)
            if task is not None:
                self._wait(task, handle.worker)

    def clear(self) -> None:
        """Begin an epoch: what is on its way, or waits at an actor, is not wanted any more."""
        self._under_way.clear()
        self._epoch += 1

    def _wait(self, task, worker) -> None:
        running = time.monotonic()
        while not _ended(task):
            status = self._status(worker)
            if status is None:
                task.cancel()
                return
            if status != "paused":
                running = time.monotonic()
            self._warn(worker, time.monotonic() - running)

    def _status(self, worker) -> str | None:
        """What the scheduler says of a worker; None if it is lost."""
        found = worker_info(self._client).get(worker)
        return None if found is None else found["status"]

    def _warn(self, worker, seconds) -> None:
        """Warn once of a worker that is paused, and raise after a long while."""
        if seconds < WARN_SECONDS or (self._warned and seconds < MAX_PAUSE_SECONDS):
            return
        text = (
            f"Worker {worker} cannot take rows of the data: Dask has paused it for {seconds:.0f} "
            "seconds, because its memory is nearly full. Give workers more memory, or free some"
        )
        if seconds >= MAX_PAUSE_SECONDS:
            raise RuntimeError(f"{text}.")
        self._warned = True
        warnings.warn(
            f"{text}; training goes on once it is running again, and ends with an error after "
            f"{MAX_PAUSE_SECONDS:g} seconds.",
            RuntimeWarning,
            stacklevel=outside(),
        )


def _ended(task) -> bool:
    """Wait for a little while; whether a task has ended. Raises what it raised."""
    try:
        task.result(timeout=POLL_SECONDS)
    except TimeoutError:
        if not task.done():
            return False
        task.result()  # it has just ended, or is itself what timed out
    return True
