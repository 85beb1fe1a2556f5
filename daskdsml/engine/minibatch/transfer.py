"""Transfer: how partitions come to the actors, be they read there or brought."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from daskdsml.engine.minibatch.actor import PassRequest, SentRows
from daskdsml.engine.minibatch.actor_pool import ActorPool
from daskdsml.engine.minibatch.partition_futures import PartitionFutures
from daskdsml.engine.minibatch.transfer_tasks import TransferTasks

# Rows come to an actor in runs of this many bytes: all at once, they would be in memory twice, in
# the message and where they are read to.
RUN_BYTES = 2**24


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
        self._known: list[set] = [set() for _ in range(len(actors))]
        self._at_home = partitions.at_home
        self.futures: Any = None
        if partitions.tasks is not None:
            self.futures = PartitionFutures(client, partitions.tasks, partitions.at_once)
            self._tasks = TransferTasks(client, self.futures)

    def sources(self, k: int, partitions) -> dict:
        """How actor k can read those partitions that it does not know and that are not brought."""
        if self.futures is not None:
            return {}
        return {i: self._sources[i].packed() for i in partitions if i not in self._known[k]}

    def learned(self, k: int, partitions) -> None:
        """Actor k has been told how to read partitions."""
        self._known[k].update(partitions)

    def forget(self, k: int) -> None:
        """Actor k was started again on a worker that knows nothing."""
        self._known[k] = set()

    def begin(self, partitions) -> None:
        """Begin an epoch that wants partitions."""
        if self.futures is not None and not self._keep:
            self._tasks.clear()
        self.expect(partitions)

    def expect(self, partitions) -> None:
        """Tell which partitions will be wanted."""
        if self.futures is not None:
            self.futures.expect(list(set(partitions).difference(*self._known)))

    def bring(self, kernel: bytes, wanted: dict, following=None) -> dict[int, Exception]:
        """Bring to each actor those rows of the partitions wanted that it cannot read for itself.

        ``following`` is a partition for each actor that it will want next, or None.

        Returns
        -------
        lost : dict
            What tells that an actor is lost; then not all has been brought.
        """
        if self.futures is None and not self._at_home:
            return {}
        new = {k: self._unknown(k, partitions) for k, partitions in wanted.items()}
        for runs in zip_longest(*map(self._runs, new.values()), fillvalue=[]):
            lost = self._carry(kernel, dict(zip(new, runs, strict=True)))
            if lost:
                return lost
        ahead = {
            k: [] if i is None else self._unknown(k, [i]) for k, i in (following or {}).items()
        }
        if self.futures is None:
            return self._send(kernel, ahead)
        for k, partitions in ahead.items():
            self._tasks.begin(self._actors[k], partitions)
        return {}

    def _unknown(self, k, partitions) -> list[int]:
        return [i for i in partitions if i not in self._known[k]]

    def _runs(self, partitions) -> Iterator[list[int]]:
        run, n_rows = [], 0
        for i in partitions:
            run.append(i)
            n_rows += self._lengths[i]
            if n_rows >= self._run_rows:
                yield run
                run, n_rows = [], 0
        yield run

    def _carry(self, kernel, partitions):
        return (
            self._send(kernel, partitions)
            if self.futures is None
            else self._have_received(partitions)
        )

    def _send(self, kernel, partitions) -> dict[int, Exception]:
        """Send rows of this process."""
        requests = {
            k: PassRequest({i: SentRows(self._sources[i]()) for i in run}, [], 0, kernel, None)
            for k, run in partitions.items()
            if run
        }
        replies, lost = self._actors.ask("accumulate", requests)
        for k in replies:
            self.learned(k, requests[k].sources)
        return lost

    def _have_received(self, partitions) -> dict[int, Exception]:
        """Have Dask hand partitions to actors, and hold them no longer."""
        for k, run in partitions.items():
            self._tasks.begin(self._actors[k], run)
        for k, run in partitions.items():
            self._tasks.end(self._actors[k], run)
            self.futures.release(run)
            if self._keep:
                self.learned(k, run)
        return {}
