"""Networks whose parameters are kept by servers."""

import os
import signal
import threading
from contextlib import closing

import dask
import dask.array as da
import numpy as np
import pytest
from batch_kernels import Minus, Times
from sklearn.exceptions import ConvergenceWarning
from tables import classes, network_rows

from daskdsml.engine import memory
from daskdsml.engine.minibatch.batches import open_batches
from daskdsml.layers import BatchNorm, Dense
from daskdsml.neural_network import MLPClassifier, MLPRegressor, NeuralClassifier
from daskdsml.strategies import AllReduce, ParameterServer

X, Y, _ = classes(1200, 5)
X = X.astype(np.float32)


@pytest.fixture(autouse=True)
def on_workers(monkeypatch):
    monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)


def rows(n_blocks=12):
    chunk = len(X) // n_blocks
    return da.from_array(X, chunks=(chunk, 5)), da.from_array(Y, chunks=chunk)


def network(strategy, **options):
    settings = {"batch_size": 20, "max_iter": 3, "tol": None, "learning_rate_init": 0.01}
    return MLPClassifier((8,), strategy=strategy, **settings | options)


def weights(model):
    return model._train_state.point.theta


@pytest.mark.parametrize("options", [
    {}, {"cache": "none", "pool_bytes": 9000}, {"dropout": 0.2, "solver": "sgd", "alpha": 0.1},
    {"early_stopping": True, "clip_norm": 0.1}, {"batch_size": 1, "max_iter": 1},
])  # fmt: skip
def test_without_staleness_the_same_bits_as_all_reduce(client, options):
    served = network("parameter_server", **options).fit(*rows())
    expected = network("all_reduce", **options).fit(*rows())
    np.testing.assert_array_equal(weights(served), weights(expected))
    assert served.loss_curve_ == expected.loss_curve_ and served.reproducible_


def test_two_servers_have_the_same_bits_as_one(client):
    served = network(ParameterServer(n_servers=2), alpha=0.1).fit(*rows())
    expected = network("all_reduce", alpha=0.1).fit(*rows())
    np.testing.assert_array_equal(weights(served), weights(expected))
    np.testing.assert_allclose(served.loss_curve_, expected.loss_curve_, rtol=1e-12)
    norms = [[record.gradient_norm for record in m.history_] for m in (served, expected)]
    np.testing.assert_allclose(*norms, rtol=1e-12)


@pytest.mark.parametrize("strategy", [ParameterServer(4), ParameterServer(2, n_servers=2)])
def test_delayed_gradients_learn_as_well(client, strategy):
    options = {"max_iter": 8, "learning_rate_init": 0.003}
    served = network(strategy, **options).fit(*rows())
    assert not served.reproducible_ and served.t_ == 8 * len(X)
    expected = network("all_reduce", **options).fit(*rows())
    assert served.loss_ < expected.loss_ + 0.05


def test_here_no_gradient_is_delayed():
    served = network(ParameterServer(4)).fit(X, Y)
    np.testing.assert_array_equal(weights(served), weights(network(AllReduce()).fit(X, Y)))


def test_persisted_rows(client):
    expected = network("all_reduce").fit(*rows())
    persisted = network("parameter_server").fit(*client.persist(list(rows())))
    np.testing.assert_array_equal(weights(persisted), weights(expected))


@pytest.mark.parametrize("strategy", [ParameterServer(), ParameterServer(3, n_servers=2)])
def test_a_loss_that_is_not_finite_stops_training_before_that_step(client, strategy):
    big = rows()[0]
    options = {"hidden_layer_sizes": (8,), "solver": "sgd", "learning_rate_init": 1e6}
    with pytest.warns(ConvergenceWarning, match="stopped at step .* is not finite") as told:
        model = MLPRegressor(strategy=strategy, **options).fit(big, 1e3 * big[:, 0])
    assert np.isfinite(weights(model)).all() and not model.converged_
    if strategy.reproducible:
        with pytest.warns(ConvergenceWarning) as expected:
            MLPRegressor(**options).fit(big, 1e3 * big[:, 0])
        assert str(told[0].message) == str(expected[0].message)


def test_a_worker_that_is_killed(client):
    options = {"max_iter": 8, "batch_size": 5}
    begun, pids = threading.Event(), list(client.run(os.getpid).values())

    def kill(model, record):
        if record.epoch == 2 and not begun.is_set():
            begun.set()
            threading.Timer(0.05, os.kill, (pids[0], signal.SIGKILL)).start()

    expected = network("all_reduce", **options).fit(*rows())
    served = network(ParameterServer(n_servers=2), callbacks=[kill], **options).fit(*rows())
    assert begun.is_set() and len(served.history_) == 8
    np.testing.assert_array_equal(weights(served), weights(expected))


@pytest.mark.parametrize("strategy, options, message", [
    (ParameterServer(-1), {}, "staleness.*integer of at least 0"),
    (ParameterServer(1.5), {}, "staleness"),
    (ParameterServer(n_servers=0), {}, "n_servers"),
    (ParameterServer(), {"batch_norm": True}, r"BatchNorm.*\['batch sums'\].*'averaging'\]\."),
    (ParameterServer(), {"solver": "lbfgs"}, r"\['full batch'\].*\['all_reduce'\]"),
    (ParameterServer(n_servers=2), {"clip_norm": 1.0}, "clip_norm .*Use n_servers=1"),
])  # fmt: skip
def test_what_servers_cannot_do(strategy, options, message):
    with pytest.raises(ValueError, match=message):
        network(strategy, **options).fit(X, Y)


def test_layers_of_batch_norm_are_refused():
    model = NeuralClassifier([Dense(4), BatchNorm(), Dense(2)], strategy="parameter_server")
    with pytest.raises(ValueError, match="layers such as BatchNorm"):
        model.fit(X, Y)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_full_batches_have_the_same_bits_on_workers(client, kind):
    model = kind(hidden_layer_sizes=(4,), solver="lbfgs", max_iter=5, tol=None)
    there = weights(model.fit(*rows())).copy()
    with dask.config.set(scheduler="threads"):
        here = weights(model.fit(*rows()))
    np.testing.assert_array_equal(there, here)


def test_kernels_of_the_same_content_are_sent_apart(client):
    # As tuples they are equal, whatever they do.
    batches = open_batches(network_rows(rows()[0], None), 64, seed=3)
    with closing(batches):
        totals = [batches.run(kind(3), None, "told") for kind in (Times, Minus, Times)]
    assert totals == [3 * len(X), -len(X), 3 * len(X)]
