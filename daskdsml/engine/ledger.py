"""The ledger: which row is in which slot of the pool, and which place has the slot."""

from __future__ import annotations

import numpy as np


class Ledger:
    """Slots of the pool, dealt out to places that number their own.

    Parameters
    ----------
    capacity : int
        Slots of the pool.
    n_places : int
    """

    def __init__(self, capacity: int, n_places: int):
        self._place = np.full(capacity, -1, dtype=np.int32)
        self._local, self._piece, self._row = (np.zeros(capacity, np.int64) for _ in range(3))
        self._free = [np.empty(0, dtype=np.int64) for _ in range(n_places)]
        self._size = [0] * n_places

    def load(self, place: int, piece: int, slots) -> np.ndarray:
        """Put a piece into ``slots`` of the pool: the place's own numbers of these."""
        missing = len(slots) - len(self._free[place])
        if missing > 0:
            size = self._size[place]
            self._free[place] = np.concatenate([self._free[place], np.arange(size, size + missing)])
            self._size[place] += missing
        own, self._free[place] = np.split(self._free[place], [len(slots)])
        self._place[slots], self._local[slots] = place, own
        self._piece[slots], self._row[slots] = piece, np.arange(len(slots))
        return own

    def shares(self, slots) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """For each place, in order, its own slots of a batch and their positions in the batch."""
        places = self._place[slots]
        shares = {}
        for place in np.unique(places).tolist():
            positions = np.flatnonzero(places == place)
            shares[place] = self._local[slots[positions]], positions
        return shares

    def free(self, slots) -> None:
        """Let other rows come into slots."""
        for place, (own, _) in self.shares(slots).items():
            self._free[place] = np.concatenate([self._free[place], own])
        self._place[slots] = -1

    def held(self, place: int) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """What a place holds: (piece, rows of it, the place's own slots) for each piece."""
        slots = np.flatnonzero(self._place == place)
        slots = slots[np.argsort(self._piece[slots], kind="stable")]
        pieces, starts = np.unique(self._piece[slots], return_index=True)
        runs = np.split(slots, starts[1:])
        return [
            (piece, self._row[run], self._local[run])
            for piece, run in zip(pieces.tolist(), runs, strict=False)
        ]
