"""ADMM: the optimum of all rows in few rounds, however unkind the data and however they are cut."""

import warnings

import dask
import dask.array as da
import numpy as np
import pytest
import sklearn.linear_model as theirs
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from tables import Source, classes, counts, csr_rows, dask_rows

from daskdsml.engine import memory
from daskdsml.engine.full import shards
from daskdsml.engine.full.cluster import ClusterRows
from daskdsml.linear_model import (
    GammaRegressor,
    LogisticRegression,
    PoissonRegressor,
    SGDClassifier,
)
from daskdsml.strategies import ADMM, Averaging

N = 1600


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """A shard for each chunk."""
    monkeypatch.setattr(shards, "SMALLEST", 1)


def table(kind, p, alike=0.0, scales=False, odds=0.0, by_label=False, rate=0.0):
    """X (N, p) and y of a model, with columns that correlate or differ in scale."""
    rng = np.random.default_rng(p)
    X = np.sqrt(1.0 - alike) * rng.normal(size=(N, p)) + np.sqrt(alike) * rng.normal(size=(N, 1))
    z = X @ rng.normal(size=p) / np.sqrt(p)
    y = {
        "logistic": lambda: (rng.random(N) < 1.0 / (1.0 + np.exp(-z - odds))).astype(float),
        "multinomial": lambda: (np.outer(z, [-1, 0, 1]) + rng.gumbel(size=(N, 3))).argmax(axis=1),
        "poisson": lambda: rng.poisson(np.exp(0.5 * z + rate)).astype(float),
        "gamma": lambda: rng.gamma(2.0, np.exp(0.5 * z)) + 1e-9,
    }[kind]()
    X = X * np.geomspace(1e-3, 1e3, p) if scales else X
    order = np.argsort(y, kind="stable") if by_label else np.arange(N)
    return X[order], y[order]


def value(model, kind, X, y, strength, l1_ratio=0.0):
    """The mean objective at the coefficients of a model."""
    coef = np.atleast_2d(model.coef_)
    z = X @ coef.T + model.intercept_
    losses = {
        "logistic": lambda: np.logaddexp(0.0, z[:, 0]) - y * z[:, 0],
        "multinomial": lambda: np.logaddexp.reduce(z, axis=1) - z[np.arange(N), y],
        "poisson": lambda: np.exp(z[:, 0]) - y * z[:, 0],
        "gamma": lambda: y * np.exp(-z[:, 0]) + z[:, 0],
    }[kind]()
    square, size = 0.5 * (coef**2).sum(), np.abs(coef).sum()
    return losses.mean() + strength * (l1_ratio * size + (1.0 - l1_ratio) * square)


def made(kind, strength, l1_ratio=0.0, **options):
    if kind in ("logistic", "multinomial"):
        C = 1.0 / (N * strength) if strength else np.inf
        return LogisticRegression(C=C, l1_ratio=l1_ratio, **options)
    return {"poisson": PoissonRegressor, "gamma": GammaRegressor}[kind](alpha=strength, **options)


def rounds(model):
    return sum(record.name in ("round", "hessian") for record in model.history_)


LAYOUTS = [
    {}, {"alike": 0.99}, {"scales": True}, {"odds": -3.0}, {"by_label": True}, {"p": 40},
    {"alike": 0.99, "scales": True, "by_label": True}, {"p": 5},
]  # fmt: skip
GRID = [("logistic", layout, (strength, 0.0)) for layout in LAYOUTS for strength in (0.0, 1e-3)]
GRID += [("logistic", {}, (1.0, 0.0))]
GRID += [("logistic", layout, (0.01, ratio)) for layout in LAYOUTS[:5] for ratio in (0.5, 1.0)]
GRID += [("poisson", {"rate": rate}, (s, 0.0)) for rate in (0.0, 5.0) for s in (0.0, 0.1)]
GRID += [("poisson", {"rate": 3.0, "by_label": True}, (0.0, 0.0))]
GRID += [("gamma", {"scales": True}, (0.0, 0.0)), ("gamma", {"alike": 0.9}, (0.1, 0.0))]
GRID += [("multinomial", {"by_label": True}, penalty) for penalty in ((0.01, 0.0), (0.01, 1.0))]
GRID += [("multinomial", {"alike": 0.9}, (0.0, 0.0))]


@pytest.mark.parametrize("kind, layout, penalty", GRID)
def test_few_rounds_bring_the_optimum(kind, layout, penalty):
    X, y = table(kind, **{"p": 12, **layout})
    A, t = dask_rows(X, 16), dask_rows(y, 16)
    best = value(made(kind, *penalty, tol=1e-11, max_iter=1000).fit(X, y), kind, X, y, *penalty)
    model = made(kind, *penalty, strategy=ADMM(2), max_iter=20).fit(A, t)
    assert value(model, kind, X, y, *penalty) - best < 1e-6
    assert model.converged_ and rounds(model) <= 15
    model = made(kind, *penalty, tol=1e-9, strategy=ADMM(16), max_iter=20).fit(A, t)
    assert value(model, kind, X, y, *penalty) - best < 1e-10
    assert model.converged_ and rounds(model) <= 20
    assert model.history_[-1].gradient_norm <= 1e-9


