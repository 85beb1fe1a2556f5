"""A summary that also tells how many rows of each class each block has; for stratified folds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.contracts import Block
from daskdsml.passes.summary import DataSummary, SummaryRequest, summarize


class BlockCounts(NamedTuple):
    """Rows of one block by label: ``labels (k,)`` sorted, the ``first (k,)`` row of each in the
    block, and ``counts (k, G)`` in each group of rows (G = 1 where there are none)."""

    id: tuple[int, int]
    labels: np.ndarray
    first: np.ndarray
    counts: np.ndarray


class Strata(NamedTuple):
    """A summary, and the BlockCounts of all blocks, in the order of the rows."""

    summary: DataSummary
    blocks: tuple[BlockCounts, ...]

    def __add__(self, other: Strata) -> Strata:
        return Strata(self.summary + other.summary, (*self.blocks, *other.blocks))


def strata(request: SummaryRequest, block: Block) -> Strata:
    """Kernel: what one block adds."""
    summary = summarize(request, block)
    y = np.ravel(block.y)
    if summary.stats.invalid:
        y = y[:0]
    labels, first, codes = np.unique(y, return_index=True, return_inverse=True)
    g = np.zeros(len(y), dtype=int) if block.g is None else block.g[: len(y)]
    counts = np.zeros((len(labels), int(g.max(initial=0)) + 1), dtype=np.int64)
    np.add.at(counts, (codes, g), 1)
    return Strata(summary, (BlockCounts(block.id, labels, first, counts),))
