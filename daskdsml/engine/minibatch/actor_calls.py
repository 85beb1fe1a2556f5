"""How training actors are started on workers, kept there, and called without the scheduler."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any, NamedTuple

from distributed import get_worker, secede
from distributed.core import Status
from distributed.protocol import to_serialize

from daskdsml.engine.clients import POLL_SECONDS
from daskdsml.engine.minibatch.actor import TrainingActor, find_actor

OPERATION = "daskdsml_call_actor"


def start_actor(name: str, *arguments) -> TrainingActor:
    """Task: make a `TrainingActor`, and have its worker pass on what is asked of it."""
    get_worker().handlers[OPERATION] = _answer
    return TrainingActor(name, *arguments)


async def _answer(name: str, method: str, arguments: list) -> dict:
    """What a worker does when an actor of its process is called: run a method on its thread."""
    actor = find_actor(name)
    work = getattr(actor, method)
    result = await asyncio.get_running_loop().run_in_executor(actor.thread, work, *arguments)
    return {"status": "OK", "result": to_serialize(result)}


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
    worker: str
    name: str

    def call(self, method: str, *arguments) -> Future:
        """Begin to call a method; the future raises OSError or LookupError if the actor is gone."""
        asked = self._answered(method, arguments)
        return asyncio.run_coroutine_threadsafe(asked, self.client.loop.asyncio_loop)

    async def _answered(self, method, arguments):
        ask = getattr(self.client.rpc(self.worker), OPERATION)
        reply = await ask(name=self.name, method=method, arguments=[*map(to_serialize, arguments)])
        return reply["result"]
