"""Values, gradients and Hessians of a summed loss for many models in one read."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class GradientRequest(NamedTuple):
    """Where, with what and on which device to evaluate a loss, for M models of K outputs.

    ``coef (M, K, p)``, ``intercept (M, K)``; ``member (G, M)`` weighs the rows of each group in
    each model, None is all rows; ``curved`` has a pair (model, columns or None for all) for each
    Hessian that is wanted.
    """

    backend: Any
    loss: Any
    coef: np.ndarray
    intercept: np.ndarray
    member: np.ndarray | None = None
    curved: tuple = ()


class Gradient(NamedTuple):
    """Sums over rows, float64.

    ``value (G, M)``: the summed loss of the rows of each group, whether or not they count for a
    model; ``gradient (M, K, p + 1)``, the intercept last; ``hessians``: one (K (q + 1), K (q + 1))
    of q columns for each pair of `GradientRequest.curved`; ``weights (G,)`` of the rows of each
    group, None where there are none.
    """

    value: np.ndarray
    gradient: np.ndarray
    hessians: tuple = ()
    weights: np.ndarray | None = None

    def __add__(self, other: Gradient) -> Gradient:
        pairs = zip(self.hessians, other.hessians, strict=True)
        return Gradient(
            self.value + other.value,
            self.gradient + other.gradient,
            tuple(mine + theirs for mine, theirs in pairs),
            None if self.weights is None else self.weights + other.weights,
        )


def gradient(at: GradientRequest, block) -> Gradient:
    """Kernel: what one block adds."""
    value, slopes, hessians = at.backend.models(
        at.loss, block, at.coef, at.intercept, at.member, at.curved
    )
    weights = None
    if at.member is not None:
        weights = np.bincount(block.g, block.w, minlength=len(at.member)).astype(np.float64)
    return Gradient(value, slopes, hessians, weights)
