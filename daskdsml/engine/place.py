"""A place: an actor on a Dask worker that holds rows and meets its share of each batch."""

from __future__ import annotations

import pickle
import traceback
from functools import wraps
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from daskdsml.engine.meeting import meet
from daskdsml.engine.parcels import Parcel, pack, unpack
from daskdsml.engine.shelf import Given, Shelf
from daskdsml.engine.slots import Rows
from daskdsml.network_contracts import Batch
from daskdsml.threads import single_threaded_blas

# The shelves of this process, by the names of their places, for tasks that bring pieces.
_shelves: WeakValueDictionary[str, Shelf] = WeakValueDictionary()


class Share(NamedTuple):
    """What a place needs for its part of a step.

    ``sources`` tell how to read pieces that the place does not know; ``loads`` are (piece, rows or
    None for all, slots) to be made first; ``following`` is the piece to be read meanwhile.
    ``slots`` are the rows here, at ``places`` of a batch of ``size`` rows.
    """

    sources: dict
    loads: list
    following: int | None
    slots: np.ndarray
    places: np.ndarray
    size: int
    key: tuple
    kernel: bytes
    state: Any


class Portion(NamedTuple):
    """What a place needs for its part of a pass: the ``pieces`` it takes, in ascending order."""

    sources: dict
    pieces: list[int]
    n_rows: int
    kernel: bytes
    state: Any


class Answer(NamedTuple):
    """What a place says: what a kernel yields, or returns if it ``ended``; or the ``failure``."""

    ended: bool = True
    value: Any = None
    n_rows_read: int = 0
    failure: Failure | None = None


class Failure(NamedTuple):
    """An error on a worker: itself, if it pickles, and its traceback as text."""

    error: Parcel | None
    text: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """An error as it can be sent, whatever it holds."""
        text = "".join(traceback.format_exception(error))
        try:
            return cls(pack(error, "An error"), text)
        except TypeError:
            return cls(None, text)

    def told(self, worker: str) -> Exception:
        """The error with its traceback there, or one with its text if it does not unpickle here."""
        where = f"Raised on worker {worker}:\n{self.text}"
        if self.error is not None:
            try:
                error = unpack(self.error, "An error")
                error.add_note(where)
            except Exception:  # its text tells all that is known of it
                error = None
            if isinstance(error, Exception):
                return error
        return RuntimeError(f"An error that cannot travel as it is, so this is its text. {where}")


def _answered(method):
    """Hand errors over as answers, so that whatever a call raises means that the place is lost."""

    @wraps(method)
    def call(self, order: Parcel) -> Answer:
        try:
            with single_threaded_blas(), np.errstate(all="ignore"):
                ended, value = method(self, unpack(order, "What a worker is asked for"))
            value = pack(value, "What a kernel yields or returns")
            return Answer(ended, value, self._shelf.n_rows_read)
        except BaseException as error:  # SystemExit would end one worker after the other
            return Answer(failure=Failure.of(error))

    return call


class Place:
    """Rows of the pool that are on one worker, and the kernel that runs over them.

    Parameters
    ----------
    name : str
        One that no other place has.
    lengths : array (n_pieces,)
        Rows of all pieces.
    keep, stay, capacity : see `Shelf`
    """

    def __init__(self, name: str, lengths, keep: bool, stay: bool, capacity: int):
        self._lengths = np.asarray(lengths).tolist()
        self._shelf = _shelves[name] = Shelf(keep, stay, capacity)
        self._known = b""
        self._kernel: Any = None
        self._work: Any = None

    @_answered
    def step(self, share: Share):
        """Load rows, and run the kernel over the share of a batch until it yields or ends."""
        self._shelf.learn(share.sources)
        for piece, rows, slots in share.loads:
            # It is there already if the step that loaded it failed afterwards.
            if not self._shelf.holds(piece):
                self._shelf.load(piece, rows, slots)
        self._shelf.expect(share.following)
        rows = self._shelf.take(share.slots)
        batch = Batch(*rows, share.places, share.size, share.key)
        self._work = self._unpacked(share.kernel)(share.state, batch)
        return self._resumed(None)

    @_answered
    def resume(self, total):
        """Go on with the sum over all places of what was yielded."""
        return self._resumed(total)

    @_answered
    def meet(self, portion: Portion):
        """The sums over pieces, in order."""
        self._shelf.learn(portion.sources)
        kernel = self._unpacked(portion.kernel)
        pieces = self._shelf.pieces(portion.pieces)
        return True, meet(kernel, portion.state, pieces, self._lengths, portion.n_rows)

    def ready(self) -> None:
        """Answer, which tells that this place can be reached."""

    def close(self) -> None:
        """Let go of all rows."""
        self._work = None
        self._shelf.close()

    def _resumed(self, message):
        try:
            return False, self._work.send(message)
        except StopIteration as end:
            self._work = None
            return True, end.value

    def _unpacked(self, kernel: bytes):
        # Kernels keep buffers between steps, which a new one would have to make again.
        if kernel != self._known:
            self._known, self._kernel = kernel, pickle.loads(kernel)
        return self._kernel


def deliver(name: str, piece: int, rows: Rows, turn: int) -> None:
    """Hand a piece to the place of this name, if it is in this process."""
    shelf = _shelves.get(name)
    if shelf is not None:
        shelf.receive(piece, Given(rows), turn)
