"""Ridge paths with each row left out in turn, for `RidgeCV`."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from daskdsml.contracts import PathSpec, Record, Result
from daskdsml.linear_model._base import passes_over, publish
from daskdsml.linear_model._few_rows import has_few_rows, in_memory, ridge_of_rows
from daskdsml.linear_model._least_squares import MOST_PASSES, intercepts_of, n_outputs_of, solve
from daskdsml.losses.penalties.l2 import L2
from daskdsml.passes.gathered import Gathered
from daskdsml.passes.leave_one_out import Judge, LeaveOneOut, RidgeModels, leave_one_out
from daskdsml.solvers.paths.eigen import Eigen
from daskdsml.utils.threads import single_threaded_blas


class LeftOut(NamedTuple):
    """Ridge paths on all rows: ``coefs (K, m, p)``, ``intercepts (K, m)``; and without each.

    ``weight`` is that of all rows.
    """

    coefs: np.ndarray
    intercepts: np.ndarray
    total: LeaveOneOut
    weight: float


class KeptSquares(NamedTuple):
    """Weighted squared errors of all rows, as they are; counted like a metric."""

    needs = "errors"

    def count(self, y, errors, w, n_classes) -> Gathered:
        """The rows of a block as they are."""
        return Gathered((errors**2 if w is None else w * errors**2,))

    def kept(self, totals) -> np.ndarray:
        """The errors (n, models) of all rows."""
        return np.column_stack([total.parts[0] for total in totals])


def leave_rows_out(estimator, table, alphas, judge: Judge) -> LeftOut:
    """The paths of falling ``alphas``, and what ``judge`` makes of rows left out; published."""
    if has_few_rows(table):
        return _by_rows(estimator, table, alphas, judge)
    return _by_moments(estimator, table, alphas, judge)


def _by_rows(estimator, table, alphas, judge) -> LeftOut:
    """One read, for rows that are few."""
    start = time.perf_counter()
    with passes_over(estimator, table) as passes:
        here = in_memory(estimator, passes)
        with single_threaded_blas():
            fits = ridge_of_rows(here, alphas, estimator.fit_intercept)
        y = np.atleast_2d(here.y.T).T.astype(np.float64)
        total = judge.count(y, fits.errors, here.w)
        passes.progress.add(Record("rows", time.perf_counter() - start))
        result = Result(fits.coefs, 1, "converged", passes.progress.history)
        publish(estimator, result, passes.n_passes(len(y), table), "svd")
    weight = float(len(y) if here.w is None else here.w.sum())
    return LeftOut(fits.coefs, fits.intercepts, total, weight)


def _by_moments(estimator, table, alphas, judge) -> LeftOut:
    """A read for the moments, and one for the errors of all models."""
    specs = [PathSpec(alphas, 0.0, output=k, summed=True) for k in range(n_outputs_of(table))]
    one = estimator.fit_intercept

    def left_out(passes, result):
        start = time.perf_counter()
        with single_threaded_blas():
            coefs = np.array([[fit.coef for fit in sets[0]] for sets in result.paths.fits])
            pairs = enumerate(coefs)
            means = result.moments.mean
            intercepts = np.array([intercepts_of(means, coef, k) for k, coef in pairs]) * one
            models = _models(result.moments, coefs, intercepts, alphas, one, judge)
            total = passes.rows.run(leave_one_out, models, f"{estimator._label}-loo")
        seconds = time.perf_counter() - start
        passes.progress.add(result.history[-1]._replace(name="leave-one-out", seconds=seconds))
        return LeftOut(coefs, intercepts, total, result.moments.weight)

    solver = Eigen(tuple(specs))
    result, n_passes, found = solve(estimator, table, solver, L2(0.0), MOST_PASSES, then=left_out)
    publish(estimator, result, n_passes, "eigen")
    return found


def _models(moments, coefs, intercepts, alphas, one, judge) -> RidgeModels:
    """All models on all rows, in the basis in which leverages are sums of squares."""
    p = coefs.shape[2]
    moments = moments if one else moments.about_zero()
    values, vectors = np.linalg.eigh(moments.cross[:p, :p])
    return RidgeModels(
        np.moveaxis(coefs, 0, 1),
        intercepts.T,
        moments.mean[:p],
        vectors,
        1.0 / (np.maximum(values, 0.0) + np.array(alphas)[:, None]),
        float(one) / moments.weight,
        judge,
    )
