"""Where data leave coefficients open, all solvers give those of least norm, and say so."""

import dask.array as da
import numpy as np
import pytest
from scipy import linalg
from scipy.linalg import LinAlgWarning
from sklearn.base import clone

from daskdsml.linear_model import (
    GammaRegressor,
    HuberRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)

N, P = 150, 4
RELATIONS = {
    "twice": lambda X: np.column_stack([X, 2.0 * X[:, 0]]),
    "sum": lambda X: np.column_stack([X, X[:, 0] + X[:, 1]]),
    "dummies": lambda X: np.column_stack([X, np.eye(3)[np.arange(N) % 3]]),
}
MODELS = [
    (LogisticRegression(C=np.inf, tol=1e-8), "two"),
    (LogisticRegression(C=np.inf, tol=1e-8), "three"),
    (PoissonRegressor(alpha=0.0, tol=1e-8), "count"),
    (GammaRegressor(alpha=0.0, tol=1e-8), "amount"),
    (HuberRegressor(alpha=0.0, tol=1e-8), "real"),
    (LinearRegression(tol=1e-8), "real"),
    (Ridge(alpha=0.0, tol=1e-8), "real"),
]


def table(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, P))
    z = X @ [1.0, -0.5, 0.3, 0.2]
    y = {
        "two": (z + rng.logistic(size=N) > 0).astype(int),
        "three": np.digitize(z + rng.normal(size=N), [-1.0, 1.0]),
        "count": rng.poisson(np.exp(z / 2)),
        "amount": rng.gamma(2.0, np.exp(z / 2)) + 0.01,
        "real": z + rng.standard_t(3, size=N),
    }
    return X, y[kind]


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("solver", ["lbfgs", "auto"])
@pytest.mark.parametrize("model, kind", MODELS, ids=repr)
def test_open_coefficients_are_of_least_norm(model, kind, solver, relation):
    """They are orthogonal to what changes no prediction; the independent columns tell these."""
    X, y = table(kind)
    X = RELATIONS[relation](X)
    estimator = clone(model).set_params(solver=solver)
    with pytest.warns(LinAlgWarning, match="rank-deficient"):
        ours = clone(estimator).fit(X, y)
    open_moves = linalg.null_space(X - X.mean(axis=0), rcond=1e-10)
    coef = np.atleast_2d(ours.coef_)
    np.testing.assert_allclose(coef @ open_moves, 0.0, atol=1e-9)
    columns = X[:, :-1]
    there = clone(estimator).fit(columns, y)
    right = columns @ np.atleast_2d(there.coef_).T + np.ravel(there.intercept_)
    scores = X @ coef.T + np.ravel(ours.intercept_)
    np.testing.assert_allclose(scores, right, atol=2e-5)


@pytest.mark.parametrize("intercept", [True, False])
def test_fewer_rows_than_columns(intercept):
    X = np.random.default_rng(1).normal(size=(20, 50)) * np.logspace(-1, 1, 50)
    y = X[:, 0] + np.random.default_rng(2).normal(size=20)
    with pytest.warns(LinAlgWarning, match="fewer rows"):
        ours = LinearRegression(solver="lbfgs", tol=1e-10, fit_intercept=intercept).fit(X, y)
    mean = X.mean(axis=0) * intercept
    right = linalg.lstsq(X - mean, y - y.mean() * intercept)[0]
    np.testing.assert_allclose(ours.coef_, right, atol=1e-5 * np.abs(right).max())


def test_a_sample_tells_that_coefficients_may_be_open():
    X, y = table("two")
    X, y = np.tile(RELATIONS["twice"](X), (200, 1)), np.tile(y, 200)
    rows = da.from_array(X, chunks=(10_000, -1)), da.from_array(y, chunks=10_000)
    with pytest.warns(LinAlgWarning, match="depend on each other in 1000 sampled rows"):
        LogisticRegression(C=np.inf, solver="lbfgs").fit(*rows)
