"""Convolution over sequences."""

from __future__ import annotations

from typing import Any

from daskdsml.layers import _filters, _images
from daskdsml.layers._activations import activation_of
from daskdsml.layers._settings import from_weights, layer
from daskdsml.utils.validation import check_number


@layer
class Conv1D(_filters.FilterLayer):
    """Filters that move over time.

    ``out[n, t, o] = act(b[o] + sum_ci K[o, c, i] in[n, t s + i - p, c])``

    for stride ``s`` and ``p`` zeros in front of the sequence. Sequences ``(n, T, features)`` become
    ``(n, T', filters)``.

    Parameters
    ----------
    filters : int, default=0
        0 for those of the ``weights`` given, which also tell ``size``.
    size, stride : int, default=3 and 1
        Time steps.
    padding : int of zeros at each end, "valid" for none, "same", or "causal", default=0
        "same" and "causal" give ``T' = ceil(T / stride)``; "causal" has all zeros, ``size - 1``,
        in front, so that nothing is known before its time [1]_.
    activation : str or None, default=None
        Name of ``act`` (see `Activation`), but "softmax"; None for the identity.
    weights : array (filters, features, size), dict of arrays or None, default=None
        ``K`` to begin with, or ``{"K": ..., "b": ...}``; of one channel also
        (filters, size), or (size,) of one filter.
    trainable : bool, default=True
        Whether training changes the parameters.

    Raises
    ------
    ValueError
        If a setting is none of these.

    Notes
    -----
    Steps that a mask leaves out count as zero. Parameters are ``K (filters, features, size)``,
    drawn as those of `Conv2D`, and ``b (filters,)``, zeros.

    References
    ----------
    .. [1] A. van den Oord et al., "WaveNet: A generative model for raw audio", 2016.
    """

    filters: int = from_weights()
    size: int = 3
    stride: int = 1
    padding: int | str = 0
    activation: str | None = None

    penalised = frozenset({"K"})
    collective = False
    sides = 1

    def __post_init__(self):
        super().__post_init__()
        _filters.settle_filters(self)
        _filters.check_filters(self)
        _filters.check_padding(self, ("valid", "same", "causal"))
        check_number(self, "size", 1, integer=True)
        check_number(self, "stride", 1, integer=True)
        if not isinstance(self.padding, str):
            check_number(self, "padding", 0, integer=True)

    def init(self, rng, in_shape):
        """Parameters K and b, and the shape (T', filters).

        Raises
        ------
        ValueError
            For a shape that is none of sequences, or shorter than a window.
        """
        if len(in_shape) != 2 or min(in_shape) < 1:
            raise ValueError(
                f"Conv1D expects sequences (T, features), got a shape {in_shape}. Reshape X to "
                "(n, T, features), one feature or more; set return_sequences=True in a recurrent "
                "layer before it."
            )
        frame = self._frame(in_shape[0])
        shape = (self.filters, in_shape[1], self.size)
        act = activation_of(self)
        return _filters.first_filters(rng, shape, act), (frame.out[1], self.filters)

    def forward(self, kernels, params, x, step):
        """Sequences (n, T', filters) and the tape.

        Raises
        ------
        ValueError
            If there is a mask, and the length changes.
        """
        frame = self._frame(x.shape[1])
        _check_mask(step.mask, x.shape[1], frame.out[1])
        rows = step.work("rows", (len(x), x.shape[2], 1, x.shape[1]))
        _copy(kernels, x, step.mask, rows[:, :, 0].transpose(0, 2, 1))
        K, act = params["K"][:, :, None], activation_of(self)
        found = kernels.convolve(rows, K, params["b"], frame, act, step.work)
        out = step.work("sequences", (len(x), frame.out[1], self.filters))
        out[...] = found[:, :, 0].transpose(0, 2, 1)
        return out, (rows, found, frame)

    def backward(self, kernels, params, tape, dout, grads, step):
        """Gradients in K and b into ``grads``; that in the sequences, or None."""
        rows, found, frame = tape
        slopes = step.work("slopes", found.shape)
        slopes[:, :, 0] = dout.transpose(0, 2, 1)
        K, act = params["K"][:, :, None], activation_of(self)
        filters = {"K": grads["K"][:, :, None], "b": grads["b"]}
        dx = kernels.convolve_back(
            rows, K, found, slopes, frame, act, filters, step.inner, step.work
        )
        if dx is None:
            return None
        back = step.work("back", (len(rows), rows.shape[3], rows.shape[1]))
        _copy(kernels, dx[:, :, 0].transpose(0, 2, 1), step.mask, back)
        return back

    def _frame(self, length):
        size, stride, padding = (1, self.size), (1, self.stride), self._padding(length)
        return _images.frame(self, (1, length), size, stride, [(0, 0), padding])

    def _padding(self, length):
        words: dict[Any, tuple] = {
            "valid": (0, 0),
            "same": _images.same(length, self.size, self.stride),
            "causal": (self.size - 1, 0),
        }
        return words.get(self.padding, (self.padding, self.padding))


def _check_mask(mask, length, length_out):
    if mask is not None and length_out != length:
        raise ValueError(
            f"Conv1D makes {length_out} time steps of {length}, to which a mask of {length} does "
            "not apply. Use stride=1 with padding='same' or 'causal', or sequences of equal length "
            "without a mask."
        )


def _copy(kernels, x, mask, target):
    """Write sequences ``x`` into ``target``, zeros at steps that the mask leaves out."""
    target[...] = x
    if mask is not None:
        target[~kernels.xp.asarray(mask, dtype=bool)] = 0
