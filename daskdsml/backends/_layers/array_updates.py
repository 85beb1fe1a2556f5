"""Kernels of optimizers in functions of an array namespace."""

from __future__ import annotations

from typing import Any

import numpy as np

# A sum that is infinite or NaN is an answer, which the caller looks at.
SILENT: dict[str, Any] = {"over": "ignore", "invalid": "ignore"}


class ArrayUpdates:
    """Kernels of optimizers; ``self.xp`` is the namespace of the device.

    Parameters may stay in this process's memory while layers run on that. Arrays are (d,),
    contiguous and of one dtype, which numbers take on. A step changes ``theta`` and what the
    optimizer keeps in place, and leaves ``gradient`` as it is.
    """

    xp: Any

    def _namespace(self, theta):
        return np if isinstance(theta, np.ndarray) else self.xp

    @np.errstate(**SILENT)
    def complete(self, gradient, theta, scale, factor, l1, l2) -> tuple[float, float]:
        """``g <- factor g + slopes of the penalty``; return the penalty and ``sum_j g_j**2``.

        The penalty is ``sum_j scale_j (l1 |theta_j| + l2 theta_j**2 / 2)``. Both are summed in
        float64, and are not finite where an entry is not.
        """
        xp, penalty = self._namespace(theta), 0.0
        gradient *= factor
        if l1 or l2:
            gradient += scale * (l1 * xp.sign(theta) + l2 * theta)
            wide = theta.astype("float64")
            penalty = float(scale.astype("float64") @ (l1 * abs(wide) + 0.5 * l2 * wide * wide))
        wide = gradient.astype("float64")
        return penalty, float(wide @ wide)

    def scale(self, gradient, factor) -> None:
        """``g <- factor g``."""
        gradient *= factor

    def update(self, optimizer, theta, gradient, slots, numbers) -> None:
        """Take a step: ``optimizer.move`` of each parameter, its ``slots (d,)`` and ``numbers``."""
        numbers = (theta.dtype.type(number) for number in numbers)
        moved = optimizer.move(self._namespace(theta), gradient, theta, *slots, *numbers)
        for array, new in zip((theta, *slots), moved, strict=True):
            array[...] = new
