"""What layers that pool images share: settings, shapes and windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from daskdsml.layers import _images
from daskdsml.layers._settings import layer


@layer
class Pool2D:
    """A layer that makes a number of each window of a channel; see its children.

    A child calls its kernels in ``_run``, which returns what comes out and a memory, and in
    ``_run_back``.
    """

    size: int | tuple[int, int] = 2
    stride: int | tuple[int, int] | None = None
    data_format: str | None = None

    penalised: ClassVar[frozenset[str]] = frozenset()
    collective: ClassVar[bool] = False
    _run: ClassVar[Callable]
    _run_back: ClassVar[Callable]

    def __post_init__(self):
        _images.check_data_format(self)
        self._settings()

    def init(self, rng, in_shape):
        """No parameters, and the shape (C, H', W').

        Raises
        ------
        ValueError
            For a shape that is none of images, or smaller than a window.
        """
        channels, *sides = _images.channels_first(self, in_shape)
        return {}, (channels, *self._frame(sides).out)

    def forward(self, kernels, params, x, step):
        """Images (n, C, H', W') and the tape."""
        images = x.reshape(len(x), *_images.channels_first(self, x.shape[1:]))
        out, memory = self._run(kernels, images, self._frame(images.shape[2:]), step.work)
        return out, (memory, images.shape, x.shape)

    def backward(self, kernels, params, tape, dout, grads, step):
        """Gradient in the images, or None."""
        if not step.inner:
            return None
        memory, images, shape = tape
        frame = self._frame(images[2:])
        return self._run_back(kernels, dout, memory, images, frame, step.work).reshape(shape)

    def _frame(self, shape):
        size, stride = self._settings()
        return _images.frame(self, shape, size, stride, [(0, 0), (0, 0)])

    def _settings(self):
        """Size and stride as pairs."""
        size = _images.pair(self, "size", 1)
        return size, size if self.stride is None else _images.pair(self, "stride", 1)
