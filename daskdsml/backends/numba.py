"""Blocks on the CPU in fused, compiled loops. Found by name."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from daskdsml.backends import _kernels, _model_kernels
from daskdsml.backends._array_api import GradientBlock
from daskdsml.backends._layers.compiled import CompiledKernels
from daskdsml.backends.numpy import NumPy


class Numba(NumPy):
    """Reads X once per pass: scores, loss and gradient of a tile while it is in the cache.

    Hessians of dense blocks are matrix products of a weighted copy of each tile, by BLAS.
    """

    # Rows of the weighted copy: enough for BLAS to be quick, few enough to stay in the cache.
    hessian_rows = 2048

    def layers(self):
        return CompiledKernels()

    def gradient(self, loss, block, coef, intercept, hessian=False) -> GradientBlock:
        X = block.X
        p, dtype = X.shape[1], X.dtype
        coef = np.ascontiguousarray(coef, dtype=dtype)
        y, w = (None if a is None else a.astype(dtype, copy=False) for a in (block.y, block.w))
        grad = np.zeros(p)
        if sparse.issparse(X):
            value, residual = self._csr(loss, X, y, w, coef, intercept, grad)
            hess = self._csr_hessian(loss, X, y, w, coef, intercept) if hessian else None
        elif hessian:
            value, residual, hess = self._with_hessian(loss, X, y, w, coef, intercept, grad)
        else:
            value, residual = _kernels.dense_gradient(loss, X, y, w, coef, intercept, grad)
            hess = None
        return GradientBlock(value, np.append(grad, residual), hess)

    def _link(self, loss, rows, z, member):
        if loss.coupled:
            return super()._link(loss, rows, z, member)
        value = np.zeros((1, z.shape[1]) if member is None else member.shape)
        w = _weights(rows)
        _model_kernels.link_models(loss, rows.y, w, rows.g, member, z.T, value)
        return value, z

    def _add_hessian_at(self, loss, rows, z, share, columns, hess) -> None:
        if loss.coupled or sparse.issparse(rows.x):
            super()._add_hessian_at(loss, rows, z, share, columns, hess)
            return
        w = _weights(rows)
        factor = w if share is None else w * share[rows.g, 0]
        root = np.empty((len(rows.x), len(hess)), rows.x.dtype)
        _model_kernels.root_of_hessian(loss, rows.x, rows.y, factor, z, columns, root)
        hess += root.T @ root

    def column_sums(self, block, codes=None, n_codes=1):
        X, w = block.X, block.w
        sums, squares = np.zeros((n_codes, X.shape[1])), np.zeros(X.shape[1])
        if sparse.issparse(X):
            _kernels.csr_column_sums(X.data, X.indices, X.indptr, w, codes, sums, squares)
        else:
            _kernels.dense_column_sums(X, w, codes, sums, squares)
        return sums, squares

    def _with_hessian(self, loss, X, y, w, coef, intercept, grad):
        n, p = X.shape
        root = np.empty((min(n, self.hessian_rows), p + 1), X.dtype)
        hess, product = np.zeros((p + 1, p + 1)), np.empty((p + 1, p + 1), X.dtype)
        value = residual = 0.0
        for start in range(0, n, self.hessian_rows):
            rows = slice(start, min(start + self.hessian_rows, n))
            tile, some_w = root[: rows.stop - start], None if w is None else w[rows]
            sums = _kernels.dense_weighted_tile(
                loss, X[rows], y[rows], some_w, coef, intercept, grad, tile
            )
            np.matmul(tile.T, tile, out=product)
            hess += product
            value, residual = value + sums[0], residual + sums[1]
        return value, residual, hess

    def _csr(self, loss, X, y, w, coef, intercept, grad):
        return _kernels.csr_gradient(loss, X.data, X.indices, X.indptr, y, w, coef, intercept, grad)

    def _csr_hessian(self, loss, X, y, w, coef, intercept):
        hess = np.zeros((X.shape[1] + 1,) * 2)
        _kernels.csr_hessian(loss, X.data, X.indices, X.indptr, y, w, coef, intercept, hess)
        return hess + np.tril(hess, -1).T


def _weights(rows):
    return np.ones_like(rows.y) if rows.w is None else rows.w
