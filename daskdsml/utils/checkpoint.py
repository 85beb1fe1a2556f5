"""Checkpoints of fits: where they are written, how often, and whole or not at all."""

from __future__ import annotations

import hashlib
import os
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from daskdsml.utils.portable import pack, unpack
from daskdsml.utils.validation import check_number, outside

MAGIC = b"daskdsml checkpoint 1\n"
# The second of the two files that are written in turn, and what is being written on local disks.
OTHER, PART = ".other", ".part"
REMEDY = "Pass the path or URL of a file, such as 'fit.checkpoint', or Checkpoint(url, seconds=60)."


@dataclass(frozen=True)
class Checkpoint:
    """Where a fit keeps what it has come to, and how often, for the same call to go on from there.

    Parameters
    ----------
    url : str or path-like
        A file, on this machine or wherever fsspec writes (``s3://``, ``gs://``, ...). A second one,
        with ``.other`` at its end, is written in turn with it, so that one is whole at any time.
    seconds : float of at least 0, default=60.0
        Write when so many seconds have passed since the last time: at most that much work is lost.
    passes : int of at least 1 or None, default=None
        Write after every so many passes or epochs, too.
    storage_options : dict or None, default=None
        Options of fsspec's file system, such as credentials.
    """

    url: Any
    seconds: float = 60.0
    passes: int | None = None
    storage_options: dict | None = None

    @classmethod
    def of(cls, given) -> Checkpoint | None:
        """What users pass for ``checkpoint``, checked; TypeError or ValueError if it is of no use.

        An attempt to write there tells whether that is possible.
        """
        if given is None:
            return None
        checkpoint = given if isinstance(given, cls) else cls(given)
        if not isinstance(checkpoint.url, str | os.PathLike) or not os.fspath(checkpoint.url):
            raise TypeError(f"checkpoint={given!r} names no file. {REMEDY}")
        check_number(checkpoint, "seconds", 0)
        if not isinstance(checkpoint.storage_options, dict | None):
            raise ValueError(
                "storage_options of Checkpoint must be a dict, or None, got "
                f"{checkpoint.storage_options!r}."
            )
        if checkpoint.passes is not None:
            check_number(checkpoint, "passes", 1, integer=True)
        CheckpointFiles(checkpoint).probe()
        return checkpoint


def how_to_go_on(estimator) -> str:
    """What to do after a fit was interrupted."""
    if estimator.checkpoint is None:
        return "A checkpoint would let the same call go on from there"
    return "The same call goes on from its checkpoint"


class CheckpointFiles:
    """The two files of a checkpoint, written in turn; the newest one that is whole counts."""

    def __init__(self, checkpoint: Checkpoint):
        import fsspec  # slow to import

        self.url = os.fspath(checkpoint.url)
        options = checkpoint.storage_options or {}
        try:
            self._fs, self._path = fsspec.core.url_to_fs(self.url, **options)
        except (ImportError, ValueError) as error:
            raise ValueError(f"Cannot write checkpoint {self.url!r}: {error}. {REMEDY}") from error
        self._count = 0

    def probe(self) -> None:
        """Raise ValueError unless files can be written there."""
        try:
            if self._fs.isdir(self._path):
                raise IsADirectoryError("it is a directory itself")
            with self._fs.open(self._path + PART, "wb") as file:
                file.write(b"")
            self._fs.rm_file(self._path + PART)
        except Exception as error:  # file systems have errors of their own
            raise ValueError(
                f"Cannot write checkpoint {self.url!r}: {error}. Its directory has to exist, and "
                f"to let this process write. {REMEDY}"
            ) from error

    def read(self) -> Any:
        """The newest value that is whole, or None; warns of files that are damaged."""
        found, damaged = [], ""
        for path in self._paths:
            with suppress(FileNotFoundError):
                data = self._fs.cat_file(path)
                self._check(path, data)
                try:
                    found.append(_value_of(data))
                except ValueError as error:
                    damaged = f"Checkpoint {path!r} is damaged: {error}"
        if damaged:
            then = "The one written before it is used" if found else "The fit begins anew"
            warnings.warn(f"{damaged}. {then}.", RuntimeWarning, stacklevel=outside())
        if not found:
            return None
        self._count, value = max(found, key=lambda each: each[0])
        return value

    def write(self, value) -> None:
        """Write a value over the older file; warns where that fails, which is no end of a fit."""
        parts = [(self._count + 1).to_bytes(8, "little"), *pack(value)]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        try:
            self._write(self._paths[self._count % 2], [MAGIC, *parts, digest.digest()])
        except Exception as error:  # file systems have errors of their own
            text = f"Checkpoint {self.url!r} could not be written: {error!r}. The fit goes on."
            warnings.warn(text, RuntimeWarning, stacklevel=outside())
            return
        self._count += 1

    def remove(self) -> None:
        """Remove both files, the newer one last, and what a killed process was writing."""
        paths = (self._paths[number % 2] for number in (self._count, self._count + 1))
        for path in (self._path + PART, *paths):
            with suppress(FileNotFoundError):
                self._fs.rm_file(path)

    def _check(self, path, data: bytes) -> None:
        """Raise ValueError if a file is one of other people's."""
        if not data.startswith(MAGIC) and not MAGIC.startswith(data):
            raise ValueError(f"{path!r} is no checkpoint, and is not written over. {REMEDY}")

    @property
    def _paths(self) -> tuple[str, str]:
        return self._path, self._path + OTHER

    def _write(self, path: str, parts) -> None:
        local = "file" in np.atleast_1d(self._fs.protocol)
        # Object stores have a file when it is closed, as a whole.
        beside = self._path + PART
        with whole_file(path, beside) if local else self._fs.open(path, "wb") as file:
            for part in parts:
                file.write(part)


@contextmanager
def whole_file(path, beside=None) -> Iterator[Any]:
    """A local file opened to be written, which is there as a whole or not at all.

    Until then it is ``beside``, or where nobody else writes.
    """
    path = Path(path)
    beside = Path(beside or path.with_name(f".{path.name}.{uuid.uuid4().hex}"))
    try:
        with open(beside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _value_of(data: bytes) -> tuple[int, Any]:
    """How many were written before, and the value; ValueError if the data are not whole."""
    body = memoryview(data)[len(MAGIC) : -hashlib.sha256().digest_size]
    if not data.startswith(MAGIC) or not data.endswith(hashlib.sha256(body).digest()):
        raise ValueError("its digest is not that of its content")
    return int.from_bytes(body[:8], "little"), unpack(body[8:])
