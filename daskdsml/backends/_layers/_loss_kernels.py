"""Compiled losses of mini-batches. Arrays are C-contiguous; sums are float64."""

from __future__ import annotations

import numpy as np
from numba import njit

from daskdsml.backends import _scalar
from daskdsml.backends._kernels import FAST, _value_and_derivative, kernel


@njit(**FAST)
def _shift(z, dz):
    """Write the distances of a row's scores from the largest into ``dz``; return where that is."""
    top = 0
    for k in range(1, z.size):
        if z[k] > z[top]:
            top = k
    for k in range(z.size):
        dz[k] = z[k] - z[top]
    return top


@njit(**FAST)
def _exponentials(flat):
    for i in range(flat.size):
        flat[i] = _scalar.exp(flat[i])


@njit(**FAST)
def _without(powers, top):
    """Sum of all powers but the largest, which is 1: so a small loss keeps its digits."""
    rest = powers.dtype.type(0)
    for k in range(powers.size):
        rest += _scalar.where(k == top, powers.dtype.type(0), powers[k])
    return rest


@kernel
def softmax_loss(y, z, w, dz):
    """Cross-entropy (n,) of the softmax of ``z (n, K)`` with codes ``y (n,)``, times weights.

    Writes its derivative into ``dz (n, K)``. ``w (n,)`` may be None. All exponentials are made in
    one loop, as those of a row of a few scores would leave the vector lanes empty.
    """
    n, K = z.shape
    real = z.dtype.type
    one = real(1)
    losses = np.empty(n, np.float64)
    tops = np.empty(n, np.int64)
    for i in range(n):
        tops[i] = _shift(z[i], dz[i])
    _exponentials(dz.reshape(n * K))
    for i in range(n):
        weight = one if w is None else real(w[i])
        row = dz[i]
        rest = _without(row, tops[i])
        value = _scalar.log1p(rest) + z[i, tops[i]]
        factor = weight / (one + rest)
        for k in range(K):
            row[k] *= factor
        code = int(y[i])
        if 0 <= code < K:
            value -= z[i, code]
            row[code] -= weight
        if weight != real(0):
            losses[i] = weight * value
        else:  # what has no weight is zero, even where the loss is infinite
            row[:], losses[i] = real(0), 0.0
    return losses


@kernel
def outputs_loss(loss, y, z, w, dz):
    """Loss (n,) of ``z (n, K)`` with targets ``y (n, K)``, the mean over outputs, times weights.

    Writes its derivative into ``dz (n, K)``. ``w (n,)`` may be None.
    """
    n, K = z.shape
    real = z.dtype.type
    share = real(1) / real(K)
    of_rows, losses = np.zeros(n, np.float64), np.empty(n * K, z.dtype)
    scores, targets, slopes = z.reshape(n * K), y.reshape(n * K), dz.reshape(n * K)
    for i in range(losses.size):
        value, slope = _value_and_derivative(loss, targets[i], scores[i])
        losses[i] = value
        slopes[i] = share * slope
    for i in range(n):
        weight = real(1) if w is None else real(w[i])
        if weight != real(0):
            for k in range(K):
                of_rows[i] += np.float64(weight * losses[i * K + k])
                dz[i, k] *= weight
            of_rows[i] /= K
        else:  # what has no weight is zero, even where the loss is infinite
            dz[i] = real(0)
    return of_rows
