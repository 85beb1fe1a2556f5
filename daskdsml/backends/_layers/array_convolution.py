"""Kernels of convolution and pooling in functions of an array namespace.

Images are ``(n, C, H, W)``, filters ``(O, I, kh, kw)``. A ``frame`` tells where the windows of an
image lie (`daskdsml.layers._images.Frame`).
"""

from __future__ import annotations

from itertools import product


def _identity(xp, z):
    return z


def _relu(xp, z):
    return xp.maximum(z, 0)


def _tanh(xp, z):
    return xp.tanh(z)


def _logistic(xp, z):
    return xp.tanh(z / 2) / 2 + 0.5  # no overflow at either end


# Activations and their slopes, both times those of the output ``a``.
ACTIVATIONS = {"identity": _identity, "relu": _relu, "tanh": _tanh, "logistic": _logistic}
SLOPES = {
    "relu": lambda a: a > 0,
    "tanh": lambda a: 1 - a * a,
    "logistic": lambda a: a * (1 - a),
}


class ArrayConvolution:
    """Kernels of convolution and pooling; ``self.xp`` is the namespace.

    A convolution is a matrix product of the filters with the *columns* of some images: one for each
    window, which holds its entries. ``columns (I, kh, kw, m, OH, OW)`` of m images and what comes
    out, ``scores (O, m, OH, OW)``, take ``tile_bytes`` at most, or one image. Columns are
    made again for the gradient, as reading them from memory would take longer.
    """

    tile_bytes = 2**26

    def convolve(self, x, K, b, frame, activation, work):
        """``act(b + sum K x)`` over windows: (n, O, OH, OW)."""
        out = work("out", (len(x), len(K), *frame.out))
        filters = K.reshape(len(K), -1)
        for images, columns, scores in self._tiles(x, K, frame, work):
            self._gather(self._padded(x[images], frame, work), columns, frame.stride)
            self.xp.matmul(filters, _matrix(columns, K[0].ndim), out=_matrix(scores, 1))
            self._activate(scores, b, activation, out[images])
        return out

    def convolve_back(self, x, K, out, dout, frame, activation, grads, inner, work):
        """Write the gradients in K and b into ``grads``; return that in x, or None."""
        filters = K.reshape(len(K), -1)
        dx = work("dx", x.shape) if inner else None
        total = self.xp.zeros(filters.T.shape, dtype=x.dtype)
        grads["b"][...] = 0
        for images, columns, scores in self._tiles(x, K, frame, work):
            self._deactivate(out[images], dout[images], activation, scores, grads["b"])
            self._gather(self._padded(x[images], frame, work), columns, frame.stride)
            flat, slopes = _matrix(columns, K[0].ndim), _matrix(scores, 1)
            total += self.xp.matmul(flat, slopes.T)
            if inner:
                self.xp.matmul(filters.T, slopes, out=flat)
                self._scatter(columns, dx[images], frame, work)
        grads["K"][...] = total.T.reshape(K.shape)
        return dx

    def _tiles(self, x, K, frame, work):
        """Slices of images, and buffers for their columns and scores."""
        height, width = frame.out
        image = (len(K) + K[0].size) * height * width * x.dtype.itemsize
        most = max(1, self.tile_bytes // image)
        for first in range(0, len(x), most):
            m = min(most, len(x) - first)
            columns = work("columns", (*K.shape[1:], m, height, width))
            scores = work("scores", (len(K), m, height, width))
            yield slice(first, first + m), columns, scores

    def _padded(self, x, frame, work):
        """Images with zeros around them."""
        if not any(frame.before + frame.after):
            return x
        padded = work("padded", frame.padded(x.shape))
        padded[...] = 0
        padded[frame.inside(x.shape)] = x
        return padded

    def _gather(self, padded, columns, stride):
        """Write the entries of all windows into ``columns``."""
        for i, j in product(*map(range, columns.shape[1:3])):
            seen = padded[_entries((i, j), stride, columns.shape[4:])]
            columns[:, i, j] = seen.transpose(1, 0, 2, 3)

    def _scatter(self, columns, dx, frame, work):
        """Add each entry of ``columns`` up where it came from, in ``dx``."""
        padded = work("padded", frame.padded(dx.shape))
        padded[...] = 0
        for i, j in product(*map(range, columns.shape[1:3])):
            seen = _entries((i, j), frame.stride, columns.shape[4:])
            padded[seen] += columns[:, i, j].transpose(1, 0, 2, 3)
        dx[...] = padded[frame.inside(dx.shape)]

    def _activate(self, scores, b, activation, out):
        """Write ``act(scores + b)`` into ``out (m, O, OH, OW)``."""
        z = scores + b[:, None, None, None]
        out[...] = ACTIVATIONS[activation](self.xp, z).transpose(1, 0, 2, 3)

    def _deactivate(self, out, dout, activation, scores, db):
        """Write the gradient in the scores into ``scores``, and add its sums to ``db``."""
        slope = SLOPES.get(activation)
        scores[...] = (dout if slope is None else dout * slope(out)).transpose(1, 0, 2, 3)
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


def _matrix(array, axes):
    """The first axes as rows, the others as columns."""
    rows = 1
    for length in array.shape[:axes]:
        rows *= length
    return array.reshape(rows, array.size // rows)
