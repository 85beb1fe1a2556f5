"""Supply: what places know of the pieces, and how the rows that they cannot read come to them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from daskdsml.engine.deliveries import Deliveries
from daskdsml.engine.making import Making
from daskdsml.engine.place import Given, Portion
from daskdsml.engine.seats import Seats

# Rows come to a place in runs of this many bytes: all at once, they would be in memory twice, in
# the message and where they are read to.
RUN_BYTES = 2**24


class Supply:
    """Pieces for the places of a pool.

    Places read pieces from recipes that they are sent, unless Dask has to make the pieces or only
    this process can read them: then the rows themselves are brought.

    Parameters
    ----------
    client : distributed.Client
    seats : Seats
    pieces : Pieces
    keep : bool
        Whether places keep what they have read.

    Attributes
    ----------
    making : Making or None
        What makes pieces, if Dask does.
    """

    def __init__(self, client, seats: Seats, pieces, keep: bool):
        self._seats, self._keep = seats, keep
        self._sources, self._lengths = pieces.sources, pieces.lengths
        self._run_rows = max(int(RUN_BYTES / max(pieces.row_bytes, 1.0)), 1)
        self._known: list[set] = [set() for _ in range(len(seats))]
        self._at_home, self.making = pieces.at_home, None
        if pieces.tasks is not None:
            self.making = Making(client, pieces.tasks, pieces.at_once)
            self._deliveries = Deliveries(client, self.making)

    def sources(self, k: int, pieces) -> dict:
        """How place k can read those pieces that it does not know yet and that are not brought."""
        if self.making is not None:
            return {}
        return {i: self._sources[i].packed() for i in pieces if i not in self._known[k]}

    def learned(self, k: int, pieces) -> None:
        """Place k has been told how to read pieces."""
        self._known[k].update(pieces)

    def forget(self, k: int) -> None:
        """Place k is taken by a worker that knows nothing."""
        self._known[k] = set()

    def begin(self, pieces) -> None:
        """Begin an epoch that wants pieces."""
        if self.making is not None and not self._keep:
            self._deliveries.clear()
        self.expect(pieces)

    def expect(self, pieces) -> None:
        """Tell which pieces will be wanted."""
        if self.making is not None:
            self.making.expect(list(set(pieces).difference(*self._known)))

    def bring(self, kernel: bytes, wanted: dict, following=None) -> dict[int, Exception]:
        """Bring to each place those rows of the pieces wanted that it cannot read for itself.

        ``following`` is a piece for each place that it will want next, or None.

        Returns
        -------
        lost : dict
            What tells that a place is lost; then not all has been brought.
        """
        if self.making is None and not self._at_home:
            return {}
        new = {k: self._unknown(k, pieces) for k, pieces in wanted.items()}
        for runs in zip_longest(*map(self._runs, new.values()), fillvalue=[]):
            lost = self._carry(kernel, dict(zip(new, runs, strict=True)))
            if lost:
                return lost
        ahead = {
            k: [] if i is None else self._unknown(k, [i]) for k, i in (following or {}).items()
        }
        if self.making is None:
            return self._send(kernel, ahead)
        for k, pieces in ahead.items():
            self._deliveries.begin(self._seats[k], pieces)
        return {}

    def _unknown(self, k, pieces) -> list[int]:
        return [i for i in pieces if i not in self._known[k]]

    def _runs(self, pieces) -> Iterator[list[int]]:
        run, n_rows = [], 0
        for i in pieces:
            run.append(i)
            n_rows += self._lengths[i]
            if n_rows >= self._run_rows:
                yield run
                run, n_rows = [], 0
        yield run

    def _carry(self, kernel, pieces):
        return self._send(kernel, pieces) if self.making is None else self._deliver(pieces)

    def _send(self, kernel, pieces) -> dict[int, Exception]:
        """Send rows of this process."""
        orders = {
            k: Portion({i: Given(self._sources[i]()) for i in run}, [], 0, kernel, None)
            for k, run in pieces.items()
            if run
        }
        answers, lost = self._seats.ask("meet", orders)
        for k in answers:
            self.learned(k, orders[k].sources)
        return lost

    def _deliver(self, pieces) -> dict[int, Exception]:
        """Have Dask hand pieces to places, and hold them no longer."""
        for k, run in pieces.items():
            self._deliveries.begin(self._seats[k], run)
        for k, run in pieces.items():
            self._deliveries.end(self._seats[k], run)
            self.making.let_go(run)
            if self._keep:
                self.learned(k, run)
        return {}
