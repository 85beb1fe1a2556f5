"""Mini-batches whose rows lie on several workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import uuid4

import cloudpickle
import numpy as np

from daskdsml.engine import tree
from daskdsml.engine.cluster import RESENDS
from daskdsml.engine.deliveries import Deliveries
from daskdsml.engine.ledger import Ledger
from daskdsml.engine.meeting import pass_rows
from daskdsml.engine.place import Given, Portion, Share, meet_here
from daskdsml.engine.pools import Layout, Load, Plan
from daskdsml.engine.seats import Seats
from daskdsml.engine.shards import split


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

    Attributes
    ----------
    n_rows, steps_per_epoch, in_shape : see `LocalBatches`
    """

    def __init__(self, client, examples, layout: Layout, pieces, keep: bool, shuffle, seed):
        self.n_rows, self.steps_per_epoch = layout.n_rows, layout.n_steps
        self.in_shape = examples.in_shape
        self._layout, self._shuffle, self._seed = layout, shuffle, seed
        self._pass_rows = pass_rows(examples, layout.batch_size)
        self._sources, self._at_home = pieces.sources, pieces.at_home
        # Pieces that share upstream work are made once, and stay with Dask.
        held = pieces.tasks is not None
        self._client = client
        self._dask = Deliveries(client, client.compute(pieces.tasks)) if held else None
        self._keep, self._stay = keep and not held, layout.whole and (keep or held)
        self._packed: tuple = (None, b"")
        n_workers = max(len(client.nthreads()), 1)
        room = -(-layout.capacity // n_workers)
        self._seats = Seats(client, (layout.lengths, self._keep, self._stay, room))
        n = len(self._seats)
        self._known: list[set] = [set() for _ in range(n)]
        self._read, self._read_before = [0] * n, 0
        self._homes: list[np.ndarray] = []
        self._loaded = False
        self._begin(0)

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
        if self._dask is not None:
            return self._run_tasks(packed, state, name)
        todo = {k: list(range(k, n, len(self._seats))) for k in range(min(len(self._seats), n))}
        nodes = []
        for _ in range(RESENDS):
            orders = {
                k: Portion(self._news(k, pieces), pieces, self._pass_rows, packed, state)
                for k, pieces in todo.items()
            }
            answers, lost = self._ask("meet", orders)
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
        self._dask = None

    def _run_tasks(self, packed, state, name):
        """The sum over pieces that Dask holds, by tasks that go where these are."""
        lengths = self._layout.lengths.tolist()
        runs = split(len(lengths), sum(self._client.nthreads().values()))
        tasks = [
            self._client.submit(
                meet_here,
                packed,
                state,
                list(run),
                [self._dask.futures[i] for i in run],
                lengths,
                self._pass_rows,
                key=f"{name}-{uuid4().hex}",
            )
            for run in runs
        ]
        parts = self._client.gather(tasks)
        self._read_before += sum(part.n_rows for part in parts)
        return tree.root(tree.merge((part.nodes for part in parts), len(lengths)), len(lengths))

    def _begin(self, order) -> None:
        """Before an epoch whose pieces come in ``order``: the pool is empty, unless rows stay."""
        n = len(self._seats)
        self._order, self._position = order, -1
        if self._loaded:
            return
        self._ledger = Ledger(self._layout.capacity, n)
        self._loads: list[list] = [[] for _ in range(n)]
        if self._dask is not None:
            self._dask.clear()

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
        if self._dask is not None:
            self._deliver(shares)
        orders = {
            k: self._share(k, packed, state, share, len(slots), key) for k, share in shares.items()
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

    def _share(self, k, packed, state, share, size, key) -> Share:
        (own, places), loads, following = share, self._loads[k], self._following(k)
        pieces, ahead = [i for i, _, _ in loads], [] if following is None else [following]
        if self._dask is not None:
            self._dask.end(self._seats[k], pieces)
            news, following = {}, None
        else:
            news = self._news(k, [*pieces, *ahead])
        return Share(news, loads, following, own, places, size, key, packed, state)

    def _deliver(self, places) -> None:
        """Have what places are to load now, and next, brought to them."""
        for k in places:
            following = self._following(k)
            pieces = [piece for piece, _, _ in self._loads[k]]
            self._dask.begin(self._seats[k], pieces if following is None else [*pieces, following])

    def _ask(self, method, orders):
        answers, lost = self._seats.ask(method, orders)
        for k, answer in answers.items():
            self._read[k] = answer.n_rows_read
        for k in answers:
            self._known[k].update(getattr(orders[k], "sources", ()))
        return answers, lost

    def _news(self, k: int, pieces) -> dict:
        """Sources of those pieces that place k does not know yet."""
        return {i: self._source(i) for i in pieces if i not in self._known[k]}

    def _source(self, i: int):
        return Given(self._sources[i]()) if self._at_home else self._sources[i].packed()

    def _pack(self, kernel) -> bytes:
        if self._packed[0] is None or self._packed[0] != kernel:
            self._packed = kernel, cloudpickle.dumps(kernel)
        return self._packed[1]

    def _replace(self, lost) -> None:
        """Have other workers take the places that were lost, with all rows that these held."""
        for k in lost:
            self._seats.replace(k)
            self._read_before += self._read[k]
            self._read[k], self._known[k] = 0, set()
            self._loads[k] = self._ledger.held(k)

    def _given_up(self, lost, name="a step") -> RuntimeError:
        error = RuntimeError(
            f"Workers that held rows were lost {RESENDS} times during {name}: "
            f"{next(iter(lost.values()))!r}. Look at the logs of the workers for what ends them."
        )
        error.__cause__ = next(iter(lost.values()))
        return error
