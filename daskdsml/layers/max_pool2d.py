"""Largest entries of windows over images."""

from __future__ import annotations

from daskdsml.layers._pooling import Pool2D
from daskdsml.layers._settings import layer


@layer
class MaxPool2D(Pool2D):
    """The largest entry of each window of a channel.

    ``out[n, c, y, x] = max_ij in[n, c, y s + i, x s + j]`` for stride ``s``. Images
    ``(n, C, H, W)`` become ``(n, C, H', W')`` with ``H' = (H - size) // s + 1``, so rows and
    columns at the end that fill no window are left out; rows of shape (H, W) have one channel.
    The gradient goes to the first, row by row, of the largest entries.

    Parameters
    ----------
    size : int or pair (vertical, horizontal), default=2
    stride : int, pair, or None for ``size``, default=None
    data_format : {"channels_first", "channels_last"} or None, default=None
        Of the images that the network is given; see `Conv2D`.

    Raises
    ------
    ValueError
        If a setting is none of these.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, section 9.3.
    """

    def _run(self, kernels, images, frame, work):
        return kernels.max_pool(images, frame, work)

    def _run_back(self, kernels, dout, memory, shape, frame, work):
        return kernels.max_pool_back(dout, memory, shape, frame, work)
