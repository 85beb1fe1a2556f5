"""Inference for linear regression: from a fitted model and its data to a table."""

from __future__ import annotations

import numbers
from typing import Any, NamedTuple

import numpy as np

from daskdsml import registry
from daskdsml.data.door import admit, is_dask
from daskdsml.double_double import Double, double
from daskdsml.engine.rows import open_rows
from daskdsml.engine.threads import single_threaded_blas
from daskdsml.inference._covariance import (
    find_covariance,
    meat_of_first_read,
    meat_of_whitened,
    whitening,
)
from daskdsml.inference._design import frame_of, from_factor, from_moments, refined
from daskdsml.inference._model import INTERCEPT, Fitted, take_apart
from daskdsml.inference._result import tabulate
from daskdsml.inference.result import InferenceResult
from daskdsml.passes.census import raise_faults, raise_overflow
from daskdsml.passes.fit_sums import At, fit_sums
from daskdsml.passes.gram import Exactly, exact_sums
from daskdsml.passes.normal_residual import Solution
from daskdsml.passes.whitened import whitened
from daskdsml.solvers._moments import constant_floor
from daskdsml.solvers._symmetric import solve
from daskdsml.solvers.qr import ENOUGH, SMALL

# From this condition of X'X on, the inverse of a small table is corrected: below it, the R factor
# leaves 13 digits or more, and p**3 operations in twice the precision are not worth one more.
PLAIN = 1e3
# A model that was fitted to other data is more than this many standard errors from the optimum.
NEAR = 0.05
# What a fit may leave by rounding, and by the tolerance of an iterative solver, of y's deviations.
TOLERANCE = 1e-6


class Sums(NamedTuple):
    """What all reads gave: `FitSums`, `Design`, ``meat`` or None, ``rss`` and reads of X.

    ``gap`` is the length of ``A (b - optimum)``, and ``step (size,)`` the way there.
    """

    first: Any
    design: Any
    meat: np.ndarray | None
    rss: float
    gap: float
    step: np.ndarray
    n_passes: float


def infer(
    model,
    X,
    y,
    sample_weight=None,
    *,
    cov_type="nonrobust",
    groups=None,
    level=0.95,
    allow_penalized=False,
) -> InferenceResult:
    """Standard errors, tests and measures of fit of a fitted linear regression.

    The covariance is ``s**2 (A'WA)^-1`` with ``A = [1 X]``, ``s**2 = sum_i w_i r_i**2 / (n - k)``
    for k parameters and n rows of non-zero weight; robust ones are ``(A'WA)^-1 M (A'WA)^-1``.

    Conventions, all as in statsmodels' ``WLS(...).fit(cov_type=..., use_t=True)``: weights tell
    precisions, ``var(y_i) = sigma**2 / w_i``, so multiplying them all by a number changes nothing
    but ``s``, and an integer weight is not that many rows (repeat the rows for that). Rows of
    weight zero count as absent. t and F have ``n - k`` degrees of freedom, or G - 1 for G clusters,
    whose covariance is multiplied by ``G/(G-1) (n-1)/(n-k)``. R² is about the mean with an
    intercept, about zero without.

    Reads of X: one, and one more for HC2 and HC3, whose leverages need the inverse. Where moments
    lose digits (condition of X'X above 1e6 for centred columns of unit spread) or the table is in
    this process's memory and at most 1 MiB, another gives the R factor, and the sum of squares in
    twice the working precision; above that condition robust sums are taken in the frame of the
    R factor, at one more read. For tables up to 1 MiB the inverse is right to the last digits.

    Parameters
    ----------
    model : fitted daskdsml linear regression, or a scikit-learn pipeline that ends in one
    X : array (n, p), CSR, DataFrame, Dask Array or Dask DataFrame
        What the model was fitted to.
    y : array (n,), series, or Dask collection
    sample_weight : array (n,), series, Dask collection, number or None
    cov_type : {"nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster"}
    groups : list, array (n,), series, Dask collection or None
        For "cluster": the cluster of each row, by labels that can be hashed: numbers, strings,
        tuples, or a mixture. Memory grows with clusters times columns.
    level : float
        Coverage of the confidence intervals, between 0 and 1.
    allow_penalized : bool
        Whether to give numbers also for models whose covariance does not hold (penalised, with
        coefficients kept positive, or with columns selected by the same data), with a note.

    Returns
    -------
    InferenceResult

    Raises
    ------
    TypeError
        If the model is not a linear regression of this package.
    ValueError
        If data or options cannot be used, the model is not fitted, was fitted to other data, or
        its covariance does not hold.
    numpy.linalg.LinAlgError
        If columns depend on each other; the message names them. Constant columns beside an
        intercept are no error: their coefficient is 0 and their standard error NaN.

    References
    ----------
    MacKinnon, J. G. and White, H. (1985). Some heteroskedasticity-consistent covariance matrix
    estimators with improved finite sample properties. Journal of Econometrics 29(3), 305-325.
    Cameron, A. C. and Miller, D. L. (2015). A practitioner's guide to cluster-robust inference.
    Journal of Human Resources 50(2), 317-372.
    Belsley, D. A., Kuh, E. and Welsch, R. E. (1980). Regression Diagnostics. Wiley.
    """
    kind = find_covariance(cov_type)
    _check_options(kind, cov_type, groups, level)
    fitted, X = take_apart(model, X, allow_penalized)
    table = _admit(X, y, sample_weight, groups, fitted)
    with single_threaded_blas():
        rows = open_rows(table, fitted.model.cache, getattr(fitted.model, "n_jobs", None))
        try:
            sums = _read(rows, table, fitted, cov_type, kind)
        finally:
            rows.close()
        if not fitted.notes:
            _check_fitted_to(sums)
        return tabulate(fitted, sums, cov_type, kind, float(level))


