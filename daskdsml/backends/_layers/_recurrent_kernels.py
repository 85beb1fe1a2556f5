"""Compiled loops of recurrent layers: all time steps of a batch in one call.

Arrays are those of `ArrayRecurrent`, all C-contiguous and of one precision; ``dx`` and ``norms``
are empty where nobody wants them. ``slopes (C, n, G u)`` holds those of C steps only, so that they
are still in the cache when a product gathers what these steps add to the gradient. Matrix products
are those of BLAS.
"""

from __future__ import annotations

import numpy as np

from daskdsml.backends._compile import kernel
from daskdsml.backends._layers import _recurrent_rows as rows


@kernel
def elman_forward(joined, weights, bias, mask, sums):
    p = joined.shape[2] - bias.size
    for t in range(len(mask)):
        np.dot(joined[t], weights, sums)
        for i in range(len(sums)):
            if mask[t, i]:
                rows.tanh(sums[i], bias)
                rows.copy(sums[i], joined[t + 1, i, p:])
            else:
                rows.copy(joined[t, i, p:], joined[t + 1, i, p:])


@kernel
def elman_backward(joined, weights, mask, dsteps, dh, dweights, dbias, dx, norms, slopes):
    steps, chunk, p = len(mask), len(slopes), joined.shape[2] - dh.shape[1]
    before, gathered = np.empty_like(dh), np.empty_like(dweights)
    for t in range(steps - 1, -1, -1):
        rows.meet(t, steps, dsteps, (dh,), norms)
        slope = slopes[t % chunk]
        for i in range(len(dh)):
            if mask[t, i]:
                rows.elman_slopes(joined[t + 1, i, p:], dh[i], slope[i])
            else:
                rows.clear(slope[i])
        np.dot(slope, weights[p:].T, before)
        rows.take(before, mask[t], dh)
        rows.gather_steps(t, steps, joined, slopes, weights, gathered, dweights, dbias, dx)


@kernel
def lstm_forward(joined, weights, bias, mask, gates, cells, squashed):
    u = cells.shape[2]
    p = joined.shape[2] - u
    for t in range(len(mask)):
        np.dot(joined[t], weights, gates[t])
        for i in range(mask.shape[1]):
            if mask[t, i]:
                row = gates[t, i]
                rows.lstm_gates(row, bias, u)
                rows.cell(row, cells[t, i], cells[t + 1, i])
                rows.squash(cells[t + 1, i], squashed[t, i])
                rows.product(row[3 * u :], squashed[t, i], joined[t + 1, i, p:])
            else:
                rows.copy(cells[t, i], cells[t + 1, i])
                rows.copy(joined[t, i, p:], joined[t + 1, i, p:])


@kernel
def lstm_backward(
    joined, weights, mask, gates, cells, squashed,
    dsteps, dh, dc, dweights, dbias, dx, norms, slopes,
):  # fmt: skip
    steps, chunk, p = len(mask), len(slopes), joined.shape[2] - dh.shape[1]
    before, gathered = np.empty_like(dh), np.empty_like(dweights)
    for t in range(steps - 1, -1, -1):
        rows.meet(t, steps, dsteps, (dh, dc), norms)
        slope = slopes[t % chunk]
        for i in range(len(dh)):
            if mask[t, i]:
                rows.lstm_slopes(gates[t, i], cells[t, i], squashed[t, i], dh[i], dc[i], slope[i])
            else:
                rows.clear(slope[i])
        np.dot(slope, weights[p:].T, before)
        rows.take(before, mask[t], dh)
        rows.gather_steps(t, steps, joined, slopes, weights, gathered, dweights, dbias, dx)


@kernel
def gru_forward(joined, reset, weights, weights_g, bias, bias_g, mask, gates, g):
    u = g.shape[2]
    p = joined.shape[2] - u
    for t in range(len(mask)):
        np.dot(joined[t], weights, gates[t])
        for i in range(mask.shape[1]):
            rows.logistic(gates[t, i], bias)
            rows.product(gates[t, i, u:], joined[t, i, p:], reset[t, i, p:])
        np.dot(reset[t], weights_g, g[t])
        for i in range(mask.shape[1]):
            rows.tanh(g[t, i], bias_g)
            if mask[t, i]:
                rows.mix(gates[t, i, :u], joined[t, i, p:], g[t, i], joined[t + 1, i, p:])
            else:
                rows.copy(joined[t, i, p:], joined[t + 1, i, p:])


@kernel
def gru_backward(
    joined, reset, weights, weights_g, mask, gates, g,
    dsteps, dh, dweights, dweights_g, dbias, dbias_g, dx, norms, slopes, slopes_g,
):  # fmt: skip
    steps, chunk, u = len(mask), len(slopes), dh.shape[1]
    p = joined.shape[2] - u
    before, dreset = np.empty_like(dh), np.empty_like(dh)
    gathered, gathered_g = np.empty_like(dweights), np.empty_like(dweights_g)
    for t in range(steps - 1, -1, -1):
        rows.meet(t, steps, dsteps, (dh,), norms)
        slope, slope_g = slopes[t % chunk], slopes_g[t % chunk]
        for i in range(len(dh)):
            if mask[t, i]:
                rows.candidate_slopes(gates[t, i, :u], g[t, i], dh[i], slope_g[i])
            else:
                rows.clear(slope_g[i])
        np.dot(slope_g, weights_g[p:].T, dreset)
        for i in range(len(dh)):
            if mask[t, i]:
                z, r, h = gates[t, i, :u], gates[t, i, u:], joined[t, i, p:]
                rows.update_slopes(z, h, g[t, i], dh[i], slope[i, :u])
                rows.through_logistic(dreset[i], h, r, slope[i, u:])
                rows.gru_handed_on(z, r, dh[i], dreset[i])
            else:
                rows.clear(slope[i])
        np.dot(slope, weights[p:].T, before)
        rows.add(dreset, before)
        rows.take(before, mask[t], dh)
        rows.gather_steps(t, steps, joined, slopes, weights, gathered, dweights, dbias, dx)
        rows.gather_steps(t, steps, reset, slopes_g, weights_g, gathered_g, dweights_g, dbias_g, dx)


@kernel
def scatter_rows(codes, vectors, table):
    table[:] = 0
    for i in range(codes.size):
        target, row = table[codes[i]], vectors[i]
        for j in range(row.size):
            target[j] += row[j]
