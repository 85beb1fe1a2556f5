"""Dense layer. Found by name."""

from __future__ import annotations

import numpy as np

from daskdsml.layers._activations import (
    activation_of,
    check_activation,
    check_softmax,
    uniform_weights,
)
from daskdsml.layers._parameters import ParameterLayer, settle_length
from daskdsml.layers._settings import from_weights, layer
from daskdsml.layers._views import rows_of
from daskdsml.utils.validation import check_flag, check_number


@layer
class Dense(ParameterLayer):
    """Every unit sees every feature: ``y = f(x W + b)``.

    ``x`` is (n, p), or (n, T, p), whose steps share the parameters; ``W`` is (p, units), ``b`` is
    (units,), and ``y`` is (n, units) or (n, T, units), in the order in memory of ``x``. With
    ``dz = f'(z) dy`` the gradients are ``dW = x' dz``, ``db = sum dz`` and ``dx = dz W'``.

    Parameters
    ----------
    units : int, default=0
        Number of outputs; 0 for that of the ``weights`` given.
    activation : str or None, default=None
        Name of ``f`` (see `Activation`); None for the identity.
    bias : bool, default=True
        Whether there is a ``b``. It starts at zero and is never penalised; ``W`` is drawn as [1]_
        or, before rectifiers, [2]_ have it.
    weights : array (p, units), dict of arrays or None, default=None
        ``W`` to begin with, or ``{"W": ..., "b": ...}``.
    trainable : bool, default=True
        Whether training changes the parameters.

    Raises
    ------
    ValueError
        If ``units`` is no positive integer or the activation is unknown; from ``init``, if a row is
        not (p,) or (T, p), or for a softmax of one unit.

    References
    ----------
    .. [1] Glorot, X. and Bengio, Y. (2010). Understanding the difficulty of training deep
       feedforward neural networks. AISTATS.
    .. [2] He, K., Zhang, X., Ren, S. and Sun, J. (2015). Delving deep into rectifiers. ICCV.
    """

    units: int = from_weights()
    activation: str | None = None
    bias: bool = True

    penalised = frozenset({"W"})
    collective = False

    main = "W"
    names = ("W", "b")

    def __post_init__(self):
        super().__post_init__()
        W = self.given.get("W")
        if W is not None and W.ndim == 2:
            settle_length(self, "units", W.shape[1])
        check_number(self, "units", 1, integer=True)
        check_flag(self, "bias")
        check_activation(activation_of(self), self)

    def init(self, rng, in_shape):
        if len(in_shape) not in (1, 2):
            raise ValueError(
                f"Dense needs rows of shape (features,) or (steps, features), got {in_shape}. "
                "Put Flatten() before it."
            )
        check_softmax(activation_of(self), self, in_shape, self.units)
        p = in_shape[-1]
        params = {"W": uniform_weights(rng, (p, self.units), p, self.units, activation_of(self))}
        if self.bias:
            params["b"] = np.zeros(self.units)
        return params, (*in_shape[:-1], self.units)

    def forward(self, kernels, params, x, step):
        view = rows_of(x)
        rows = view.flat(x)
        out = kernels.product(rows, params["W"], step.work("out", (len(rows), self.units)))
        kernels.bias_activation(out, params.get("b"), activation_of(self))
        return view.back(out), (view, rows, out)

    def backward(self, kernels, params, tape, dout, grads, step):
        view, rows, out = tape
        dz = step.work("dz", out.shape)
        dz = kernels.activation_backward(
            out, view.flat(dout), activation_of(self), dz, grads.get("b")
        )
        kernels.product(rows.T, dz, grads["W"])
        if not step.inner:
            return None
        return view.back(kernels.product(dz, params["W"].T, step.work("dx", rows.shape)))
