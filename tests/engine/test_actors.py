"""Places on workers: what fails there is told here, soon, and nothing stays behind."""

import gc
import os
import signal
import threading
import time
import weakref
from contextlib import closing
from itertools import chain
from typing import NamedTuple

import dask
import dask.array as da
import numpy as np
import pytest
from actor_kernels import (
    Busy,
    Elsewhere,
    ending,
    locked,
    pause_above,
    returning_elsewhere,
    returning_lock,
    sent_pieces,
    two_words,
)
from batch_kernels import column_sums, failing, met
from distributed import Client, LocalCluster, wait
from tables import network_rows, wait_until

from daskdsml.engine import memory
from daskdsml.engine.minibatch import actor_calls, actor_pool, shuffle_buffer, transfer
from daskdsml.engine.minibatch.actor_pool import ActorHandle
from daskdsml.engine.minibatch.batches import open_batches
from daskdsml.engine.minibatch.row_buffer import RowBlock
from daskdsml.engine.minibatch.row_store import RowStore, SentRows
from daskdsml.engine.minibatch.transfer import PartitionFutures

# Nothing here takes more than moments, unless it hangs.
pytestmark = pytest.mark.timeout(120)
N = 600


@pytest.fixture
def opened(client, monkeypatch):
    """Opens batches of numbered rows on the workers, and closes them."""
    monkeypatch.setattr(shuffle_buffer, "PARTITION_BYTES", 50 * 16)
    monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)
    made = []

    def opened(persisted=False, **options):
        X = np.zeros((N, 4), dtype=np.float32)
        X[:, 0] = np.arange(N)
        X = da.from_array(X, chunks=(50, 4))
        examples = network_rows(client.persist(X) if persisted else X, None)
        made.append(open_batches(examples, 64, seed=3, **options))
        return made[-1]

    yield opened
    for batches in made:
        batches.close()


def numbers(batches, epoch):
    """The rows of an epoch, in ascending order."""
    found = [step.run(met, None).numbers for step in batches.epoch(epoch)]
    return sorted(sum(found, []))


@pytest.mark.parametrize("kernel, state, kind, message", [
    (two_words, None, RuntimeError, "worker tcp.*TwoWordsError: bad row"),
    (locked, None, RuntimeError, "worker tcp.*LockedError: bad lock"),
    (ending, None, RuntimeError, "worker tcp.*SystemExit: enough"),
    (returning_lock, None, TypeError, "returns travels .* must pickle.*'_thread.lock"),
    (returning_elsewhere, None, RuntimeError, "replies .* does not unpickle here: ImportError"),
    (column_sums, threading.Lock(), TypeError, "sent travels .* must pickle.*'_thread.lock"),
    (column_sums, Elsewhere(), RuntimeError, "asked for .* does not unpickle here: ImportError"),
])  # fmt: skip
def test_what_does_not_pickle_is_told(opened, kernel, state, kind, message):
    batches = opened()
    with pytest.raises(kind, match=f"(?s){message}"):
        next(batches.epoch(0)).run(kernel, state)
    if kernel is not two_words:  # a pass has nobody to yield to
        with pytest.raises(kind, match=f"(?s){message}"):
            batches.run(kernel, state, "fails")
    assert numbers(batches, 1) == list(range(N))


def test_errors_tell_where_on_a_worker_they_were_raised(opened):
    with pytest.raises(ArithmeticError) as caught:
        next(opened().epoch(0)).run(failing, None)
    (note,) = caught.value.__notes__
    assert note.startswith("Raised on worker tcp://") and "in failing" in note


def test_steps_that_failed_are_made_again_without_rows_sent_again(opened):
    batches = opened(persisted=True)
    steps = batches.epoch(0)
    with pytest.raises(ArithmeticError):
        next(steps).run(failing, None)
    assert sorted(sum((step.run(met, None).numbers for step in batches.epoch(0)), [])) == list(
        range(N)
    )
    assert batches.n_rows_read == N


def rows_of(partition):
    return RowBlock(np.full((50, 4), partition, dtype=np.float32))


PIECE = rows_of(0).n_bytes


@pytest.mark.parametrize("stay", [True, False])
def test_a_piece_read_ahead_is_held_once(stay):
    shelf = RowStore(True, stay, 50)
    shelf.learn({0: lambda: rows_of(0)})
    shelf.expect(0)
    wait_until(lambda: shelf.n_rows_read == 50)
    wait_until(lambda: shelf.n_bytes == PIECE)
    shelf.load(0, None, np.arange(50))
    assert shelf.n_bytes == (PIECE if stay else 2 * PIECE)
    shelf.close()


