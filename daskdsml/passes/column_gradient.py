"""Gradient of squared error in all columns of X, for many models at once, from one read."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.passes.columns import columns_of
from daskdsml.passes.moments import GroupMoments, group_moments
from daskdsml.passes.row_stats import RowStats, row_stats_of

# Entries of X worked on at once, where they have to be copied.
TILE_ENTRIES = 2**22
# From this share of the columns on, one model's scores take less time from all of them than a copy
# of its own would.
WHOLE_SHARE = 0.1


class Models(NamedTuple):
    """M linear models on ``columns (m,)`` of X, each fitted to some groups of rows.

    ``coefs (m, M)``, ``intercepts (M,)``; ``member (n_labels, M)`` tells how often the rows of a
    label count in a model.
    """

    columns: np.ndarray
    coefs: np.ndarray
    intercepts: np.ndarray
    member: np.ndarray


class ColumnGradient(NamedTuple):
    """Minus the gradient, ``products (p, M) = sum_i w_i x_i r_i`` over a model's rows with
    residuals ``r_i``, and ``residuals (M,) = sum_i w_i r_i``.
    """

    products: np.ndarray
    residuals: np.ndarray

    def __add__(self, other: ColumnGradient) -> ColumnGradient:
        return ColumnGradient(self.products + other.products, self.residuals + other.residuals)


class ZeroGradient(NamedTuple):
    """The summary of wide data, by label of rows.

    ``y`` has the moments of y alone; ``sums`` and ``products`` (p, n_labels) are ``sum_i w_i x_i``
    and ``sum_i w_i x_i y_i`` over the rows of a label, the latter for the first column of y.
    """

    stats: RowStats
    y: GroupMoments
    sums: np.ndarray
    products: np.ndarray

    @np.errstate(over="ignore", invalid="ignore")  # row stats name what is not finite
    def __add__(self, other: ZeroGradient) -> ZeroGradient:
        n_labels = max(self.sums.shape[1], other.sums.shape[1])
        return ZeroGradient(
            self.stats + other.stats,
            self.y + other.y,
            _wide(self.sums, n_labels) + _wide(other.sums, n_labels),
            _wide(self.products, n_labels) + _wide(other.products, n_labels),
        )


def zero_gradient(backend: Any, block) -> ZeroGradient:
    """Kernel: what one block adds to the summary."""
    y = np.atleast_2d(block.y.T)[0].astype(np.float64)
    w = np.ones(len(y)) if block.w is None else block.w
    labels = _labels(block)
    member = np.zeros((len(y), int(labels.max(initial=0)) + 1))
    member[np.arange(len(y)), labels] = w
    n_labels = member.shape[1]
    both = _products(block.X, np.column_stack([member, member * y[:, None]]))
    nothing = block._replace(X=np.empty((len(y), 0)))
    stats = row_stats_of(block, suspect_X=not np.isfinite(both).all())
    return ZeroGradient(
        stats, group_moments(backend, nothing), both[:, :n_labels], both[:, n_labels:]
    )


def column_gradient(models: Models, block) -> ColumnGradient:
    """Kernel: what one block adds."""
    y = np.atleast_2d(block.y.T)[0].astype(np.float64)
    r = y[:, None] - _scores(models, block.X) - models.intercepts
    if block.w is not None:
        r *= block.w[:, None]
    r *= models.member[_labels(block)]
    return ColumnGradient(_products(block.X, r), r.sum(axis=0))


def _scores(models, X) -> np.ndarray:
    """``X[:, columns] @ coefs`` (n, M) in float64."""
    m, n_models = models.coefs.shape
    if n_models == 1 and m > WHOLE_SHARE * X.shape[1] and X.dtype == np.float64:
        coefs = np.zeros((X.shape[1], 1))
        coefs[models.columns] = models.coefs
        return X @ coefs
    return columns_of(X, models.columns).astype(np.float64, copy=False) @ models.coefs


def _products(X, R) -> np.ndarray:
    """``X'R`` (p, M) in float64."""
    if not isinstance(X, np.ndarray) or X.dtype == np.float64:
        return np.asarray(X.T @ R, dtype=np.float64)
    total = np.zeros((X.shape[1], R.shape[1]))
    step = max(TILE_ENTRIES // max(X.shape[1], 1), 1)
    for start in range(0, len(X), step):
        total += X[start : start + step].T.astype(np.float64) @ R[start : start + step]
    return total


def _labels(block) -> np.ndarray:
    return np.zeros(block.X.shape[0], dtype=int) if block.g is None else block.g


def _wide(sums, n_labels) -> np.ndarray:
    """``sums`` with columns of zeros for the labels it has not met."""
    return np.pad(sums, ((0, 0), (0, n_labels - sums.shape[1])))
