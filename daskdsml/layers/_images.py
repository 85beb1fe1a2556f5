"""Shapes of images and of the windows that move over them; for the layers of this folder."""

from __future__ import annotations

import numbers
from typing import NamedTuple


class WindowGrid(NamedTuple):
    """Windows over images (n, C, H, W): all fields are (vertical, horizontal).

    Window (y, x) of ``out`` begins at ``(y, x) * stride``, counted from ``before`` zeros in front
    of the first entry; ``after`` zeros follow the last.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]
    out: tuple[int, int]

    def padded(self, shape):
        """Shape of images of this ``shape`` with the zeros around them."""
        sides = zip(shape[2:], self.before, self.after, strict=True)
        return (*shape[:2], *(sum(parts) for parts in sides))

    def inside(self, shape):
        """Where the images of this ``shape`` are among the zeros."""
        sides = zip(self.before, shape[2:], strict=True)
        return (slice(None), slice(None), *(slice(first, first + n) for first, n in sides))


def channels_first(layer, in_shape) -> tuple[int, int, int]:
    """(C, H, W) of a row of ``in_shape``; (H, W) has one channel.

    Raises
    ------
    ValueError
        If it has another number of axes, or one without an entry.
    """
    if len(in_shape) not in (2, 3) or min(in_shape) < 1:
        raise ValueError(
            f"{type(layer).__name__} expects images (C, H, W) or (H, W), got a shape {in_shape}. "
            "Reshape X to (n, C, H, W), and keep Flatten behind the last layer of images."
        )
    return (1,) * (3 - len(in_shape)) + tuple(in_shape)


def check_data_format(layer) -> None:
    """Raise ValueError unless ``data_format`` is one there is."""
    if layer.data_format not in (None, "channels_first", "channels_last"):
        raise ValueError(
            f"data_format of {type(layer).__name__} must be 'channels_first', 'channels_last' or "
            f"None, got {layer.data_format!r}."
        )


def told_format(layers) -> str | None:
    """How the images are laid out that ``layers`` are given, as these tell; None if none does.

    Raises
    ------
    ValueError
        If they tell both formats.
    """
    told = {getattr(layer, "data_format", None) for layer in layers} - {None}
    if len(told) > 1:
        raise ValueError(
            "layers have data_format 'channels_first' and 'channels_last', but it tells of the "
            "images in X, which are the same for all layers. Give one of both, to the first layer "
            "or to all."
        )
    return told.pop() if told else None


def pair(layer, name, low):
    """The setting ``name``, an integer or two of them, as (vertical, horizontal).

    Raises
    ------
    ValueError
        If it is anything else, or a number is below ``low``.
    """
    value = getattr(layer, name)
    both = (value, value) if _whole(value) else value
    good = isinstance(both, tuple | list) and len(both) == 2
    if not (good and all(_whole(v) and v >= low for v in both)):
        raise ValueError(
            f"{name} of {type(layer).__name__} must be an integer of at least {low}, or a pair "
            f"(vertical, horizontal) of them, got {value!r}."
        )
    return int(both[0]), int(both[1])


def frame(layer, shape, size, stride, padding) -> WindowGrid:
    """Windows over images of ``shape`` (H, W); ``padding`` is two pairs (before, after).

    Raises
    ------
    ValueError
        If a window is larger than the image with its padding.
    """
    before, after = zip(*padding, strict=True)
    room = tuple(sum(parts) for parts in zip(shape, before, after, strict=True))
    if any(k > r for k, r in zip(size, room, strict=True)):
        raise ValueError(
            f"{type(layer).__name__} has windows of size {size}, larger than its input with "
            f"padding, {room}. Take a smaller size, or more padding."
        )
    out = tuple((r - k) // s + 1 for r, k, s in zip(room, size, stride, strict=True))
    return WindowGrid(size, stride, before, after, out)


def same(length, size, stride) -> tuple[int, int]:
    """Zeros before and after ``length`` entries that give ceil(length / stride) windows."""
    lacking = max(0, (-(-length // stride) - 1) * stride + size - length)
    return lacking // 2, lacking - lacking // 2


def _whole(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
