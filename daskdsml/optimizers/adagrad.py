"""Adagrad. Found by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.utils.validation import check_number


class _State(NamedTuple):
    """Where it stands: parameters ``theta (d,)`` and ``total (d,)``, the sum of ``g**2``."""

    theta: np.ndarray
    total: np.ndarray


class Adagrad(NamedTuple):
    """Each parameter's gradient is divided by the root of the sum of its squares so far.

    ``s <- s + g**2`` and ``theta <- theta - learning_rate g / (sqrt(s) + epsilon)``, from
    ``s = 0``: the more a parameter has been moved, the shorter its steps.

    Parameters
    ----------
    learning_rate : float above 0
        The length of the first step in each parameter.
    epsilon : float above 0
        Keeps steps short where gradients vanish.

    References
    ----------
    Duchi, J., Hazan, E. and Singer, Y. (2011). Adaptive subgradient methods for online learning and
    stochastic optimization. Journal of Machine Learning Research 12, 2121-2159.
    """

    learning_rate: float = 0.01
    epsilon: float = 1e-10

    def init(self, theta) -> _State:
        """The state at ``theta``, which the steps change; ValueError for settings out of range."""
        check_number(self, "learning_rate", 0, strict=True, high=np.finfo(float).max)
        check_number(self, "epsilon", 0, strict=True, high=np.finfo(float).max)
        return _State(theta, np.zeros_like(theta))

    def update(self, kernels, state: _State, gradient, factor=1.0) -> _State:
        """The state after a step of ``factor`` times the learning rate."""
        numbers = factor * self.learning_rate, self.epsilon
        kernels.update(self, state.theta, gradient, (state.total,), numbers)
        return state

    @staticmethod
    def move(xp, g, theta, total, rate, epsilon):
        """One parameter's step; see `Optimizer`."""
        total = total + g * g
        return theta - rate * g / (xp.sqrt(total) + epsilon), total
