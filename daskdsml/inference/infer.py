"""From a fitted model and its data to a table: the one way in."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from daskdsml.data.dataset import check_in_memory, is_dask
from daskdsml.data.validation import validate_dataset
from daskdsml.engine.full.rows import open_rows
from daskdsml.inference import least_squares, likelihood
from daskdsml.inference._covariance import find_covariance
from daskdsml.inference._model import check_reasons, unwrap
from daskdsml.inference._result import least_squares_result, likelihood_result
from daskdsml.inference.result import InferenceResult
from daskdsml.utils.threads import single_threaded_blas


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
    """Standard errors, tests and measures of fit of a fitted linear or generalised linear model.

    With rows ``a_i = [1 x_i]``, k parameters and n rows of non-zero weight:

    *Linear regression.* The covariance is ``s**2 (A'WA)^-1`` with ``s**2 = sum_i w_i r_i**2 /
    (n - k)``; robust ones are ``(A'WA)^-1 M (A'WA)^-1``. Conventions are those of statsmodels'
    ``WLS(...).fit(cov_type=..., use_t=True)``: weights are precisions, ``var(y_i) = sigma**2 /
    w_i``, so multiplying them all by a number changes nothing but ``s``, and an integer weight is
    not that many rows (repeat the rows for that). t and F have ``n - k`` degrees of freedom, or
    G - 1 for G clusters. R² is about the mean with an intercept, about zero without.

    *Logistic, multinomial and Poisson regression.* The covariance is ``H^-1``, the inverse Hessian
    of minus the log-likelihood; robust ones are ``H^-1 M H^-1`` with ``M = sum_i w_i s_i s_i'`` for
    scores ``s_i``. Weights count rows: weight 3 is the row three times, ``n = sum_i w_i``. (For
    sampling weights, whose squares belong into M, pass ``cov_type="cluster"`` with another label
    for each row.) Statistics are normal, Wald tests chi-squared, also with clusters, as in
    statsmodels; there, ``HC1`` of these models is ``HC0``, here it is n/(n - k) times that. The
    equations of more than two classes are log-odds against the first class. Separated classes, and
    zero counts wherever a column is set, leave coefficients without a maximum: these are named
    (`LikelihoodResult`) and have no standard error, and the others are those of their limit.

    Covariances of clusters are multiplied by ``G/(G-1) (n-1)/(n-k)``, HC1 by ``n/(n-k)``. Rows of
    weight zero count as absent.

    Reads of X: one. Least squares takes one more for HC2 and HC3, whose leverages need the inverse.
    Where its moments lose digits (condition of X'X above 1e6 for centred columns of unit spread) or
    the table is in this process's memory and at most 1 MiB, another gives the R factor, and the sum
    of squares in twice the working precision; above that condition robust sums are taken in the
    frame of the R factor, at one more read. For tables up to 1 MiB the inverse is right to the last
    digits. Likelihoods take one more where separation is suspected, and for
    ``class_weight="balanced"``.

    Parameters
    ----------
    model : fitted daskdsml linear, logistic or Poisson regression, or a pipeline that ends in one
    X : array (n, p), CSR, DataFrame, Dask Array or Dask DataFrame
        What the model was fitted to.
    y : array (n,), series, or Dask collection
    sample_weight : array (n,), series, Dask collection, number or None
    cov_type : {"nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster"}
        HC2 and HC3 are for linear regression alone.
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
    LeastSquaresResult or LikelihoodResult, both an InferenceResult

    Raises
    ------
    TypeError
        If the model is not one of these.
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
    White, H. (1982). Maximum likelihood estimation of misspecified models. Econometrica 50(1),
    1-25.
    Albert, A. and Anderson, J. A. (1984). On the existence of maximum likelihood estimates in
    logistic regression models. Biometrika 71(1), 1-10.
    Belsley, D. A., Kuh, E. and Welsch, R. E. (1980). Regression Diagnostics. Wiley.
    """
    fitted, X = unwrap(model, X)
    of_likelihood = fitted.family is not None
    kind = find_covariance(cov_type, of_likelihood)
    method: Any = likelihood if of_likelihood else least_squares
    _check_options(kind, cov_type, groups, level)
    fitted = check_reasons(fitted, kind.robust, allow_penalized)
    table = _dataset(X, y, sample_weight, groups, fitted)
    with single_threaded_blas():
        rows = open_rows(table, fitted.model.cache, getattr(fitted.model, "n_jobs", None))
        try:
            sums = method.read(rows, table, fitted, cov_type, kind)
        finally:
            rows.close()
        if not fitted.reasons:
            method.check_optimum(sums)
        tabulate = likelihood_result if of_likelihood else least_squares_result
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
    good = isinstance(level, numbers.Real) and not isinstance(level, bool)
    if not (good and 0.0 < level < 1.0):
        raise ValueError(f"level must be a number between 0 and 1, such as 0.95, got {level!r}.")


def _dataset(X, y, sample_weight, groups, fitted):
    """The table, with y (n,), and groups that keep their types."""
    if y is None:
        raise ValueError("infer needs the y that the model was fitted to, but y is None.")
    check_in_memory(groups, "groups")
    if groups is not None and not is_dask(groups):
        groups = _labels(groups)
        n = getattr(X, "shape", (np.nan,))[0]
        if isinstance(n, numbers.Integral) and len(groups) != n:
            raise ValueError(
                f"groups must have one label per row: X has {n} rows and groups {len(groups)}."
            )
    labels = fitted.family is not None and fitted.family.classes is not None
    table = validate_dataset(X, y, sample_weight, groups, labels=labels, multi_output=True)
    if table.y.ndim == 2:
        if table.y.shape[1] != 1:
            raise ValueError(
                f"infer expects one output, but y has {table.y.shape[1]} columns. Fit and infer "
                "one column at a time, such as y[:, 0]."
            )
        table = table._replace(y=table.y[:, 0])
    if table.n_features != len(fitted.names):
        raise ValueError(
            f"X has {table.n_features} columns, but {type(fitted.model).__name__} was fitted to "
            f"{len(fitted.names)}. Pass the X that the model was fitted to."
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
    return np.fromiter(groups, dtype=object)
