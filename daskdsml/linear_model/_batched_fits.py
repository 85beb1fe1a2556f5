"""Many classifiers of one kind fitted together: all penalties, on all rows and on each fold."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.data.dataset import Dataset
from daskdsml.engine.full.rows import open_rows
from daskdsml.linear_model._initial import (
    MATRIX_PROMISE,
    PLAIN_PROMISE,
    SAMPLE_TOL,
    Cost,
    hessian_at,
    minimize_sample,
    null_weights,
    of_sample,
    rows_of_line,
    weight_of,
)
from daskdsml.linear_model._sample import SampledLine, first_rows
from daskdsml.losses.penalties.l2 import L2
from daskdsml.solvers._curvature import DenseHessian, Diagonal
from daskdsml.solvers._newton_after import NewtonAfter
from daskdsml.solvers.lbfgs import LBFGS
from daskdsml.solvers.newton import Newton
from daskdsml.solvers.proximal_newton import ProximalNewton
from daskdsml.utils import registry

# One Hessian of the sample serves this many neighbouring penalties: its loss changes slowly.
NEIGHBOURS = 3
# From this many parameters on, folds share the factorised Hessian of the fit to all rows; and from
# the second number on there is none, for those of all penalties would not fit into memory.
SHARED, LARGEST = 256, 1024
# Multiplications of a Hessian that is cheap enough to be asked for above that number too.
CHEAP = 2**31
# Rows for each parameter from which on a fold may begin at the fit to all rows.
MIN_ROWS_PER_PARAMETER = 10


class PenaltyStart(NamedTuple):
    """Where the models of one penalty start.

    ``hessian`` is that of the sample's loss, or for an L1 penalty of the objective in ``columns``.
    """

    theta: np.ndarray
    hessian: Any = None
    columns: Any = None
    n_sampled: float = np.inf


def starts_of(problem, block, penalties, theta) -> list[PenaltyStart]:
    """The optima of a sample under ``penalties``, in order of falling strength.

    ``block`` are the sampled rows, or None; ``theta (size,)`` is the start of all.
    """
    if block is None:
        return [PenaltyStart(theta)] * len(penalties)
    if penalties[0].l1:
        return _sparse_starts(problem, block, penalties, theta)
    return _smooth_starts(problem, block, penalties, theta)


def _sparse_starts(problem, block, penalties, theta):
    """Each penalty from the optimum of the one before."""
    starts, last = [], PenaltyStart(theta)
    for penalty in penalties:
        solver = ProximalNewton(SAMPLE_TOL, last.columns, last.hessian)
        result = minimize_sample(problem._replace(penalty=penalty), block, solver, last.theta, 100)
        if result is not None and np.isfinite(result.theta).all():
            last = PenaltyStart(result.theta, result.hessian, result.columns)
        starts.append(last)
    return starts


def _smooth_starts(problem, block, penalties, theta):
    """All penalties together, with the Hessian where they start; then one for each few optima."""
    free = of_sample(problem, block)._replace(penalty=L2(0.0))
    dense = problem.size <= LARGEST
    first = hessian_at(free, block, theta) if dense else None
    problems = [free._replace(penalty=penalty) for penalty in penalties]
    solvers = [
        smooth_solver(each, SAMPLE_TOL, first) if dense else LBFGS(SAMPLE_TOL, floor=0.0)
        for each in problems
    ]
    rows = open_rows(Dataset(block.X, block.y, block.w), "memory")
    strategy, thetas = registry.find_strategy(solvers[0]), [theta] * len(solvers)
    results = strategy.minimize_together(problems, rows, solvers, thetas, max_iter=50)
    m = len(block.y) if len(block.y) < problem.n_rows else np.inf
    starts, hessian = [], None
    for i, result in enumerate(results):
        if dense and i % NEIGHBOURS == 0:
            middle = results[min(i + NEIGHBOURS // 2, len(results) - 1)]
            hessian = hessian_at(free, block, middle.theta)
        starts.append(PenaltyStart(result.theta, hessian, n_sampled=m))
    return starts


def smooth_solver(problem, tol, hessian, n_rows=np.inf) -> LBFGS:
    """L-BFGS that begins with the Hessian of a loss, plus that of the penalty of ``problem``."""
    hessian = hessian + np.diag(problem.penalty.l2 * problem.penalised)
    curvature = DenseHessian.of(problem, hessian, n_rows)
    return LBFGS(tol, curvature=curvature, promise=MATRIX_PROMISE * tol, floor=0.0)


class Search(NamedTuple):
    """How models of one CV are searched for, all on the same rows.

    ``problem`` is theirs but for penalty and rows, ``theta (size,)`` the null model, ``line`` a
    Block of sampled rows that steps are measured on, or None. Newton's method takes over after
    ``n_passes``, or never for 0.
    """

    problem: Any
    theta: np.ndarray
    line: Any
    n_passes: int
    tol: float
    max_iter: int

    @classmethod
    def of(cls, problem, table, sample, theta, n_models, tol, max_iter) -> Search:
        """With a sample (Block or None) of the rows of ``table``."""
        d = problem.size
        few = d <= SHARED or (d <= LARGEST and problem.n_rows * d * d <= CHEAP)
        cost = Cost.of(problem, table, n_models)
        n_passes = cost.reads_before_newton(problem, max_iter, n_models)
        line = None if sample is None else first_rows(sample, rows_of_line(problem))
        return cls(problem, theta, line, n_passes * few, tol, max_iter)

    def plain(self, problem) -> LBFGS:
        """L-BFGS for one model from the null model, which no sample's Hessian helps."""
        tol, line = self.tol, self.line
        solver = LBFGS(tol, promise=PLAIN_PROMISE * tol, floor=0.0)
        if line is None or not weight_of(line) > 0.0:
            return solver
        h = float(null_weights(problem, line, self.theta).mean())
        return solver._replace(curvature=Diagonal(h), length=SampledLine(problem, line))

    def uninformed(self, problem):
        """A solver for one model from the null model, of any penalty."""
        return ProximalNewton(self.tol) if problem.penalty.l1 else self.plain(problem)

    def _sure(self, solver):
        """A solver that does not go on for long where Hessians are cheap."""
        if not self.n_passes or isinstance(solver, ProximalNewton):
            return solver
        return NewtonAfter(solver, Newton(self.tol), self.n_passes)

    def run(self, problems, rows, plain, thetas, progress):
        """The Results of all models, in the same reads."""
        solvers = [self._sure(solver) for solver in plain]
        return registry.find_strategy(solvers[0]).minimize_together(
            problems, rows, solvers, thetas, max_iter=self.max_iter, progress=progress
        )


