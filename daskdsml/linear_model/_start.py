"""Where iterative fits start: the optimum of a sample of the rows, and its curvature."""

from __future__ import annotations

import numpy as np

from daskdsml.backends.numpy import NumPy
from daskdsml.contracts import Block
from daskdsml.data.door import Table
from daskdsml.engine.rows import open_rows
from daskdsml.linear_model._base import LARGEST_GRAM
from daskdsml.objective import Objective
from daskdsml.passes.moments import moments
from daskdsml.solvers._curvature import Blocks, Dense
from daskdsml.strategies.all_reduce import AllReduce
from daskdsml.threads import single_threaded_blas

# A sample of m rows puts the start about sqrt(p / m) from the optimum, in units where 1 is far.
SAMPLE_ROWS, SAMPLE_ROWS_PER_COLUMN, SAMPLE_BYTES = 10_000, 200, 2**26
# One row of so many costs next to nothing beside a read of all, and the start is nearer.
SAMPLE_PART = 200
# A sample of more than this share of the rows costs more than the passes it saves, if each pass may
# have a Hessian.
SAMPLE_SHARE = 0.2
# Most Newton parameters whose Hessian costs no more than reading the data.
CHEAP_HESSIAN = 256
# Most numbers in the Hessians of all outputs (256 MiB); sampled rows for each of their columns, few
# where reads of all rows are quick, for making these Hessians then takes longer than the fit.
LARGEST_BLOCKS, ROWS_OF_BLOCKS = 2**25, (4, 16)
# What is left to do on a sample, whose optimum is not that of all rows.
ROUGH = 1e-3


def sample_size(table, all_rows) -> tuple[int, float]:
    """Rows to sample, and the largest share of a block's rows to offer; 0 rows for no sample.

    ``all_rows`` tells whether a sample may be all of the rows.
    """
    n, p = table.n_rows, table.n_features
    n_bytes = table.n_bytes
    row = 8 * p if n is None or not n_bytes else max(n_bytes / n, 1.0)
    size = max(SAMPLE_ROWS, SAMPLE_ROWS_PER_COLUMN * p, 0 if n is None else n // SAMPLE_PART)
    size = int(min(size, SAMPLE_BYTES // row + 1))
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
    return start, part._replace(hessian=hessian, n_sampled=len(block.y))


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
    if problem.n_outputs > 1 and problem.size * (problem.n_features + 1) <= LARGEST_BLOCKS:
        return Blocks.of(problem, _hessians_of_outputs(problem, block, theta))
    return None


def hessian_at(problem, block, theta):
    """The Hessian (size, size) over sampled rows."""
    rows = open_rows(Table(block.X, block.y, block.w), "memory")
    with single_threaded_blas():
        return Objective(rows.run, of_sample(problem, block)).evaluate(theta, True).hessian


def _hessians_of_outputs(problem, block, theta):
    """The Hessian (d, d) of each output with itself, over some of the sampled rows."""
    few, many = (rows * problem.n_features for rows in ROWS_OF_BLOCKS)
    m = min(len(block.y), max(few, min(many, problem.n_rows // 10)))
    X, y = block.X[:m], block.y[:m]
    w = np.ones(m) if block.w is None else block.w[:m]
    coef, intercept = problem.by_output(theta)
    z = X @ coef.T.astype(X.dtype) + intercept.astype(X.dtype)
    curves = np.einsum("nkk->nk", problem.loss.second_derivative(np, y, z))
    p, d = problem.n_features, problem.size // problem.n_outputs
    for k in range(problem.n_outputs):
        rows = open_rows(Table(X, y, w * curves[:, k] / w.sum()), "memory")
        found = rows.run(moments, NumPy(), "sample-moments")
        mean = np.append(found.mean[:p], 1.0)
        hessian = found.weight * np.outer(mean, mean)
        hessian[:p, :p] += found.cross[:p, :p]
        hessian[np.arange(p), np.arange(p)] += problem.penalty.l2
        yield hessian[:d, :d]
