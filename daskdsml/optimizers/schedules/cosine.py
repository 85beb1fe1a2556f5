"""Half a wave of a cosine, from a slow start on. Found by name."""

from __future__ import annotations

import math
from typing import NamedTuple

from daskdsml.utils.validation import check_number


class Cosine(NamedTuple):
    """Up in a line over the first steps, then down to ``floor`` along half a cosine wave.

    With ``s = warmup * n_steps``: ``(step + 1) / (s + 1)`` at the steps before s, and from there on
    ``floor + (1 - floor) (1 + cos(pi u)) / 2`` with ``u = (step - s) / (n_steps - s)``; ``floor``
    after the last of the steps that were planned.

    Parameters
    ----------
    floor : float from 0 to 1
    warmup : float from 0 to below 1
        The share of all steps in which the learning rate rises. Steps of Adam and its kin are
        least sure at first, when they have seen few gradients.

    References
    ----------
    Loshchilov, I. and Hutter, F. (2017). SGDR: stochastic gradient descent with warm restarts.
    ICLR.
    Goyal, P. et al. (2017). Accurate, large minibatch SGD: training ImageNet in 1 hour.
    arXiv:1706.02677.
    """

    floor: float = 0.0
    warmup: float = 0.0

    def factor(self, step: int, epoch: int, n_steps: int) -> float:
        """The factor at ``step`` of ``n_steps``; ValueError for settings out of range."""
        check_number(self, "floor", 0, high=1)
        check_number(self, "warmup", 0, below=1)
        rising = self.warmup * n_steps
        if step < rising:
            return (step + 1.0) / (rising + 1.0)
        done = (step - rising) / (n_steps - rising) if step < n_steps else 1.0
        return self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * done))
