"""The buffers of BLAS, into which it copies parts of matrices."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier

import numpy as np
from scipy.linalg import blas


@lru_cache(maxsize=1)
def touch_buffers() -> None:
    """Have BLAS write to all of its buffers, once for a process, by products of 10 ms.

    OpenBLAS reads ahead of what it has copied there. Into pages that nothing was ever written to
    that fails each time: a product with an inner dimension of 256 then runs at 10 GFlop/s, for
    good, and at 32 after one product that fills the buffers. It takes the first buffer that no
    other product uses, so as many products as there are cores are made at the same time.
    """
    n_threads = os.cpu_count() or 1
    barrier = Barrier(n_threads)
    with ThreadPoolExecutor(n_threads, thread_name_prefix="daskdsml-touch") as threads:
        list(threads.map(_touch, [barrier] * n_threads))


def _touch(barrier) -> None:
    a, b = np.ones((512, 320), np.float32), np.ones((320, 1024), np.float32)
    barrier.wait()
    np.matmul(a, b)
    barrier.wait()
    # NumPy has a BLAS of its own; that of SciPy is the one that compiled loops call. In the order
    # of columns, to BLAS it is the same product.
    blas.sgemm(1.0, b.T, a.T)
