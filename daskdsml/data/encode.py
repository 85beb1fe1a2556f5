"""From the user's class labels to the targets of a loss; applied to blocks once, by the engine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.contracts import Block


class LabelCodes(NamedTuple):
    """Turns labels into their places 0.0, 1.0, ... among the classes, and weighs rows by class.

    Attributes
    ----------
    classes : array (K,), sorted
    class_weight : tuple of K floats, or None for all ones
    """

    classes: np.ndarray
    class_weight: tuple[float, ...] | None = None

    def __call__(self, block: Block) -> Block:
        y = np.ravel(block.y)
        codes = codes_of(y, self.classes)
        if (codes < 0).any():
            stranger = y[np.argmin(codes)]
            raise ValueError(
                f"y holds the label {stranger!r}, which the first pass did not see: the collection "
                "gives other data each time it is computed. Persist or store it first."
            )
        w = block.w
        if self.class_weight is not None:
            by_class = np.asarray(self.class_weight)[codes]
            w = by_class if w is None else w * by_class
        return block._replace(y=codes.astype(block.X.dtype), w=w)


def codes_of(labels, classes) -> np.ndarray:
    """The place (n,) of each label among sorted ``classes (K,)``, -1 where it is none of them."""
    places = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    return np.where(classes[places] == labels, places, -1)
