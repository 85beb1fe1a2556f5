"""Loops over a row, or the rows, of one time step of a recurrent layer.

A loop writes one array and reads few: LLVM has to compare the places of all arrays of a loop before
it may use vector instructions, and gives up where these are many. Gates come activated where their
slopes are asked for, ``dh`` and ``dc`` are gradients of the loss in states.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from daskdsml.backends import _scalar
from daskdsml.backends._compile import FAST

# A product over so many rows at once: what BLAS copies of them stays in the second-level cache.
TILE_ROWS = 128


@njit(**FAST)
def tanh(a, b):
    """Replace ``a`` by tanh(a + b)."""
    for j in range(a.size):
        a[j] = _scalar.tanh(a[j] + b[j])


@njit(**FAST)
def logistic(a, b):
    """Replace ``a`` by the logistic function of a + b."""
    half = a.dtype.type(0.5)
    for j in range(a.size):
        a[j] = half * _scalar.tanh(half * (a[j] + b[j])) + half


@njit(**FAST)
def copy(source, target):
    for j in range(target.size):
        target[j] = source[j]


@njit(**FAST)
def clear(target):
    for j in range(target.size):
        target[j] = 0


@njit(**FAST)
def take(before, counts, dh):
    """Go one step back where steps count; the others hand the gradient on as it is."""
    for i in range(counts.size):
        if counts[i]:
            copy(before[i], dh[i])


@njit(**FAST)
def add(rest, total):
    flat, target = rest.reshape(-1), total.reshape(-1)
    for j in range(target.size):
        target[j] += flat[j]


@njit(**FAST)
def meet(t, steps, dsteps, dstates, norms):
    """Add the loss's gradient in h after step t to that in ``dstates``, h first."""
    first = steps - len(dsteps)
    if t >= first:
        add(dsteps[t - first], dstates[0])
    if norms.size:
        squares = 0.0
        for dstate in dstates:
            for entry in dstate.reshape(-1):
                squares += np.float64(entry) * np.float64(entry)
        norms[t] = math.sqrt(squares)


@njit(**FAST)
def add_rows(rows, total):
    for i in range(len(rows)):
        row = rows[i]
        for j in range(row.size):
            total[j] += row[j]


@njit(**FAST)
def gather(inputs, slopes, weights, gathered, dweights, dbias, dx):
    """Add to the gradients what some steps' ``slopes`` in the sums of the gates give."""
    p = dx.shape[2]
    S = slopes.reshape(-1, slopes.shape[2])
    X, dX = inputs.reshape(len(S), -1), dx.reshape(-1, p)
    for start in range(0, len(S), TILE_ROWS):
        part = slice(start, min(start + TILE_ROWS, len(S)))
        np.dot(X[part].T, S[part], gathered)
        add(gathered, dweights)
        add_rows(S[part], dbias)
        if p:
            add(np.dot(S[part], weights[:p].T), dX[part])


@njit(**FAST)
def gather_steps(t, steps, inputs, slopes, weights, gathered, dweights, dbias, dx):
    """`gather` what stands in ``slopes`` once they are full, or all steps are done."""
    chunk = len(slopes)
    if t % chunk == 0:
        stop = min(t + chunk, steps)
        part = slopes[: stop - t]
        gather(inputs[t:stop], part, weights, gathered, dweights, dbias, dx[t:stop])


@njit(**FAST)
def elman_slopes(h, dh, slope):
    one = h.dtype.type(1)
    for j in range(h.size):
        slope[j] = dh[j] * (one - h[j] * h[j])


@njit(**FAST)
def cell(gates, before, cell):
    u = cell.size
    i, f, g = gates[:u], gates[u : 2 * u], gates[2 * u : 3 * u]
    for j in range(u):
        cell[j] = f[j] * before[j] + i[j] * g[j]


@njit(**FAST)
def squash(cell, squashed):
    for j in range(cell.size):
        squashed[j] = _scalar.tanh(cell[j])


@njit(**FAST)
def product(a, b, out):
    for j in range(a.size):
        out[j] = a[j] * b[j]


@njit(**FAST)
def lstm_gates(gates, bias, u):
    logistic(gates[: 2 * u], bias[: 2 * u])
    tanh(gates[2 * u : 3 * u], bias[2 * u : 3 * u])
    logistic(gates[3 * u :], bias[3 * u :])


@njit(**FAST)
def through_logistic(a, b, gate, slope):
    """Write ``a b gate'``, for a gate that is a logistic function."""
    one = gate.dtype.type(1)
    for j in range(gate.size):
        slope[j] = a[j] * b[j] * (gate[j] * (one - gate[j]))


@njit(**FAST)
def through_tanh(a, b, gate, slope):
    """Write ``a b gate'``, for a gate that is a tanh."""
    one = gate.dtype.type(1)
    for j in range(gate.size):
        slope[j] = a[j] * b[j] * (one - gate[j] * gate[j])


@njit(**FAST)
def add_through_tanh(a, b, gate, total):
    one = gate.dtype.type(1)
    for j in range(gate.size):
        total[j] += a[j] * b[j] * (one - gate[j] * gate[j])


@njit(**FAST)
def lstm_slopes(gates, before, squashed, dh, dc, slope):
    u = dh.size
    i, f, g, o = gates[:u], gates[u : 2 * u], gates[2 * u : 3 * u], gates[3 * u :]
    add_through_tanh(dh, o, squashed, dc)
    through_logistic(dc, g, i, slope[:u])
    through_logistic(dc, before, f, slope[u : 2 * u])
    through_tanh(dc, i, g, slope[2 * u : 3 * u])
    through_logistic(dh, squashed, o, slope[3 * u :])
    for j in range(u):
        dc[j] *= f[j]


@njit(**FAST)
def mix(z, before, g, h):
    one = z.dtype.type(1)
    for j in range(z.size):
        h[j] = z[j] * before[j] + (one - z[j]) * g[j]


@njit(**FAST)
def candidate_slopes(z, g, dh, slope):
    one = z.dtype.type(1)
    for j in range(z.size):
        slope[j] = dh[j] * (one - z[j]) * (one - g[j] * g[j])


@njit(**FAST)
def update_slopes(z, h, g, dh, slope):
    one = z.dtype.type(1)
    for j in range(z.size):
        slope[j] = dh[j] * (h[j] - g[j]) * (z[j] * (one - z[j]))


@njit(**FAST)
def gru_handed_on(z, r, dh, dreset):
    """Write ``dh z + dreset r`` into ``dreset``."""
    for j in range(z.size):
        dreset[j] = dh[j] * z[j] + dreset[j] * r[j]
