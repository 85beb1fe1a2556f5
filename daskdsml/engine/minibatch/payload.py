"""Payloads: what travels to an actor and back, pickled where a failure can be told.

Where Dask itself fails to pickle what an actor is asked or replies, the call never ends.
"""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import Any, NamedTuple

import cloudpickle


class Payload(NamedTuple):
    """A pickled value: the ``buffers`` of its arrays stay where they are, all else is ``data``."""

    data: bytes
    buffers: list


def serialize(value, what: str) -> Payload:
    """Pickle a value without copying its arrays.

    Raises
    ------
    TypeError
        If the value, told as ``what``, does not pickle.
    """
    try:
        return _pickled(value)
    except Exception as error:
        raise TypeError(
            f"{what} travels between processes, so it must pickle, but does not: {error!r}. "
            "Leave out locks, open files, threads and the like."
        ) from error


def deserialize(payload: Payload, what: str) -> Any:
    """The value in a payload.

    Raises
    ------
    RuntimeError
        If the value, told as ``what``, does not unpickle here.
    """
    try:
        return pickle.loads(payload.data, buffers=payload.buffers)
    except Exception as error:
        raise RuntimeError(
            f"{what} was pickled in another process and does not unpickle here: {error!r}. Have "
            "the same packages, in the same versions, on this machine and on all workers."
        ) from error


def _pickled(value) -> Payload:
    buffers: list = []
    with suppress(Exception):
        data = pickle.dumps(value, 5, buffer_callback=buffers.append)
        if b"__main__" not in data:
            return Payload(data, buffers)
    # It takes longer, and takes what cannot be imported elsewhere.
    buffers = []
    return Payload(cloudpickle.dumps(value, 5, buffer_callback=buffers.append), buffers)
