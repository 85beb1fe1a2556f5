"""Where iterative fits start: the optimum of a sample of the rows, and its curvature."""

from __future__ import annotations

import numpy as np

from daskdsml.backends.numpy import NumPy
from daskdsml.contracts import Block
from daskdsml.data.door import Table
from daskdsml.engine.rows import open_rows
from daskdsml.engine.threads import single_threaded_blas
from daskdsml.linear_model._base import LARGEST_GRAM
from daskdsml.objective import Objective
from daskdsml.passes.moments import group_moments
from daskdsml.solvers._curvature import Dense, Kronecker
from daskdsml.strategies.all_reduce import AllReduce

# A sample of m rows puts the start about sqrt(p / m) from the optimum, in units where 1 is far.
SAMPLE_ROWS, SAMPLE_ROWS_PER_COLUMN, SAMPLE_BYTES = 10_000, 200, 2**26
# A sample of more than this share of the rows costs more than the passes it saves, if each pass may
# have a Hessian.
SAMPLE_SHARE = 0.2
# Most Newton parameters whose Hessian costs no more than reading the data.
CHEAP_HESSIAN = 256
# What is left to do on a sample, whose optimum is not that of all rows.
ROUGH = 1e-3


def sample_size(table, all_rows) -> tuple[int, float]:
    """Rows to sample, and the largest share of a block's rows to offer; 0 rows for no sample.

    ``all_rows`` tells whether a sample may be all of the rows.
    """
    n, p = table.n_rows, table.n_features
    n_bytes = table.n_bytes
    row = 8 * p if n is None or not n_bytes else max(n_bytes / n, 1.0)
    size = int(min(max(SAMPLE_ROWS, SAMPLE_ROWS_PER_COLUMN * p), SAMPLE_BYTES // row + 1))
    if n is not None and size > SAMPLE_SHARE * n and not all_rows:
        return 0, 1.0
    return size, 1.0 if n is None else min(1.0, 1.5 * size / n)


def started(problem, block, part, name, theta):
    """``theta (size,)`` and the solver ``part``, as sampled rows in random order suggest.

    Both are returned as they were if the sample has no optimum. The sampled rows are a smaller
    fit of the same problem, whose reads cost next to nothing.
    """
    if name == "newton":
        return _newton(problem, block, part, theta)
    rough = part._replace(tol=max(ROUGH, part.tol))
    result = minimize_sample(problem, block, rough, theta, 200)
    if result is None or result.status != "converged":
        return theta, part
    if name == "lbfgs":
        curvature = curvature_at(problem, block, result.theta)
        return result.theta, part._replace(curvature=curvature)
    return result.theta, part._replace(columns=result.columns, hessian=result.hessian)


def _newton(problem, block, part, theta):
    """Most Newton steps are taken on the first tenth of the rows, where they cost a tenth."""
    start, hessian = theta, None
    for share in (0.1, 1.0):
        m = int(share * len(block.y))
        some = Block(block.X[:m], block.y[:m], None if block.w is None else block.w[:m])
        result = minimize_sample(problem, some, part, start, 30)
        good = result is not None and result.status == "converged"
        start, hessian = (result.theta, result.hessian) if good else (theta, None)
    return start, part._replace(hessian=hessian)


def minimize_sample(problem, block, part, theta, max_iter):
    """The Result of a fit to sampled rows, or None if none of them counts."""
    problem = of_sample(problem, block)
    if not problem.weight > 0.0:
        return None
    rows = open_rows(Table(block.X, block.y, block.w), "memory")
    return AllReduce().minimize(problem, rows, part, theta, max_iter=max_iter)


def of_sample(problem, block):
    """The problem whose rows are those of a block."""
    m = len(block.y)
    weight = float(m if block.w is None else block.w.sum())
    return problem._replace(n_rows=m, weight=weight, label="sample", train=None)


def curvature_at(problem, block, theta):
    """An approximate inverse Hessian from sampled rows at ``theta``; None if all are too large."""
    if problem.size <= LARGEST_GRAM:
        m = len(block.y) if len(block.y) < problem.n_rows else np.inf
        return Dense.of(problem, hessian_at(problem, block, theta), m)
    if problem.n_outputs > 1 and problem.n_features <= LARGEST_GRAM:
        return Kronecker.of(problem, *_covariances(problem, block, theta))
    return None


def hessian_at(problem, block, theta):
    """The Hessian (size, size) over sampled rows."""
    rows = open_rows(Table(block.X, block.y, block.w), "memory")
    with single_threaded_blas():
        return Objective(rows.run, of_sample(problem, block)).evaluate(theta, True).hessian


def _covariances(problem, block, theta):
    """Mean covariance of outputs (K, K), and second moments (d, d) of columns where it is large."""
    coef, intercept = problem.by_output(theta)
    dtype = block.X.dtype
    C = problem.loss.second_derivative(
        np, block.y, block.X @ coef.T.astype(dtype) + intercept.astype(dtype)
    )
    w = np.ones(len(block.y)) if block.w is None else block.w
    outputs = np.tensordot(w / w.sum(), C, 1)
    size = w * np.einsum("ikk->i", C)
    size /= size.sum()
    total = group_moments(NumPy(), Block(block.X, block.y, size)).of()
    p = problem.n_features
    mean, cross = total.mean[:p], total.cross[:p, :p]
    columns = np.empty((p + 1, p + 1))
    columns[:p, :p] = cross + np.outer(mean, mean)
    columns[p, :p] = columns[:p, p] = mean
    columns[p, p] = 1.0
    d = p + problem.fit_intercept
    return outputs, columns[:d, :d]
