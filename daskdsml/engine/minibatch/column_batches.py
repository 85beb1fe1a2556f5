"""Mini-batches of which each worker of a Dask cluster has some columns of all rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import cloudpickle
import numpy as np

from daskdsml.data.blocks import split
from daskdsml.engine.minibatch import partitions as pts
from daskdsml.engine.minibatch.actor_pool import ActorPool
from daskdsml.engine.minibatch.cluster import ClusterBatches
from daskdsml.engine.minibatch.parts import Part
from daskdsml.engine.minibatch.shuffle_buffer import EpochPlan, Layout
from daskdsml.engine.minibatch.transfer import Transfer


class ColumnRound(NamedTuple):
    """Mini-batches of which workers have ``columns``, slices of those of X, each."""

    columns: list[slice]
    batches: Any
    steps: tuple[int, int, int]

    def run(self, kernels: list, states: list) -> list:
        """What each worker's ``kernel(state, batches)`` returns, in the order of ``columns``."""
        return self.batches.advance(kernels, states, *self.steps)


class ColumnBatches:
    """`Batches` on the workers of a Dask client, which share the columns of X among them.

    All have the same rows in a batch, and each a kernel and a state of its own. Where a worker is
    lost another one reads its columns, and the epoch is made again. Passes over all rows, as
    ``run`` makes them, have the rows shared instead.

    Raises
    ------
    ValueError
        If X is in one chunk of columns, or only Dask can make it and workers do not keep it.
    """

    def __init__(self, client, examples, layout: Layout, partitions, keep: bool, shuffle, seed):
        self.n_rows, self.steps_per_epoch = layout.n_rows, layout.n_steps
        self.in_shape = examples.in_shape
        borders = _borders(examples, len(client.nthreads()))
        if partitions.tasks is not None and not keep:
            raise ValueError(
                "Workers that share columns need those to be kept or read by themselves, but these "
                "are persisted or shuffled, and do not fit or cache='none'. Write them to a store "
                "and read that, or use cache='memory' or strategy='all_reduce'."
            )
        self._by_rows = (client, examples, layout, partitions, keep, shuffle, seed)
        self._plan = (layout, (seed,), shuffle)
        part = Part(0, np.arange(len(layout.lengths)), layout)
        arguments = (layout, keep, layout.capacity, (part,), shuffle, seed)
        self._actors = ActorPool(client, arguments, most=len(borders) - 1)
        runs = split(len(borders) - 1, len(self._actors.handles))
        self.columns = [slice(borders[run.start], borders[run.stop]) for run in runs]
        self._transfers = []
        for where in self.columns:
            own = examples._replace(X=examples.X[:, where])
            own = pts.cut(own, True, row_bytes=partitions.row_bytes)
            self._transfers.append(Transfer(client, self._actors, own, keep))
        self._n_rows_of_passes = 0

    def rounds(self, epoch: int, first: int = 0) -> Iterator[ColumnRound]:
        """All mini-batches of an epoch from the ``first`` on at once.

        What workers have alone would have to come and go between rounds.
        """
        yield ColumnRound(self.columns, self, (epoch, first, self.steps_per_epoch - first))

    def advance(self, kernels: list, states: list, *steps: int) -> list:
        """See `ColumnRound.run`; ``steps`` are epoch, first step and how many."""
        self._actors.move_apart()
        layout, seed, shuffle = self._plan
        wanted = EpochPlan(layout, seed, steps[0], shuffle).order
        pickled = [cloudpickle.dumps(kernel) for kernel in kernels]

        def bring(_):
            lost: dict[int, Exception] = {}
            for k, transfer in enumerate(self._transfers):
                lost |= transfer.bring({k: wanted})
            return lost

        def request(k, actors, token):
            sources = self._transfers[k].sources(k, wanted)
            return sources, k, actors, token, steps, pickled[k], states[k]

        return self._actors.together("advance_columns", bring, request)

    def run(self, kernel, state, name: str):
        """Sum of ``kernel(state, batch)`` over all rows in order; ``name`` says what it is for."""
        with closing(ClusterBatches(*self._by_rows)) as batches:
            total = batches.run(kernel, state, name)
            self._n_rows_of_passes += batches.n_rows_read
        return total

    @property
    def n_rows_read(self) -> int:
        """Rows of X read so far, by the share of its columns."""
        shared = self._actors.n_rows_read / len(self.columns)
        return round(shared) + self._n_rows_of_passes

    def close(self) -> None:
        """Release the actors and all they hold."""
        self._actors.close()


def _borders(examples, n_workers: int) -> list[int]:
    """Where the columns of X may be cut: at its chunks, or anywhere in memory."""
    if examples.is_local:
        return [0, *(part.stop for part in split(examples.n_features, n_workers))]
    borders = [0, *np.cumsum(examples.X.chunks[1]).tolist()]
    if len(borders) < 3:
        raise ValueError(
            "strategy='columns' shares chunks of columns among workers, but X has one chunk of "
            f"{examples.n_features} columns. Use "
            f"X.rechunk({{1: {-(-examples.n_features // max(n_workers, 2))}}}), or "
            "strategy='all_reduce'."
        )
    return borders
