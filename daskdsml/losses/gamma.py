"""Gamma loss of a positive amount. Found by name."""

from typing import NamedTuple


class Gamma(NamedTuple):
    """Negative log-likelihood of a gamma target with the log link, up to terms free of ``z``.

    ``value = z + y exp(-z)``, ``dz = 1 - y exp(-z)`` and ``curvature = y exp(-z)``, for a raw score
    ``z`` and a target ``y > 0``, in units of the shape parameter; half the deviance is
    ``value - log(y) - 1``. Below scores of about -709 (-88 in float32) ``exp(-z)`` is infinite, and
    so is the value; it is never NaN.

    References
    ----------
    McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed., section 8.
    """

    coupled = False
    targets = "positive"
    # What y must be.
    expects = "amounts above 0"

    def takes(self, y):
        """Whether each of the targets ``y`` is what the loss expects."""
        return y > 0.0

    def value_and_derivative(self, xp, y, z):
        """Loss and its first derivative in ``z``, in the functions of the namespace ``xp``."""
        ratio = y * xp.exp(-z)
        return z + ratio, 1.0 - ratio

    def second_derivative(self, xp, y, z):
        """Second derivative of the loss in ``z``: the target relative to its mean."""
        return y * xp.exp(-z)

    def mean(self, xp, z):
        """Inverse link: the expected amount at raw score ``z``."""
        return xp.exp(z)
