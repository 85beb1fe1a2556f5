"""Pickled values: what travels between processes, with errors that say what does not."""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import Any, NamedTuple

import cloudpickle


class Payload(NamedTuple):
    """A pickled value: the ``buffers`` of its arrays stay where they are, all else is ``data``.

    Where Dask itself fails to pickle what an actor is asked or replies, the call never ends.
    """

    data: bytes
    buffers: list


def serialize(value, what: str) -> Payload:
    """Pickle a value without copying its arrays; TypeError calls it ``what``."""
    try:
        return _pickled(value)
    except Exception as error:
        raise TypeError(
            f"{what} travels between processes, so it must pickle, but does not: {error!r}. "
            "Leave out locks, open files, threads and the like."
        ) from error


def addressed(payload: Payload, address: str) -> Payload:
    """A payload as it can be sent to an address, while its arrays may change here.

    What is sent within a process would be read from these very arrays, and changed there.
    """
    if not address.startswith("inproc"):
        return payload
    return Payload(payload.data, [bytearray(buffer) for buffer in payload.buffers])


def deserialize(payload: Payload, what: str) -> Any:
    """The value in a payload; RuntimeError calls it ``what``."""
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
