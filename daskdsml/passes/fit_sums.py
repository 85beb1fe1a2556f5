"""What inference for a fitted linear model asks of its first read: moments, residuals, scores."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Block
from daskdsml.passes.cluster_sums import ALL, ClusterSums, cluster_sums, codes_of
from daskdsml.passes.moments import Moments, moments
from daskdsml.passes.row_stats import row_stats_of

# Entries of a tile: it is made, used for two products and forgotten while in the cache.
TILE_ENTRIES = 2**17


class FitRequest(NamedTuple):
    """A fitted model: ``coef (p,)`` and ``intercept``; ``meat`` if robust sums are wanted."""

    backend: Any
    coef: np.ndarray
    intercept: float
    meat: bool = False


class FitSums(NamedTuple):
    """Sums over rows ``a_i = [1 x_i]`` with residuals ``r_i`` and weights ``w_i``.

    ``moments`` of [X y]; ``n_used`` rows of non-zero weight, ``log_weight`` the sum of their
    weights' logarithms; ``rss = sum w_i r_i**2``; ``scores`` holds the sums of
    ``w_i r_i [1, x_i - centre]`` by cluster; ``meat`` the moments of X with weights
    ``(w_i r_i)**2``, or None; ``unlabelled`` the first row whose label is missing, or -1.
    """

    moments: Moments
    n_used: int
    log_weight: float
    rss: float
    centre: np.ndarray
    scores: ClusterSums
    meat: Any
    unlabelled: int

    def __add__(self, other: FitSums) -> FitSums:
        n = self.moments.stats.n_rows
        later = n + other.unlabelled if other.unlabelled >= 0 else -1
        # The first centre is kept: sums about one point can be added as they are.
        centre = self.centre if self.n_used else other.centre
        return FitSums(
            self.moments + other.moments,
            self.n_used + other.n_used,
            self.log_weight + other.log_weight,
            self.rss + other.rss,
            centre,
            self.scores.moved(self.centre - centre) + other.scores.moved(other.centre - centre),
            None if self.meat is None else self.meat + other.meat,
            self.unlabelled if self.unlabelled >= 0 else later,
        )


@np.errstate(over="ignore", invalid="ignore")  # row stats name what is not finite
def fit_sums(state: FitRequest, block) -> FitSums:
    """Kernel: what one block adds."""
    block_moments = moments(state.backend, block)
    n, p = block.X.shape
    w = np.ones(n) if block.w is None else block.w
    used = w > 0.0
    codes, labels = (np.zeros(n, int), ALL) if block.g is None else codes_of(block.g)
    centre = block_moments.mean[:p]
    score = np.empty(n)
    # Rows without a label are refused after the pass; until then they go with the first one.
    total = ClusterSums(labels, np.zeros((len(labels), 1 + p)))
    rss = 0.0
    for rows, X in tiles(block.X, centre):
        r = np.ravel(block.y)[rows] - (state.intercept + centre @ state.coef) - X @ state.coef
        s = score[rows] = w[rows] * r
        rss += float(s @ r)
        tile = np.column_stack([s, s[:, None] * X])
        total = _added(total, np.maximum(codes[rows], 0), tile)
    meat = None
    if state.meat:
        meat = Moments(
            row_stats_of(Block(block.X), suspect_X=False),
            *state.backend.moments(Block(block.X, np.empty((n, 0)), score**2)),
        )
    missing = np.flatnonzero(codes < 0)
    return FitSums(
        block_moments, int(used.sum()), float(np.log(w[used]).sum()), rss, centre,
        of_used(total, codes[used]), meat, int(missing[0]) if missing.size else -1,
    )  # fmt: skip


def tiles(X, centre):
    """Pairs of a slice of rows and ``X - centre`` of them in dense float64."""
    n, p = X.shape
    step = max(TILE_ENTRIES // max(p, 1), 8)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        x = X[rows] if isinstance(X, np.ndarray) else X[rows].toarray()
        yield rows, np.subtract(x, centre, dtype=np.float64)


def _added(total, codes, rows) -> ClusterSums:
    if len(total.labels) == 1:
        return total._replace(sums=total.sums + rows.sum(axis=0))
    return total._replace(sums=total.sums + cluster_sums(codes, total.labels, rows).sums)


def of_used(total, codes) -> ClusterSums:
    """Without the clusters that have no row of non-zero weight: these count for nothing."""
    seen = np.zeros(len(total.labels), dtype=bool)
    seen[codes[codes >= 0]] = True
    return total if seen.all() else ClusterSums(total.labels[seen], total.sums[seen])
