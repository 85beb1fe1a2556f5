"""Coefficients of least norm after fits that cannot tell which ones the data leave open."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import linalg, sparse
from scipy.linalg import LinAlgWarning

from daskdsml.linear_model._base import names_of, warn_of_dependence, warn_of_few_rows
from daskdsml.utils.threads import single_threaded_blas
from daskdsml.utils.validation import outside

# Most columns, or rows, of which relations are looked for, and rows for each column.
LARGEST, ROWS_PER_COLUMN = 1024, 4
# Singular values below this share of the largest one are rounding.
ROUNDING = 1e-11


def least_norm(estimator, problem, sampler, result):
    """The result with the shortest of all coefficients that fit equally well, and a warning.

    That takes relations among the columns in all rows; where only a sample is at hand, these are
    told of in the warning alone. Nothing is done where a penalty or the solver has chosen.
    """
    p = estimator.n_features_in_
    unknown = problem.unbounded and result.null_space is None and result.status == "converged"
    if not unknown or min(p, problem.n_rows) > LARGEST:
        return result
    n = min(problem.n_rows, max(ROWS_PER_COLUMN * p, 1000))
    every = problem.n_rows <= 2 * n
    block = sampler(problem.n_rows if every else n)
    if block is None or (len(block.y) < problem.n_rows and len(block.y) < p):
        return result
    every = len(block.y) == problem.n_rows
    with single_threaded_blas():
        span = _span(problem, block, p)
    if span.shape[1] == p:
        return result
    if not every:
        _warn_of_sample(estimator, len(block.y))
        return result
    _warn(estimator, problem.n_rows, span)
    coef, intercept = problem.by_output(result.theta)
    open_part = coef[:, :p] - (coef[:, :p] @ span) @ span.T
    coef = coef.copy()
    coef[:, :p] -= open_part
    theta = np.column_stack([coef, intercept + open_part @ problem.mean[:p]])
    return result._replace(theta=theta[:, : problem.size // problem.n_outputs].ravel())


def _span(problem, block, p) -> np.ndarray:
    """An orthonormal basis (p, r) of what centred rows span, whatever the units of columns."""
    counted = slice(None) if block.w is None else block.w > 0.0
    X = block.X[counted]
    X = (X.toarray() if sparse.issparse(X) else X).astype(np.float64)
    scale = problem.scale[:p]
    Z = (X - X.mean(axis=0) * problem.fit_intercept) / scale
    _, values, rows = linalg.svd(Z, full_matrices=False)
    inside = values > ROUNDING * max(values.max(initial=0.0), 1e-300)
    return linalg.qr((rows[inside] * scale).T, mode="economic")[0]


def _warn(estimator, n, span) -> None:
    p, r = span.shape
    if n <= p:
        warn_of_few_rows(n, p)
        return
    null_space = linalg.null_space(span.T, rcond=1e-8)
    warn_of_dependence(null_space[None], names_of(estimator))


def _warn_of_sample(estimator, n) -> None:
    warnings.warn(
        f"Columns of X depend on each other in {n} sampled rows: {type(estimator).__name__} ends "
        f"at one of the optima that there may be. Use solver='newton' (or 'qr'), which finds the "
        "one of least norm, or a penalty.",
        LinAlgWarning,
        stacklevel=outside(),
    )
