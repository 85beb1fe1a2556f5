"""Sums of what a mini-batch kernel returns, over partitions one after the other.

A kernel is a generator function ``kernel(state, batch)``: it may yield arrays, and is sent their
sums over all actors that a batch is spread to. What it returns can be added to its own kind.
"""

from __future__ import annotations

import numpy as np

from daskdsml.engine import tree
from daskdsml.engine.minibatch.shuffle_buffer import batch_slices
from daskdsml.engine.tree import PartialSums
from daskdsml.network_contracts import Batch
from daskdsml.utils.threads import single_threaded_blas

# Batches of a pass have this many bytes or more: below, the cost of calling a kernel shows.
PASS_BYTES = 2**20


def pass_rows(examples, batch_size: int) -> int:
    """Rows of a batch of a pass: about 1 MiB of dense rows, but not fewer than ``batch_size``."""
    row = max(int(np.prod(examples.in_shape)) * examples.X.dtype.itemsize, 1)
    return max(PASS_BYTES // row, batch_size)


def accumulate(kernel, state, partitions, lengths, n_rows: int) -> PartialSums:
    """Add up ``kernel(state, batch)`` of partitions as far as the tree over all partitions allows.

    ``partitions`` are pairs (number, rows) in ascending order, ``lengths`` the rows of all
    partitions, ``n_rows`` those of a batch.
    """
    n_rows_used = 0

    def values():
        nonlocal n_rows_used
        for i, rows in partitions:
            for part in batch_slices(lengths[i], n_rows, alone=False):
                X, y, w, mask = rows.take(part)
                yield i, finished(kernel(state, Batch(X, y, w, mask, size=len(X))))
            n_rows_used += lengths[i]
            del rows

    with single_threaded_blas(), np.errstate(all="ignore"):
        nodes = tree.collect(values(), len(lengths))
    return PartialSums(nodes, n_rows_used, 0, {})


def finished(generator):
    """What a kernel returns where the whole batch is in one place: sums are those of its rows."""
    try:
        total = next(generator)
        while True:
            total = generator.send(total)
    except StopIteration as stop:
        return stop.value
