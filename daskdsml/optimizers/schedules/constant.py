"""A learning rate that does not change. Found by name."""

from __future__ import annotations

from typing import NamedTuple


class Constant(NamedTuple):
    """The learning rate as it is: the factor is 1."""

    def factor(self, step: int, epoch: int, n_steps: int) -> float:
        """1 at every step."""
        return 1.0
