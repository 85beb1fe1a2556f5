"""Rows for training and for testing: folds of cross-validation, and rows held out."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from dask.array import core as da
from sklearn.model_selection import KFold, check_cv

from daskdsml.contracts import Block
from daskdsml.data.dataset import Dataset
from daskdsml.data.labels import codes_of

# Splits that partition the rows have one cell a fold; others have one for each pattern of counts in
# train and test that a row can show, each of which costs sums of its own, in every block.
MOST_CELLS = 1024
# The moments of all cells may take this many bytes (2 GiB) in a task.
LARGEST_SUM = 2**31


class Folds(NamedTuple):
    """How often the K splits train and test on the rows of each cell.

    ``train`` and ``test`` (K, n_cells) are counts, above 1 where a split names rows repeatedly (a
    bootstrap); a cell may count in both.
    """

    train: np.ndarray
    test: np.ndarray

    def __len__(self) -> int:
        return len(self.train)

    def __iter__(self):
        """Pairs (labels of the training cells, labels of the test cells), one a split.

        A label is repeated as often as its rows count.
        """
        labels = np.arange(self.train.shape[1])
        for train, test in zip(self.train, self.test, strict=True):
            yield np.repeat(labels, train).tolist(), np.repeat(labels, test).tolist()

    def check_moments(self, n_columns) -> None:
        """Raise ValueError if moments of ``n_columns`` need too much memory for so many cells."""
        n_cells = self.train.shape[1]
        if n_cells * 8 * n_columns**2 > LARGEST_SUM:
            raise ValueError(
                f"The {n_cells} cells of rows that {len(self)} splits make need as many matrices "
                f"of {n_columns} x {n_columns} moments, more than 2 GiB. Use fewer folds, splits "
                "whose test sets do not overlap, or fewer columns."
            )


def partition(n_folds) -> Folds:
    """Folds that each test on a cell of their own, and train on all others."""
    test = np.eye(n_folds, dtype=np.int64)
    return Folds(1 - test, test)


def assign_folds(table: Dataset, cv=None, y=None, **others) -> tuple[Dataset, Folds]:
    """Label each row of a table with its cell under the splits of ``cv``.

    Parameters
    ----------
    table : Dataset with a known number of rows, and no groups
    cv : int, splitter, iterable of (train, test), or None
        An integer k, or None for 5, stands for k runs of consecutive rows, as scikit-learn's KFold.
        A splitter sees the number of rows and, if y is in this process's memory, y.
    y : array (n,) or None
        The table's y where it is in this process's memory but X is not.
    **others : what the splitter's ``split`` takes beside X and y, such as ``groups (n,)``

    Returns
    -------
    table : Dataset with ``g (n,)``, the cell of each row
    folds : Folds
    """
    n = table.n_rows
    splitter = check_cv(5 if cv is None else cv)
    if type(splitter) is KFold and splitter.n_splits > n:
        raise ValueError(
            f"cv={splitter.n_splits} folds need at least {splitter.n_splits} rows, but X has {n}. "
            "Lower cv."
        )
    if type(splitter) is KFold and not splitter.shuffle:
        k = splitter.n_splits
        sizes = np.full(k, n // k)
        sizes[: n % k] += 1
        labels = np.arange(k, dtype=np.result_type(np.int16, np.min_scalar_type(k)))
        cells, folds = np.repeat(labels, sizes), partition(k)
    else:
        y = table.y if isinstance(table.y, np.ndarray) else y
        others = {name: np.asarray(value) for name, value in others.items()}
        cells, folds = _cells(splitter, n, y, others)
    if not table.is_local:
        cells = da.from_array(cells, chunks=(table.X.chunks[0],))
    return table._replace(g=cells), folds


def _cells(splitter, n, y, others):
    """The cell of each row (n,), and the Folds, of any splitter."""
    cells = np.zeros(n, dtype=np.int64)
    counts = np.zeros((1, 0), dtype=np.int64)  # of each cell in train and test, split by split
    for train, test in _splits(splitter, n, y, others):
        trained, tested = (np.bincount(rows, minlength=n) for rows in (train, test))
        most = int(tested.max(initial=0)) + 1
        roles, role = np.unique(trained * most + tested, return_inverse=True)
        patterns, cells = np.unique(cells * len(roles) + role, return_inverse=True)
        before, now = patterns // len(roles), roles[patterns % len(roles)]
        counts = np.column_stack([counts[before], now // most, now % most])
        if len(patterns) > max(MOST_CELLS, counts.shape[1] // 2 + 1):
            raise ValueError(
                f"The splits of {splitter!r} overlap in more than {MOST_CELLS} ways, each of which "
                "would cost sums of its own. Use splits whose test sets do not overlap, such as "
                "KFold, or fewer of them, or sklearn.model_selection.GridSearchCV."
            )
    if not counts.shape[1]:
        raise ValueError("cv holds no splits: expected pairs (train, test) of rows. Use cv=5.")
    return cells.astype(np.int16), Folds(counts[:, ::2].T, counts[:, 1::2].T)


def _splits(splitter, n, y, others):
    """Pairs (train, test) of rows; ValueError if there are no such rows, or y would be needed."""
    try:
        for train, test in splitter.split(np.empty((n, 0)), y, **others):
            yield np.arange(n)[train], np.arange(n)[test]
    except IndexError as error:
        raise ValueError(
            f"cv names rows that there are not: X has {n} rows, counted from 0. {error}."
        ) from error
    except TypeError as error:
        if y is not None:
            raise
        raise ValueError(
            f"The splits of {splitter!r} need y in this process's memory, but y is a Dask "
            "collection. Use cv=5 (a classifier's are stratified, in the order of the rows), "
            "KFold(5, shuffle=True, random_state=0), or compute y."
        ) from error


class Stratified(NamedTuple):
    """Labels each row with its fold, so that each fold has the same share of every class.

    The rows of a class go to the folds in turn of their order, run by run, as scikit-learn's
    StratifiedKFold has it: ``bounds (K, n_folds)`` say where among the rows of class k each fold
    ends, ``before`` how many rows of each class (K,) come before a block, by its id.
    """

    classes: np.ndarray
    bounds: np.ndarray
    before: dict

    def __call__(self, block: Block) -> Block:
        codes = codes_of(np.ravel(block.y), self.classes)
        cells = np.zeros(len(codes), dtype=np.int16)
        for k, (bounds, before) in enumerate(zip(self.bounds, self.before[block.id], strict=True)):
            own = np.flatnonzero(codes == k)
            ranks = before + np.arange(len(own))
            cells[own] = np.searchsorted(bounds, ranks, side="right")
        return block._replace(g=cells)


def stratify(classes, blocks, n_folds) -> tuple[Stratified, np.ndarray]:
    """Stratified folds, and the rows of each class in each of them (K, n_folds).

    ``blocks`` are `daskdsml.passes.summary.BlockCounts` of all rows, in order.
    """
    before, total = {}, np.zeros(len(classes), dtype=np.int64)
    appearance: dict = {}
    for block in blocks:
        before[block.id] = total.copy()
        codes = np.searchsorted(classes, block.labels)
        total[codes] += block.counts.sum(axis=1)
        appearance |= dict.fromkeys(codes[np.argsort(block.first)].tolist())
    if n_folds > total.max():
        raise ValueError(
            f"cv={n_folds} stratified folds need a class of at least {n_folds} rows, but the "
            f"largest has {total.max()}. Lower cv."
        )
    counts = np.zeros((len(classes), n_folds), dtype=np.int64)
    start = 0
    for k in appearance:
        # Rows are dealt out to the folds one by one, class after class in order of appearance.
        dealt = np.arange(start, start + total[k]) % n_folds
        counts[k] = np.bincount(dealt, minlength=n_folds)
        start += total[k]
    return Stratified(classes, np.cumsum(counts, axis=1), before), counts


def split(examples: Dataset, fraction, seed, stratify=False) -> tuple[Dataset, Dataset]:
    """Rows to train on and rows held out, drawn by position and seed whatever the chunks.

    The share held out, a ``fraction`` of the rows, is rounded up. To ``stratify`` has each class of
    y (n,) held out in proportion, which takes a pass over y. Dask Arrays are split lazily: both
    halves read their chunks on their own. Arrays in memory are copied.
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"fraction={fraction!r} of rows to hold out must be between 0 and 1.")
    n = int(examples.X.shape[0])
    n_held = int(np.ceil(fraction * n))
    if n_held >= n:
        raise ValueError(
            f"Holding out {n_held} of {n} rows, a fraction of {fraction}, leaves none to train on. "
            "Lower the fraction (validation_fraction), or pass more rows."
        )
    order = np.random.default_rng(seed).permutation(n)
    if stratify and examples.y.ndim == 1:
        order = _spread(order, np.asarray(examples.y))
    held = np.zeros(n, dtype=bool)
    held[order[:n_held]] = True
    return _where(examples, ~held), _where(examples, held)


