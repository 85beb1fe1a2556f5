"""Generalised models of tables that are laid out by columns: the optimum of rows, to the digits."""

import dask
import dask.array as da
import numpy as np
import pytest
from scipy import sparse

from daskdsml.engine import memory
from daskdsml.linear_model import GammaRegressor, LogisticRegression, PoissonRegressor
from daskdsml.strategies import columns

rng = np.random.default_rng(3)
N, P = 60, 150
X = rng.normal(size=(N, P))
X[:, 5] += 1e5  # far from zero
X[:, 7] = 3.0  # constant
X[:, 9] *= 1e3
Z = X[:, :4].sum(axis=1)
TWO = np.array(["no", "yes"])[(Z + rng.logistic(size=N) > 0).astype(int)]
THREE = np.digitize(Z + rng.normal(size=N), [-1, 1])
COUNTS = rng.poisson(np.exp(0.3 * Z))
W = rng.integers(0, 3, N).astype(float)
OPTIONS = {"tol": 1e-7, "max_iter": 1000}


def wide(A=X, width=25):
    return da.from_array(A, chunks=(N, width))


@pytest.fixture(params=[4096, 3], ids=["columns in use kept", "scores read"])
def kept(request, monkeypatch):
    monkeypatch.setattr(columns, "MOST_KEPT", request.param)


MODELS = [
    (LogisticRegression(C=0.5, l1_ratio=1.0), TWO),
    (LogisticRegression(C=0.5, l1_ratio=0.5, class_weight="balanced"), TWO),
    (LogisticRegression(C=0.1), TWO),
    (LogisticRegression(C=1.0, l1_ratio=1.0, fit_intercept=False), TWO),
    (LogisticRegression(C=0.5, l1_ratio=1.0), THREE),
    (LogisticRegression(C=0.1, class_weight={0: 2.0, 1: 1.0, 2: 0.5}), THREE),
    (PoissonRegressor(alpha=1.0), COUNTS),
    (GammaRegressor(alpha=1.0, fit_intercept=False), COUNTS + 0.5),
]


@pytest.mark.filterwarnings("ignore:.*far from zero:UserWarning")
@pytest.mark.parametrize("model, y", MODELS, ids=lambda part: str(part)[:60])
def test_the_optimum_of_rows(model, y, kept):
    A = X if model.fit_intercept else np.delete(X, 5, axis=1)
    rows = model.set_params(strategy="all_reduce", **OPTIONS).fit(A, y, W)
    mine = model.set_params(strategy="auto").fit(wide(A), y, W)
    assert mine.converged_ and mine.solver_ in ("proximal_newton", "lbfgs")
    expected, found = (np.ravel(part.coef_).copy() for part in (rows, mine))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(mine.intercept_, rows.intercept_, rtol=1e-5, atol=1e-5)


def test_columns_take_what_rows_take(kept):
    model = LogisticRegression(C=0.5, l1_ratio=1.0, **OPTIONS)
    expected = model.fit(wide(), TWO).coef_.copy()
    assert (expected != 0).sum() > 3
    for A in (np.asfortranarray(X), wide(width=40), wide().map_blocks(sparse.csr_matrix)):
        found = LogisticRegression(C=0.5, l1_ratio=1.0, **OPTIONS, strategy="columns").fit(A, TWO)
        np.testing.assert_allclose(found.coef_, expected, atol=1e-9)
    assert list(model.classes_) == ["no", "yes"]
    assert (model.predict(X) == TWO).mean() > 0.8


def test_weights_are_repeated_rows():
    model = LogisticRegression(C=0.5, l1_ratio=1.0, **OPTIONS)
    weighed = model.fit(wide(), TWO, W).coef_.copy()
    again = np.repeat(np.arange(N), W.astype(int))
    repeated = model.fit(da.from_array(X[again], chunks=(len(again), 25)), TWO[again]).coef_
    np.testing.assert_allclose(weighed, repeated, atol=1e-8)


@pytest.mark.parametrize("l1_ratio", [1.0, 0.0])
def test_the_same_bits_here_and_on_workers(client, monkeypatch, l1_ratio):
    monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)
    model = LogisticRegression(C=0.5, l1_ratio=l1_ratio, strategy="columns")
    there = model.fit(wide(), TWO).coef_.tobytes()
    persisted = model.fit(client.persist(wide()), TWO).coef_.tobytes()
    with dask.config.set(scheduler="threads"):
        here = model.fit(wide(), TWO).coef_.tobytes()
    assert there == here == persisted


def test_a_fit_goes_on_from_the_last_one(kept):
    model = LogisticRegression(C=0.5, l1_ratio=1.0, warm_start=True, **OPTIONS).fit(wide(), TWO)
    first, n_passes = model.coef_.copy(), model.n_passes_
    assert model.fit(wide(), TWO).n_passes_ < n_passes
    np.testing.assert_allclose(model.coef_, first, atol=1e-8)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_named(bad):
    A = X.copy()
    A[17, 123] = bad
    with pytest.raises(ValueError, match="X contains .* row 17, column 123"):
        LogisticRegression(l1_ratio=1.0).fit(wide(A), TWO)
    with pytest.raises(ValueError, match="y contains .* row 4"):
        PoissonRegressor(strategy="columns").fit(wide(), np.where(np.arange(N) == 4, bad, COUNTS))


def test_rows_are_kept_where_there_are_more_of_them_or_solvers_need_them():
    tall = da.from_array(X[:, :20], chunks=(N, 5))
    assert LogisticRegression().fit(tall, TWO).solver_ == "newton"
    newton = LogisticRegression(C=0.1, solver="newton").fit(wide(), TWO)
    expected = LogisticRegression(C=0.1, strategy="all_reduce", **OPTIONS).fit(X, TWO)
    np.testing.assert_allclose(newton.coef_, expected.coef_, atol=1e-3)
