"""The engine on a Dask cluster: the same bits, lost workers, names of tasks, tasks that fit."""

import os
import signal

import dask
import dask.array as da
import numpy as np
import pytest
from dask.base import is_dask_collection
from sklearn.base import clone
from sklearn.model_selection import KFold
from tables import (
    DeadlyTurn,
    Source,
    classes,
    csr_rows,
    dask_rows,
    deadly_row_sum,
    fit_in_task,
    in_turn,
    row_sum,
    task_name,
    wait_until,
)

from daskdsml.data.validation import validate_dataset
from daskdsml.engine import memory
from daskdsml.engine.full.cluster import ClusterRows
from daskdsml.engine.full.rows import LocalRows, open_rows
from daskdsml.linear_model import LassoCV, LinearRegression, LogisticRegression, Ridge, RidgeCV
from daskdsml.neural_network import MLPClassifier

MODELS = {"ols": LinearRegression, "ridge": Ridge, "logistic": LogisticRegression}
every_model = pytest.mark.parametrize("name", MODELS)
# 12 blocks of 400 kB, two or three to a shard.
SHAPE = {"n_blocks": 12, "rows": 2000, "p": 25}


@pytest.fixture
def sent(monkeypatch):
    """Have data of this process sent to the workers, however small."""
    monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)


def bits(model):
    return model.coef_.tobytes() + np.asarray(model.intercept_).tobytes()


@pytest.mark.parametrize("cache", ["none", "memory", "auto"])
@every_model
def test_same_bits_as_at_home(client, name, cache, tmp_path):
    source = Source(tmp_path, **SHAPE)
    X, y = source.table()
    there = MODELS[name](cache=cache).fit(X, y)
    assert source.reads() == (there.n_passes_ if cache == "none" else 1)
    with dask.config.set(scheduler="synchronous"):
        here = MODELS[name](cache=cache).fit(X, y)
    assert bits(there) == bits(here)
    assert there.n_passes_ == here.n_passes_


@every_model
def test_same_bits_of_persisted_blocks(client, name, tmp_path):
    source = Source(tmp_path, **SHAPE)
    X, y = source.table()
    with dask.config.set(scheduler="synchronous"):
        here = MODELS[name]().fit(X, y)
    before = source.reads()
    X, y = client.persist([X, y])
    there = MODELS[name]().fit(X, y)
    assert source.reads() == before + 1
    assert bits(there) == bits(here)


@every_model
def test_same_bits_of_data_that_were_sent(client, name, sent):
    X, y, w = classes(24_000, 25)
    arrays = [dask_rows(a, 12) for a in (X, y, w)]
    assert isinstance(open_rows(validate_dataset(*arrays)), ClusterRows)
    there = MODELS[name]().fit(*arrays)
    with dask.config.set(scheduler="threads"):
        here = MODELS[name]().fit(*arrays)
    assert bits(there) == bits(here)


def test_same_bits_of_csr_blocks(client, sent):
    X, y, _ = classes(24_000, 25)
    there = LogisticRegression().fit(csr_rows(X, 12), dask_rows(y, 12))
    with dask.config.set(scheduler="threads"):
        here = LogisticRegression().fit(csr_rows(X, 12), dask_rows(y, 12))
    assert bits(there) == bits(here)


def test_same_bits_with_shared_work_upstream(client, tmp_path):
    source = Source(tmp_path, **SHAPE)
    X, y = source.table()
    X = X.rechunk((1700, 25))
    there = LogisticRegression().fit(X, y)
    assert source.reads() == 1
    with dask.config.set(scheduler="threads"):
        here = LogisticRegression().fit(X, y)
    assert bits(there) == bits(here)


def test_where_work_goes(client, tmp_path):
    made = validate_dataset(*Source(tmp_path, **SHAPE).table())
    small = validate_dataset(dask_rows(np.ones((40_000, 3)), 4))
    assert isinstance(open_rows(made), ClusterRows)
    assert isinstance(open_rows(small), LocalRows)  # its blocks are in this process anyway
    assert isinstance(open_rows(validate_dataset(np.ones((100, 3)))), LocalRows)
    with dask.config.set(scheduler="threads"):
        assert isinstance(open_rows(made), LocalRows)


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_tasks_are_named_by_what_they_do(client, cache, tmp_path):
    X, y = Source(tmp_path, **SHAPE).table()
    rows = open_rows(validate_dataset(X, y), cache)
    names = rows.run(task_name, None, "logistic-gradient")
    rows.close()
    assert names
    assert {name[: len("logistic-gradient-")] for name in names} == {"logistic-gradient-"}


