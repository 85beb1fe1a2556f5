"""Rows whose passes are kept in a journal, for a fit that is called again to go on from."""

from __future__ import annotations

import time
from copy import copy

from daskdsml.engine import tree
from daskdsml.engine.full.shards import Folded
from daskdsml.utils.journal import Begun

# A pass that is cut short takes one shard at least, however often a checkpoint is written.
LEAST_SECONDS = 1e-3


class KeptRows:
    """`Rows` that make no pass twice, in this process and those that go on with its journal.

    Where passes take longer than the time between two checkpoints, what shards have summed up to
    then is written too; but not where Dask makes all chunks at once.

    Parameters
    ----------
    rows : LocalRows or ClusterRows
    journal : Journal
    """

    def __init__(self, rows, journal):
        self._rows, self._journal = rows, journal
        self.n_shards = rows.n_shards
        earlier = journal.table(rows.read.so_far)
        if earlier is not None:
            rows.read.go_on(earlier)

    @property
    def n_rows_read(self) -> float:
        """Rows of X read so far."""
        return self._rows.n_rows_read

    def run(self, kernel, state, name):
        """Sum of ``kernel(state, block)`` over all blocks."""
        n = self.n_shards

        def more(sums, seconds):
            which = tree.missing(sums.nodes, n)
            sums = tree.add_sums([sums, self._rows.sums(kernel, state, name, which, seconds)], n)
            return sums, not tree.missing(sums.nodes, n)

        return tree.root(self._kept(name, tree.PartialSums({}, 0, 0, {}), more).nodes, n)

    def fold(self, kernel, state, order, name):
        """The state after one block after another, shards in ``order``."""

        def more(folded, seconds):
            folded = folded._replace(seconds=seconds)
            folded = self._rows.folded(kernel, folded, order[folded.n_shards :], name)
            return folded, folded.n_shards == len(order)

        return self._kept(name, Folded(state), more).state

    def _kept(self, name, sums, more):
        """What ``more(sums, seconds)`` makes of sums, until it tells that these are whole."""
        journal, start = self._journal, time.monotonic()
        known = journal.passed(name)
        if known is not None:
            return known.value
        sums, earlier = journal.begun() or Begun(sums, 0.0)
        journal.replayed += earlier
        whole = False
        while not whole:
            sums, whole = more(sums, max(journal.seconds_left(), LEAST_SECONDS))
            if not whole:
                journal.keep_begun(sums, earlier + time.monotonic() - start)
        journal.keep_pass(name, sums, earlier + time.monotonic() - start)
        return sums

    def parts(self, kernel, common, states, name, keep=False, kept=None) -> list:
        """What ``kernel(common, state, kept, rows)`` returns for each part of the rows."""
        known, start = self._journal.passed(name), time.monotonic()
        if known is not None:
            return known.value
        values = self._rows.parts(kernel, common, states, name, keep, kept)
        self._journal.keep_pass(name, values, time.monotonic() - start)
        return values

    def map(self, transform) -> KeptRows:
        """The same rows with ``transform`` applied to every block."""
        return self._over(self._rows.map(transform))

    def __copy__(self) -> KeptRows:
        return self._over(copy(self._rows))

    def _over(self, rows) -> KeptRows:
        kept = object.__new__(KeptRows)
        vars(kept).update(vars(self), _rows=rows)
        return kept

    def close(self) -> None:
        """Release the blocks."""
        self._rows.close()
