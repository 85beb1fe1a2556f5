"""Second moments of [X y] in one read, of all rows or of each group: all least squares asks for."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from daskdsml.backends._array_api import add_outer
from daskdsml.passes.row_stats import RowStats, row_stats_of


class Moments(NamedTuple):
    """Weighted moments of the columns of [X y].

    ``weight = sum w_i``, ``mean (q,)`` and ``cross (q, q) = sum w_i (v_i - mean)(v_i - mean)'`` for
    rows ``v_i = [x_i y_i]``. Sums are joined by the update of Chan, Golub and LeVeque, which never
    subtracts large numbers that nearly cancel.

    References
    ----------
    Chan, T. F., Golub, G. H. and LeVeque, R. J. (1983). Algorithms for computing the sample
    variance. The American Statistician 37(3), 242-247.
    """

    stats: RowStats
    weight: float
    mean: np.ndarray
    cross: np.ndarray

    @np.errstate(over="ignore", invalid="ignore")  # row stats name what is not finite
    def __add__(self, other: Moments) -> Moments:
        stats = self.stats + other.stats
        weight = self.weight + other.weight
        if weight == 0.0:
            return Moments(stats, weight, self.mean, self.cross)
        share = other.weight / weight
        shift = other.mean - self.mean
        cross = add_outer(self.cross + other.cross, shift, self.weight * share)
        return Moments(stats, weight, self.mean + share * shift, cross)

    def rss(self, coef, intercept, output=0) -> np.ndarray:
        """Weighted sums of squared errors (m,) of m linear models on these rows.

        ``coef`` is (m, p), ``intercept (m,)``, ``output`` the column of y.
        """
        p = coef.shape[1]
        k = p + output
        inner = np.einsum("mp,mp->m", coef @ self.cross[:p, :p], coef)
        about_means = self.cross[k, k] - 2.0 * coef @ self.cross[:p, k] + inner
        shift = self.mean[k] - coef @ self.mean[:p] - intercept
        return np.maximum(about_means, 0.0) + self.weight * shift**2

    def times(self, count) -> Moments:
        """The moments of these rows where each of them is there ``count`` times."""
        return self._replace(weight=count * self.weight, cross=count * self.cross)

    def about_zero(self) -> Moments:
        """The same moments taken about zero instead of the mean, for a model with no intercept."""
        cross = add_outer(self.cross.copy(), self.mean, self.weight)
        return self._replace(mean=np.zeros_like(self.mean), cross=cross)


class GroupMoments(NamedTuple):
    """Moments of each group of rows: ``groups`` maps a label to them; ``stats`` is of all rows."""

    stats: RowStats
    groups: dict[int, Moments]

    def __add__(self, other: GroupMoments) -> GroupMoments:
        groups = dict(self.groups)
        for label, part in other.groups.items():
            groups[label] = groups[label] + part if label in groups else part
        return GroupMoments(self.stats + other.stats, groups)

    def of(self, labels=None) -> Moments:
        """Moments of the rows in any of the groups ``labels``, or of all; added in their order.

        Rows count as often as their label is named.

        Raises
        ------
        ValueError
            If these rows have no weight.
        """
        counts = Counter(list(self.groups if labels is None else labels))
        named = [(label, n) for label, n in sorted(counts.items()) if label in self.groups]
        parts = [self.groups[k] if n == 1 else self.groups[k].times(n) for k, n in named]
        if not any(part.weight > 0.0 for part in parts):
            raise ValueError(
                "A training or test set of a fold holds no row of positive weight. Use fewer "
                "folds, or drop rows of weight 0 before."
            )
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def mean_of(self, labels) -> np.ndarray:
        """Means (q,) of [X y] over the rows in any of the groups ``labels``."""
        parts = [self.groups[label] for label in labels if label in self.groups]
        weight = sum(part.weight for part in parts)
        total: Any = sum(part.weight * part.mean for part in parts)
        return total / weight


def moments(backend, block) -> Moments:
    """Kernel: what one block adds to the moments."""
    part = backend.moments(block)
    clean = np.isfinite(part.cross).all() and np.isfinite(part.mean).all()
    return Moments(row_stats_of(block, suspect_X=not clean), *part)


def group_moments(backend, block) -> GroupMoments:
    """Kernel: what one block adds to the moments of each of its groups ``g``, 0 if it has none."""
    groups = {label: moments(backend, rows) for label, rows in by_group(block)}
    clean = all(np.isfinite(part.cross).all() for part in groups.values())
    stats = row_stats_of(block, suspect_X=not clean)
    counts = {k: v._replace(stats=v.stats._replace(invalid=())) for k, v in groups.items()}
    return GroupMoments(stats, counts)


def by_group(block):
    """The block cut by its labels ``g``: pairs of a label and its rows, in the labels' order."""
    if block.g is None or not len(block.g):
        yield 0, block
        return
    if (block.g[1:] < block.g[:-1]).any():
        order = np.argsort(block.g, kind="stable")
        block = block._replace(
            X=block.X[order], y=block.y[order], w=None if block.w is None else block.w[order],
            g=block.g[order],
        )  # fmt: skip
    labels, starts = np.unique(block.g, return_index=True)
    for label, start, stop in zip(labels, starts, [*starts[1:], len(block.g)], strict=True):
        rows = slice(start, stop)
        parts = (None if a is None else a[rows] for a in block[:3])
        yield (
            int(label),
            block._replace(**dict(zip(("X", "y", "w"), parts, strict=True)), g=block.g[rows]),
        )
