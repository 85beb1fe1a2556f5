"""Compiled loops over the maps of channels: batch norm of images.

They compute what those of `_dense_kernels` do, where rows are images (r, K, L) with maps of L
entries, and all else is (K,). All images count: ``counted`` is None.
"""

from __future__ import annotations

import numpy as np

from daskdsml.backends._compile import kernel
from daskdsml.backends._layers._dense_kernels import (
    _back_coefficients,
    _coefficients,
    _gradient,
    _value,
)


@kernel
def norm_sums(x, mean):
    total = np.zeros(x.shape[1])
    for i in range(len(x)):
        for k in range(total.size):
            entries = x[i, k]
            centre = 0.0 if mean is None else mean[k]
            part = 0.0
            for v in range(entries.size):
                distance = np.float64(entries[v]) - centre
                part += distance if mean is None else distance * distance
            total[k] += part
    return total


@kernel
def norm_forward(activation, x, mean, deviation, gamma, beta, out):
    centre, scale, shift = _coefficients(mean, gamma / deviation, beta, x)
    for i in range(len(x)):
        for k in range(centre.size):
            entries, target = x[i, k], out[i, k]
            for v in range(entries.size):
                target[v] = _value(activation, (entries[v] - centre[k]) * scale[k] + shift[k])


@kernel
def norm_slopes(activation, x, mean, deviation, out, dout, dz):
    centre, scale, shift = _coefficients(mean, 1.0 / deviation, np.zeros_like(mean), x)
    total = np.zeros((2, x.shape[1]))
    for i in range(len(x)):
        for k in range(centre.size):
            entries, a, da, target = x[i, k], out[i, k], dout[i, k], dz[i, k]
            plain = crossed = 0.0
            for v in range(entries.size):
                slope = _gradient(activation, a[v], da[v])
                xhat = (entries[v] - centre[k]) * scale[k] + shift[k]
                target[v] = slope
                plain += np.float64(slope)
                crossed += np.float64(slope * xhat)
            total[0, k] += plain
            total[1, k] += crossed
    return total


@kernel
def norm_backward(x, mean, deviation, gamma, means, counted, dz):
    scale, centre, slope, offset = _back_coefficients(mean, deviation, gamma, means, x)
    for i in range(len(x)):
        for k in range(centre.size):
            entries, target = x[i, k], dz[i, k]
            for v in range(entries.size):
                spread = (entries[v] - centre[k]) * slope[k] + offset[k]
                target[v] = target[v] * scale[k] - spread