def fit_all(search, rows, penalties, starts, progress):
    """The Results of all penalties on all rows, and the solvers that found them."""
    problems, solvers = [], []
    for penalty, start in zip(penalties, starts, strict=True):
        problem = search.problem._replace(penalty=penalty)
        if penalty.l1:
            solver: Any = ProximalNewton(search.tol, start.columns, start.hessian)
        elif start.hessian is None:
            solver = search.plain(problem)
        else:
            solver = smooth_solver(problem, search.tol, start.hessian, start.n_sampled)
        problems.append(problem)
        solvers.append(solver)
    thetas = [start.theta for start in starts]
    return search.run(problems, rows, solvers, thetas, progress), solvers


def fit_folds(search, rows, folds, starts, all_rows, solvers, progress):
    """The Results of each fold and penalty, fold by fold.

    ``folds`` are tuples (train (G,), weight, penalties) of each training set; ``starts``, results
    ``all_rows`` and ``solvers`` those of the fits to all rows. A fold begins at the fit to all rows
    where its end is told precisely: what is left of that start would be knowledge of the test rows.
    So a fit that did not get to its end is made anew from the null model.
    """
    problems, by_fold, thetas, informed = [], [], [], []
    for train, weight, penalties in folds:
        for penalty, start, whole, solver in zip(penalties, starts, all_rows, solvers, strict=True):
            mine = search.problem._replace(penalty=penalty, train=train, weight=weight)
            near = start.hessian is not None and _is_overdetermined(mine, search.problem, whole)
            if not near:
                solver = search.uninformed(mine)
            elif penalty.l1:
                solver = solver._replace(columns=whole.columns, hessian=whole.hessian)
            elif mine.size <= SHARED:
                solver = smooth_solver(mine, search.tol, start.hessian, start.n_sampled)
            problems.append(mine)
            by_fold.append(solver)
            thetas.append(whole.theta if near else search.theta)
            informed.append(near)
    results = search.run(problems, rows, by_fold, thetas, progress)
    early = [i for i, near in enumerate(informed) if near and results[i].status == "max_iter"]
    if early:
        again = [problems[i] for i in early]
        by_fold = [search.uninformed(problem) for problem in again]
        anew = search.run(again, rows, by_fold, [search.theta] * len(early), progress)
        for i, result in zip(early, anew, strict=True):
            results[i] = result
    n = len(starts)
    return [results[i : i + n] for i in range(0, len(results), n)]


def _is_overdetermined(fold, problem, whole) -> bool:
    """Whether a fold has so many rows for each parameter that its end does not tell its start.

    Rows count as far as the fit to all rows, ``whole``, leaves their classes open: those of a rare
    class, or of classes that can be separated, hold parameters by little but their penalty.
    """
    losses, weights = whole.cells.sum(axis=1)
    left_open = losses / (weights * np.log(max(problem.n_outputs, 2)))
    n_rows = fold.weight / problem.weight * problem.n_rows
    return n_rows * min(left_open, 1.0) >= MIN_ROWS_PER_PARAMETER * problem.size
