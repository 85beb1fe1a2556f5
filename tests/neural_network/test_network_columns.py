"""Networks whose first layer is spread by columns of X."""

import os
import signal
import threading

import dask.array as da
import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from daskdsml.engine import memory
from daskdsml.layers import Dense, Dropout
from daskdsml.neural_network import CNNClassifier, MLPClassifier, MLPRegressor, NeuralClassifier

rng = np.random.default_rng(5)
X = rng.normal(size=(300, 120))
Y = (X[:, 0] * X[:, 1] + X[:, 100] > 0).astype(int)


@pytest.fixture(autouse=True)
def on_workers(monkeypatch):
    monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)


def rows(A=X):
    return da.from_array(A, chunks=(100, 30)), da.from_array(Y, chunks=100)


def network(strategy, **options):
    settings = {"batch_size": 25, "max_iter": 3, "tol": None, "dtype": "float64"}
    return MLPClassifier((8, 4), strategy=strategy, **settings | options)


def weights(model):
    return model._train_state.point.theta


@pytest.mark.parametrize("options", [
    {}, {"solver": "sgd", "alpha": 0.1, "early_stopping": True}, {"clip_norm": 0.1},
])  # fmt: skip
def test_columns_train_as_rows_do(client, options):
    mine = network("columns", **options).fit(*rows())
    expected = network("all_reduce", **options).fit(*rows())
    np.testing.assert_allclose(weights(mine), weights(expected), atol=1e-10)
    np.testing.assert_allclose(mine.loss_curve_, expected.loss_curve_, rtol=1e-10)
    told = [[record.gradient_norm for record in m.history_] for m in (mine, expected)]
    np.testing.assert_allclose(*told, rtol=1e-9)
    assert mine.t_ == expected.t_ and mine.reproducible_


def test_whatever_holds_the_columns(client):
    expected = weights(network("columns").fit(*rows()))
    for A in (X, client.persist(rows()[0]), rows()[0].map_blocks(sparse.csr_matrix)):
        y = Y if A is X else rows()[1]
        np.testing.assert_allclose(weights(network("columns").fit(A, y)), expected, atol=1e-10)


def test_each_worker_reads_its_columns_once(client):
    read = client.run(lambda: None)  # there are two workers
    assert len(read) == 2
    model = network("columns").fit(*rows())
    assert model.n_rows_read_ == len(X)


def test_layers_behind_the_first_are_of_any_kind(client):
    layers = [Dense(6, "relu", trainable=False), Dropout(0.2), Dense(2)]
    options = {"batch_size": 25, "max_iter": 2, "dtype": "float64"}
    mine = NeuralClassifier(layers, strategy="columns", **options).fit(*rows())
    expected = NeuralClassifier(layers, **options).fit(*rows())
    np.testing.assert_allclose(weights(mine), weights(expected), atol=1e-10)


def test_here_columns_are_not_spread():
    mine = network("columns").fit(X, Y)
    np.testing.assert_array_equal(weights(mine), weights(network("all_reduce").fit(X, Y)))


def test_training_goes_on(client):
    whole, parted = network("all_reduce"), network("columns")
    for _ in range(2):
        whole.partial_fit(*rows(), classes=[0, 1])
        parted.partial_fit(*rows(), classes=[0, 1])
    np.testing.assert_allclose(weights(parted), weights(whole), atol=1e-10)


def test_a_worker_that_is_killed(client):
    begun, pids = threading.Event(), list(client.run(os.getpid).values())

    def kill(model, record):
        if not begun.is_set():
            begun.set()
            os.kill(pids[0], signal.SIGKILL)

    expected = network("columns").fit(*rows())
    mine = network("columns", callbacks=[kill]).fit(*rows())
    assert begun.is_set()
    np.testing.assert_array_equal(weights(mine), weights(expected))


def test_what_is_not_finite(client):
    A = X.copy()
    A[17, 100] = np.nan
    with pytest.raises(ValueError, match="row 17, column 100"):
        network("columns").fit(*rows(A))
    options = {"hidden_layer_sizes": (8,), "solver": "sgd", "learning_rate_init": 1e6}
    with pytest.warns(ConvergenceWarning, match="stopped at step .* is not finite"):
        model = MLPRegressor(strategy="columns", **options).fit(rows()[0], 1e3 * rows()[0][:, 0])
    assert np.isfinite(weights(model)).all()


@pytest.mark.parametrize("model, message", [
    (network("columns", batch_norm=True), r"BatchNorm.*\['batch sums'\]"),
    (network("columns", solver="lbfgs"), r"\['full batch'\]"),
    (
        NeuralClassifier([Dropout(0.5), Dense(2)], strategy="columns"),
        r"first layer that is not Dense.*\['whole rows'\].*\['all_reduce', 'averaging'",
    ),
])  # fmt: skip
def test_what_columns_cannot_do(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)


def test_images_have_no_columns():
    with pytest.raises(ValueError, match="first layer that is not Dense"):
        CNNClassifier(strategy="columns").fit(X.reshape(300, 1, 12, 10), Y)


def test_one_chunk_of_columns_is_refused_with_the_remedy(client):
    with pytest.raises(ValueError, match="one chunk of 120 columns.*X.rechunk"):
        network("columns").fit(rows()[0].rechunk({1: -1}), rows()[1])
