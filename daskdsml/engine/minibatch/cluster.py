"""Mini-batches whose rows lie on several workers of a Dask cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import cloudpickle
import numpy as np

from daskdsml.data.blocks import split
from daskdsml.engine import tree
from daskdsml.engine.minibatch.accumulate import pass_rows
from daskdsml.engine.minibatch.actor_pool import ActorPool
from daskdsml.engine.minibatch.parts import Round, rounds
from daskdsml.engine.minibatch.shuffle_buffer import EpochPlan, Layout, Load, SlotMap
from daskdsml.engine.minibatch.transfer import Transfer
from daskdsml.engine.scheduling import RESENDS


class ClusterStep(NamedTuple):
    """A mini-batch on the workers; it can be run until the next one is asked for."""

    batches: Any
    slots: np.ndarray
    key: tuple

    @property
    def n_rows(self) -> int:
        return len(self.slots)

    def run(self, kernel, state):
        """The sum of what the kernel returns at all actors that have rows of the batch."""
        return self.batches.step(kernel, state, self.slots, self.key)


class ClusterBatches:
    """`Batches` on the workers of a Dask client.

    Each worker has an actor that holds some of the buffer's rows. A step goes to the actors with
    rows of the batch, and sums are added in the order of the actors. An actor whose worker is lost
    is started on another one, which reads the rows it held again; then the same step is made again.
    Workers that join later get no actor but those that were lost.
    """

    def __init__(
        self, client, examples, layout: Layout, partitions, keep: bool, shuffle, seed, parts=()
    ):
        self.n_rows, self.steps_per_epoch = layout.n_rows, layout.n_steps
        self.in_shape = examples.in_shape
        self._examples = examples  # Dask forgets persisted chunks that nobody holds
        self._layout, self._shuffle, self._seed = layout, shuffle, seed
        self._pass_rows = pass_rows(examples, layout.batch_size)
        self._keep, self._stay = keep, keep and layout.whole
        self._pickled: tuple = (None, b"")
        n_workers = max(len(client.nthreads()), 1)
        room = -(-layout.capacity // n_workers)
        self.parts = parts
        how = (layout.lengths, self._keep, self._stay, room, parts, shuffle, seed)
        self._actors = ActorPool(client, how)
        self._transfer: Any = Transfer(client, self._actors, partitions, keep)
        self._n_rows_by_dask = 0
        self._loaded = False
        self._begin([])

    def epoch(self, epoch: int) -> Iterator[ClusterStep]:
        """The mini-batches of an epoch, each row in one of them; the last one may be smaller."""
        plan = EpochPlan(self._layout, (self._seed,), epoch, self._shuffle)
        self._begin(plan.order)
        step = 0
        for event in plan:
            if isinstance(event, Load):
                if not self._loaded:
                    self._load(event)
                continue
            self._loaded = self._stay
            yield ClusterStep(self, event, (self._seed, epoch, step))
            step += 1
            if not self._stay:
                self._slot_map.free(event)

    def step(self, kernel, state, slots, key):
        """The sum of what the kernel returns at all actors that have rows in ``slots``."""
        pickled = self._pickle(kernel)
        for _ in range(RESENDS):
            lost, total = self._attempt(pickled, state, slots, key)
            if not lost:
                return total
            self._replace(lost)
        raise _too_often(lost, "a step")

    def run(self, kernel, state, name: str):
        """Sum of ``kernel(state, batch)`` over all rows in order; ``name`` says what it is for."""
        pickled, n = self._pickle(kernel), len(self._layout.lengths)
        futures = self._transfer.futures
        if futures is not None and not self._keep:
            lengths = self._layout.lengths.tolist()
            total = futures.run(pickled, state, lengths, self._pass_rows, name)
            self._n_rows_by_dask += total.n_rows
            return tree.root(total.nodes, n)
        n_actors = len(self._actors.handles)
        todo = {k: list(range(k, n, n_actors)) for k in range(min(n_actors, n))}
        self._transfer.expect(range(n))
        return self._spread("accumulate", todo, todo, (self._pass_rows, pickled, state), n, name)

    def advance(self, kernel, state, *steps: int):
        """The sum of ``kernel(state, batches)`` over the parts; ``steps`` as of `parts.advance`."""
        n, pickled = len(self.parts), self._pickle(kernel)
        todo = {k: list(own) for k, own in enumerate(split(n, len(self._actors.handles)))}
        wanted = {
            k: np.concatenate([self.parts[i].partitions for i in own]).tolist()
            for k, own in todo.items()
        }
        return self._spread("advance", todo, wanted, (steps, pickled, state), n, "a round")

    def _spread(self, method, todo, wanted, arguments, n_leaves, name):
        """The sum of what a method of the actors gives for what each has ``todo``.

        For that an actor needs the partitions ``wanted`` of it.
        """
        nodes = []
        for _ in range(RESENDS):
            lost = self._transfer.bring({k: wanted[k] for k in todo})
            if not lost:
                requests = {
                    k: (self._transfer.sources(k, wanted[k]), own, *arguments)
                    for k, own in todo.items()
                }
                replies, lost = self._actors.ask(method, requests)
                nodes += [replies[k].value.nodes for k in sorted(replies)]
                todo = {k: own for k, own in todo.items() if k in lost}
            if not todo:
                return tree.root(tree.merge(nodes, n_leaves), n_leaves)
            self._replace(lost)
        raise _too_often(lost, name)

    @property
    def n_rows_read(self) -> int:
        """Rows read so far by all actors, and by tasks of Dask."""
        return self._n_rows_by_dask + self._actors.n_rows_read

    def close(self) -> None:
        """Release the actors and all they hold."""
        self._actors.close()
        self._transfer = self._examples = None

    def _begin(self, order) -> None:
        """Before an epoch whose partitions come in ``order``: no row is loaded unless rows stay."""
        if self._loaded:
            return
        n_actors = len(self._actors.handles)
        self._slot_map = SlotMap(self._layout.capacity, n_actors)
        self._loads: list[list] = [[] for _ in range(n_actors)]
        self._coming: list[deque] = [deque() for _ in range(n_actors)]
        for position, partition in enumerate(order):
            self._coming[self._actor_of(position, partition)].append(partition)
        self._transfer.begin(order)

    def _actor_of(self, position: int, partition: int) -> int:
        """The actor of a partition: always the same if it stays, else in turn, for equal parts."""
        return (partition if self._keep else position) % len(self._actors.handles)

    def _load(self, event: Load) -> None:
        actor = self._actor_of(event.position, event.partition)
        self._coming[actor].popleft()
        own = self._slot_map.load(actor, event.partition, event.slots)
        self._loads[actor].append((event.partition, None, own))

    def _attempt(self, pickled, state, slots, key):
        """The actors that were lost, with their errors, or none and the sum over all actors."""
        parts = self._slot_map.parts(slots)
        following = {k: next(iter(self._coming[k]), None) for k in parts}
        wanted = {k: [i for i, *_ in self._loads[k]] for k in parts}
        lost = self._transfer.bring(wanted, following)
        if lost:
            return lost, None
        requests = {}
        for k, (own, positions) in parts.items():
            ahead = following[k]
            sources = self._transfer.sources(k, wanted[k] + ([] if ahead is None else [ahead]))
            if self._transfer.futures is not None:
                ahead = None  # a transfer is under way, there is nothing to be read
            part = (self._loads[k], ahead, own, positions, len(slots), key)
            requests[k] = (sources, *part, pickled, state)
        replies, lost = self._actors.ask("step", requests)
        for k in replies:
            self._loads[k] = []
        while not lost:
            ended = {reply.ended for reply in replies.values()}
            if len(ended) > 1:
                raise RuntimeError(
                    "A kernel yielded on one actor and ended on another: it must yield as often "
                    "wherever rows of a batch are."
                )
            total = None
            for k in parts:
                total = replies[k].value if total is None else total + replies[k].value
            if ended == {True}:
                return lost, total
            replies, lost = self._actors.ask("resume", dict.fromkeys(parts, ({}, total)))
        return lost, None

    def _pickle(self, kernel) -> bytes:
        if self._pickled[0] is None or self._pickled[0] != kernel:
            self._pickled = kernel, cloudpickle.dumps(kernel)
        return self._pickled[1]

    def _replace(self, lost) -> None:
        """Start the actors that were lost on other workers, with all rows that these held."""
        for k in lost:
            self._actors.replace(k)
            self._loads[k] = self._slot_map.held(k)
            self._transfer.expect(i for i, *_ in self._loads[k])


class ClusterParts:
    """`Parts` on the workers, of `ClusterBatches` whose rows are cut into them.

    Neighbouring parts go to one actor.
    """

    def __init__(self, batches: ClusterBatches):
        self._batches = batches
        self.n_rows, self.in_shape = batches.n_rows, batches.in_shape
        self.run, self.advance, self.close = batches.run, batches.advance, batches.close
        self.steps_per_epoch = max(part.layout.n_steps for part in batches.parts)

    def rounds(self, epoch: int, count: int | None) -> Iterator[Round]:
        """See `daskdsml.engine.minibatch.parts.rounds`."""
        return rounds(self, epoch, count)

    @property
    def n_rows_read(self) -> int:
        """Rows read so far by all actors."""
        return self._batches.n_rows_read


def _too_often(lost, name) -> RuntimeError:
    cause = next(iter(lost.values()))
    error = RuntimeError(
        f"Workers that held rows were lost {RESENDS} times during {name}: {cause!r}. Look at the "
        "logs of the workers for what ends them."
    )
    error.__cause__ = cause
    return error
