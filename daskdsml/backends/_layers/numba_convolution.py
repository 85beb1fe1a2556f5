"""Kernels of convolution and pooling in compiled loops."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from daskdsml.backends._compile import kernel
from daskdsml.backends._layers._activations import ACTIVATIONS
from daskdsml.backends._layers._dense_kernels import _gradient, _value
from daskdsml.backends._layers.array_convolution import ArrayConvolution


class NumbaConvolution(ArrayConvolution):
    """Compiled kernels of convolution and pooling.

    Columns stay in the second-level cache between the loop that writes them and the product.
    """

    tile_bytes = 2**18 + 2**16

    def _gather(self, x, tile, frame):
        x = np.ascontiguousarray(x)
        _gather(x, tile.padded, tile.columns, *frame.before, *frame.stride)

    def _scatter(self, tile, dx, frame):
        _scatter(tile.columns, tile.padded, dx, *frame.before, *frame.stride)

    def _activate(self, scores, b, activation, out):
        _activate(ACTIVATIONS[activation], _maps(scores), b, _maps(out))

    def _deactivate(self, out, dout, activation, scores, db):
        dout = np.ascontiguousarray(dout)
        _deactivate(ACTIVATIONS[activation], _maps(out), _maps(dout), _maps(scores), db)

    def max_pool(self, x, frame, work):
        shape = (*x.shape[:2], *frame.out)
        out, places = work("out", shape), work("places", shape, np.int32)
        _max_pool(np.ascontiguousarray(x), *frame.size, *frame.stride, out, places)
        return out, places

    def max_pool_back(self, dout, places, shape, frame, work):
        dx = work("dx", shape)
        _max_pool_back(_maps(np.ascontiguousarray(dout)), _maps(places), _maps(dx))
        return dx

    def average_pool(self, x, frame, work):
        out = work("out", (*x.shape[:2], *frame.out))
        _average_pool(np.ascontiguousarray(x), *frame.size, *frame.stride, out)
        return out

    def average_pool_back(self, dout, shape, frame, work):
        dx = work("dx", shape)
        _average_pool_back(np.ascontiguousarray(dout), *frame.size, *frame.stride, dx)
        return dx


def _maps(images):
    """Images whose entries are one axis."""
    return images.reshape(*images.shape[:2], math.prod(images.shape[2:]))


@kernel
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


@njit(inline="always")
def _add_some(source, first, step, target):
    """Add every ``step``-th entry of ``source`` from ``first`` on to ``target``."""
    if step == 1:  # known when compiled, so that rows are added as vectors
        for v in range(target.size):
            target[v] += source[v + first]
    elif step == 2:
        for v in range(target.size):
            target[v] += source[2 * v + first]
    else:
        for v in range(target.size):
            target[v] += source[v * step + first]


@njit(inline="always")
def _add_apart(source, target, first, step):
    """Add ``source`` to every ``step``-th entry of ``target`` from ``first`` on."""
    if step == 1:
        for v in range(source.size):
            target[v + first] += source[v]
    elif step == 2:
        for v in range(source.size):
            target[2 * v + first] += source[v]
    else:
        for v in range(source.size):
            target[v * step + first] += source[v]


@kernel
def _scatter(columns, padded, dx, top, left, down, across):
    """Add the entries of columns up where `_gather` took them from, in dx (m, C, H, W)."""
    channels, kh, kw, m, height, width = columns.shape
    padded[:] = 0
    for c in range(channels):
        for i in range(kh):
            for j in range(kw):
                for q in range(m):
                    for y in range(height):
                        _add_apart(columns[c, i, j, q, y], padded[q, c, y * down + i], j, across)
    for q in range(m):
        for c in range(channels):
            for y in range(dx.shape[2]):
                source, target = padded[q, c, y + top], dx[q, c, y]
                for v in range(dx.shape[3]):
                    target[v] = source[v + left]


@kernel
def _activate(activation, scores, b, out):
    """Write the activation of scores (O, m, L) + b into out (m, O, L)."""
    for o in range(len(scores)):
        for q in range(len(out)):
            z, a = scores[o, q], out[q, o]
            for v in range(z.size):
                a[v] = _value(activation, z[v] + b[o])


@kernel
def _deactivate(activation, out, dout, scores, db):
    """Write the gradient before the activation into scores (O, m, L), and add its sums to db."""
    for o in range(len(scores)):
        total = scores.dtype.type(0)
        for q in range(len(out)):
            a, da, dz = out[q, o], dout[q, o], scores[o, q]
            for v in range(dz.size):
                slope = _gradient(activation, a[v], da[v])
                dz[v] = slope
                total += slope
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


@kernel
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


@kernel
def _max_pool_back(dout, places, dx):
    """Add ``dout (n, C, OH OW)`` up in the ``places`` of dx (n, C, H W) that `_max_pool` found."""
    dx[:] = 0
    for q in range(len(dx)):
        for c in range(dx.shape[1]):
            target, source, place = dx[q, c], dout[q, c], places[q, c]
            for k in range(source.size):
                target[place[k]] += source[k]


@kernel
def _average_pool(x, kh, kw, down, across, out):
    """Write the mean of each window into ``out``."""
    n, channels, height, width = out.shape
    size = out.dtype.type(kh * kw)
    for q in range(n):
        for c in range(channels):
            for y in range(height):
                row = out[q, c, y]
                row[:] = 0
                for i in range(kh):
                    source = x[q, c, y * down + i]
                    for j in range(kw):
                        _add_some(source, j, across, row)
                for v in range(width):
                    row[v] /= size


@kernel
def _average_pool_back(dout, kh, kw, down, across, dx):
    """Add the share of each window's gradient up in its entries of ``dx``."""
    n, channels, height, width = dout.shape
    size = dx.dtype.type(kh * kw)
    share = np.empty(width, dx.dtype)
    dx[:] = 0
    for q in range(n):
        for c in range(channels):
            for y in range(height):
                for v in range(width):
                    share[v] = dout[q, c, y, v] / size
                for i in range(kh):
                    for j in range(kw):
                        _add_apart(share, dx[q, c, y * down + i], j, across)