def test_a_model_names_its_passes(client, tmp_path, monkeypatch):
    names = []
    run = ClusterRows.run

    def spy(self, kernel, state, name):
        names.append(name)
        return run(self, kernel, state, name)

    monkeypatch.setattr(ClusterRows, "run", spy)
    X, y = Source(tmp_path, **SHAPE).table()
    LogisticRegression().fit(X, y).score(X, y)
    Ridge().fit(X, y)
    LinearRegression().fit(X, y)
    assert {names[0], names[1], *names[-3:]} == {
        "logistic-summary", "logistic-hessian", "logistic-score", "ridge-moments", "ols-moments"
    }  # fmt: skip


@pytest.mark.parametrize("cache, read", [("none", 1), ("none", 3), ("memory", 1)])
def test_a_worker_killed_while_it_reads(client, cache, read, tmp_path):
    source = Source(tmp_path, **SHAPE, deadly=read)
    X, y = source.table()
    there = LogisticRegression(cache=cache).fit(X, y)
    assert (tmp_path / "died").exists()
    with dask.config.set(scheduler="synchronous"):
        here = LogisticRegression(cache=cache).fit(X, y)
    assert bits(there) == bits(here)


@pytest.mark.parametrize("deadly", [None, 1])
@pytest.mark.parametrize("solver", ["coordinate_descent", "working_set"])
def test_folds_have_the_same_bits(client, solver, deadly, tmp_path):
    X, y = Source(tmp_path, **SHAPE, deadly=deadly).table()
    shuffled = KFold(3, shuffle=True, random_state=0)
    model = LassoCV(cv=shuffled, alphas=8, eps=0.05, solver=solver, cache="none")
    there = clone(model).fit(X, y)
    assert (tmp_path / "died").exists() == bool(deadly)
    with dask.config.set(scheduler="synchronous"):
        here = clone(model).fit(X, y)
    assert bits(there) == bits(here)
    assert there.mse_path_.tobytes() == here.mse_path_.tobytes()
    assert there.coef_path_.tobytes() == here.coef_path_.tobytes()
    assert there.n_passes_ == here.n_passes_ >= 1


def test_leaving_each_row_out_has_the_same_bits(client, tmp_path):
    source = Source(tmp_path, **SHAPE)
    X, y = source.table()
    there = RidgeCV(cache="none").fit(X, y)
    assert source.reads() == there.n_passes_ == 2
    with dask.config.set(scheduler="synchronous"):
        here = RidgeCV(cache="none").fit(X, y)
    assert bits(there) == bits(here)
    assert there.mse_path_.tobytes() == here.mse_path_.tobytes()


@pytest.mark.parametrize("place", ["read by workers", "sent by the client"])
def test_a_worker_killed_while_it_holds_blocks(client, place, tmp_path, monkeypatch):
    if place == "sent by the client":
        monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)
        X = dask_rows(classes(24_000, 25)[0], 12)
    else:
        X, _ = Source(tmp_path, **SHAPE).table()
    rows = open_rows(validate_dataset(X), "memory")
    assert isinstance(rows, ClusterRows)
    first = rows.run(row_sum, None, "before")
    again = rows.run(deadly_row_sum, (str(tmp_path), os.getpid()), "deadly")
    assert (tmp_path / "died").exists()
    after = rows.run(row_sum, None, "after")
    rows.close()
    assert first.tobytes() == again.tobytes() == after.tobytes()


@pytest.mark.parametrize("killed", [1, 2])
def test_workers_killed_that_have_the_recipes(client, killed, tmp_path):
    X, _ = Source(tmp_path, **SHAPE).table()
    rows = open_rows(validate_dataset(X), "none")
    first = rows.run(row_sum, None, "before")
    held = [name for names in client.has_what().values() for name in names]
    assert any(name.startswith("recipes-") for name in held)
    if killed == 1:
        again = rows.run(deadly_row_sum, (str(tmp_path), os.getpid()), "deadly")
        assert (tmp_path / "died").exists()
    else:
        for pid in client.run(os.getpid).values():
            os.kill(pid, signal.SIGKILL)
        again = rows.run(row_sum, None, "after")
    rows.close()
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_a_large_state_is_sent_once(client, cache, tmp_path, monkeypatch):
    sent, scatter = [], client.scatter

    def spy(data, **options):
        sent.extend(name.split("-")[0] for name in data)
        return scatter(data, **options)

    monkeypatch.setattr(client, "scatter", spy)
    X, _ = Source(tmp_path, **SHAPE).table()
    rows = open_rows(validate_dataset(X), cache)
    small, large = (rows.run(row_sum, np.ones(n), "sum") for n in (1, 2**15))
    rows.close()
    assert sent == ["recipes", "state"]
    assert small.tobytes() == large.tobytes()


