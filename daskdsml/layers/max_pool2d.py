"""Largest entries of windows over images."""

from __future__ import annotations

from dataclasses import dataclass

from daskdsml.layers import _images


@dataclass(frozen=True)
class MaxPool2D:
    """The largest entry of each window of a channel.

    ``out[n, c, y, x] = max_ij in[n, c, y s + i, x s + j]`` for stride ``s``. Images
    ``(n, C, H, W)`` become ``(n, C, H', W')`` with ``H' = (H - size) // s + 1``, so rows and
    columns at the end that fill no window are left out; rows of shape (H, W) have one channel.
    The gradient goes to the first, row by row, of the largest entries.

    Parameters
    ----------
    size : int or pair (vertical, horizontal)
    stride : int, pair, or None for ``size``

    Raises
    ------
    ValueError
        If a setting is none of these.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, section 9.3.
    """

    size: int | tuple[int, int] = 2
    stride: int | tuple[int, int] | None = None

    penalised = frozenset()
    collective = False

    def __post_init__(self):
        _images.pool_settings(self)

    def init(self, rng, in_shape):
        """No parameters, and the shape (C, H', W').

        Raises
        ------
        ValueError
            For a shape that is none of images, or smaller than a window.
        """
        channels, *sides = _images.channels_first(self, in_shape)
        return {}, (channels, *_images.pool_frame(self, sides).out)

    def forward(self, kernels, params, x, step):
        """Images (n, C, H', W') and the tape."""
        images = x.reshape(len(x), *_images.channels_first(self, x.shape[1:]))
        frame = _images.pool_frame(self, images.shape[2:])
        out, places = kernels.max_pool(images, frame, step.work)
        return out, (places, images.shape, x.shape)

    def backward(self, kernels, params, tape, dout, grads, step):
        """Gradient in the images, or None."""
        if not step.inner:
            return None
        places, images, shape = tape
        frame = _images.pool_frame(self, images[2:])
        return kernels.max_pool_back(dout, places, images, frame, step.work).reshape(shape)
