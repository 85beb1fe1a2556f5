"""Robust sums in the frame of the R factor, where the design's rows are orthonormal."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg

from daskdsml.passes.cluster_sums import ALL, ClusterSums, cluster_sums, codes_of
from daskdsml.passes.columns import columns_of
from daskdsml.passes.fit_sums import tiles
from daskdsml.passes.r_factor import ColumnScaling

# From this leverage on a row is fitted by a coefficient of its own, and its residual is rounding.
ALONE = 1.0 - 1e-9


class Whitening(NamedTuple):
    """How rows become ``q_i = sqrt(w_i) R^-T [1, (x_i - centre) / scale]``, with residuals.

    ``frame`` is of ``columns (k,)``, ``R`` (size, size) their factor; ``coef (k,)`` and
    ``intercept`` are the model's in that frame. ``power`` divides squared residuals by
    ``(1 - h_i)**power`` for leverages ``h_i = q_i'q_i``; ``clustered`` sums scores by label.
    """

    frame: ColumnScaling
    columns: np.ndarray
    R: np.ndarray
    coef: np.ndarray
    intercept: float
    power: int
    clustered: bool


class WhitenedSums(NamedTuple):
    """``meat (size, size) = sum_i w_i r_i**2 / (1 - h_i)**power q_i q_i'``, or, of clusters, the
    sums ``sqrt(w_i) r_i q_i``. ``alone`` is the first row of leverage 1, or -1.
    """

    n_rows: int
    meat: np.ndarray
    scores: ClusterSums
    alone: int

    def __add__(self, other: WhitenedSums) -> WhitenedSums:
        later = self.n_rows + other.alone if other.alone >= 0 else -1
        return WhitenedSums(
            self.n_rows + other.n_rows,
            self.meat + other.meat,
            self.scores + other.scores,
            self.alone if self.alone >= 0 else later,
        )


def whitened(state: Whitening, block) -> WhitenedSums:
    """Kernel: what one block adds."""
    n, size = block.X.shape[0], len(state.R)
    w = np.ones(n) if block.w is None else block.w
    y = np.ravel(block.y)
    centre = np.zeros(block.X.shape[1])
    centre[state.columns] = state.frame.centre
    meat, alone = np.zeros((size, size)), -1
    codes, labels = codes_of(block.g) if state.clustered else (np.zeros(n, dtype=np.int64), ALL)
    scores = ClusterSums(labels, np.zeros((len(labels), size)))
    for rows, X in tiles(block.X, centre):
        x = columns_of(X, state.columns) / state.frame.scale
        e = np.sqrt(w[rows]) * (y[rows] - state.intercept - x @ state.coef)
        if state.frame.intercept:
            x = np.column_stack([np.ones(len(x)), x])
        q = np.sqrt(w[rows])[:, None] * x
        q = linalg.solve_triangular(state.R, q.T, trans="T", check_finite=False).T
        if state.clustered:
            scores += cluster_sums(codes[rows], labels, e[:, None] * q)
            continue
        if state.power:
            h = np.einsum("ij,ij->i", q, q)
            if alone < 0 and (h >= ALONE).any():
                alone = rows.start + int(np.argmax(h >= ALONE))
            e = e / np.maximum(1.0 - h, 1e-300) ** (0.5 * state.power)
        q = e[:, None] * q
        meat += q.T @ q
    return WhitenedSums(n, meat, scores, alone)
