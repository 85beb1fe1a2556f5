"""Transfer: how partitions come to the actors, be they read there, sent, or made by Dask."""

from __future__ import annotations

import pickle
import time
import warnings
from concurrent.futures import CancelledError
from itertools import zip_longest
from uuid import uuid4

import dask

from daskdsml.data.blocks import group
from daskdsml.engine.chunk_tasks import SentRecipes
from daskdsml.engine.clients import POLL_SECONDS, Watch, worker_info
from daskdsml.engine.minibatch.accumulate import accumulate
from daskdsml.engine.minibatch.actor import receive_partition
from daskdsml.engine.minibatch.actor_pool import ActorHandle, ActorPool
from daskdsml.engine.minibatch.row_store import SentRows
from daskdsml.engine.scheduling import RESENDS, gather_sums, sent
from daskdsml.engine.tree import PartialSums
from daskdsml.utils.validation import outside

# Rows come to an actor in runs of this many bytes: all at once, they would be in memory twice, in
# the message and where they are read to.
RUN_BYTES = 2**24
# Dask has a worker whose memory is nearly full take no tasks: after how long a wait to warn of it,
# and after how long to give up.
WARN_SECONDS, MAX_PAUSE_SECONDS = 10.0, 300.0


class Transfer:
    """Partitions for the actors of a pool.

    Actors read partitions by tasks that they are sent, unless Dask has to make them or only this
    process can read them: then the rows themselves are brought.

    Parameters
    ----------
    client : distributed.Client
    actors : ActorPool
    partitions : Partitions
    keep : bool
        Whether actors keep what they have read.

    Attributes
    ----------
    futures : PartitionFutures or None
        What makes partitions, if Dask does.
    """

    def __init__(self, client, actors: ActorPool, partitions, keep: bool):
        self._actors, self._keep = actors, keep
        self._sources, self._lengths = partitions.sources, partitions.lengths
        self._run_rows = max(int(RUN_BYTES / max(partitions.row_bytes, 1.0)), 1)
        self._only_here = partitions.only_here
        self.futures = None
        if partitions.tasks is not None:
            self.futures = PartitionFutures(client, partitions.tasks, partitions.at_once)

    def sources(self, k: int, partitions) -> dict:
        """How actor k can read those partitions that it does not know and that are not brought."""
        if self.futures is not None:
            return {}
        unknown = {i: self._sources[i] for i in self._unknown(k, partitions)}
        recipes = SentRecipes(unknown.values())
        return {i: recipes.reader(j, unknown[i]) for j, i in enumerate(unknown)}

    def begin(self, partitions) -> None:
        """Begin an epoch that wants partitions."""
        if self.futures is not None and not self._keep:
            self.futures.begin_epoch(self._actors.handles)
        self.expect(partitions)

    def expect(self, partitions) -> None:
        """Prepare for partitions that will be wanted."""
        if self.futures is not None:
            known = (handle.known for handle in self._actors.handles)
            self.futures.expect(list(set(partitions).difference(*known)))

    def bring(self, wanted: dict, following=None) -> dict[int, Exception]:
        """Bring to each actor those rows of the partitions wanted that it cannot read for itself.

        ``following`` is a partition for each actor that it will want next, or None. Returns the
        errors of actors that are lost; then not all has been brought.
        """
        if self.futures is None and not self._only_here:
            return {}
        unknown = {k: self._unknown(k, partitions) for k, partitions in wanted.items()}
        runs = [group(new, self._lengths.__getitem__, self._run_rows) for new in unknown.values()]
        for run in zip_longest(*runs, fillvalue=[]):
            lost = self._bring_run(dict(zip(unknown, run, strict=True)))
            if lost:
                return lost
        ahead = {k: self._unknown(k, [i]) for k, i in (following or {}).items() if i is not None}
        if self.futures is None:
            return self._send(ahead)
        for k, partitions in ahead.items():
            self.futures.send(self._actors.handles[k], partitions)
        return {}

    def _unknown(self, k, partitions) -> list[int]:
        known = self._actors.handles[k].known
        return [i for i in partitions if i not in known]

    def _bring_run(self, partitions) -> dict[int, Exception]:
        """Bring partitions to actors, by actor; the errors of those that are lost."""
        futures = self.futures
        if futures is None:
            return self._send(partitions)
        runs = [(self._actors.handles[k], run) for k, run in partitions.items()]
        for handle, run in runs:
            futures.send(handle, run)
        for handle, run in runs:
            futures.wait(handle, run)
            if self._keep:
                handle.known.update(run)
        return {}

    def _send(self, partitions) -> dict[int, Exception]:
        """Send rows of this process to actors; the errors of those that are lost."""
        requests = {
            k: ({i: SentRows(self._sources[i]()) for i in run},)
            for k, run in partitions.items()
            if run
        }
        return self._actors.ask("learn", requests)[1]


