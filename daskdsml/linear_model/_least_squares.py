"""Fits of squared error: problem, solver and what is published."""

from __future__ import annotations

import numpy as np

from daskdsml.linear_model._base import (
    LARGEST_GRAM,
    asked_solver,
    find_backend,
    find_solver,
    names_of,
    publish,
    scales_of,
    warn_of_alike,
)
from daskdsml.linear_model._iterative import sampler_of, summary_request
from daskdsml.linear_model._kept import kept_passes
from daskdsml.linear_model._least_norm import least_norm
from daskdsml.linear_model._routes import rotated
from daskdsml.linear_model._sample import sample_size
from daskdsml.linear_model._strategy import strategy_for
from daskdsml.losses.penalties.l2 import L2
from daskdsml.losses.squared_error import SquaredError
from daskdsml.passes.objective import Problem
from daskdsml.passes.shift import Shift
from daskdsml.solvers.qr import MAX_CONDITION, SMALL_ENTRIES
from daskdsml.utils import registry
from daskdsml.utils.one_standard_error import RULES

SOLVERS = ("cholesky", "qr", "lbfgs")
# What the next step of L-BFGS may promise at the end, as a share of the objective: with few rows a
# column the objective is small, and a small gradient alone ends far above its minimum.
LBFGS_PROMISE = 1e-7
# More than any working set needs: it doubles.
MOST_PASSES = 1000


def n_outputs_of(table) -> int:
    """Columns of y."""
    return 1 if table.y.ndim == 1 else table.y.shape[1]


def find_direct(estimator, table) -> str:
    """The solver's name for a table with fewer columns than rows: as asked, or by its columns."""
    name = find_solver(estimator, table.n_features, "qr", "lbfgs")
    # scikit-learn's "lbfgs" takes bounds, for which ours has moments that all others share.
    bounded = estimator.positive and name == "lbfgs" and table.n_features <= LARGEST_GRAM
    return "qr" if bounded else name


def fit_least_squares(estimator, table, penalty, route, max_iter, column=False):
    """Fit by the solver named ``route``, or "rotated", publish and return the result.

    ``penalty`` is an L2 relative to the summed loss; ``column`` is as for `publish_linear`.
    """
    rotation = None
    if route == "rotated":
        table, rotation = rotated(table, estimator.fit_intercept)
        route = find_direct(estimator, table)
    if route == "lbfgs":
        _check_lbfgs(estimator, table)
    n_axes, fitted = table.y.ndim, table
    if route in ("lbfgs", "dual") and n_axes == 2:
        fitted = table._replace(y=table.y[:, 0])
    name = "nnls" if estimator.positive else route
    solver = _solver_of(estimator, name, fitted)
    result, n_passes, _ = solve(estimator, fitted, solver, penalty, max_iter)
    if route == "dual" and result.status == "stalled":
        # Products of rows lose digits here: the other solvers can have them back, at more work.
        other = "rotated" if table.is_local else find_direct(estimator, table)
        table = table._replace(extra_reads=int(n_passes))
        return fit_least_squares(estimator, table, penalty, other, max_iter, column)
    publish_linear(estimator, result, n_axes, column)
    if rotation is not None:
        estimator.coef_ = rotation.coefficients(estimator.coef_)
        if estimator.fit_intercept:
            estimator.intercept_ = rotation.intercepts(estimator.intercept_, estimator.coef_)
    # Columns of a basis have no names, and what rows leave open of it is as good as zero.
    named = result if rotation is None else result._replace(null_space=None)
    publish(estimator, named, n_passes, name)
    return result


def solve(estimator, table, solver, penalty, max_iter, then=None, label=None):
    """The result of a solver, the complete reads of X, and what ``then(passes, result)`` returns.

    ``then`` may read the rows once more.
    """
    strategy = strategy_for(estimator, solver, table)
    # Products of rows in memory take seconds, and if they lose digits another fit follows.
    brief = table.is_local and "row products" in solver.needs
    with kept_passes(estimator, table, solver, label, strategy, brief) as passes:
        problem, sampler = _problem_of(estimator, table, passes, penalty, solver)
        start, progress = np.zeros(problem.size), passes.progress
        result = strategy.minimize(
            problem, passes.rows, solver, start, max_iter=max_iter, progress=progress
        )
        value = None if then is None else then(passes, result)
    if sampler is not None:
        result = least_norm(estimator, problem, sampler, result)
        result = result._replace(theta=problem.unshifted(result.theta))
    n_rows = result.moments.stats.n_rows if result.moments else problem.n_rows
    return result, passes.n_passes(n_rows, table), value


