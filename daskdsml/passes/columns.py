"""Moments of some columns of X, to which columns are added by a read each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

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

    ``about`` holds, for each label, the sums (m + 1,) and products (m + 1, m + 1) about ``centre``;
    ``y`` are the moments of y alone. Without ``intercept`` the centre is zero, and so is the point
    that ``groups`` are about.
    """

    columns: np.ndarray
    centre: np.ndarray
    about: dict[int, tuple[np.ndarray, np.ndarray]]
    y: GroupMoments
    intercept: bool

    @classmethod
    def empty(cls, y, intercept) -> ColumnMoments:
        """Those of no column yet."""
        centre = y.of().mean[:1] * intercept
        about = {}
        for label, part in y.groups.items():
            shift = part.mean[:1] - centre
            square = part.cross[:1, :1] + part.weight * np.outer(shift, shift)
            about[label] = part.weight * shift, square
        return cls(np.empty(0, dtype=int), centre, about, y, intercept)

    def joined(self, joining: Joining, found: Products) -> ColumnMoments:
        """With the columns that a read was for."""
        before, size = len(self.columns), len(joining.columns) + 1
        old = np.append(np.arange(before), size - 1)
        new = np.arange(before, size - 1)
        about = {}
        for label, (sums, products) in self.about.items():
            s, S = np.zeros(size), np.zeros((size, size))
            s[old], S[np.ix_(old, old)] = sums, products
            if label in found.groups:
                s[new], S[new] = found.groups[label]
                S[:, new] = S[new].T
            about[label] = s, S
        return self._replace(columns=joining.columns, centre=joining.centre, about=about)

    @property
    def groups(self) -> GroupMoments:
        """The moments as every least-squares solver takes them."""
        groups = {}
        for label, (s, S) in self.about.items():
            part = self.y.groups[label]
            rest = s / part.weight if self.intercept and part.weight > 0.0 else 0.0 * s
            cross = S - part.weight * np.outer(rest, rest)
            groups[label] = Moments(part.census, part.weight, self.centre + rest, cross)
        return GroupMoments(self.y.census, groups)


def column_products(joining: Joining, block) -> Products:
    """Kernel: what one block adds."""
    some = block._replace(X=block.X[:, joining.columns])
    return Products({label: _of_rows(joining, rows) for label, rows in by_group(some)})


def _of_rows(joining, rows):
    X = rows.X if isinstance(rows.X, np.ndarray) else rows.X.toarray()
    tile = np.empty((len(X), X.shape[1] + 1))
    np.subtract(X, joining.centre[:-1], out=tile[:, :-1])
    np.subtract(np.atleast_2d(rows.y.T)[0], joining.centre[-1], out=tile[:, -1])
    new = tile[:, X.shape[1] - joining.n_new : -1]
    new = new if rows.w is None else rows.w[:, None] * new
    return new.sum(axis=0), new.T @ tile
