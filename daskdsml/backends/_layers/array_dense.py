"""Kernels of dense layers, batch norm and losses in functions of an array namespace."""

from __future__ import annotations

from typing import Any

from daskdsml.backends._layers._activations import ACTIVATIONS


class ArrayDense:
    """Kernels of dense layers, activations, batch norm and losses; ``self.xp`` is the namespace.

    Rows come as (r, K) or, for channels of images, (r, K, L); arrays that are written to are
    C-contiguous. ``activation`` is a name of `ACTIVATIONS`. Sums over rows are float64.
    """

    xp: Any

    def product(self, a, b, out):
        """Write the matrix product of ``a (m, k)`` and ``b (k, n)`` into ``out (m, n)``."""
        return self.xp.matmul(a, b, out=out)

    def bias_activation(self, z, b, activation):
        """Replace ``z (..., K)`` by the activation of ``z + b``, ``b (K,)`` or None."""
        if b is not None:
            z += b
        if activation != "identity":
            z[...] = ACTIVATIONS[activation].value(self.xp, z)
        return z

    def activation_backward(self, out, dout, activation, dz, db=None):
        """Gradient in what an activation was given, from its output ``out (..., K)``.

        It is written into ``dz``; or it is ``dout`` itself, of the identity. Its sum over all axes
        but the last is written into ``db (K,)``, if there is one.
        """
        if activation == "identity":
            dz = dout
        else:
            dz[...] = ACTIVATIONS[activation].gradient(self.xp, out, dout)
        if db is not None:
            db[...] = self.xp.sum(dz, axis=tuple(range(dz.ndim - 1)), dtype=self.xp.float64)
        return dz

    def norm_sums(self, x, mean=None):
        """Sums (K,) over rows of ``x``, or of squared distances from ``mean (K,)``."""
        if mean is None:
            return self.xp.sum(x, axis=_others(x), dtype=self.xp.float64)
        return self.xp.sum(
            (x - (mean if x.ndim == 2 else mean[:, None])) ** 2,
            axis=_others(x),
            dtype=self.xp.float64,
        )

    def norm_forward(self, x, mean, deviation, gamma, beta, activation, out):
        """Write the activation of ``gamma (x - mean) / deviation + beta`` into ``out``.

        ``mean (K,)`` and ``deviation (K,)`` are float64. Means are taken off in two parts, rounded
        and the rest: so features far from zero keep their digits in single precision.
        """
        scale = gamma / deviation
        z = _scaled(x, mean, scale, (mean.astype(x.dtype) - mean) * scale + beta)
        out[...] = ACTIVATIONS[activation].value(self.xp, z)
        return out

    def norm_slopes(self, x, mean, deviation, out, dout, activation, dz):
        """Write the gradient before the activation into ``dz``; return its sums (2, K).

        They are those of ``dz`` and of ``dz (x - mean) / deviation``.
        """
        xp = self.xp
        dz[...] = ACTIVATIONS[activation].gradient(xp, out, dout)
        xhat = _scaled(x, mean, 1.0 / deviation, (mean.astype(x.dtype) - mean) / deviation)
        sums = (xp.sum(g, axis=_others(x), dtype=xp.float64) for g in (dz, dz * xhat))
        return xp.stack(tuple(sums))

    def norm_backward(self, x, mean, deviation, gamma, means, counted, dz):
        """Replace ``dz`` by ``gamma / deviation (dz - means_0 - means_1 xhat)``.

        ``means (2, K)`` are what `norm_slopes` sums, divided by the number of entries. Rows where
        ``counted (r,)`` is False take the first term alone; None for all.
        """
        scale = gamma / deviation
        slope = scale * means[1] / deviation
        offset = scale * means[0] + (mean.astype(x.dtype) - mean) * slope
        spread = _scaled(x, mean, slope, offset)
        if counted is not None:
            spread[~counted] = 0.0
        dz *= _along(x, scale)
        dz -= spread
        return dz

    def loss(self, loss, y, z, w=None):
        """Weighted losses (n,), float64, summed weight, and their sum's derivative in ``z (n, K)``.

        The target ``y`` has the shape of ``z``, and the loss of a row is the mean over its K
        outputs; or, of a coupled loss, ``y (n,)`` are codes. ``w (n,)`` are weights, or None.
        """
        xp = self.xp
        value, dz = loss.value_and_derivative(xp, y, z)
        if not loss.coupled:
            value, dz = xp.mean(value, axis=1, dtype=xp.float64), dz / z.dtype.type(z.shape[1])
        if w is None:
            return value.astype(xp.float64), float(len(z)), dz
        w = xp.asarray(w, dtype=z.dtype)
        counts = w != 0.0
        # What has no weight is zero, even where the loss is infinite.
        value = xp.where(counts, w * value, 0.0).astype(xp.float64)
        dz = xp.where(counts[:, None], w[:, None] * dz, 0.0)
        return value, float(xp.sum(w, dtype=xp.float64)), dz


def _others(x):
    """All axes but that of the features."""
    return (0,) if x.ndim == 2 else (0, 2)


def _along(x, array):
    """Numbers of features (K,) in the precision of ``x``, such that they meet those of ``x``."""
    array = array.astype(x.dtype)
    return array if x.ndim == 2 else array[:, None]


def _scaled(x, mean, scale, shift):
    """``(x - mean) scale + shift`` with the mean as it is in the precision of ``x``."""
    return (x - _along(x, mean)) * _along(x, scale) + _along(x, shift)
