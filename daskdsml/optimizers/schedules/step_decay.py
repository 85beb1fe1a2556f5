"""Decay in jumps. Found by name."""

from __future__ import annotations

from typing import NamedTuple

from daskdsml.utils.validation import check_number


class StepDecay(NamedTuple):
    """``decay**(epoch // every)``, the epochs counted from 0.

    Parameters
    ----------
    every : int of at least 1
        Epochs between jumps.
    decay : float above 0 and at most 1
        What a jump leaves of the learning rate.

    References
    ----------
    He, K., Zhang, X., Ren, S. and Sun, J. (2016). Deep residual learning for image recognition.
    Proceedings of CVPR.
    """

    every: int = 10
    decay: float = 0.5

    def factor(self, step: int, epoch: int, n_steps: int) -> float:
        """The factor all through ``epoch``; ValueError for settings out of range."""
        check_number(self, "every", 1, integer=True)
        check_number(self, "decay", 0, strict=True, high=1)
        return self.decay ** (epoch // self.every)
