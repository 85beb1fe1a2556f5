"""RMSProp. Found by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.utils.validation import check_number


class _State(NamedTuple):
    """Where it stands: parameters ``theta (d,)`` and ``square (d,)``, the mean of ``g**2``."""

    theta: np.ndarray
    square: np.ndarray


class RMSProp(NamedTuple):
    """Each parameter's gradient is divided by the root of its recent mean square.

    ``s <- decay s + (1 - decay) g**2`` and ``theta <- theta - learning_rate g / (sqrt(s) +
    epsilon)``, from ``s = 0``.

    Parameters
    ----------
    learning_rate : float above 0
        About the length of a step in each parameter.
    decay : float from 0 to below 1
    epsilon : float above 0
        Keeps steps short where gradients vanish.

    References
    ----------
    Tieleman, T. and Hinton, G. (2012). Lecture 6.5: rmsprop. Coursera: Neural Networks for Machine
    Learning.
    """

    learning_rate: float = 0.01
    decay: float = 0.9
    epsilon: float = 1e-8

    def init(self, theta) -> _State:
        """The state at ``theta``, which the steps change; ValueError for settings out of range."""
        check_number(self, "learning_rate", 0, strict=True, high=np.finfo(float).max)
        check_number(self, "decay", 0, below=1)
        check_number(self, "epsilon", 0, strict=True, high=np.finfo(float).max)
        return _State(theta, np.zeros_like(theta))

    def update(self, kernels, state: _State, gradient, factor=1.0) -> _State:
        """The state after a step of ``factor`` times the learning rate."""
        numbers = factor * self.learning_rate, self.decay, 1.0 - self.decay, self.epsilon
        kernels.update(self, state.theta, gradient, (state.square,), numbers)
        return state

    @staticmethod
    def move(xp, g, theta, square, rate, decay, share, epsilon):
        """One parameter's step; see `Optimizer`."""
        square = decay * square + share * g * g
        return theta - rate * g / (xp.sqrt(square) + epsilon), square
