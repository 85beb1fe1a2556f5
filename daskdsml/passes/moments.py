"""Second moments of [X y] in one read: all that least squares and ridge ask of the data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.passes.census import Census, take_census


class Moments(NamedTuple):
    """Weighted moments of the columns of [X y].

    ``weight = sum w_i``, ``mean (q,)`` and ``cross (q, q) = sum w_i (v_i - mean)(v_i - mean)'`` for
    rows ``v_i = [x_i y_i]``. Sums are joined by the update of Chan, Golub and LeVeque, which never
    subtracts large numbers that nearly cancel.

    References
    ----------
    Chan, T. F., Golub, G. H. and LeVeque, R. J. (1983). Algorithms for computing the sample
    variance. The American Statistician 37(3), 242-247.
    """

    census: Census
    weight: float
    mean: np.ndarray
    cross: np.ndarray

    @np.errstate(over="ignore", invalid="ignore")  # the census tells what is not finite
    def __add__(self, other: Moments) -> Moments:
        census = self.census + other.census
        weight = self.weight + other.weight
        if weight == 0.0:
            return Moments(census, weight, self.mean, self.cross)
        share = other.weight / weight
        shift = other.mean - self.mean
        cross = self.cross + other.cross + self.weight * share * np.outer(shift, shift)
        return Moments(census, weight, self.mean + share * shift, cross)

    def about_zero(self) -> Moments:
        """The same moments taken about zero instead of the mean, for a model with no intercept."""
        cross = self.cross + self.weight * np.outer(self.mean, self.mean)
        return self._replace(mean=np.zeros_like(self.mean), cross=cross)


def moments(backend, block) -> Moments:
    """Kernel: what one block adds to the moments."""
    part = backend.moments(block)
    clean = np.isfinite(part.cross).all() and np.isfinite(part.mean).all()
    return Moments(take_census(block, suspect_X=not clean), *part)
