"""The design matrix [1 X]: its R factor, inverse and condition number, from sums; for `infer`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg

from daskdsml.inference._checks import raise_dependent
from daskdsml.passes.r_factor import ColumnScaling, power_of_two
from daskdsml.utils.double_double import Double, double

EPSILON = np.finfo(np.float64).eps
# Most corrections of an inverse: each gains the digits that the first has.
CORRECTIONS = 6


class Design(NamedTuple):
    """``R'R = A'wA`` for rows ``a_i = [1, (x_i - centre) / scale]`` of some ``columns`` of X.

    ``frame`` is that of the columns (k,). ``root = T R^-1`` (size, size), with T what turns
    parameters of the frame into the user's, is a factor of ``inverse``, the inverse of
    ``[1 X]'w[1 X]``; a covariance is ``root M root'`` for the sums M of whitened rows.
    """

    frame: ColumnScaling
    columns: np.ndarray
    R: np.ndarray
    root: np.ndarray
    inverse: np.ndarray

    def framed(self, scores, centre) -> np.ndarray:
        """Sums ``s [1, x - centre]`` (G, 1 + p) over all columns as those (G, size) of the frame.

        ``centre`` (p,) may be any point.
        """
        intercept, slopes = scores[:, :1], scores[:, 1:][:, self.columns]
        slopes = slopes + intercept * (centre[self.columns] - self.frame.centre)
        slopes = slopes / self.frame.scale
        return np.column_stack([intercept, slopes]) if self.frame.intercept else slopes

    def whiten(self, scores) -> np.ndarray:
        """``scores R^-1`` for rows (G, size) of the frame."""
        return linalg.solve_triangular(self.R, scores.T, trans="T").T

    def condition_number(self) -> float:
        """Of [1 X] with weights, and columns of unit length (Belsley, Kuh and Welsch 1980)."""
        raw = self.R.copy()
        one = int(self.frame.intercept)
        raw[:, one:] *= self.frame.scale
        if one:
            raw[:, one:] += np.outer(self.R[:, 0], self.frame.centre)
        values = linalg.svdvals(raw / np.linalg.norm(raw, axis=0)) if raw.size else [np.nan]
        return float(values[0] / values[-1])


def from_moments(moments, columns, intercept) -> Design:
    """From moments of [X y] (about zero without an intercept), whose columns are independent."""
    frame = frame_of(moments, columns, intercept)
    one = int(intercept)
    R = np.zeros((columns.size + one,) * 2)
    R[:one, :one] = np.sqrt(moments.weight)
    cross = moments.cross[np.ix_(columns, columns)] / np.outer(frame.scale, frame.scale)
    R[one:, one:] = linalg.cholesky(cross)
    return _with_inverse(frame, columns, R)


def from_factor(R, moments, columns, intercept, names) -> Design:
    """From the R factor of the framed [1 X y], all columns of X among them.

    Raises LinAlgError if columns depend on each other, naming them.
    """
    p, one = moments.mean.size - 1, int(intercept)
    frame = frame_of(moments, np.arange(p), intercept)
    size = one + p
    R = np.vstack([R, np.zeros((size, R.shape[1]))])[:size, :size]
    rounding = 8.0 * EPSILON * np.sqrt(moments.weight) * (1.0 + np.abs(frame.centre) / frame.scale)
    columns = columns[(np.linalg.norm(R[:, one:], axis=0) > rounding)[columns]]
    indices = np.concatenate([np.arange(one), one + columns])
    R = linalg.qr(R[:, indices], mode="r")[0][: indices.size]
    frame = frame_of(moments, columns, intercept)
    check_independent(R, [names[j] for j in indices])
    return _with_inverse(frame, columns, R)


def frame_of(moments, columns, intercept) -> ColumnScaling:
    """The frame of some columns of [X y]: means, and powers of two near standard deviations."""
    spread = np.sqrt(np.maximum(np.diag(moments.cross), 0.0) / moments.weight)
    return ColumnScaling(moments.mean[columns], power_of_two(spread)[columns], intercept)


def check_independent(R, names) -> None:
    """Raise LinAlgError if columns of R (size, size) depend on each other, naming them."""
    norm = np.linalg.norm(R, axis=0)
    unit = R / np.where(norm > 0.0, norm, 1.0)
    limit = 10.0 * len(R) * EPSILON
    if not len(R) or linalg.lapack.dtrcon(unit)[0] > limit:
        return
    _, values, vectors = np.linalg.svd(unit)
    null = values <= limit * values[0]
    null[-1] = True
    involved = np.flatnonzero(np.abs(vectors[null]).max(axis=0) > 1e-8)
    raise_dependent(null.sum(), [names[j] for j in involved])


def refined(design: Design, gram: Double) -> Design:
    """The design with its inverse corrected to the last digit.

    Solves ``gram M = I`` by ``M <- M + root root' (I - gram M)``, with residuals in twice the
    working precision, so M loses nothing to the condition of X'X. ``gram`` is ``[1 X]'w[1 X]``
    over all columns.
    """
    one = int(design.frame.intercept)
    indices = np.concatenate([np.arange(one), one + design.columns])
    grid = np.ix_(indices, indices)
    gram = Double(gram.high[grid], gram.low[grid])
    scale = power_of_two(np.sqrt(np.diag(gram.high)))  # exact, and keeps entries near one
    gram = Double(*(half / np.outer(scale, scale) for half in gram))
    root = design.root * scale[:, None]
    inverse, change = double(root @ root.T), np.inf
    for _ in range(CORRECTIONS):
        residual = double(np.eye(len(root))) + -_product(gram, inverse)
        step = root @ (root.T @ residual.high)
        size = np.sqrt(np.diag(inverse.high))
        before, change = change, np.max(np.abs(step) / np.outer(size, size), initial=0.0)
        if not change < before:
            break
        inverse = inverse + double(step)
        if 100.0 * change**2 < EPSILON:  # what a correction leaves is about its square
            break
    rounded = inverse.high / np.outer(scale, scale)
    return design._replace(inverse=0.5 * (rounded + rounded.T))


def _product(A, B) -> Double:
    """``A B`` of square Doubles, column by column."""
    columns = []
    for j in range(len(A.high)):
        high = A.times(B.high[:, j])
        columns.append(Double(high.high, high.low + A.high * B.low[:, j]).sum(axis=1))
    return Double(*(np.column_stack(parts) for parts in zip(*columns, strict=True)))


def _with_inverse(frame, columns, R) -> Design:
    one = int(frame.intercept)
    root = linalg.solve_triangular(R, np.eye(len(R))) if len(R) else np.zeros((0, 0))
    root[one:] /= frame.scale[:, None]
    if one:
        root[0] -= frame.centre @ root[1:]
    return Design(frame, columns, R, root, root @ root.T)
