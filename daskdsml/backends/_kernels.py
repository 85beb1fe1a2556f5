"""Compiled loops over the rows of one block, for any loss.

``X`` is (n, p), C-contiguous, float32 or float64; ``y`` and ``w`` are (n,), in float64 or in the
precision of ``X``, and ``w`` may be None for all ones; ``coef`` is (p,) in the precision of ``X``.
A CSR matrix comes as ``data``, ``indices`` and ``indptr``, in canonical format: sorted column
indices, none of them twice in a row. What a kernel adds to is float64. A loss is a NamedTuple of
its parameters: its class is part of the signature, its parameters are values at run time.

Tiles of rows stay in the second-level cache between their two uses, the scores and the gradient;
sums inside a tile have the precision of ``X``, sums over tiles are float64. Refused, as slower:
scores of the next tile in the loop that adds this one (10 GB/s, not 18), software prefetch of the
next tile (11), tiles of 8 to 64 rows in the first-level cache (14 to 16).
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import overload

from daskdsml.backends import _scalar
from daskdsml.backends._compile import FAST, kernel

TILE_BYTES = 2**19  # half of the usual 1 MiB; from 2**18 to 2**20 it hardly matters
TILE_ROWS = (8, 512)


def _call_method(name):
    """Return an overload that calls the loss's method ``name`` in the precision of the score."""

    def choose(loss, y, z):
        real = np.float32 if z == types.float32 else float
        method = getattr(loss.instance_class, name)
        function = njit(**_scalar.OPTIONS)(_scalar.in_precision(method, real))
        return lambda loss, y, z: function(loss, _scalar, y, z)

    return choose


def _value_and_derivative(loss, y, z): ...
def _second_derivative(loss, y, z): ...


overload(_value_and_derivative, jit_options=_scalar.OPTIONS)(_call_method("value_and_derivative"))
overload(_second_derivative, jit_options=_scalar.OPTIONS)(_call_method("second_derivative"))


@njit(**FAST)
def _part(w, start, stop):
    return None if w is None else w[start:stop]


@njit(**FAST)
def _scores(X, coef, intercept, z):
    """Write ``X coef + intercept`` into ``z (n,)``.

    One row at a time: four rows at once are as fast from the cache, but from memory they bring
    10 GB/s in place of 27, as the processor then no longer recognises one stream to read ahead.
    """
    for i in range(len(X)):
        x = X[i]  # a view without index wrap-around, which would keep the loop scalar
        score = z.dtype.type(0)
        for j in range(x.size):
            score += x[j] * coef[j]
        z[i] = score + z.dtype.type(intercept)


@njit(**FAST)
def _add_rows(X, r, total):
    """Add ``X' r`` into ``total (p,)``, in the precision of ``X``.

    Four rows at once, one from each quarter of the tile, which is in the cache: the whole kernel is
    10 % faster than with one row at a time or with neighbours.
    """
    quarter = len(r) // 4
    for i in range(quarter):
        a, b, c, d = i, i + quarter, i + 2 * quarter, i + 3 * quarter
        x_a, x_b, x_c, x_d = X[a], X[b], X[c], X[d]
        r_a, r_b, r_c, r_d = r[a], r[b], r[c], r[d]
        for j in range(total.size):
            total[j] += r_a * x_a[j] + r_b * x_b[j] + r_c * x_c[j] + r_d * x_d[j]
    for i in range(4 * quarter, len(r)):
        x = X[i]
        factor = r[i]
        for j in range(total.size):
            total[j] += factor * x[j]


@njit(**FAST)
def _link(loss, y, w, z):
    """Replace scores ``z`` by ``w dz``; return the sums of ``w value`` and of ``w dz``."""
    real = z.dtype.type
    value_sum = residual_sum = zero = real(0)
    for i in range(z.size):
        value, dz = _value_and_derivative(loss, real(y[i]), z[i])
        weight = real(1) if w is None else real(w[i])
        # What has no weight is zero, even where the loss is infinite.
        z[i] = _scalar.where(weight != zero, weight * dz, zero)
        value_sum += _scalar.where(weight != zero, weight * value, zero)
        residual_sum += z[i]
    return value_sum, residual_sum


@njit(**FAST)
def _curvatures(loss, y, w, z, c):
    """Write ``w`` times the second derivative at the scores ``z`` into ``c (n,)``."""
    real = z.dtype.type
    for i in range(z.size):
        weight = real(1) if w is None else real(w[i])
        second = _second_derivative(loss, real(y[i]), z[i])
        c[i] = _scalar.where(weight != real(0), weight * second, real(0))


@njit(**FAST)
def _write_root(X, c, root):
    """Write ``sqrt(c_i) [x_i, 1]`` into row i of ``root (n, p + 1)``."""
    for i in range(len(X)):
        x, scaled = X[i], root[i]
        factor = _scalar.sqrt(c[i])
        for j in range(x.size):
            scaled[j] = factor * x[j]
        scaled[x.size] = factor


