"""Many classifiers of one kind fitted together: all penalties, on all rows and on each fold."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.data.door import Table
from daskdsml.engine.full.rows import open_rows
from daskdsml.linear_model._initial import SAMPLE_TOL, hessian_at, minimize_sample, of_sample
from daskdsml.penalties.l2 import L2
from daskdsml.solvers._curvature import Dense
from daskdsml.solvers.lbfgs import LBFGS
from daskdsml.solvers.proximal_newton import ProximalNewton
from daskdsml.strategies.all_reduce import AllReduce

# One Hessian of the sample serves this many neighbouring penalties: its loss changes slowly.
NEIGHBOURS = 3
# From this many parameters on, folds share the factorised Hessian of the fit to all rows; and from
# the second number on there is none, for those of all penalties would not fit into memory.
SHARED, LARGEST = 256, 1024
# Multiplications of a Hessian that is cheap enough to be asked for above that number too.
CHEAP = 2**31
# Steps that a quasi-Newton search is given before it may ask for a Hessian of its own.
REFRESH = 12


class Start(NamedTuple):
    """Where the models of one penalty start.

    ``hessian`` is that of the sample's loss, or for an L1 penalty of the objective in ``columns``.
    """

    theta: np.ndarray
    hessian: Any = None
    columns: Any = None
    n_sampled: float = np.inf


def starts_of(problem, block, penalties, theta) -> list[Start]:
    """The optima of a sample under ``penalties``, in order of falling strength.

    ``block`` are the sampled rows, or None; ``theta (size,)`` is the start of all.
    """
    if block is None:
        return [Start(theta)] * len(penalties)
    if penalties[0].l1:
        return _sparse_starts(problem, block, penalties, theta)
    return _smooth_starts(problem, block, penalties, theta)


def _sparse_starts(problem, block, penalties, theta):
    """Each penalty from the optimum of the one before."""
    starts, last = [], Start(theta)
    for penalty in penalties:
        part = ProximalNewton(SAMPLE_TOL, last.columns, last.hessian)
        result = minimize_sample(problem._replace(penalty=penalty), block, part, last.theta, 100)
        if result is not None and np.isfinite(result.theta).all():
            last = Start(result.theta, result.hessian, result.columns)
        starts.append(last)
    return starts


def _smooth_starts(problem, block, penalties, theta):
    """All penalties together, with the Hessian where they start; then one for each few optima."""
    free = of_sample(problem, block)._replace(penalty=L2(0.0))
    dense = problem.size <= LARGEST
    first = hessian_at(free, block, theta) if dense else None
    problems = [free._replace(penalty=penalty) for penalty in penalties]
    parts = [smooth_part(each, SAMPLE_TOL, first) for each in problems]
    rows = open_rows(Table(block.X, block.y, block.w), "memory")
    found = AllReduce().minimize_together(problems, rows, parts, [theta] * len(parts), max_iter=50)
    m = len(block.y) if len(block.y) < problem.n_rows else np.inf
    starts, hessian = [], None
    for i, result in enumerate(found):
        if dense and i % NEIGHBOURS == 0:
            middle = found[min(i + NEIGHBOURS // 2, len(found) - 1)]
            hessian = hessian_at(free, block, middle.theta)
        starts.append(Start(result.theta, hessian, n_sampled=m))
    return starts


def smooth_part(problem, tol, hessian, n_rows=np.inf) -> LBFGS:
    """L-BFGS that begins with the Hessian of a loss, plus that of the penalty of ``problem``."""
    d = problem.size
    refresh = REFRESH * (d <= SHARED or (d <= LARGEST and problem.n_rows * d * d <= CHEAP))
    if hessian is None:
        return LBFGS(tol, refresh=refresh)
    hessian = hessian + np.diag(problem.penalty.l2 * problem.scale)
    return LBFGS(tol, curvature=Dense.of(problem, hessian, n_rows), refresh=refresh)


def fit_all(problem, rows, penalties, starts, tol, max_iter, progress):
    """The Results of all penalties on all rows, and the solvers that found them."""
    problems, parts = [], []
    for penalty, start in zip(penalties, starts, strict=True):
        problems.append(problem._replace(penalty=penalty))
        if penalty.l1:
            parts.append(ProximalNewton(tol, start.columns, start.hessian))
        else:
            parts.append(smooth_part(problems[-1], tol, start.hessian, start.n_sampled))
    thetas = [start.theta for start in starts]
    found = AllReduce().minimize_together(
        problems, rows, parts, thetas, max_iter=max_iter, progress=progress
    )
    return found, parts


def fit_folds(problem, rows, folds, starts, found, parts, max_iter, progress):
    """The Results of each fold and penalty, begun at the fit to all rows.

    ``folds`` are tuples (train (G,), weight, penalties) of each training set; ``starts``, ``found``
    and ``parts`` those of the fits to all rows. Returns them fold by fold.
    """
    problems, solvers, thetas = [], [], []
    for train, weight, penalties in folds:
        for penalty, start, whole, part in zip(penalties, starts, found, parts, strict=True):
            mine = problem._replace(penalty=penalty, train=train, weight=weight)
            if penalty.l1:
                part = part._replace(columns=whole.columns, hessian=whole.hessian)
            elif problem.size <= SHARED and start.hessian is not None:
                part = smooth_part(mine, part.tol, start.hessian, start.n_sampled)
            problems.append(mine)
            solvers.append(part)
            thetas.append(whole.theta)
    results = AllReduce().minimize_together(
        problems, rows, solvers, thetas, max_iter=max_iter, progress=progress
    )
    n = len(starts)
    return [results[i : i + n] for i in range(0, len(results), n)]
