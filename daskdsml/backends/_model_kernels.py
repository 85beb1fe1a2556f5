"""Compiled loops over the models and rows of one tile, for losses of one score a row."""

from __future__ import annotations

import numpy as np
from numba import njit

from daskdsml.backends import _scalar
from daskdsml.backends._kernels import (
    FAST,
    _second_derivative,
    _value_and_derivative,
    _write_root,
    kernel,
)


@njit(**FAST)
def _link_model(loss, y, w, factor, z, losses):
    """Replace scores ``z`` by ``factor dz``; write ``w value`` into ``losses``; all are (r,)."""
    zero = z.dtype.type(0)
    for i in range(z.size):
        value, dz = _value_and_derivative(loss, y[i], z[i])
        # What does not count is zero, even where the loss is infinite.
        z[i] = _scalar.where(factor[i] != zero, factor[i] * dz, zero)
        losses[i] = _scalar.where(w[i] != zero, w[i] * value, zero)


@njit(**FAST)
def _sum(losses):
    total = 0.0
    for i in range(losses.size):
        total += losses[i]
    return total


@kernel
def link_models(loss, y, w, g, member, z, value):
    """Replace scores ``z (M, r)`` by slopes, ``member[g_i, m] w_i dz_mi``, and sum the losses.

    ``value (G, M)``, float64, takes ``w_i loss_mi`` of each group's rows. ``member (G, M)`` may be
    None for all ones and one group, and ``g`` with it; ``y``, ``w`` and ``member`` have the
    precision of ``z``. Rows are in the inner loop, however many models there are: with the models
    there, a few of them leave the loop scalar (40 ns an entry for 5 models, not 17), and a hundred
    gain a tenth.
    """
    losses = np.empty_like(y)
    factor = np.empty_like(y)
    for m in range(len(z)):
        if member is None:
            _link_model(loss, y, w, w, z[m], losses)
            value[0, m] += _sum(losses)
        else:
            share = member[:, m].copy()
            for i in range(g.size):
                factor[i] = w[i] * share[g[i]]
            _link_model(loss, y, w, factor, z[m], losses)
            total = np.zeros(len(value))
            for i in range(g.size):
                total[g[i]] += losses[i]
            for group in range(total.size):
                value[group, m] += total[group]


@njit(**FAST)
def _curve_model(loss, y, factor, z, c):
    """Write ``factor`` times the second derivative at the scores ``z`` into ``c (r,)``."""
    zero = z.dtype.type(0)
    for i in range(z.size):
        second = _second_derivative(loss, y[i], z[i])
        c[i] = _scalar.where(factor[i] != zero, factor[i] * second, zero)


@njit(**FAST)
def _write_root_of(X, columns, c, root):
    """Write ``sqrt(c_i) [x_i, 1]``, of some columns of X, into row i of ``root (r, q + 1)``."""
    for i in range(len(X)):
        x, scaled = X[i], root[i]
        factor = _scalar.sqrt(c[i])
        for j in range(columns.size):
            scaled[j] = factor * x[columns[j]]
        scaled[columns.size] = factor


@kernel
def root_of_hessian(loss, X, y, factor, z, columns, root):
    """Write a square root of a tile's Hessian: ``root' root`` is ``sum_i c_i [x_i, 1] [x_i, 1]'``.

    ``c_i`` is ``factor_i`` times the second derivative at the score ``z_i``; ``columns (q,)`` are
    those of ``X (r, p)`` that are wanted, or None for all; ``root`` is (r, q + 1).
    """
    c = np.empty_like(y)
    _curve_model(loss, y, factor, z, c)
    if columns is None:
        _write_root(X, c, root)
    else:
        _write_root_of(X, columns, c, root)
