"""Cross-validation as labels of rows: which cell of the splits a row is in; for estimators."""

from __future__ import annotations

from typing import NamedTuple

import dask.array as da
import numpy as np
from sklearn.model_selection import KFold, check_cv

from daskdsml.data.door import Table

# Each cell costs a matrix of moments. Splits that partition the rows have one cell a fold; others
# have one for each pattern of train, test and neither that a row can show.
MOST_CELLS = 128


class Folds(NamedTuple):
    """Which cells of rows the K splits train and test on.

    ``train`` and ``test`` (K, n_cells) are True where a split uses a cell.
    """

    train: np.ndarray
    test: np.ndarray

    def __len__(self) -> int:
        return len(self.train)

    def __iter__(self):
        """Pairs (labels of the training cells, labels of the test cells), one a split."""
        for train, test in zip(self.train, self.test, strict=True):
            yield np.flatnonzero(train).tolist(), np.flatnonzero(test).tolist()


def assign_folds(table: Table, cv=None) -> tuple[Table, Folds]:
    """Label each row of a table with its cell under the splits of ``cv``.

    Parameters
    ----------
    table : Table with a known number of rows, and no groups
    cv : int, splitter, iterable of (train, test), or None
        An integer k, or None for 5, stands for k runs of consecutive rows, as scikit-learn's KFold.
        A splitter sees the number of rows and, if y is in this process's memory, y.

    Returns
    -------
    table : Table with ``g (n,)``, the cell of each row
    folds : Folds

    Raises
    ------
    ValueError
        If there are fewer rows than folds, or more than 128 cells.
    """
    n = table.n_rows
    splitter = check_cv(5 if cv is None else cv)
    if type(splitter) is KFold:
        if splitter.n_splits > n:
            raise ValueError(
                f"cv={splitter.n_splits} folds need at least {splitter.n_splits} rows, but X has "
                f"{n}. Lower cv."
            )
    if type(splitter) is KFold and not splitter.shuffle:
        k = splitter.n_splits
        sizes = np.full(k, n // k)
        sizes[: n % k] += 1
        cells = np.repeat(np.arange(k, dtype=np.int16), sizes)
        test = np.eye(k, dtype=bool)
        folds = Folds(~test, test)
    else:
        cells, folds = _cells(splitter, n, table.y)
    if not table.is_local:
        cells = da.from_array(cells, chunks=(table.X.chunks[0],))
    return table._replace(g=cells), folds


def _cells(splitter, n, y):
    """The cell of each row (n,), and the Folds, of any splitter."""
    y = y if isinstance(y, np.ndarray) else None
    cells = np.zeros(n, dtype=np.int64)
    roles = np.zeros((1, 0), dtype=np.int64)  # of each cell in the splits so far
    for train, test in splitter.split(np.empty((n, 0)), y):
        role = np.zeros(n, dtype=np.int64)
        role[train] = 1
        role[test] = 2
        patterns, cells = np.unique(3 * cells + role, return_inverse=True)
        if len(patterns) > MOST_CELLS:
            raise ValueError(
                f"The splits of {splitter!r} overlap in more than {MOST_CELLS} ways, each of which "
                "would cost a matrix of moments. Use splits whose test sets do not overlap, such "
                "as KFold, or fewer of them."
            )
        roles = np.column_stack([roles[patterns // 3], patterns % 3])
    return cells.astype(np.int16), Folds((roles == 1).T, (roles == 2).T)
