"""Seats: the places of a cluster, replaced when their workers are lost."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import uuid4

from daskdsml.engine.cluster import RESENDS, SEND_SECONDS
from daskdsml.engine.parcels import pack, unpack
from daskdsml.engine.place import Answer, Place

# How often to look whether a worker that has not answered yet is still there.
LOOK_SECONDS = 1.0
# How long to wait for a worker that takes a place.
START_SECONDS = 60.0


class Seat(NamedTuple):
    """A place: its name, the address of its worker, and the actor that it is."""

    name: str
    worker: str
    future: Any
    actor: Any


class Seats:
    """Actors on workers, called without the scheduler in between.

    Parameters
    ----------
    client : distributed.Client
    arguments : tuple
        What a `Place` is made from.
    """

    def __init__(self, client, arguments: tuple):
        from distributed import Client

        # A client of its own speaks to workers directly, whatever the user's does.
        self._client = Client(
            client.scheduler.address,
            security=client.security,
            set_as_default=False,
            direct_to_workers=True,
        )
        self._arguments = arguments
        try:
            self._seats = [self._taken(worker) for worker in self._workers()]
        except BaseException:
            self._client.close()
            raise

    def __len__(self) -> int:
        return len(self._seats)

    def __getitem__(self, i: int) -> Seat:
        return self._seats[i]

    def ask(self, method: str, orders: dict) -> tuple[dict[int, Answer], dict[int, Exception]]:
        """Call a method of places at once: their answers, and what tells that a place is lost."""
        parcels = {i: pack(order, "What workers are sent") for i, order in orders.items()}
        answers, lost, asked = {}, {}, {}
        for i, parcel in parcels.items():
            try:
                asked[i] = getattr(self._seats[i].actor, method)(parcel)
            except RuntimeError as error:
                lost[i] = error
        for i, call in asked.items():
            try:
                answers[i] = self._waited(i, call)
            except Exception as error:
                lost[i] = error
        for i in sorted(answers):
            if answers[i].failure is not None:
                raise answers[i].failure.told(self._seats[i].worker)
            value = unpack(answers[i].value, "What a worker answers")
            answers[i] = answers[i]._replace(value=value)
        return answers, lost

    def replace(self, i: int) -> None:
        """Have another worker, or the same one started again, take a place that was lost."""
        others = [seat.worker for j, seat in enumerate(self._seats) if j != i]
        self._seats[i] = self._taken(min(self._workers(), key=others.count))

    def close(self) -> None:
        """Let go of all rows and of the actors that hold them; those that are busy do so later."""
        seats, self._seats = self._seats, []
        until = time.monotonic() + SEND_SECONDS
        try:
            calls = []
            for seat in seats:
                with suppress(RuntimeError):  # its worker is lost, and the rows with it
                    calls.append(seat.actor.close())
            for call in calls:
                with suppress(Exception):  # it is lost by now, or still busy
                    call.result(timeout=max(until - time.monotonic(), 0.0))
        finally:
            self._client.close()

    def _waited(self, i, call) -> Answer:
        while True:
            try:
                return call.result(timeout=LOOK_SECONDS)
            except TimeoutError:
                if self._seats[i].future.status != "finished":
                    raise

    def _workers(self) -> list[str]:
        """Addresses of all workers, once there is one."""
        until = time.monotonic() + START_SECONDS
        while not (workers := sorted(self._client.nthreads())):
            if time.monotonic() > until:
                raise RuntimeError(
                    f"The cluster had no worker for {START_SECONDS:g} seconds. Start some."
                )
            time.sleep(0.1)
        return workers

    def _taken(self, worker: str) -> Seat:
        """Have a worker take a place, or another one if it is lost before it has."""
        for _ in range(RESENDS):
            try:
                return self._seated(worker)
            except RuntimeError as error:
                left, lost = self._workers(), error
                if worker in left:
                    raise
                worker = left[0]
        raise lost

    def _seated(self, worker: str) -> Seat:
        name = f"daskdsml-place-{uuid4().hex}"
        future = self._client.submit(
            Place,
            name,
            *self._arguments,
            actor=True,
            key=name,
            workers=[worker],
            allow_other_workers=True,
        )
        try:
            with self._client.as_current():
                actor = future.result(timeout=START_SECONDS)
        except TimeoutError as error:
            raise RuntimeError(
                f"No worker took rows of the data in {START_SECONDS:g} seconds. Look at the "
                "cluster's dashboard for workers that are busy or paused."
            ) from error
        holders = self._client.who_has([future]).get(name, ())
        seat = Seat(name, next(iter(holders), worker), future, actor)
        _reach(seat)
        return seat


def _reach(seat: Seat) -> None:
    try:
        seat.actor.ready().result(timeout=START_SECONDS)
    except OSError as error:
        raise RuntimeError(
            f"Worker {seat.worker} cannot be reached from this process ({error}), and training on "
            "mini-batches speaks to workers without the scheduler in between. Run where workers "
            "can be reached, or without the cluster: dask.config.set(scheduler='threads')."
        ) from error
