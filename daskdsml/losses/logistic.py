"""Logistic loss of a binary target. Found by name."""

from typing import NamedTuple


class Logistic(NamedTuple):
    """Negative log-likelihood of a Bernoulli target with the logit link.

    ``value = log(1 + exp(z)) - y z``, ``dz = 1 / (1 + exp(-z)) - y`` and
    ``curvature = exp(-|z|) / (1 + exp(-|z|))**2``, for a raw score ``z`` and a target ``y`` in
    [0, 1]; both arrays have shape (n,). Everything is written in ``exp(-|z|)``, which cannot
    overflow, so the loss is finite and its derivative right for every finite ``z``.

    References
    ----------
    McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed., section 4.
    """

    coupled = False
    targets = "classes"

    def value_and_derivative(self, xp, y, z):
        """Loss and its first derivative in ``z``, in the functions of the namespace ``xp``."""
        decay = xp.exp(-xp.abs(z))
        share = 1.0 / (1.0 + decay)
        value = xp.maximum(z, 0.0 * z) + xp.log1p(decay) - y * z
        return value, xp.where(z >= 0.0, share, decay * share) - y

    def second_derivative(self, xp, y, z):
        """Second derivative of the loss in ``z``, which the target does not enter."""
        decay = xp.exp(-xp.abs(z))
        share = 1.0 / (1.0 + decay)
        return decay * share * share

    def mean(self, xp, z):
        """Inverse link: the probability of the second class at raw score ``z``."""
        decay = xp.exp(-xp.abs(z))
        return xp.where(z >= 0.0, 1.0 / (1.0 + decay), decay / (1.0 + decay))
