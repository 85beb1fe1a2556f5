"""Mini-batches whose rows lie on several workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import cloudpickle
import numpy as np

from daskdsml.engine import tree
from daskdsml.engine.cluster import RESENDS
from daskdsml.engine.ledger import Ledger
from daskdsml.engine.meeting import pass_rows
from daskdsml.engine.place import Portion, Share
from daskdsml.engine.pools import Layout, Load, Plan
from daskdsml.engine.seats import Seats
from daskdsml.engine.supply import Supply


class ClusterStep(NamedTuple):
    """A mini-batch on the workers; it can be run until the next one is asked for."""

    batches: Any
    slots: np.ndarray
    key: tuple

    @property
    def n_rows(self) -> int:
        """Rows of the batch."""
        return len(self.slots)

    def run(self, kernel, state):
        """The sum of what the kernel returns at all places that have rows of the batch."""
        return self.batches.step(kernel, state, self.slots, self.key)


class ClusterBatches:
    """Mini-batches of examples on the workers of a Dask client.

    Each worker has a place that holds some of the pool's rows. A step goes to the places with rows
    of the batch, and sums are added in the order of the places. A place whose worker is lost is
    taken by another worker, which reads the rows it held again; then the same step is made again.
    Workers that join later take no place but those that were lost.

    Attributes
    ----------
    n_rows, steps_per_epoch, in_shape : see `LocalBatches`
    """

    def __init__(self, client, examples, layout: Layout, pieces, keep: bool, shuffle, seed):
        self.n_rows, self.steps_per_epoch = layout.n_rows, layout.n_steps
        self.in_shape = examples.in_shape
        self._examples = examples  # Dask forgets persisted chunks that nobody holds
        self._layout, self._shuffle, self._seed = layout, shuffle, seed
        self._pass_rows = pass_rows(examples, layout.batch_size)
        self._keep, self._stay = keep, keep and layout.whole
        self._packed: tuple = (None, b"")
        n_workers = max(len(client.nthreads()), 1)
        room = -(-layout.capacity // n_workers)
        self._seats = Seats(client, (layout.lengths, self._keep, self._stay, room))
        n = len(self._seats)
        self._supply = Supply(client, self._seats, pieces, keep)
        self._read, self._read_before = [0] * n, 0
        self._loaded = False
        self._begin([])

    def epoch(self, epoch: int) -> Iterator[ClusterStep]:
        """The mini-batches of an epoch, each row in one of them; the last one may be smaller."""
        plan = Plan(self._layout, self._seed, epoch, self._shuffle)
        self._begin(plan.order)
        step = 0
        for event in plan:
            if isinstance(event, Load):
                self._load(event)
                continue
            self._loaded = self._stay
            yield ClusterStep(self, event.slots, (self._seed, epoch, step))
            step += 1
            if not self._stay:
                self._ledger.free(event.slots)

    def step(self, kernel, state, slots, key):
        """The sum of what the kernel returns at all places that have rows in ``slots``."""
        packed = self._pack(kernel)
        for _ in range(RESENDS):
            lost, total = self._attempt(packed, state, slots, key)
            if not lost:
                return total
            self._replace(lost)
        raise self._given_up(lost)

    def run(self, kernel, state, name: str):
        """Sum of ``kernel(state, batch)`` over all rows in order; ``name`` says what it is for."""
        packed, n = self._pack(kernel), len(self._layout.lengths)
        making = self._supply.making
        if making is not None and not self._keep:
            lengths = self._layout.lengths.tolist()
            found = making.run(packed, state, lengths, self._pass_rows, name)
            self._read_before += found.n_rows
            return tree.root(found.nodes, n)
        todo = {k: list(range(k, n, len(self._seats))) for k in range(min(len(self._seats), n))}
        self._supply.expect(range(n))
        nodes = []
        for _ in range(RESENDS):
            lost = self._supply.bring(packed, todo)
            if not lost:
                answers, lost = self._ask("meet", self._portions(packed, state, todo))
                nodes += [answers[k].value.nodes for k in sorted(answers)]
                todo = {k: pieces for k, pieces in todo.items() if k in lost}
            if not todo:
                return tree.root(tree.merge(nodes, n), n)
            self._replace(lost)
        raise self._given_up(lost, name)

    @property
    def n_rows_read(self) -> int:
        """Rows read so far by all places."""
        return self._read_before + sum(self._read)

    def close(self) -> None:
        """Let go of the places and all they hold."""
        self._seats.close()
        self._supply = self._examples = None

    def _begin(self, order) -> None:
        """Before an epoch whose pieces come in ``order``: the pool is empty, unless rows stay."""
        n = len(self._seats)
        self._order, self._position = order, -1
        if self._loaded:
            return
        self._ledger = Ledger(self._layout.capacity, n)
        self._loads: list[list] = [[] for _ in range(n)]
        self._supply.begin(map(int, order))

    def _home(self, position: int, piece: int) -> int:
        """The place of a piece: always the same if it stays, in turn if not, for equal shares."""
        return (piece if self._keep or self._stay else position) % len(self._seats)

    def _load(self, event: Load) -> None:
        if self._loaded:
            return
        home = self._home(event.position, event.piece)
        own = self._ledger.load(home, event.piece, event.slots)
        self._loads[home].append((event.piece, None, own))
        self._position = event.position

    def _following(self, place: int) -> int | None:
        """The piece that comes next to a place, if any does in this epoch."""
        if self._loaded:
            return None
        for position in range(self._position + 1, len(self._order)):
            piece = int(self._order[position])
            if self._home(position, piece) == place:
                return piece
        return None

    def _attempt(self, packed, state, slots, key):
        """The places that were lost, with their errors, or none and the sum over all places."""
        shares = self._ledger.shares(slots)
        following = {k: self._following(k) for k in shares}
        wanted = {k: [i for i, *_ in self._loads[k]] for k in shares}
        lost = self._supply.bring(packed, wanted, following)
        if lost:
            return lost, None
        orders = {
            k: self._share(k, packed, state, share, following[k], len(slots), key)
            for k, share in shares.items()
        }
        answers, lost = self._ask("step", orders)
        for k in answers:
            self._loads[k] = []
        while not lost:
            ended = {answer.ended for answer in answers.values()}
            if len(ended) > 1:
                raise RuntimeError(
                    "A kernel yielded at one place and ended at another: it must yield as often "
                    "wherever rows of a batch are."
                )
            total = None
            for k in shares:
                total = answers[k].value if total is None else total + answers[k].value
            if ended == {True}:
                return lost, total
            answers, lost = self._ask("resume", dict.fromkeys(shares, total))
        return lost, None

    def _share(self, k, packed, state, share, following, size, key) -> Share:
        (own, places), loads = share, self._loads[k]
        pieces = [i for i, *_ in loads]
        if following is not None:
            pieces.append(following)
        news = self._supply.sources(k, pieces)
        if self._supply.making is not None:
            following = None  # a delivery is under way, there is nothing to be read
        return Share(news, loads, following, own, places, size, key, packed, state)

    def _portions(self, packed, state, todo) -> dict[int, Portion]:
        return {
            k: Portion(self._supply.sources(k, pieces), pieces, self._pass_rows, packed, state)
            for k, pieces in todo.items()
        }

    def _ask(self, method, orders):
        answers, lost = self._seats.ask(method, orders)
        for k, answer in answers.items():
            self._read[k] = answer.n_rows_read
        for k in answers:
            self._supply.learned(k, getattr(orders[k], "sources", ()))
        return answers, lost

    def _pack(self, kernel) -> bytes:
        if self._packed[0] is None or self._packed[0] != kernel:
            self._packed = kernel, cloudpickle.dumps(kernel)
        return self._packed[1]

    def _replace(self, lost) -> None:
        """Have other workers take the places that were lost, with all rows that these held."""
        for k in lost:
            self._seats.replace(k)
            self._read_before += self._read[k]
            self._read[k] = 0
            self._supply.forget(k)
            self._loads[k] = self._ledger.held(k)
            self._supply.expect(i for i, *_ in self._loads[k])

    def _given_up(self, lost, name="a step") -> RuntimeError:
        error = RuntimeError(
            f"Workers that held rows were lost {RESENDS} times during {name}: "
            f"{next(iter(lost.values()))!r}. Look at the logs of the workers for what ends them."
        )
        error.__cause__ = next(iter(lost.values()))
        return error
