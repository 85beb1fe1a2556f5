"""Rows: a table laid out in shards on an engine, ready for passes. The estimators' way in."""

from __future__ import annotations

import numpy as np

from daskdsml.data.blocks import nbytes
from daskdsml.data.columns import columns_first
from daskdsml.data.dataset import Dataset
from daskdsml.engine import chunk_tasks as ct
from daskdsml.engine import memory
from daskdsml.engine.full import shards as shd
from daskdsml.engine.scheduling import current_client, split

# In-memory tables are cut into blocks of about this many bytes, not of fewer rows than this, nor
# than there are columns where p x p sums are made: adding one takes as long as the products of a
# few hundred rows.
LOCAL_BLOCK, LOCAL_ROWS = 2**23, 128
EVEN_BLOCKS = 8


def open_rows(table: Dataset, cache: str = "auto", n_jobs: int | None = None, square: bool = True):
    """Lay out a table for passes.

    Uses the current Dask client if there is one, else this process with the scheduler that
    ``dask.config`` names. Data in this process's memory stays here if it is smaller than 128 MiB
    or does not fit into the workers' memory.

    Parameters
    ----------
    table : Dataset
    cache : {"auto", "memory", "none"}
        Keep blocks in memory after the first read, stream each pass, or decide by the free memory.
    n_jobs : int or None
        Threads in this process; None means what ``dask.config`` says. A cluster decides for itself.
    square : bool
        Whether sums of p x p numbers are to be made, for which larger blocks are better.

    Returns
    -------
    Rows with ``run(kernel, state, name)``, ``map(transform)``, ``n_rows_read``.
    """
    memory.check_cache(cache)
    client = current_client()
    if table.is_local:
        chunks = _slices(table, square)
        sizes = [nbytes(table.X) / len(chunks)] * len(chunks)
        tasks, at_home = ct.ChunkTasks(chunks), True
    else:
        tasks, sizes = ct.cut(table.row_parts), ct.chunk_bytes(table)
        at_home = client is not None and ct.at_home(tasks, sizes)
    shards = shd.plan(sizes)
    if client is not None:
        from daskdsml.engine.full.cluster import ClusterRows

        n_bytes = table.n_bytes
        small = n_bytes is None or n_bytes < memory.HOME_BYTES or cache == "none"
        stays = at_home and (small or not memory.fits_workers(client, n_bytes or 0.0))
        if not stays:
            return ClusterRows.open(client, table, tasks, shards, cache, scattered=at_home)
    from daskdsml.engine.full.local import LocalRows

    return LocalRows.open(table, tasks, shards, cache, n_jobs)


class ByColumns:
    """A table laid out in blocks of columns, with y, weights and groups in this process.

    Passes see the transposed X: a block's rows are features, numbered by its ``y``.
    """

    def __init__(self, table: Dataset, cache: str, n_jobs: int | None, square: bool):
        X, self.y, self.w, self.g = columns_first(table)
        self.n_rows = table.n_rows
        self._features = X.X.shape[0]
        self._rows = open_rows(X, cache, n_jobs, square)
        self.run = self._rows.run
        self.close = self._rows.close

    @property
    def n_rows_read(self) -> float:
        """Rows of X read so far: complete reads of all columns, times rows."""
        return self._rows.n_rows_read * self.n_rows / self._features


def suits_columns(table: Dataset) -> bool:
    """Whether X is laid out by columns: more column chunks than row chunks, or in Fortran order."""
    if table.n_rows is None:
        return False
    if table.is_local:
        return isinstance(table.X, np.ndarray) and not table.X.flags.c_contiguous
    return table.X.numblocks[1] > table.X.numblocks[0]


def _slices(table: Dataset, square: bool) -> list[ct.Slice]:
    n = table.X.shape[0]
    n_blocks = -(-nbytes(table.X) // LOCAL_BLOCK)
    least = max(LOCAL_ROWS, table.n_features * square)
    most = max(-(-n // least), 1)
    # As many for each of several threads: with five blocks, one of two threads has three.
    if n_blocks > 1:
        n_blocks = -(-n_blocks // EVEN_BLOCKS) * EVEN_BLOCKS
    if n_blocks > most:
        n_blocks = most // EVEN_BLOCKS * EVEN_BLOCKS or 2 ** (most.bit_length() - 1)
    cuts = split(n, int(n_blocks))
    return [ct.Slice(table.row_parts, part.start, part.stop) for part in cuts]
