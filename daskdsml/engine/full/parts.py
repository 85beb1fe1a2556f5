"""Parts of the rows: work that may go over its own rows again and again within one task."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from dask.base import is_dask_collection

from daskdsml.data.blocks import split
from daskdsml.engine import tree
from daskdsml.engine.full.reads import Reads
from daskdsml.engine.full.shards import Folded, fold_shards, run_shards


class PartRows:
    """The rows of one part, in the task that has them: what kernels of `Rows.parts` are given.

    ``shards`` are pairs (index, shard) in ascending order of the index.
    """

    def __init__(self, shards: list[tuple[int, Any]]):
        self._shards, self.read = shards, Reads()

    def run(self, kernel, state, name=""):
        """Sum of ``kernel(state, block)`` over the blocks of the part."""
        # Numbered anew, for the sum is over these shards alone.
        own = [(i, shard) for i, (_, shard) in enumerate(self._shards)]
        total = run_shards(kernel, state, own, len(own))
        signatures = {self._shards[i][0]: codes for i, codes in total.signatures.items()}
        self.read.add(total._replace(signatures=signatures))
        return tree.root(total.nodes, len(own))

    def fold(self, kernel, state, order):
        """The state after one block after another, those shards of ``order`` that the part has."""
        own = dict(self._shards)
        folded = fold_shards(kernel, [(i, own[i]) for i in order if i in own], Folded(state))
        self.read.add(folded)
        return folded.state


class PartDone(NamedTuple):
    """What a kernel returned for a part, or for each of them, and what was read for it."""

    value: Any
    n_rows: float
    n_bytes: float
    signatures: dict

    @classmethod
    def of(cls, kernel: Callable, shards, common, state, kept: PartDone | None) -> PartDone:
        """``kernel(common, state, kept, rows)`` for the rows of a part."""
        rows = PartRows(shards)
        value = kernel(common, state, None if kept is None else kept.value, rows)
        return cls(value, *rows.read.so_far())


def together(done: list[PartDone]) -> PartDone:
    """Of all parts, in their order."""
    signatures = {index: codes for each in done for index, codes in each.signatures.items()}
    n_rows, n_bytes = (sum(counts) for counts in zip(*(each[1:3] for each in done), strict=True))
    return PartDone([each.value for each in done], n_rows, n_bytes, signatures)


class KeptParts:
    """What parts have kept where their rows are, and which kernel made it of what."""

    def __init__(self):
        self._values, self._made = [], None

    def work(self, call, kernel, common, states, keep, kept) -> list:
        """What ``call(kernel, common, states, kept)`` returns for each part: see `Rows.parts`.

        What parts are to have kept and have not, as they are new here, is made before: those reads
        do not count.
        """
        nothing = [None] * len(states)
        if kept is not None and not _same(self._made, kept):
            self._values, self._made = call(*kept, nothing, nothing), kept
        done = call(kernel, common, states, self._values or nothing)
        if keep:
            self._values, self._made = done, (kernel, common)
        return done

    def forget(self) -> None:
        """Let go of it."""
        self._values, self._made = [], None


def _same(made, kept) -> bool:
    """Whether a kernel and what it was given are what something was made of."""
    if made is None or type(made[0]) is not type(kept[0]):
        return False
    return bool(made[0] == kept[0]) and np.array_equal(made[1], kept[1])


def tasks_of_parts(shards, kernel, common, states, kept) -> list:
    """For each part the indices of its shards, what is to be done with them, and what it kept."""
    if is_dask_collection(shards[0]):
        raise ValueError(
            "A strategy with n_parts goes over its rows again and again, but their chunks share "
            "work (as after a shuffle or rechunk) and are not kept in memory. Use "
            "cache='memory', store X before (X.to_zarr), or take strategy='all_reduce'."
        )
    n, numbers = len(states), range(len(shards))
    return [
        (list(numbers[k::n]), partial(_work, kernel, common=common, state=state), own)
        for k, (state, own) in enumerate(zip(states, kept, strict=True))
    ]


def _work(kernel, shards, kept, common, state) -> PartDone:
    return PartDone.of(kernel, shards, common, state, kept)


def dealt(n_shards: int, n_parts: int | None, n_workers: int) -> list:
    """The shards of each worker: neighbours, or those of whole parts, if there are such."""
    if n_parts is None:
        return split(n_shards, n_workers)
    n_parts = min(n_parts, n_shards)
    n = min(n_parts, n_workers)
    return [[i for i in range(n_shards) if i % n_parts % n == w] for w in range(n)]
