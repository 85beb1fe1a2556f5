"""What a solver is given: an objective whose every evaluation is one pass over the data."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Evaluation
from daskdsml.passes.census import raise_faults, raise_overflow
from daskdsml.passes.columns import ColumnMoments, Joining, column_products
from daskdsml.passes.gradient import At, gradient
from daskdsml.passes.moments import GroupMoments, Moments, group_moments, moments
from daskdsml.passes.normal_residual import (
    NormalResidual,
    Solution,
    normal_residual,
    refinement,
)
from daskdsml.passes.r_factor import Frame
from daskdsml.passes.slopes import Margins, Models, Slopes, margins, slopes


class Problem(NamedTuple):
    """A fit: ``sum_i w_i loss_i / sum_i w_i + penalty``, and what a first look told of its data.

    ``weight`` is ``sum w_i``, or 1 while that is unknown: the penalty's strength is then relative
    to the summed loss; ``centre`` and ``spread`` (p,) are the columns' means (zeros without an
    intercept) and standard deviations; ``epsilon`` is the rounding unit of X; ``names`` (p,) or
    None are the columns' names; ``label`` begins the names of tasks.
    """

    loss: Any
    penalty: Any
    backend: Any
    n_features: int
    fit_intercept: bool
    n_rows: int = 0
    weight: float = 1.0
    centre: np.ndarray | None = None
    spread: np.ndarray | None = None
    epsilon: float = 2.0**-52
    names: np.ndarray | None = None
    label: str = "fit"

    @property
    def size(self) -> int:
        """Number of parameters of one model."""
        return self.n_features + self.fit_intercept

    @property
    def scale(self) -> np.ndarray:
        """1 for each penalised parameter, 0 for the intercept, shape (size,)."""
        scale = np.ones(self.size)
        scale[self.n_features :] = 0.0
        return scale


class Objective:
    """The objective of a problem, evaluated by ``run(kernel, state, name)`` over all blocks."""

    def __init__(self, run, problem: Problem):
        self._run = run
        self.problem = problem

    @property
    def unbounded(self) -> bool:
        """Whether nothing but the data keeps the coefficients finite."""
        problem = self.problem
        return not np.any(problem.penalty.curvature(np.zeros(problem.size), problem.scale))

    def evaluate(self, theta, hessian=False) -> Evaluation:
        """Value, gradient and, if asked, Hessian at ``theta (size,)``. Costs one pass."""
        problem, p = self.problem, self.problem.n_features
        intercept = float(theta[p]) if problem.fit_intercept else 0.0
        at = At(problem.backend, problem.loss, theta[:p], intercept, hessian)
        total = self._run(gradient, at, f"{problem.label}-{'hessian' if hessian else 'gradient'}")
        size, scale = problem.size, problem.scale
        value = total.value / problem.weight + problem.penalty.value(theta, scale)
        slope = total.gradient[:size] / problem.weight + problem.penalty.gradient(theta, scale)
        curve = None
        if hessian:
            curve = total.hessian[:size, :size] / problem.weight
            curve[np.diag_indices(size)] += problem.penalty.curvature(theta, scale)
        return Evaluation(value, slope, curve)

    def moments(self) -> Moments:
        """Moments of [X y], about zero if the model has no intercept. Costs one pass."""
        total = self._run(moments, self.problem.backend, f"{self.problem.label}-moments")
        raise_faults(total.census, self.problem.names)
        raise_overflow(total.cross)
        return total if self.problem.fit_intercept else total.about_zero()

    def group_moments(self) -> GroupMoments:
        """Moments of [X y] in each group of rows, about zero without an intercept. One pass."""
        total = self._run(group_moments, self.problem.backend, f"{self.problem.label}-moments")
        raise_faults(total.census, self.problem.names)
        raise_overflow(*(part.cross for part in total.groups.values()))
        return self._by_group(total)

    def _by_group(self, total: GroupMoments) -> GroupMoments:
        if self.problem.fit_intercept:
            return total
        groups = {label: part.about_zero() for label, part in total.groups.items()}
        return total._replace(groups=groups)

    def margins(self) -> Margins:
        """A first look at wide data. Costs one pass."""
        found = self._run(margins, self.problem.backend, f"{self.problem.label}-look")
        raise_faults(found.census, self.problem.names)
        raise_overflow(found.products, found.sums)
        return found

    def column_moments(self, known: ColumnMoments, new, centre) -> ColumnMoments:
        """``known`` with columns ``new (k,)``, whose means are near ``centre (k,)``. One pass."""
        columns = np.concatenate([known.columns, new])
        centre = np.concatenate([known.centre[:-1], centre, known.centre[-1:]])
        joining = Joining(columns, len(new), centre)
        found = self._run(column_products, joining, f"{self.problem.label}-columns")
        return known.joined(joining, found)

    def no_columns(self, margins: Margins) -> ColumnMoments:
        """Moments of y alone, to which columns may join."""
        return ColumnMoments.empty(margins.y, self.problem.fit_intercept)

    def slopes(self, columns, coefs, intercepts, member) -> Slopes:
        """Slopes of squared error in all columns, for many models: see `Models`. One pass."""
        models = Models(columns, coefs, intercepts, member)
        return self._run(slopes, models, f"{self.problem.label}-slopes")

    def r_factor(self, centre, scale, theta) -> tuple[np.ndarray, NormalResidual]:
        """R factor of ``[1, ([X y] - centre) / scale]``, and `normal_residual`, in one pass.

        ``centre`` and ``scale`` are (p + K,); the ones are there if there is an intercept.
        """
        one = self.problem.fit_intercept
        state = Frame(centre, scale, one), Solution(theta, one)
        total = self._run(refinement, state, f"{self.problem.label}-r-factor")
        return total.factor.R, total.residual

    def normal_residual(self, theta) -> NormalResidual:
        """``A'w(y - A theta)`` for ``theta`` (size, K), a Double: intercept first. One pass."""
        at = Solution(theta, self.problem.fit_intercept)
        return self._run(normal_residual, at, f"{self.problem.label}-residual")

    def standardized(self, slope) -> np.ndarray:
        """A gradient (size,) as it is for centred columns of unit spread."""
        problem, p = self.problem, self.problem.n_features
        out = np.array(slope, dtype=float)
        if problem.fit_intercept:
            out[:p] -= problem.centre * slope[p]
        out[:p] /= problem.spread
        return out

    def original(self, move) -> np.ndarray:
        """A step (size,) in the parameters of standardised columns, as one in the user's."""
        problem, p = self.problem, self.problem.n_features
        out = np.array(move, dtype=float)
        out[:p] /= problem.spread
        if problem.fit_intercept:
            out[p] -= problem.centre @ out[:p]
        return out

    def largest_move(self, step) -> float:
        """The largest change of a coefficient in ``step (size,)``, for columns of unit spread."""
        p = self.problem.n_features
        return float(np.max(np.abs(step[:p]) * self.problem.spread, initial=0.0))
