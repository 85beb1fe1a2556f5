"""Squared hinge loss of a binary target. Found by name."""

from typing import NamedTuple


class SquaredHinge(NamedTuple):
    """Square of the distance by which scores fall short of a margin of 1.

    ``value = y max(0, 1 - z)**2 + (1 - y) max(0, 1 + z)**2``, for a raw score ``z`` and a target
    ``y`` in [0, 1]. The curvature at the kinks ``z = 1`` and ``z = -1`` of the derivative is that
    on the side where the loss is zero.

    References
    ----------
    Zhang, T. (2004). Statistical behavior and consistency of classification methods based on convex
    risk minimization. Annals of Statistics 32(1), 56-134.
    """

    coupled = False
    targets = "classes"

    def value_and_derivative(self, xp, y, z):
        """Loss and its first derivative in ``z``, in the functions of the namespace ``xp``."""
        up, down = xp.maximum(1.0 - z, 0.0 * z), xp.maximum(1.0 + z, 0.0 * z)
        return y * up * up + (1.0 - y) * down * down, 2.0 * ((1.0 - y) * down - y * up)

    def second_derivative(self, xp, y, z):
        """Second derivative of the loss in ``z``."""
        zero = 0.0 * z
        short = xp.where(z < 1.0, 2.0 * y + zero, zero)
        return short + xp.where(z > -1.0, 2.0 - 2.0 * y + zero, zero)

    def mean(self, xp, z):
        """The share of the second class at which ``z`` is optimal: (1 + z) / 2 within [0, 1]."""
        zero = 0.0 * z
        return xp.minimum(xp.maximum(0.5 + 0.5 * z, zero), zero + 1.0)
