"""What a checkpoint is of: an estimator with its parameters, and a table."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from importlib.metadata import version
from typing import NamedTuple

import dask
import numpy as np

from daskdsml.data.blocks import as_block
from daskdsml.data.dataset import Dataset
from daskdsml.engine import chunk_tasks as ct
from daskdsml.engine.clients import compute, current_client
from daskdsml.engine.signatures import PARTS, changed, signature
from daskdsml.utils.checkpoint import OTHER

PACKAGE = __name__.partition(".")[0]
# Parameters that may change from one call to the next: how long, where and how loudly is fitted.
FREE = frozenset({"checkpoint", "max_iter", "max_fun", "verbose", "n_jobs", "cache", "callbacks"})
MOST_TEXT = 200


class FitIdentity(NamedTuple):
    """What a fit is of: facts of model and data, in words, and codes of chunks of X, y and w."""

    model: dict[str, str]
    data: dict[str, str]
    codes: tuple

    def check(self, saved: FitIdentity, url: str) -> None:
        """Raise ValueError, saying what differs, if the fit of a checkpoint is another one."""
        told = {"another model": _differences(saved.model, self.model)}
        told["other data"] = _differences(saved.data, self.data) or [
            f"{part} has other numbers"
            for part, a, b in zip(PARTS, saved.codes, self.codes, strict=True)
            if a is not None and changed(a, b).any()
        ]
        for what, differences in told.items():
            if differences:
                raise ValueError(
                    f"Checkpoint {url!r} is of {what}: {'; '.join(differences[:5])}. Remove it, "
                    f"and {url + OTHER!r}, to begin anew; go on with what it was made with, or "
                    "name another file."
                )


def identity_of(estimator, table: Dataset, **more: str) -> FitIdentity:
    """The identity of a fit; ``more`` are facts of its data."""
    parameters = estimator.get_params(deep=False).items()
    model = {"class": type(estimator).__name__, PACKAGE: version(PACKAGE)}
    model |= {name: _text(value) for name, value in parameters if name not in FREE}
    names = getattr(estimator, "feature_names_in_", None)
    data = {"table": described(table), "names of columns": _text(names)} | more
    if table.g is not None:
        data["folds"] = _text(np.asarray(table.g))
    if table.is_local:
        return FitIdentity(model, data, signature(*table[:3]))
    lengths = np.asarray(table.X.chunks[0], dtype=float)
    n, least, most = len(lengths), lengths.min(initial=0), lengths.max(initial=0)
    sizes = f"{least:g}" if least == most else f"{least:g} to {most:g}"
    data["row chunks"] = f"{n} of {sizes} rows" + (f" ({_text(lengths)})" if least != most else "")
    return FitIdentity(model, data, _first_codes(table))


def described(table: Dataset) -> str:
    """Shapes and dtypes of X, y, weights and mask, without reading them."""
    parts = zip((*PARTS, "groups", "mask"), table[:5], strict=True)
    given = ((name, part) for name, part in parts if part is not None)
    return ", ".join(f"{name} {tuple(part.shape)} {part.dtype}" for name, part in given)


def _differences(saved: dict, now: dict) -> list[str]:
    return [
        f"{name} was {saved.get(name)}, now it is {now.get(name)}"
        for name in {**saved, **now}
        if saved.get(name) != now.get(name)
    ]


def _first_codes(table) -> tuple:
    """Codes of the first chunk; none where it takes a read of all to have it."""
    tasks = ct.cut(table.row_parts)
    if tasks.shared and not tasks.held:
        return (None,) * len(PARTS)
    columns = table.X.blocks[0].to_delayed().ravel().tolist()
    y, w = (None if a is None else a.blocks[0].to_delayed().ravel()[0] for a in table[1:3])
    chunk = dask.delayed(_signed, pure=False)(columns, y, w)
    here = current_client(table.row_parts) is None or ct.only_here(tasks, ct.chunk_bytes(table))
    return (dask.compute(chunk, scheduler="threads") if here else compute(chunk))[0]


def _signed(columns, y, w) -> tuple:
    if np.ndim(columns[0]) > 2:
        return signature(columns[0], y, w)
    return signature(*as_block((columns, y, w, None))[:3])


def _text(value) -> str:
    """A parameter in words, the same in each process."""
    if isinstance(value, np.ndarray):
        data = value.tolist() if value.dtype.hasobject else value.tobytes()
        digest = hashlib.sha256(repr(data).encode()).hexdigest()[:8]
        return f"array {value.shape} {value.dtype} with digest {digest}"
    if isinstance(value, np.random.RandomState):
        return f"RandomState in the state {_text(value.get_state(legacy=False)['state'])}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_text(entry)}" for key, entry in value.items()) + "}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        text = ", ".join(f"{name}={_text(entry)}" for name, entry in fields)
        return f"{type(value).__name__}({text})"
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return "[" + ", ".join(map(_text, value)) + "]"
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    # Addresses of objects are others in each process.
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    if len(text) <= MOST_TEXT:
        return text
    return f"{text[:MOST_TEXT]}... with digest {hashlib.sha256(text.encode()).hexdigest()[:8]}"
