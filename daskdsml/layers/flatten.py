"""Rows of any shape as vectors."""

from __future__ import annotations

import math
from typing import ClassVar

from daskdsml.layers._settings import layer


@layer
class Flatten:
    """Rows of any shape as vectors ``(n, prod(shape))``, the last axis running fastest.

    Entry (c, y, x) of an image (C, H, W) becomes entry ``(c H + y) W + x``.
    """

    penalised: ClassVar[frozenset[str]] = frozenset()
    collective = False

    def init(self, rng, in_shape):
        """No parameters, and the shape (prod(in_shape),)."""
        return {}, (math.prod(in_shape),)

    def forward(self, kernels, params, x, step):
        """Vectors (n, prod(shape)) and the tape."""
        return x.reshape(len(x), math.prod(x.shape[1:])), x.shape

    def backward(self, kernels, params, tape, dout, grads, step):
        """Gradient in the rows, in their shape, or None."""
        return dout.reshape(tape) if step.inner else None
