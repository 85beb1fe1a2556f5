"""Squared Euclidean penalty. Found by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class L2(NamedTuple):
    """``strength / 2 * sum_j scale_j theta_j**2``; a strength of 0 is no penalty at all.

    ``strength`` is relative to the mean loss: scikit-learn's ridge ``alpha`` is
    ``strength * sum(w)`` and its logistic ``C`` is ``1 / (strength * sum(w))``.
    """

    strength: float

    l1 = 0.0

    @property
    def l2(self) -> float:
        """Factor of ``theta_j**2 / 2``."""
        return self.strength

    def value(self, theta, scale) -> float:
        return float(0.5 * self.strength * np.sum(scale * theta * theta))

    def gradient(self, theta, scale):
        return self.strength * scale * theta