def _spread(order, y):
    """Rows in an order of which any beginning has all classes in proportion."""
    _, codes = np.unique(y[order], return_inverse=True)
    by_class = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    starts = np.cumsum(counts) - counts
    ranks = np.empty(len(order))
    ranks[by_class] = np.arange(len(order)) - np.repeat(starts, counts)
    return order[np.argsort((ranks + 0.5) / counts[codes], kind="stable")]


def _where(examples: Dataset, chosen) -> Dataset:
    """The rows where ``chosen (n,)`` is True."""
    if examples.is_local:
        pick = partial(_pick, flags=chosen)
    else:
        flags = da.from_array(chosen, chunks=(examples.X.chunks[0],))
        borders = np.concatenate([[0], np.cumsum(examples.X.chunks[0])])
        before = np.concatenate([[0], np.cumsum(chosen)])
        lengths = tuple(int(k) for k in np.diff(before[borders]))
        pick = partial(_pick_lazily, flags=flags, lengths=lengths)
    parts = zip(("X", "y", "w", "mask"), examples.batch_parts, strict=True)
    return Dataset(**{name: pick(part) for name, part in parts if part is not None})


def _pick(block, flags):
    return block[flags]


def _pick_lazily(array, flags, lengths):
    """The rows of a Dask Array where ``flags`` are True, with as many chunks of known lengths."""
    axes = "abcdefgh"[: array.ndim]
    return da.blockwise(
        _pick,
        axes,
        array,
        axes,
        flags,
        "a",
        dtype=array.dtype,
        meta=array._meta,
        adjust_chunks={"a": lengths},
        align_arrays=False,
    )
