"""Activation layer. Found by name."""

from __future__ import annotations

from typing import ClassVar

from daskdsml.layers._activations import check_activation, check_softmax
from daskdsml.layers._settings import layer
from daskdsml.layers._views import channels_of, rows_of


@layer
class Activation:
    """``y = f(x)``, entry by entry; softmax mixes the features of a row or step.

    =========== ====================================== =============================
    name        ``f(x)``                               remarks
    =========== ====================================== =============================
    logistic    ``1 / (1 + exp(-x))``
    tanh        ``tanh(x)``
    relu        ``max(x, 0)``                          slope 0 at 0
    leaky_relu  ``x`` above 0, else ``0.01 x``
    elu         ``x`` above 0, else ``exp(x) - 1``     Clevert et al. [1]_
    softplus    ``log(1 + exp(x))``
    identity    ``x``
    softmax     ``exp(x_k) / sum_l exp(x_l)``          ``dx = y (dy - sum_l y_l dy_l)``
    =========== ====================================== =============================

    Gradients are computed from ``y``. Layers with an ``activation`` of their own are faster.

    Parameters
    ----------
    name : str
        One of the above.

    Raises
    ------
    ValueError
        If the name is unknown; from ``init``, if a softmax is asked of images or of one feature.

    References
    ----------
    .. [1] Clevert, D.-A., Unterthiner, T. and Hochreiter, S. (2016). Fast and accurate deep network
       learning by exponential linear units (ELUs). ICLR.
    """

    name: str

    penalised: ClassVar[frozenset[str]] = frozenset()
    collective = False

    def __post_init__(self):
        check_activation(self.name, self)

    def init(self, rng, in_shape):
        check_softmax(self.name, self, in_shape, in_shape[-1])
        return {}, tuple(in_shape)

    def forward(self, kernels, params, x, step):
        view = channels_of(x) if x.ndim == 4 else rows_of(x)
        rows = view.flat(x)
        out = step.work("out", rows.shape)
        out[...] = rows
        return view.back(kernels.bias_activation(out, None, self.name)), (view, out)

    def backward(self, kernels, params, tape, dout, grads, step):
        if not step.inner:
            return None
        view, out = tape
        dx = step.work("dx", out.shape)
        return view.back(kernels.activation_backward(out, view.flat(dout), self.name, dx))
