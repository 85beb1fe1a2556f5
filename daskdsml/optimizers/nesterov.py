"""Nesterov's accelerated gradient. Found by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.utils.validation import check_number


class _State(NamedTuple):
    """Where it stands: parameters ``theta (d,)`` and ``velocity (d,)``, the sum of gradients."""

    theta: np.ndarray
    velocity: np.ndarray


class Nesterov(NamedTuple):
    """Momentum whose steps look ahead to where the velocity will lead.

    ``u <- momentum u + g`` and ``theta <- theta - learning_rate (g + momentum u)``, from ``u = 0``:
    Nesterov's method in the point at which gradients are taken, so that the network need not move.

    Parameters
    ----------
    learning_rate : float above 0
    momentum : float from 0 to 1
        What is left of the velocity after a step; gradients that agree make steps
        ``1 / (1 - momentum)`` times as long, and with 1 longer for ever.

    References
    ----------
    Nesterov, Y. (1983). A method of solving a convex programming problem with convergence rate
    O(1/k^2). Soviet Mathematics Doklady 27(2), 372-376.
    Sutskever, I., Martens, J., Dahl, G. and Hinton, G. (2013). On the importance of initialization
    and momentum in deep learning. Proceedings of ICML.
    """

    learning_rate: float = 0.1
    momentum: float = 0.9

    def init(self, theta) -> _State:
        """The state at ``theta``, which the steps change; ValueError for settings out of range."""
        check_number(self, "learning_rate", 0, strict=True, high=np.finfo(float).max)
        check_number(self, "momentum", 0, high=1)
        return _State(theta, np.zeros_like(theta))

    def update(self, kernels, state: _State, gradient, factor=1.0) -> _State:
        """The state after a step of ``factor`` times the learning rate."""
        numbers = factor * self.learning_rate, self.momentum
        kernels.update(self, state.theta, gradient, (state.velocity,), numbers)
        return state

    @staticmethod
    def move(xp, g, theta, velocity, rate, momentum):
        """One parameter's step; see `Optimizer`."""
        velocity = momentum * velocity + g
        return theta - rate * (g + momentum * velocity), velocity
