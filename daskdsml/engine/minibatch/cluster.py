"""Mini-batches whose rows lie on several workers of a Dask cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import cloudpickle
import numpy as np

from daskdsml.data.blocks import split
from daskdsml.engine import tree
from daskdsml.engine.minibatch.accumulate import pass_rows
from daskdsml.engine.minibatch.actor_pool import ActorPool, too_often
from daskdsml.engine.minibatch.parts import Round, rounds
from daskdsml.engine.minibatch.served import joined
from daskdsml.engine.minibatch.shuffle_buffer import Layout
from daskdsml.engine.minibatch.spread import SpreadPlan
from daskdsml.engine.minibatch.transfer import Transfer
from daskdsml.engine.scheduling import RESENDS

# How long workers train until this process hears of them.
ROUND_SECONDS = 0.5


class ClusterRound(NamedTuple):
    """Some mini-batches on the workers; they can be run until the next ones are asked for."""

    batches: Any
    steps: tuple[int, int, int]

    def run(self, kernel, state):
        """What ``kernel(state, batches)`` returns, which all actors run alike."""
        return self.batches.advance(kernel, state, self.steps)[0]

    def serve(self, step, state, staleness, n_servers):
        """See `daskdsml.network_contracts.Batches`."""
        options = (staleness, n_servers)
        return joined(state, self.batches.advance(step, state, self.steps, "serve", *options))


class ClusterStep(NamedTuple):
    """A mini-batch on the workers; it can be run until the next one is asked for."""

    round: ClusterRound
    n_rows: int

    def run(self, kernel, state):
        """The sum of what the kernel returns at all actors that have rows of the batch."""
        return self.round.run(OneStep(kernel), state)


class OneStep(NamedTuple):
    """Kernel of a round: another kernel's sum over one mini-batch."""

    kernel: Any

    def __call__(self, state, batches):
        (total,) = (batch.run(self.kernel, state) for batch in batches)
        return total


