"""Scores of many linear models on their own test rows, in one read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Block
from daskdsml.passes.evaluate import likeliest
from daskdsml.passes.row_stats import RowStats, row_stats_of


class Judged(NamedTuple):
    """M models ``coef (M, K, p)``, ``intercept (M, K)``, and how they are to be judged.

    ``test (G, M)`` tells how often a model is judged on the rows of each group; ``probabilities``
    turns raw scores, (n,) if K is 1, into those of all ``n_classes``, which is 0 for a regression.
    Each model of one is judged on the column of y that ``outputs (M,)`` names, or on y as it is.
    """

    metric: Any
    probabilities: Callable | None
    n_classes: int
    coef: np.ndarray
    intercept: np.ndarray
    test: np.ndarray
    outputs: np.ndarray | None = None


class Scores(NamedTuple):
    """A sum of the metric for each model; None while it has met no row of its test set."""

    stats: RowStats
    totals: tuple

    def __add__(self, other: Scores) -> Scores:
        pairs = zip(self.totals, other.totals, strict=True)
        return Scores(self.stats + other.stats, tuple(joined(a, b) for a, b in pairs))


def joined(a, b):
    """The sum of two totals, of which either may be None: of no row yet."""
    if a is None or b is None:
        return b if a is None else a
    return a + b


def scores(judged: Judged, block: Block) -> Scores:
    """Kernel: what one block adds; y holds class codes, or the numbers of a regression."""
    y, X = np.asarray(block.y), block.X
    y = y.astype(np.int64) if judged.n_classes else y.astype(np.float64)
    g = np.zeros(len(y), dtype=int) if block.g is None else block.g
    M, K, p = judged.coef.shape
    Z = np.asarray(X @ judged.coef.reshape(-1, p).T.astype(X.dtype))
    Z = Z.reshape(len(y), M, K) + judged.intercept.astype(X.dtype)
    stats = row_stats_of(block, suspect_X=not np.isfinite(Z).all())
    if stats.invalid:
        return Scores(stats, (None,) * M)
    totals: list[Any] = []
    rows_of = {}
    for m in range(M):
        key = judged.test[:, m].tobytes()
        if key not in rows_of:
            rows_of[key] = np.flatnonzero(judged.test[g, m])
        rows = rows_of[key]
        if not rows.size:
            totals.append(None)
            continue
        z = Z[rows, m]
        response = _response(judged, z[:, 0] if K == 1 else z)
        target = y[rows] if judged.outputs is None else y[rows, judged.outputs[m]]
        w = _weights(block.w, judged.test[g[rows], m], rows)
        totals.append(judged.metric.count(target, response, w, judged.n_classes))
    return Scores(stats, tuple(totals))


def _weights(w, counts, rows):
    """Weights of ``rows`` that count repeatedly; None where all of them are one."""
    if (counts == 1).all():
        return None if w is None else w[rows]
    return counts if w is None else counts * w[rows]


def _response(judged, z):
    if judged.metric.needs == "labels":
        return likeliest(z)
    if judged.metric.needs == "probabilities" and judged.probabilities is not None:
        return judged.probabilities(z)
    return z
