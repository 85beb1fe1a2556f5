"""Kernels of optimizers in compiled loops: one walk through the arrays for a step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from daskdsml.backends import _scalar
from daskdsml.backends._compile import FAST, kernel

INLINE: Any = {"forceinline": True, **FAST}


@kernel
def _scale(gradient, factor):
    factor = gradient.dtype.type(factor)
    for j in range(gradient.size):
        gradient[j] *= factor


@kernel
def _complete(gradient, theta, scale, factor, l1, l2):
    real = theta.dtype.type
    factor, slope_1, slope_2 = real(factor), real(l1), real(l2)
    sizes = squares = norm = 0.0
    for j in range(theta.size):
        g = factor * gradient[j] + scale[j] * slope_2 * theta[j]
        # LLVM takes the branch out of the loop: few penalties have an l1.
        if slope_1 != 0:
            g += scale[j] * slope_1 * _scalar.sign(theta[j])
            sizes += np.float64(scale[j] * math.fabs(theta[j]))
        squares += np.float64(scale[j] * theta[j]) * np.float64(theta[j])
        norm += np.float64(g) * np.float64(g)
        gradient[j] = g
    return l1 * sizes + 0.5 * l2 * squares, norm


def _moved(optimizer, g, theta, slots, numbers): ...


@overload(_moved, jit_options=INLINE)
def _moved_overload(optimizer, g, theta, slots, numbers):
    """Call the optimizer's ``move`` for one parameter, in the parameter's precision."""
    real = np.float32 if theta == types.float32 else float
    move = _scalar.in_precision(optimizer.instance_class.move, real)
    function = njit(**INLINE)(move)
    return lambda optimizer, g, theta, slots, numbers: function(_scalar, g, theta, *slots, *numbers)


def _update(optimizer, theta, gradient, slots, numbers): ...


@overload(_update, jit_options=FAST)
def _update_overload(optimizer, theta, gradient, slots, numbers):
    """The loop over parameters, for each number of slots: what a loop unpacks must be known."""
    n_slots = len(slots)

    def none(optimizer, theta, gradient, slots, numbers):
        for j in range(theta.size):
            (theta[j],) = _moved(optimizer, gradient[j], theta[j], (), numbers)

    def one(optimizer, theta, gradient, slots, numbers):
        a = slots[0]
        for j in range(theta.size):
            theta[j], a[j] = _moved(optimizer, gradient[j], theta[j], (a[j],), numbers)

    def two(optimizer, theta, gradient, slots, numbers):
        a, b = slots
        for j in range(theta.size):
            moved = _moved(optimizer, gradient[j], theta[j], (a[j], b[j]), numbers)
            theta[j], a[j], b[j] = moved

    return (none, one, two)[n_slots]


@kernel
def _walk(optimizer, theta, gradient, slots, numbers):
    _update(optimizer, theta, gradient, slots, numbers)


class NumbaUpdates:
    """Compiled kernels of optimizers; what they compute stands at `ArrayUpdates`."""

    complete = staticmethod(_complete)
    scale = staticmethod(_scale)

    @staticmethod
    def update(optimizer, theta, gradient, slots, numbers) -> None:
        numbers = tuple(map(theta.dtype.type, numbers))
        _walk(optimizer, theta, gradient, slots, numbers)
