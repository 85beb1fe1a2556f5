"""Mini-batches whose rows lie on several actors, which add up among themselves."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from daskdsml.engine.minibatch.parts import LocalStep
from daskdsml.engine.minibatch.post import Post, wait_for
from daskdsml.engine.minibatch.shuffle_buffer import EpochPlan, Layout, Load, SlotMap
from daskdsml.network_contracts import Batch


class PlannedStep(NamedTuple):
    """One mini-batch, as all actors and the process that trains know of it.

    ``loads`` has for each actor (partition, None for all its rows, slots) to be read before;
    ``parts`` for each that has rows of the batch its slots and their positions in it.
    """

    loads: list[list]
    parts: dict[int, tuple[np.ndarray, np.ndarray]]
    n_rows: int


class SpreadPlan:
    """Which actor has which rows of each mini-batch: decided by layout, seed and actors alone.

    Parameters
    ----------
    layout : Layout
    keep, shuffle : bool
        Whether actors keep what they read; whether rows are drawn at random.
    seed, n_actors : int
    """

    def __init__(self, layout: Layout, keep: bool, shuffle: bool, seed: int, n_actors: int):
        self._layout, self._keep, self._shuffle = layout, keep, shuffle
        self._seed, self.n_actors = seed, n_actors
        self._stay, self._loaded = keep and layout.whole, False
        self.slot_map = SlotMap(layout.capacity, n_actors)

    def own(self, epoch: int) -> list[list[int]]:
        """The partitions of each actor in an epoch, in the order in which they come."""
        own: list[list[int]] = [[] for _ in range(self.n_actors)]
        for position, partition in enumerate(self._plan(epoch).order):
            own[self._actor_of(position, partition)].append(partition)
        return own

    def steps(self, epoch: int) -> Iterator[PlannedStep]:
        """The mini-batches of an epoch."""
        if not self._loaded:
            self.slot_map = SlotMap(self._layout.capacity, self.n_actors)
        loads: list[list] = [[] for _ in range(self.n_actors)]
        for event in self._plan(epoch):
            if isinstance(event, Load):
                if not self._loaded:
                    actor = self._actor_of(event.position, event.partition)
                    slots = self.slot_map.load(actor, event.partition, event.slots)
                    loads[actor].append((event.partition, None, slots))
                continue
            self._loaded = self._stay
            yield PlannedStep(loads, self.slot_map.parts(event), len(event))
            loads = [[] for _ in range(self.n_actors)]
            if not self._stay:
                self.slot_map.free(event)

    def sizes(self, epoch: int) -> Iterator[int]:
        """Rows of each mini-batch of an epoch."""
        return (len(event) for event in self._plan(epoch) if not isinstance(event, Load))

    def _plan(self, epoch) -> EpochPlan:
        return EpochPlan(self._layout, (self._seed,), epoch, self._shuffle)

    def _actor_of(self, position: int, partition: int) -> int:
        """The actor of a partition: always the same if it stays, else in turn, for equal parts."""
        return (partition if self._keep else position) % self.n_actors


class Peers:
    """What the actors of a round, ``(worker, name)`` each in their order, tell each other."""

    def __init__(self, post: Post, actors: list, me: int):
        self._post, self._me = post, me
        self._others = {k: actor for k, actor in enumerate(actors) if k != me}
        self._told: dict[int, deque] = {k: deque() for k in self._others}

    def total(self, mine, speakers):
        """The sum, in the order of the actors, of what all ``speakers`` tell; ``mine`` is one.

        ``mine`` is (whether this is the end, value), or None if this actor is no speaker. Returns
        the same pair for the sum.
        """
        sent = [] if mine is None else self._post.send(mine, *self._others.values())
        told = {k: mine if k == self._me else self._from(k) for k in sorted(speakers)}
        wait_for(sent, partial(self._listen, block=False))
        if len({ended for ended, _ in told.values()}) > 1:
            raise RuntimeError(
                "A kernel yielded on one actor and ended on another: it must yield as often "
                "wherever rows of a batch are."
            )
        (ended, total), *others = told.values()
        for _, value in others:
            total = total + value
        return ended, total

    def _from(self, sender: int):
        while not self._told[sender]:
            self._listen()
        return self._told[sender].popleft()

    def _listen(self, block=True) -> None:
        """Take a message."""
        sender, value = self._post.take(block)
        self._told[sender].append(value)


class SpreadStep(NamedTuple):
    """A mini-batch of which some rows are in the ``store`` of this actor, number ``me``."""

    planned: PlannedStep
    store: Any
    peers: Peers
    me: int
    key: tuple[int, ...]

    @property
    def n_rows(self) -> int:
        return self.planned.n_rows

    def run(self, kernel, state):
        """The sum of what the kernel returns at all actors with rows, which all run it alike."""
        message, own = None, self.own()
        work = None if own is None else kernel(state, own.batch)
        while True:
            ended, message = self.peers.total(_told(work, message), self.planned.parts)
            if ended:
                return message

    def own(self) -> LocalStep | None:
        """Those rows of the batch that are here, None if there are none."""
        if self.me not in self.planned.parts:
            return None
        slots, positions = self.planned.parts[self.me]
        X, y, w, mask = self.store.take(slots)
        return LocalStep(Batch(X, y, w, mask, positions, self.n_rows, self.key))


class ColumnStep(NamedTuple):
    """A mini-batch of which this actor, one of ``n_actors``, has some columns of all its rows."""

    step: LocalStep
    peers: Peers
    n_actors: int

    @property
    def n_rows(self) -> int:
        return self.step.n_rows

    def run(self, kernel, state):
        """What the kernel returns here; what it yields is summed over all actors."""
        work, message = kernel(state, self.step.batch), None
        while True:
            ended, value = _told(work, message)
            if ended:
                return value
            message = self.total(value)

    def total(self, value):
        """The sum of what all actors have of a value."""
        return self.peers.total((False, value), range(self.n_actors))[1]


def _told(work, message):
    """Whether a kernel has ended, and what it yields or returns; None if there is none."""
    if work is None:
        return None
    try:
        return False, work.send(message)
    except StopIteration as end:
        return True, end.value


class SpreadSteps:
    """The mini-batches of an epoch at actor number ``me``, whose rows come into its ``store``."""

    def __init__(self, plan: SpreadPlan, seed: int, store, me: int):
        self._plan, self._seed, self._store, self._me = plan, seed, store, me
        self._last: tuple[Any, Any] = ((-1, -1), None)
        self._coming: Iterator[PlannedStep] = iter(())
        self._order: deque[int] = deque()

    def steps(self, peers: Peers, epoch: int, first: int, count: int) -> Iterator[SpreadStep]:
        """At most ``count`` mini-batches from the ``first`` on, sums of which ``peers`` make."""
        place, planned = self._last
        if place == (epoch, first) and count == 1:  # once more
            yield self._step(place, planned, peers)
            return
        skipped = self._skip(epoch, first)
        for step, planned in zip(range(first, first + count), self._coming, strict=False):
            # What steps that were skipped have left in the buffer, or this one alone.
            self._load(self._plan.slot_map.held(self._me) if skipped else planned.loads[self._me])
            self._drop(planned)
            self._store.expect(next(iter(self._order), None))
            self._last, skipped = ((epoch, step), planned), 0
            yield self._step((epoch, step), planned, peers)

    def _step(self, place, planned, peers) -> SpreadStep:
        return SpreadStep(planned, self._store, peers, self._me, (self._seed, *place))

    def _skip(self, epoch: int, first: int) -> int:
        """Come to a step: how many were left out for that, 0 where training goes on."""
        if self._last[0] == (epoch, first - 1):
            return 0
        self._order = deque(self._plan.own(epoch)[self._me])
        self._coming = self._plan.steps(epoch)
        for planned in islice(self._coming, first):
            self._drop(planned)
        return first

    def _drop(self, planned: PlannedStep) -> None:
        """Forget partitions that come no more in this epoch."""
        for _ in range(min(len(planned.loads[self._me]), len(self._order))):
            self._order.popleft()

    def _load(self, loads) -> None:
        for partition, rows, slots in loads:
            if not self._store.holds(partition):
                self._store.load(partition, rows, slots)
