"""Blocks on the CPU in plain NumPy and SciPy. Found by name."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from daskdsml.backends._array_api import (
    ArrayBackend,
    GradientBlock,
    MomentsBlock,
    add_outer,
    member,
)
from daskdsml.backends._layers.array import ArrayKernels
from daskdsml.backends._models import weighted

# Products with so many vectors are made one by one.
FEW_VECTORS = 4
# Squared distance from the mean, in variances, from which on sums about a point lose two digits:
# the first rows of a block may lie elsewhere than the rows that weigh.
FAR = 100.0
# CSR rows that are filled to this share are multiplied as dense ones, a few at a time.
FILLED_SHARE = 1 / 12


class NumPy(ArrayBackend):
    """The plain backend: nothing to compile, so the quickest for small data.

    CSR blocks stay sparse; only their p x p sums are dense.
    """

    # Rows of moments, few enough that their copy stays in the second-level cache.
    moment_rows = 1024
    tile_entries = 2**18

    def put(self, array):
        return array

    def layers(self):
        """Kernels of layers and mini-batch solvers."""
        return ArrayKernels(np)

    def gradient(self, loss, block, coef, intercept, hessian=False) -> GradientBlock:
        if not sparse.issparse(block.X):
            return super().gradient(loss, block, coef, intercept, hessian)
        X, y = block.X, block.y
        z = X @ coef + intercept
        value, dz = loss.value_and_derivative(np, y, z)
        c: Any = loss.second_derivative(np, y, z) if hessian else None
        if block.w is not None:
            parts = (value, dz, c)
            value, dz, c = (None if a is None else weighted(np, block.w, a) for a in parts)
        gradient = np.append(X.T @ dz, dz.sum())
        hess = _bordered(_cross(X, c), X.T @ c, c.sum()) if hessian else None
        return GradientBlock(float(value.sum()), gradient, hess)

    def _matrix(self, X):
        return X.astype(np.float64, copy=False) if sparse.issparse(X) else X

    def _step(self, X, outputs, curved) -> int:
        """Of CSR rows as many as 32 MiB of scores hold: each tile makes a sum of all columns."""
        csr = sparse.issparse(X)
        return max(64, 2**22 // outputs) if csr else super()._step(X, outputs, curved)

    def _tile_sums(self, x, w, codes, n_codes):
        # No copy of x, for which threads wait for the system; and products with vectors, for those
        # with narrow matrices wait for each other's buffers.
        groups = np.ascontiguousarray(member(np, w, codes, n_codes).T)
        sums = groups @ x if n_codes > FEW_VECTORS else np.stack([one @ x for one in groups])
        return sums, np.einsum("i,ij,ij->j", w, x, x)

    def _scores(self, x, theta):
        if not sparse.issparse(x):
            return super()._scores(x, theta)
        return np.asfortranarray(x @ theta.T)

    def _design(self, x, columns):
        if not sparse.issparse(x):
            return super()._design(x, columns)
        x = x if columns is None else x[:, columns]
        return sparse.hstack([x, np.ones((x.shape[0], 1))], format="csr")

    def _add_curvature(self, hess, A, c) -> None:
        if not sparse.issparse(A):
            super()._add_curvature(hess, A, c)
            return
        size = A.shape[1]
        c = c[:, None, None] if c.ndim == 1 else c
        for k, m in zip(*np.triu_indices(c.shape[1]), strict=True):
            hess[k * size : (k + 1) * size, m * size : (m + 1) * size] += _cross(A, c[:, k, m])

    def moments(self, block) -> MomentsBlock:
        return (self._sparse_moments if sparse.issparse(block.X) else self._dense_moments)(block)

    def _sparse_moments(self, block) -> MomentsBlock:
        """Columns more than half full are dense ones, centred before products are summed.

        Where half a column is zero, its mean is no larger than its spread: its products keep their
        digits when they are centred afterwards.
        """
        X, y, w = block.X.astype(np.float64), self._columns(block.y), block.w
        n, p = X.shape
        filled = None if w is None else np.repeat(w, np.diff(X.indptr))
        w = np.ones(n) if w is None else w
        weight = w.sum()
        share = w / (weight or 1.0)
        full = np.bincount(X.indices, filled, minlength=p) > 0.5 * weight
        place = np.concatenate(
            [np.flatnonzero(~full), np.flatnonzero(full), p + np.arange(len(y.T))]
        )
        dense = np.column_stack([X[:, full].toarray(), y]) if full.any() else y
        X = X[:, ~full] if full.any() else X
        first = share @ dense
        rest = share @ (dense - first)
        dense = dense - (first + rest)
        mean = np.concatenate([X.T @ share, first + rest])
        inner = _cross(X, w) - weight * np.outer(mean[: X.shape[1]], mean[: X.shape[1]])
        weighted = w[:, None] * dense
        cross = _bordered(inner, X.T @ weighted, dense.T @ weighted)
        back = np.argsort(place)
        return MomentsBlock(float(weight), mean[back], cross[np.ix_(back, back)])

    def _dense_moments(self, block) -> MomentsBlock:
        """One read: about a shift near the mean, beside a column of ones that gives the sums."""
        X, y, w = block.X, self._columns(block.y), block.w
        shift = _near_mean(X, y, w, self.moment_rows)
        found = self._moments_about(shift, X, y, w)
        variance = np.maximum(np.diag(found.cross), 0.0)
        far = found.weight * (found.mean - shift) ** 2 > FAR * variance
        # Of a constant column nothing is left but rounding.
        if (far & (np.abs(found.mean - shift) > 1e-9 * np.abs(shift))).any():
            found = self._moments_about(found.mean, X, y, w)
        return found

    def _moments_about(self, shift, X, y, w) -> MomentsBlock:
        """The moments, of sums about a ``shift`` that is to be near the mean."""
        n, p = X.shape
        size = shift.size + 1
        n_tiles = max(-(-n // max(self.moment_rows, size)), 1)
        step = max(-(-n // n_tiles), 1)
        total = np.empty((size, size)) if n else np.zeros((size, size))
        product = np.empty((size, size)) if n > step else total
        # One buffer for all tiles: where freed memory goes back to the system at once, as on Dask's
        # workers, making a new one for each tile took three times as long.
        buffer = np.empty((min(n, step), size))
        for start in range(0, n, step):
            rows = slice(start, min(start + step, n))
            tile = buffer[: rows.stop - rows.start]
            tile[:, :p], tile[:, p:-1], tile[:, -1] = X[rows], y[rows], 1.0
            if shift.any():
                tile[:, :-1] -= shift
            if w is not None:
                tile *= np.sqrt(w[rows])[:, None]
            np.matmul(tile.T, tile, out=product if start else total)
            if start:
                total += product
        weight = float(total[-1, -1])
        rest = total[-1, :-1] / (weight if weight > 0 else 1.0)
        # A view: to copy a matrix into new memory takes as long as a tenth of its products.
        cross = add_outer(total[:-1, :-1], rest, -weight)
        return MomentsBlock(weight, shift + rest, cross)

    def column_sums(self, block, codes=None, n_codes=1):
        if not sparse.issparse(block.X):
            return super().column_sums(block, codes, n_codes)
        X = block.X.astype(np.float64, copy=False)
        w = np.ones(X.shape[0]) if block.w is None else block.w
        squares = sparse.csr_matrix((X.data**2, X.indices, X.indptr), X.shape)
        return (X.T @ member(np, w, codes, n_codes)).T, squares.T @ w


def _near_mean(X, y, w, n) -> np.ndarray:
    """Weighted means of the first ``n`` rows of [X y]: what is summed about it keeps its digits.

    Zeros where all of these means are within three spreads of zero: that costs a digit at most, and
    subtracting them would take a tenth of the time.
    """
    if not len(X):
        return np.zeros(X.shape[1] + y.shape[1])
    w = np.ones(len(y[:n])) if w is None or not w[:n].any() else w[:n]
    first = np.column_stack([X[:n], y[:n]]).astype(np.float64, copy=False)
    mean, square = w @ first / w.sum(), w @ first**2 / w.sum()
    return np.where((mean**2 > 0.9 * square).any(), mean, 0.0)


def _cross(X, c) -> np.ndarray:
    """``X' diag(c) X`` (p, p) dense, for CSR X and c (n,)."""
    n, p = X.shape
    if X.nnz <= FILLED_SHARE * n * p:
        return (X.T @ sparse.diags_array(c, format="csr") @ X).toarray()
    total, step = np.zeros((p, p)), max(2**18 // p, p)
    for start in range(0, n, step):
        x = X[start : start + step].toarray()
        total += x.T @ (c[start : start + step, None] * x)
    return total


def _bordered(inner, border, corner) -> np.ndarray:
    border = border[:, None] if border.ndim == 1 else border
    return np.block([[inner, border], [border.T, np.reshape(corner, (border.shape[1],) * 2)]])
