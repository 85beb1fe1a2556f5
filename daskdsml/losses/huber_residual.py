"""Huber's loss of a residual. Found by name."""

from typing import NamedTuple


class HuberResidual(NamedTuple):
    """Half the squared residual up to ``epsilon``, and from there on its tangent.

    ``value = r**2 / 2`` for ``|r| <= epsilon`` and ``epsilon |r| - epsilon**2 / 2`` above, with the
    residual ``r = z - y`` in the units of ``y``. The curvature at ``|r| = epsilon``, where the
    derivative has kinks, is that of the square.

    References
    ----------
    Huber, P. J. (1964). Robust estimation of a location parameter. Ann. Math. Statist. 35, 73-101.
    """

    epsilon: float = 0.1

    coupled = False
    targets = "real"

    def value_and_derivative(self, xp, y, z):
        """Loss and its first derivative in ``z``, in the functions of the namespace ``xp``."""
        r = z - y
        bound = 0.0 * r + self.epsilon
        near = xp.maximum(xp.minimum(r, bound), -bound)
        return near * (r - 0.5 * near), near

    def second_derivative(self, xp, y, z):
        """Second derivative of the loss in ``z``: one up to ``epsilon``, and zero above."""
        r = z - y
        return xp.where(xp.abs(r) <= self.epsilon, 0.0 * r + 1.0, 0.0 * r)

    def mean(self, xp, z):
        """Inverse link: the identity."""
        return z