def test_the_optimum_is_that_of_scikit_learn():
    X, y, w = classes(N, 6)
    options = {"C": 0.1, "tol": 1e-10}
    parts = [dask_rows(part, 10) for part in (X, y, w)]
    mine = LogisticRegression(strategy="admm", **options).fit(*parts)
    their = theirs.LogisticRegression(max_iter=10_000, **options).fit(X, y, w)
    np.testing.assert_allclose(mine.coef_, their.coef_, rtol=1e-6)
    X, y, w = counts(N, 6)
    parts = [dask_rows(part, 10) for part in (X, y, w)]
    mine = PoissonRegressor(tol=1e-10, strategy="admm").fit(*parts)
    their = theirs.PoissonRegressor(tol=1e-10, solver="newton-cholesky").fit(X, y, w)
    np.testing.assert_allclose(mine.coef_, their.coef_, rtol=1e-6)


def test_the_optimum_is_that_of_statsmodels():
    api = pytest.importorskip("statsmodels.api")
    X, y, _ = classes(N, 6)
    theta = api.Logit(y, api.add_constant(X)).fit(disp=0, tol=1e-12).params
    mine = LogisticRegression(C=np.inf, strategy="admm").fit(dask_rows(X, 10), dask_rows(y, 10))
    np.testing.assert_allclose(np.append(mine.intercept_, mine.coef_), theta, rtol=1e-6)


def test_weights_count_as_repeated_rows():
    X, y, _ = classes(N, 6)
    times = np.random.default_rng(0).integers(0, 4, N)
    options = {"tol": 1e-11, "strategy": ADMM(3)}
    weighted = [dask_rows(part, 8) for part in (X, y, times.astype(float))]
    repeated = [dask_rows(np.repeat(part, times, axis=0), 5) for part in (X, y)]
    one, other = (LogisticRegression(**options).fit(*parts) for parts in (weighted, repeated))
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-9)


def test_chunks_and_parts_leave_the_optimum():
    X, y, _ = classes(N, 6)
    coefs = [
        LogisticRegression(tol=1e-11, strategy=ADMM(n_parts)).fit(
            dask_rows(X, n_blocks), dask_rows(y, n_blocks)
        )
        for n_blocks, n_parts in ((1, 4), (4, 9), (13, 5), (13, 13))
    ]
    for model in coefs[1:]:
        np.testing.assert_allclose(model.coef_, coefs[0].coef_, rtol=1e-9)


def test_sparse_rows():
    X, y, _ = classes(N, 6)
    mine, plain = (
        LogisticRegression(tol=1e-11, strategy=ADMM(3)).fit(A, dask_rows(y, 6))
        for A in (csr_rows(X, 6), dask_rows(X, 6))
    )
    np.testing.assert_allclose(mine.coef_, plain.coef_, rtol=1e-9)


def test_columns_that_parts_lack_and_columns_that_depend():
    X, y, _ = classes(N, 6)
    X[200:, 0] = 0.0  # in one chunk of eight alone
    X[:, 5] = X[:, 3] - X[:, 4]
    A, t = dask_rows(X, 8), dask_rows(y, 8)
    with pytest.warns(LinAlgWarning, match=r"columns 3, 4, 5"):
        mine = LogisticRegression(C=np.inf, tol=1e-9, strategy=ADMM(8)).fit(A, t)
    with pytest.warns(LinAlgWarning):
        plain = LogisticRegression(C=np.inf, tol=1e-9, solver="newton").fit(A, t)
    np.testing.assert_allclose(mine.coef_, plain.coef_, rtol=1e-6, atol=1e-8)


@pytest.mark.filterwarnings("error")
def test_separated_classes_are_told():
    X, _, _ = classes(N, 4)
    y = X[:, 0] > 0.3
    A, t = dask_rows(X, 8), dask_rows(y, 8)
    with pytest.warns(ConvergenceWarning, match="classes separated"):
        LogisticRegression(C=np.inf, strategy=ADMM(4)).fit(A, t)
    held = LogisticRegression(C=1.0, tol=1e-8, strategy=ADMM(4)).fit(A, t)
    plain = LogisticRegression(C=1.0, tol=1e-8).fit(A, t)
    np.testing.assert_allclose(held.coef_, plain.coef_, rtol=1e-5)


