"""Moments of some columns of X, to which columns are added by a read each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.backends._array_api import add_outer
from daskdsml.passes.moments import GroupMoments, Moments, by_group


class Joining(NamedTuple):
    """Columns whose cross products a read is to make.

    ``columns (m,)`` of X, of which the last ``n_new`` are new; ``centre (m + 1,)`` is what is
    subtracted from them and from y: near the mean, so that nothing cancels.
    """

    columns: np.ndarray
    n_new: int
    centre: np.ndarray


class Products(NamedTuple):
    """By label of rows, for v = [x_j y] less the centre: sums (n_new,) and products (n_new, m + 1).

    They are ``sum_i w_i v_ij`` and ``sum_i w_i v_ij v_ik`` for new columns j.
    """

    groups: dict[int, tuple[np.ndarray, np.ndarray]]

    def __add__(self, other: Products) -> Products:
        groups = dict(self.groups)
        for label, (sums, products) in other.groups.items():
            if label in groups:
                sums, products = groups[label][0] + sums, groups[label][1] + products
            groups[label] = sums, products
        return Products(groups)


class ColumnMoments(NamedTuple):
    """Moments of [X y] in ``columns``, by label of rows.

    ``sums`` holds, for each label, those (m + 1,) of the columns and y less the ``centre``, and
    ``products`` matrices (k, m_k + 1): those of k columns that joined together with the m_k columns
    known then, themselves among them, and with y. ``y`` are the moments of y alone.
    Without ``intercept`` the centre is zero, and so is the point that moments are about.
    """

    columns: np.ndarray
    centre: np.ndarray
    sums: dict[int, np.ndarray]
    products: dict[int, tuple[np.ndarray, ...]]
    y: GroupMoments
    intercept: bool

    @classmethod
    def empty(cls, y, intercept) -> ColumnMoments:
        """Those of no column yet."""
        centre = y.of().mean[:1] * intercept
        sums = {k: part.weight * (part.mean[:1] - centre) for k, part in y.groups.items()}
        return cls(np.empty(0, dtype=int), centre, sums, {k: () for k in sums}, y, intercept)

    def joined(self, joining: Joining, found: Products) -> ColumnMoments:
        """With the columns that a read was for."""
        size, n_new = len(joining.columns) + 1, joining.n_new
        sums, products = {}, {}
        for label, before in self.sums.items():
            nothing = np.zeros(n_new), np.zeros((n_new, size))
            s, P = found.groups.get(label, nothing)
            sums[label] = np.concatenate([before[:-1], s, before[-1:]])
            products[label] = (*self.products[label], P)
        return self._replace(
            columns=joining.columns, centre=joining.centre, sums=sums, products=products
        )

    def of(self, labels=None) -> Moments:
        """Moments of the rows in any of the groups ``labels``, or of all: see `GroupMoments.of`."""
        y, labels, rest = self._about(labels)
        size = len(rest)
        cross, stop = np.empty((size, size)), 0
        for i in range(len(self.products[labels[0]])):
            rows = _added([self.products[label][i] for label in labels])
            start, stop = stop, stop + len(rows)
            cross[start:stop, :stop], cross[start:stop, -1] = rows[:, :-1], rows[:, -1]
            cross[:start, start:stop] = rows[:, :start].T
        cross[-1] = cross[:, -1]
        cross[-1, -1] = y.cross[0, 0] + y.weight * (y.mean[0] - self.centre[-1]) ** 2
        return Moments(y.stats, y.weight, self.centre + rest, add_outer(cross, rest, -y.weight))

    def last_joined(self, labels=None) -> tuple[np.ndarray, np.ndarray]:
        """Cross products (k, m + 1) of the columns that joined last, and all means (m + 1,)."""
        y, labels, rest = self._about(labels)
        rows = _added([self.products[label][-1] for label in labels])
        new = rest[-1 - len(rows) : -1]
        return rows - y.weight * new[:, None] * rest, self.centre + rest

    def mean_of(self, labels) -> np.ndarray:
        """Means (m + 1,) of [X y] over the rows in any of the groups ``labels``."""
        return self.centre + self._about(labels)[2]

    def _about(self, labels):
        """Moments of y, the labels there are, and the means (m + 1,) less the centre."""
        y = self.y.of(labels)
        labels = [k for k in sorted(self.sums if labels is None else labels) if k in self.sums]
        rest = sum(self.sums[label] for label in labels) / y.weight
        return y, labels, rest if self.intercept else 0.0 * rest


def _added(arrays):
    """The sum of arrays, in a new one."""
    total = arrays[0].copy()
    for other in arrays[1:]:
        total += other
    return total


def column_products(joining: Joining, block) -> Products:
    """Kernel: what one block adds."""
    some = block._replace(X=columns_of(block.X, joining.columns))
    return Products({label: _of_rows(joining, rows) for label, rows in by_group(some)})


def _of_rows(joining, rows):
    X = rows.X if isinstance(rows.X, np.ndarray) else rows.X.toarray()
    tile = np.empty((len(X), X.shape[1] + 1))
    np.subtract(X, joining.centre[:-1], out=tile[:, :-1])
    np.subtract(np.atleast_2d(rows.y.T)[0], joining.centre[-1], out=tile[:, -1])
    new = tile[:, X.shape[1] - joining.n_new : -1]
    new = new if rows.w is None else rows.w[:, None] * new
    return new.sum(axis=0), new.T @ tile


def columns_of(X, columns):
    """Some columns (n, m) of an array or CSR matrix, in a new one."""
    # NumPy's index takes several times as long.
    return np.take(X, columns, axis=1) if isinstance(X, np.ndarray) else X[:, columns]
