"""A training actor on a Dask worker that holds rows and makes its part of each step."""

from __future__ import annotations

import pickle
import queue
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from daskdsml.engine.minibatch.accumulate import accumulate
from daskdsml.engine.minibatch.parts import PartSteps, advance
from daskdsml.engine.minibatch.payload import Payload, deserialize, serialize
from daskdsml.engine.minibatch.post import InterruptedRoundError, Post
from daskdsml.engine.minibatch.row_buffer import RowBlock
from daskdsml.engine.minibatch.row_store import RowStore, SentRows
from daskdsml.engine.minibatch.served import roles, served, server_name
from daskdsml.engine.minibatch.spread import ColumnStep, Peers, SpreadPlan, SpreadSteps
from daskdsml.utils.threads import single_threaded_blas

# The actors of this process, by name, and what messages to them and their servers go to.
_actors: WeakValueDictionary[str, TrainingActor] = WeakValueDictionary()
_inboxes: WeakValueDictionary[str, queue.SimpleQueue] = WeakValueDictionary()


class Reply(NamedTuple):
    """What an actor replies: a pickled value, its failure, or why others interrupted it."""

    value: Any = None
    n_rows_read: int = 0
    failure: TaskFailure | None = None
    interrupted: str | None = None


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
                value = method(self, *arguments)
            return Reply(serialize(value, "What a kernel returns"), self._store.n_rows_read)
        except InterruptedRoundError as error:
            return Reply(n_rows_read=self._store.n_rows_read, interrupted=str(error))
        except BaseException as error:  # SystemExit would end one worker after the other
            return Reply(failure=TaskFailure.of(error))

    return call


class TrainingActor:
    """Rows of the shuffle buffer that are on one worker, and the kernels that run over them.

    It is what a task returned, and not an actor of Dask, for Dask retires no worker that has one.
    Where Dask moves it to another worker it leaves its rows behind: who trains starts a new one.

    Parameters
    ----------
    name : str
        One that no other actor has.
    mail
        What `Peers` send with.
    layout : Layout
        That of all rows.
    keep, capacity : see `RowStore`
    parts : list of Part
        All parts, if there are such.
    shuffle, seed : see `open_batches`
    """

    def __init__(self, name, mail, layout, keep, capacity, parts=(), shuffle=True, seed=0):
        self.name, self._mail = name, mail
        self._layout, self._keep, self._shuffle, self._seed = layout, keep, shuffle, seed
        self._store = RowStore(keep, keep and layout.whole, capacity)
        self._steps: SpreadSteps | None = None
        self._columns: PartSteps | None = None
        self._parts, self._own_parts, self._n_slots = parts, {}, 0
        self._pickled = b""
        self._kernel: Any = None
        # For what it is told as one who has rows, and as a parameter server.
        self._inboxes: dict[str, queue.SimpleQueue] = {
            key: queue.SimpleQueue() for key in (name, server_name(name))
        }
        _inboxes.update(self._inboxes)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self.closed = threading.Event()
        _actors[name] = self

    def __reduce__(self):
        return object, ()

    @_replying
    def learn(self):
        """Take no more than sources."""

    @_replying
    def advance(self, me, actors, token, steps, kernel, state):
        """What a kernel returns for some mini-batches, which all actors run it over alike.

        Parameters
        ----------
        me : int
            The place of this actor among ``actors``; the first one alone replies.
        actors, token : see `Peers`
        steps : tuple
            Epoch, first step and how many.
        kernel : bytes
            Pickled.
        """
        batches = self._batches(me, actors, token, *steps)
        value = self._kernel_of(kernel)(state, batches)
        return None if me else value

    @_replying
    def serve(self, me, actors, token, steps, kernel, state, staleness, n_servers):
        """What servers make of some mini-batches: see `served`, and `advance` for the arguments.

        ``kernel`` is a pickled `daskdsml.network_contracts.TrainingStep`.
        """
        parts = roles(actors, len(state.point.theta), n_servers)
        posts = tuple(Post(box, self._mail.send, token, me) for box in self._inboxes.values())
        batches, count = self._batches(me, actors, token, *steps), steps[-1]
        step = self._kernel_of(kernel)
        return served(step, state, batches, count, me, parts, staleness, posts)

    @_replying
    def accumulate(self, partitions, n_rows, kernel, state):
        """The sums over partitions, in ascending order, in batches of ``n_rows``."""
        blocks = self._store.partitions(partitions)
        lengths = self._layout.lengths.tolist()
        return accumulate(self._kernel_of(kernel), state, blocks, lengths, n_rows)

    @_replying
    def advance_parts(self, numbers, steps, kernel, state):
        """The sums over some parts of what the kernel gives for the next ``steps`` of each."""
        own = [self._part(i) for i in numbers]
        return advance(self._kernel_of(kernel), state, own, len(self._parts), *steps)

    @_replying
    def advance_columns(self, me, actors, token, steps, kernel, state):
        """What a kernel returns for mini-batches of which this actor has some columns of all rows.

        All actors have a kernel and a state of their own; arguments are as of `advance`.
        """
        if self._columns is None:
            self._columns = PartSteps(
                self._parts[0], self._store, None, self._shuffle, (self._seed,)
            )
        peers, own = self._peers(me, actors, token), self._columns
        batches = (ColumnStep(step, peers, len(actors)) for step in own.steps(*steps))
        return self._kernel_of(kernel)(state, batches)

    def ready(self) -> None:
        """Return, which shows that this actor can be reached."""

    def receive(self, partition: int, rows: RowBlock, epoch: int) -> None:
        """Take a partition that Dask has made."""
        self._store.receive(partition, SentRows(rows), epoch)

    def close(self) -> None:
        """Release all rows."""
        self.closed.set()
        self._mail.close()
        self.thread.shutdown(wait=False)
        self._store.close()

    def _batches(self, me, actors, token, *steps):
        """The next ``steps`` as they are here."""
        if self._steps is None:
            plan = SpreadPlan(self._layout, self._keep, self._shuffle, self._seed, len(actors))
            self._steps = SpreadSteps(plan, self._seed, self._store, me)
        return self._steps.steps(self._peers(me, actors, token), *steps)

    def _peers(self, me, actors, token) -> Peers:
        return Peers(Post(self._inboxes[self.name], self._mail.send, token, me), actors, me)

    def _part(self, number: int) -> PartSteps:
        """A part, which is given slots of its own when it is asked for the first time."""
        if number not in self._own_parts:
            part = self._parts[number]
            places = self._n_slots + np.arange(part.layout.capacity)
            self._n_slots += len(places)
            steps = PartSteps(part, self._store, places, self._shuffle, (self._seed, number))
            self._own_parts[number] = steps
        return self._own_parts[number]

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


def find_inbox(name: str) -> queue.SimpleQueue:
    """What messages to an actor, or to the server beside it, go to; errors as of `find_actor`."""
    inbox = _inboxes.get(name)
    if inbox is None:
        raise LookupError(f"This process has no {name}: it was closed, or Dask has moved it.")
    return inbox


def receive_partition(name: str, partition: int, rows: RowBlock, epoch: int) -> None:
    """Hand a partition to the actor of this name, if it is in this process."""
    with suppress(LookupError):
        find_actor(name).receive(partition, rows, epoch)
