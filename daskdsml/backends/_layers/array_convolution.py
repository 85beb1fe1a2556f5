"""Kernels of convolution and pooling in functions of an array namespace.

Images are ``(n, C, H, W)``, filters ``(O, I, kh, kw)``. A ``frame`` tells where the windows of an
image lie (`daskdsml.layers._images.WindowGrid`).
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any, NamedTuple

from daskdsml.backends._layers._activations import ACTIVATIONS


class _Tile(NamedTuple):
    """Buffers of a few ``images``, a slice: see `ArrayConvolution`."""

    images: slice
    padded: Any
    columns: Any
    scores: Any

    @property
    def matrices(self):
        """Columns (I kh kw, m OH OW) and scores (O, m OH OW), in the same memory."""
        across = math.prod(self.scores.shape[1:])
        return self.columns.reshape(-1, across), self.scores.reshape(-1, across)


class ArrayConvolution:
    """Kernels of convolution and pooling; ``self.xp`` is the namespace.

    A convolution is a matrix product of the filters with the *columns* of some images: one for each
    window, which holds its entries. ``columns (I, kh, kw, m, OH, OW)`` of m images and what comes
    out, ``scores (O, m, OH, OW)``, take ``tile_bytes`` at most, or one image. Columns are
    made again for the gradient, as reading them from memory would take longer.
    """

    xp: Any

    tile_bytes = 2**26

    def convolve(self, x, K, b, frame, activation, work):
        """``act(b + sum K x)`` over windows: (n, O, OH, OW)."""
        out = work("out", (len(x), len(K), *frame.out))
        filters = K.reshape(len(K), -1)
        for tile in self._tiles(x, K, frame, work):
            columns, scores = tile.matrices
            self._gather(x[tile.images], tile, frame)
            self.xp.matmul(filters, columns, out=scores)
            self._activate(tile.scores, b, activation, out[tile.images])
        return out

    def convolve_back(self, x, K, out, dout, frame, activation, grads, inner, work):
        """Write the gradients in K and b into ``grads``; return that in x, or None."""
        filters = K.reshape(len(K), -1)
        dx: Any = work("dx", x.shape) if inner else None
        total = self.xp.zeros(filters.T.shape, dtype=x.dtype)
        grads["b"][...] = 0
        for tile in self._tiles(x, K, frame, work):
            images, (columns, scores) = tile.images, tile.matrices
            self._deactivate(out[images], dout[images], activation, tile.scores, grads["b"])
            self._gather(x[images], tile, frame)
            total += self.xp.matmul(columns, scores.T)
            if inner:
                self.xp.matmul(filters.T, scores, out=columns)
                self._scatter(tile, dx[images], frame)
        grads["K"][...] = total.T.reshape(K.shape)
        return dx

    def _tiles(self, x, K, frame, work):
        """All images, a few at a time."""
        image = (len(K) + K[0].size) * math.prod(frame.out) * x.dtype.itemsize
        most, m = max(1, self.tile_bytes // image), 0
        for first in range(0, len(x), most):
            if m != min(most, len(x) - first):
                m = min(most, len(x) - first)
                padded = work("padded", frame.padded((m, *x.shape[1:])))
                columns = work("columns", (*K.shape[1:], m, *frame.out))
                scores = work("scores", (len(K), m, *frame.out))
            yield _Tile(slice(first, first + m), padded, columns, scores)

    def _gather(self, x, tile, frame):
        """Write the entries of all windows of images x into the columns."""
        tile.padded[...] = 0
        tile.padded[frame.inside(x.shape)] = x
        for i, j in product(*map(range, frame.size)):
            seen = tile.padded[_entries((i, j), frame.stride, frame.out)]
            tile.columns[:, i, j] = seen.transpose(1, 0, 2, 3)

    def _scatter(self, tile, dx, frame):
        """Add each entry of the columns up where it came from, in dx."""
        tile.padded[...] = 0
        for i, j in product(*map(range, frame.size)):
            seen = _entries((i, j), frame.stride, frame.out)
            tile.padded[seen] += tile.columns[:, i, j].transpose(1, 0, 2, 3)
        dx[...] = tile.padded[frame.inside(dx.shape)]

    def _activate(self, scores, b, activation, out):
        """Write ``act(scores + b)`` into ``out (m, O, OH, OW)``."""
        z = scores + b[:, None, None, None]
        out[...] = ACTIVATIONS[activation].value(self.xp, z).transpose(1, 0, 2, 3)

    def _deactivate(self, out, dout, activation, scores, db):
        """Write the gradient in the scores into ``scores``, and add its sums to ``db``."""
        dz = ACTIVATIONS[activation].gradient(self.xp, out, dout)
        scores[...] = dz.transpose(1, 0, 2, 3)
        db += scores.sum(axis=(1, 2, 3))

    def max_pool(self, x, frame, work):
        """Maxima of windows (n, C, OH, OW), and ``places``, the first entry of each that is one."""
        seen = self.xp.stack([x[e] for e in self._window(frame)])
        return seen.max(axis=0), seen.argmax(axis=0)

    def max_pool_back(self, dout, places, shape, frame, work):
        """Gradient in the input of `max_pool`, which has this ``shape``."""
        dx = work("dx", shape)
        dx[...] = 0
        for k, entries in enumerate(self._window(frame)):
            dx[entries] += self.xp.where(places == k, dout, 0)
        return dx

    def average_pool(self, x, frame, work):
        """Means of windows (n, C, OH, OW)."""
        height, width = frame.size
        return sum(x[e] for e in self._window(frame)) / (height * width)

    def average_pool_back(self, dout, shape, frame, work):
        """Gradient in the input of `average_pool`, which has this ``shape``."""
        dx = work("dx", shape)
        dx[...] = 0
        height, width = frame.size
        share = dout / (height * width)
        for entries in self._window(frame):
            dx[entries] += share
        return dx

    def _window(self, frame):
        """Indices of the images' first entries of all windows, of the second ones, and so on."""
        for place in product(*map(range, frame.size)):
            yield _entries(place, frame.stride, frame.out)


def _entries(place, stride, out):
    """Index of the entries at ``place`` of all windows."""
    return (slice(None), slice(None)) + tuple(
        slice(i, i + s * n, s) for i, s, n in zip(place, stride, out, strict=True)
    )
