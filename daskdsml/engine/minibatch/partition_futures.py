"""Partition futures: partitions that Dask makes, and holds until they were transferred."""

from __future__ import annotations

import pickle
from concurrent.futures import CancelledError
from uuid import uuid4

import dask

from daskdsml.engine.minibatch.accumulate import accumulate
from daskdsml.engine.scheduling import RESENDS
from daskdsml.engine.tree import FAN_IN, PartialSums, add_parts


class PartitionFutures:
    """Futures of partitions, by number; Dask begins with a partition when it is first asked for.

    Parameters
    ----------
    client : distributed.Client
    tasks : list of Delayed
        What makes each partition.
    at_once : bool
        Whether partitions share upstream work, so that those expected are begun together.
    """

    def __init__(self, client, tasks: list, at_once: bool):
        self._client, self._tasks, self._at_once = client, tasks, at_once
        self._futures: dict = {}

    def __getitem__(self, i: int):
        self._begin([i])
        return self._futures[i]

    def expect(self, partitions) -> None:
        """Tell which partitions will be asked for."""
        if self._at_once:
            self._begin(partitions)

    def release(self, partitions) -> None:
        """Have Dask hold partitions no longer; asked for again, they are made again."""
        for i in partitions:
            self._futures.pop(i, None)

    def run(self, kernel: bytes, state, lengths, n_rows: int, name: str) -> PartialSums:
        """The sums over all partitions, each by a task that goes where Dask has what it is made of.

        Parameters
        ----------
        kernel : bytes
            Pickled.
        lengths : list of int
            Rows of all partitions.
        n_rows : int
            Rows of a batch.
        name : str
            Tasks are called so.
        """
        for _ in range(RESENDS):
            asked = self._client.scatter(
                (kernel, state, lengths, n_rows), hash=False, broadcast=True
            )
            try:
                return self._client.compute(self._sum(asked, f"{name}-{uuid4().hex}")).result()
            except CancelledError:  # all workers that had what was asked are lost
                continue
        raise RuntimeError(
            f"The workers of the cluster were lost {RESENDS} times during {name}. Look at their "
            "logs for what ends them."
        )

    def _begin(self, partitions) -> None:
        new = [i for i in partitions if not _is_sound(self._futures.get(i))]
        self.release(new)
        if new:
            made = self._client.compute([self._tasks[i] for i in new])
            self._futures.update(zip(new, made, strict=True))

    def _sum(self, asked, name):
        run, add = dask.delayed(_accumulated, pure=False), dask.delayed(add_parts, pure=False)
        n = len(self._tasks)
        parts = [
            run(asked, i, task, dask_key_name=f"{name}-{i}") for i, task in enumerate(self._tasks)
        ]
        while len(parts) > 1:
            groups = [parts[i : i + FAN_IN] for i in range(0, len(parts), FAN_IN)]
            parts = [add(group, n) for group in groups]
        return parts[0]


def _is_sound(future) -> bool:
    return future is not None and future.status in ("pending", "finished")


def _accumulated(asked, i: int, rows) -> PartialSums:
    """What a kernel sums up over the i-th partition."""
    kernel, state, lengths, n_rows = asked
    return accumulate(pickle.loads(kernel), state, [(i, rows)], lengths, n_rows)
