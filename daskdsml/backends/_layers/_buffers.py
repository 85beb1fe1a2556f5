"""The buffers of BLAS, into which it copies parts of matrices."""

from __future__ import annotations

import threading

import numpy as np
from scipy.linalg import blas

_thread = threading.local()


def touch_buffers() -> None:
    """Have BLAS write to all of its buffers, once for a thread, by products of 10 ms.

    OpenBLAS reads ahead of what it has copied there. Into pages that nothing was ever written to
    that fails each time: a product with an inner dimension of 256 then runs at 10 GFlop/s, for
    good, and at 32 after one product that fills the buffers. NumPy has a BLAS of its own; that of
    SciPy is the one that compiled loops call.
    """
    if getattr(_thread, "touched", False):
        return
    a, b = np.ones((512, 320), np.float32), np.ones((320, 1024), np.float32)
    np.matmul(a, b)
    # In the order of columns, to BLAS the same product.
    blas.sgemm(1.0, b.T, a.T)
    _thread.touched = True