def test_starts_far_away_are_left():
    X, y = table("poisson", 5)
    A, t = dask_rows(X, 8), dask_rows(y, 8)
    best = PoissonRegressor(alpha=0.1, tol=1e-10).fit(A, t)
    for far in (5.0, -8.0, 1e3):
        model = PoissonRegressor(
            alpha=0.1, tol=1e-9, warm_start=True, strategy=ADMM(4), max_iter=60
        )
        model.coef_, model.intercept_ = np.full(5, far), far
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.fit(A, t)
        np.testing.assert_allclose(model.coef_, best.coef_, rtol=1e-6)


def test_rounds_that_are_too_few_are_told():
    X, y = table("poisson", 5, rate=4.0)
    with pytest.warns(ConvergenceWarning, match="max_iter=2 iterations with a gradient norm"):
        model = PoissonRegressor(tol=1e-9, max_iter=2, strategy="admm").fit(X, y)
    assert not model.converged_ and model.n_iter_ == 2


BAD = [
    (ADMM(0), "n_parts of ADMM must be an integer of at least 1, got 0"),
    (ADMM(2.0), "n_parts of ADMM must be an integer of at least 1, got 2.0"),
    (ADMM(True), "n_parts of ADMM must be an integer"),
    (ADMM(relaxation=0.0), "relaxation of ADMM must be a number above 0 and below 2, got 0.0"),
    (ADMM(relaxation=2.0), "relaxation of ADMM must be a number above 0 and below 2, got 2.0"),
    (ADMM(relaxation=np.nan), "relaxation of ADMM"),
    (ADMM(relaxation="much"), "relaxation of ADMM .* got 'much'"),
]


@pytest.mark.parametrize("strategy, message", BAD, ids=str)
def test_settings_out_of_range_are_named(strategy, message, tmp_path):
    source = Source(tmp_path, 4, 30, 3)
    with pytest.raises(ValueError, match=message):
        LogisticRegression(strategy=strategy).fit(*source.table())
    assert source.reads() == 0


def test_what_it_cannot_do_is_explained():
    X, y, _ = classes(60, 4)
    with pytest.raises(ValueError, match=r"solver='lbfgs'.*'gradient'.*'newton', 'proximal_ne"):
        LogisticRegression(solver="lbfgs", strategy="admm").fit(X, y)
    with pytest.raises(ValueError, match=r"matrices of all 4097 parameters.*4096 at most"):
        LogisticRegression(strategy="admm").fit(np.ones((2, 4097)) * [[1.0], [2.0]], [0, 1])
    shared = da.from_array(X, chunks=(20, 4))
    shared = shared - shared.mean(axis=0)
    with pytest.raises(ValueError, match="share work.*cache='memory'"):
        LogisticRegression(strategy="admm", cache="none").fit(shared, da.from_array(y, chunks=20))


def test_local_arrays_and_the_same_bits_twice():
    X, y, _ = classes(N, 4)
    models = [LogisticRegression(strategy=ADMM(4), n_jobs=n).fit(X, y) for n in (1, 2, 2)]
    assert len({model.coef_.tobytes() for model in models}) == 1


@pytest.mark.cluster
def test_same_bits_on_one_worker_and_on_three(monkeypatch):
    from distributed import Client

    X, y, _ = classes(N, 6)
    A, t = dask_rows(X, 16), dask_rows(y, 16)
    workers, parts = [], ClusterRows.parts

    def counted(self, *asked, **options):
        workers.append(len(self._client.nthreads()))
        return parts(self, *asked, **options)

    monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)
    monkeypatch.setattr(ClusterRows, "parts", counted)
    models = [
        LogisticRegression(strategy=ADMM(4)),
        SGDClassifier(strategy=Averaging(4), max_iter=2, tol=None),
    ]
    with dask.config.set(scheduler="synchronous"):
        here = [model.fit(A, t).coef_.tobytes() for model in models]
    for n_workers in (1, 3):
        with Client(
            n_workers=n_workers, threads_per_worker=1, processes=False, dashboard_address=":0"
        ):
            there = [clone(model).set_params(cache="memory").fit(A, t) for model in models]
        assert [model.coef_.tobytes() for model in there] == here
    assert set(workers) == {1, 3}


@pytest.mark.cluster
@pytest.mark.parametrize("cache", ["none", "memory"])
def test_same_bits_on_workers(client, cache, tmp_path):
    X, y = Source(tmp_path, 6, 400, 25, deadly=2 if cache == "none" else None).table()
    there = LogisticRegression(strategy=ADMM(3), cache=cache).fit(X, y)
    assert (tmp_path / "died").exists() == (cache == "none")
    with dask.config.set(scheduler="synchronous"):
        here = LogisticRegression(strategy=ADMM(3), cache=cache).fit(X, y)
    assert there.coef_.tobytes() == here.coef_.tobytes()
    assert there.n_passes_ == here.n_passes_
    assert [r._replace(seconds=0) for r in there.history_] == [
        r._replace(seconds=0) for r in here.history_
    ]
