"""What layers with an activation share: its name, and how wide weights are drawn before it."""

from __future__ import annotations

import math

from daskdsml.backends._layers._activations import ACTIVATIONS

# What other libraries call what there is here.
NAMES_ELSEWHERE = {
    "sigmoid": "'logistic'",
    "linear": "'identity'",
    "exp": "None: loss='poisson' and 'gamma' predict exponentials of scores",
    "exponential": "None: loss='poisson' and 'gamma' predict exponentials of scores",
}
RECTIFIERS = ("elu", "leaky_relu", "relu", "softplus")


def activation_of(layer) -> str:
    """The name of the layer's activation."""
    return "identity" if layer.activation is None else layer.activation


def check_entrywise(layer) -> None:
    """Raise ValueError unless the layer's activation is one that takes entries one by one."""
    check_activation(activation_of(layer), layer)
    if ACTIVATIONS[activation_of(layer)].coupled:
        raise ValueError(
            f"{type(layer).__name__} takes no activation {layer.activation!r}, which mixes the "
            f"features of a row. Put Activation({layer.activation!r}) behind it."
        )


def check_activation(name, layer) -> None:
    """Raise ValueError unless ``name`` is an activation; the message lists those known."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        known = NAMES_ELSEWHERE.get(name) if isinstance(name, str) else None
        raise ValueError(
            f"Unknown activation {name!r} of {type(layer).__name__}: "
            f"expected one of {sorted(ACTIVATIONS)}." + (f" Write {known}." if known else "")
        )


def check_softmax(name, layer, in_shape, features) -> None:
    """Raise ValueError if ``name`` is a softmax of rows that it cannot take, or of one feature."""
    if name != "softmax":
        return
    if len(in_shape) not in (1, 2):
        raise ValueError(
            f"The softmax needs rows of shape (features,) or (steps, features), got {in_shape}."
            " Put Flatten() before it."
        )
    if features == 1:
        raise ValueError(
            f"The softmax of {type(layer).__name__} has one feature, of which it always makes 1. "
            "Use 'logistic' for one score of two classes, or two features or more."
        )


def uniform_weights(rng, shape, fan_in, fan_out, activation):
    """Weights drawn evenly from -limit to limit, which keeps signals as large as they are.

    ``limit**2`` is 6 / fan_in before rectifiers (He et al. 2015), 6 / (fan_in + fan_out) before
    all others (Glorot and Bengio 2010).

    References
    ----------
    Glorot, X. and Bengio, Y. (2010). Understanding the difficulty of training deep feedforward
    neural networks. AISTATS.

    He, K., Zhang, X., Ren, S. and Sun, J. (2015). Delving deep into rectifiers. ICCV.
    """
    spread = fan_in if activation in RECTIFIERS else fan_in + fan_out
    limit = math.sqrt(6.0 / spread)
    return rng.uniform(-limit, limit, shape)
