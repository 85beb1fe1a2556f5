"""Activations, each written once in functions of ``xp``: NumPy, CuPy, or compiled scalars.

``value(xp, z)`` is the activation of ``z``; ``gradient(xp, a, da)`` is that of the loss in ``z``,
from the activation ``a`` and the gradient ``da`` in it: what went in need not be kept. A
``coupled`` one mixes the last axis, so it is array code; the others serve arrays and scalars. NaN
comes out as NaN.
"""

from typing import Any, NamedTuple


class Identity(NamedTuple):
    """``a = z``."""

    coupled = False

    def value(self, xp, z):
        return z

    def gradient(self, xp, a, da):
        return da


class Sigmoid(NamedTuple):
    """``a = 1 / (1 + exp(-z))``, in powers that cannot overflow."""

    coupled = False

    def value(self, xp, z):
        decay = xp.exp(-xp.abs(z))
        share = 1.0 / (1.0 + decay)
        return xp.where(z < 0.0, decay * share, share)

    def gradient(self, xp, a, da):
        return da * (a * (1.0 - a))


class Tanh(NamedTuple):
    """``a = tanh(z)``."""

    coupled = False

    def value(self, xp, z):
        return xp.tanh(z)

    def gradient(self, xp, a, da):
        return da * (1.0 - a * a)


class Relu(NamedTuple):
    """``a = max(z, 0)``, with slope 0 at 0."""

    coupled = False

    def value(self, xp, z):
        return xp.where(z < 0.0, 0.0, z)

    def gradient(self, xp, a, da):
        return xp.where(a > 0.0, da, 0.0)


class LeakyRelu(NamedTuple):
    """``a = z`` above 0, else ``0.01 z``."""

    coupled = False

    def value(self, xp, z):
        return xp.where(z > 0.0, z, 0.01 * z)

    def gradient(self, xp, a, da):
        return xp.where(a > 0.0, da, 0.01 * da)


class Elu(NamedTuple):
    """``a = z`` above 0, else ``exp(z) - 1`` (Clevert et al. 2016, with alpha = 1)."""

    coupled = False

    def value(self, xp, z):
        return xp.where(z > 0.0, z, xp.expm1(xp.where(z > 0.0, 0.0, z)))

    def gradient(self, xp, a, da):
        return xp.where(a > 0.0, da, (a + 1.0) * da)


class Softplus(NamedTuple):
    """``a = log(1 + exp(z))``."""

    coupled = False

    def value(self, xp, z):
        return xp.where(z < 0.0, 0.0, z) + xp.log1p(xp.exp(-xp.abs(z)))

    def gradient(self, xp, a, da):
        return -xp.expm1(-a) * da


class Softmax(NamedTuple):
    """``a_k = exp(z_k) / sum_l exp(z_l)`` over the last axis."""

    coupled = True

    def value(self, xp, z):
        powers = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
        return powers / xp.sum(powers, axis=-1, keepdims=True)

    def gradient(self, xp, a, da):
        return a * (da - xp.sum(a * da, axis=-1, keepdims=True))


ACTIVATIONS: dict[str, Any] = {
    "elu": Elu(),
    "identity": Identity(),
    "leaky_relu": LeakyRelu(),
    "logistic": Sigmoid(),
    "relu": Relu(),
    "softmax": Softmax(),
    "softplus": Softplus(),
    "tanh": Tanh(),
}
