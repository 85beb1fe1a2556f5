"""Least squares with more columns than rows, on as many columns as rows; for the estimators.

The coefficients of least norm are a combination of rows of X, and so are those of a ridge
regression. In an orthonormal basis of the rows norm and penalty are the same, and the columns are
as few as the rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg, sparse

from daskdsml.linear_model._routes import is_dense_enough
from daskdsml.utils.threads import single_threaded_blas


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
