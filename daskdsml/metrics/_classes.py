"""What metrics of predicted labels count: for each class how often it is met, named and hit."""

from __future__ import annotations

import numpy as np

from daskdsml.metrics._sums import Sums, check_weight, weights


def count_classes(y, found, w, n_classes) -> Sums:
    """Summed weights (3, K) of true positives, of rows and of predictions of each class.

    Parameters
    ----------
    y, found : int arrays (n,), the codes of true and of predicted classes
    w : array (n,) or None
    n_classes : int
    """
    w = weights(y, w)
    hits = np.bincount(y, weights=w * (y == found), minlength=n_classes)
    true, named = (np.bincount(codes, weights=w, minlength=n_classes) for codes in (y, found))
    return Sums(np.stack([hits, true, named]))


def per_class(total: Sums) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hits, true and named (K,); raises ValueError if no row has weight."""
    hits, true, named = total.values
    check_weight(true.sum())
    return hits, true, named


def precisions(total: Sums) -> np.ndarray:
    """``hits / named`` of each class that is met or named; 0 where it is never named."""
    hits, true, named = per_class(total)
    return (hits / np.where(named > 0.0, named, 1.0))[true + named > 0.0]


def recalls(total: Sums) -> np.ndarray:
    """``hits / true`` of each class that is met or named; 0 where it is never met."""
    hits, true, named = per_class(total)
    return (hits / np.where(true > 0.0, true, 1.0))[true + named > 0.0]


def f1s(total: Sums) -> np.ndarray:
    """``2 hits / (true + named)`` of each class that is met or named."""
    hits, true, named = per_class(total)
    seen = true + named > 0.0
    return 2.0 * hits[seen] / (true + named)[seen]
