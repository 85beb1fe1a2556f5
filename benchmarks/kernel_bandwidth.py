"""GB/s of the fused dense gradient against that of a plain sum over the same array, one thread.

Run ``python benchmarks/kernel_bandwidth.py [rows] [columns]``. Both count as one read of X.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from numba import njit

from daskdsml.backends import _kernels
from daskdsml.losses.logistic import Logistic
from daskdsml.losses.squared_error import SquaredError

FAST = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}


@njit(**FAST)
def sum_in_one(X):
    """One running sum; the better form for float64."""
    total = X.dtype.type(0)
    for i in range(len(X)):
        x = X[i]
        for j in range(x.size):
            total += x[j]
    return total


@njit(**FAST)
def sum_by_rows(X):
    """A sum for each row; the better form for float32, by up to half."""
    total = 0.0
    for i in range(len(X)):
        x = X[i]
        row = X.dtype.type(0)
        for j in range(x.size):
            row += x[j]
        total += row
    return total


def seconds(calls, repetitions):
    """Median seconds of each of ``calls``, taken in turns after one call that compiles."""
    taken = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repetitions):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - start)
    return {name: float(np.median(times)) for name, times in taken.items()}


def measure(n=1_000_000, p=100, repetitions=9):
    """Return one dict for each precision and kernel: ``dtype``, ``kernel``, ``gb_s``, ``ratio``.

    ``ratio`` is relative to the faster of two forms of the plain sum.
    """
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, size=n).astype(float)
    lines = []
    for real in (np.float64, np.float32):
        X = rng.standard_normal((n, p), dtype=real)
        coef = (rng.normal(size=p) / np.sqrt(p)).astype(real)
        grad = np.zeros(p)
        calls = {"sum in one": lambda X=X: sum_in_one(X), "sum by rows": lambda X=X: sum_by_rows(X)}
        for loss in (Logistic(), SquaredError()):
            arguments = (loss, X, y, None, coef, 0.1, grad)
            name = type(loss).__name__
            calls[name] = lambda arguments=arguments: _kernels.dense_gradient(*arguments)
        rates = {name: X.nbytes / s / 1e9 for name, s in seconds(calls, repetitions).items()}
        plain = max(rates.pop("sum in one"), rates.pop("sum by rows"))
        for name, rate in {"plain sum": plain, **rates}.items():
            found = {"dtype": real.__name__, "kernel": name, "gb_s": rate, "ratio": rate / plain}
            lines.append(found)
    return lines


if __name__ == "__main__":
    for line in measure(*map(int, sys.argv[1:3])):
        print("{dtype:8s} {kernel:14s} {gb_s:6.1f} GB/s {ratio:6.2f}".format(**line))
