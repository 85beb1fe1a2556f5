"""Lion. Found by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.utils.validation import check_number


class _State(NamedTuple):
    """Where it stands: parameters ``theta (d,)`` and ``mean (d,)``, that of recent gradients."""

    theta: np.ndarray
    mean: np.ndarray


class Lion(NamedTuple):
    """The sign of a mean of recent gradients: all parameters move alike.

    From ``m = 0``: ``theta <- theta - learning_rate (sign(beta_1 m + (1 - beta_1) g) +
    weight_decay theta)``, then ``m <- beta_2 m + (1 - beta_2) g``.

    Parameters
    ----------
    learning_rate : float above 0
        The length of each step in each parameter: a third to a tenth of that for `AdamW`.
    beta_1, beta_2 : float from 0 to below 1
    weight_decay : float of at least 0
        Three to ten times that for `AdamW`. All parameters decay, biases too.

    References
    ----------
    Chen, X. et al. (2023). Symbolic discovery of optimization algorithms. NeurIPS.
    """

    learning_rate: float = 1e-4
    beta_1: float = 0.9
    beta_2: float = 0.99
    weight_decay: float = 0.0

    def init(self, theta) -> _State:
        """The state at ``theta``, which the steps change; ValueError for settings out of range."""
        check_number(self, "learning_rate", 0, strict=True, high=np.finfo(float).max)
        check_number(self, "beta_1", 0, below=1)
        check_number(self, "beta_2", 0, below=1)
        check_number(self, "weight_decay", 0, high=np.finfo(float).max)
        return _State(theta, np.zeros_like(theta))

    def update(self, kernels, state: _State, gradient, factor=1.0) -> _State:
        """The state after a step of ``factor`` times the learning rate."""
        rate = factor * self.learning_rate
        betas = self.beta_1, 1.0 - self.beta_1, self.beta_2, 1.0 - self.beta_2
        numbers = rate, 1.0 - rate * self.weight_decay, *betas
        kernels.update(self, state.theta, gradient, (state.mean,), numbers)
        return state

    @staticmethod
    def move(xp, g, theta, mean, rate, kept, beta_1, share_1, beta_2, share_2):
        """One parameter's step; see `Optimizer`."""
        step = xp.sign(beta_1 * mean + share_1 * g)
        return kept * theta - rate * step, beta_2 * mean + share_2 * g
