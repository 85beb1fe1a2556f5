"""Rows by the rank of their score: sums over the rows of each distinct score, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from daskdsml.metrics._sums import check_binary, weights

_SIGN = np.uint64(2**63)


class Ranks(NamedTuple):
    """Sums over rows of equal score, or over *cells* of scores where there are too many.

    Scores become integers in the same order (the bits of a float64, read as a number). Above
    ``most`` distinct ones the last ``dropped`` bits of all are cleared, the fewest that leave
    ``most`` at the most: more than half as many, for a bit joins two cells at a time. A cell is an
    interval of relative width ``2**(dropped - 52)``. The fewest bits for a part of the rows are
    never more than those for all, so the cells of all rows are the same in whatever chunks and
    order they come, and errors do not pile up.

    Attributes
    ----------
    keys : uint64 array (m,), ascending
        Scores as integers; of a cell the lowest there may be.
    sums : array (m, c)
    dropped : int
        0 where all distinct scores are kept.
    most : int
        At least 2. A sum holds ``8 (c + 1) most`` bytes at the most.
    """

    keys: np.ndarray
    sums: np.ndarray
    dropped: int
    most: int

    def __add__(self, other: Ranks) -> Ranks:
        keys = np.concatenate([self.keys, other.keys])
        sums = np.concatenate([self.sums, other.sums])
        return _ranked(keys, sums, max(self.dropped, other.dropped), self.most)

    def scores(self) -> np.ndarray:
        """The score (m,) of each rank, of a cell its lower end. A row's score is not below it."""
        positive = self.keys >= _SIGN
        return np.where(positive, self.keys ^ _SIGN, ~self.keys).view(np.float64)


def rank(scores, columns, most) -> Ranks:
    """Sums of ``columns (n, c)`` by ``scores (n,)``, which are numbers; rows of zeros are left out.

    Raises ValueError if ``most`` is below 2.
    """
    if most < 2:
        raise ValueError(f"Ranks need at least 2 distinct scores, got most={most!r}.")
    used = columns.any(axis=1)
    scores = np.asarray(scores, dtype=np.float64)[used] + 0.0  # so that -0.0 is 0.0
    bits = scores.view(np.uint64)
    keys = np.where(bits >= _SIGN, ~bits, bits ^ _SIGN)
    return _ranked(keys, columns[used], 0, most)


@dataclass(frozen=True)
class RankMetric:
    """Base of metrics of two classes by the rank of a score; ``name`` is the metric's."""

    most: int = 2**14

    name = ""
    needs = "scores"

    def count(self, y, predicted, w, n_classes) -> Ranks:
        """Weights (m, 2) of both classes by score; ValueError unless there are two classes."""
        check_binary(self.name, n_classes, "neg_log_loss")
        w = weights(y, w)
        return rank(predicted, np.column_stack([w * (y == 0), w * (y == 1)]), self.most)


def _ranked(keys, sums, dropped, most) -> Ranks:
    order = np.argsort(keys, kind="stable")
    keys, sums = _merged(keys[order], sums[order], dropped)
    if keys.size > most:
        # Two neighbours fall together once all bits in which they differ are cleared.
        differ = keys[1:] ^ keys[:-1]
        dropped = int(np.partition(differ, -most)[-most]).bit_length()
        keys, sums = _merged(keys, sums, dropped)
    return Ranks(keys, sums, dropped, most)


def _merged(keys, sums, dropped):
    """Sorted keys without their last bits, each once, with the sums of those that fall together."""
    keys = (keys >> np.uint64(dropped)) << np.uint64(dropped)
    if not keys.size:
        return keys, sums
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    return keys[starts], np.add.reduceat(sums, starts, axis=0)
