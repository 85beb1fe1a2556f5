"""Kernels of layers on the CPU: matrix products by BLAS, all between them in compiled loops."""

from __future__ import annotations

import numpy as np

from daskdsml.backends._layers.array import ArrayKernels
from daskdsml.backends._layers.numba_convolution import NumbaConvolution
from daskdsml.backends._layers.numba_dense import NumbaDense
from daskdsml.backends._layers.numba_recurrent import NumbaRecurrent
from daskdsml.backends._layers.numba_updates import NumbaUpdates


class CompiledKernels(NumbaDense, NumbaConvolution, NumbaRecurrent, NumbaUpdates, ArrayKernels):
    """What differs from the plain kernels is compiled; all else is theirs."""

    def __init__(self):
        super().__init__(np)
