"""Compiled loops of recurrent layers: all time steps of a batch in one call.

Arrays are those of `ArrayRecurrent`, all C-contiguous and of one precision; ``dx`` and ``norms``
are empty where nobody wants them. ``slopes (C, n, G u)`` holds those of C steps only, so that they
are still in the cache when a product gathers what these steps add to the gradient. Matrix products
are those of BLAS. A loop writes one array and reads few: LLVM has to compare the places of all
arrays of a loop before it may use vector instructions, and gives up where these are many.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from daskdsml.backends import _scalar
from daskdsml.backends._kernels import FAST, _kernel

# Of a product over more rows, what BLAS packs leaves the second-level cache: with another process
# on the same core it then took three times as long, and was no quicker without.
TILE_ROWS = 128


@njit(**FAST)
def _tanh(a, b):
    """Replace ``a`` by tanh(a + b)."""
    for j in range(a.size):
        a[j] = _scalar.tanh(a[j] + b[j])


@njit(**FAST)
def _logistic(a, b):
    """Replace ``a`` by the logistic function of a + b."""
    half = a.dtype.type(0.5)
    for j in range(a.size):
        a[j] = half * _scalar.tanh(half * (a[j] + b[j])) + half


@njit(**FAST)
def _copy(source, target):
    for j in range(target.size):
        target[j] = source[j]


@njit(**FAST)
def _clear(target):
    for j in range(target.size):
        target[j] = 0


@njit(**FAST)
def _take(before, counts, dh):
    """Go one step back where steps count; the others hand the gradient on as it is."""
    for i in range(counts.size):
        if counts[i]:
            _copy(before[i], dh[i])


@njit(**FAST)
def _meet(t, steps, dsteps, dh, norms):
    """Add the loss's gradient in state t itself to what comes from later states, ``dh``."""
    first = steps - len(dsteps)
    if t >= first:
        own, total = dsteps[t - first].reshape(-1), dh.reshape(-1)
        for j in range(total.size):
            total[j] += own[j]
    if norms.size:
        squares = 0.0
        for own in dh.reshape(-1):
            squares += np.float64(own) * np.float64(own)
        norms[t] = math.sqrt(squares)


@njit(**FAST)
def _add(rest, total):
    flat, target = rest.reshape(-1), total.reshape(-1)
    for j in range(target.size):
        target[j] += flat[j]


@njit(**FAST)
def _add_rows(rows, total):
    for i in range(len(rows)):
        row = rows[i]
        for j in range(row.size):
            total[j] += row[j]


@njit(**FAST)
def _gather(inputs, slopes, weights, dweights, dbias, dx):
    """Add to the gradients what some steps' ``slopes`` in the sums of the gates give."""
    p = dx.shape[2]
    S = slopes.reshape(-1, slopes.shape[2])
    X, dX = inputs.reshape(len(S), -1), dx.reshape(-1, p)
    for start in range(0, len(S), TILE_ROWS):
        part = slice(start, min(start + TILE_ROWS, len(S)))
        _add(np.dot(X[part].T, S[part]), dweights)
        _add_rows(S[part], dbias)
        if p:
            _add(np.dot(S[part], weights[:p].T), dX[part])


@_kernel
def elman_forward(joined, weights, bias, mask, sums):
    p = joined.shape[2] - bias.size
    for t in range(len(mask)):
        np.dot(joined[t], weights, sums)
        for i in range(len(sums)):
            if mask[t, i]:
                _tanh(sums[i], bias)
                _copy(sums[i], joined[t + 1, i, p:])
            else:
                _copy(joined[t, i, p:], joined[t + 1, i, p:])


@njit(**FAST)
def _elman_slopes(h, dh, slope):
    one = h.dtype.type(1)
    for j in range(h.size):
        slope[j] = dh[j] * (one - h[j] * h[j])


