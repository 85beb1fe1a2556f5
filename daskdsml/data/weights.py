"""What all rows of examples weigh together; for networks."""

from __future__ import annotations

import math

import dask
import numpy as np
from dask.array import core as da

from daskdsml.data.dataset import Dataset
from daskdsml.engine.clients import compute


def summed_weight(examples: Dataset, of_steps: bool) -> float:
    """The weight of all rows, or steps, of examples, from one pass over weights and mask alone.

    Steps that ``examples.mask`` leaves out do not count if ``of_steps``. Sums of blocks are added
    exactly, so they do not depend on the order.
    """
    w, mask, steps = examples.w, examples.mask if of_steps else None, 1
    if of_steps and mask is None and (w is None or w.ndim == 1):
        steps = examples.in_shape[0]
    if w is None and mask is None:
        return float(examples.X.shape[0] * steps)
    given = w if mask is None else mask
    if not isinstance(given, da.Array):
        return steps * _summed(w, mask)
    parts = [
        [None] * given.numblocks[0] if part is None else part.to_delayed().ravel()
        for part in (w, mask)
    ]
    return steps * math.fsum(compute(*map(dask.delayed(_summed, pure=False), *parts)))


def _summed(w, mask) -> float:
    if mask is None:
        return float(w.sum())
    if w is None:
        return float(np.count_nonzero(mask))
    return float((w * mask).sum() if w.ndim > 1 else w @ mask.sum(axis=1))
