"""Networks in files: a JSON header and arrays in one .npz, with nothing that runs when read."""

from __future__ import annotations

import dataclasses
import json
import os
import uuid
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from daskdsml.utils import registry

FORMAT, VERSION = "daskdsml network", 1
# The entry of the file that is the header.
HEADER = "header"
# Names that `numpy.savez` has for itself.
RESERVED = ("file", "allow_pickle")
# Kinds of arrays that NumPy writes without pickle: numbers, booleans, dates and strings.
PLAIN = "biufcSUmM"


def save(path, header: dict, arrays: dict) -> None:
    """Write ``header`` and ``arrays`` to the file ``path``, which is there whole or not at all.

    Parameters
    ----------
    path : str or path-like
        Taken as it is: no suffix is added. A file that is there is replaced once all is written.
    header : dict
        Of text to what `to_json` takes.
    arrays : dict
        Of names to arrays of numbers, booleans, dates, strings, or objects of these kinds, such as
        labels of a DataFrame.

    Raises
    ------
    ValueError
        If there is something that cannot be written.
    """
    path = Path(path)
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
    taken = {HEADER, *RESERVED} & set(plain)
    if taken:
        raise ValueError(f"Arrays cannot be named {sorted(taken)}. Take other names.")
    named: dict[str, Any] = {HEADER: np.array(json.dumps(whole)), **plain}
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(beside, "xb") as file:
            np.savez(file, **named)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def load(path) -> tuple[dict, dict]:
    """The header and the arrays that `save` wrote.

    Raises
    ------
    ValueError
        If the file is none of ours, is damaged, or is from a newer version.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
            whole = json.loads(arrays.pop(HEADER).item())
            known = whole["format"] == FORMAT
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise _stranger(path) from error
    if not known:
        raise _stranger(path)
    if whole["version"] > VERSION:
        raise ValueError(
            f"{os.fspath(path)!r} has version {whole['version']} of the format of saved networks, "
            f"but this daskdsml reads up to version {VERSION}. Install a newer daskdsml."
        )
    objects = {name: _objects_from_json(given) for name, given in whole["objects"].items()}
    return from_json(whole["content"]), arrays | objects


def to_json(value):
    """``value`` in JSON's own terms, such that `from_json` makes an equal one.

    Takes None, booleans, numbers, text, dtypes, lists, tuples, dicts of any such keys, and parts:
    layers, solvers and schedules, by name and settings.

    Raises
    ------
    ValueError
        If a value is anything else, such as a function.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [to_json(entry) for entry in value]
    settings = _settings(value)
    if settings is not None:
        family, name = _place(value)
        settings = {field: to_json(entry) for field, entry in settings.items()}
        return {registry.FAMILIES[family]: name, "settings": settings}
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
    """What `to_json` was given.

    Raises
    ------
    ValueError
        If there is no such part, or it has not these settings.
    """
    if isinstance(value, list):
        return [from_json(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(from_json(entry) for entry in value["tuple"])
    if "dict" in value:
        return {from_json(key): from_json(entry) for key, entry in value["dict"]}
    if "dtype" in value:
        return np.dtype(value["dtype"])
    return _part(value)


def _part(value):
    """The layer, solver or schedule that stands in a file."""
    family = next((f for f, kind in registry.FAMILIES.items() if kind in value), None)
    if family is None:
        raise ValueError(f"The file holds {value!r}, which is no value this daskdsml knows.")
    name = value[registry.FAMILIES[family]]
    try:
        part = registry.find(family, name)
        return part(**{field: from_json(entry) for field, entry in value["settings"].items()})
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


def _place(value) -> tuple[str, str]:
    """Family and name by which the registry finds a part."""
    part = type(value)
    for family in registry.FAMILIES:
        prefix, _, name = part.__module__.rpartition(".")
        if prefix == f"daskdsml.{family}" and registry.find(family, name) is part:
            return family, name
    raise ValueError(
        f"Cannot save {value!r}: {part.__module__}.{part.__qualname__} is no part of daskdsml, so "
        "its file could not be read elsewhere."
    )


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


def _stranger(path) -> ValueError:
    return ValueError(
        f"{os.fspath(path)!r} is no network saved by daskdsml, or is damaged. Give the path of a "
        "file that the method save of a network wrote."
    )
