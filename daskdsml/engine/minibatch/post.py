"""Messages of a round of steps between those who make it."""

from __future__ import annotations

import queue
from concurrent import futures
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from daskdsml.engine.clients import POLL_SECONDS
from daskdsml.engine.minibatch.payload import addressed, deserialize, serialize


class InterruptedRoundError(Exception):
    """An actor of the round failed or is lost, so that it cannot be finished."""


class Post:
    """Messages from and to number ``me`` of a round, which come into an ``inbox``.

    ``send(worker, name, message)`` begins to send a message, and returns a future. Messages of
    other rounds than that of the ``token`` are forgotten.
    """

    def __init__(self, inbox: queue.SimpleQueue, send, token: str, me: int):
        self._inbox, self._send, self._token, self._me = inbox, send, token, me

    def send(self, value, *addresses: tuple[str, str]) -> list[Future]:
        """Begin to send a value to all addresses; where that fails, `take` raises."""
        payload, sent = serialize(value, "What a kernel yields or returns"), []
        for worker, name in addresses:
            message = self._token, self._me, addressed(payload, worker)
            sent.append(self._send(worker, name, message))
            sent[-1].add_done_callback(self._sent)
        return sent

    def take(self, block: bool = True) -> tuple[int, Any]:
        """Sender and value of the next message.

        Raises
        ------
        queue.Empty
            If there is none, and it is not to wait for one.
        InterruptedRoundError
            If the round has been interrupted.
        """
        while True:
            token, sender, content = self._inbox.get(block)
            if token != self._token:
                continue
            if sender is not None:
                return sender, deserialize(content, "What another worker replies")
            if isinstance(content, Exception) and not isinstance(content, OSError | LookupError):
                raise content
            raise InterruptedRoundError("" if content is None else repr(content))

    def interrupt(self, error: Exception | None = None) -> None:
        """Have `take` raise."""
        self._inbox.put((self._token, None, error))

    def _sent(self, future: Future) -> None:
        if not future.cancelled() and future.exception() is not None:
            self.interrupt(future.exception())  # type: ignore[arg-type]


def wait_for(sent: list[Future], meanwhile) -> None:
    """Wait until messages were sent; a worker that is frozen may never take them.

    Now and then ``meanwhile()`` takes what has come, and may raise.
    """
    while futures.wait(sent, POLL_SECONDS).not_done:
        with suppress(queue.Empty):
            meanwhile()
