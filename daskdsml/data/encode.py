"""From the user's class labels to the targets of a loss; applied to blocks once, by the engine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.contracts import Block


class LabelCodes(NamedTuple):
    """Turns labels into 0.0 and 1.0 and multiplies weights by those of the classes.

    Attributes
    ----------
    classes : array (2,), sorted
    class_weight : tuple of two floats, or None for all ones
    """

    classes: np.ndarray
    class_weight: tuple[float, float] | None = None

    def __call__(self, block: Block) -> Block:
        y = np.ravel(block.y)
        second = y == self.classes[1]
        known = second | (y == self.classes[0])
        if not known.all():
            stranger = y[np.argmin(known)]
            raise ValueError(
                f"y holds the label {stranger!r}, which the first pass did not see: the collection "
                "gives other data each time it is computed. Persist or store it first."
            )
        w = block.w
        if self.class_weight is not None:
            by_class = np.where(second, self.class_weight[1], self.class_weight[0])
            w = by_class if w is None else w * by_class
        return block._replace(y=second.astype(block.X.dtype), w=w)
