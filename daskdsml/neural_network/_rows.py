"""Rows opened for training and scores; those that are not finite are named."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np

from daskdsml.contracts import Block
from daskdsml.engine.clients import current_client, scheduler_needed
from daskdsml.engine.minibatch.batches import open_batches
from daskdsml.neural_network.backprop import NotFiniteError
from daskdsml.passes.row_stats import RowStats, raise_invalid, row_stats_of
from daskdsml.utils.validation import seed_of

# Rows of a step where batch_size is "auto", as scikit-learn has it.
AUTO_ROWS = 200


def batch_rows(model, n_rows) -> int:
    """Rows of a step, of so many in all."""
    return min(AUTO_ROWS if model.batch_size == "auto" else model.batch_size, n_rows)


@contextmanager
def open_examples(model, examples, *, shuffle=False, alone=True, rows=None, **spread):
    """Batches of ``rows`` examples, or of as many as make a step, to be used in a ``with``.

    ``spread`` are options of `open_batches`: into how many parts, or whether by columns.

    Raises
    ------
    ValueError
        Where a batch is not finite; it takes another pass to tell which row of all rows that is.
    """
    batches = open_batches(
        examples,
        batch_rows(model, examples.n_rows) if rows is None else rows,
        shuffle=shuffle,
        alone=alone,
        seed=seed_of(model),
        pool_bytes=model.pool_bytes,
        cache=model.cache,
        **spread,
    )
    try:
        with scheduler_needed(current_client(examples.batch_parts)):
            yield batches
    except NotFiniteError:
        stats = batches.run(row_stats, None, f"{model._label}-not-finite")
        names = vars(model).get("feature_names_in_") if len(examples.in_shape) == 1 else None
        with told_of_shape(examples.in_shape):
            raise_invalid(stats, names)
        raise  # finite, but too large for the network's dtype
    finally:
        batches.close()


def row_stats(state, batch) -> RowStats:
    """Kernel: how many rows a batch has, and the first that is not finite."""
    y = None if batch.y is None else np.asarray(batch.y, dtype=np.float64)
    stats = row_stats_of(Block(np.reshape(batch.X, (len(batch.X), -1)), y), suspect_X=True)
    return stats
    yield  # a kernel is a generator


@contextmanager
def told_of_shape(in_shape):
    """An error that names a column of rows with more axes than one says how these are counted."""
    try:
        yield
    except ValueError as error:
        if len(in_shape) == 1:
            raise
        where = f"Columns are those of rows of shape {tuple(in_shape)}, flattened."
        raise ValueError(f"{error} {where}") from None
