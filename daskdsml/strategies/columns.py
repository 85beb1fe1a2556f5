"""Data spread by columns. Found by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from daskdsml.backends.numpy import NumPy
from daskdsml.contracts import Block, Result
from daskdsml.passes.column_gradient import ColumnGradient, ZeroGradient
from daskdsml.passes.columns import ColumnMoments, Joining, column_products, columns_of
from daskdsml.passes.features import chosen, products
from daskdsml.passes.loop import iterate
from daskdsml.passes.moments import group_moments
from daskdsml.passes.progress import Progress
from daskdsml.passes.row_products import RowSystem, Weighing, coefficients, row_products
from daskdsml.passes.row_stats import raise_invalid, raise_overflow
from daskdsml.utils.threads import single_threaded_blas


@dataclass(frozen=True)
class Columns:
    """Every task holds some columns of all rows: for few rows of very many columns.

    Residuals (n, M) travel one way and gradients the other. The columns of a working set, y and
    weights are held by the process that fits.
    """

    provides: ClassVar = frozenset({"column gradient", "row products"})
    by_columns: ClassVar = True
    reproducible: ClassVar = True

    def check(self) -> None:
        """There is nothing to set."""

    def minimize(self, problem, rows, solver, theta, *, max_iter, progress=None) -> Result:
        """Minimise ``problem`` over ``rows``, a `daskdsml.engine.full.rows.ByColumns`."""
        progress = Progress(problem.label, verbose=False) if progress is None else progress
        with single_threaded_blas():
            return iterate(solver, _Objective(rows, problem), theta, max_iter, progress)


class _Objective:
    """What `daskdsml.passes.objective.Objective` is to a working set, over blocks of columns."""

    def __init__(self, rows, problem):
        self.problem = problem
        self._rows = rows
        self._kept = np.empty((rows.n_rows, 0))
        self._places = np.empty(0, dtype=int)
        self._w = np.ones(rows.n_rows) if rows.w is None else rows.w
        self._labels = np.zeros(rows.n_rows, dtype=int) if rows.g is None else rows.g

    def zero_gradient(self) -> ZeroGradient:
        """The summary of wide data. Costs one pass over X."""
        y, w = self._rows.y, self._w
        member = np.zeros((len(y), int(self._labels.max()) + 1))
        member[np.arange(len(y)), self._labels] = w
        R = np.column_stack([member, member * y[:, None]])
        total = self._rows.run(products, R, f"{self.problem.label}-summary")
        mine = self._checked(total.stats)
        sums = total.whole()[1]
        raise_overflow(sums, *(y.cross for y in mine.groups.values()))
        return ZeroGradient(
            mine.stats, mine, sums[:, : member.shape[1]], sums[:, member.shape[1] :]
        )

    def _checked(self, stats):
        """Moments of y, after the data are found usable."""
        with np.errstate(over="ignore", invalid="ignore"):  # told by what is not finite
            mine = group_moments(NumPy(), self._block(np.empty((len(self._rows.y), 0))))
        raise_invalid(mine.stats)
        # In turned blocks rows and columns have changed their names.
        turned = tuple(f._replace(row=f.column, column=f.row) for f in stats.invalid)
        raise_invalid(stats._replace(invalid=turned), self.problem.names)
        return mine

    def row_products(self) -> RowSystem:
        """``A A'``, and what belongs to it. Costs one pass."""
        total = self._rows.run(row_products, self._weighing(), f"{self.problem.label}-rows")
        moments = self._checked(total.stats).of()
        raise_overflow(total.gram, moments.cross)
        intercept = float(moments.mean[0]) if self.problem.fit_intercept else 0.0
        y = (self._rows.y - intercept) * np.sqrt(self._w)
        return RowSystem(total.gram, y, total.means.whole()[1][:, 0], intercept, moments.weight)

    def coefficients(self, u) -> np.ndarray:
        """``A'u`` (p,) for dual variables ``u (n,)``. Costs one pass."""
        state = self._weighing(), u
        return self._rows.run(coefficients, state, f"{self.problem.label}-coef").whole()[1][:, 0]

    def _weighing(self) -> Weighing:
        return Weighing(np.sqrt(self._w), bool(self.problem.fit_intercept))

    def no_columns(self, zero_gradient: ZeroGradient) -> ColumnMoments:
        """Moments of y alone, to which columns may join."""
        return ColumnMoments.empty(zero_gradient.y, self.problem.fit_intercept)

    def column_moments(self, known: ColumnMoments, new, centre) -> ColumnMoments:
        """``known`` with columns ``new (k,)``, whose means are near ``centre (k,)``. One pass."""
        total = self._rows.run(chosen, new, f"{self.problem.label}-columns")
        numbers, values = total.whole()
        self._kept = np.column_stack([self._kept, values[np.searchsorted(numbers, new)].T])
        columns = np.concatenate([known.columns, new])
        joining = Joining(
            np.arange(len(columns)),
            len(new),
            np.concatenate([known.centre[:-1], centre, known.centre[-1:]]),
        )
        total = column_products(joining, self._block(self._kept))
        raise_overflow(*(products for _, products in total.groups.values()))
        self._places = columns
        return known.joined(joining._replace(columns=columns), total)

    def column_gradient(self, columns, coefs, intercepts, member) -> ColumnGradient:
        """Gradient of squared error in all columns, for many models. Costs one pass."""
        place = np.argsort(self._places)
        place = place[np.searchsorted(self._places[place], columns)]
        r = self._rows.y[:, None] - columns_of(self._kept, place) @ coefs - intercepts
        r *= self._w[:, None] * member[self._labels]
        total = self._rows.run(products, r, f"{self.problem.label}-gradient")
        return ColumnGradient(total.whole()[1], r.sum(axis=0))

    def _block(self, X) -> Block:
        return Block(X, self._rows.y, self._rows.w, self._rows.g)
