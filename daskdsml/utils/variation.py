"""How far numbers lie from their mean, from sums over blocks; and the share that is explained."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from daskdsml.utils.validation import outside

# The rounding unit by which `Variation.far` judges for descent by steps of one length: whatever the
# numbers, a column 256 spreads from zero leaves little for the others to learn.
DESCENT_ROUNDING = 2.0**-32
# Spreads of columns from which on steps that suit a unit spread do nothing, or overshoot.
LEAST_SPREAD, LARGEST_SPREAD = 2.0**-16, 2.0**16


class Variation(NamedTuple):
    """Weight, mean, and squares about the mean of numbers in K columns, the latter three (K,).

    Squares are taken about the common mean: about 0, a mean far from it would hide them.
    ``least`` and ``greatest`` of the numbers that have weight tell exactly whether they vary;
    where that is known anyhow, they may be infinite.
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
        counted = y if (w > 0.0).all() else y[w > 0.0]
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

    @property
    def varies(self) -> np.ndarray:
        """Whether the numbers of a column (K,) differ, decided by themselves and not by sums."""
        return self.greatest > self.least

    def far(self, epsilon) -> np.ndarray:
        """Whether columns (K,) that vary lie so far from zero that products lose half their digits.

        ``epsilon`` is the rounding unit of the numbers; so it is from ``epsilon**-0.25`` spreads
        on: 8,192 in double precision, 54 in single.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            variance = self.squares / (self.weight or 1.0)
            return self.varies & (self.mean**2 * epsilon**0.5 > variance)

    def out_of_scale(self) -> np.ndarray:
        """Whether columns (K,) that vary have a spread that steps of one length cannot suit."""
        with np.errstate(over="ignore", invalid="ignore"):
            spread = np.sqrt(self.squares / (self.weight or 1.0))
            return self.varies & ((spread < LEAST_SPREAD) | (spread > LARGEST_SPREAD))

    def r2(self, residual, n_rows) -> np.ndarray:
        """``1 - residual / squares`` (K,); of a constant column 1 without errors, else 0.

        NaN of less than two rows.
        """
        if n_rows < 2:
            return np.full(len(self.mean), np.nan)
        varies = self.varies & (self.squares > 0.0)
        ratio = residual / np.where(varies, self.squares, 1.0)
        return np.where(varies, 1.0 - ratio, np.where(residual > 0.0, 0.0, 1.0))


def warn_of_descent(estimator, variation) -> None:
    """Warn of columns that steps of one length in all parameters do not suit, naming them.

    They are too far from zero, or their spread is too large or too small.
    """
    far = variation.far(DESCENT_ROUNDING)
    warn_of_far(estimator, far, "Steps short enough for these hardly move the other coefficients.")
    _warn_of_columns(
        estimator,
        variation.out_of_scale() & ~far,
        f"with a spread below {LEAST_SPREAD:.0e} or above {LARGEST_SPREAD:.0e}",
        "Steps of one length leave out what is small, and overshoot in what is large. Scale them",
    )


def warn_of_far(estimator, far, why) -> None:
    """Warn of columns ``far (p,)`` from zero, naming them; ``why`` says what becomes of them."""
    what = "far from zero next to their spread"
    _warn_of_columns(estimator, far, what, f"{why} Subtract their means first")


def _warn_of_columns(estimator, columns, what, remedy) -> None:
    if not columns.any():
        return
    names = getattr(estimator, "feature_names_in_", np.arange(len(columns)))
    shown = ", ".join(map(str, names[columns][:10])) + (", ..." if columns.sum() > 10 else "")
    warnings.warn(
        f"{type(estimator).__name__} was given columns {what}: {shown}. {remedy}, for instance "
        "with dask_ml.preprocessing.StandardScaler.",
        stacklevel=outside(),
    )
