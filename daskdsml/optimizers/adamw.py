"""AdamW. Found by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.utils.validation import check_number


class _State(NamedTuple):
    """Where it stands after ``steps``: ``theta (d,)``, means of ``g`` and ``g**2``, each (d,)."""

    theta: np.ndarray
    mean: np.ndarray
    square: np.ndarray
    steps: int = 0


class AdamW(NamedTuple):
    """Adam, with weights that decay by themselves rather than through the gradient.

    ``theta <- (1 - learning_rate weight_decay) theta``, and then the step of `Adam`: unlike a
    penalty's gradient, the decay is not divided by the root of the mean square. All parameters
    decay, biases too; both rates follow the schedule.

    Parameters
    ----------
    learning_rate : float above 0
        About the length of a step in each parameter.
    beta_1, beta_2 : float from 0 to below 1
    epsilon : float above 0
        Keeps steps short where gradients vanish.
    weight_decay : float of at least 0

    References
    ----------
    Loshchilov, I. and Hutter, F. (2019). Decoupled weight decay regularization. ICLR.
    """

    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01

    def init(self, theta) -> _State:
        """The state at ``theta``, which the steps change; ValueError for settings out of range."""
        check_number(self, "learning_rate", 0, strict=True, high=np.finfo(float).max)
        check_number(self, "beta_1", 0, below=1)
        check_number(self, "beta_2", 0, below=1)
        check_number(self, "epsilon", 0, strict=True, high=np.finfo(float).max)
        check_number(self, "weight_decay", 0, high=np.finfo(float).max)
        return _State(theta, np.zeros_like(theta), np.zeros_like(theta))

    def update(self, kernels, state: _State, gradient, factor=1.0) -> _State:
        """The state after a step of ``factor`` times the learning rate."""
        steps = state.steps + 1
        rate = factor * self.learning_rate / (1.0 - self.beta_1**steps)
        kept = 1.0 - factor * self.learning_rate * self.weight_decay
        root = (1.0 - self.beta_2**steps) ** -0.5
        betas = self.beta_1, 1.0 - self.beta_1, self.beta_2, 1.0 - self.beta_2
        slots, numbers = (state.mean, state.square), (kept, rate, *betas, root, self.epsilon)
        kernels.update(self, state.theta, gradient, slots, numbers)
        return state._replace(steps=steps)

    @staticmethod
    def move(
        xp, g, theta, mean, square, kept, rate, beta_1, share_1, beta_2, share_2, root, epsilon
    ):
        """One parameter's step; see `Optimizer`."""
        mean = beta_1 * mean + share_1 * g
        square = beta_2 * square + share_2 * g * g
        return kept * theta - rate * mean / (root * xp.sqrt(square) + epsilon), mean, square
