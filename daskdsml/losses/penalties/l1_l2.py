"""L1 and squared Euclidean penalty together. Found by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class L1L2(NamedTuple):
    """``strength sum_j scale_j (l1_ratio |theta_j| + (1 - l1_ratio) / 2 theta_j**2)``.

    ``strength`` is relative to the mean loss, as scikit-learn's ``alpha`` of lasso and elastic net;
    ``l1_ratio`` 1 is the lasso. ``gradient`` takes the derivative of ``|theta_j|`` at 0 as 0.

    References
    ----------
    Zou, H. and Hastie, T. (2005). Regularization and variable selection via the elastic net.
    J. R. Statist. Soc. B 67(2), 301-320.
    """

    strength: float
    l1_ratio: float = 1.0

    @property
    def l1(self) -> float:
        """Factor of ``|theta_j|``."""
        return self.strength * self.l1_ratio

    @property
    def l2(self) -> float:
        """Factor of ``theta_j**2 / 2``."""
        return self.strength * (1.0 - self.l1_ratio)

    def value(self, theta, scale) -> float:
        return float(np.sum(scale * (self.l1 * np.abs(theta) + 0.5 * self.l2 * theta * theta)))

    def gradient(self, theta, scale):
        return scale * (self.l1 * np.sign(theta) + self.l2 * theta)
