"""Hinge loss of a binary target. Found by name."""

from typing import NamedTuple


class Hinge(NamedTuple):
    """Linear loss of scores on the wrong side of a margin: the support vector machine's.

    ``value = y max(0, threshold - z) + (1 - y) max(0, threshold + z)``, for a raw score ``z`` and a
    target ``y`` in [0, 1]; a ``threshold`` of 0 is the perceptron's loss. The derivative at the
    kinks ``z = threshold`` and ``z = -threshold`` is that on the side where the loss is not zero;
    the curvature is taken as zero everywhere.

    References
    ----------
    Cortes, C. and Vapnik, V. (1995). Support-vector networks. Machine Learning 20, 273-297.
    Rosenblatt, F. (1958). The perceptron. Psychological Review 65(6), 386-408.
    """

    threshold: float = 1.0

    coupled = False
    targets = "classes"

    def value_and_derivative(self, xp, y, z):
        """Loss and its first derivative in ``z``, in the functions of the namespace ``xp``."""
        zero = 0.0 * z
        up, down = self.threshold - z, self.threshold + z
        value = y * xp.maximum(up, zero) + (1.0 - y) * xp.maximum(down, zero)
        short = xp.where(up >= 0.0, y + zero, zero)
        return value, xp.where(down >= 0.0, 1.0 - y + zero, zero) - short

    def second_derivative(self, xp, y, z):
        """Second derivative of the loss in ``z``: zero, but for the kinks, where there is none."""
        return 0.0 * z

    def mean(self, xp, z):
        """The share of the second class at which ``z`` is optimal: 0, 1/2 (in the margin) or 1."""
        half = 0.0 * z + 0.5
        return xp.where(
            z > self.threshold, half + 0.5, xp.where(z < -self.threshold, 0.0 * z, half)
        )
