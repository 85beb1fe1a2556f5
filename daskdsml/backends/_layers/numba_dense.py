"""Kernels of dense layers, activations, batch norm and losses in compiled loops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daskdsml.backends._layers import _channel_kernels, _dense_kernels, _loss_kernels, _products
from daskdsml.backends._layers._activations import ACTIVATIONS
from daskdsml.backends._layers._buffers import touch_buffers

if TYPE_CHECKING:  # a mixin, which the compiled kernels mix with this
    from daskdsml.backends._layers.array_dense import ArrayDense
else:
    ArrayDense = object


class NumbaDense(ArrayDense):
    """Compiled kernels of dense layers, activations, batch norm and losses."""

    def product(self, a, b, out):
        touch_buffers()
        return _products.product(a, b, out)

    def bias_activation(self, z, b, activation):
        chosen, rows = ACTIVATIONS[activation], z.reshape(-1, z.shape[-1])
        if chosen.coupled:
            _dense_kernels.softmax(rows, b)
        elif b is not None or activation != "identity":
            _dense_kernels.bias_activation(chosen, rows, b)
        return z

    def activation_backward(self, out, dout, activation, dz, db=None):
        chosen, dout = ACTIVATIONS[activation], np.ascontiguousarray(dout)
        out, slopes, target = (a.reshape(-1, a.shape[-1]) for a in (out, dout, dz))
        if chosen.coupled:
            _dense_kernels.softmax_backward(out, slopes, target, db)
        elif activation != "identity":
            _dense_kernels.activation_backward(chosen, out, slopes, target, db)
        else:
            dz = dout
            if db is not None:
                _dense_kernels.activation_backward(chosen, slopes, slopes, None, db)
        return dz

    def norm_sums(self, x, mean=None):
        return _norms(x).norm_sums(np.ascontiguousarray(x), mean)

    def norm_forward(self, x, mean, deviation, gamma, beta, activation, out):
        loops, chosen, x = _norms(x), ACTIVATIONS[activation], np.ascontiguousarray(x)
        loops.norm_forward(chosen, x, mean, deviation, gamma, beta, out)
        return out

    def norm_slopes(self, x, mean, deviation, out, dout, activation, dz):
        loops, chosen = _norms(x), ACTIVATIONS[activation]
        x, dout = np.ascontiguousarray(x), np.ascontiguousarray(dout)
        return loops.norm_slopes(chosen, x, mean, deviation, out, dout, dz)

    def norm_backward(self, x, mean, deviation, gamma, means, counted, dz):
        loops, x = _norms(x), np.ascontiguousarray(x)
        loops.norm_backward(x, mean, deviation, gamma, means, counted, dz)
        return dz

    def loss(self, loss, y, z, w=None):
        z, y = np.ascontiguousarray(z), np.ascontiguousarray(y, dtype=z.dtype)
        dz = np.empty_like(z)
        weight = float(len(z)) if w is None else float(np.sum(w))
        if not loss.coupled:
            return _loss_kernels.outputs_loss(loss, y, z, w, dz), weight, dz
        if getattr(loss, "softmax", False):
            return _loss_kernels.softmax_loss(y, z, w, dz), weight, dz
        return super().loss(loss, y, z, w)


def _norms(x):
    """The loops of batch norm for rows (r, K), or for images (r, K, L)."""
    return _dense_kernels if x.ndim == 2 else _channel_kernels