def test_a_read_ahead_that_fails_is_told_when_it_is_asked_for():
    shelf, tried = RowStore(False, False, 50), threading.Event()

    def broken():
        tried.set()
        raise OSError("disk is gone")

    shelf.learn({0: broken})
    shelf.expect(0)
    assert tried.wait(10)
    assert shelf.n_bytes == 0
    with pytest.raises(OSError, match="disk is gone"):
        shelf.load(0, None, np.arange(50))
    shelf.close()


def test_pieces_sent_for_an_earlier_epoch_are_let_go():
    shelf = RowStore(False, False, 50)
    for partition in (0, 1):
        shelf.receive(partition, SentRows(rows_of(partition)), 1)
    shelf.load(0, None, np.arange(50))
    assert shelf.n_bytes == 2 * PIECE
    shelf.receive(2, SentRows(rows_of(2)), 2)
    shelf.receive(3, SentRows(rows_of(3)), 1)  # it was late
    assert shelf.n_bytes == 2 * PIECE
    shelf.load(2, None, np.arange(50))
    assert shelf.n_bytes == PIECE
    assert (shelf.take(slice(None)).X == 2).all()
    shelf.close()


def test_pieces_sent_again_do_not_stay_beside_those_kept():
    shelf = RowStore(True, False, 50)
    for _ in range(2):
        shelf.learn({0: SentRows(rows_of(0))})
        shelf.load(0, None, np.arange(50))
    assert shelf.n_bytes == 2 * PIECE
    shelf.close()


def test_epochs_that_end_early_leave_nothing_on_workers(client, opened):
    batches = opened(persisted=True, pool_bytes=3000, cache="none")
    for epoch in range(6):
        next(batches.epoch(epoch)).run(met, None)
    # What comes next to each place.
    assert max(map(len, client.run(sent_pieces).values())) <= 1
    assert numbers(batches, 6) == list(range(N))
    assert not sum(client.run(sent_pieces).values(), [])


class Task:
    """Stands for a future of Dask."""

    status = "finished"


class Submitting:
    """Stands for a client, and tells whether anyone still wants the last task."""

    def submit(self, *args, **options):
        task = Task()
        self.wanted = weakref.ref(task)
        return task


def futures_of(client, partitions):
    """Partition futures that Dask has made already."""
    futures = PartitionFutures(client, [None] * len(partitions), False)
    futures._futures = dict(enumerate(partitions))
    return futures


def test_what_is_on_its_way_to_an_actor_is_forgotten_with_it():
    client = Submitting()
    futures = futures_of(client, [Task()])
    handle = ActorHandle("an actor", "tcp://127.0.0.1:1", [], None, set(), {})
    futures.send(handle, [0])
    assert client.wanted() is not None
    del handle
    gc.collect()
    assert client.wanted() is None


