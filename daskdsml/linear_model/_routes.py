"""Which solver a fit takes, by counted work; for the least-squares estimators.

Work is counted in multiply-adds of matrix products, the cheapest there are. Only data in this
process's memory may be read more than once to save work: for any other a read costs more than all
that is saved.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg, sparse

from daskdsml.data.blocks import nbytes
from daskdsml.engine.full.by_columns import suits_columns
from daskdsml.utils.threads import single_threaded_blas

# A pass over X waits for memory: an entry costs as much as so many multiply-adds in the cache, and
# the pass itself, whatever its size, as much as so many.
WORK_PER_ENTRY, WORK_PER_PASS = 40, 2e7
# Entries of a CSR matrix that may be made dense.
MOST_DENSE = 2**27
# Making, adding, scaling and reading a p x p matrix of moments, an entry.
WORK_PER_MOMENT = 500
# Passes of a working set, for one fit and for a path.
FIT_PASSES, PATH_PASSES = 10, 30


def entries_a_column(X) -> float:
    """Entries of X that are stored, for each column: its rows, if X is dense."""
    return nbytes(X) / X.dtype.itemsize / max(X.shape[1], 1)


def work_of_moments(n, p, n_sets=1) -> float:
    """Moments of [X y] (p x p), on all rows and on each of the other ``n_sets - 1`` sets."""
    return p * p * (0.5 * n + WORK_PER_MOMENT * n_sets)


def work_of_working_set(n, p, n_fits=1) -> float:
    """Reads for the gradient in all columns: each fit is a column of residuals in one of them.

    The moments of the columns in use are left out: on the whole set they are those of
    `work_of_moments`, and no more than a fraction of the columns is in use for most penalties.
    """
    n_passes = FIT_PASSES if n_fits == 1 else PATH_PASSES
    return n_passes * (WORK_PER_ENTRY * n * p + WORK_PER_PASS) + n_fits * n * p


def work_of_cholesky(n, p) -> float:
    """Moments of all columns, and a Cholesky factor of them."""
    return work_of_moments(n, p) + p**3 / 3.0


def work_of_dual(n, p) -> float:
    """Products of all rows, a Cholesky factor of them, and a read for the coefficients."""
    return work_of_cholesky(p, n) + 2.0 * WORK_PER_ENTRY * n * p


def is_dense_enough(table) -> bool:
    """Whether X is in this process's memory, and dense, or as a dense array at most 1 GiB."""
    if not table.is_local:
        return False
    return isinstance(table.X, np.ndarray) or np.prod(table.X.shape, dtype=float) <= MOST_DENSE


def suits_dual(table, largest) -> bool:
    """Whether ridge costs less on products of rows, for one output of y.

    ``largest`` is the most columns, or rows, of which a square matrix may be made. A collection has
    to be laid out by columns, of which each is read twice then.
    """
    if not (is_dense_enough(table) or (not table.is_local and suits_columns(table))):
        return False
    n, p, n_outputs = table.n_rows, table.n_features, 1 if table.y.ndim == 1 else table.y.shape[1]
    cheaper = p > largest or (table.is_local and work_of_dual(n, p) < work_of_cholesky(n, p))
    return n_outputs == 1 and n < p and n <= largest and cheaper


def suits_working_set(table, n_fits=1, n_sets=1) -> bool:
    """Whether a working set costs less than moments of all columns, for one output of y."""
    if not table.is_local or (table.y.ndim == 2 and table.y.shape[1] > 1):
        return False
    n, p = entries_a_column(table.X), table.n_features
    return work_of_working_set(n, p, n_fits) < work_of_moments(n, p, n_sets)


class Rotation(NamedTuple):
    """``basis (p, n)`` of the rows of X less ``mean (p,)``, orthonormal.

    With ``A = X - mean`` the rotated design is ``Z = A basis`` and ``A = Z basis'``.
    """

    basis: np.ndarray
    mean: np.ndarray

    def coefficients(self, rotated) -> np.ndarray:
        """Coefficients (..., p) of those (..., n) of the rotated columns."""
        with single_threaded_blas():
            return rotated @ self.basis.T

    def intercepts(self, rotated, coef):
        """Intercepts of X from those of Z, of ``coef (..., p)``."""
        return rotated - coef @ self.mean


def rotated(table, fit_intercept):
    """The table on rotated columns and the Rotation; None for it where entries are not finite.

    What is not finite is left to a pass, which names it. Costs two reads: they are counted.
    """
    X = table.X.toarray() if sparse.issparse(table.X) else table.X
    X = X.astype(np.float64)
    mean = np.zeros(X.shape[1])
    for _ in range(2 * fit_intercept):  # of columns far from zero the first mean has lost digits
        rest = X.mean(axis=0)
        X -= rest
        mean += rest
    if not np.isfinite(X).all():
        return table, None
    with single_threaded_blas():
        basis, R = linalg.qr(X.T, mode="economic", overwrite_a=True, check_finite=False)
    turned = table._replace(X=np.ascontiguousarray(R.T), extra_reads=table.extra_reads + 2)
    return turned, Rotation(basis, mean)


def suits_rotation(table, largest) -> bool:
    """Whether X is in this process's memory and has clearly more columns than rows."""
    if not is_dense_enough(table):
        return False
    n, p = table.X.shape
    return 3 * n < 2 * p and n <= largest