@_kernel
def elman_backward(joined, weights, mask, dsteps, dh, dweights, dbias, dx, norms, slopes):
    steps, chunk, p = len(mask), len(slopes), joined.shape[2] - dh.shape[1]
    before = np.empty_like(dh)
    for t in range(steps - 1, -1, -1):
        _meet(t, steps, dsteps, dh, norms)
        slope = slopes[t % chunk]
        for i in range(len(dh)):
            if mask[t, i]:
                _elman_slopes(joined[t + 1, i, p:], dh[i], slope[i])
            else:
                _clear(slope[i])
        np.dot(slope, weights[p:].T, before)
        _take(before, mask[t], dh)
        if t % chunk == 0:
            stop = min(t + chunk, steps)
            _gather(joined[t:stop], slopes[: stop - t], weights, dweights, dbias, dx[t:stop])


@njit(**FAST)
def _cell(gates, before, cell):
    u = cell.size
    i, f, g = gates[:u], gates[u : 2 * u], gates[2 * u : 3 * u]
    for j in range(u):
        cell[j] = f[j] * before[j] + i[j] * g[j]


@njit(**FAST)
def _squash(cell, squashed):
    for j in range(cell.size):
        squashed[j] = _scalar.tanh(cell[j])


@njit(**FAST)
def _product(a, b, out):
    for j in range(a.size):
        out[j] = a[j] * b[j]


@njit(**FAST)
def _lstm_gates(gates, bias, u):
    _logistic(gates[: 2 * u], bias[: 2 * u])
    _tanh(gates[2 * u : 3 * u], bias[2 * u : 3 * u])
    _logistic(gates[3 * u :], bias[3 * u :])


@_kernel
def lstm_forward(joined, weights, bias, mask, gates, cells, squashed):
    u = cells.shape[2]
    p = joined.shape[2] - u
    for t in range(len(mask)):
        np.dot(joined[t], weights, gates[t])
        for i in range(mask.shape[1]):
            if mask[t, i]:
                row = gates[t, i]
                _lstm_gates(row, bias, u)
                _cell(row, cells[t, i], cells[t + 1, i])
                _squash(cells[t + 1, i], squashed[t, i])
                _product(row[3 * u :], squashed[t, i], joined[t + 1, i, p:])
            else:
                _copy(cells[t, i], cells[t + 1, i])
                _copy(joined[t, i, p:], joined[t + 1, i, p:])


@njit(**FAST)
def _through_logistic(a, b, gate, slope):
    """Write ``a b gate'``, for a gate that is a logistic function."""
    one = gate.dtype.type(1)
    for j in range(gate.size):
        slope[j] = a[j] * b[j] * (gate[j] * (one - gate[j]))


@njit(**FAST)
def _through_tanh(a, b, gate, slope):
    """Write ``a b gate'``, for a gate that is a tanh."""
    one = gate.dtype.type(1)
    for j in range(gate.size):
        slope[j] = a[j] * b[j] * (one - gate[j] * gate[j])


@njit(**FAST)
def _add_through_tanh(a, b, gate, total):
    one = gate.dtype.type(1)
    for j in range(gate.size):
        total[j] += a[j] * b[j] * (one - gate[j] * gate[j])


@njit(**FAST)
def _lstm_slopes(gates, before, squashed, dh, dc, slope):
    u = dh.size
    i, f, g, o = gates[:u], gates[u : 2 * u], gates[2 * u : 3 * u], gates[3 * u :]
    _add_through_tanh(dh, o, squashed, dc)
    _through_logistic(dc, g, i, slope[:u])
    _through_logistic(dc, before, f, slope[u : 2 * u])
    _through_tanh(dc, i, g, slope[2 * u : 3 * u])
    _through_logistic(dh, squashed, o, slope[3 * u :])
    for j in range(u):
        dc[j] *= f[j]


@_kernel
def lstm_backward(
    joined, weights, mask, gates, cells, squashed,
    dsteps, dh, dc, dweights, dbias, dx, norms, slopes,
):  # fmt: skip
    steps, chunk, p = len(mask), len(slopes), joined.shape[2] - dh.shape[1]
    before = np.empty_like(dh)
    for t in range(steps - 1, -1, -1):
        _meet(t, steps, dsteps, dh, norms)
        slope = slopes[t % chunk]
        for i in range(len(dh)):
            if mask[t, i]:
                _lstm_slopes(gates[t, i], cells[t, i], squashed[t, i], dh[i], dc[i], slope[i])
            else:
                _clear(slope[i])
        np.dot(slope, weights[p:].T, before)
        _take(before, mask[t], dh)
        if t % chunk == 0:
            stop = min(t + chunk, steps)
            _gather(joined[t:stop], slopes[: stop - t], weights, dweights, dbias, dx[t:stop])


