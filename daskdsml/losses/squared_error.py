"""Half the squared error. Found by name."""

from typing import NamedTuple


class SquaredError(NamedTuple):
    """Half the squared distance between target and raw score.

    ``value = (z - y)**2 / 2``, ``dz = z - y``, ``curvature = 1``; ``y`` and ``z`` have shape (n,).
    The half makes the Hessian of the mean loss ``X'X / n``, as the normal equations have it.
    """

    coupled = False
    targets = "real"

    def value_and_derivative(self, xp, y, z):
        """Loss and its first derivative in ``z``, in the functions of the namespace ``xp``."""
        residual = z - y
        return 0.5 * residual * residual, residual

    def second_derivative(self, xp, y, z):
        """Second derivative of the loss in ``z``: one, in the shape and precision of ``z``."""
        return 0.0 * z + 1.0

    def mean(self, xp, z):
        """Inverse link: the identity."""
        return z
