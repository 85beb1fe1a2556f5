"""Transfer: how partitions come to the actors, be they read there or brought."""

from __future__ import annotations

from itertools import zip_longest

from daskdsml.data.blocks import group
from daskdsml.engine.minibatch.actor import PassRequest
from daskdsml.engine.minibatch.actor_pool import ActorPool
from daskdsml.engine.minibatch.partition_futures import PartitionFutures
from daskdsml.engine.minibatch.row_store import SentRows

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
        self._at_home = partitions.at_home
        self.futures = None
        if partitions.tasks is not None:
            self.futures = PartitionFutures(client, partitions.tasks, partitions.at_once)

    def sources(self, k: int, partitions) -> dict:
        """How actor k can read those partitions that it does not know and that are not brought."""
        if self.futures is not None:
            return {}
        return {i: self._sources[i].packed() for i in self._unknown(k, partitions)}

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

    def bring(self, kernel: bytes, wanted: dict, following=None) -> dict[int, Exception]:
        """Bring to each actor those rows of the partitions wanted that it cannot read for itself.

        ``following`` is a partition for each actor that it will want next, or None.

        Returns
        -------
        lost : dict
            The errors of actors that are lost; then not all has been brought.
        """
        if self.futures is None and not self._at_home:
            return {}
        unknown = {k: self._unknown(k, partitions) for k, partitions in wanted.items()}
        runs = [group(new, self._lengths.__getitem__, self._run_rows) for new in unknown.values()]
        for run in zip_longest(*runs, fillvalue=[]):
            lost = self._carry(kernel, dict(zip(unknown, run, strict=True)))
            if lost:
                return lost
        ahead = {k: self._unknown(k, [i]) for k, i in (following or {}).items() if i is not None}
        if self.futures is None:
            return self._send(kernel, ahead)
        for k, partitions in ahead.items():
            self.futures.send(self._actors.handles[k], partitions)
        return {}

    def _unknown(self, k, partitions) -> list[int]:
        known = self._actors.handles[k].known
        return [i for i in partitions if i not in known]

    def _carry(self, kernel, partitions) -> dict[int, Exception]:
        """Have partitions at the actors, by actor; those that are lost."""
        if self.futures is None:
            return self._send(kernel, partitions)
        handles = {k: self._actors.handles[k] for k in partitions}
        for k, run in partitions.items():
            self.futures.send(handles[k], run)
        for k, run in partitions.items():
            self.futures.wait(handles[k], run)
            if self._keep:
                handles[k].known.update(run)
        return {}

    def _send(self, kernel, partitions) -> dict[int, Exception]:
        """Send rows of this process, as a pass over no partition; the actors that are lost."""
        requests = {
            k: PassRequest({i: SentRows(self._sources[i]()) for i in run}, [], 0, kernel, None)
            for k, run in partitions.items()
            if run
        }
        return self._actors.ask("accumulate", requests)[1]