@pytest.fixture
def pausing(client, monkeypatch):
    """Pauses a worker, as Dask does if its memory is nearly full."""
    monkeypatch.setattr(transfer, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(transfer, "WARN_SECONDS", 0.2)

    def pause(worker, share=1e-9, status="paused"):
        client.run(pause_above, share, workers=[worker])
        wait_until(lambda: status_of(client, worker) == status)

    yield pause
    for worker in client.nthreads():
        pause(worker, 0.8, "running")


def status_of(client, worker):
    return client.sync(client.scheduler.identity)["workers"][worker]["status"]


def test_a_worker_that_is_paused_for_a_while(client, pausing):
    worker = sorted(client.nthreads())[0]
    futures = futures_of(client, client.scatter([rows_of(0), rows_of(1)]))
    handle = ActorHandle("an actor", worker, [], None, set(), {})
    pausing(worker)
    futures.send(handle, [0, 1])

    def resume():
        wait_until(lambda: futures._warned)
        time.sleep(0.5)
        pausing(worker, 0.8, "running")

    resuming = threading.Thread(target=resume)
    resuming.start()
    with pytest.warns(RuntimeWarning, match="cannot take rows .* paused .* Give workers") as told:
        futures.wait(handle, [0, 1])
    resuming.join()
    assert len(told) == 1 and told[0].filename == __file__


def test_a_worker_that_is_paused_for_good(opened, pausing, monkeypatch):
    monkeypatch.setattr(transfer, "MAX_PAUSE_SECONDS", 1.0)
    batches = opened(persisted=True, pool_bytes=3000)
    pausing(batches._actors.handles[1].worker)
    with pytest.warns(RuntimeWarning, match="ends with an error after 1 seconds"):
        with pytest.raises(RuntimeError, match="cannot take rows .* nearly full"):
            numbers(batches, 0)


@pytest.fixture
def patient():
    """Keep the cluster from giving up a worker that is killed soon after another one."""
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"}):
        yield


def test_a_worker_lost_before_it_has_taken_its_place(client, patient, opened, monkeypatch):
    submit, pids = Client.submit, client.run(os.getpid)

    def lost(self, work, *args, workers, **options):
        future = submit(self, work, *args, workers=workers, **options)
        if work is actor_calls.start_actor and pids:
            wait(future)
            os.kill(pids[workers[0]], signal.SIGKILL)
            pids.clear()
            wait_until(lambda: workers[0] not in client.nthreads())
        return future

    monkeypatch.setattr(Client, "submit", lost)
    batches = opened()
    assert not pids and len(batches._actors.handles) == 2
    assert numbers(batches, 0) == list(range(N))


async def timed_out(actor, method, arguments):
    """What a firewall makes of calls of actors."""
    raise OSError("Timed out trying to connect")


def test_workers_that_cannot_be_reached(opened, monkeypatch):
    monkeypatch.setattr(actor_calls.ActorProxy, "_answered", timed_out)
    with pytest.raises(RuntimeError, match="Worker tcp:.* cannot be reached .* Run where workers"):
        opened()


class Interrupted:
    """An actor that is asked to close, and whose reply is not waited for to the end."""

    def __init__(self, log):
        self.log = log

    def call(self, method):
        self.log.append(method)
        return self

    def result(self, timeout):
        self.log.append(timeout)
        raise KeyboardInterrupt if len(self.log) == 4 else TimeoutError


def test_all_places_are_closed_at_once_and_the_client_in_any_case(opened):
    batches, log = opened(), []
    pool = batches._actors
    pool.handles = [handle._replace(actor=Interrupted(log)) for handle in pool.handles]
    with pytest.raises(KeyboardInterrupt):
        batches.close()
    assert log[:2] == ["close", "close"] and log[3] <= log[2] <= actor_pool.SEND_SECONDS
    assert pool._client.status == "closed"


def test_places_that_are_busy_let_go_later(client, opened, monkeypatch):
    batches = opened()
    step = next(batches.epoch(0))

    def interrupted(self, calls, token):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(actor_pool.ActorPool, "_waited", interrupted)
        with pytest.raises(KeyboardInterrupt):
            step.run(Busy(2.0), None)
        patch.setattr(actor_pool, "SEND_SECONDS", 0.1)
        batches.close()
    wait_until(lambda: not any(client.has_what().values()))


@pytest.fixture
def shrinking(opened):
    """Opens batches on a cluster of two workers in this process, which a test may shrink."""
    with LocalCluster(n_workers=2, processes=False, dashboard_address=":0") as cluster:
        with Client(cluster, set_as_default=False) as client:

            def opened_there():
                with client.as_current():
                    return opened()

            yield client, opened_there


def test_workers_that_train_can_be_retired(shrinking):
    client, opened = shrinking

    def sums(leaving):
        with closing(opened()) as batches:
            for step in chain(batches.epoch(0), batches.epoch(1)):
                yield step.run(column_sums, None)
                if leaving:
                    worker = batches._actors.handles[0].worker
                    assert list(client.retire_workers([worker])) == [worker]
                    leaving = False

    whole = list(sums(leaving=False))
    np.testing.assert_array_equal(list(sums(leaving=True)), whole)
    assert len(client.nthreads()) == 1


class Descent(NamedTuple):
    """Kernel of a round: changes its state in place by sums over all actors."""

    def __call__(self, state, batches):
        for batch in batches:
            state -= 0.01 * batch.run(column_sums, None)[:4] / batch.n_rows
        return state


def test_actors_of_one_process_do_not_share_arrays(shrinking, client, opened):
    def trained(batches):
        state = np.zeros(4)
        for round in chain(batches.rounds(0), batches.rounds(1)):
            state = round.run(Descent(), state)
        return state

    _, opened_there = shrinking
    np.testing.assert_array_equal(trained(opened_there()), trained(opened()))


def test_an_adaptive_cluster_keeps_workers_that_train(shrinking):
    client, opened = shrinking
    batches = opened()
    wait_until(lambda: client.sync(client.scheduler.workers_to_close, n=2) == [])
    batches.close()
    wait_until(lambda: not any(client.processing().values()))
    wait_until(lambda: not any(client.has_what().values()))
    assert len(client.sync(client.scheduler.workers_to_close, n=2)) == 2
