"""Scores of a classifier beside the labels: each class against the rest, all in one read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Block
from daskdsml.passes.row_stats import RowStats, row_stats_of

# More labels than two are a mistake where classes are not known; three are enough to tell of it.
MOST_LABELS = 3


class Question(NamedTuple):
    """What to count.

    Attributes
    ----------
    respond : callable
        From X (n, p) to scores (n, K); what is not finite in X it may refuse with ValueError.
    drawn : tuple of (label, column)
        The classes to be met one by one, each against the rest, and the column of their scores.
    known : frozenset of labels, or None
        All labels there may be; None where the rows are to tell.
    count : callable (y, scores, w) -> Summable
        Counts a block; ``y (n,)`` tells whether rows are of the class.
    """

    respond: Any
    drawn: tuple[tuple[Any, int], ...]
    known: frozenset | None
    count: Callable


class Classified(NamedTuple):
    """What was counted.

    ``labels`` of y, sorted, the first `MOST_LABELS`; ``weights (m, 2)`` of the rows of the rest and
    of each class drawn; ``totals`` (m,) of their sums.
    """

    stats: RowStats
    labels: tuple
    weights: np.ndarray
    totals: tuple

    def __add__(self, other: Classified) -> Classified:
        return Classified(
            self.stats + other.stats,
            tuple(sorted({*self.labels, *other.labels})[:MOST_LABELS]),
            self.weights + other.weights,
            tuple(a + b for a, b in zip(self.totals, other.totals, strict=True)),
        )


def classified(question: Question, block: Block) -> Classified:
    """Kernel: sums of one block; of a block with invalid only these are told.

    Raises
    ------
    ValueError
        If a label is not known, or a score of usable rows is not finite.
    """
    stats, scores = _scored(question, block)
    n = len(scores)
    labels, codes = np.unique(np.ravel(block.y)[:n], return_inverse=True)
    _check_known(labels.tolist(), question.known)
    w = None if block.w is None else block.w[:n]
    weights, totals = [], []
    for label, column in question.drawn:
        own = (labels == label)[codes]
        each = np.ones(n) if w is None else w
        weights.append([each @ ~own, each @ own])
        totals.append(question.count(own, scores[:, column], w))
    seen = tuple(labels.tolist()[:MOST_LABELS])
    return Classified(stats, seen, np.array(weights), tuple(totals))


def _scored(question, block):
    """The stats and scores (n, K) of a block; no scores if it has no rows or they are faulty."""
    none = np.empty((0, 1 + max(column for _, column in question.drawn)))
    if not block.X.shape[0]:
        return row_stats_of(block, suspect_X=False), none
    try:
        scores = question.respond(block.X)
    except ValueError:
        # A classifier refuses what is not finite without a word of where it is.
        stats = row_stats_of(block, suspect_X=True)
        if not stats.invalid:
            raise
        return stats, none
    finite = bool(np.isfinite(scores).all())
    stats = row_stats_of(block, suspect_X=not finite)
    if stats.invalid:
        return stats, none
    if not finite:
        raise ValueError(
            "The scores of the classifier are not finite, though X is: expected a finite number "
            "for each row. Check its coefficients, or scale the columns of X before the fit."
        )
    return stats, scores


def _check_known(labels, known) -> None:
    strangers = [] if known is None else [label for label in labels if label not in known]
    if strangers:
        raise ValueError(
            f"y holds the label {strangers[0]!r}, but the classifier knows {sorted(known)} alone. "
            "Drop such rows, or fit it on data with all labels."
        )
