"""Compiled loops over the rows and models of one tile, for losses of one score a row."""

from __future__ import annotations

from numba import njit

from daskdsml.backends import _scalar
from daskdsml.backends._kernels import FAST, _kernel, _value_and_derivative


@njit(**FAST)
def _link_row(loss, y, weight, share, z, slopes, value):
    """`link_models` for one row: ``share``, ``z``, ``slopes`` and ``value`` are (M,)."""
    zero = z.dtype.type(0)
    for m in range(z.size):
        loss_m, dz = _value_and_derivative(loss, y, z[m])
        factor = weight if share is None else weight * share[m]
        # What does not count is zero, even where the loss is infinite.
        slopes[m] = _scalar.where(factor != zero, factor * dz, zero)
        value[m] += _scalar.where(weight != zero, weight * loss_m, zero)


@_kernel
def link_models(loss, y, w, g, member, z, slopes, value):
    """Write ``member[g_i, m] w_i dz_im`` into ``slopes (r, M)``; add ``w_i loss_im`` to ``value``.

    ``z (r, M)`` are scores; ``value (G, M)``, float64, takes the losses of each group's rows;
    ``member (G, M)`` may be None for all ones and one group. Models are in the inner loop: it is
    the one without a gather, and the row's own numbers stay in registers.
    """
    real = z.dtype.type
    for i in range(len(z)):
        weight = real(1) if w is None else real(w[i])
        if member is None:
            _link_row(loss, real(y[i]), weight, None, z[i], slopes[i], value[0])
        else:
            share, total = member[g[i]], value[g[i]]
            _link_row(loss, real(y[i]), weight, share, z[i], slopes[i], total)
