"""Actor pool: the actors of a cluster, replaced when their workers are lost."""

from __future__ import annotations

import time
from collections import Counter
from concurrent import futures
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import uuid4

from distributed import Client, wait

from daskdsml.engine.clients import POLL_SECONDS, Watch
from daskdsml.engine.minibatch.actor import Reply
from daskdsml.engine.minibatch.actor_calls import ActorProxy, Mail, keep_worker, start_actor
from daskdsml.engine.minibatch.payload import addressed, deserialize, serialize
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
    most : int or None
        Actors at most; None is one for each worker.

    Attributes
    ----------
    handles : list of ActorHandle
    """

    def __init__(self, client, arguments: tuple, most: int | None = None):
        # A client of its own speaks to workers directly, whatever the user's does.
        self._client = Client(
            client.scheduler.address,
            security=client.security,
            set_as_default=False,
            direct_to_workers=True,
        )
        self._arguments, self._watch, self._mail = arguments, Watch(client), Mail(self._client)
        self._n_rows_read: dict[str, int] = {}
        try:
            self.handles = [self._started(worker) for worker in self._workers()[:most]]
        except BaseException:
            self._client.close()
            raise

    @property
    def n_rows_read(self) -> int:
        """Rows read so far by all actors, those that were lost included."""
        return sum(self._n_rows_read.values())

    def ask(self, method: str, requests: dict, token: str | None = None):
        """Call a method of actors at once: their replies, and the errors of actors that are lost.

        A request has the sources that an actor is to learn, then the method's arguments. With the
        ``token`` of a round, of which all actors are needed, the others are interrupted where one
        of them fails or is lost.
        """
        payloads = {
            i: serialize(request, "What workers are sent") for i, request in requests.items()
        }
        calls = {}
        for i, payload in payloads.items():
            handle = self.handles[i]
            calls[i] = handle.actor.call(method, addressed(payload, handle.worker))
        replies, lost = self._waited(calls, token)
        for i in sorted(replies):
            handle, (value, n_rows_read, failure, interrupted) = self.handles[i], replies[i]
            if failure is not None:
                raise failure.exception(handle.worker)
            self._n_rows_read[handle.name] = n_rows_read
            handle.known.update(requests[i][0])
            if interrupted is None:
                replies[i] = replies[i]._replace(value=deserialize(value, "What a worker replies"))
        return replies, lost

    def together(self, method: str, bring, request) -> list:
        """What all actors give by a method in which they tell each other sums, in their order.

        Where some are lost, or cannot reach each other, all is done once more with others for them.

        Parameters
        ----------
        method : str
        bring : callable
            ``bring(lost)`` brings actors what they need, and gives the errors of those that are
            lost meanwhile, by number; ``lost`` are those of the attempt before, None at first.
        request : callable
            ``request(k, actors, token)`` is what actor ``k`` is sent: see `TrainingActor.advance`.
        """
        lost: dict[int, Exception] | None = None
        why = ""
        for _ in range(RESENDS):
            lost = bring(lost)
            if not lost:
                token = uuid4().hex
                actors = [(handle.worker, handle.name) for handle in self.handles]
                requests = {k: request(k, actors, token) for k in range(len(actors))}
                replies, lost = self.ask(method, requests, token)
                reasons = [r.interrupted for r in replies.values() if r.interrupted is not None]
                if not lost and not reasons:
                    return [replies[k].value for k in sorted(replies)]
                why = next(filter(None, reasons), why)
            for k in lost:
                self.replace(k)
        raise too_often(lost, "a step") if lost else _apart(why)

    def replace(self, i: int) -> None:
        """Start an actor that was lost on another worker, or on the same one started again."""
        others = [handle.worker for j, handle in enumerate(self.handles) if j != i]
        self.handles[i] = self._started(min(self._workers(), key=others.count))

    def move_apart(self) -> None:
        """Start an actor that shares its worker anew on one that has none, where there is such."""
        places = Counter(handle.worker for handle in self.handles)
        free = [worker for worker in sorted(self._client.nthreads()) if worker not in places]
        for i, handle in enumerate(self.handles):
            if free and places[handle.worker] > 1:
                places[handle.worker] -= 1
                self.handles[i] = self._started(free.pop(0))
                handle.actor.call("close")

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
            self._mail.close()
            self._client.close()

    def _waited(self, calls, token) -> tuple[dict[int, Reply], dict[int, Exception]]:
        """Replies to calls, and errors of those that are lost."""
        replies: dict[int, Reply] = {}
        lost: dict[int, Exception] = {}
        waiting, interrupted = dict(calls), token is None
        try:
            while waiting:
                done, _ = futures.wait(waiting.values(), POLL_SECONDS, futures.FIRST_COMPLETED)
                if not done:
                    self._look_after(waiting)
                for i in [i for i, call in waiting.items() if call.done()]:
                    try:
                        replies[i] = waiting.pop(i).result()
                    except (Exception, futures.CancelledError) as error:
                        lost[i] = error
                failed = any(r.failure or r.interrupted is not None for r in replies.values())
                if not interrupted and (lost or failed):
                    self._interrupt(waiting, token)
                    interrupted = True
        except BaseException:
            self._interrupt(waiting, token)
            raise
        return replies, lost

    def _look_after(self, waiting) -> None:
        """Give up calls of workers that are gone."""
        workers = self._client.nthreads()
        for i, call in waiting.items():
            if self.handles[i].worker not in workers:
                call.cancel()
        self._watch.look()

    def _interrupt(self, which, token) -> None:
        """Have actors end a round that others will not take part in."""
        for i in which:
            self.handles[i].actor.send((token, None, None))

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
        actor = ActorProxy(self._client, self._mail, worker, name)
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


def _apart(why) -> RuntimeError:
    return RuntimeError(
        f"Workers cannot reach each other ({why}), and training on mini-batches adds gradients "
        "among them. Start them with addresses that all of them can reach, or train without the "
        "cluster: dask.config.set(scheduler='threads')."
    )


def too_often(lost, name) -> RuntimeError:
    """What to raise where actors were ``lost`` again and again."""
    cause = next(iter(lost.values()))
    error = RuntimeError(
        f"Workers that held rows were lost {RESENDS} times during {name}: {cause!r}. Look at the "
        "logs of the workers for what ends them."
    )
    error.__cause__ = cause
    return error
