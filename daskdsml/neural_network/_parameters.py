"""From the parameters of the neural estimators to the config they train by."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.bidirectional import Bidirectional
from daskdsml.layers.conv1d import Conv1D
from daskdsml.layers.embedding import Embedding
from daskdsml.layers.gru import GRU
from daskdsml.layers.lstm import LSTM
from daskdsml.layers.rnn import RNN
from daskdsml.neural_network._training import TrainConfig
from daskdsml.utils import registry
from daskdsml.utils.early_stopping import EarlyStopping
from daskdsml.utils.validation import check_epochs, check_number


def check_parameters(model) -> None:
    """Raise ValueError if a parameter that all neural estimators have cannot be used."""
    check_epochs(model)
    check_number(model, "pool_bytes", 1, integer=True)
    if not (model.batch_size == "auto" and model._rows_by_itself):
        check_number(model, "batch_size", 1, integer=True)
    if model.clip_norm is not None:
        check_number(model, "clip_norm", 0, strict=True)
    if not _is_precision(model.dtype):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {model.dtype!r}.")
    listed = model.callbacks is None or isinstance(model.callbacks, list | tuple)
    for callback in (model.callbacks or ()) if listed else (model.callbacks,):
        if not (listed and callable(callback)):
            raise ValueError(
                "callbacks must be callables f(model, record) in a list, got "
                f"{model.callbacks!r}. Pass [f], or None."
            )
    model._check()


def _is_precision(dtype) -> bool:
    try:
        return dtype is not None and np.dtype(dtype).name in ("float32", "float64")
    except TypeError:
        return False


def train_config(model, examples) -> TrainConfig:
    """How a model with good parameters trains."""
    l1, l2 = model._strengths(examples)
    factor, adaptive = model._schedule(examples)
    return TrainConfig(
        model._solver(),
        factor,
        EarlyStopping(model.tol, model.n_iter_no_change, adaptive),
        l1=l1,
        l2=l2,
        clip=None if model.clip_norm is None else float(model.clip_norm),
    )


def solver_of(solver, learning_rate):
    """The solver a user names, at a learning rate (None for the solver's own), or gave."""
    if not isinstance(solver, str):
        if isinstance(solver, type) or not callable(getattr(solver, "update", None)):
            raise ValueError(
                f"solver must be one of {registry.available('optimizers')} or an optimizer such as "
                f"daskdsml.optimizers.Adam(), got {solver!r}."
            )
        return solver
    known = registry.available("optimizers")
    if solver not in known:
        raise ValueError(f"Unknown solver {solver!r}: expected one of {known}.")
    part = registry.find("optimizers", solver)
    return part() if learning_rate is None else part(learning_rate=float(learning_rate))


def schedule_of(schedule):
    """``factor(step, epoch, n_steps)`` of what a user names or gave, and whether it adapts."""
    if schedule == "adaptive":
        return registry.find("optimizers.schedules", "constant")().factor, True
    if isinstance(schedule, str):
        known = [*registry.available("optimizers.schedules"), "adaptive"]
        if schedule not in known:
            raise ValueError(f"Unknown learning_rate {schedule!r}: expected one of {known}.")
        return registry.find("optimizers.schedules", schedule)().factor, False
    factor = getattr(schedule, "factor", schedule)
    if isinstance(schedule, type) or not callable(factor):
        raise ValueError(
            "learning_rate must be the name of a schedule, a schedule, or a callable "
            f"f(step, epoch, n_steps), got {schedule!r}. The rate itself is learning_rate_init."
        )
    return _Checked(factor), False


class _Checked(NamedTuple):
    """A factor of the learning rate that has to be one."""

    factor: Callable

    def __call__(self, step, epoch, n_steps) -> float:
        found = self.factor(step, epoch, n_steps)
        good = isinstance(found, numbers.Real)
        if not (good and 0.0 <= found < np.inf):
            raise ValueError(
                f"learning_rate gave {found!r} at step {step}: expected a finite factor of at "
                "least 0, which multiplies learning_rate_init."
            )
        return float(found)


def check_layers(layers) -> None:
    """Raise ValueError unless ``layers`` is a list of layers."""
    if not isinstance(layers, list | tuple) or not layers:
        raise ValueError(
            f"layers must be a list of layers, such as [Dense(64, 'relu'), Dense(10)], got "
            f"{layers!r}."
        )
    for layer in layers:
        made = not isinstance(layer, type)
        if not (made and hasattr(layer, "forward") and hasattr(layer, "backward")):
            raise ValueError(
                f"layers holds {layer!r}, which is no layer. Use those of daskdsml.layers, with "
                "their settings: Dense(64)."
            )


def check_warm(model, network, classes) -> None:
    """Raise ValueError unless the weights of the last fit fit ``network`` and its classes."""
    if classes is not None and not np.array_equal(classes, model.classes_):
        raise ValueError(
            f"warm_start=True goes on with the classes {classes[:10].tolist()} of the last fit, "
            f"but y holds {model.classes_[:10].tolist()}. Use warm_start=False, or partial_fit "
            "with all classes at its first call."
        )
    old = model._network
    kinds = [[(type(p.layer), p.arrays, p.followed) for p in n.parts] for n in (old, network)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            "Training is to go on with the weights of the last fit, but the layers are others or "
            "have other shapes now. Use fit with warm_start=False, or the layers of the last fit."
        )


def check_mask(network, mask) -> None:
    """Raise ValueError if there is a mask that none of the layers heeds."""
    if mask is not None and not network.steps and not any(map(_heeds_masks, network.parts)):
        raise ValueError(
            "mask tells which time steps count, but no layer of this network goes by steps. Leave "
            "it out, or use recurrent layers, Conv1D or Embedding."
        )


def _heeds_masks(part) -> bool:
    own = type(part.layer).__module__.startswith("daskdsml.layers.")
    if isinstance(part.layer, BatchNorm):
        return len(part.in_shape) == 2
    return not own or isinstance(part.layer, RNN | LSTM | GRU | Bidirectional | Conv1D | Embedding)
