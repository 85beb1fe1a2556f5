"""Passes over blocks of columns: a block's rows are features, its ``y`` their numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from daskdsml.contracts import Block
from daskdsml.passes.row_stats import RowStats, row_stats_of
from daskdsml.passes.summary import DataSummary, SummaryRequest, summarize
from daskdsml.utils.variation import Variation


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


def moved_products(state: tuple[np.ndarray, np.ndarray | None], block) -> Stack:
    """Kernel: `products` with ``R (n, M)`` of the features less ``centre (p,)``, None for zeros.

    Most centres are zero. The others are those of features far from zero, of which little would be
    left if sums were corrected afterwards.
    """
    R, centre = state
    total = products(R, block)
    if centre is not None:
        far = np.flatnonzero(centre[block.y])
        ((_, values),) = total.pieces
        values[far] = (_dense(block.X[far]) - centre[block.y[far], None]) @ R
    return total


def feature_scores(state: tuple[np.ndarray, np.ndarray | None], block) -> np.ndarray:
    """Kernel: what some features add to the scores (n, K) of ``coef (K, p)``; `moved_products`."""
    coef, centre = state
    own = coef[:, block.y].T
    scores = np.asarray(block.X.T @ own, dtype=np.float64)
    if centre is not None:
        far = np.flatnonzero(centre[block.y])
        moved = _dense(block.X[far]) - centre[block.y[far], None]
        scores += moved.T @ own[far] - block.X[far].T @ own[far]
    return scores


class FeatureRequest(NamedTuple):
    """What `summarize_features` is to tell; y (n,) and weights (n,) or None are those of rows."""

    request: SummaryRequest
    y: np.ndarray
    w: np.ndarray | None


class FeatureSummaries(NamedTuple):
    """Summaries of some features, each with their numbers (k,)."""

    pieces: tuple[tuple[np.ndarray, DataSummary], ...]

    def __add__(self, other: FeatureSummaries) -> FeatureSummaries:
        return FeatureSummaries(self.pieces + other.pieces)

    @property
    def summary(self) -> DataSummary:
        """That of all features."""
        numbers, parts = zip(*self.pieces, strict=True)
        order = np.argsort(np.concatenate(numbers))

        def joined(of):
            return np.concatenate([of(part) for part in parts], axis=-1)[..., order]

        first = parts[0]
        invalid = {entry.part: entry for part in parts for entry in part.stats.invalid}
        columns = Variation(
            first.variation.weight,
            *(joined(lambda part, i=i: part.variation[i]) for i in range(1, 5)),
        )
        return first._replace(
            stats=first.stats._replace(invalid=tuple(invalid.values())),
            sums=joined(lambda part: part.sums) if not invalid else first.sums,
            squares=joined(lambda part: part.squares),
            variation=columns,
            products=None if first.products is None else joined(lambda part: part.products),
        )


def summarize_features(state: FeatureRequest, block) -> FeatureSummaries:
    """Kernel: the summary of rows of which only some features are here."""
    X = block.X.T
    X = X.tocsr() if sparse.issparse(X) else np.ascontiguousarray(X)
    own = summarize(state.request, Block(X, state.y, state.w, None, block.id))
    invalid = tuple(
        entry._replace(column=int(block.y[entry.column])) if entry.part == "X" else entry
        for entry in own.stats.invalid
    )
    return FeatureSummaries(((block.y, own._replace(stats=own.stats._replace(invalid=invalid))),))


def _dense(X) -> np.ndarray:
    return (X.toarray() if sparse.issparse(X) else X).astype(np.float64)
