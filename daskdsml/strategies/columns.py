"""Data spread by columns. Found by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from daskdsml.backends.numpy import NumPy
from daskdsml.contracts import Block, Evaluation, Result
from daskdsml.passes.column_gradient import ColumnGradient, ZeroGradient
from daskdsml.passes.columns import ColumnMoments, Joining, column_products, columns_of
from daskdsml.passes.features import chosen, feature_scores, moved_products, products
from daskdsml.passes.loop import iterate
from daskdsml.passes.moments import group_moments
from daskdsml.passes.progress import Progress
from daskdsml.passes.row_products import RowSystem, Weighing, coefficients, row_products
from daskdsml.passes.row_stats import raise_invalid, raise_overflow
from daskdsml.strategies._steps import Steps
from daskdsml.utils.threads import single_threaded_blas

# Most columns that the process which fits holds for scores, beside those of a Hessian.
MOST_KEPT = 4096


@dataclass(frozen=True)
class Columns:
    """Every task holds some columns of all rows: for few rows of very many columns.

    Residuals (n, M) travel one way and gradients the other. The columns of a working set, y and
    weights are held by the process that fits. Generalised models read the columns that join those
    in use, if there are such, and then all columns for the gradient; if more than
    4,096 are in use, all for their scores.
    """

    provides: ClassVar = frozenset(
        {"column gradient", "row products", "gradient", "column hessian", "batches"}
    )
    by_columns: ClassVar = True
    reproducible: ClassVar = True

    def check(self) -> None:
        """There is nothing to set."""

    def minimize(
        self, problem, rows, solver, theta, *, max_iter, progress=None, known=None
    ) -> Result:
        """Minimise ``problem`` over ``rows``, a `daskdsml.engine.full.by_columns.ByColumns`.

        ``known`` is the Evaluation at ``theta``, where that is no more to be read.
        """
        progress = Progress(problem.label, verbose=False) if progress is None else progress
        with single_threaded_blas():
            return iterate(solver, _Objective(rows, problem), theta, max_iter, progress, known)

    def train(self, step, state, batches, epoch: int):
        """An epoch of mini-batches of which workers have columns: see `AllReduce.train`.

        In one process, where there is nothing to share, it is that of `AllReduce`.
        """
        for steps in batches.rounds(epoch):
            columns = getattr(steps, "columns", None)
            if columns is None:
                state, told = steps.run(Steps(step), state)
            else:
                split = step.by_columns(columns)
                states = [state.of(where) for where in split.places]
                replies = steps.run([Steps(part) for part in split.parts], states)
                state, told = split.joined(state, replies)
            yield state, told


class _Objective:
    """What `daskdsml.passes.objective.Objective` is, over blocks of columns, some of which it has.

    So another process that goes on with a fit is told of all its passes.
    """

    stateless = False

    def __init__(self, rows, problem):
        self.problem = problem
        self._rows = rows
        self._kept = np.empty((rows.n_rows, 0))
        self._places = np.empty(0, dtype=int)
        self._y = rows.y.astype(np.float64)
        self._w = np.ones(rows.n_rows) if rows.w is None else rows.w
        self._centre = None
        if problem.shift is not None:
            self._centre = np.zeros(problem.n_features)
            self._centre[problem.shift.columns] = problem.shift.centre
        self._labels = np.zeros(rows.n_rows, dtype=int) if rows.g is None else rows.g

    def evaluate(self, theta, hessian=False) -> Evaluation:
        """Value, gradient and, if asked, the Hessian of some columns: one to three passes.

        ``hessian`` is an array of columns, or False.
        """
        problem, w = self.problem, self._w
        coef, intercept = problem.by_output(theta)
        z = self._scores(coef, () if hessian is False else hessian) + intercept
        z = z if problem.loss.coupled else z[:, 0]
        with np.errstate(over="ignore", invalid="ignore"):  # of rows that do not count
            losses, slopes = problem.loss.value_and_derivative(np, self._y, z)
        counts = w > 0.0
        losses, slopes = np.where(counts, losses, 0.0), slopes.reshape(len(w), -1)
        R = w[:, None] * np.where(counts[:, None], slopes, 0.0)
        total = self._rows.run(moved_products, (R, self._centre), f"{problem.label}-gradient")
        gradient = total.whole()[1].T
        gradient[:, problem.constant] = 0.0
        if problem.fit_intercept:
            gradient = np.column_stack([gradient, R.sum(axis=0)])
        penalty, penalised = problem.penalty, problem.penalised
        value = float(w @ losses) / problem.weight + penalty.value(theta, penalised)
        gradient = gradient.ravel() / problem.weight + penalty.l2 * penalised * theta
        curvature = None if hessian is False else self._hessian(z, hessian)
        return Evaluation(value, gradient, curvature)

    def _scores(self, coef, wanted) -> np.ndarray:
        """Scores (n, K) but for intercepts; columns ``wanted`` are read too, and kept."""
        used = np.flatnonzero(coef.any(axis=0))
        few = len(used) <= MOST_KEPT
        self._keep(np.union1d(used, wanted).astype(int) if few else np.asarray(wanted, dtype=int))
        if few:
            return self._columns(used) @ coef[:, used].T
        return self._rows.run(feature_scores, (coef, self._centre), f"{self.problem.label}-scores")

    def _keep(self, wanted) -> None:
        """Read those of the columns ``wanted`` that are not here; a pass, if there are such.

        Where that makes too many, the others are let go.
        """
        missing = np.setdiff1d(wanted, self._places)
        if not len(missing):
            return
        if len(self._places) + len(missing) > MOST_KEPT:
            known = np.intersect1d(wanted, self._places)
            self._kept, self._places = self._columns(known), known
        total = self._rows.run(chosen, missing, f"{self.problem.label}-columns")
        numbers, values = total.whole()
        values = values[np.argsort(numbers)]
        if self._centre is not None:
            values -= self._centre[missing, None]
        values[np.isin(missing, self.problem.constant)] = 0.0
        self._kept = np.column_stack([self._kept, values.T])
        self._places = np.concatenate([self._places, missing])

    def _columns(self, numbers) -> np.ndarray:
        """Columns (n, k) that are kept here."""
        order = np.argsort(self._places)
        return self._kept[:, order[np.searchsorted(self._places[order], numbers)]]

    def _hessian(self, z, columns) -> np.ndarray:
        """The Hessian of ``columns (q,)`` and intercepts at scores ``z``, output by output."""
        problem, A = self.problem, self._columns(columns)
        if problem.fit_intercept:
            A = np.column_stack([A, np.ones(len(A))])
        K = problem.n_outputs
        with np.errstate(over="ignore", invalid="ignore"):  # of rows that do not count
            second = problem.loss.second_derivative(np, self._y, z).reshape(-1, K, K)
        second = np.where(self._w[:, None, None] > 0.0, second, 0.0) * self._w[:, None, None]
        H = np.block([[A.T @ (second[:, k, m, None] * A) for m in range(K)] for k in range(K)])
        squares = np.tile(np.arange(A.shape[1]) < len(columns), K)
        H /= problem.weight
        H[np.diag_indices(len(H))] += problem.penalty.l2 * squares
        return H

    def zero_gradient(self) -> ZeroGradient:
        """The summary of wide data. Costs one pass over X."""
        y, w = self._y, self._w
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
            mine = group_moments(NumPy(), self._block(np.empty((len(self._y), 0))))
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
        y = (self._y - intercept) * np.sqrt(self._w)
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
        r = self._y[:, None] - columns_of(self._kept, place) @ coefs - intercepts
        r *= self._w[:, None] * member[self._labels]
        total = self._rows.run(products, r, f"{self.problem.label}-gradient")
        return ColumnGradient(total.whole()[1], r.sum(axis=0))

    def _block(self, X) -> Block:
        return Block(X, self._y, self._rows.w, self._rows.g)
