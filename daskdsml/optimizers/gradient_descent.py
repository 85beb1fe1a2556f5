"""Gradient descent. Found by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.utils.validation import check_number


class _State(NamedTuple):
    """Where it stands: parameters ``theta (d,)``."""

    theta: np.ndarray


class GradientDescent(NamedTuple):
    """A step down the gradient of each mini-batch: ``theta <- theta - learning_rate g``.

    Parameters
    ----------
    learning_rate : float above 0

    References
    ----------
    Robbins, H. and Monro, S. (1951). A stochastic approximation method. Annals of Mathematical
    Statistics 22(3), 400-407.
    """

    learning_rate: float = 0.1

    def init(self, theta) -> _State:
        """The state at ``theta``, which the steps change; ValueError for settings out of range."""
        check_number(self, "learning_rate", 0, strict=True, high=np.finfo(float).max)
        return _State(theta)

    def update(self, kernels, state: _State, gradient, factor=1.0) -> _State:
        """The state after a step of ``factor`` times the learning rate."""
        rate = (factor * self.learning_rate,)
        kernels.update(self, state.theta, gradient, (), rate)
        return state

    @staticmethod
    def move(xp, g, theta, rate):
        """One parameter's step; see `Optimizer`."""
        return (theta - rate * g,)
