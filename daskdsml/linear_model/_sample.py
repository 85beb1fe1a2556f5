"""Rows drawn at random: what they tell of all rows before any more reads are made."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.optimize import bisect

from daskdsml.contracts import Block
from daskdsml.data.blocks import as_block
from daskdsml.passes.summary import DataSummary

# A sample of m rows puts the start about sqrt(p / m) from the optimum, in units where 1 is far.
SAMPLE_ROWS, SAMPLE_ROWS_PER_COLUMN, SAMPLE_BYTES = 10_000, 200, 2**26
# One row of so many costs next to nothing beside a read of all, and the start is nearer.
SAMPLE_PART = 200
# A sample of more than this share of the rows costs more than the passes it saves, if each pass may
# have a Hessian.
SAMPLE_SHARE = 0.2
# Rows whose products with each other tell how far columns are from independent, to some percent.
ISOTROPY_ROWS = 256
# Rows that must share the curvature along a line for its minimum to be known to some tenths, and
# the bounds of a step there.
ROWS_OF_LINE, STEP_LENGTHS = 64, (0.25, 4.0)


def sample_size(table, all_rows) -> tuple[int, float]:
    """Rows to sample, and the largest share of a block's rows to offer; 0 rows for no sample.

    ``all_rows`` tells whether a sample may be all of the rows.
    """
    n, p = table.n_rows, table.n_features
    n_bytes = table.n_bytes
    row = 8 * p if n is None or not n_bytes else max(n_bytes / n, 1.0)
    size = max(SAMPLE_ROWS, SAMPLE_ROWS_PER_COLUMN * p, 0 if n is None else n // SAMPLE_PART)
    size = int(min(size, SAMPLE_BYTES // row + 1))
    if n is not None and size > SAMPLE_SHARE * n and not all_rows:
        return 0, 1.0
    return size, 1.0 if n is None else min(1.0, 1.5 * size / n)


class Sampler(NamedTuple):
    """Draws rows of a table, in random order and without replacement.

    Rows of a table in this process's memory are drawn when they are asked for, from ``seed``; those
    of a Dask collection were drawn over all blocks by the first read. ``codes`` turns labels into
    codes, or is None; ``size`` is how many are drawn where nothing else is asked for, and the most
    that a Dask collection has. ``shift``, unless it is None, moves columns of the rows.
    """

    table: Any
    found: DataSummary
    codes: Any
    seed: int
    size: int
    shift: Any = None

    def __call__(self, size=None, skip=0) -> Block | None:
        """At most ``size`` rows as a block; None if there are none.

        Of a Dask collection they come after the first ``skip`` sampled rows; of a table in memory
        another ``skip`` draws other rows, by chance some of the same.
        """
        size = self.size if size is None else min(size, self.most)
        if not self.table.is_local:
            block = self.found.sample.block()
            block = block and first_rows(block, size, skip)
        elif size:
            rng = np.random.default_rng([self.seed, skip])
            drawn = rng.choice(self.table.n_rows, size, replace=False)
            X, y, w = (None if part is None else part[drawn] for part in self.table.row_parts[:3])
            block = as_block(([X], y, w, None))
        else:
            block = None
        if block is None or not len(block.y):
            return None
        block = block if self.shift is None else self.shift(block)
        return block if self.codes is None else self.codes(block)

    @property
    def most(self) -> int:
        """The most rows that can be asked for."""
        return self.found.stats.n_rows if self.table.is_local else self.size

    def class_means(self) -> np.ndarray | None:
        """Means (K, p) of the columns over all rows of each class, or None without classes."""
        if self.codes is None:
            return None
        means = self.found.sums / self.found.counts[:, None]
        return means if self.shift is None else self.shift.of(means)

    def covers(self, block) -> bool:
        """Whether a block has rows of every class."""
        return self.codes is None or len(np.unique(block.y)) == len(self.codes.classes)


class SampledLine(NamedTuple):
    """How far a step is to go, as sampled rows tell: a search along a line without a read.

    The derivative along the line is the rows' own, plus what it is off by where the step begins:
    there the slope over all rows is known. So the rows tell of curvature alone, in one dimension,
    whatever the number of columns.
    """

    problem: Any
    block: Block

    def __call__(self, theta, direction, slope) -> float:
        """The length in units of ``direction (size,)``; 1 where too few rows bend the line."""
        problem, (X, y, w) = self.problem, self.block[:3]
        z, dz = (X @ coef.T + one for coef, one in map(problem.by_output, (theta, direction)))
        if not problem.loss.coupled:
            z, dz = z[:, 0], dz[:, 0]
        y = np.asarray(y, dtype=z.dtype)
        w = np.full(len(y), 1.0 / len(y)) if w is None else w / w.sum()
        own = problem.penalty.l2 * problem.penalised * direction

        @np.errstate(over="ignore", invalid="ignore")
        def rises(t):
            slopes = problem.loss.value_and_derivative(np, y, z + t * dz)[1] * dz
            return w * (slopes.sum(axis=1) if problem.loss.coupled else slopes)

        start = rises(0.0)
        bends = np.abs(rises(1.0) - start)
        largest = float(bends.max())
        if not 0.0 < largest < np.inf:
            return 1.0
        bends /= largest
        if bends.sum() ** 2 < ROWS_OF_LINE * float(bends @ bends):
            return 1.0

        def rise(t):
            return float(rises(t).sum() - start.sum()) + slope + t * float(own @ direction)

        shortest, longest = STEP_LENGTHS
        if not rise(longest) > 0.0:
            return longest
        return shortest if rise(shortest) > 0.0 else bisect(rise, shortest, longest, xtol=0.03)


def first_rows(block, size, start=0) -> Block:
    """Rows ``start`` to ``start + size`` of a block."""
    rows = slice(start, start + size)
    w = None if block.w is None else block.w[rows]
    return Block(block.X[rows], np.ravel(block.y)[rows], w)


def anisotropy(problem, block, means=None) -> float:
    """``p tr(C**2) / tr(C)**2`` of the correlation matrix C of the columns, from sampled rows.

    1 for columns that are independent, and p where all are the same. With rows ``x_i`` of centred
    columns of unit spread, the squares of ``x_i'x_j`` have the mean ``tr(C**2)`` over pairs of
    different rows, whatever their number is next to p (Srivastava, 2005). With ``means (K, p)`` of
    classes, C is that within classes: where these are far apart, rows between them, from which
    curvature comes, are few.

    References
    ----------
    Srivastava, M. S. (2005). Some tests concerning the covariance matrix in high dimensional data.
    Journal of the Japan Statistical Society 35(2), 251-272.
    """
    X = block.X[:ISOTROPY_ROWS]
    m = X.shape[0]
    centres = problem.mean[None] if means is None else means
    codes = np.zeros(m, dtype=int) if means is None else np.asarray(block.y[:m], dtype=int)
    products = _products_of_rows(X, centres, codes, problem.scale)
    trace = float(np.trace(products))
    if m < 2 or not trace > 0.0:
        return 1.0
    pairs = float((products**2).sum() - (np.diag(products) ** 2).sum()) / (m * (m - 1))
    return max(problem.n_features * pairs / (trace / m) ** 2, 1.0)


def _products_of_rows(X, centres, codes, spread) -> np.ndarray:
    """Products (m, m) of ``(x_i - centres[codes[i]]) / spread``; CSR rows stay sparse."""
    if not sparse.issparse(X):
        Z = (X - centres[codes]) / spread
        return Z @ Z.T
    scaled, C = X @ sparse.diags_array(1.0 / spread), centres / spread
    cross = (scaled @ C.T)[:, codes]
    return (scaled @ scaled.T).toarray() - cross - cross.T + (C @ C.T)[np.ix_(codes, codes)]