def _check_options(kind, cov_type, groups, level) -> None:
    if kind.clustered and groups is None:
        raise ValueError(
            "cov_type='cluster' needs groups, the cluster of each row, but groups is None. Pass "
            "groups=labels, with a label per row."
        )
    if groups is not None and not kind.clustered:
        raise ValueError(
            f"groups only has a use with cov_type='cluster', but cov_type is {cov_type!r}. Pass "
            "cov_type='cluster', or no groups."
        )
    good = isinstance(level, numbers.Real) and not isinstance(level, bool) and 0.0 < level < 1.0
    if not good:
        raise ValueError(f"level must be a number between 0 and 1, such as 0.95, got {level!r}.")


def _admit(X, y, sample_weight, groups, fitted):
    """The table, with y (n,), and groups that keep their types."""
    if y is None:
        raise ValueError("infer needs the y that the model was fitted to, but y is None.")
    if groups is not None and not is_dask(groups):
        groups = _labels(groups)
        n = getattr(X, "shape", (np.nan,))[0]
        if isinstance(n, numbers.Integral) and len(groups) != n:
            raise ValueError(
                f"groups must have one label per row: X has {n} rows and groups {len(groups)}."
            )
    table = admit(X, y, sample_weight, groups, multi_output=True)
    if table.y.ndim == 2:
        if table.y.shape[1] != 1:
            raise ValueError(
                f"infer expects one output, but y has {table.y.shape[1]} columns. Fit and infer "
                "one column at a time, such as y[:, 0]."
            )
        table = table._replace(y=table.y[:, 0])
    if table.n_features != fitted.coef.size:
        raise ValueError(
            f"X has {table.n_features} columns, but {type(fitted.model).__name__} was fitted to "
            f"{fitted.coef.size}. Pass the X that the model was fitted to."
        )
    return table


def _labels(groups) -> np.ndarray:
    """Labels (n,); those of a list as they are, for NumPy would make text of numbers beside text,
    and columns of tuples."""
    if not isinstance(groups, list | tuple):
        groups = np.asarray(groups)
        if groups.ndim != 1:
            raise ValueError(
                "groups must be 1D, one label per row, such as a list, an array or a column of a "
                f"frame, got {groups.ndim}D of shape {groups.shape}."
            )
        return groups
    labels = np.empty(len(groups), dtype=object)
    for i, label in enumerate(groups):
        labels[i] = label
    return labels


