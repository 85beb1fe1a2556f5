"""Fitted networks in files: a JSON header and arrays in one .npz, nothing that runs when read."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import zipfile
from datetime import datetime
from typing import Any

import numpy as np

from daskdsml.layers._parameters import GivenWeights
from daskdsml.neural_network._step import Epoch, TrainState
from daskdsml.neural_network.network import Network
from daskdsml.passes.progress import History
from daskdsml.utils import registry
from daskdsml.utils.checkpoint import whole_file

FORMAT, VERSION = "daskdsml network", 2
# The entry of the file that is the header.
HEADER = "header"
# Kinds of arrays that NumPy writes without pickle: numbers, booleans, dates and strings.
PLAIN = "biufcSUmM"
# What a fit learns: arrays, and what is none and not among the parameters.
LEARNT_ARRAYS = ("classes_", "feature_names_in_", "_class_weight")
LEARNT_VALUES = (
    "n_features_in_", "_target_shape", "_target_names", "_multilabel", "converged_", "n_rows_read_",
)  # fmt: skip
# Numbers of a train state; its arrays have names of their own.
COUNTERS = ("step", "epoch", "drop", "best", "stale", "n_rows", "weight")


def save_model(model, path) -> None:
    """Write a fitted model to the file ``path``; see `NeuralModel.save`."""
    train_state, network = model._train_state, model._network
    header = {
        "estimator": type(model).__name__,
        "params": model.get_params(deep=False) | {"callbacks": None, "checkpoint": None},
        # Parameters may have been set since the fit: what was fitted stands for itself.
        "layers": list(network.layers),
        "in_shape": list(network.in_shape),
        "loss": network.loss,
        "dtype": network.dtype.name,
        "backend": model._backend,
        "solver": _optimizer_name(train_state.state),
        "standing": {name: getattr(train_state, name) for name in COUNTERS},
        "history": [list(record) for record in model.history_],
        "facts": {name: getattr(model, name) for name in LEARNT_VALUES if hasattr(model, name)},
    }
    arrays = {f"state.{name}": array for name, array in train_state.state._asdict().items()}
    arrays["statistics"] = train_state.statistics
    if train_state.outer is not None:
        arrays["outer"] = train_state.outer
    learnt = {name: getattr(model, name, None) for name in LEARNT_ARRAYS}
    save(path, header, arrays | {name: a for name, a in learnt.items() if a is not None})


def load_model(cls, path):
    """The model of this class that `save_model` wrote; see `NeuralModel.load`."""
    header, arrays = load(path)
    if header["estimator"] != cls.__name__:
        raise ValueError(
            f"{path} holds a {header['estimator']}, not a {cls.__name__}. Use "
            f"{header['estimator']}.load."
        )
    model = cls(**header["params"])
    learnt = {name: arrays[name] for name in LEARNT_ARRAYS if name in arrays}
    vars(model).update(learnt | header["facts"])
    shape, loss, dtype = header["in_shape"], header["loss"], header["dtype"]
    model._network = Network(header["layers"], shape, loss, dtype)
    model._backend = header["backend"]
    model._train_state = _train_state(header["solver"], header["standing"], arrays)
    model.history_ = History(Epoch(*record) for record in header["history"])
    model._publish()
    return model


def _optimizer_name(state) -> str:
    """The name of the optimizer that a state is of."""
    family, _, name = type(state).__module__.rpartition(".")
    if family != "daskdsml.optimizers":
        raise ValueError(
            f"Cannot save the state of a solver of {type(state).__module__}: expected one of "
            "daskdsml.optimizers. Fit with one of these before saving."
        )
    return name


def _train_state(optimizer, counters, arrays) -> TrainState:
    state = {name[6:]: array for name, array in arrays.items() if name.startswith("state.")}
    kind = type(registry.find("optimizers", optimizer)().init(np.zeros(0)))
    state = kind(**{name: array if array.ndim else array.item() for name, array in state.items()})
    return TrainState(state, arrays["statistics"], outer=arrays.get("outer"), **counters)


def save(path, header: dict, arrays: dict) -> None:
    """Write a ``header`` for `to_json` and ``arrays`` to a file, there whole or not at all.

    Arrays hold numbers, booleans, dates, strings, or objects of these kinds, such as labels of a
    DataFrame; ValueError for others.
    """
    plain: dict[str, Any] = {}
    objects: dict[str, Any] = {}
    for name, array in arrays.items():
        array = np.asarray(array)
        (plain if array.dtype.kind in PLAIN else objects)[name] = array
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "content": to_json(header),
        "objects": {name: _objects_to_json(name, array) for name, array in objects.items()},
    }
    named: dict[str, Any] = {HEADER: np.array(json.dumps(whole)), **plain}
    with whole_file(path) as file:
        np.savez(file, **named)


def load(path) -> tuple[dict, dict]:
    """The header and arrays that `save` wrote; ValueError for files of others, or damaged ones."""
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
            whole = json.loads(arrays.pop(HEADER).item())
            if whole["format"] != FORMAT:
                raise ValueError(whole["format"])
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{os.fspath(path)!r} is no network saved by daskdsml, or is damaged. Give the path of "
            "a file that the method save of a network wrote."
        ) from error
    if whole["version"] > VERSION:
        raise ValueError(
            f"{os.fspath(path)!r} has version {whole['version']} of the format of saved networks, "
            f"but this daskdsml reads up to version {VERSION}. Install a newer daskdsml."
        )
    objects = {name: _objects_from_json(given) for name, given in whole["objects"].items()}
    return from_json(whole["content"]), arrays | objects


def to_json(value):
    """``value`` in JSON's own terms, such that `from_json` makes an equal one.

    Takes None, booleans, numbers, text, times, dtypes, lists, tuples, dicts of any such keys, and
    layers, solvers and schedules, by name and settings; ValueError for all else, such as a
    function.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [to_json(entry) for entry in value]
    if isinstance(value, GivenWeights):
        return {"weights": {name: _array_to_json(array) for name, array in value.arrays.items()}}
    settings = _settings(value)
    if settings is not None:
        family, name = _registered_name(value)
        settings = {field: to_json(entry) for field, entry in settings.items()}
        return {registry.FAMILIES[family]: name, "settings": settings}
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, tuple):
        return {"tuple": [to_json(entry) for entry in value]}
    if isinstance(value, dict):
        return {"dict": [[to_json(key), to_json(entry)] for key, entry in value.items()]}
    kind = isinstance(value, type) and issubclass(value, np.generic | float)
    if kind or isinstance(value, np.dtype):
        return {"dtype": np.dtype(value).str}
    raise ValueError(
        f"Cannot save {value!r}: expected numbers, text, lists, tuples, dicts, and the layers, "
        "solvers and schedules of daskdsml. Set it to one of these, or to None, before saving."
    )


