"""Arrays of any strides as rows in the order they have in memory, and back: without copies."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class View(NamedTuple):
    """How the axes of an array are laid out: ``order`` from the longest stride to the shortest.

    ``shape`` is that of the array in this order, ``lead`` how many of its axes are rows. What
    ``flat`` makes of an array, ``back`` undoes, for any number of features.
    """

    order: tuple[int, ...]
    shape: tuple[int, ...]
    lead: int

    def flat(self, array):
        """Rows (r, K), or (r, K, L) where features are not the last in memory."""
        ordered = array if _straight(self.order) else array.transpose(self.order)
        tail = self.shape[self.lead + 1 :]
        features = array.shape[self.order[self.lead]]
        inner = (math.prod(tail),) if tail else ()
        return ordered.reshape(math.prod(self.shape[: self.lead]), features, *inner)

    def back(self, flat):
        """The array whose rows, of this many features, are ``flat``."""
        tail = self.shape[self.lead + 1 :]
        array = flat.reshape(*self.shape[: self.lead], flat.shape[1], *tail)
        return array if _straight(self.order) else array.transpose(np.argsort(self.order))


class _Rows:
    """The view of rows that are rows."""

    order = (0, 1)

    def flat(self, array):
        return array

    back = flat


_ROWS = _Rows()


def rows_of(x) -> View | _Rows:
    """View of x (n, p) or (n, T, p) whose features, the last axis, are columns."""
    if x.ndim == 2:
        return _ROWS
    order = (1, 0, 2) if x.strides[0] < x.strides[1] else (0, 1, 2)
    return View(order, tuple(x.shape[axis] for axis in order), 2)


def channels_of(x) -> View:
    """View of images x (n, C, H, W): rows of C if channels come last in memory, else of C maps."""
    if x.strides[1] < min(x.strides[2:]):
        return View((0, 2, 3, 1), tuple(x.shape[axis] for axis in (0, 2, 3, 1)), 3)
    return View((0, 1, 2, 3), x.shape, 1)


def _straight(order) -> bool:
    return order == tuple(range(len(order)))
