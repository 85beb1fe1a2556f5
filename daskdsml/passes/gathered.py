"""Rows kept as they are, one below the other: for what is small, or no sum over rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from daskdsml.passes.row_stats import RowStats, row_stats_of


class Gathered(NamedTuple):
    """Arrays with a row for each row of the data; a part may be None."""

    parts: tuple

    def __add__(self, other: Gathered) -> Gathered:
        pairs = zip(self.parts, other.parts, strict=True)
        return Gathered(tuple(None if a is None else np.concatenate([a, b]) for a, b in pairs))


def group_labels(state, block) -> Gathered:
    """Kernel: the groups of a block's rows. There is no state."""
    return Gathered((block.g,))


class TableRows(NamedTuple):
    """X (n, p) as a dense array, y and w of all rows."""

    stats: RowStats
    rows: Gathered

    def __add__(self, other: TableRows) -> TableRows:
        return TableRows(self.stats + other.stats, self.rows + other.rows)


def table_rows(state, block) -> TableRows:
    """Kernel: the rows of a block. There is no state."""
    X = block.X.toarray() if sparse.issparse(block.X) else block.X
    stats = row_stats_of(block, suspect_X=not np.isfinite(X).all())
    return TableRows(stats, Gathered((X, block.y, block.w)))
