"""Ridge regression on rows that fit into memory and are few for the columns; with each left out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg

from daskdsml.data.dataset import Dataset
from daskdsml.linear_model._base import LARGEST_GRAM, names_of
from daskdsml.linear_model._routes import is_dense_enough
from daskdsml.passes.gathered import table_rows
from daskdsml.passes.row_stats import raise_invalid, raise_overflow
from daskdsml.solvers._symmetric import EPSILON

# Entries of a table of chunks that this process may take into its memory: as many as moments of
# the most columns have (128 MiB).
MOST_GATHERED = LARGEST_GRAM**2


class RidgeOfRows(NamedTuple):
    """Ridge models of m penalties and K outputs, and what they miss each row by without it.

    ``coefs (K, m, p)``, ``intercepts (K, m)``, ``errors (m, K, n)``.
    """

    coefs: np.ndarray
    intercepts: np.ndarray
    errors: np.ndarray


def has_few_rows(table) -> bool:
    """Whether rows are at most twice as many as columns, and can be held by this process."""
    n, p = table.n_rows, table.n_features
    if n > min(2 * p, LARGEST_GRAM):
        return False
    return is_dense_enough(table) if table.is_local else n * p <= MOST_GATHERED


def in_memory(estimator, passes) -> Dataset:
    """The table as dense arrays of this process, by one read; ValueError if it cannot be used."""
    total = passes.rows.run(table_rows, None, f"{estimator._label}-rows")
    raise_invalid(total.stats, names_of(estimator))
    return Dataset(*total.rows.parts)


def ridge_of_rows(table, alphas, fit_intercept) -> RidgeOfRows:
    """Ridge models of a table in memory under ``alphas``, against the summed squared error.

    Rows are multiplied by the roots of their weights, and reflected so that the first one is all
    that an intercept takes away: it is left out. With the singular values ``s`` of the others,
    ``U diag(s) V'``, and z for y, the model without row i misses it by ``c_i / d_i`` with
    ``c = Q diag(1 / (s**2 + alpha)) U'z`` and ``d_i = sum_j Q_ij**2 / (s_j**2 + alpha)``, where Q
    is U reflected back. Nothing is subtracted, so nothing cancels however small alpha is.

    References
    ----------
    Rifkin, R. M. and Lippert, R. A. (2007). Notes on regularized least squares. MIT-CSAIL-TR-2007-
    025.
    """
    X, y = table.X.astype(np.float64), np.atleast_2d(table.y.T).T.astype(np.float64)
    root = np.ones(len(X)) if table.w is None else np.sqrt(table.w)
    if np.count_nonzero(root) <= fit_intercept:
        raise ValueError(
            "Found array with 1 sample(s) of positive weight while a minimum of 2 is required to "
            "leave one out. Pass more rows."
        )
    mean, A = _centred(X, root, fit_intercept)
    y_mean, z = _centred(y, root, fit_intercept)
    raise_overflow(np.einsum("ij,ij->j", A, A))
    mirror = _mirror(root) if fit_intercept else None
    if fit_intercept:
        A, z = _reflected(A, mirror)[1:], _reflected(z, mirror)[1:]
    U, s, Vt = linalg.svd(A, full_matrices=A.shape[0] > A.shape[1], check_finite=False)
    s[s <= max(A.shape) * EPSILON * s.max(initial=0.0)] = 0.0
    inner, r, alphas = U.T @ z, len(s), np.asarray(alphas)
    shrunk = s / (s**2 + alphas[:, None])
    coefs = np.moveaxis((shrunk[:, :, None] * inner[:r]).transpose(0, 2, 1) @ Vt[:r], 0, 1)
    intercepts = y_mean[:, None] - coefs @ mean
    squares = np.pad(s**2, (0, len(U) - r))
    left = alphas[:, None] / (squares + alphas[:, None])
    Q = _reflected(np.vstack([np.zeros(len(U)), U]), mirror) if fit_intercept else U
    missed = (left[:, None, :] * inner.T) @ Q.T / (left @ (Q**2).T)[:, None, :]
    counts = root > 0.0
    fitted = np.moveaxis(coefs @ X[~counts].T + intercepts[:, :, None], 0, 1)
    missed[:, :, counts] /= root[counts]
    missed[:, :, ~counts] = y[~counts].T - fitted
    return RidgeOfRows(coefs, intercepts, missed)


def _centred(X, root, fit_intercept):
    """Means (p,), zeros without an intercept, and rows less these by the roots of their weights."""
    mean, rest = np.zeros(X.shape[1]), X
    for _ in range(2 * fit_intercept):  # of columns far from zero the first mean has lost digits
        move = root**2 @ rest / (root @ root)
        mean, rest = mean + move, rest - move
    counted = X[root > 0.0]
    constant = fit_intercept * (counted.min(axis=0) == counted.max(axis=0))
    return mean, np.where(constant, 0.0, root[:, None] * rest)


def _mirror(root) -> np.ndarray:
    """The unit vector whose reflection takes ``root (n,)`` to a multiple of the first axis."""
    mirror = root / np.linalg.norm(root)
    mirror[0] += 1.0
    return mirror / np.linalg.norm(mirror)


def _reflected(A, mirror) -> np.ndarray:
    return A - 2.0 * np.outer(mirror, mirror @ A)
