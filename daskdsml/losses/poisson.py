"""Poisson loss of a count. Found by name."""

from typing import NamedTuple


class Poisson(NamedTuple):
    """Negative log-likelihood of a Poisson target with the log link, up to a term free of ``z``.

    ``value = exp(z) - y z``, ``dz = exp(z) - y`` and ``curvature = exp(z)``, for a raw score ``z``
    and a target ``y >= 0``; half the deviance is ``value + y log(y) - y``. Above scores of about
    709 (88 in float32) ``exp`` is infinite, and so is the value; nothing is NaN while ``y z`` is
    finite.

    References
    ----------
    McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed., section 6.
    """

    coupled = False
    targets = "positive"
    # What y must be.
    expects = "counts of at least 0"

    def takes(self, y):
        """Whether each of the targets ``y`` is what the loss expects."""
        return y >= 0.0

    def value_and_derivative(self, xp, y, z):
        """Loss and its first derivative in ``z``, in the functions of the namespace ``xp``."""
        rate = xp.exp(z)
        return rate - y * z, rate - y

    def second_derivative(self, xp, y, z):
        """Second derivative of the loss in ``z``, which the target does not enter."""
        return xp.exp(z)

    def mean(self, xp, z):
        """Inverse link: the expected count at raw score ``z``."""
        return xp.exp(z)
