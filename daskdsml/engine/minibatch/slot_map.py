"""Slot map: which row is in which slot of the shuffle buffer, and which actor has the slot."""

from __future__ import annotations

import numpy as np


class SlotMap:
    """Slots of the shuffle buffer, dealt out to actors that number their own.

    Parameters
    ----------
    capacity : int
        Slots of the buffer.
    n_actors : int
    """

    def __init__(self, capacity: int, n_actors: int):
        self._actor = np.full(capacity, -1, dtype=np.int32)
        self._local, self._partition, self._row = (np.zeros(capacity, np.int64) for _ in range(3))
        self._free = [np.empty(0, dtype=np.int64) for _ in range(n_actors)]
        self._size = [0] * n_actors

    def load(self, actor: int, partition: int, slots) -> np.ndarray:
        """Put a partition into ``slots`` of the buffer: the actor's own numbers of these."""
        missing = len(slots) - len(self._free[actor])
        if missing > 0:
            size = self._size[actor]
            self._free[actor] = np.concatenate([self._free[actor], np.arange(size, size + missing)])
            self._size[actor] += missing
        own, self._free[actor] = np.split(self._free[actor], [len(slots)])
        self._actor[slots], self._local[slots] = actor, own
        self._partition[slots], self._row[slots] = partition, np.arange(len(slots))
        return own

    def parts(self, slots) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """For each actor, in order, its own slots of a batch and their positions in the batch."""
        actors = self._actor[slots]
        parts = {}
        for actor in np.unique(actors).tolist():
            positions = np.flatnonzero(actors == actor)
            parts[actor] = self._local[slots[positions]], positions
        return parts

    def free(self, slots) -> None:
        """Let other rows come into slots."""
        for actor, (own, _) in self.parts(slots).items():
            self._free[actor] = np.concatenate([self._free[actor], own])
        self._actor[slots] = -1

    def held(self, actor: int) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """What an actor holds, by partition: (partition, rows of it, the actor's own slots)."""
        slots = np.flatnonzero(self._actor == actor)
        slots = slots[np.argsort(self._partition[slots], kind="stable")]
        partitions, starts = np.unique(self._partition[slots], return_index=True)
        runs = np.split(slots, starts[1:])
        return [
            (partition, self._row[run], self._local[run])
            for partition, run in zip(partitions.tolist(), runs, strict=False)
        ]
