"""Sums of a loss of residuals in units of a scale that is a parameter too."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse


class Concomitant(NamedTuple):
    """A backend of models whose last coefficient is not of a column, but the scale ``s``.

    It sums ``s (1/2 + loss(r_i / s)) + l2 |b|**2 / 2`` with residuals ``r_i = y_i / unit - x_i'b -
    b0``, where the loss sees ``r_i / s`` as the target of a score of zero. That is convex in
    (b, s, b0) together if the loss is convex, and infinite for ``s <= 0``.

    With ``a_i = (x_i, r_i / s, 1)`` its derivatives are those of the loss in the coefficients of
    a, taken at zero: the gradient is ``sum loss' a``, to which s adds what does not depend on b,
    and the Hessian ``sum loss'' a a' / s``. So any backend and any loss will do.

    Attributes
    ----------
    backend : Backend, evaluates the loss
    unit : float
        What y is divided by; parameters are in units of it.
    l2 : float
        Factor of ``|b|**2 / 2`` for a row of weight one.
    floor : float
        Residuals are taken to be rounded by this: ``floor**2 / (2 s)`` is added for each row, which
        keeps s above zero where all residuals are zero.

    References
    ----------
    Huber, P. J. and Ronchetti, E. M. (2009). Robust Statistics, 2nd ed., section 7.7.
    Owen, A. B. (2007). A robust hybrid of lasso and ridge regression. Contemporary Mathematics 443,
    59-72.
    """

    backend: Any
    unit: float
    l2: float
    floor: float

    def models(self, loss, block, coef, intercept, member=None, curved=()):
        """Value, gradient and Hessian for one model: see `daskdsml.contracts.Backend`.

        ``coef (1, 1, p + 1)`` ends with s; ``member`` is None; Hessians
        are of all columns.
        """
        b, s = coef[0, 0, :-1], float(coef[0, 0, -1])
        size = len(b) + 2
        if not s > 0.0:
            rest = np.zeros((1, 1, size)), (np.zeros((size, size)),) * len(curved)
            return np.full((1, 1), np.inf), *rest
        weight = float(block.X.shape[0] if block.w is None else block.w.sum())
        beside = self._beside(block, residuals(block, b, intercept[0, 0], self.unit) / s)
        zero = np.zeros((1, 1, size - 1))
        sums = self.backend.models(loss, beside, zero, np.zeros((1, 1)), None, curved)
        rounded = weight * self.floor**2 / s
        value = sums[0] * s + 0.5 * (weight * (s + self.l2 * b @ b) + rounded)
        gradient = sums[1].copy()
        gradient[0, 0, :-2] += weight * self.l2 * b
        gradient[0, 0, -2] += sums[0][0, 0] + 0.5 * (weight - rounded / s)
        added = np.append(np.full(size - 2, weight * self.l2), [rounded / s**2, 0.0])
        return value, gradient, tuple(hess / s + np.diag(added) for hess in sums[2])

    def _beside(self, block, target):
        """The block with the residuals, in units of s, as a column beside X and as the target."""
        column = target.astype(block.X.dtype)[:, None]
        if sparse.issparse(block.X):
            X = sparse.hstack([block.X, sparse.csr_matrix(column)], format="csr")
        else:
            X = np.concatenate([block.X, column], axis=1)
        return block._replace(X=X, y=target)


def residuals(block, coef, intercept, unit):
    """``y / unit - X coef - intercept`` (n,), float64; products are in the precision of X."""
    X = block.X
    real = np.float64 if sparse.issparse(X) else X.dtype
    return np.ravel(block.y) / unit - X @ coef.astype(real) - intercept