class ClusterBatches:
    """`Batches` on the workers of a Dask client.

    Each worker has an actor that holds some of the buffer's rows. The actors make steps alike, and
    add among themselves what these need, in the order of the actors; this process hears of them
    some times a second. An actor whose worker is lost is started on another one, which reads the
    rows it held again; then what was not heard of is made again. Workers that join later get no
    actor but those that were lost, or that share a worker when an epoch begins.
    """

    def __init__(
        self, client, examples, layout: Layout, partitions, keep: bool, shuffle, seed, parts=()
    ):
        self.n_rows, self.steps_per_epoch = layout.n_rows, layout.n_steps
        self.in_shape = examples.in_shape
        self._examples = examples  # Dask forgets persisted chunks that nobody holds
        self._layout, self._keep, self.parts = layout, keep, parts
        self._pass_rows = pass_rows(examples, layout.batch_size)
        self._pickled: tuple = (None, b"")
        room = -(-layout.capacity // max(len(client.nthreads()), 1))
        self._actors = ActorPool(client, (layout, keep, room, parts, shuffle, seed))
        self._plan = SpreadPlan(layout, keep, shuffle, seed, len(self._actors.handles))
        self._transfer: Any = Transfer(client, self._actors, partitions, keep)
        self._wanted = Wanted(self._plan, self._transfer.futures is not None and not keep)
        self._n_rows_by_dask, self._count, self._begun = 0, 1, -1

    def epoch(self, epoch: int) -> Iterator[ClusterStep]:
        """The mini-batches of an epoch, each row in one of them; the last one may be smaller."""
        for step, n_rows in enumerate(self._plan.sizes(epoch)):
            yield ClusterStep(ClusterRound(self, (epoch, step, 1)), n_rows)

    def rounds(self, epoch: int, first: int = 0) -> Iterator[ClusterRound]:
        """The mini-batches of an epoch from the ``first`` on.

        They come as many at a time as take `ROUND_SECONDS` or so.
        """
        while first < self.steps_per_epoch:
            begun, count = time.monotonic(), min(self._count, self.steps_per_epoch - first)
            yield ClusterRound(self, (epoch, first, count))
            first += count
            short = time.monotonic() - begun < ROUND_SECONDS / 2
            if short and count == self._count and not self._wanted.one_by_one:
                self._count *= 2

    def advance(self, kernel, state, steps, method="advance", *options) -> list:
        """What all actors give by a method for ``steps``: epoch, the first one and how many."""
        pickled, (epoch, first, _) = self._pickle(kernel), steps
        if not first or self._begun != epoch:
            self._begun = epoch
            self._actors.move_apart()
            self._transfer.begin(sum(self._plan.own(epoch), []))
        wanted = self._wanted.of(epoch, first)

        def bring(lost):
            nonlocal wanted
            wanted = wanted if lost is None else self._wanted.again(epoch, first, lost)
            return self._transfer.bring(dict(enumerate(wanted)))

        def request(k, actors, token):
            told = (k, actors, token, steps, pickled, state, *options)
            return (self._transfer.sources(k, wanted[k]), *told)

        return self._actors.together(method, bring, request)

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

    def advance_parts(self, kernel, state, *steps: int):
        """The sum of ``kernel(state, batches)`` over the parts; ``steps`` as of `parts.advance`."""
        if not steps[1]:
            self._actors.move_apart()
        n, pickled = len(self.parts), self._pickle(kernel)
        todo = {k: list(own) for k, own in enumerate(split(n, len(self._actors.handles)))}
        wanted = {
            k: np.concatenate([self.parts[i].partitions for i in own]).tolist()
            for k, own in todo.items()
        }
        return self._spread("advance_parts", todo, wanted, (steps, pickled, state), n, "a round")

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
            for k in lost:
                self._actors.replace(k)
        raise too_often(lost, name)

    @property
    def n_rows_read(self) -> int:
        """Rows read so far by all actors, and by tasks of Dask."""
        return self._n_rows_by_dask + self._actors.n_rows_read

    def close(self) -> None:
        """Release the actors and all they hold."""
        self._actors.close()
        self._transfer = self._examples = None

    def _pickle(self, kernel) -> bytes:
        known = self._pickled[0]
        # Tuples of the same content are equal, whatever they are.
        if type(known) is not type(kernel) or known != kernel:
            self._pickled = kernel, cloudpickle.dumps(kernel)
        return self._pickled[1]


class Wanted:
    """Which partitions each actor needs: to read them, those of the epoch, so that sources go once.

    Those that Dask makes anew each epoch, and that actors do not keep, are needed ``one_by_one``.
    """

    def __init__(self, plan: SpreadPlan, one_by_one: bool):
        self._plan, self.one_by_one = plan, one_by_one
        self._own: tuple = (-1, [])
        self._place, self._coming = (-1, 0), plan.steps(0)

    def of(self, epoch: int, step: int) -> list[list[int]]:
        """Partitions of each actor at a step."""
        if not self.one_by_one:
            if self._own[0] != epoch:
                self._own = (epoch, self._plan.own(epoch))
            return self._own[1]
        goes_on = self._place == (epoch, step)
        if not goes_on:
            self._coming = self._plan.steps(epoch)
        planned = list(islice(self._coming, 1 if goes_on else step + 1))[-1]
        self._place = (epoch, step + 1)
        if step and not goes_on:
            return self.again(epoch, step, range(self._plan.n_actors))
        return [[partition for partition, *_ in own] for own in planned.loads]

    def again(self, epoch: int, step: int, lost) -> list[list[int]]:
        """Those of a step that is made again with new actors for those that were ``lost``."""
        if not self.one_by_one:
            return self.of(epoch, step)
        held = self._plan.slot_map.held
        return [[i for i, *_ in held(k)] if k in lost else [] for k in range(self._plan.n_actors)]


class ClusterParts:
    """`Parts` on the workers, of `ClusterBatches` whose rows are cut into them.

    Neighbouring parts go to one actor.
    """

    def __init__(self, batches: ClusterBatches):
        self._batches = batches
        self.n_rows, self.in_shape = batches.n_rows, batches.in_shape
        self.run, self.advance, self.close = batches.run, batches.advance_parts, batches.close
        self.steps_per_epoch = max(part.layout.n_steps for part in batches.parts)

    def rounds(self, epoch: int, count: int | None, first: int = 0) -> Iterator[Round]:
        """See `daskdsml.engine.minibatch.parts.rounds`."""
        return rounds(self, epoch, count, first)

    @property
    def n_rows_read(self) -> int:
        """Rows read so far by all actors."""
        return self._batches.n_rows_read