class PartitionFutures:
    """Futures of partitions, by number; Dask begins with a partition when it is first asked for.

    Parameters
    ----------
    client : distributed.Client
    tasks : list of Delayed
        What makes the `RowBlock` of each partition.
    at_once : bool
        Whether partitions share upstream work, so that those expected are begun together.
    """

    def __init__(self, client, tasks: list, at_once: bool):
        self._client, self._tasks, self._at_once = client, tasks, at_once
        self._futures: dict = {}
        self._epoch = 0
        self._warned = False

    def expect(self, partitions) -> None:
        """Begin with partitions that will be asked for, if that is to be done together."""
        if self._at_once:
            self._begin(partitions)

    def send(self, handle: ActorHandle, partitions) -> None:
        """Have tasks bring partitions to an actor, unless they are on their way."""
        new = [i for i in partitions if i not in handle.transfers]
        self._begin(new)
        for i in new:
            # The task must run where the actor is; whether that worker lives is looked at while
            # the task is waited for.
            handle.transfers[i] = self._client.submit(
                receive_partition,
                handle.name,
                i,
                self._futures[i],
                self._epoch,
                key=f"daskdsml-transfer-{uuid4().hex}",
                workers=[handle.worker],
            )

    def wait(self, handle: ActorHandle, partitions) -> None:
        """Wait until partitions are there, or the actor's worker is lost; hold them no longer.

        A worker that is paused for too long is a RuntimeError.
        """
        for i in partitions:
            task = handle.transfers.pop(i, None)
            if task is not None:
                self._wait(task, handle.worker)
        self._release(partitions)

    def begin_epoch(self, handles) -> None:
        """Forget what is on its way to actors, or waits there."""
        for handle in handles:
            handle.transfers.clear()
        self._epoch += 1

    def run(self, kernel: bytes, state, lengths, n_rows: int, name: str) -> PartialSums:
        """`accumulate` over all partitions, by tasks that go where Dask has what these are made of.

        The kernel is pickled, and tasks are called ``name``.
        """
        accumulated = dask.delayed(_accumulated, pure=False)
        for _ in range(RESENDS):
            request = sent(self._client, (kernel, state, lengths, n_rows), "request")
            key = f"{name}-{uuid4().hex}"
            sums = [
                accumulated(request, i, task, dask_key_name=f"{key}-{i}")
                for i, task in enumerate(self._tasks)
            ]
            try:
                return gather_sums(self._client, self._client.compute(sums), len(sums))
            except CancelledError:  # all workers that had the request are lost
                continue
        raise RuntimeError(
            f"The workers of the cluster were lost {RESENDS} times during {name}. Look at their "
            "logs for what ends them."
        )

    def _begin(self, partitions) -> None:
        new = [i for i in partitions if not _is_sound(self._futures.get(i))]
        self._release(new)
        if new:
            made = self._client.compute([self._tasks[i] for i in new])
            self._futures.update(zip(new, made, strict=True))

    def _release(self, partitions) -> None:
        """Have Dask hold partitions no longer; asked for again, they are made again."""
        for i in partitions:
            self._futures.pop(i, None)

    def _wait(self, task, worker) -> None:
        running, watch = time.monotonic(), Watch(self._client)
        while not _ended(task):
            watch.look()
            status = worker_info(self._client).get(worker, {}).get("status")
            if status is None:  # the worker is lost
                task.cancel()
                return
            if status != "paused":
                running = time.monotonic()
            self._warn(worker, time.monotonic() - running)

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


def _is_sound(future) -> bool:
    return future is not None and future.status in ("pending", "finished")


def _accumulated(request, i: int, rows) -> PartialSums:
    """What a kernel sums up over the i-th partition."""
    kernel, state, lengths, n_rows = request
    return accumulate(pickle.loads(kernel), state, [(i, rows)], lengths, n_rows)
