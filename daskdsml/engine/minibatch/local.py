"""Mini-batches in this process: from arrays in memory, or from a buffer that reads ahead."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import dask
import numpy as np

from daskdsml.engine import tree
from daskdsml.engine.minibatch.accumulate import accumulate, finished, pass_rows
from daskdsml.engine.minibatch.row_buffer import RowBlock
from daskdsml.engine.minibatch.row_store import RowStore
from daskdsml.engine.minibatch.shuffle_buffer import EpochPlan, Layout, Load
from daskdsml.engine.scheduling import split
from daskdsml.network_contracts import Batch


class LocalStep(NamedTuple):
    """A mini-batch in this process."""

    batch: Batch

    @property
    def n_rows(self) -> int:
        """Rows of the batch."""
        return self.batch.size

    def run(self, kernel, state):
        """What the kernel returns for the batch; it may be run as often as wanted."""
        with np.errstate(all="ignore"):
            return finished(kernel(state, self.batch))


class LocalBatches:
    """Mini-batches of examples in this process.

    Attributes
    ----------
    n_rows, steps_per_epoch : int
    in_shape : tuple of int
        Shape of one row.
    """

    def __init__(self, examples, layout: Layout, partitions, keep: bool, shuffle, seed, n_jobs):
        self.n_rows, self.steps_per_epoch = layout.n_rows, layout.n_steps
        self.in_shape = examples.in_shape
        self._layout, self._lengths = layout, layout.lengths.tolist()
        self._shuffle, self._seed, self._n_jobs = shuffle, seed, n_jobs or 1
        self._pass_rows = pass_rows(examples, layout.batch_size)
        self._memory = RowBlock(*examples.batch_parts) if examples.is_local else None
        self._store = RowStore(keep, keep and layout.whole, layout.capacity)
        self._store.learn(dict(enumerate(partitions.sources)))
        self._tasks = partitions.tasks if keep else None
        # What cannot leave this process must not go to the client's cluster.
        self._scheduler = "threads" if partitions.at_home else None
        self._n_rows_met = 0

    def epoch(self, epoch: int) -> Iterator[LocalStep]:
        """The mini-batches of an epoch, each row in one of them; the last one may be smaller."""
        for step, slots in enumerate(
            self._draws(EpochPlan(self._layout, self._seed, epoch, self._shuffle))
        ):
            rows = (self._memory or self._store).take(slots)
            key = (self._seed, epoch, step)
            yield LocalStep(Batch(*rows, size=len(slots), key=key))

    def run(self, kernel, state, name: str):
        """Sum of ``kernel(state, batch)`` over all rows in order; ``name`` says what it is for.

        With ``n_jobs`` several batches are evaluated at once, on threads.
        """
        self._compute()
        self._n_rows_met += self.n_rows
        runs = split(len(self._lengths), self._n_jobs)
        if len(runs) == 1:
            parts = [self._accumulated(kernel, state, runs[0])]
        else:
            with ThreadPoolExecutor(len(runs), thread_name_prefix=f"daskdsml-{name}") as threads:
                parts = list(threads.map(lambda run: self._accumulated(kernel, state, run), runs))
        n_partitions = len(self._lengths)
        return tree.root(tree.merge((part.nodes for part in parts), n_partitions), n_partitions)

    @property
    def n_rows_read(self) -> int:
        """Rows read so far: those of arrays in memory each time they are used."""
        return self._n_rows_met if self._memory is not None else self._store.n_rows_read

    @property
    def n_bytes_held(self) -> int:
        """Bytes of the rows held beside those the user holds."""
        return self._store.n_bytes

    def close(self) -> None:
        """Let go of all rows."""
        self._memory = None
        self._store.close()

    def _accumulated(self, kernel, state, run):
        return accumulate(
            kernel, state, self._store.partitions(run), self._lengths, self._pass_rows
        )

    def _draws(self, plan: EpochPlan):
        """The slots of each batch, with the rows of the batch in them."""
        if self._memory is None:
            self._compute()
        for event in plan:
            if not isinstance(event, Load):
                self._n_rows_met += len(event.slots)
                yield event.slots
            elif self._memory is None and not self._store.holds(event.partition):
                self._store.load(event.partition, None, event.slots)
                following = event.position + 1
                if following < len(plan.order):
                    self._store.expect(int(plan.order[following]))

    def _compute(self) -> None:
        """Make partitions that share upstream work all at once, the first time they are needed."""
        if self._tasks is not None:
            found = dask.compute(*self._tasks, scheduler=self._scheduler)
            self._store.keep(dict(enumerate(found)))
            self._tasks = None
