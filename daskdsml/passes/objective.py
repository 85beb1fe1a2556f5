"""What a solver is given: an objective whose every evaluation is one pass over the data."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Evaluation
from daskdsml.passes.column_gradient import (
    ColumnGradient,
    Models,
    ZeroGradient,
    column_gradient,
    zero_gradient,
)
from daskdsml.passes.columns import ColumnMoments, Joining, column_products
from daskdsml.passes.gradient import evaluate
from daskdsml.passes.moments import GroupMoments, Moments, group_moments, moments
from daskdsml.passes.normal_residual import NormalResidual, Solution, normal_residual, refinement
from daskdsml.passes.r_factor import ColumnScaling
from daskdsml.passes.row_stats import raise_invalid, raise_overflow, raise_underflow
from daskdsml.passes.shift import Shift


class Problem(NamedTuple):
    """A fit: ``sum_i w_i loss_i / sum_i w_i + penalty``, and a summary of its data.

    ``weight`` is ``sum w_i``, or 1 while that is unknown: the penalty's strength is then relative
    to the summed loss; ``mean`` and ``scale`` (p,) are the columns' means (zeros without an
    intercept) and standard deviations. With an intercept, ``shift`` (or None) moves columns far
    from zero before anything is summed, so parameters and means are those of the moved ones until
    `unshifted`; and columns ``constant (c,)``, which the intercept can stand for, are taken to be
    zero. ``epsilon`` is the rounding unit of X; ``names`` (p,) or None are the columns' names;
    ``label`` begins the names of tasks. ``train (G,)`` tells how often the rows of each group count
    in the fit, and is None for all rows once.

    Parameters are one vector (size,): output by output, the coefficients and then the intercept.
    """

    loss: Any
    penalty: Any
    backend: Any
    n_features: int
    fit_intercept: bool
    n_rows: int = 0
    weight: float = 1.0
    mean: Any = None
    scale: Any = None
    shift: Shift | None = None
    constant: Any = ()
    epsilon: float = 2.0**-52
    names: np.ndarray | None = None
    label: str = "fit"
    train: np.ndarray | None = None

    @property
    def n_outputs(self) -> int:
        """Number of scores of a row."""
        return self.loss.n_outputs if self.loss.coupled else 1

    @property
    def size(self) -> int:
        """Number of parameters of one model."""
        return self.n_outputs * (self.n_features + self.fit_intercept)

    @property
    def penalised(self) -> np.ndarray:
        """1 for each penalised parameter, 0 for intercepts, shape (size,)."""
        own = np.append(np.ones(self.n_features), [0.0] * bool(self.fit_intercept))
        return np.tile(own, self.n_outputs)

    @property
    def unbounded(self) -> bool:
        """Whether nothing but the data keeps the coefficients finite."""
        return not (self.penalty.l1 or self.penalty.l2)

    def by_output(self, theta) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (K, p) and intercepts (K,) of ``theta (size,)``; zeros if it has none."""
        rows = np.reshape(theta, (self.n_outputs, -1))
        p = self.n_features
        return rows[:, :p], rows[:, p] if self.fit_intercept else np.zeros(len(rows))

    def unshifted(self, theta) -> np.ndarray:
        """Parameters (size,) of the columns as they were given; see `shifted`."""
        return self._moved(theta, -1.0)

    def shifted(self, theta) -> np.ndarray:
        """Parameters (size,) of moved columns; coupled intercepts then sum to zero as before."""
        return self._moved(theta, 1.0)

    def _moved(self, theta, sign):
        if self.shift is None:
            return theta
        coef, intercept = self.by_output(theta)
        intercept = intercept + sign * self.shift.intercepts(coef)
        if self.loss.coupled:
            intercept -= intercept.mean()
        return np.column_stack([coef, intercept]).ravel()

    def centred(self, gradient) -> np.ndarray:
        """A gradient (size,) as it is for centred columns: each intercept gives way to a move."""
        out = np.array(gradient, dtype=float).reshape(self.n_outputs, -1)
        if self.fit_intercept:
            out[:, :-1] -= out[:, -1:] * self.mean
        return out.ravel()

    def standardized(self, gradient) -> np.ndarray:
        """A gradient (size,) as it is for centred columns of unit spread."""
        out = self.centred(gradient).reshape(self.n_outputs, -1)
        out[:, : self.n_features] /= self.scale
        return out.ravel()

    def original(self, move) -> np.ndarray:
        """A step (size,) in the parameters of standardised columns, as one in the user's."""
        out = np.array(move, dtype=float).reshape(self.n_outputs, -1)
        inner = out[:, : self.n_features]
        inner /= self.scale
        if self.fit_intercept:
            out[:, -1] -= inner @ self.mean
        return out.ravel()

    def standardized_step(self, step) -> np.ndarray:
        """A step (size,) as it is for centred columns of unit spread: `original` undone."""
        coef, intercept = self.by_output(step)
        own = [coef * self.scale, intercept + coef @ self.mean]
        return np.column_stack(own[: 1 + self.fit_intercept]).ravel()

    @property
    def penalty_curvature(self) -> np.ndarray:
        """Second derivatives (size,) of the penalty's squares, for columns of unit spread."""
        own = np.append(self.penalty.l2 / self.scale**2, [0.0] * bool(self.fit_intercept))
        return np.tile(own, self.n_outputs)

    def largest_move(self, step) -> float:
        """The largest change of a coefficient in ``step (size,)``, for columns of unit spread."""
        return float(np.max(np.abs(self.by_output(step)[0]) * self.scale, initial=0.0))

    def noise(self, theta, value) -> float:
        """Rounding error of the mean objective at ``theta``: of its sum, and of the scores.

        Those are small differences of large numbers where columns lie far from zero.
        """
        large = np.abs(self.by_output(theta)[0]) @ np.abs(self.mean)
        return self.epsilon * float(abs(value) + np.max(large, initial=0.0))

    def violations(self, theta, gradient) -> np.ndarray:
        """The subgradient of least size (size,) at ``theta``, for centred columns.

        ``gradient`` is that of the smooth part. Where columns lie far from zero, an intercept
        that is off by rounding tilts every entry of it; for centred columns it does not.
        """
        gradient = self.centred(gradient)
        l1 = self.penalty.l1 * self.penalised
        at_kink = np.sign(gradient) * np.maximum(np.abs(gradient) - l1, 0.0)
        return np.where(theta != 0.0, gradient + l1 * np.sign(theta), at_kink)

    def residual(self, theta, gradient) -> float:
        """The KKT residual: the largest of `violations`, for columns of unit spread."""
        violations = self.violations(theta, gradient).reshape(self.n_outputs, -1)
        violations[:, : self.n_features] /= self.scale
        return float(np.max(np.abs(violations), initial=0.0))


