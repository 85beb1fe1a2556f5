"""Passes on a Dask cluster: one task per worker thread, over the shards its worker holds."""

from __future__ import annotations

import itertools
from collections import defaultdict
from concurrent.futures import CancelledError
from copy import copy
from functools import partial
from operator import call

import numpy as np
from dask.array.optimization import Alias, Task
from dask.base import is_dask_collection
from dask.blockwise import parse_input
from dask.sizeof import sizeof
from distributed.client import Future

from daskdsml.data.blocks import split
from daskdsml.engine import tree
from daskdsml.engine.chunk_tasks import SentRecipes
from daskdsml.engine.clients import gathered, scheduler_needed, wait_for_worker
from daskdsml.engine.full import shards as shd
from daskdsml.engine.full.parts import KeptParts, dealt, tasks_of_parts, together
from daskdsml.engine.full.reads import NOTHING, Reads
from daskdsml.engine.memory import fits
from daskdsml.engine.scheduling import (
    RESENDS,
    gather_sums,
    new_key,
    on_worker,
    pieces_of,
    sent,
    sent_to_all,
    submitted,
)

# Streams are cut finer than held shards, so that a slow or lost worker costs less, and that an
# adaptive cluster sees a queue that more workers would shorten.
STREAM_TASKS_PER_THREAD, STREAM_TASKS = 2, 32
LOST = ("lost", "cancelled")
# A state of more bytes is sent to the workers before a pass, and not with each of its tasks.
LARGE_STATE = 2**17


