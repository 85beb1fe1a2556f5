"""Deliveries: pieces that Dask holds, brought to the places of a pool by tasks of their own."""

from __future__ import annotations

from uuid import uuid4

from daskdsml.engine.place import deliver
from daskdsml.engine.seats import LOOK_SECONDS


class Deliveries:
    """Pieces on their way to places.

    Parameters
    ----------
    client : distributed.Client
    futures : list
        What holds the `Rows` of each piece.
    """

    def __init__(self, client, futures):
        self._client, self.futures = client, futures
        self._under_way: dict = {}

    def begin(self, seat, pieces) -> None:
        """Send pieces to a seat, unless they are on their way."""
        for i in pieces:
            if (seat.name, i) not in self._under_way:
                # The task must run where the place is; whether that worker lives is looked at
                # while it is waited for.
                self._under_way[seat.name, i] = self._client.submit(
                    deliver,
                    seat.name,
                    i,
                    self.futures[i],
                    key=f"daskdsml-deliver-{uuid4().hex}",
                    workers=[seat.worker],
                )

    def end(self, seat, pieces) -> None:
        """Wait until pieces are there, or the seat's worker is lost."""
        for i in pieces:
            task = self._under_way.pop((seat.name, i), None)
            while task is not None:
                try:
                    task.result(timeout=LOOK_SECONDS)
                except TimeoutError:
                    if task.done():
                        raise  # it is the read itself that timed out
                    if seat.worker in self._client.nthreads():
                        continue
                    task.cancel()
                break

    def clear(self) -> None:
        """Forget what is on its way; it is not wanted any more."""
        self._under_way = {}
