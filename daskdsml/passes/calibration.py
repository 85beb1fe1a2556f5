"""Calibration: observed frequency per bin of predicted probability, as sums over rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.metrics._ranks import Ranks, rank
from daskdsml.metrics._sums import Sums

# Bins of the histogram of probabilities, on [0, 1].
HISTOGRAM = 20


class Calibration(NamedTuple):
    """Counts probabilities of a class; called with ``y (n,)`` bool, ``p (n,)`` and ``w`` or None.

    Attributes
    ----------
    n_bins : int
    quantile : bool
        Whether bins hold equal weights; otherwise they are equally wide on [0, 1].
    most : int
        Most distinct probabilities that are kept apart for quantiles.
    """

    n_bins: int
    quantile: bool
    most: int

    def __call__(self, y, p, w) -> Binned:
        p = np.asarray(p, dtype=np.float64)
        outside = (p < 0.0) | (p > 1.0)
        if outside.any():
            raise ValueError(
                f"Probabilities must lie in [0, 1], got {p[np.argmax(outside)]:g}. Pass those of "
                "predict_proba, not scores of decision_function."
            )
        w = np.ones(len(p)) if w is None else w
        columns = np.column_stack([w, w * y, w * p, w * w])
        if self.quantile:
            bins: Sums | Ranks = rank(p, columns, self.most)
        else:
            bins = Sums(_by_bin(columns, _bin_of(p, self.n_bins), self.n_bins))
        histogram = np.bincount(_bin_of(p, HISTOGRAM), weights=w, minlength=HISTOGRAM)
        return Binned(bins, Sums(histogram))

    def curve(self, total: Binned) -> np.ndarray:
        """Sums (m, 4) of w, w y, w p and w**2 in the bins that have rows.

        A quantile bin ends at the lowest probability at and below which the weight is at least
        ``k / n_bins`` of all: every row goes to the bin of its probability, so ties stay together.
        """
        if self.quantile:
            reached = self.n_bins * np.cumsum(total.bins.sums[:, 0])
            ends = np.searchsorted(reached, np.arange(1, self.n_bins) * (reached[-1] / self.n_bins))
            number = np.searchsorted(ends, np.arange(len(reached)))
            sums = _by_bin(total.bins.sums, number, self.n_bins)
        else:
            sums = total.bins.values
        return sums[sums[:, 0] > 0.0]


class Binned(NamedTuple):
    """Sums (n_bins, 4) by bin, or by probability for quantiles; the weights of a histogram."""

    bins: Any
    histogram: Sums

    def __add__(self, other: Binned) -> Binned:
        return Binned(self.bins + other.bins, self.histogram + other.histogram)


def _bin_of(p, n_bins) -> np.ndarray:
    """Numbers (n,) of bins of equal width; a border belongs to the lower one."""
    return np.searchsorted(np.linspace(0.0, 1.0, n_bins + 1)[1:-1], p)


def _by_bin(columns, number, n_bins) -> np.ndarray:
    """Sums (n_bins, c) of ``columns (n, c)`` by bin."""
    return np.column_stack([np.bincount(number, weights=c, minlength=n_bins) for c in columns.T])
