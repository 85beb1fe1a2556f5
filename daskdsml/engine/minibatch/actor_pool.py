"""Actor pool: the actors of a cluster, replaced when their workers are lost."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import uuid4

from distributed import Client, wait

from daskdsml.engine.clients import POLL_SECONDS, Watch
from daskdsml.engine.minibatch.actor import Reply, deserialize, serialize
from daskdsml.engine.minibatch.actor_calls import ActorProxy, keep_worker, start_actor
from daskdsml.engine.scheduling import RESENDS, SEND_SECONDS

# How long to wait for a worker that starts an actor.
START_SECONDS = 60.0


class ActorHandle(NamedTuple):
    """An actor, by its name, on the worker at an address.

    ``futures`` keep it there. It has the ``known`` partitions, or can read them for itself;
    ``transfers`` are tasks that bring others to it, by partition.
    """

    name: str
    worker: str
    futures: list
    actor: Any
    known: set
    transfers: dict


class ActorPool:
    """Actors on workers, called without the scheduler in between.

    Parameters
    ----------
    client : distributed.Client
    arguments : tuple
        What a `TrainingActor` is made from.

    Attributes
    ----------
    handles : list of ActorHandle
    """

    def __init__(self, client, arguments: tuple):
        # A client of its own speaks to workers directly, whatever the user's does.
        self._client = Client(
            client.scheduler.address,
            security=client.security,
            set_as_default=False,
            direct_to_workers=True,
        )
        self._arguments, self._watch = arguments, Watch(client)
        self._n_rows_read: dict[str, int] = {}
        try:
            self.handles = [self._started(worker) for worker in self._workers()]
        except BaseException:
            self._client.close()
            raise

    @property
    def n_rows_read(self) -> int:
        """Rows read so far by all actors, those that were lost included."""
        return sum(self._n_rows_read.values())

    def ask(self, method: str, requests: dict) -> tuple[dict[int, Reply], dict[int, Exception]]:
        """Call a method of actors at once: their replies, and the errors of actors that are lost.

        A request has the sources that an actor is to learn, then the method's arguments.
        """
        payloads = {
            i: serialize(request, "What workers are sent") for i, request in requests.items()
        }
        replies: dict[int, Reply] = {}
        lost: dict[int, Exception] = {}
        calls = {i: self.handles[i].actor.call(method, asked) for i, asked in payloads.items()}
        for i, call in calls.items():
            try:
                replies[i] = self._waited(i, call)
            except Exception as error:
                lost[i] = error
        for i in sorted(replies):
            handle, (_, value, n_rows_read, failure) = self.handles[i], replies[i]
            if failure is not None:
                raise failure.exception(handle.worker)
            replies[i] = replies[i]._replace(value=deserialize(value, "What a worker replies"))
            self._n_rows_read[handle.name] = n_rows_read
            handle.known.update(requests[i][0])
        return replies, lost

    def replace(self, i: int) -> None:
        """Start an actor that was lost on another worker, or on the same one started again."""
        others = [handle.worker for j, handle in enumerate(self.handles) if j != i]
        self.handles[i] = self._started(min(self._workers(), key=others.count))

    def close(self) -> None:
        """Release all rows, and the actors that hold them; those that are busy do so later."""
        handles, self.handles = self.handles, []
        until = time.monotonic() + SEND_SECONDS
        try:
            calls = [handle.actor.call("close") for handle in handles]
            for call in calls:
                with suppress(Exception):  # it is lost, or still busy
                    call.result(timeout=max(until - time.monotonic(), 0.0))
        finally:
            self._client.close()

    def _waited(self, i, call) -> Reply:
        while True:
            try:
                return call.result(timeout=POLL_SECONDS)
            except TimeoutError:
                if self.handles[i].worker not in self._client.nthreads():
                    raise
                self._watch.look()

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

    def _started(self, worker: str) -> ActorHandle:
        """Have a worker take an actor, or another one if it is lost before it has."""
        for _ in range(RESENDS - 1):
            try:
                return self._start_on(worker)
            except RuntimeError:
                workers = self._workers()
                if worker in workers:
                    raise
                worker = workers[0]
        return self._start_on(worker)

    def _start_on(self, worker: str) -> ActorHandle:
        name = f"daskdsml-actor-{uuid4().hex}"
        future = self._client.submit(
            start_actor,
            name,
            *self._arguments,
            key=name,
            workers=[worker],
            allow_other_workers=True,
        )
        try:
            wait([future], timeout=START_SECONDS)
        except TimeoutError as error:
            raise RuntimeError(
                f"No worker took rows of the data in {START_SECONDS:g} seconds. Look at the "
                "cluster's dashboard for workers that are busy or paused."
            ) from error
        if future.status == "error":
            raise future.exception()
        worker = next(iter(self._client.who_has([future]).get(name, ())), worker)
        actor = ActorProxy(self._client, worker, name)
        try:
            actor.call("ready").result(timeout=START_SECONDS)
        except OSError as error:
            raise RuntimeError(
                f"Worker {worker} cannot be reached from this process ({error}), and training on "
                "mini-batches speaks to workers without the scheduler in between. Run where "
                "workers can be reached, or without the cluster: "
                "dask.config.set(scheduler='threads')."
            ) from error
        key = f"daskdsml-keep-{uuid4().hex}"
        kept = self._client.submit(keep_worker, future, key=key, workers=[worker])
        return ActorHandle(name, worker, [future, kept], actor, set(), {})
