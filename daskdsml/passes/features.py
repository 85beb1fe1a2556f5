"""Passes over blocks of columns: a block's rows are features, its ``y`` their numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.passes.row_stats import RowStats, row_stats_of


class Stack(NamedTuple):
    """Pieces of features in order; two are joined by putting one after the other.

    Each piece is (numbers (k,), values (k, m)).
    """

    stats: RowStats
    pieces: tuple[tuple[np.ndarray, np.ndarray], ...]

    def __add__(self, other: Stack) -> Stack:
        return Stack(self.stats + other.stats, self.pieces + other.pieces)

    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        """All numbers and values, in one piece each."""
        numbers, values = zip(*self.pieces, strict=True)
        return np.concatenate(numbers), np.concatenate(values)


def products(R, block) -> Stack:
    """Kernel: ``x_j'R`` (M,) for each feature; ``R (n, M)`` is in float64."""
    X = block.X
    if isinstance(X, np.ndarray):
        X = X.astype(np.float64, copy=False)
    block_products = np.asarray(X @ R, dtype=np.float64)
    stats = row_stats_of(block, suspect_X=not np.isfinite(block_products).all())
    return Stack(stats, ((block.y, block_products),))


def chosen(numbers, block) -> Stack:
    """Kernel: the entries (n,) of the features with one of ``numbers (k,)``, sorted."""
    indices = np.flatnonzero(np.isin(block.y, numbers))
    X = block.X[indices]
    X = X if isinstance(X, np.ndarray) else X.toarray()
    stats = RowStats(block.X.shape[0], float(block.X.shape[0]), ())
    return Stack(stats, ((block.y[indices], X.astype(np.float64)),))