@pytest.mark.parametrize("deadly", [False, True])
@pytest.mark.parametrize("place", ["none", "memory", "rechunked", "persisted", "sent"])
def test_a_fold_has_the_same_bits(client, place, deadly, tmp_path, monkeypatch):
    X, _ = Source(tmp_path, **SHAPE).table()
    X = X.rechunk((1700, 25)) if place == "rechunked" else X
    here = dask_rows(X.compute(), 12) if place == "sent" else X
    with dask.config.set(scheduler="synchronous"):
        rows = open_rows(validate_dataset(here), "none")
        order = np.random.default_rng(0).permutation(rows.n_shards).tolist()
        expected = rows.fold(in_turn, 0.0, order, "fold")
    if place == "sent":
        monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)
    there = client.persist(X) if place == "persisted" else here
    rows = open_rows(
        validate_dataset(there), "none" if place in ("none", "rechunked") else "memory"
    )
    assert isinstance(rows, ClusterRows)
    kernel = DeadlyTurn(str(tmp_path), os.getpid()) if deadly else in_turn
    found = rows.fold(kernel, 0.0, order, "fold")
    assert (tmp_path / "died").exists() == deadly
    assert rows.fold(in_turn, 0.0, order, "fold").tobytes() == found.tobytes() == expected.tobytes()
    assert rows.n_rows_read == 2 * SHAPE["n_blocks"] * SHAPE["rows"]
    rows.close()
    del there, X
    wait_until(lambda: not any(client.has_what().values()))


def test_nothing_is_left_on_the_workers(client, tmp_path):
    X, y = Source(tmp_path, **SHAPE).table()
    for cache in ("memory", "none"):
        LogisticRegression(cache=cache).fit(X, y)
    with pytest.raises(ValueError, match="2 classes"):
        LogisticRegression(cache="memory").fit(X, 0 * y)
    wait_until(lambda: not any(client.has_what().values()))


@pytest.mark.parametrize("name", ["ridge", "logistic"])
def test_a_fit_inside_a_task_does_not_wait_for_other_tasks(client, name):
    X, y, _ = classes(400, 4)
    futures = [
        client.submit(fit_in_task, MODELS[name](), kind, y, pure=False)
        for kind in (X, X, dask_rows(X, 4), dask_rows(X, 4))
    ]
    here = MODELS[name]().fit(X, y).coef_
    for coef in client.gather(futures):
        np.testing.assert_allclose(coef, here, rtol=1e-7)


def test_errors_of_workers_reach_the_user(client, tmp_path):
    X, y = Source(tmp_path, **SHAPE).table()
    X = da.where(X > 4.0, np.nan, X)
    for cache in ("none", "memory"):
        with pytest.raises(ValueError, match="X contains NaN at row "):
            LogisticRegression(cache=cache).fit(X, y)


@pytest.mark.parametrize("part", ["X", "y"])
@pytest.mark.parametrize("model", [LogisticRegression(), MLPClassifier((4,), max_iter=1, tol=None)])
def test_released_collections_are_named(client, part, model):
    X = da.random.default_rng(0).normal(size=(400, 4), chunks=(100, 4)).persist()
    y = (X[:, 0] > 0).astype(int).persist()
    client.cancel({"X": X, "y": y}[part])
    with pytest.raises(ValueError, match=f"{part} was persisted .* 4 of its chunks were released"):
        model.fit(X, y)


def test_predictions_are_lazy_and_made_on_the_workers(client, tmp_path):
    source = Source(tmp_path, **SHAPE)
    X, y = source.table()
    mine = LogisticRegression(cache="memory").fit(X, y)
    before = source.reads()
    predicted = mine.predict_proba(X)
    assert is_dask_collection(predicted)
    assert source.reads() == before
    with dask.config.set(scheduler="synchronous"):
        here = predicted.compute()
    np.testing.assert_array_equal(client.compute(predicted).result(), here)
    assert mine.score(X, y) == np.mean((here[:, 1] > 0.5) == y.compute())
