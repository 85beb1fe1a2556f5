"""Copies of networks that train apart and are averaged."""

import dask
import dask.array as da
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from tables import classes

from daskdsml.engine import memory
from daskdsml.neural_network import MLPClassifier, MLPRegressor
from daskdsml.strategies import Averaging

X, Y, _ = classes(1200, 5)
X = X.astype(np.float32)


def rows(n_blocks=12):
    chunk = len(X) // n_blocks
    return da.from_array(X, chunks=(chunk, 5)), da.from_array(Y, chunks=chunk)


def network(strategy, **options):
    settings = {"batch_size": 20, "max_iter": 4, "tol": None, "learning_rate_init": 0.01}
    return MLPClassifier((8,), strategy=strategy, **settings | options)


def weights(model):
    return model._train_state.point.theta


def test_copies_of_one_step_are_averaged_gradient_descent():
    # Steps of plain descent from one point: the mean of the steps is the step along the mean.
    options = {"solver": "sgd", "momentum": 0, "shuffle": False, "max_iter": 1, "alpha": 0.0}
    apart = network(Averaging(4, steps=1), batch_size=25, **options).fit(*rows(4))
    one = np.concatenate([np.arange(k, 1200, 300) for k in range(300)])
    own = one.reshape(12, 25, 4).transpose(0, 2, 1).ravel()  # 25 rows of each part in turn
    together = network("all_reduce", batch_size=100, **options).fit(X[own], Y[own])
    np.testing.assert_allclose(weights(apart), weights(together), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("options", [
    {}, {"cache": "none", "pool_bytes": 9000}, {"batch_norm": True, "dropout": 0.2},
    {"solver": "sgd", "early_stopping": True},
])  # fmt: skip
@pytest.mark.parametrize("strategy", [Averaging(3, steps=5), Averaging(4, None, 0.7, 0.9)])
def test_the_same_bits_here_and_on_workers(client, monkeypatch, options, strategy):
    monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)
    there = network(strategy, **options).fit(*rows())
    with dask.config.set(scheduler="threads"):
        here = network(strategy, **options).fit(*rows())
    np.testing.assert_array_equal(weights(there), weights(here))
    assert there.loss_curve_ == here.loss_curve_


def test_persisted_rows_and_those_of_this_process_train_on_workers(client, monkeypatch):
    monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)
    expected = network(Averaging(3)).fit(*rows())
    persisted = network(Averaging(3)).fit(*client.persist(list(rows())))
    np.testing.assert_array_equal(weights(persisted), weights(expected))


def test_persisted_rows_that_workers_do_not_keep_are_refused(client, monkeypatch):
    monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)
    with pytest.raises(ValueError, match="persisted or shuffled.*cache='memory'"):
        network(Averaging(3), cache="none", pool_bytes=9000).fit(*client.persist(list(rows())))


def test_every_row_once_an_epoch_whatever_the_parts():
    for n_parts in (1, 5, 50):
        model = network(Averaging(n_parts)).fit(*rows())
        assert model.t_ == 4 * len(X)
        assert len(model.history_) == 4


def test_one_part_is_all_reduce_but_for_the_order_of_rows():
    model = network(Averaging(1), shuffle=False).fit(X, Y)
    expected = network("all_reduce", shuffle=False).fit(X, Y)
    np.testing.assert_allclose(weights(model), weights(expected), rtol=1e-4, atol=1e-5)


def test_sorted_labels_come_into_all_parts():
    order = np.argsort(Y)
    sorted_X = da.from_array(X[order], chunks=(50, 5))
    sorted_y = da.from_array(Y[order], chunks=50)
    model = network(Averaging(4, None), max_iter=8).fit(sorted_X, sorted_y)
    assert model.score(X, Y) > network("all_reduce", max_iter=8).fit(X, Y).score(X, Y) - 0.02


def test_training_goes_on_where_it_stood(tmp_path):
    strategy = Averaging(3, 5, 0.7, 0.9)
    whole = network(strategy)
    for _ in range(3):
        whole.partial_fit(*rows(), classes=np.unique(Y))
    model = network(strategy).partial_fit(*rows(), classes=np.unique(Y))
    model.save(tmp_path / "model")
    model = MLPClassifier.load(tmp_path / "model")
    assert model.strategy == strategy
    for _ in range(2):
        model.partial_fit(*rows())
    np.testing.assert_array_equal(weights(model), weights(whole))


def test_losses_that_are_not_finite_stop_training():
    with pytest.warns(ConvergenceWarning, match="not finite"):
        model = MLPRegressor(
            hidden_layer_sizes=(8,),
            solver="sgd",
            learning_rate_init=1e6,
            strategy="averaging",
            max_iter=5,
        ).fit(X, 1e3 * X[:, 0])
    assert np.isfinite(weights(model)).all() and not model.converged_


@pytest.mark.parametrize("strategy, solver, message", [
    ("admm", "adam", r"needs \['batches'\].*strategies \['all_reduce', 'averaging', "),
    (Averaging(), "lbfgs", r"MLPClassifier with solver='lbfgs'.*\['all_reduce'\]"),
    (Averaging(steps=np.inf), "adam", r"\['batches'\], which strategy Averaging.*steps=inf"),
    (Averaging(n_parts=0), "adam", "n_parts"),
    (Averaging(steps=1.5), "adam", "steps"),
    (Averaging(outer_momentum=1.0), "adam", "outer_momentum"),
    (Averaging, "adam", "strategy must be one of .*'averaging'"),
    ("average", "adam", "Unknown strategy 'average'"),
])  # fmt: skip
def test_strategies_that_do_not_do(strategy, solver, message):
    with pytest.raises(ValueError, match=message):
        network(strategy, solver=solver).fit(X, Y)
