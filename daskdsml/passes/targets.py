"""The first look at the data of an iterative fit: labels, column spread, a sample to start from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from daskdsml.contracts import Block
from daskdsml.passes.census import Census, take_census

# More labels than this are a continuous target by mistake; keeping them would fill the memory.
MOST_LABELS = 10_000


class Look(NamedTuple):
    """What to look for.

    ``labels`` tells whether y holds class labels to collect; ``sample_rows`` rows are drawn with
    ``seed``, of which a block offers the share ``rate`` at most (1.0 where n is not known yet).
    """

    backend: Any
    labels: bool
    sample_rows: int = 0
    rate: float = 1.0
    seed: int = 0


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
        if not self.pieces:
            return self
        u, X, y, w = zip(*self.pieces, strict=True)
        u = np.concatenate(u)
        order = np.argsort(u, kind="stable")[: self.size]
        stacked = sparse.vstack(X, format="csr") if sparse.issparse(X[0]) else np.concatenate(X)
        w = None if w[0] is None else np.concatenate(w)[order]
        return Sample(self.size, ((u[order], stacked[order], np.concatenate(y)[order], w),))

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


class Targets(NamedTuple):
    """Sums of a first look.

    ``labels (k,)`` sorted, with ``counts (k,)`` their summed weights; ``sums``, ``squares`` (p,) of
    the weighted columns of X; ``sample`` some of the rows; ``span`` of y, empty if it holds labels.
    """

    census: Census
    labels: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    sample: Sample
    span: Span = Span()

    @np.errstate(over="ignore", invalid="ignore")  # the census tells what is not finite
    def __add__(self, other: Targets) -> Targets:
        labels, counts = _joined_counts(self, other)
        return Targets(
            self.census + other.census,
            labels,
            counts,
            self.sums + other.sums,
            self.squares + other.squares,
            self.sample + other.sample,
            self.span + other.span,
        )

    def mean(self) -> np.ndarray:
        """Weighted mean (p,) of each column."""
        return self.sums / self.census.weight

    def spread(self, centred: bool) -> np.ndarray:
        """Standard deviation (p,) of each column, or its root mean square if not ``centred``.

        A column that does not vary has its root mean square, or 1 if it is zero throughout.
        """
        square = self.squares / self.census.weight
        variance = square - self.mean() ** 2
        # The difference of two nearly equal numbers says nothing below their own rounding.
        varies = centred & (variance > 1e-12 * square)
        spread = np.sqrt(np.where(varies, variance, square))
        return np.where(spread > 0.0, spread, 1.0)


def targets(look: Look, block: Block) -> Targets:
    """Kernel: what one block adds to the first look."""
    sums, squares = look.backend.column_sums(block)
    clean = np.isfinite(sums).all() and np.isfinite(squares).all()
    census = take_census(block, suspect_X=not clean)
    labels, counts = _counted(look, block, census)
    span = Span() if look.labels or census.faults else span_of(block.y, block.w)
    return Targets(census, labels, counts, sums, squares, _drawn(look, block), span)


def span_of(y, w) -> Span:
    """The span of targets ``y (n,)`` with weights ``w (n,)``, or None for all ones."""
    y = np.ravel(y).astype(np.float64)
    total = y.sum() if w is None else w @ y
    return Span(float(total), float(y.min(initial=np.inf)), float(y.max(initial=-np.inf)))


def _counted(look, block, census):
    y = np.ravel(block.y) if look.labels else np.empty(0)
    if census.faults:
        y = y[:0]
    labels, codes = np.unique(y, return_inverse=True)
    check_labels(labels)
    w = None if block.w is None or not y.size else block.w
    return labels, np.bincount(codes, weights=w, minlength=labels.size).astype(np.float64)


def _joined_counts(a: Targets, b: Targets):
    if np.array_equal(a.labels, b.labels):
        return a.labels, a.counts + b.counts
    labels, codes = np.unique(np.concatenate([a.labels, b.labels]), return_inverse=True)
    check_labels(labels)
    return labels, np.bincount(codes, weights=np.concatenate([a.counts, b.counts]))


def check_labels(labels) -> None:
    """Raise ValueError if sorted distinct ``labels`` are those of a continuous target."""
    continuous = labels.dtype.kind == "f" and (labels != np.trunc(labels)).any()
    if continuous or labels.size > MOST_LABELS:
        raise ValueError(
            f"Unknown label type: continuous. y holds {labels.size} different values such as "
            f"{labels[0]}: expected class labels. Use a regressor, or bin y first."
        )


def _drawn(look: Look, block: Block) -> Sample:
    if look.sample_rows == 0:
        return Sample(0, ())
    u = np.random.default_rng([look.seed, *block.id]).random(block.X.shape[0])
    rows = np.flatnonzero(u < look.rate)
    if rows.size > look.sample_rows:
        rows = np.sort(rows[np.argpartition(u[rows], look.sample_rows)[: look.sample_rows]])
    w = None if block.w is None else block.w[rows]
    return Sample(look.sample_rows, ((u[rows], block.X[rows], np.ravel(block.y)[rows], w),))
