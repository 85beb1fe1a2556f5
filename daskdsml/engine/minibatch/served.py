"""Steps of parameter servers: who holds rows pushes gradients to them, and pulls parameters."""

from __future__ import annotations

import queue
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from daskdsml.data.blocks import split
from daskdsml.engine.minibatch.post import InterruptedRoundError, Post

# A server has about this many parameters, where their number is not told.
PARAMETERS_PER_SERVER = 2**20


class Push(NamedTuple):
    """What a worker measured in mini-batch number ``clock``, at parameters of a ``version``.

    ``measured`` is None where it has no rows of that batch.
    """

    clock: int
    version: int
    measured: Any


class Pulled(NamedTuple):
    """Parameters of a version; None if no more will come, because a step has failed."""

    version: int
    theta: np.ndarray | None


class Server:
    """Parameters and the steps made of what workers push: knows nothing of how they are reached.

    Once all workers have pushed what they measured in mini-batch ``t``, the sum in their order
    makes step ``t``, and the parameters are of version ``t + 1``.

    Parameters
    ----------
    update : callable
        ``update(state, measured)`` gives the next state and a record of the step.
    state
        Where training stands: version 0.
    n_workers : int
    staleness : int
        How many steps may lie between the parameters at which a gradient was measured and those to
        which it is applied.

    Attributes
    ----------
    version : int
    state
        That of the version.
    records : list
        Of the steps made, the last of which may have a failure.
    """

    def __init__(self, update, state, n_workers: int, staleness: int):
        self._update, self._n_workers, self._staleness = update, n_workers, staleness
        self.version, self.state = 0, state
        self.records: list = []
        self._pushed: dict[int, dict] = defaultdict(dict)

    @property
    def failed(self) -> bool:
        """Whether a step has failed, after which none is made."""
        return bool(self.records) and self.records[-1].failure is not None

    def push(self, worker: int, pushed: Push) -> bool:
        """Take what a worker measured; whether that has made a step.

        Raises
        ------
        ValueError
            If it was measured at parameters that are too old, or in a batch that the worker has
            pushed before.
        """
        clock, version, measured = pushed
        if not 0 <= clock - version <= self._staleness:
            raise ValueError(
                f"Worker {worker} measured batch {clock} at parameters of version {version}, but "
                f"staleness={self._staleness} wants {clock - self._staleness} to {clock}."
            )
        if clock < self.version or worker in self._pushed[clock]:
            raise ValueError(f"Worker {worker} has pushed batch {clock} twice.")
        self._pushed[clock][worker] = measured
        if len(self._pushed[self.version]) < self._n_workers or self.failed:
            return False
        parts = self._pushed.pop(self.version)
        present = [parts[k] for k in sorted(parts) if parts[k] is not None]
        total = present[0]
        for part in present[1:]:
            total = total + part
        self.state, record = self._update(self.state, total)
        self.records.append(record)
        self.version += not self.failed
        return True


class Roles(NamedTuple):
    """Who takes part in a round: ``workers`` and ``servers`` are (worker, name) each.

    Server ``k`` is on worker ``k`` and has the parameters ``slices[k]``.
    """

    workers: list[tuple[str, str]]
    servers: list[tuple[str, str]]
    slices: list[slice]


def server_name(actor: str) -> str:
    """The name of the server beside an actor."""
    return f"{actor}-server"


def roles(actors, n_parameters: int, n_servers: int | None) -> Roles:
    """The roles of ``actors``; ``n_servers=None`` is one for about each million parameters."""
    n_servers = -(-n_parameters // PARAMETERS_PER_SERVER) if n_servers is None else n_servers
    n_servers = min(n_servers, len(actors), n_parameters)
    servers = [(worker, server_name(name)) for worker, name in actors[:n_servers]]
    slices = [slice(part.start, part.stop) for part in split(n_parameters, n_servers)]
    return Roles(actors, servers, slices)


def served(step, state, batches, count: int, me: int, parts: Roles, staleness: int, posts):
    """What an actor does in a round: it works, and serves where it has a server.

    Parameters
    ----------
    step : `daskdsml.network_contracts.TrainingStep`
    state
        The train state at which the round begins.
    batches : iterator of ``count`` `SpreadStep`
    me : int
        Number of the actor.
    posts : tuple of two Post
        Of the worker, and of the server.

    Returns
    -------
    state and records of the steps of this server, None where there is none or another one failed
    """
    post, server_post = posts
    if me >= len(parts.servers):
        _work(step, state, batches, count, parts, staleness, post)
        return None
    where = parts.slices[me]
    server = Server(step.of(where).update, state.of(where), len(parts.workers), staleness)
    with ThreadPoolExecutor(1, thread_name_prefix="daskdsml-server") as thread:
        serving = thread.submit(_serve, server, count, posts, parts.workers)
        try:
            _work(step, state, batches, count, parts, staleness, post)
        except InterruptedRoundError:
            server_post.interrupt()
            serving.result()  # the server's own failure, where there is one, is the cause
            raise
        finally:
            server_post.interrupt()  # it has ended, unless another one failed
        with suppress(InterruptedRoundError):
            return serving.result()
    return None


def _serve(server: Server, count: int, posts, workers):
    """Make ``count`` steps of what workers push, and send them the parameters of each."""
    post, server_post = posts
    try:
        with np.errstate(all="ignore"):
            while server.version < count and not server.failed:
                if server.push(*server_post.take()):
                    theta = None if server.failed else server.state.point.theta.copy()
                    server_post.send(Pulled(server.version, theta), *workers)
        return server.state, server.records
    except BaseException:
        post.interrupt()
        raise


def _work(step, state, batches, count: int, parts: Roles, staleness: int, post: Post) -> None:
    """Measure the rows that are here of each batch, and push that to the servers."""
    parameters = _Parameters(post, state.point.theta, parts.slices)
    for clock, batch in enumerate(batches):
        version = parameters.at_least(clock - staleness)
        if version is None:
            return
        own, measured = batch.own(), None
        if own is not None:
            measured = step.measure(state.at(parameters.theta, clock), own)
            if staleness:  # the gradient's buffer is used again before it has been sent
                measured = measured.copy()
        for address, where in zip(parts.servers, parts.slices, strict=True):
            part = None if measured is None else measured.of(where)
            post.send(Push(clock, version, part), address)
    parameters.at_least(count)


class _Parameters:
    """The newest parameters that a worker has got of the servers: ``theta (d,)``, changed here."""

    def __init__(self, post: Post, theta, slices):
        self._post, self._slices = post, slices
        self.theta, self._versions = theta.copy(), [0] * len(slices)

    def at_least(self, version: int) -> int | None:
        """Wait for parameters of a version or a newer one: the oldest now, None after a failure."""
        with suppress(queue.Empty):
            while True:
                server, pulled = self._post.take(min(self._versions) < version)
                if pulled.theta is None:
                    return None
                self._versions[server] = pulled.version
                self.theta[self._slices[server]] = pulled.theta
        return min(self._versions)


def joined(state, values):
    """The train state after a round and records of its steps, of what all actors returned.

    Where a server has failed that is nothing but its last record: others may have gone on.
    """
    ends = [value for value in values if value is not None]
    records = next((own for _, own in ends if own and own[-1].failure is not None), None)
    if records is not None:
        return state, records[-1:]
    told = [step[0].beside(step[1:]) for step in zip(*(own for _, own in ends), strict=True)]
    parts = [part for part, _ in ends]
    borders = np.cumsum([0, *(len(part.point.theta) for part in parts)])
    return state.joined(parts, [slice(*pair) for pair in pairwise(borders)]), told
