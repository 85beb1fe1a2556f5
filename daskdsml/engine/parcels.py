"""Parcels: what travels to a place and back, pickled where a failure can be told.

Where Dask itself fails to pickle what an actor is asked or answers, the call never ends.
"""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import Any, NamedTuple

import cloudpickle


class Parcel(NamedTuple):
    """A pickled value: the ``buffers`` of its arrays stay where they are, all else is ``data``."""

    data: bytes
    buffers: list


def pack(value, what: str) -> Parcel:
    """Pickle a value without copying its arrays.

    Raises
    ------
    TypeError
        If the value, told as ``what``, does not pickle.
    """
    try:
        return _packed(value)
    except Exception as error:
        raise TypeError(
            f"{what} travels between processes, so it must pickle, but does not: {error!r}. "
            "Leave out locks, open files, threads and the like."
        ) from error


def unpack(parcel: Parcel, what: str) -> Any:
    """The value in a parcel.

    Raises
    ------
    RuntimeError
        If the value, told as ``what``, does not unpickle here.
    """
    try:
        return pickle.loads(parcel.data, buffers=parcel.buffers)
    except Exception as error:
        raise RuntimeError(
            f"{what} was pickled in another process and does not unpickle here: {error!r}. Have "
            "the same packages, in the same versions, on this machine and on all workers."
        ) from error


def _packed(value) -> Parcel:
    buffers: list = []
    with suppress(Exception):
        data = pickle.dumps(value, 5, buffer_callback=buffers.append)
        if b"__main__" not in data:
            return Parcel(data, buffers)
    # It takes longer, and takes what cannot be imported elsewhere.
    buffers = []
    return Parcel(cloudpickle.dumps(value, 5, buffer_callback=buffers.append), buffers)
