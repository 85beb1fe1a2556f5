"""Metrics of predicted labels: true positives, rows and predictions of each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskdsml.metrics._sums import Sums, check_binary, check_class, check_weight, weights


@dataclass(frozen=True)
class MacroAverage:
    """Base of metrics that are a mean over the classes that occur or are predicted.

    ``score (K,)`` of each class is made of its weights of true positives ``hits``, of rows ``true``
    and of predictions ``predicted``, each (K,).
    """

    needs = "labels"

    def score(self, hits, true, predicted) -> np.ndarray:
        raise NotImplementedError

    def count(self, y, predicted, w, n_classes) -> Sums:
        """Weights (3, K) of each class in a block: of true positives, of rows, of predictions."""
        w = weights(y, w)
        pairs = ((y, w * (y == predicted)), (y, w), (predicted, w))
        return Sums(np.stack([np.bincount(c, weights=v, minlength=n_classes) for c, v in pairs]))

    def value(self, total) -> float:
        """The score of all rows; ValueError if none has weight."""
        hits, true, predicted = total.values
        check_weight(true.sum())
        return float(np.mean(self.score(hits, true, predicted)[true + predicted > 0.0]))


class PositiveClass(MacroAverage):
    """Base of metrics that are the score of the second of two classes; ``name`` is the metric's.

    Where it has no row, those with ``must_occur`` are refused.
    """

    name: str
    must_occur = True

    def count(self, y, predicted, w, n_classes) -> Sums:
        """Summed weights of each class in a block; ValueError unless there are two classes."""
        check_binary(self.name, n_classes, f"{self.name}_macro")
        return super().count(y, predicted, w, n_classes)

    def value(self, total) -> float:
        """The score of all rows; ValueError if there is no row of weight, or none it needs."""
        hits, true, predicted = total.values
        check_weight(true.sum())
        if self.must_occur:
            check_class(self.name, 1, true[1])
        return float(self.score(hits, true, predicted)[1])


def precision(hits, true, predicted) -> np.ndarray:
    """``hits / predicted``, or 0 where a class is never predicted, as in scikit-learn."""
    return hits / np.where(predicted > 0.0, predicted, 1.0)


def recall(hits, true, predicted) -> np.ndarray:
    """``hits / true``, or 0 where a class never occurs."""
    return hits / np.where(true > 0.0, true, 1.0)


def f1(hits, true, predicted) -> np.ndarray:
    """``2 hits / (true + predicted)``, the harmonic mean of precision and recall."""
    return 2.0 * hits / np.where(true + predicted > 0.0, true + predicted, 1.0)