def _problem_of(estimator, table, passes, penalty, solver):
    """The problem, and for a search by gradients what draws rows of it, or None."""
    n, p = table.n_rows, table.n_features
    problem = Problem(
        SquaredError(),
        penalty,
        find_backend(estimator, None if n is None else n * p),
        p,
        estimator.fit_intercept,
        names=names_of(estimator),
        label=estimator._label,
    )
    if "gradient" not in solver.needs:
        return problem._replace(n_rows=n or 0), None
    sample = (0, 1.0) if penalty.strength else sample_size(table, all_rows=True)
    summary = passes.summarize(estimator, summary_request(estimator, table, sample))
    scales = scales_of(estimator, summary, table)
    if problem.fit_intercept:
        shift, mean = scales["shift"] or Shift(), summary.span.total / summary.stats.weight
        scales["shift"] = shift._replace(target=mean)
    warn_of_alike(estimator, summary, scales["epsilon"])
    problem = problem._replace(
        **scales,
        penalty=L2(penalty.strength / summary.stats.weight),
        backend=find_backend(estimator, summary.stats.n_rows * p),
    )
    return problem, sampler_of(estimator, table, summary, None, sample)


def _solver_of(estimator, name, table):
    """The solver of that name, with its options."""
    solver = registry.find("solvers", name)
    if name == "lbfgs":
        return solver(tol=estimator.tol, promise=min(estimator.tol, LBFGS_PROMISE))
    if name == "dual" and asked_solver(estimator) == "auto":
        return solver(MAX_CONDITION)
    if name != "qr":
        return solver()
    small = table.is_local and table.n_rows * table.n_features <= SMALL_ENTRIES
    return solver(0.0 if small or estimator.solver == "qr" else MAX_CONDITION)


def _check_lbfgs(estimator, table) -> None:
    """Raise ValueError if L-BFGS cannot do what is asked."""
    if estimator.positive:
        raise ValueError(
            f"positive=True needs the {table.n_features} x {table.n_features} moments of X, "
            "which solver 'lbfgs' does not take. Use solver='cholesky'."
        )
    check_one_output(table, "lbfgs", "cholesky")


def check_one_output(table, solver, instead) -> None:
    """Raise ValueError if y has more columns than a solver fits, naming one that does."""
    n_outputs = n_outputs_of(table)
    if n_outputs > 1:
        raise ValueError(
            f"Solver {solver!r} fits one output, but y has {n_outputs}. Use "
            f"solver={instead!r}, or sklearn.multioutput.MultiOutputRegressor."
        )


def publish_linear(estimator, result, n_axes, column=False) -> None:
    """Coefficients and intercepts, shaped as scikit-learn's.

    ``n_axes`` are those of y, ``column`` tells whether one of y with a single column is kept in the
    coefficients.
    """
    theta = np.atleast_2d(result.theta)
    coef = theta[:, : theta.shape[1] - bool(estimator.fit_intercept)].copy()
    estimator.coef_ = coef[0] if n_axes == 1 or not (column or len(coef) > 1) else coef
    intercept = theta[:, -1].copy() if estimator.fit_intercept else np.zeros(1)
    several = n_axes == 2 and estimator.fit_intercept
    estimator.intercept_ = intercept if several else intercept[0]


def check_rule(estimator) -> None:
    """Raise ValueError unless ``rule`` is one of those there are."""
    if estimator.rule not in RULES:
        raise ValueError(f"Unknown rule {estimator.rule!r}: expected one of {list(RULES)}.")


def intercepts_of(mean, coefs, output=0) -> np.ndarray:
    """Intercepts (m,) of models with ``coefs (m, p)`` through the means ``mean (q,)`` of [X y]."""
    p = coefs.shape[1]
    return mean[p + output] - coefs @ mean[:p]
