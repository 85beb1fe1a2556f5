"""Squared error above a tolerance. Found by name."""

from typing import NamedTuple


class SquaredEpsilonInsensitive(NamedTuple):
    """Square of the distance by which residuals exceed ``epsilon``.

    ``value = max(0, |r| - epsilon)**2`` with the residual ``r = z - y`` in the units of ``y``. The
    curvature at ``|r| = epsilon``, where the derivative has kinks, is 0.

    References
    ----------
    Vapnik, V. (1995). The Nature of Statistical Learning Theory. Springer.
    """

    epsilon: float = 0.1

    coupled = False
    targets = "real"

    def value_and_derivative(self, xp, y, z):
        """Loss and its first derivative in ``z``, in the functions of the namespace ``xp``."""
        r = z - y
        excess = xp.maximum(xp.abs(r) - self.epsilon, 0.0 * r)
        return excess * excess, 2.0 * excess * xp.sign(r)

    def second_derivative(self, xp, y, z):
        """Second derivative of the loss in ``z``: two above ``epsilon``, and zero below."""
        r = z - y
        return xp.where(xp.abs(r) > self.epsilon, 0.0 * r + 2.0, 0.0 * r)

    def mean(self, xp, z):
        """Inverse link: the identity."""
        return z