def from_json(value):
    """What `to_json` was given; ValueError for what this version does not have."""
    if isinstance(value, list):
        return [from_json(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(from_json(entry) for entry in value["tuple"])
    if "dict" in value:
        return {from_json(key): from_json(entry) for key, entry in value["dict"]}
    if "time" in value:
        from pandas import Timestamp  # slow to import

        return Timestamp(value["time"])
    if "dtype" in value:
        return np.dtype(value["dtype"])
    if "weights" in value:
        arrays = {name: _array_from_json(given) for name, given in value["weights"].items()}
        return GivenWeights(arrays)
    return _registered(value)


def _registered(value):
    """The layer, solver or schedule that stands in a file."""
    family = next((f for f, kind in registry.FAMILIES.items() if kind in value), None)
    if family is None:
        raise ValueError(f"The file holds {value!r}, which is no value this daskdsml knows.")
    name = value[registry.FAMILIES[family]]
    try:
        kind = registry.find(family, name)
        return kind(**{field: from_json(entry) for field, entry in value["settings"].items()})
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The file holds the {registry.FAMILIES[family]} {name!r} with settings "
            f"{value['settings']}, which this daskdsml cannot make: {error} It was saved by "
            "another version: use that one."
        ) from error


def _settings(value) -> dict | None:
    """Settings of a frozen dataclass or NamedTuple; None of anything else."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return value._asdict() if hasattr(value, "_asdict") else None


def _registered_name(value) -> tuple[str, str]:
    """Family and name by which the registry finds a part."""
    kind = type(value)
    for family in registry.FAMILIES:
        prefix, _, name = kind.__module__.rpartition(".")
        if prefix == f"daskdsml.{family}" and registry.find(family, name) is kind:
            return family, name
    raise ValueError(
        f"Cannot save {value!r}: {kind.__module__}.{kind.__qualname__} is no part of daskdsml, so "
        "its file could not be read elsewhere."
    )


def _array_to_json(array) -> dict:
    data = base64.b64encode(array.tobytes()).decode()
    return {"kind": array.dtype.str, "shape": list(array.shape), "data": data}


def _array_from_json(given) -> np.ndarray:
    data = base64.b64decode(given["data"])
    return np.frombuffer(data, given["kind"]).reshape(given["shape"])


def _objects_to_json(name, array) -> dict:
    """An array of Python objects or of text of any length, such as labels in a DataFrame."""
    if array.dtype.kind not in "OT":
        raise ValueError(
            f"Cannot save the array {name!r} of dtype {array.dtype}: expected numbers, booleans, "
            "dates or text. Convert it with astype."
        )
    entries = [to_json(entry) for entry in array.flat]
    return {"dtype": array.dtype.kind, "shape": list(array.shape), "entries": entries}


def _objects_from_json(given):
    array = np.empty(len(given["entries"]), dtype=object)
    array[:] = from_json(given["entries"])
    return array.astype(given["dtype"]).reshape(given["shape"])
