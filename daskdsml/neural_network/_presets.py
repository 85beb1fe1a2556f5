"""Layers of the estimators that are given by a few numbers, and checks of these."""

from __future__ import annotations

import numbers
from typing import Any

from daskdsml.layers.dense import Dense
from daskdsml.layers.dropout import Dropout
from daskdsml.utils.validation import check_number

ACTIVATIONS = ("identity", "logistic", "tanh", "relu")


def dense_layers(model) -> list:
    """Hidden dense layers, each after dropout if there is some, and one score for each class."""
    layers: list[Any] = []
    sizes = [(units, model.activation) for units in model.hidden_layer_sizes]
    # Before the first fit, for a description, there are no classes: two stand for them.
    n_classes = len(getattr(model, "classes_", (0, 1)))
    for units, activation in [*sizes, (n_classes, None)]:
        if model.dropout:
            layers.append(Dropout(model.dropout))
        layers.append(Dense(units, activation=activation))
    return layers


def check_sizes(model, name, least=0) -> None:
    """Raise ValueError unless parameter ``name`` is a sequence of ``least`` positive integers."""
    sizes = getattr(model, name)
    good = isinstance(sizes, list | tuple) and len(sizes) >= least
    if not good or not all(isinstance(k, numbers.Integral) and int(k) > 0 for k in sizes):
        raise ValueError(
            f"{name} of {type(model).__name__} must be a tuple of positive integers, got {sizes!r}."
        )


def check_activation(model) -> None:
    """Raise ValueError if the activation or the dropout cannot be used."""
    if model.activation not in ACTIVATIONS:
        raise ValueError(
            f"Unknown activation {model.activation!r} of {type(model).__name__}: expected one of "
            f"{list(ACTIVATIONS)}."
        )
    check_number(model, "dropout", 0, below=1)