class Objective:
    """The objective of a problem, evaluated by ``run(kernel, state, name)`` over all blocks.

    ``stateless`` tells that an evaluation does not depend on those before.
    """

    stateless = True

    def __init__(self, run, problem: Problem):
        self._run = run
        self.problem = problem

    def evaluate(self, theta, hessian=False) -> Evaluation:
        """Value, gradient and, if asked, Hessian at ``theta (size,)``. Costs one pass.

        ``hessian`` may be an array of columns, to have the Hessian of these (and intercepts) alone.
        """
        return evaluate(self._run, [self.problem], [theta], [hessian])[0]

    def moments(self) -> Moments:
        """Moments of [X y], about zero if the model has no intercept. Costs one pass."""
        total = self._run(moments, self.problem.backend, f"{self.problem.label}-moments")
        raise_invalid(total.stats, self.problem.names)
        raise_overflow(total.cross)
        self._check_size([total])
        return total if self.problem.fit_intercept else total.about_zero()

    def group_moments(self) -> GroupMoments:
        """Moments of [X y] in each group of rows, about their means. Costs one pass."""
        total = self._run(group_moments, self.problem.backend, f"{self.problem.label}-moments")
        raise_invalid(total.stats, self.problem.names)
        parts = list(total.groups.values())
        raise_overflow(*(part.cross for part in parts))
        self._check_size(parts)
        return total

    def _check_size(self, parts) -> None:
        """Raise ValueError if squares of columns are too small, in all of these moments."""
        p, weight = self.problem.n_features, sum(part.weight for part in parts)
        mean = np.max([np.abs(part.mean[:p]) for part in parts], axis=0)
        squares = np.sum([np.diag(part.cross)[:p] for part in parts], axis=0)
        raise_underflow(mean, squares, weight, self.problem.names)

    def zero_gradient(self) -> ZeroGradient:
        """The summary of wide data. Costs one pass."""
        total = self._run(zero_gradient, self.problem.backend, f"{self.problem.label}-summary")
        raise_invalid(total.stats, self.problem.names)
        raise_overflow(total.products, total.sums, *(y.cross for y in total.y.groups.values()))
        return total

    def column_moments(self, known: ColumnMoments, new, centre) -> ColumnMoments:
        """``known`` with columns ``new (k,)``, whose means are near ``centre (k,)``. One pass."""
        columns = np.concatenate([known.columns, new])
        centre = np.concatenate([known.centre[:-1], centre, known.centre[-1:]])
        joining = Joining(columns, len(new), centre)
        total = self._run(column_products, joining, f"{self.problem.label}-columns")
        raise_overflow(*(products for _, products in total.groups.values()))
        return known.joined(joining, total)

    def no_columns(self, zero_gradient: ZeroGradient) -> ColumnMoments:
        """Moments of y alone, to which columns may join."""
        return ColumnMoments.empty(zero_gradient.y, self.problem.fit_intercept)

    def column_gradient(self, columns, coefs, intercepts, member) -> ColumnGradient:
        """Gradient of squared error in all columns, for many models: see `Models`. One pass."""
        models = Models(columns, coefs, intercepts, member)
        return self._run(column_gradient, models, f"{self.problem.label}-gradient")

    def r_factor(self, centre, scale, theta) -> tuple[np.ndarray, NormalResidual]:
        """R factor of ``[1, ([X y] - centre) / scale]``, and `normal_residual`, in one pass.

        ``centre`` and ``scale`` are (p + K,); the ones are there if there is an intercept.
        """
        one = self.problem.fit_intercept
        state = ColumnScaling(centre, scale, one), Solution(theta, one)
        total = self._run(refinement, state, f"{self.problem.label}-r-factor")
        return total.factor.R, total.residual

    def normal_residual(self, theta) -> NormalResidual:
        """``A'w(y - A theta)`` for ``theta`` (size, K), a Double: intercept first. One pass."""
        at = Solution(theta, self.problem.fit_intercept)
        return self._run(normal_residual, at, f"{self.problem.label}-residual")


