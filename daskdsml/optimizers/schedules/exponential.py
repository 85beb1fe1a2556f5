"""Exponential decay. Found by name."""

from __future__ import annotations

from typing import NamedTuple

from daskdsml.utils.validation import check_number


class Exponential(NamedTuple):
    """``decay**epoch``, the epochs counted from 0.

    Parameters
    ----------
    decay : float above 0 and at most 1
        What an epoch leaves of the learning rate.

    References
    ----------
    Senior, A., Heigold, G., Ranzato, M. and Yang, K. (2013). An empirical study of learning rates
    in deep neural networks for speech recognition. Proceedings of ICASSP.
    """

    decay: float = 0.95

    def factor(self, step: int, epoch: int, n_steps: int) -> float:
        """The factor all through ``epoch``; ValueError for settings out of range."""
        check_number(self, "decay", 0, strict=True, high=1)
        return self.decay**epoch