def _read(rows, table, fitted: Fitted, cov_type, kind) -> Sums:
    first = _first_read(rows, fitted, kind)
    moments, p = first.moments, table.n_features
    kept = np.flatnonzero(np.diag(moments.cross)[:p] > constant_floor(moments, p))
    _check_degrees(first, kept.size + fitted.fit_intercept, kind)
    condition = 1.0
    if kept.size:
        condition = solve(moments.cross[np.ix_(kept, kept)], np.zeros(kept.size)).condition
    small = table.is_local and table.n_rows * p <= SMALL
    if small or condition > ENOUGH:
        exactly = small and condition > PLAIN
        design, rss, score = _exactly(rows, fitted, moments, kept, exactly)
        _check_degrees(first, len(design.R), kind)
    else:
        design, rss = from_moments(moments, kept, fitted.fit_intercept), first.rss
        score = design.framed(first.scores.sums.sum(axis=0, keepdims=True), first.centre)
    way = design.whiten(score)[0]
    meat = None
    if kind.power or (kind.robust and condition > ENOUGH):
        found = rows.run(whitened, whitening(fitted, design, kind), "infer-leverage")
        meat = meat_of_whitened(found, cov_type, kind)
    elif kind.robust:
        meat = meat_of_first_read(first, design, kind)
    n_passes = rows.n_rows_read / moments.census.n_rows + table.extra_reads
    n_passes = int(n_passes) if n_passes == int(n_passes) else n_passes
    return Sums(first, design, meat, rss, float(np.linalg.norm(way)), design.root @ way, n_passes)


def _first_read(rows, fitted: Fitted, kind):
    backend = registry.find("backends", "numpy")()
    at = At(backend, fitted.coef, fitted.intercept, kind.robust and not kind.clustered)
    first = rows.run(fit_sums, at._replace(meat=at.meat and not kind.power), "infer-moments")
    raise_faults(first.moments.census, fitted.names)
    raise_overflow(first.moments.cross)
    if first.unlabelled >= 0:
        raise ValueError(
            f"groups must label every row, but the label of row {first.unlabelled} is missing. "
            "Drop the row, or give it a label of its own."
        )
    if kind.clustered and len(first.scores.labels) < 2:
        raise ValueError(
            "cov_type='cluster' needs two clusters or more, but all rows have the label "
            f"{first.scores.labels[0]!r}. Use cov_type='HC1' for rows that are independent."
        )
    return first if fitted.fit_intercept else first._replace(moments=first.moments.about_zero())


def _exactly(rows, fitted: Fitted, moments, kept, gram):
    """Design, residual sum of squares and framed score from a read in twice the precision."""
    one, p = fitted.fit_intercept, fitted.coef.size
    theta = np.append(fitted.intercept, fitted.coef) if one else fitted.coef
    frame = frame_of(moments, np.arange(p + 1), one)
    state = Exactly(frame, Solution(double(theta[:, None]), one), gram)
    found = rows.run(exact_sums, state, "infer-r-factor")
    names = [INTERCEPT] * one + fitted.names
    design = from_factor(found.factor.R, moments, kept, one, names)
    if gram:
        design = refined(design, found.gram)
    score = Double(*(part[:, 0] for part in found.residual.score))
    inner = Double(score.high[one:], score.low[one:])
    if one:
        level = Double(*(np.broadcast_to(part[0], (p,)) for part in score))
        inner = inner + -level.times(frame.centre[:p])
    inner = inner.high[design.kept] / design.frame.scale
    score = np.append(score.high[:1], inner) if one else inner
    return design, float(found.residual.rss.high[0]), score[None, :]


def _check_degrees(first, k, kind) -> None:
    if first.n_used <= k:
        raise ValueError(
            f"No residual degrees of freedom: {first.n_used} rows of non-zero weight for {k} "
            "parameters leave nothing to estimate errors from. Use more rows or fewer columns."
        )


def _check_fitted_to(sums: Sums) -> None:
    """Raise ValueError if the model is not the least squares fit to these data."""
    first, design = sums.first, sums.design
    moments = first.moments
    total, mean = moments.cross[-1, -1], moments.mean[-1]
    # Rounding leaves a step too: that of scores summed over rows of this size.
    size = np.sqrt(total) + 1e-6 * np.sqrt(moments.weight) * abs(mean)
    if sums.gap <= TOLERANCE * size:
        return
    variance = sums.rss / (first.n_used - len(design.R))
    error = np.sqrt(variance * np.diag(design.inverse))
    far = np.abs(sums.step) > NEAR * error
    if far.any():
        worst = float(np.max(np.abs(sums.step) / np.where(error > 0.0, error, 1e-300)))
        raise ValueError(
            f"The model is not the least squares fit to these data: a coefficient is {worst:.2g} "
            f"standard errors from theirs, which may be {NEAR}. Pass the X, y and sample_weight "
            "that the model was fitted to, or fit it to these."
        )
