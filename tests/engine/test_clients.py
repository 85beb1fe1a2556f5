"""Which Dask client work goes to, and waiting for its workers."""

import asyncio
import gc
import os
import signal
import time
from concurrent.futures import CancelledError
from types import SimpleNamespace

import dask
import dask.array as da
import numpy as np
import pytest
from kills import ctrl_c
from sklearn.exceptions import ConvergenceWarning
from tables import Source, classes, dask_rows, wait_until

from daskdsml.engine import clients, memory
from daskdsml.engine.scheduling import n_threads
from daskdsml.linear_model import LinearRegression, LogisticRegression, SGDClassifier, _sgd
from daskdsml.neural_network import MLPClassifier


def room_in_task(n_bytes):
    return memory.fits(n_bytes), n_threads()


def test_a_task_keeps_what_its_worker_has_room_for(client):
    (worker, *_) = clients.worker_info(client)
    limit = clients.worker_info(client)[worker]["memory_limit"]
    asked = [1e6, memory.MEMORY_SHARE * limit]
    told = client.gather([client.submit(room_in_task, n, workers=[worker]) for n in asked])
    assert told == [(True, 1), (False, 1)]


def test_persisted_collections_are_fitted_inside_tasks(client):
    # More tasks than there are threads, each of which waits for tasks that need one of these. They
    # are clients of processes of their own: one must not get what another one asked for.
    X, y, _ = classes(400, 4)
    X, y = client.persist([dask_rows(X, 4), dask_rows(y, 4)])
    models = [LogisticRegression(C=10.0**k) for k in range(-3, 3)]
    there = [client.submit(model.fit, X, y) for model in models]
    network = client.submit(MLPClassifier((3,), max_iter=2).fit, X, y)
    for model, fitted in zip(models, client.gather(there), strict=True):
        np.testing.assert_array_equal(fitted.coef_, model.fit(X, y).coef_)
    assert network.result().n_iter_ == 2


def test_an_asynchronous_client(client, tmp_path):
    X, y = Source(tmp_path, n_blocks=4, rows=100, p=3).table()

    async def main():
        from distributed import Client

        async with Client(client.scheduler.address, asynchronous=True):
            for model in (LinearRegression(), MLPClassifier((3,), max_iter=2)):
                with pytest.raises(RuntimeError, match="asyncio.to_thread"):
                    model.fit(X, y)
            return await asyncio.to_thread(LinearRegression().fit, X, y)

    there = asyncio.run(main())
    np.testing.assert_array_equal(there.coef_, LinearRegression().fit(X, y).coef_)


def test_workers_without_the_package_are_named(client, monkeypatch):
    monkeypatch.setattr(clients, "PACKAGE", "no_such_package")
    monkeypatch.setattr(clients.importlib.metadata, "version", lambda package: "1.0")
    (worker, *_) = client.nthreads()
    with pytest.raises(RuntimeError, match=f"cannot import no_such_package.*{worker}"):
        clients.current_client()


def test_a_stall_timeout_that_is_no_time_is_named():
    with dask.config.set({"daskdsml.stall-timeout": "rubbish"}):
        with pytest.raises(ValueError, match="daskdsml.stall-timeout of Dask.*such as '60s'"):
            clients.Watch(None)


def test_a_frozen_worker_is_given_up_after_the_stall_timeout(client, tmp_path, monkeypatch):
    X, y = Source(tmp_path, n_blocks=12, rows=2000, p=25).table()
    monkeypatch.setattr(clients, "SILENT_SECONDS", 1.0)
    before = LinearRegression(cache="none").fit(X, y)
    pid = client.run(os.getpid)[min(client.nthreads())]
    os.kill(pid, signal.SIGSTOP)
    with dask.config.set({"daskdsml.stall-timeout": "3s"}):
        with pytest.warns(RuntimeWarning, match="shows no sign of life"):
            after = LinearRegression(cache="none").fit(X, y)
    np.testing.assert_array_equal(before.coef_, after.coef_)


@pytest.mark.parametrize("model", [SGDClassifier(max_iter=3), MLPClassifier((3,), max_iter=2)])
def test_an_interrupted_fit_leaves_nothing_behind(client, model, caplog):
    def slowly(block):
        time.sleep(0.3)
        return block + np.arange(block.shape[1])

    X = da.zeros((60 * 200, 5), chunks=(200, 5)).map_blocks(slowly, dtype=float)
    y = X.map_blocks(lambda block: block[:, 0] > 0, drop_axis=1, dtype=bool)
    with pytest.raises(KeyboardInterrupt), ctrl_c(1.5):
        model.fit(X, y)
    assert_left(client)
    gc.collect()
    assert "never retrieved" not in caplog.text


def assert_left(client):
    """Workers have nothing to do, and hold nothing."""
    wait_until(lambda: not any(client.processing().values()))
    wait_until(lambda: not any(client.has_what().values()))


LONG = {"max_iter": 10**6, "tol": None}


@pytest.mark.parametrize("model", [SGDClassifier(**LONG), MLPClassifier((3,), **LONG)])
def test_what_an_interrupted_fit_has_learned(client, model, tmp_path, monkeypatch):
    X, y = Source(tmp_path, n_blocks=4, rows=100, p=3).table()
    met = []

    def met_epoch(*args):
        met.append(args)
        if len(met) == 2:
            press()
        return one_more(*args) if args[0] is model and len(args) > 2 else False

    one_more = _sgd._one_more
    monkeypatch.setattr(_sgd, "_one_more", met_epoch)
    if hasattr(model, "callbacks"):
        model.set_params(callbacks=[met_epoch])
    with pytest.warns(ConvergenceWarning, match="was interrupted"), ctrl_c() as press:
        model.fit(X, y > 0)
    assert 1 <= model.n_iter_ <= len(met) and not model.converged_
    assert set(model.predict(X).compute()) <= {False, True}
    assert_left(client)


def test_a_cluster_without_workers(tmp_path, monkeypatch):
    from distributed import Client, LocalCluster

    X, y = Source(tmp_path, n_blocks=4, rows=100, p=3).table()
    monkeypatch.setattr(clients, "SILENT_SECONDS", 1.0)
    options = {"dashboard_address": ":0", "threads_per_worker": 1}
    with LocalCluster(n_workers=0, **options) as cluster, Client(cluster):
        with (
            dask.config.set({"daskdsml.stall-timeout": "2s"}),
            pytest.warns(RuntimeWarning, match="no worker since"),
            pytest.raises(RuntimeError, match="no worker for 2 seconds"),
        ):
            LinearRegression().fit(X, y)
        monkeypatch.undo()
        cluster.adapt(minimum=0, maximum=1, interval="200ms")
        with pytest.warns(ConvergenceWarning):
            assert MLPClassifier((3,), max_iter=2).fit(X, y).n_iter_ == 2


class Lost:
    """A client whose connection has been closed, or not."""

    scheduler = SimpleNamespace(address="tcp://10.0.0.1:8786")

    def __init__(self, status):
        self.status = status


@pytest.mark.parametrize("error", [OSError("closed"), CancelledError("cancelled")])
def test_a_scheduler_that_is_lost_is_named(error, monkeypatch):
    monkeypatch.setattr(clients, "CLOSED_SECONDS", 0.0)
    with pytest.raises(RuntimeError, match="scheduler tcp://10.0.0.1:8786 is lost.*checkpoint="):
        with clients.scheduler_needed(Lost("connecting")):
            raise error
    for client in (None, Lost("running")):
        with pytest.raises(type(error)):
            with clients.scheduler_needed(client):
                raise error
