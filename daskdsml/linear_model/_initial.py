"""Where iterative fits start: the null model or the optimum of a sample, and its curvature."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.backends.numpy import NumPy
from daskdsml.contracts import Block, Evaluation
from daskdsml.data.dataset import Dataset
from daskdsml.engine.full.rows import open_rows
from daskdsml.linear_model._base import LARGEST_GRAM
from daskdsml.linear_model._sample import SampledLine, anisotropy, first_rows
from daskdsml.passes.moments import moments
from daskdsml.passes.objective import Objective
from daskdsml.solvers._curvature import Blocks, DenseHessian, Diagonal, Kronecker
from daskdsml.utils import registry
from daskdsml.utils.threads import single_threaded_blas

# Most numbers in the Hessians of all outputs (256 MiB).
LARGEST_BLOCKS = 2**25
# What is left to do on a sample, whose optimum is not that of all rows.
SAMPLE_TOL = 1e-3
# A sample's optimum is where a fit starts if what is lost there, about half a parameter in a row of
# the sample, is at most this share of what it gains on rows that it has not seen.
MAX_LOSS_SHARE = 0.1
# Share of the sampled rows that are kept back to judge by.
HELD_OUT_SHARE = 0.2
# Sampled rows for each column of a curvature, at least and at most, and the most for an optimum.
ROWS_OF_CURVATURE, ROWS_OF_OPTIMUM = (16, 200), 200
# Reads that a fit takes whose curvature is right; `plain_reads` tells what the plain one takes.
GOOD_READS = 6
# Sampled rows for each parameter from which on the curvature of a sample is that of all rows, near
# enough to save a read even where columns are independent.
NEAR_ROWS = 100
# What finding a sample's optimum may cost, in reads of all rows.
OPTIMUM_COST_IN_READS = 0.2
# Bytes that a read brings in a second, from memory and from storage, and floating-point operations
# of matrix products: of an ordinary core, and nothing but their ratios is of consequence.
MEMORY_RATE, STORAGE_RATE, PRODUCT_RATE = 1.6e10, 1e9, 4e10
MAX_RENEWALS = 8
# Reads that a search takes at least before it asks for Hessians of all rows.
MIN_READS = 12
# Steps that Newton's method takes from there.
NEWTON_STEPS = 5
# Seconds that a step takes besides its read.
STEP_OVERHEAD = 1e-3
# What the last step may promise, in units of ``tol`` times the objective: less where a matrix is
# the curvature, which bends directions that it knows little of, and promises too little there.
PLAIN_PROMISE, MATRIX_PROMISE = 0.05, 0.005
# How many times more it may promise with each pass since the gradient was first small.
PROMISE_GROWTH = 10.0
# Scores of the sampled rows along which a step is measured.
LINE_NUMBERS = 2048
# Least variance within classes that a column is given, as a share of its variance.
LEAST_VARIANCE = 0.05


class Start(NamedTuple):
    """``theta (size,)``, the solver that begins there, and the Evaluation at it if it is known."""

    theta: np.ndarray
    solver: Any
    known: Evaluation | None = None


class Cost(NamedTuple):
    """Seconds that work takes, as counted: a read of all rows, and of a sampled ``row``.

    A read serves ``n_models``.
    """

    read: float
    row: float

    @classmethod
    def of(cls, problem, table, n_models=1) -> Cost:
        n_bytes = table.n_bytes or 8.0 * problem.n_rows * problem.n_features
        rate = MEMORY_RATE if table.is_local else STORAGE_RATE
        # Four operations a number of 8 bytes and output.
        products = 0.5 * n_bytes * problem.n_outputs * n_models / PRODUCT_RATE
        row = max(n_bytes / MEMORY_RATE, products) / problem.n_rows
        return cls(max(n_bytes / rate, products), row)

    def rows_of_matrix(self, size) -> int:
        """Rows of a matrix (size, size): as many as half a read pays for, but enough of them."""
        paid = 0.5 * self.read * PRODUCT_RATE / size**2
        few, many = ROWS_OF_CURVATURE
        return int(min(max(paid, few * size), many * size))

    def reads_before_newton(self, problem, max_iter, n_models=1) -> int:
        """Reads that cost what Newton's method does, but half of those that there may be at most.

        0 where Hessians of all rows would be too large, or dearer than all reads that there may be.
        """
        matrix = self.matrix(problem.n_rows, problem.size)
        hessian = n_models * matrix / (self.read + STEP_OVERHEAD)
        if problem.size > LARGEST_GRAM or hessian > max_iter:
            return 0
        return min(max(MIN_READS, int(NEWTON_STEPS * hessian)), max_iter // 2)

    @staticmethod
    def matrix(n_rows, size) -> float:
        """Of a matrix (size, size) from so many rows, and its Cholesky factor."""
        return (n_rows * size**2 + size**3 / 3.0) / PRODUCT_RATE


def null_evaluation(problem, theta, counts, sums) -> Evaluation:
    """The objective at a model of intercepts ``theta (size,)``, from a summary of the data.

    ``counts (k,)`` are summed weights of the rows whose targets are 0, 1, ... k - 1, and ``sums``
    (k, p) those of their weighted columns.
    """
    _, intercept = problem.by_output(theta)
    z = np.broadcast_to(intercept, (len(counts), len(intercept)))
    z = z if problem.loss.coupled else z[:, 0]
    losses, slopes = problem.loss.value_and_derivative(np, np.arange(len(counts), dtype=float), z)
    slopes = np.reshape(slopes, (len(counts), -1))
    gradient = np.column_stack([slopes.T @ sums, slopes.T @ counts])
    gradient = gradient if problem.fit_intercept else gradient[:, :-1]
    return Evaluation(
        float(losses @ counts) / problem.weight, gradient.ravel() / problem.weight, None
    )


def started(problem, sampler, solver, name, theta, table) -> Start:
    """Where to start ``solver`` from, instead of ``theta (size,)``, as sampled rows suggest.

    All is returned as it was if the sample has no optimum. The sampled rows are a smaller fit of
    the same problem, whose reads cost next to nothing.
    """
    if name == "lbfgs":
        return quasi_newton(problem, sampler, solver, theta, table)
    block = sampler()
    if block is None or not sampler.covers(block):
        return Start(theta, solver)
    if name == "newton":
        return _newton(problem, block, solver, theta)
    rough = solver._replace(tol=max(SAMPLE_TOL, solver.tol))
    result = minimize_sample(problem, block, rough, theta, 200)
    if result is None or result.status != "converged":
        return Start(theta, solver)
    solver = solver._replace(columns=result.columns, hessian=result.hessian)
    return Start(result.theta, solver)


def _newton(problem, block, solver, theta) -> Start:
    """Most Newton steps are taken on the first tenth of the rows, where they cost a tenth."""
    start, hessian = theta, None
    for share in (0.1, 1.0):
        some = first_rows(block, int(share * len(block.y)))
        result = minimize_sample(problem, some, solver, start, 30)
        good = result is not None and result.status == "converged"
        start, hessian = (result.theta, result.hessian) if good else (theta, None)
    return Start(start, solver._replace(hessian=hessian, n_sampled=len(block.y)))


def quasi_newton(problem, sampler, solver, theta, table) -> Start:
    """L-BFGS from ``theta (size,)``, the null model, with what sampled rows earned trust for.

    A sample's optimum is no more than the first trial. A matrix of curvature is made where it
    saves more reads than it costs: where columns are independent the plain one is as good.
    """
    cost = Cost.of(problem, table)
    n_line = rows_of_line(problem)
    line = sampler(n_line)
    if line is None or not weight_of(line) > 0.0:
        return Start(theta, solver)
    weights = null_weights(problem, line, theta)
    solver = solver._replace(
        curvature=Diagonal(float(weights.mean())),
        promise=PLAIN_PROMISE * solver.tol,
        growth=PROMISE_GROWTH,
    )
    small = problem.n_features <= LARGEST_GRAM
    means = sampler.class_means() if problem.fit_intercept else None
    plain = plain_reads(anisotropy(problem, line, means)) if small else np.inf
    best = _trusted(problem, sampler, solver, theta, plain, cost)
    solver = solver._replace(first=best, length=SampledLine(problem, line))
    if not small:
        return Start(theta, solver)
    # Rows that made a matrix would see less curvature along its steps than others do.
    n_matrix = min(cost.rows_of_matrix(problem.n_features + 1), sampler.most - n_line)
    near = best is not None and n_matrix >= NEAR_ROWS * problem.size
    saved = max(plain - GOOD_READS, 1.0 if near else 0.0) * cost.read
    if cost.matrix(n_matrix, problem.n_features) > saved or n_matrix <= problem.n_features:
        return Start(theta, solver)
    block = sampler(n_matrix, skip=n_line)
    return Start(theta, _with_curvature(problem, block, solver, best, weights, means, saved, cost))


def rows_of_line(problem) -> int:
    """Sampled rows along which a step is measured: enough, but a small part of a read."""
    return min(max(LINE_NUMBERS // problem.n_outputs, 512), max(problem.n_rows // 8, 512))


def plain_reads(anisotropy) -> float:
    """Reads that L-BFGS takes without a matrix, where columns are as far from independent.

    As for neighbours that correlate at r, where it is ``(1 + r**2) / (1 - r**2)``: their
    condition number is the square of ``(1 + r) / (1 - r)``, in which L-BFGS's steps are linear.
    """
    r = ((anisotropy - 1.0) / (anisotropy + 1.0)) ** 0.5
    return 3.0 + 3.0 * (1.0 + r) / (1.0 - r)


def null_weights(problem, block, theta) -> np.ndarray:
    """Curvature of the loss (1,) at the null model, or probabilities (K,) of coupled outputs."""
    _, intercept = problem.by_output(theta)
    if problem.loss.coupled:
        return problem.loss.mean(np, intercept)
    y = np.asarray(block.y, dtype=float)
    curves = problem.loss.second_derivative(np, y, np.full(len(y), intercept[0]))
    return np.array([np.average(curves, weights=block.w)])


def _trusted(problem, sampler, solver, theta, plain, cost):
    """The optimum (size,) of sampled rows, or None where it is not to be trusted.

    It loses about half a parameter in a row of the sample against the optimum of all rows, and
    gains on rows held out; parameters that the penalty holds count less than one.
    """
    penalised = np.asarray(solver.curvature.h * problem.scale**2)
    held = problem.penalty.l2
    effective = float((penalised / (penalised + held)).sum()) + problem.fit_intercept
    effective *= max(problem.n_outputs - 1, 1)
    most = min(sampler.most, int(max(ROWS_OF_OPTIMUM * effective, 2000)))
    if plain < np.inf:
        most = min(most, int(OPTIMUM_COST_IN_READS * cost.read / (plain * cost.row)))
    if most < effective / MAX_LOSS_SHARE:
        return None
    block = sampler(most)
    m = int((1.0 - HELD_OUT_SHARE) * len(block.y))
    train, unseen = first_rows(block, m), first_rows(block, len(block.y) - m, m)
    if m < effective / MAX_LOSS_SHARE or not sampler.covers(train) or not weight_of(unseen) > 0.0:
        return None
    rough = solver._replace(tol=max(SAMPLE_TOL, solver.tol))
    result = minimize_sample(problem, train, rough, theta, 100)
    if result is None or result.status not in ("converged", "max_iter"):
        return None
    null, there = (_value(problem, unseen, at) for at in (theta, result.theta))
    return result.theta if 0.5 * effective / m <= MAX_LOSS_SHARE * (null - there) else None


def _with_curvature(problem, block, solver, best, weights, means, saved, cost):
    """The solver with the matrix that is worth ``saved`` seconds of reads, if one is."""
    m, p, K = len(block.y), problem.n_features, problem.n_outputs
    known = _effective_rows(block) if m < problem.n_rows else np.inf
    one_matrix = cost.matrix(m, p)
    own = problem.size <= LARGEST_GRAM and cost.matrix(m, problem.size) <= saved
    each = K * cost.matrix(m, p) <= saved and K * (p + 1) ** 2 <= LARGEST_BLOCKS
    curvature = None
    if own or each:
        renew = _Renewal(problem, block, own)
        dear = cost.matrix(m, problem.size) if own else K * one_matrix
        if dear <= 2.0 * cost.read:
            solver = solver._replace(renew=renew, renewals=MAX_RENEWALS)
        curvature = renew(best) if best is not None else None
    if curvature is None:
        curvature = Kronecker.of(problem, _correlation(problem, block, means), weights, known)
    return solver._replace(curvature=curvature, promise=MATRIX_PROMISE * solver.tol)


def _correlation(problem, block, means) -> np.ndarray:
    """Correlation matrix (p, p) of the columns, within classes if their ``means`` are known.

    From sampled rows; CSR rows, which would lose their zeros, are taken as one class. Without an
    intercept it is about zero, as the columns' scales are.
    """
    p, X = problem.n_features, block.X
    if means is not None and isinstance(X, np.ndarray):
        X = X - means[np.asarray(block.y, dtype=int)]
    rows = open_rows(Dataset(X, np.zeros(len(block.y)), block.w), "memory")
    total = rows.run(moments, NumPy(), "sample-moments")
    total = total if problem.fit_intercept else total.about_zero()
    inner = total.cross[:p, :p] / total.weight / np.outer(problem.scale, problem.scale)
    # A column that tells classes apart by itself varies between them alone.
    diagonal = np.diag_indices(p)
    inner[diagonal] = np.maximum(inner[diagonal], LEAST_VARIANCE)
    return inner


class _Renewal(NamedTuple):
    """The curvature of sampled rows at any parameters: of all outputs, or of each by itself."""

    problem: Any
    block: Block
    whole: bool

    def __call__(self, theta):
        if self.whole or self.problem.n_outputs == 1:
            return curvature_at(self.problem, self.block, theta)
        m = _rows_that_count(self.problem, self.block, theta)
        return Blocks.of(self.problem, _hessians_of_outputs(self.problem, self.block, theta), m)


def _effective_rows(block) -> float:
    """How many rows of equal weight those of a block are worth, ``(sum w)**2 / sum w**2``."""
    return len(block.y) if block.w is None else float(block.w.sum() ** 2 / (block.w @ block.w))


def weight_of(block) -> float:
    """Summed weight of the rows of a block."""
    return float(len(block.y) if block.w is None else block.w.sum())


def _value(problem, block, theta) -> float:
    """The mean objective of a few rows."""
    rows = open_rows(Dataset(block.X, block.y, block.w), "memory")
    with single_threaded_blas():
        return Objective(rows.run, of_sample(problem, block)).evaluate(theta).value


def minimize_sample(problem, block, solver, theta, max_iter):
    """The Result of a fit to sampled rows, or None if none of them counts."""
    problem = of_sample(problem, block)
    if not problem.weight > 0.0:
        return None
    rows = open_rows(Dataset(block.X, block.y, block.w), "memory")
    strategy = registry.find_strategy(solver)
    return strategy.minimize(problem, rows, solver, theta, max_iter=max_iter)


def of_sample(problem, block):
    """The problem whose rows are those of a block, which are shifted already."""
    return problem._replace(
        n_rows=len(block.y), weight=weight_of(block), label="sample", train=None, shift=None
    )


def curvature_at(problem, block, theta) -> DenseHessian:
    """An approximate inverse Hessian from sampled rows at ``theta``."""
    m = _rows_that_count(problem, block, theta) if len(block.y) < problem.n_rows else np.inf
    return DenseHessian.of(problem, hessian_at(problem, block, theta), m)


def _rows_that_count(problem, block, theta) -> float:
    """How many rows of equal curvature the sampled ones are worth, ``(sum c)**2 / sum c**2``.

    Where classes are all but separated, the curvature is that of the few rows between them.
    """
    coef, intercept = problem.by_output(theta)
    z = block.X @ coef.T + intercept
    if problem.loss.coupled:
        shares = problem.loss.mean(np, z)
        curves = (shares * (1.0 - shares)).sum(axis=1)
    else:
        curves = problem.loss.second_derivative(np, np.asarray(block.y, dtype=float), z[:, 0])
    curves = curves if block.w is None else curves * block.w
    total = float(curves.sum())
    return total**2 / float((curves**2).sum()) if total > 0.0 else 0.0


def hessian_at(problem, block, theta):
    """The Hessian (size, size) over sampled rows."""
    rows = open_rows(Dataset(block.X, block.y, block.w), "memory")
    with single_threaded_blas():
        return Objective(rows.run, of_sample(problem, block)).evaluate(theta, True).hessian


def _hessians_of_outputs(problem, block, theta):
    """The Hessian (d, d) of each output with itself, over sampled rows."""
    X, y = block.X, block.y
    w = np.ones(len(y)) if block.w is None else block.w
    coef, intercept = problem.by_output(theta)
    z = X @ coef.T.astype(X.dtype) + intercept.astype(X.dtype)
    curves = np.einsum("nkk->nk", problem.loss.second_derivative(np, y, z))
    p, d = problem.n_features, problem.size // problem.n_outputs
    for k in range(problem.n_outputs):
        rows = open_rows(Dataset(X, y, w * curves[:, k] / w.sum()), "memory")
        total = rows.run(moments, NumPy(), "sample-moments")
        mean = np.append(total.mean[:p], 1.0)
        hessian = total.weight * np.outer(mean, mean)
        hessian[:p, :p] += total.cross[:p, :p]
        hessian[np.arange(p), np.arange(p)] += problem.penalty.l2
        yield hessian[:d, :d]