class ClusterRows:
    """`Rows` on the workers of a Dask client.

    Tasks prefer the worker that holds their shards and may run on any other; a lost worker means
    that its shards are read, or sent, again.

    Parameters
    ----------
    client : distributed.Client
    shards : list
        How shards are made: `Stream`, or Delayed.
    keep : bool or None
        Whether workers keep the blocks; None until it is known whether they fit.
    scattered : bool
        Whether the rows are in this process and are to be sent to the workers.
    n_parts : int or None
        Parts that each are to be held by one worker; None for runs of neighbouring shards.

    Attributes
    ----------
    n_shards : int
        Runs of chunks that a task takes one or more of.
    read : Reads
        What all passes that ended have read so far.
    """

    def __init__(self, client, shards: list, keep: bool | None, scattered: bool, n_parts=None):
        self._client, self._n_parts = client, n_parts
        self._sent: SentRecipes | None = None
        self._recipes: Future | None = None
        self._last: list[Future] = []
        if not scattered and not is_dask_collection(shards[0]):
            self._sent = SentRecipes(shards)
            shards = [shard._replace(chunks=()) for shard in shards]
        self._sources = list(shards)
        self._shards, self.n_shards = list(self._sources), len(self._sources)
        self._keep = keep
        self._placed: tuple[frozenset, list] = (frozenset(), [])
        self.read, self._kept = Reads(), KeptParts()

    def run(self, kernel, state, name):
        """Sum of ``kernel(state, block)`` over all blocks; tasks are called ``name``."""
        return tree.root(self.sums(kernel, state, name).nodes, self.n_shards)

    def sums(self, kernel, state, name, which=None, seconds=np.inf) -> tree.PartialSums:
        """The sums of ``which`` shards, None for all; of those begun within ``seconds`` or so."""
        work = partial(shd.run_shards, kernel, state, n_shards=self.n_shards)
        which = range(self.n_shards) if which is None else which
        return self._retry(lambda key: self._sum(work, key, which, seconds), name)

    def fold(self, kernel, state, order, name):
        """The state after one block after another, shards in ``order``.

        It goes to the workers that hold the shards, where there are such.
        """
        return self.folded(kernel, shd.Folded(state), order, name).state

    def folded(self, kernel, folded, order, name) -> shd.Folded:
        """A `Folded` after the shards in ``order``, of which it begins those it has time for."""
        work = partial(shd.fold_shards, kernel)
        return self._retry(lambda key: self._fold(work, folded, order, key), name, folded)

    def parts(self, kernel, common, states, name, keep=False, kept=None) -> list:
        """What ``kernel(common, state, kept, rows)`` returns for each part of the rows."""
        call, asked = partial(self._part_futures, name), (kernel, common, states, keep, kept)
        make = self._kept.work
        done = self._retry(lambda _: together(gathered(self._client, make(call, *asked))), name)
        return done.value

    @property
    def n_rows_read(self) -> float:
        """Rows of X read so far."""
        return self.read.n_rows

    def map(self, transform) -> ClusterRows:
        """The same rows with ``transform`` applied to every block."""
        rows = copy(self)
        rows._sources = shd.map_shards(self._sources, transform)
        rows._shards = list(rows._sources)
        if self._held:
            shards = map(parse_input, self._shards)
            tasks = [Task(new_key("encode"), shd.transformed, s, transform) for s in shards]
            rows._shards = submitted(self._client, tasks, [task.key for task in tasks])
        return rows

    def close(self) -> None:
        """Release what workers hold for these rows."""
        self._shards, self._recipes = [], None
        self._last.clear()
        self._kept.forget()

    @property
    def _held(self) -> bool:
        """Whether workers hold the blocks."""
        return isinstance(self._shards[0], Future)

    def _retry(self, attempt, name, before=NOTHING):
        """What ``attempt(key)`` returns, tried again with lost blocks made again.

        ``before`` is what was read before, of what it then tells of as a whole.
        """
        with scheduler_needed(self._client):
            return self._retried(attempt, name, before)

    def _retried(self, attempt, name, before):
        if self._keep is None and self.read.n_bytes:
            self._keep = fits(self.read.n_bytes, self._client, self._n_parts)
        if self._sent is not None and self._recipes is None:
            self._recipes = self._send_recipes()
        if self._keep and not self._held:
            self._hold()
        for _ in range(RESENDS):
            try:
                result = attempt(new_key(name))
            except CancelledError:
                if not self._renew():
                    raise
                continue
            self.read.add(result, before)
            return result
        raise RuntimeError(
            f"Blocks of the data were lost {RESENDS} times during {name!r}: workers that held them "
            "ended, or what they are made of was cancelled. Look at the logs of the workers."
        )

    def _hold(self) -> None:
        """Have each worker read, or be sent, neighbouring shards or those of its parts to keep."""
        threads = self._client.nthreads()
        workers = sorted(threads)
        groups = list(zip(workers, dealt(self.n_shards, self._n_parts, len(workers)), strict=False))
        self._make({i: worker for worker, shards in groups for i in shards})
        self._placed = (frozenset(workers), pieces_of(groups, threads))

    def _make(self, places: dict) -> None:
        """Have shards made, each preferably on the worker that is given for it, or None."""
        if self._sent is None:
            for i, worker in places.items():
                self._shards[i] = self._made(i, worker)
            return
        keys = {new_key("read"): i for i in places}
        recipes = parse_input(self._recipes)
        tasks = [Task(key, shd.hold_sent, self._sources[i], recipes) for key, i in keys.items()]
        near = {key: places[i] for key, i in keys.items()}
        for i, shard in zip(places, submitted(self._client, tasks, list(keys), near), strict=True):
            self._shards[i] = shard

    def _made(self, i: int, worker) -> Future:
        source = self._sources[i]
        if is_dask_collection(source):
            return self._client.compute(source, **on_worker(worker))
        return sent(self._client, shd.hold(source), "rows", worker, direct=True)

    def _send_recipes(self) -> Future:
        wait_for_worker(self._client)
        return sent_to_all(self._client, self._sent, "recipes")

    def _renew(self) -> bool:
        """Send and make again what workers had that were lost; whether there was anything."""
        lost_recipes = getattr(self._recipes, "status", "") in LOST
        if lost_recipes:
            self._recipes = self._send_recipes()
        lost = [i for i, s in enumerate(self._shards) if getattr(s, "status", "") in LOST]
        if lost:
            self._make(dict.fromkeys(lost))
        self._placed = (frozenset(), [])
        self._kept.forget()
        return bool(lost) or lost_recipes

    def _sum(self, work, name, which, seconds) -> tree.PartialSums:
        """The sums that tasks make, each of some shards."""
        if is_dask_collection(self._shards[0]):
            sums = self._client.compute(shd.delayed_sums(work, self._shards, which, name))
            return gather_sums(self._client, sums, self.n_shards)
        pieces = self._held_pieces(which) if self._held else self._stream_pieces(which)
        if seconds < np.inf:  # of a thread's tasks each has its share of the time
            n_threads = sum(self._client.nthreads().values())
            work = partial(work, seconds=seconds * min(n_threads / len(pieces), 1.0))
        if len(pieces) > 1 and sizeof(work.args) > LARGE_STATE:
            work = sent_to_all(self._client, work, "state")
        places = {f"{name}-{number}": worker for number, (worker, _) in enumerate(pieces)}
        keyed = zip(places, pieces, strict=True)
        tasks = [self._task(work, piece, key) for key, (_, piece) in keyed]
        return gather_sums(self._client, tasks, self.n_shards, places, self._last)

    def _fold(self, work, folded, order, name) -> shd.Folded:
        """What the last of a chain of tasks makes, each of what the one before it made."""
        if is_dask_collection(self._shards[0]):
            folded = self._client.compute(shd.delayed_fold(work, self._shards, order, folded, name))
        else:
            pieces = self._runs(order) if self._held else self._stream_pieces(order)
            places = {f"{name}-{link}": worker for link, (worker, _) in enumerate(pieces)}
            tasks = []
            for key, (_, piece) in zip(places, pieces, strict=True):
                tasks.append(self._task(work, piece, key, folded))
                folded = Alias(key)
            (folded,) = submitted(self._client, tasks, [key], places)
        return gathered(self._client, [folded])[0]

    def _part_futures(self, name, *asked) -> list[Future]:
        """Tasks, one for each part, on the worker that holds its first shard."""
        key, pieces = new_key(name), self._placement() if self._held else []
        holder = {i: worker for worker, piece in pieces for i in piece}
        places, made = {}, []
        for k, (own, work, kept) in enumerate(tasks_of_parts(self._shards, *asked)):
            places[f"{key}-{k}"] = holder.get(own[0])
            made.append(self._task(work, own, f"{key}-{k}", parse_input(kept)))
        return submitted(self._client, made, list(places), places)

    def _task(self, work, piece, key, *arguments) -> Task:
        """The task that does ``work``, which may have been sent, on some shards."""
        work, shards = parse_input(work), [(i, self._shards[i]) for i in piece]
        if self._held:
            return Task(key, call, work, parse_input(shards), *arguments)
        return Task(key, shd.run_sent, work, shards, parse_input(self._recipes), *arguments)

    def _stream_pieces(self, order) -> list:
        """Cut shards that are read by any worker into pieces, each for a task."""
        n_threads = sum(self._client.nthreads().values())
        n_tasks = max(n_threads * STREAM_TASKS_PER_THREAD, STREAM_TASKS)
        return [(None, [order[i] for i in piece]) for piece in split(len(order), n_tasks)]

    def _held_pieces(self, which) -> list:
        """Shards that workers hold, cut into pieces, each for a task."""
        wanted = frozenset(which)
        pieces = [(w, [i for i in piece if i in wanted]) for w, piece in self._placement()]
        return [(worker, piece) for worker, piece in pieces if piece]

    def _runs(self, order) -> list:
        """Runs of shards in ``order`` that one worker holds, each for a task."""
        holder = {i: worker for worker, piece in self._placement() for i in piece}
        return [(w, list(run)) for w, run in itertools.groupby(order, key=holder.__getitem__)]

    def _placement(self) -> list:
        """For each task, the worker it should run on and the shards it takes."""
        threads = self._client.nthreads()
        if self._placed[0] != frozenset(threads):
            holders = self._client.who_has(self._shards)
            groups = defaultdict(list)
            for i, shard in enumerate(self._shards):
                groups[min(holders.get(shard.key, ()), default=None)].append(i)
            self._placed = (frozenset(threads), pieces_of(groups.items(), threads))
        return self._placed[1]
