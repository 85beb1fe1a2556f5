"""Compiled loops over the rows of dense layers and batch norm.

Arrays are C-contiguous: ``x``, ``z``, ``out``, ``dout`` and ``dz`` are rows (r, K), all else is
(K,). An activation is an argument, a NamedTuple whose class is part of the compiled
signature.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import overload

from daskdsml.backends import _scalar
from daskdsml.backends._compile import FAST, kernel


def _compiled(activation, z, name):
    """The method ``name`` of an activation in the precision of ``z``, for one entry."""
    real = np.float32 if z == types.float32 else float
    method = getattr(activation.instance_class, name)
    return njit(**_scalar.OPTIONS)(_scalar.in_precision(method, real))


def _value(activation, z): ...
def _gradient(activation, a, da): ...


@overload(_value, jit_options=_scalar.OPTIONS)
def _value_overload(activation, z):
    function = _compiled(activation, z, "value")
    return lambda activation, z: function(activation, _scalar, z)


@overload(_gradient, jit_options=_scalar.OPTIONS)
def _gradient_overload(activation, a, da):
    function = _compiled(activation, a, "gradient")
    return lambda activation, a, da: function(activation, _scalar, a, da)


@njit(**FAST)
def _store(total, target):
    """``target[:] = total``, for which Numba takes 3 s: it compiles the text of an error too."""
    for j in range(total.size):
        target[j] = total[j]


@kernel
def bias_activation(activation, z, b):
    """Replace ``z`` by the activation of ``z + b``; ``b`` may be None."""
    for i in range(len(z)):
        row = z[i]
        for j in range(row.size):
            row[j] = _value(activation, row[j] if b is None else row[j] + b[j])


@kernel
def activation_backward(activation, out, dout, dz, db):
    """Write the gradient before the activation into ``dz``, and its sum over rows into ``db``.

    Either of the two may be None.
    """
    total = np.zeros(out.shape[1])
    for i in range(len(out)):
        a, da = out[i], dout[i]
        if dz is None:
            for j in range(a.size):
                total[j] += np.float64(_gradient(activation, a[j], da[j]))
        else:
            row = dz[i]
            for j in range(a.size):
                slope = _gradient(activation, a[j], da[j])
                row[j] = slope
                total[j] += np.float64(slope)
    if db is not None:
        _store(total, db)


@kernel
def softmax(z, b):
    """Replace ``z`` by the softmax of ``z + b``; ``b`` may be None."""
    for i in range(len(z)):
        row = z[i]
        if b is not None:
            for j in range(row.size):
                row[j] += b[j]
        top = row[0]
        for j in range(row.size):
            top = _scalar.maximum(top, row[j])
        for j in range(row.size):
            row[j] = _scalar.exp(row[j] - top)
        total = row.dtype.type(0)
        for j in range(row.size):
            total += row[j]
        for j in range(row.size):
            row[j] /= total


@kernel
def softmax_backward(out, dout, dz, db):
    """As `activation_backward`, of a softmax; ``db`` may be None."""
    total = np.zeros(out.shape[1])
    for i in range(len(out)):
        a, da, row = out[i], dout[i], dz[i]
        inner = row.dtype.type(0)
        for j in range(row.size):
            inner += a[j] * da[j]
        for j in range(row.size):
            row[j] = a[j] * (da[j] - inner)
        for j in range(row.size):
            total[j] += np.float64(row[j])
    if db is not None:
        _store(total, db)


@kernel
def norm_sums(x, mean):
    """Sums over rows of ``x``, or of squared distances from ``mean``, in float64."""
    total = np.zeros(x.shape[1])
    for i in range(len(x)):
        row = x[i]
        for j in range(row.size):
            if mean is None:
                total[j] += np.float64(row[j])
            else:
                distance = np.float64(row[j]) - mean[j]
                total[j] += distance * distance
    return total


@njit(**FAST)
def _coefficients(mean, scale, shift, like):
    """``centre``, ``scale`` and ``shift`` of ``(x - centre) scale + shift``, as rows (3, K).

    The centre is the mean in the precision of ``like``; what was lost is in the shift.
    """
    rows = np.empty((3, mean.size), like.dtype)
    for j in range(mean.size):
        centre = like.dtype.type(mean[j])
        rows[0, j] = centre
        rows[1, j] = scale[j]
        rows[2, j] = (np.float64(centre) - mean[j]) * scale[j] + shift[j]
    return rows[0], rows[1], rows[2]


@njit(**FAST)
def _back_coefficients(mean, deviation, gamma, means, like):
    """``scale``, ``centre``, ``slope`` and ``offset`` (K,) of the gradient in ``x``.

    It is ``scale dz - ((x - centre) slope + offset)``.
    """
    factor = gamma / deviation
    slopes = factor * means[1] / deviation
    return factor.astype(like.dtype), *_coefficients(mean, slopes, factor * means[0], like)


@kernel
def norm_forward(activation, x, mean, deviation, gamma, beta, out):
    """Write the activation of ``gamma (x - mean) / deviation + beta`` into ``out``."""
    centre, scale, shift = _coefficients(mean, gamma / deviation, beta, x)
    for i in range(len(x)):
        row, target = x[i], out[i]
        for j in range(row.size):
            target[j] = _value(activation, (row[j] - centre[j]) * scale[j] + shift[j])


@kernel
def norm_slopes(activation, x, mean, deviation, out, dout, dz):
    """Write the gradient before the activation into ``dz``; return its sums and those with xhat."""
    centre, scale, shift = _coefficients(mean, 1.0 / deviation, np.zeros_like(mean), x)
    total = np.zeros((2, x.shape[1]))
    plain, crossed = total[0], total[1]
    for i in range(len(x)):
        row, a, da, target = x[i], out[i], dout[i], dz[i]
        for j in range(row.size):
            slope = _gradient(activation, a[j], da[j])
            xhat = (row[j] - centre[j]) * scale[j] + shift[j]
            target[j] = slope
            plain[j] += np.float64(slope)
            crossed[j] += np.float64(slope * xhat)
    return total


@kernel
def norm_backward(x, mean, deviation, gamma, means, counted, dz):
    """Replace ``dz`` by ``gamma / deviation (dz - means_0 - means_1 xhat)``, in counted rows."""
    scale, centre, slope, offset = _back_coefficients(mean, deviation, gamma, means, x)
    for i in range(len(x)):
        row, target = x[i], dz[i]
        counts = True if counted is None else counted[i]
        if counts:
            for j in range(row.size):
                spread = (row[j] - centre[j]) * slope[j] + offset[j]
                target[j] = target[j] * scale[j] - spread
        else:
            for j in range(row.size):
                target[j] *= scale[j]
