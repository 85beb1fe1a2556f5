"""Mini-batches of examples, on this machine or a Dask cluster. The estimators' way in."""

from __future__ import annotations

import numpy as np

from daskdsml.data.dataset import Dataset
from daskdsml.engine import memory
from daskdsml.engine.memory import fits_here, fits_workers
from daskdsml.engine.minibatch import partitions as pts
from daskdsml.engine.minibatch import shuffle_buffer
from daskdsml.engine.scheduling import current_client


def open_batches(
    examples: Dataset,
    batch_size: int,
    *,
    shuffle: bool = True,
    seed: int,
    pool_bytes: float = 2**28,
    cache: str = "auto",
    n_jobs: int | None = None,
):
    """Lay out examples for training on mini-batches.

    Uses the current Dask client if there is one, else this process. Data in this process's memory,
    and data that only this process can read because their source cannot be pickled, stay here if
    they are smaller than 128 MiB or do not fit into the workers' memory. Which rows
    make up a batch depends on the chunks of the data, ``batch_size``, ``pool_bytes``, ``seed`` and
    the number of the epoch; not on threads, workers or ``cache``.

    Parameters
    ----------
    examples : Dataset
    batch_size : int
        Rows of a batch; the last one of an epoch may be smaller.
    shuffle : bool
        Draw batches at random from a buffer of partitions, which come in random order; or take
        rows in the order in which they are.
    seed : int
    pool_bytes : float
        Bytes of the shuffle buffer and of what is read ahead for it, but three of the largest
        chunks at least. Data of fewer bytes, and arrays in memory, are shuffled as a whole. Of
        sparse data the first, middle and last chunk are read to learn how much a row takes.
    cache : {"auto", "memory", "none"}
        Keep what was read in memory, read it for each epoch, or decide by the free memory. Chunks
        that share upstream work, such as those of a shuffle, are made on a cluster all at once:
        uncached chunks are recomputed each epoch and released after use, and Dask writes to disk
        what does not fit into the workers' memory until then.
    n_jobs : int or None
        Threads that ``run`` uses in this process; None is one. Kernels must allow it.

    Returns
    -------
    Batches with ``n_rows``, ``in_shape``, ``steps_per_epoch``, ``n_rows_read``; ``epoch(e)``, an
    iterator of steps that each have ``n_rows`` and ``run(kernel, state)``; ``run(kernel, state,
    name)``, a sum over all rows in order; and ``close()``.

    Raises
    ------
    ValueError
        If ``batch_size`` or ``pool_bytes`` is not positive, or ``cache`` is none of the three.
    """
    _check(batch_size, pool_bytes, cache)
    client = current_client()
    partitions = pts.cut(examples, travel=client is not None)
    layout = shuffle_buffer.lay_out(
        partitions.lengths, partitions.row_bytes, int(batch_size), pool_bytes, examples.is_local
    )
    if client is not None:
        from daskdsml.engine.minibatch.cluster import ClusterBatches

        n_bytes = partitions.n_bytes
        small = (examples.stored_bytes or n_bytes) < memory.HOME_BYTES
        apart = small or cache == "none" or partitions.at_once or not fits_workers(client, n_bytes)
        if not (partitions.at_home and apart):
            keep = partitions.at_home or _keep(cache, layout, lambda: fits_workers(client, n_bytes))
            return ClusterBatches(client, examples, layout, partitions, keep, shuffle, seed)
    from daskdsml.engine.minibatch.local import LocalBatches

    keep = examples.is_local or _keep(cache, layout, lambda: fits_here(partitions.n_bytes))
    return LocalBatches(examples, layout, partitions, keep, shuffle, seed, n_jobs)


def _keep(cache, layout, fits) -> bool:
    """Whether to keep what was read; a buffer that holds all rows anyway is memory granted."""
    return cache != "none" and (cache == "memory" or layout.whole or fits())


def _check(batch_size, pool_bytes, cache) -> None:
    if not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"batch_size={batch_size!r} must be an integer of at least 1: rows.")
    if not pool_bytes > 0:
        raise ValueError(f"pool_bytes={pool_bytes!r} must be positive: bytes of the shuffle pool.")
    memory.check_cache(cache)
