"""How training actors are started on workers, kept there, and called without the scheduler."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple

from distributed import get_worker, secede
from distributed.comm import CommClosedError, connect
from distributed.core import Status
from distributed.protocol import to_serialize

from daskdsml.engine.clients import POLL_SECONDS
from daskdsml.engine.minibatch.actor import TrainingActor, find_actor, find_inbox

CALL, MESSAGES = "daskdsml_call_actor", "daskdsml_messages"


def start_actor(name: str, *arguments) -> TrainingActor:
    """Task: make a `TrainingActor`, and have its worker pass on what is asked of it."""
    worker = get_worker()
    worker.handlers |= {CALL: _answer, MESSAGES: _receive}
    return TrainingActor(name, Mail(worker), *arguments)


async def _answer(name: str, method: str, arguments: list) -> dict:
    """What a worker does when an actor of its process is called: run a method on its thread."""
    actor = find_actor(name)
    work = getattr(actor, method)
    result = await asyncio.get_running_loop().run_in_executor(actor.thread, work, *arguments)
    return {"status": "OK", "result": to_serialize(result)}


async def _receive(comm, name: str) -> str:
    """What a worker does with messages to an actor, which may be busy, until no more come."""
    inbox = find_inbox(name)
    with suppress(CommClosedError):
        while True:
            inbox.put((await comm.read())["message"])
    return "dont-reply"


class Mail:
    """Sends messages to the inboxes of actors, of a ``sender`` that is a worker or a client.

    A connection to each actor stays open: to call it for each message would take twice as long.
    """

    def __init__(self, sender):
        self._sender, self._loop = sender, sender.loop.asyncio_loop
        self._comms: dict[tuple[str, str], Any] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    def send(self, worker: str, name: str, message) -> Future:
        """Begin to send a message; the future raises OSError if the actor cannot be reached."""
        sending = self._sent(worker, name, message)
        try:
            return asyncio.run_coroutine_threadsafe(sending, self._loop)
        except RuntimeError as error:  # the loop has ended: this process is about to
            sending.close()
            failed: Future = Future()
            failed.set_exception(OSError(str(error)))
            return failed

    def close(self) -> None:
        """Close all connections."""
        comms, self._comms = self._comms, {}
        with suppress(RuntimeError):  # the loop has ended, and they with it
            for comm in comms.values():
                self._loop.call_soon_threadsafe(comm.abort)

    async def _sent(self, worker, name, message):
        async with self._locks[worker, name]:  # in the order in which they were sent
            comm = self._comms.get((worker, name))
            if comm is None or comm.closed():
                comm = await connect(worker, **self._sender.connection_args)
                await comm.write({"op": MESSAGES, "name": name})
                self._comms[worker, name] = comm
            await comm.write({"message": to_serialize(message)})


def keep_worker(actor: TrainingActor) -> None:
    """Task that lasts until an actor is closed, or not wanted any more.

    It takes none of the worker's threads, but an adaptive cluster does not close a worker that has
    it. `retire_workers` closes it all the same.
    """
    worker = get_worker()
    secede()
    if isinstance(actor, TrainingActor):  # it has not been moved
        while not actor.closed.wait(POLL_SECONDS):
            if actor.name not in worker.data or worker.status in (Status.closing, Status.closed):
                break


class ActorProxy(NamedTuple):
    """An actor on the worker at an address, as seen by a client that speaks to it directly."""

    client: Any
    mail: Mail
    worker: str
    name: str

    def call(self, method: str, *arguments) -> Future:
        """Begin to call a method; the future raises OSError or LookupError if the actor is gone."""
        asked = self._answered(method, arguments)
        return asyncio.run_coroutine_threadsafe(asked, self.client.loop.asyncio_loop)

    def send(self, message) -> Future:
        """Begin to send a message, which it receives although it may be busy."""
        return self.mail.send(self.worker, self.name, message)

    async def _answered(self, method, arguments):
        ask = getattr(self.client.rpc(self.worker), CALL)
        reply = await ask(name=self.name, method=method, arguments=[*map(to_serialize, arguments)])
        return reply["result"]