# Most numbers that a pass over many models may add up: 64 MiB, held by each task.
MOST_NUMBERS = 2**23


class Objectives:
    """The objectives of many models, evaluated together.

    ``problems`` have loss, columns, backend and groups in common, and each its own penalty, weight
    and ``train``.
    """

    def __init__(self, run, problems: list[Problem]):
        self._run = run
        self.problems = problems

    def evaluate(self, which, states) -> list[Evaluation]:
        """Evaluations at the trials of the ``states`` of models number ``which``.

        One pass, or a few where gradients are so long that not all fit into memory. Of the Hessians
        wanted, as many are given as fit.
        """
        size = max(self.problems[0].size, 1)
        share = max(MOST_NUMBERS // size, 1)
        evaluations = []
        for start in range(0, len(which), share):
            some = slice(start, start + share)
            problems = [self.problems[m] for m in which[some]]
            thetas = [state.trial for state in states[some]]
            evaluations += evaluate(self._run, problems, thetas, _granted(problems, states[some]))
        return evaluations


def _granted(problems, states) -> list:
    """The Hessians wanted by ``states``, from the first on as long as they fit; at least one."""
    room, wanted = MOST_NUMBERS, []
    for problem, state in zip(problems, states, strict=True):
        curved = state.curved
        if curved is not False:
            size = problem.size if curved is True else problem.n_outputs * (len(curved) + 1)
            fits = size**2 <= room or room == MOST_NUMBERS
            room, curved = (room - size**2, curved) if fits else (room, False)
        wanted.append(curved)
    return wanted
