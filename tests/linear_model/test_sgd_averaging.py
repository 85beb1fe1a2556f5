"""Gradient descent by copies of a linear model, each on a part of the rows, that are averaged."""

import dask
import dask.array as da
import numpy as np
import pytest
from tables import Source, classes, regression

from daskdsml.engine.full import shards
from daskdsml.linear_model import SGDClassifier, SGDRegressor
from daskdsml.strategies import Averaging

X, Y, W = classes(900, 5)
# Shards of 100 rows but for the last, of 50: parts are not of one size.
CHUNKS = (*[100] * 8, 50, 50)
OPTIONS = {"loss": "log_loss", "tol": None, "max_iter": 3, "alpha": 0.01}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """A shard for each chunk."""
    monkeypatch.setattr(shards, "SMALLEST", 1)


def rows(*arrays):
    return [da.from_array(a, chunks=(CHUNKS, *a.shape[1:])) for a in arrays]


def part(k, n):
    """The numbers of the rows of part k of n."""
    borders = np.cumsum((0, *CHUNKS))
    own = range(k, len(CHUNKS), n)
    return np.concatenate([np.arange(borders[i], borders[i + 1]) for i in own])


def parameters(model):
    return np.append(model.intercept_, model.coef_)


@pytest.mark.parametrize("settings", [{}, {"average": True}, {"batch_size": 7}], ids=str)
def test_one_part_is_one_chain(settings):
    chain, copy = (
        SGDClassifier(strategy=strategy, **OPTIONS, **settings).fit(
            *rows(X, Y), sample_weight=rows(W)[0]
        )
        for strategy in ("auto", Averaging(1))
    )
    assert parameters(chain).tobytes() == parameters(copy).tobytes()
    assert chain.t_ == copy.t_
    np.testing.assert_array_equal(chain.loss_curve_, copy.loss_curve_)


@pytest.mark.parametrize(
    "settings",
    [{}, {"average": True}, {"batch_size": 7}, {"penalty": "l1"}, {"learning_rate": "adaptive"}],
    ids=str,
)
@pytest.mark.parametrize("kind", ["epoch", "end"])
def test_copies_are_averaged_by_their_rows(settings, kind):
    epochs = {"epoch": 1, "end": 4}[kind]
    options = OPTIONS | {"max_iter": epochs, "shuffle": False} | settings
    strategy = Averaging(3, steps={"epoch": "auto", "end": np.inf}[kind])
    mine = SGDClassifier(strategy=strategy, **options).fit(*rows(X, Y), sample_weight=rows(W)[0])
    parts = [part(k, 3) for k in range(3)]
    alone = [SGDClassifier(**options).fit(X[i], Y[i], sample_weight=W[i]) for i in parts]
    sizes = [len(i) for i in parts]
    expected = np.average([parameters(model) for model in alone], axis=0, weights=sizes)
    np.testing.assert_allclose(parameters(mine), expected, rtol=1e-12)
    assert mine.t_ == max(model.t_ for model in alone)
    curve = np.average([model.loss_curve_ for model in alone], axis=0, weights=sizes)
    np.testing.assert_allclose(mine.loss_curve_, curve, rtol=1e-12)


@pytest.mark.parametrize("steps", [None, np.inf])
def test_epochs_bring_what_a_chain_brings(steps):
    options = OPTIONS | {"max_iter": 30, "learning_rate": "constant", "eta0": 0.01}
    chain, copies = (
        SGDClassifier(strategy=strategy, **options).fit(*rows(X, Y))
        for strategy in ("auto", Averaging(4, steps))
    )
    np.testing.assert_allclose(parameters(copies), parameters(chain), atol=0.1)
    assert abs(copies.loss_curve_[-1] - chain.loss_curve_[-1]) < 0.01
    A, y, _ = regression(900, 5)
    model = SGDRegressor(strategy=Averaging(4, steps), eta0=0.005).fit(*rows(A, y))
    assert model.score(A, y) > 0.95


def test_sorted_labels_come_into_all_parts():
    order = np.argsort(Y, kind="stable")
    for k in range(4):
        assert set(Y[order][part(k, 4)]) == {0, 1}
    options = OPTIONS | {"learning_rate": "constant", "eta0": 0.01, "max_iter": 20}
    chain, copies = (
        SGDClassifier(strategy=strategy, **options).fit(*rows(X[order], Y[order]))
        for strategy in ("auto", Averaging(4))
    )
    assert copies.score(X, Y) >= chain.score(X, Y)


def test_zeros_of_an_l1_penalty():
    options = OPTIONS | {"penalty": "l1", "alpha": 0.1, "max_iter": 10}
    model = SGDClassifier(strategy=Averaging(3), **options).fit(*rows(X, Y))
    assert 0 < np.count_nonzero(model.coef_) < 5


def test_models_of_many_classes_end_each_for_itself():
    y = np.digitize(X[:, 0], [-2.0, 0.5])
    options = {"loss": "log_loss", "alpha": 0.01, "tol": 1e-3}
    model = SGDClassifier(strategy=Averaging(3), early_stopping=True, **options).fit(*rows(X, y))
    assert model.converged_ and model.score(X, y) > 0.8
    assert model.validation_scores_.shape == (model.n_iter_, 3)


def test_calls_of_partial_fit_go_on():
    model = SGDClassifier(strategy=Averaging(3), **OPTIONS)
    for _ in range(3):
        model.partial_fit(*rows(X, Y), classes=[0, 1])
    # Parts have 350, 300 and 250 rows, each of which is an update.
    assert model.t_ == 1 + 3 * 350
    assert model.score(X, Y) > 0.6


REFUSED = [
    (Averaging(3, steps=5), {}, r"batch_size=1' needs \['epochs'\].*steps=5"),
    (Averaging(3, outer_momentum=0.5), {}, r"'epochs'.*outer_momentum=0.5"),
    (Averaging(), {"batch_size": "full"}, r"batch_size='full'.*\['full batch'\].*all_reduce"),
    (Averaging(0), {}, "n_parts of Averaging must be an integer of at least 1, got 0"),
    (Averaging(steps="often"), {}, "steps of Averaging must be an integer .* got 'often'"),
    ("admm", {}, r"'epochs'.*ADMM.*\['all_reduce', 'averaging'\]"),
]


@pytest.mark.parametrize("strategy, settings, message", REFUSED, ids=str)
def test_what_cannot_be_done_is_refused_without_a_read(strategy, settings, message, tmp_path):
    source = Source(tmp_path, 4, 30, 3)
    with pytest.raises(ValueError, match=message):
        SGDClassifier(strategy=strategy, **settings).fit(*source.table())
    assert source.reads() == 0


@pytest.mark.cluster
@pytest.mark.parametrize("cache", ["none", "memory"])
def test_same_bits_on_workers(client, cache, tmp_path):
    A, y = Source(tmp_path, 6, 100, 5, deadly=2 if cache == "none" else None).table()
    options = OPTIONS | {"strategy": Averaging(3), "cache": cache}
    there = SGDClassifier(**options).fit(A, y)
    assert (tmp_path / "died").exists() == (cache == "none")
    with dask.config.set(scheduler="synchronous"):
        here = SGDClassifier(**options).fit(A, y)
    assert parameters(there).tobytes() == parameters(here).tobytes()
    assert there.n_passes_ == here.n_passes_ == 4
