"""Values as bytes without pickle: named tuples of this package, arrays, text and numbers."""

from __future__ import annotations

import dataclasses
import importlib
import json
from typing import Any

import numpy as np

PACKAGE = __name__.partition(".")[0]
PLAIN = (bool, int, float, str)


def pack(value) -> list:
    """A value in parts to be written one after the other: a JSON text, and the bytes of arrays.

    Numbers, text, None, arrays of numbers or text, CSR matrices, tuples, lists, dicts, and named
    tuples and dataclasses of this package; TypeError for all else. An array that is met again is
    the same one, then too.
    """
    writer = _Writer()
    text = json.dumps(writer.encoded(value)).encode()
    return [len(text).to_bytes(8, "little"), text, *writer.arrays]


def unpack(data) -> Any:
    """The value that `pack` was given, of its parts joined; ValueError where it cannot be made."""
    view = memoryview(data)
    start = 8 + int.from_bytes(view[:8], "little")
    return _Reader(view[start:]).decoded(json.loads(bytes(view[8:start])))


class _Writer:
    """Makes JSON of values, beside the bytes of ``arrays``."""

    def __init__(self):
        self.arrays: list[np.ndarray] = []
        self._met: dict[int, int] = {}

    def encoded(self, value) -> Any:
        if value is None or type(value) in PLAIN:
            return value
        if isinstance(value, np.generic) and value.dtype.kind in "biuf":
            return {"scalar": value.dtype.str, "value": value.item()}
        if isinstance(value, np.ndarray):
            return self._array(value)
        if type(value).__module__.startswith("scipy.sparse.") and value.format == "csr":
            parts = [value.data, value.indices, value.indptr]
            return {"csr": self.encoded(parts), "shape": list(value.shape)}
        if isinstance(value, list):
            return list(map(self.encoded, value))
        if isinstance(value, dict):
            return {"dict": [self.encoded([*pair]) for pair in value.items()]}
        fields = _fields(value)
        if fields is not None:
            kind = type(value)
            return {"made": f"{kind.__module__}:{kind.__qualname__}", "of": self.encoded(fields)}
        if type(value) is tuple:
            return {"tuple": self.encoded([*value])}
        raise TypeError(
            f"Cannot keep {value!r} without pickle: expected numbers, text, arrays, tuples, lists "
            f"and dicts, or values of {PACKAGE}."
        )

    def _array(self, array) -> dict:
        shape = list(array.shape)
        if array.dtype.hasobject or array.dtype.kind == "T":
            entries = self.encoded(array.ravel().tolist())
            return {"objects": entries, "kind": array.dtype.kind, "shape": shape}
        if id(array) in self._met:
            return {"again": self._met[id(array)]}
        self._met[id(array)] = len(self.arrays)
        # Dates and structured numbers have no buffer that could be cast: all are kept as bytes.
        self.arrays.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        told = {"array": np.lib.format.dtype_to_descr(array.dtype), "shape": shape}
        if array.flags.c_contiguous or not array.size or min(array.strides) < 0:
            return told
        # BLAS takes the same numbers in another layout another way, to other bits.
        return told | {"strides": list(array.strides)}


def _fields(value) -> list | None:
    """Fields of a named tuple or dataclass of this package; None of anything else."""
    if not type(value).__module__.startswith(f"{PACKAGE}."):
        return None
    if isinstance(value, tuple):
        return [*value]
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return None


class _Reader:
    """Makes values of what a `_Writer` gave; arrays come in the order in which they were met."""

    def __init__(self, data: memoryview):
        self._data, self._start = data, 0
        self._met: list[np.ndarray] = []

    def decoded(self, value) -> Any:
        if isinstance(value, list):
            return [self.decoded(entry) for entry in value]
        if not isinstance(value, dict):
            return value
        if "scalar" in value:
            return np.dtype(value["scalar"]).type(value["value"])
        if "array" in value:
            self._met.append(
                self._array(_dtype(value["array"]), value["shape"], value.get("strides"))
            )
            return self._met[-1]
        if "again" in value:
            return self._met[value["again"]]
        if "objects" in value:
            array = np.empty(len(value["objects"]), dtype=object)
            array[:] = self.decoded(value["objects"])
            return array.astype(value["kind"]).reshape(value["shape"])
        if "csr" in value:
            from scipy.sparse import csr_matrix  # slow to import

            return csr_matrix(tuple(self.decoded(value["csr"])), shape=value["shape"])
        if "dict" in value:
            return {key: entry for key, entry in map(self.decoded, value["dict"])}
        if "tuple" in value:
            return tuple(self.decoded(value["tuple"]))
        return _made(value["made"], self.decoded(value["of"]))

    def _array(self, dtype, shape, strides) -> np.ndarray:
        stop = self._start + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        data, self._start = self._data[self._start : stop], stop
        read = np.frombuffer(data, dtype).reshape(shape)
        if strides is None:
            return read.copy()
        n_bytes = dtype.itemsize + sum(
            (n - 1) * step for n, step in zip(shape, strides, strict=True)
        )
        array = np.ndarray(tuple(shape), dtype, np.empty(n_bytes, np.uint8), 0, tuple(strides))
        array[...] = read
        return array


def _dtype(descr) -> np.dtype:
    if isinstance(descr, list):
        descr = [tuple(entry) for entry in descr]
    return np.lib.format.descr_to_dtype(descr)


def _made(name: str, fields: list):
    module, _, qualname = name.partition(":")
    if not module.startswith(f"{PACKAGE}."):
        raise ValueError(f"{name} is no value of {PACKAGE}.")
    try:
        kind: Any = importlib.import_module(module)
        for part in qualname.split("."):
            kind = getattr(kind, part)
        if not (isinstance(kind, type) and (dataclasses.is_dataclass(kind) or _is_tuple(kind))):
            raise TypeError(f"{name} is neither a named tuple nor a dataclass")
        return kind(*fields)
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"This version of {PACKAGE} cannot make {name}: {error}.") from error


def _is_tuple(kind) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields")
