"""Modified Huber loss of a binary target. Found by name."""

from typing import NamedTuple


class ModifiedHuber(NamedTuple):
    """Squared hinge loss that grows no faster than linearly: outliers pull with bounded force.

    ``value = y h(z) + (1 - y) h(-z)`` with ``h(z) = max(0, 1 - z)**2`` for ``z >= -1`` and ``-4 z``
    below, for a raw score ``z`` and a target ``y`` in [0, 1]. The curvature at the kinks ``z = 1``
    and ``z = -1`` of the derivative is taken as zero.

    References
    ----------
    Zhang, T. (2004). Solving large scale linear prediction problems using stochastic gradient
    descent algorithms. Proceedings of ICML.
    """

    coupled = False
    targets = "classes"

    def value_and_derivative(self, xp, y, z):
        """Loss and its first derivative in ``z``, in the functions of the namespace ``xp``."""
        zero = 0.0 * z
        # Squares of the shortfall up to 2, and from there on the tangent.
        up, down = xp.maximum(1.0 - z, zero), xp.maximum(1.0 + z, zero)
        near_up, near_down = xp.minimum(up, zero + 2.0), xp.minimum(down, zero + 2.0)
        first = near_up * (2.0 * up - near_up)
        second = near_down * (2.0 * down - near_down)
        return y * first + (1.0 - y) * second, 2.0 * ((1.0 - y) * near_down - y * near_up)

    def second_derivative(self, xp, y, z):
        """Second derivative of the loss in ``z``: 2 between the kinks, whatever the target."""
        return xp.where(xp.abs(z) < 1.0, 0.0 * z + 2.0, 0.0 * z)

    def mean(self, xp, z):
        """The share of the second class at which ``z`` is optimal: (1 + z) / 2 within [0, 1]."""
        zero = 0.0 * z
        return xp.minimum(xp.maximum(0.5 + 0.5 * z, zero), zero + 1.0)
