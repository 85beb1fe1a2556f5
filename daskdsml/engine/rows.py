"""Rows: a table laid out in shards on an engine, ready for passes. The estimators' way in."""

from __future__ import annotations

import sys

import dask
import numpy as np

from daskdsml.data.door import Table
from daskdsml.data.turned import columns_first
from daskdsml.engine import recipes as rcp
from daskdsml.engine import shards as shd

CACHES = ("auto", "memory", "none")
# Data in this process's memory goes to a cluster only from this size on: reading 128 MiB takes this
# process about as long as one pass on a cluster costs in messages alone.
HOME_BYTES = 2**27
# In-memory tables are cut into blocks of about this many bytes, not of fewer rows than this, nor
# than there are columns where p x p sums are made: adding one takes as long as the products of a
# few hundred rows.
LOCAL_BLOCK, LOCAL_ROWS = 2**23, 128
EVEN_BLOCKS = 8


def open_rows(table: Table, cache: str = "auto", n_jobs: int | None = None, square: bool = True):
    """Lay out a table for passes.

    Uses the current Dask client if there is one, else this process with the scheduler that
    ``dask.config`` names. Data in this process's memory stays here if it is smaller than 128 MiB
    or does not fit into the workers' memory.

    Parameters
    ----------
    table : Table
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
    if cache not in CACHES:
        raise ValueError(f"Unknown cache {cache!r}: expected one of {list(CACHES)}.")
    client = current_client()
    if table.is_local:
        chunks = _slices(table, square)
        sizes = [table.n_bytes / len(chunks)] * len(chunks)
        recipes, at_home = rcp.Recipes(chunks), True
    else:
        recipes, sizes = rcp.cut(table), rcp.chunk_bytes(table)
        at_home = client is not None and rcp.at_home(recipes, sizes)
    shards = shd.plan(sizes)
    if client is not None:
        from daskdsml.engine.cluster import ClusterRows
        from daskdsml.engine.workers import fits

        n_bytes = table.n_bytes
        small = n_bytes is None or n_bytes < HOME_BYTES
        stays = at_home and (small or cache == "none" or not fits(client, n_bytes))
        if not stays:
            return ClusterRows.open(client, table, recipes, shards, cache, scattered=at_home)
    from daskdsml.engine.local import LocalRows

    return LocalRows.open(table, recipes, shards, cache, n_jobs)


class ByColumns:
    """A table laid out in blocks of columns, with y, weights and groups in this process.

    Passes see the transposed X: a block's rows are features, numbered by its ``y``.
    """

    def __init__(self, table: Table, cache: str, n_jobs: int | None, square: bool):
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


def suits_columns(table: Table) -> bool:
    """Whether X is laid out by columns: more column chunks than row chunks, or in Fortran order."""
    if table.n_rows is None:
        return False
    if table.is_local:
        return isinstance(table.X, np.ndarray) and not table.X.flags.c_contiguous
    return table.X.numblocks[1] > table.X.numblocks[0]


def current_client():
    """The Dask client that work goes to, or None for this process.

    None also inside a task of a worker: a pass that waited there for other tasks could wait for
    ever. ``dask.config.set(scheduler=...)`` with a local scheduler wins over a client, as in Dask.
    """
    distributed = sys.modules.get("distributed")
    if distributed is None or inside_task():
        return None
    scheduler = dask.config.get("scheduler", None)
    if scheduler not in (None, "dask.distributed", "distributed"):
        return None
    try:
        client = distributed.default_client()
    except ValueError:
        return None
    return client if client.status == "running" else None


def inside_task() -> bool:
    """Whether this thread runs a task of a Dask worker."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True


def _slices(table: Table, square: bool) -> list[rcp.Slice]:
    n = table.n_rows
    n_blocks = -(-table.n_bytes // LOCAL_BLOCK)
    least = max(LOCAL_ROWS, table.n_features * square)
    most = max(-(-n // least), 1)
    # As many for each of several threads: with five blocks, one of two threads has three.
    if n_blocks > 1:
        n_blocks = -(-n_blocks // EVEN_BLOCKS) * EVEN_BLOCKS
    if n_blocks > most:
        n_blocks = most // EVEN_BLOCKS * EVEN_BLOCKS or 2 ** (most.bit_length() - 1)
    cuts = shd.split(n, int(n_blocks))
    return [rcp.Slice(table, part.start, part.stop) for part in cuts]
