"""Value, gradient and Hessian of a summed loss at one parameter vector."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class At(NamedTuple):
    """Where, with what and on which device to evaluate a loss; ``coef (p,)`` float64."""

    backend: Any
    loss: Any
    coef: np.ndarray
    intercept: float
    hessian: bool


class Gradient(NamedTuple):
    """Sums over rows: ``sum w_i loss_i`` and its derivatives (p + 1,), (p + 1, p + 1) or None."""

    value: float
    gradient: np.ndarray
    hessian: np.ndarray | None

    def __add__(self, other: Gradient) -> Gradient:
        hessian = None if self.hessian is None else self.hessian + other.hessian
        return Gradient(self.value + other.value, self.gradient + other.gradient, hessian)


def gradient(at: At, block) -> Gradient:
    """Kernel: what one block adds."""
    part = at.backend.gradient(at.loss, block, at.coef, at.intercept, at.hessian)
    return Gradient(*part)