@njit(**FAST)
def _dense_pass(loss, X, y, w, coef, intercept, grad, root):
    """`dense_weighted_tile`, or `dense_gradient` where ``root`` is None; Numba drops the branch."""
    n, p = X.shape
    rows = max(TILE_ROWS[0], min(TILE_ROWS[1], TILE_BYTES // (p * X.itemsize + 1)))
    buffer = np.empty(rows, X.dtype)
    tile_grad = np.zeros(p, X.dtype)
    value_sum = 0.0
    residual_sum = 0.0
    for start in range(0, n, rows):
        stop = min(start + rows, n)
        tile, y_tile, w_tile = X[start:stop], y[start:stop], _part(w, start, stop)
        z = buffer[: stop - start]
        _scores(tile, coef, intercept, z)
        if root is not None:
            c = np.empty_like(z)
            _curvatures(loss, y_tile, w_tile, z, c)
            _write_root(tile, c, root[start:stop])
        value, residual = _link(loss, y_tile, w_tile, z)
        _add_rows(tile, z, tile_grad)
        for j in range(p):
            grad[j] += tile_grad[j]
            tile_grad[j] = 0
        value_sum += value
        residual_sum += residual
    return value_sum, residual_sum


@kernel
def dense_gradient(loss, X, y, w, coef, intercept, grad):
    """Add ``sum_i w_i dz_i x_i`` to ``grad (p,)``, reading ``X`` from memory once.

    Returns the floats ``sum_i w_i value_i`` and ``sum_i w_i dz_i``.
    """
    return _dense_pass(loss, X, y, w, coef, intercept, grad, None)


@kernel
def dense_weighted_tile(loss, X, y, w, coef, intercept, grad, root):
    """`dense_gradient` of a tile, and a square root of its Hessian.

    Row i of ``root (n, p + 1)``, in the precision of ``X``, becomes ``sqrt(w_i c_i) [x_i, 1]`` with
    the curvature ``c_i``, so that ``root' root`` is the Hessian with the intercept last.
    """
    return _dense_pass(loss, X, y, w, coef, intercept, grad, root)


@kernel
def dense_column_sums(X, w, codes, sums, squares):
    """Add ``w_i x_ij`` to ``sums[codes_i, j]``, row 0 without codes, and ``w_i x_ij**2`` to
    ``squares (p,)``, in float64. Refused: blocks of 512 columns (7 GB/s, whole rows 20).
    """
    for i in range(len(X)):
        x = X[i]
        total = sums[0] if codes is None else sums[codes[i]]
        weight = 1.0 if w is None else np.float64(w[i])
        for j in range(x.size):
            entry = np.float64(x[j])
            total[j] += weight * entry
            squares[j] += weight * entry * entry


@njit(**FAST)
def _csr_scores(data, indices, indptr, coef, intercept, z):
    """Write ``X coef + intercept`` into ``z (n,)``; ``indptr (n + 1,)`` is that of the tile."""
    for i in range(z.size):
        score = z.dtype.type(intercept)
        for k in range(indptr[i], indptr[i + 1]):
            score += data[k] * coef[indices[k]]
        z[i] = score


@kernel
def csr_gradient(loss, data, indices, indptr, y, w, coef, intercept, grad):
    """`dense_gradient` for a CSR matrix: add to ``grad (p,)``, return the same two sums."""
    n = len(indptr) - 1
    buffer = np.empty(TILE_ROWS[1], data.dtype)
    value_sum = 0.0
    residual_sum = 0.0
    for start in range(0, n, TILE_ROWS[1]):
        stop = min(start + TILE_ROWS[1], n)
        z = buffer[: stop - start]
        _csr_scores(data, indices, indptr[start : stop + 1], coef, intercept, z)
        value, residual = _link(loss, y[start:stop], _part(w, start, stop), z)
        for i in range(start, stop):
            for k in range(indptr[i], indptr[i + 1]):
                grad[indices[k]] += z[i - start] * data[k]
        value_sum += value
        residual_sum += residual
    return value_sum, residual_sum


@njit(**FAST)
def _add_outer(row, columns, c, hess):
    """Add ``c [x, 1] [x, 1]'`` to the lower triangle of ``hess (p + 1, p + 1)``."""
    p = len(hess) - 1
    for a in range(row.size):
        scaled = c * row[a]
        target = hess[columns[a]]
        for b in range(a + 1):
            target[columns[b]] += scaled * row[b]
        hess[p, columns[a]] += scaled
    hess[p, p] += c


@kernel
def csr_hessian(loss, data, indices, indptr, y, w, coef, intercept, hess):
    """Add ``sum_i w_i c_i [x_i, 1] [x_i, 1]'`` to the lower triangle of ``hess (p + 1, p + 1)``."""
    n = len(indptr) - 1
    buffer = np.empty((2, TILE_ROWS[1]), data.dtype)
    for start in range(0, n, TILE_ROWS[1]):
        stop = min(start + TILE_ROWS[1], n)
        z, c = buffer[0, : stop - start], buffer[1, : stop - start]
        _csr_scores(data, indices, indptr[start : stop + 1], coef, intercept, z)
        _curvatures(loss, y[start:stop], _part(w, start, stop), z, c)
        for i in range(start, stop):
            row = slice(indptr[i], indptr[i + 1])
            _add_outer(data[row], indices[row], c[i - start], hess)


@kernel
def csr_column_sums(data, indices, indptr, w, codes, sums, squares):
    """`dense_column_sums` for a CSR matrix."""
    for i in range(len(indptr) - 1):
        total = sums[0] if codes is None else sums[codes[i]]
        weight = 1.0 if w is None else np.float64(w[i])
        for k in range(indptr[i], indptr[i + 1]):
            entry = np.float64(data[k])
            total[indices[k]] += weight * entry
            squares[indices[k]] += weight * entry * entry
