"""A training actor on a Dask worker that holds rows and computes its part of each batch."""

from __future__ import annotations

import pickle
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import cloudpickle
import numpy as np

from daskdsml.engine.minibatch.accumulate import accumulate
from daskdsml.engine.minibatch.parts import PartSteps, advance
from daskdsml.engine.minibatch.row_buffer import RowBlock
from daskdsml.engine.minibatch.row_store import RowStore, SentRows
from daskdsml.network_contracts import Batch
from daskdsml.utils.threads import single_threaded_blas

# The actors of this process, by name.
_actors: WeakValueDictionary[str, TrainingActor] = WeakValueDictionary()


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


class Reply(NamedTuple):
    """What an actor replies: what a kernel yields, or returns if it ``ended``; or its failure."""

    ended: bool = True
    value: Any = None
    n_rows_read: int = 0
    failure: TaskFailure | None = None


class TaskFailure(NamedTuple):
    """An error on a worker: itself, if it pickles, and its traceback as text."""

    error: Payload | None
    text: str

    @classmethod
    def of(cls, error: BaseException) -> TaskFailure:
        """An error as it can be sent, whatever it holds."""
        text = "".join(traceback.format_exception(error))
        try:
            return cls(serialize(error, "An error"), text)
        except TypeError:
            return cls(None, text)

    def exception(self, worker: str) -> Exception:
        """The error with its traceback there, or one with its text if it does not unpickle here."""
        where = f"Raised on worker {worker}:\n{self.text}"
        if self.error is not None:
            try:
                error = deserialize(self.error, "An error")
                error.add_note(where)
            except Exception:  # its text is all there is
                error = None
            if isinstance(error, Exception):
                return error
        return RuntimeError(f"An error that cannot travel as it is, so this is its text. {where}")


def _replying(method):
    """A method that is sent sources of partitions, which it learns, and its arguments, pickled.

    It hands errors over as replies, so that whatever a call raises means that the actor is lost.
    """

    @wraps(method)
    def call(self, request: Payload) -> Reply:
        try:
            with single_threaded_blas(), np.errstate(all="ignore"):
                sources, *arguments = deserialize(request, "What a worker is asked for")
                self._store.learn(sources)
                ended, value = method(self, *arguments)
            value = serialize(value, "What a kernel yields or returns")
            return Reply(ended, value, self._store.n_rows_read)
        except BaseException as error:  # SystemExit would end one worker after the other
            return Reply(failure=TaskFailure.of(error))

    return call


class TrainingActor:
    """Rows of the shuffle buffer that are on one worker, and the kernel that runs over them.

    It is what a task returned, and not an actor of Dask, for Dask retires no worker that has one.
    Where Dask moves it to another worker it leaves its rows behind: who trains starts a new one.

    Parameters
    ----------
    name : str
        One that no other actor has.
    lengths : array (n_partitions,)
        Rows of all partitions.
    keep, stay, capacity : see `RowStore`
    parts : list of Part
        All parts, if there are such.
    shuffle, seed : see `open_batches`
    """

    def __init__(self, name, lengths, keep, stay, capacity, parts=(), shuffle=True, seed=0):
        self.name = name
        self._lengths = np.asarray(lengths).tolist()
        self._store = RowStore(keep, stay, capacity)
        self._parts, self._own_parts = parts, {}
        self._n_slots, self._shuffle, self._seed = 0, shuffle, seed
        self._pickled = b""
        self._kernel: Any = None
        self._work: Any = None
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self.closed = threading.Event()
        _actors[name] = self

    def __reduce__(self):
        return object, ()

    @_replying
    def learn(self):
        """Take no more than sources."""
        return True, None

    @_replying
    def step(self, loads, following, slots, positions, size, key, kernel, state):
        """Load rows, and run the kernel over its part of a batch until it yields or ends.

        Parameters
        ----------
        loads : list of (partition, rows of it or None for all, slots)
        following : int or None
            The partition to be read meanwhile.
        slots, positions : arrays
            The rows here, and where they are in the batch of ``size`` rows.
        key : tuple, as in `Batch`
        kernel : bytes
            Pickled.
        """
        for partition, rows, into in loads:
            # It is there already if the step that loaded it failed afterwards.
            if not self._store.holds(partition):
                self._store.load(partition, rows, into)
        self._store.expect(following)
        X, y, w, mask = self._store.take(slots)
        self._work = self._kernel_of(kernel)(state, Batch(X, y, w, mask, positions, size, key))
        return self._resumed(None)

    @_replying
    def resume(self, total):
        """Go on with the sum over all actors of what was yielded."""
        return self._resumed(total)

    @_replying
    def accumulate(self, partitions, n_rows, kernel, state):
        """The sums over partitions, in ascending order, in batches of ``n_rows``."""
        blocks = self._store.partitions(partitions)
        return True, accumulate(self._kernel_of(kernel), state, blocks, self._lengths, n_rows)

    @_replying
    def advance(self, numbers, steps, kernel, state):
        """The sums over some parts of what the kernel gives for the next ``steps`` of each."""
        own = [self._part(i) for i in numbers]
        return True, advance(self._kernel_of(kernel), state, own, len(self._parts), *steps)

    def ready(self) -> None:
        """Return, which shows that this actor can be reached."""

    def receive(self, partition: int, rows: RowBlock, epoch: int) -> None:
        """Take a partition that Dask has made."""
        self._store.receive(partition, SentRows(rows), epoch)

    def close(self) -> None:
        """Release all rows."""
        self._work = None
        self.closed.set()
        self.thread.shutdown(wait=False)
        self._store.close()

    def _part(self, number: int) -> PartSteps:
        """A part, which is given slots of its own when it is asked for the first time."""
        if number not in self._own_parts:
            part = self._parts[number]
            places = self._n_slots + np.arange(part.layout.capacity)
            self._n_slots += len(places)
            steps = PartSteps(part, self._store, places, self._shuffle, (self._seed, number))
            self._own_parts[number] = steps
        return self._own_parts[number]

    def _resumed(self, message):
        try:
            return False, self._work.send(message)
        except StopIteration as end:
            self._work = None
            return True, end.value

    def _kernel_of(self, kernel: bytes):
        # Kernels keep buffers between steps, which a new one would have to make again.
        if kernel != self._pickled:
            self._pickled, self._kernel = kernel, pickle.loads(kernel)
        return self._kernel


def find_actor(name: str) -> TrainingActor:
    """The actor of a name in this process; LookupError if there is none any more."""
    actor = _actors.get(name)
    if actor is None:
        raise LookupError(f"This process has no {name}: it was closed, or Dask has moved it.")
    return actor


def receive_partition(name: str, partition: int, rows: RowBlock, epoch: int) -> None:
    """Hand a partition to the actor of this name, if it is in this process."""
    with suppress(LookupError):
        find_actor(name).receive(partition, rows, epoch)
