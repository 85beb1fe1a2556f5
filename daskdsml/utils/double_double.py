"""Sums and products in twice the working precision; solvers and passes may import it.

A number is a pair (high, low) of float64 whose unevaluated sum it is, with some 104 bits. Nothing
here may be reordered or fused, so it is plain NumPy.

References
----------
Dekker, T. J. (1971). A floating-point technique for extending the available precision. Numerische
Mathematik 18, 224-242.
Ogita, T., Rump, S. M. and Oishi, S. (2005). Accurate sum and dot product. SIAM J. Sci. Comput.
26(6), 1955-1988.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

SPLITTER = 2.0**27 + 1.0


class Double(NamedTuple):
    """``high + low``, arrays of one shape."""

    high: np.ndarray
    low: np.ndarray

    def __add__(self, other: Double) -> Double:
        high, error = two_sum(self.high, other.high)
        return Double(*quick_two_sum(high, error + (self.low + other.low)))

    def __neg__(self) -> Double:
        return Double(-self.high, -self.low)

    def times(self, factor: np.ndarray | float) -> Double:
        """The product with an array of plain float64."""
        high, error = two_product(self.high, factor)
        return Double(*quick_two_sum(high, error + self.low * factor))

    def sum(self, axis: int = 0) -> Double:
        """The sum over an axis, by halves."""
        high, low = np.moveaxis(self.high, axis, 0), np.moveaxis(self.low, axis, 0)
        if not len(high):
            return Double(np.zeros(high.shape[1:]), np.zeros(high.shape[1:]))
        while len(high) > 1:
            half = len(high) // 2
            total, error = two_sum(high[:half], high[half : 2 * half])
            error += low[:half] + low[half : 2 * half]
            high = np.concatenate([total, high[2 * half :]])
            low = np.concatenate([error, low[2 * half :]])
        return Double(*quick_two_sum(high[0], low[0]))


def double(array: npt.ArrayLike) -> Double:
    """An array of float64 as it is."""
    array = np.asarray(array, dtype=np.float64)
    return Double(array, np.zeros_like(array))


def two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``a + b`` rounded, and the rounding error, exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def quick_two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `two_sum`, where ``|a| >= |b|``."""
    total = a + b
    return total, b - (total - a)


def two_product(a: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
    """``a * b`` rounded, and the rounding error, exactly."""
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def _split(a):
    spread = SPLITTER * a
    high = spread - (spread - a)
    return high, a - high
