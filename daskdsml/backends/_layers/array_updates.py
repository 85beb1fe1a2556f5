"""Kernels of mini-batch solvers in functions of an array namespace."""

from __future__ import annotations

import numpy as np

# A sum that is infinite or NaN is an answer, which the caller looks at.
SILENT = {"over": "ignore", "invalid": "ignore"}


class ArrayUpdates:
    """Kernels of mini-batch solvers; ``self.xp`` is the namespace.

    Arrays are (d,), contiguous and of one dtype, which numbers take on. A step changes
    ``theta`` and what the solver keeps in place, and leaves ``gradient`` as it is.
    """

    @np.errstate(**SILENT)
    def complete(self, gradient, theta, scale, factor, l1, l2) -> tuple[float, float]:
        """``g <- factor g + slopes of the penalty``; return the penalty and ``sum_j g_j**2``.

        The penalty is ``sum_j scale_j (l1 |theta_j| + l2 theta_j**2 / 2)``. Both are summed in
        float64, and are not finite where an entry is not.
        """
        xp, penalty = self.xp, 0.0
        gradient *= factor
        if l1 or l2:
            gradient += scale * (l1 * xp.sign(theta) + l2 * theta)
            wide = theta.astype("float64")
            penalty = float(scale.astype("float64") @ (l1 * abs(wide) + 0.5 * l2 * wide * wide))
        wide = gradient.astype("float64")
        return penalty, float(wide @ wide)

    def scale(self, gradient, factor) -> None:
        """``g <- factor g``."""
        gradient *= factor

    def gradient_descent(self, theta, gradient, rate) -> None:
        """``theta <- theta - rate g``."""
        theta -= rate * gradient

    def momentum(self, theta, gradient, velocity, rate, momentum) -> None:
        """``u <- momentum u + g``, ``theta <- theta - rate u``."""
        velocity *= momentum
        velocity += gradient
        theta -= rate * velocity

    def nesterov(self, theta, gradient, velocity, rate, momentum) -> None:
        """``u <- momentum u + g``, ``theta <- theta - rate (g + momentum u)``."""
        velocity *= momentum
        velocity += gradient
        theta -= rate * (gradient + momentum * velocity)

    def rmsprop(self, theta, gradient, square, rate, decay, epsilon) -> None:
        """Adagrad's step, with ``s <- decay s + (1 - decay) g**2``."""
        square *= decay
        square += (1.0 - decay) * gradient * gradient
        theta -= rate * gradient / (self.xp.sqrt(square) + epsilon)

    def adagrad(self, theta, gradient, total, rate, epsilon) -> None:
        """``s <- s + g**2``, ``theta <- theta - rate g / (sqrt(s) + epsilon)``."""
        total += gradient * gradient
        theta -= rate * gradient / (self.xp.sqrt(total) + epsilon)

    def adam(self, theta, gradient, mean, square, rate, beta_1, beta_2, root, epsilon) -> None:
        """Adam's step: ``theta <- theta - rate m / (root sqrt(s) + epsilon)``.

        Before it ``m <- beta_1 m + (1 - beta_1) g`` and ``s <- beta_2 s + (1 - beta_2) g**2``. The
        caller corrects for their start at zero, by ``rate`` and ``root``.
        """
        mean *= beta_1
        mean += (1.0 - beta_1) * gradient
        square *= beta_2
        square += (1.0 - beta_2) * gradient * gradient
        theta -= rate * mean / (root * self.xp.sqrt(square) + epsilon)