@njit(**FAST)
def _mix(z, before, g, h):
    one = z.dtype.type(1)
    for j in range(z.size):
        h[j] = z[j] * before[j] + (one - z[j]) * g[j]


@_kernel
def gru_forward(joined, reset, weights, weights_g, bias, bias_g, mask, gates, g):
    u = g.shape[2]
    p = joined.shape[2] - u
    for t in range(len(mask)):
        np.dot(joined[t], weights, gates[t])
        for i in range(mask.shape[1]):
            _logistic(gates[t, i], bias)
            _product(gates[t, i, u:], joined[t, i, p:], reset[t, i, p:])
        np.dot(reset[t], weights_g, g[t])
        for i in range(mask.shape[1]):
            _tanh(g[t, i], bias_g)
            if mask[t, i]:
                _mix(gates[t, i, :u], joined[t, i, p:], g[t, i], joined[t + 1, i, p:])
            else:
                _copy(joined[t, i, p:], joined[t + 1, i, p:])


@njit(**FAST)
def _candidate_slopes(z, g, dh, slope):
    one = z.dtype.type(1)
    for j in range(z.size):
        slope[j] = dh[j] * (one - z[j]) * (one - g[j] * g[j])


@njit(**FAST)
def _update_slopes(z, h, g, dh, slope):
    one = z.dtype.type(1)
    for j in range(z.size):
        slope[j] = dh[j] * (h[j] - g[j]) * (z[j] * (one - z[j]))


@njit(**FAST)
def _gru_handed_on(z, r, dh, dreset):
    """Write ``dh z + dreset r`` into ``dreset``."""
    for j in range(z.size):
        dreset[j] = dh[j] * z[j] + dreset[j] * r[j]


@_kernel
def gru_backward(
    joined, reset, weights, weights_g, mask, gates, g,
    dsteps, dh, dweights, dweights_g, dbias, dbias_g, dx, norms, slopes, slopes_g,
):  # fmt: skip
    steps, chunk, u = len(mask), len(slopes), dh.shape[1]
    p = joined.shape[2] - u
    before, dreset = np.empty_like(dh), np.empty_like(dh)
    for t in range(steps - 1, -1, -1):
        _meet(t, steps, dsteps, dh, norms)
        slope, slope_g = slopes[t % chunk], slopes_g[t % chunk]
        for i in range(len(dh)):
            if mask[t, i]:
                _candidate_slopes(gates[t, i, :u], g[t, i], dh[i], slope_g[i])
            else:
                _clear(slope_g[i])
        np.dot(slope_g, weights_g[p:].T, dreset)
        for i in range(len(dh)):
            if mask[t, i]:
                z, r, h = gates[t, i, :u], gates[t, i, u:], joined[t, i, p:]
                _update_slopes(z, h, g[t, i], dh[i], slope[i, :u])
                _through_logistic(dreset[i], h, r, slope[i, u:])
                _gru_handed_on(z, r, dh[i], dreset[i])
            else:
                _clear(slope[i])
        np.dot(slope, weights[p:].T, before)
        _add(dreset, before)
        _take(before, mask[t], dh)
        if t % chunk == 0:
            stop = min(t + chunk, steps)
            part = slice(0, stop - t)
            _gather(joined[t:stop], slopes[part], weights, dweights, dbias, dx[t:stop])
            _gather(reset[t:stop], slopes_g[part], weights_g, dweights_g, dbias_g, dx[t:stop])


@_kernel
def scatter_rows(codes, rows, table):
    table[:] = 0
    for i in range(codes.size):
        target, row = table[codes[i]], rows[i]
        for j in range(row.size):
            target[j] += row[j]
