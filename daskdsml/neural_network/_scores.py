"""Layers up to the raw scores: what the loss has in it is left out of the last one."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from typing import Any, cast

from daskdsml.layers.activation import Activation

# Inverse links of the losses of classes.
LINKS = ("softmax", "logistic")
# Activations that are never below zero, the exponentials of which are never below one.
FROM_ZERO = ("relu", "softplus", *LINKS)


def up_to_scores(layers) -> list:
    """Layers for a loss of raw scores, without a softmax or logistic function at their end.

    A softmax of one score is left to be refused by its layer.
    """
    *before, last = layers
    alone = not before and isinstance(last, Activation)
    if alone or (last_activation(last) == "softmax" and _n_scores(layers) == 1):
        return list(layers)
    if isinstance(last, Activation) and last.name in (*LINKS, "identity"):
        return up_to_scores(before)
    if last_activation(last) in LINKS and is_dataclass(last):
        return [*before, replace(cast(Any, last), activation=None)]
    return list(layers)


def _n_scores(layers) -> int:
    """The units of the last layer that has some, 0 without such."""
    return next((layer.units for layer in reversed(layers) if hasattr(layer, "units")), 0)


def check_scores(layers) -> None:
    """Raise ValueError if layers up to the scores of classes end with an activation."""
    name = last_activation(layers[-1])
    if name not in (None, "identity", *LINKS):
        raise ValueError(
            f"The scores of classes stand behind the activation {name!r} of the last layer, which "
            "holds them within bounds, and with them the probabilities. Leave it out, or let it be "
            "'softmax' (of two classes or more) or 'logistic' (of one score)."
        )


def ending(out_shape, n_axes, K) -> str:
    """How layers that give rows of ``out_shape`` get K scores, in ``n_axes`` (T, K) or (K,)."""
    if len(out_shape) < n_axes:
        return (
            "The layers give one vector for all time steps: set return_sequences=True in each "
            f"recurrent layer, leave Flatten out, and let the last layer be Dense({K})."
        )
    if len(out_shape) > n_axes:
        return (
            "Leave return_sequences=True out of the last recurrent layer, or put Flatten() behind "
            f"it, and let the last layer be Dense({K})."
        )
    return f"Let the last layer be Dense({K})."


def last_activation(layer) -> str | None:
    """The name of the activation that a layer ends with, None for the identity."""
    return layer.name if isinstance(layer, Activation) else getattr(layer, "activation", None)


def check_log_link(model) -> None:
    """Raise ValueError if a log link cannot predict below one, for what its layers end with."""
    name = last_activation(model.layers[-1])
    if model.loss in ("poisson", "gamma") and name in FROM_ZERO:
        raise ValueError(
            f"loss={model.loss!r} predicts the exponential of the last layer's score, which would "
            f"never be below 1 behind its activation {name!r}. Leave the activation out."
        )
