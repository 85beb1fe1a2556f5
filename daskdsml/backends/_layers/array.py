"""Kernels of layers in functions of an array namespace: NumPy on the CPU, CuPy on a card."""

from __future__ import annotations

from daskdsml.backends._layers.array_convolution import ArrayConvolution
from daskdsml.backends._layers.array_dense import ArrayDense
from daskdsml.backends._layers.array_recurrent import ArrayRecurrent
from daskdsml.backends._layers.array_updates import ArrayUpdates


class ArrayKernels(ArrayDense, ArrayConvolution, ArrayRecurrent, ArrayUpdates):
    """The plain kernels. ``xp`` is the namespace its arrays live in."""

    def __init__(self, xp):
        self.xp = xp
