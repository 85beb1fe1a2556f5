"""Convolution over images."""

from __future__ import annotations

from daskdsml.layers import _filters, _images
from daskdsml.layers._activations import activation_of
from daskdsml.layers._settings import from_weights, layer


@layer
class Conv2D(_filters.FilterLayer):
    """Filters that move over images.

    ``out[n, o, y, x] = act(b[o] + sum_cij K[o, c, i, j] in[n, c, y s + i - p, x s + j - p])``

    for stride ``s`` and padding ``p``, with zeros around the image: a cross-correlation, filters
    are not turned round [1]_. Images ``(n, C, H, W)`` become ``(n, filters, H', W')`` with
    ``H' = (H + 2 p - size) // s + 1``; rows of shape (H, W) have one channel.

    Parameters
    ----------
    filters : int, default=0
        0 for those of the ``weights`` given, which also tell ``size``.
    size, stride : int or pair (vertical, horizontal), default=3 and 1
    padding : int or pair of zeros on each side, "valid" for none, or "same", default=0
        "same" gives ``H' = ceil(H / stride)``; of an odd number of zeros the last one comes after
        the image.
    activation : str or None, default=None
        Name of ``act`` (see `Activation`), but "softmax"; None for the identity.
    data_format : {"channels_first", "channels_last"} or None, default=None
        Of the images that the network is given, whichever of its layers tells it: "channels_last"
        are rows (H, W, C), as image files have them. Inside, channels come first. Where no layer
        tells, that is meant of X, too, but rows that look as if their channels came last are
        refused.
    weights : array (filters, C, height, width), dict of arrays or None, default=None
        ``K`` to begin with, or ``{"K": ..., "b": ...}``; of one channel also (filters, height,
        width), or (height, width) of one filter.
    trainable : bool, default=True
        Whether training changes the parameters.

    Raises
    ------
    ValueError
        If a setting is none of these.

    Notes
    -----
    Parameters are ``K (filters, C, *size)``, uniform as [2]_ or, before rectifiers, [3]_ have it,
    and ``b (filters,)``, zeros.

    References
    ----------
    .. [1] I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, section 9.1.
    .. [2] X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
       networks", AISTATS 2010.
    .. [3] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015.
    """

    filters: int = from_weights()
    size: int | tuple[int, int] = 3
    stride: int | tuple[int, int] = 1
    padding: int | tuple[int, int] | str = 0
    activation: str | None = None
    data_format: str | None = None

    penalised = frozenset({"K"})
    collective = False
    sides = 2

    def __post_init__(self):
        super().__post_init__()
        _filters.settle_filters(self)
        _filters.check_filters(self)
        _filters.check_padding(self, ("valid", "same"))
        _images.check_data_format(self)
        self._settings()

    def init(self, rng, in_shape):
        """Parameters K and b, and the shape (filters, H', W').

        Raises
        ------
        ValueError
            For a shape that is none of images, or smaller than a window.
        """
        channels, *sides = _images.channels_first(self, in_shape)
        frame = self._frame(sides)
        shape = (self.filters, channels, *frame.size)
        act = activation_of(self)
        return _filters.first_filters(rng, shape, act), (self.filters, *frame.out)

    def forward(self, kernels, params, x, step):
        """Images (n, filters, H', W') and the tape."""
        images = x.reshape(len(x), *_images.channels_first(self, x.shape[1:]))
        frame = self._frame(images.shape[2:])
        act = activation_of(self)
        out = kernels.convolve(images, params["K"], params["b"], frame, act, step.work)
        return out, (images, out, x.shape)

    def backward(self, kernels, params, tape, dout, grads, step):
        """Gradients in K and b into ``grads``; that in the images, or None."""
        images, out, shape = tape
        frame = self._frame(images.shape[2:])
        act = activation_of(self)
        dx = kernels.convolve_back(
            images, params["K"], out, dout, frame, act, grads, step.inner, step.work
        )
        return None if dx is None else dx.reshape(shape)

    def _frame(self, shape):
        size, stride, padding = self._settings()
        if padding is None:
            padding = [_images.same(*side) for side in zip(shape, size, stride, strict=True)]
        return _images.frame(self, shape, size, stride, padding)

    def _settings(self):
        """Size, stride and padding as pairs; None for the padding "same"."""
        size, stride = _images.pair(self, "size", 1), _images.pair(self, "stride", 1)
        if isinstance(self.padding, str):
            return size, stride, [(0, 0), (0, 0)] if self.padding == "valid" else None
        return size, stride, [(zeros, zeros) for zeros in _images.pair(self, "padding", 0)]
