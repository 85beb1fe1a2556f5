"""How far numbers lie from their mean, from sums over blocks; and the share that is explained."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Variation(NamedTuple):
    """Weight, mean, and squares about the mean of numbers in K columns, the latter three (K,).

    Squares are taken about the common mean: about 0, a mean far from it would hide them.
    ``least`` and ``greatest`` of the numbers that have weight tell exactly whether they vary.
    """

    weight: float
    mean: np.ndarray
    squares: np.ndarray
    least: np.ndarray
    greatest: np.ndarray

    @classmethod
    def of(cls, y, w) -> Variation:
        """Of numbers ``y (n, K)`` with weights ``w (n,)``, in float64."""
        weight = float(w.sum())
        mean = (w @ y) / weight if weight else np.zeros(y.shape[1])
        counted = y[w > 0.0]
        least = counted.min(axis=0, initial=np.inf)
        greatest = counted.max(axis=0, initial=-np.inf)
        return cls(weight, mean, w @ (y - mean) ** 2, least, greatest)

    @np.errstate(over="ignore", invalid="ignore")  # whoever sums tells what is not finite
    def __add__(self, other: Variation) -> Variation:
        weight = self.weight + other.weight
        share = other.weight / weight if weight else 0.0
        shift = other.mean - self.mean
        return Variation(
            weight,
            self.mean + share * shift,
            self.squares + other.squares + self.weight * share * shift * shift,
            np.minimum(self.least, other.least),
            np.maximum(self.greatest, other.greatest),
        )

    def r2(self, residual) -> np.ndarray:
        """``1 - residual / squares`` (K,); of a constant column 1 without errors, else 0."""
        varies = (self.greatest > self.least) & (self.squares > 0.0)
        ratio = residual / np.where(varies, self.squares, 1.0)
        return np.where(varies, 1.0 - ratio, np.where(residual > 0.0, 0.0, 1.0))
