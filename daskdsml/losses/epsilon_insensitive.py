"""Absolute error above a tolerance. Found by name."""

from typing import NamedTuple


class EpsilonInsensitive(NamedTuple):
    """The support vector regression's loss: residuals up to ``epsilon`` cost nothing.

    ``value = max(0, |r| - epsilon)`` with the residual ``r = z - y`` in the units of ``y``. The
    derivative at the kinks ``|r| = epsilon`` is 0; the curvature is taken as zero everywhere.

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
        excess = xp.abs(r) - self.epsilon
        return xp.maximum(excess, 0.0 * r), xp.where(excess > 0.0, xp.sign(r), 0.0 * r)

    def second_derivative(self, xp, y, z):
        """Second derivative of the loss in ``z``: zero, but for the kinks, where there is none."""
        return 0.0 * (z - y)

    def mean(self, xp, z):
        """Inverse link: the identity."""
        return z
