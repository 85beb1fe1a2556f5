"""Kernels of convolution and pooling in compiled loops."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from daskdsml.backends import _scalar
from daskdsml.backends._layers.array_convolution import ACTIVATIONS, SLOPES, ArrayConvolution

COMPILED = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz"},
}


class NumbaConvolution(ArrayConvolution):
    """Compiled kernels of convolution and pooling.

    Columns stay in the second-level cache between the loop that writes them and the product.
    """

    tile_bytes = 2**18 + 2**16

    def _gather(self, x, tile, frame):
        _gather(x, tile.padded, tile.columns, *frame.before, *frame.stride)

    def _scatter(self, tile, dx, frame):
        _scatter(tile.columns, tile.padded, dx, *frame.before, *frame.stride)

    def _activate(self, scores, b, activation, out):
        _add_bias(scores, b, activation == "relu", out)
        if activation in ("tanh", "logistic"):
            out[...] = ACTIVATIONS[activation](np, out)

    def _deactivate(self, out, dout, activation, scores, db):
        if activation in ("tanh", "logistic"):
            dout = dout * SLOPES[activation](out)
        _write_slopes(out, dout, activation == "relu", scores, db)

    def max_pool(self, x, frame, work):
        shape = (*x.shape[:2], *frame.out)
        out, places = work("out", shape), work("places", shape, np.int32)
        _max_pool(x, *frame.size, *frame.stride, out, places)
        return out, places

    def max_pool_back(self, dout, places, shape, frame, work):
        dx = work("dx", shape)
        channels = math.prod(shape[:2])
        windows = (channels, math.prod(frame.out))
        _max_pool_back(
            dout.reshape(windows),
            places.reshape(windows),
            dx.reshape(channels, math.prod(shape[2:])),
        )
        return dx


@njit(**COMPILED)
def _gather(x, padded, columns, top, left, down, across):
    """Write the entries of all windows of images x into columns (C, kh, kw, m, OH, OW)."""
    channels, kh, kw, m, height, width = columns.shape
    padded[:] = 0
    for q in range(m):
        for c in range(channels):
            for y in range(x.shape[2]):
                source, target = x[q, c, y], padded[q, c, y + top]
                for v in range(x.shape[3]):
                    target[v + left] = source[v]
    for c in range(channels):
        for i in range(kh):
            for j in range(kw):
                for q in range(m):
                    for y in range(height):
                        target, source = columns[c, i, j, q, y], padded[q, c, y * down + i]
                        if across == 1:  # known when compiled, so that rows are copied as vectors
                            for v in range(width):
                                target[v] = source[v + j]
                        else:
                            for v in range(width):
                                target[v] = source[v * across + j]


@njit(**COMPILED)
def _scatter(columns, padded, dx, top, left, down, across):
    """Add the entries of columns up where `_gather` took them from, in dx (m, C, H, W)."""
    channels, kh, kw, m, height, width = columns.shape
    padded[:] = 0
    for c in range(channels):
        for i in range(kh):
            for j in range(kw):
                for q in range(m):
                    for y in range(height):
                        source, target = columns[c, i, j, q, y], padded[q, c, y * down + i]
                        if across == 1:
                            for v in range(width):
                                target[v + j] += source[v]
                        else:
                            for v in range(width):
                                target[v * across + j] += source[v]
    for q in range(m):
        for c in range(channels):
            for y in range(dx.shape[2]):
                source, target = padded[q, c, y + top], dx[q, c, y]
                for v in range(dx.shape[3]):
                    target[v] = source[v + left]


@njit(**COMPILED)
def _add_bias(scores, b, rectified, out):
    """Write scores (O, m, H, W) + b, cut off below 0 if ``rectified``, into out (m, O, H, W)."""
    filters, m = scores.shape[:2]
    source, target = scores.reshape(filters, m, -1), out.reshape(m, filters, -1)
    for o in range(filters):
        floor = scores.dtype.type(0) if rectified else scores.dtype.type(-np.inf)
        for q in range(m):
            z, a = source[o, q], target[q, o]
            for v in range(z.size):
                a[v] = _scalar.maximum(z[v] + b[o], floor)


@njit(**COMPILED)
def _write_slopes(out, dout, rectified, slopes, db):
    """Write dout (m, O, H, W), 0 where ``out`` is cut off, into slopes (O, m, H, W); add to db."""
    filters, m = slopes.shape[:2]
    zero = slopes.dtype.type(0)
    floor = zero if rectified else slopes.dtype.type(-np.inf)
    a, d, s = (
        out.reshape(m, filters, -1),
        dout.reshape(m, filters, -1),
        slopes.reshape(filters, m, -1),
    )
    for o in range(filters):
        total = zero
        for q in range(m):
            above, source, target = a[q, o], d[q, o], s[o, q]
            for v in range(target.size):
                target[v] = _scalar.where(above[v] > floor, source[v], zero)
                total += target[v]
        db[o] += total


@njit(inline="always")
def _largest(x, q, c, top, left, kh, kw):
    """The first largest entry of a window, or its first NaN, and how far it is from the beginning.

    Single comparisons, each with an expression to choose from: with "or" the loop stays scalar.
    """
    best, place = x[q, c, top, left], np.int32(0)
    for i in range(kh):
        row = x[q, c, top + i]
        for j in range(kw):
            entry = row[left + j]
            place = np.int32(i * x.shape[3] + j) if entry > best else place
            larger = best if best >= entry else entry
            best = larger if best == best else best
    return best, place + np.int32(top * x.shape[3] + left)


@njit(**COMPILED)
def _max_pool(x, kh, kw, down, across, out, places):
    """Write the first largest entry of each window into ``out``, and its place in the channel."""
    n, channels, height, width = out.shape
    usual = (kh == 2) & (kw == 2) & (across == 2)
    for q in range(n):
        for c in range(channels):
            for y in range(height):
                best, place = out[q, c, y], places[q, c, y]
                if usual:  # numbers known when compiled make it vectors, 15 times as fast
                    for v in range(width):
                        best[v], place[v] = _largest(x, q, c, y * down, v * 2, 2, 2)
                else:
                    for v in range(width):
                        best[v], place[v] = _largest(x, q, c, y * down, v * across, kh, kw)


@njit(**COMPILED)
def _max_pool_back(dout, places, dx):
    """Add ``dout (n C, OH OW)`` up in the ``places`` of dx (n C, H W) that `_max_pool` found."""
    dx[:] = 0
    for c in range(len(dx)):
        for k in range(dout.shape[1]):
            dx[c, places[c, k]] += dout[c, k]
