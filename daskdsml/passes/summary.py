"""Summary of the data before an iterative fit: labels, column spread, a sample of rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from daskdsml.contracts import Block
from daskdsml.passes.row_stats import RowStats, invalid_target, row_stats_of
from daskdsml.utils.validation import MOST_LABELS, check_labels
from daskdsml.utils.variation import Variation

# Where squares about the mean are less than this share of those about zero, or these so small that
# they may have lost digits, columns are looked at again: so many entries at a time.
LEAST_SHARE, LEAST_SQUARE, ENTRIES = 1e-6, 1e-280, 2**20


class SummaryRequest(NamedTuple):
    """What the first read of an iterative fit is to tell.

    ``labels`` tells whether y holds class labels to collect, ``products`` whether columns are to be
    summed with y, a number, as their weight too; ``sample_rows`` rows are drawn with ``seed``, of
    which a block offers the share ``rate`` at most (1.0 where n is not known yet).
    """

    backend: Any
    labels: bool
    sample_rows: int = 0
    rate: float = 1.0
    seed: int = 0
    products: bool = False


class Sample(NamedTuple):
    """Rows drawn at random without replacement: those with the ``size`` smallest random numbers.

    ``pieces`` is a tuple of (u, X, y, w), with a random number ``u (m,)`` per row. Whichever way
    samples are added, the rows that remain are the same.
    """

    size: int
    pieces: tuple

    def __add__(self, other: Sample) -> Sample:
        both = Sample(self.size, (*self.pieces, *other.pieces))
        return both.smallest() if both.n_rows > 2 * self.size else both

    @property
    def n_rows(self) -> int:
        return sum(piece[0].size for piece in self.pieces)

    def smallest(self) -> Sample:
        """The sample in one piece, at most ``size`` rows, in the order of the random numbers."""
        if not self.pieces or self._is_in_order():
            return self
        us, X, y, ws = zip(*self.pieces, strict=True)
        u = np.concatenate(us)
        order = np.argsort(u, kind="stable")[: self.size]
        stacked = sparse.vstack(X, format="csr") if sparse.issparse(X[0]) else np.concatenate(X)
        w = None if ws[0] is None else np.concatenate(ws)[order]
        return Sample(self.size, ((u[order], stacked[order], np.concatenate(y)[order], w),))

    def _is_in_order(self) -> bool:
        u = self.pieces[0][0]
        return len(self.pieces) == 1 and u.size <= self.size and bool((u[1:] >= u[:-1]).all())

    def block(self) -> Block | None:
        """The sampled rows as a block, in random order, or None if there are none."""
        one = self.smallest()
        return Block(*one.pieces[0][1:]) if one.n_rows else None


class Span(NamedTuple):
    """The weighted sum of targets, and the least and the greatest of them, whatever they weigh."""

    total: float = 0.0
    least: float = np.inf
    greatest: float = -np.inf

    def __add__(self, other: Span) -> Span:
        return Span(
            self.total + other.total,
            min(self.least, other.least),
            max(self.greatest, other.greatest),
        )


class DataSummary(NamedTuple):
    """Sums of the first read.

    ``labels (k,)`` sorted, with ``counts (k,)`` their summed weights; ``sums`` of the weighted
    columns of X, (k, p) over the rows of each label, (1, p) if y holds none; ``squares (p,)`` of
    the columns, and their ``variation``; ``sample`` some of the rows; ``span`` of y, empty if it
    holds labels; ``products (p,)`` of columns and y, or None.
    """

    stats: RowStats
    labels: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    variation: Variation
    sample: Sample
    span: Span = Span()
    products: np.ndarray | None = None

    @np.errstate(over="ignore", invalid="ignore")  # row stats name what is not finite
    def __add__(self, other: DataSummary) -> DataSummary:
        stats = (self.stats + other.stats).with_invalid(self._mixed_labels(other))
        if stats.invalid:  # nothing but the stats will be used
            return self._replace(stats=stats)
        labels, counts, sums = _joined(self, other)
        return DataSummary(
            stats,
            labels,
            counts,
            sums,
            self.squares + other.squares,
            self.variation + other.variation,
            self.sample + other.sample,
            self.span + other.span,
            None if self.products is None else self.products + other.products,
        )

    def _mixed_labels(self, other):
        """The first row of ``other`` if its labels are of another kind than those here."""
        if not len(self.labels):
            return None
        entry = invalid_target(other.labels, self.labels, "those before it")
        return entry and entry._replace(row=self.stats.n_rows)

    def mean(self) -> np.ndarray:
        """Weighted mean (p,) of each column."""
        return np.where(self.varies, self.variation.mean, self.variation.greatest)

    @property
    def varies(self) -> np.ndarray:
        """Whether a column (p,) has different values in rows that have weight."""
        return self.variation.varies

    def scale(self, centred: bool) -> np.ndarray:
        """Standard deviation (p,) of each column, or its root mean square if not ``centred``.

        A column that does not vary has its root mean square, or 1 if it is zero throughout.
        """
        varies = centred & self.varies
        squares = np.where(varies, self.variation.squares, self.squares)
        scale = np.sqrt(squares / self.stats.weight)
        return np.where(scale > 0.0, scale, 1.0)


def summarize(request: SummaryRequest, block: Block) -> DataSummary:
    """Kernel: what one block adds to the summary."""
    stats = row_stats_of(block, suspect_X=False)
    labels, codes = _labels_of(request, block, stats)
    sums, squares = request.backend.column_sums(block, codes, max(len(labels), 1))
    if not (np.isfinite(sums).all() and np.isfinite(squares).all()):
        stats = row_stats_of(block, suspect_X=True)
    variation = _variation(block, stats.weight, sums.sum(axis=0), squares)
    counts = np.zeros(len(labels))
    if codes is not None:
        counts += np.bincount(codes, block.w, len(labels))
    if request.labels:
        sums = sums[: len(labels)]
    span = Span() if request.labels or stats.invalid else span_of(block.y, block.w)
    products = None
    if request.products:
        y = np.ravel(block.y).astype(np.float64)
        block_of_y = block._replace(w=y if block.w is None else block.w * y)
        (products,), _ = request.backend.column_sums(block_of_y)
    sample = _drawn(request, block)
    return DataSummary(stats, labels, counts, sums, squares, variation, sample, span, products)


@np.errstate(over="ignore", invalid="ignore")  # row stats name what is not finite
def _variation(block, weight, sums, squares) -> Variation:
    """How columns vary, from weighted ``sums`` and ``squares`` (p,) about zero where these tell.

    Other columns are summed about a number of their own.
    """
    mean = sums / (weight or 1.0)
    about = np.maximum(squares - mean * sums, 0.0)
    limit = np.full(len(mean), np.inf)
    found = Variation(weight, mean, about, -limit, limit)
    near = ~(about > LEAST_SHARE * squares) | (squares < LEAST_SQUARE * weight)
    X, w = block.X, np.ones(block.X.shape[0]) if block.w is None else block.w
    if sparse.issparse(X):
        # Where some entries are zero, columns vary unless all are.
        full = np.bincount(X.indices, minlength=len(mean)) == X.shape[0]
        found.least[~full & (squares == 0.0)] = found.greatest[~full & (squares == 0.0)] = 0.0
        near &= full
    columns, step = np.flatnonzero(near), max(ENTRIES // max(X.shape[0], 1), 1)
    for start in range(0, len(columns), step):
        some = columns[start : start + step]
        x = X[:, some].toarray() if sparse.issparse(X) else X[:, some]
        centre = x[np.argmax(w > 0.0)].astype(np.float64) if len(x) else np.zeros(len(some))
        part = Variation.of(x - centre, w)
        found.mean[some], found.squares[some] = part.mean + centre, part.squares
        found.least[some], found.greatest[some] = part.least + centre, part.greatest + centre
    return found


def span_of(y, w) -> Span:
    """The span of targets ``y (n,)`` with weights ``w (n,)``, or None for all ones."""
    y = np.ravel(y).astype(np.float64)
    total = y.sum() if w is None else w @ y
    return Span(float(total), float(y.min(initial=np.inf)), float(y.max(initial=-np.inf)))


def _labels_of(request, block, stats):
    """Sorted labels (k,) of a block and the code (n,) of each row; none and None without labels."""
    if not request.labels:
        return np.empty(0), None
    y = np.ravel(block.y)
    if stats.invalid or not len(y):
        return y[:0], None
    labels, codes = labels_and_codes(y)
    check_labels(labels)
    return labels, codes


def labels_and_codes(y) -> tuple[np.ndarray, np.ndarray]:
    """Sorted distinct labels (k,) of ``y (n,)``, and the place (n,) of each among them.

    Integers that lie close together are counted instead of sorted.
    """
    if y.dtype.kind in "iu" and len(y):
        least, span = y.min(), int(y.max()) - int(y.min())
        if span < MOST_LABELS:
            offsets = (y - least).astype(np.intp)
            present = np.bincount(offsets, minlength=span + 1) > 0
            places = np.flatnonzero(present)
            return (places.astype(y.dtype) + least), (np.cumsum(present) - 1)[offsets]
    return np.unique(y, return_inverse=True)


def _joined(a: DataSummary, b: DataSummary):
    """Labels, counts and sums of two parts."""
    if np.array_equal(a.labels, b.labels):
        return a.labels, a.counts + b.counts, a.sums + b.sums
    labels, codes = np.unique(np.concatenate([a.labels, b.labels]), return_inverse=True)
    check_labels(labels)
    sums = np.zeros((len(labels), len(a.squares)))
    np.add.at(sums, codes, np.concatenate([a.sums, b.sums]))
    return labels, np.bincount(codes, weights=np.concatenate([a.counts, b.counts])), sums


def _drawn(request: SummaryRequest, block: Block) -> Sample:
    if request.sample_rows == 0:
        return Sample(0, ())
    u = np.random.default_rng([request.seed, *block.id]).random(block.X.shape[0])
    rows = np.flatnonzero(u < request.rate)
    if rows.size > request.sample_rows:
        rows = np.sort(rows[np.argpartition(u[rows], request.sample_rows)[: request.sample_rows]])
    w = None if block.w is None else block.w[rows]
    return Sample(request.sample_rows, ((u[rows], block.X[rows], np.ravel(block.y)[rows], w),))


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
