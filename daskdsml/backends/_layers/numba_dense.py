"""Kernels of dense layers, activations, batch norm and losses in compiled loops."""

from __future__ import annotations

import numpy as np

from daskdsml.backends._layers import _dense_kernels, _loss_kernels, _products
from daskdsml.backends._layers._activations import ACTIVATIONS
from daskdsml.backends._layers._buffers import touch_buffers


class NumbaDense:
    """Compiled kernels of dense layers, activations, batch norm and losses.

    Channels of images whose maps are not the last axis in memory, and the softmax, are left to the
    plain kernels.
    """

    def product(self, a, b, out):
        touch_buffers()
        return _products.product(a, b, out)

    def bias_activation(self, z, b, activation):
        chosen = ACTIVATIONS[activation]
        if chosen.coupled:
            return super().bias_activation(z, b, activation)
        if b is not None or activation != "identity":
            _dense_kernels.bias_activation(chosen, z.reshape(-1, z.shape[-1]), b)
        return z

    def activation_backward(self, out, dout, activation, dz, db=None):
        chosen = ACTIVATIONS[activation]
        if chosen.coupled:
            return super().activation_backward(out, dout, activation, dz, db)
        dout = np.ascontiguousarray(dout)
        if activation == "identity":
            dz = dout
            if db is not None:
                flat = dout.reshape(-1, dout.shape[-1])
                _dense_kernels.activation_backward(chosen, flat, flat, None, db)
            return dz
        out, slopes, target = (a.reshape(-1, a.shape[-1]) for a in (out, dout, dz))
        _dense_kernels.activation_backward(chosen, out, slopes, target, db)
        return dz

    def norm_sums(self, x, mean=None):
        if x.ndim == 3:
            return super().norm_sums(x, mean)
        return _dense_kernels.norm_sums(np.ascontiguousarray(x), mean)

    def norm_forward(self, x, mean, deviation, gamma, beta, activation, out):
        if x.ndim == 3:
            return super().norm_forward(x, mean, deviation, gamma, beta, activation, out)
        x = np.ascontiguousarray(x)
        _dense_kernels.norm_forward(ACTIVATIONS[activation], x, mean, deviation, gamma, beta, out)
        return out

    def norm_slopes(self, x, mean, deviation, out, dout, activation, dz):
        if x.ndim == 3:
            return super().norm_slopes(x, mean, deviation, out, dout, activation, dz)
        x, dout = np.ascontiguousarray(x), np.ascontiguousarray(dout)
        chosen = ACTIVATIONS[activation]
        return _dense_kernels.norm_slopes(chosen, x, mean, deviation, out, dout, dz)

    def norm_backward(self, x, mean, deviation, gamma, means, counted, dz):
        if x.ndim == 3:
            return super().norm_backward(x, mean, deviation, gamma, means, counted, dz)
        x = np.ascontiguousarray(x)
        _dense_kernels.norm_backward(x, mean, deviation, gamma, means, counted, dz)
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
