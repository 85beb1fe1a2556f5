"""What a fit must not depend on: where columns lie, units, the order of rows, names of labels.

One table of all estimators. Data are changed by numbers that lose no digit of them, so the fit to
the plain data says what is right; or one warning names the column.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from daskdsml.feature_selection import ForwardStepwiseSelector
from daskdsml.layers import Dense, Embedding, Flatten
from daskdsml.linear_model import (
    ElasticNet,
    ElasticNetCV,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
)
from daskdsml.neural_network import MLPClassifier, MLPRegressor, NeuralClassifier

# Rows, columns, and the digits after the point in base 2, which moves by less than 2**31 leave.
N, P, DIGITS = 150, 3, 11
RTOL = 1e-6


class Case(NamedTuple):
    """An estimator, the y it takes, and the settings with which the penalty is no matter of units.

    ``rtol`` is relative to the largest coefficient; ``folds`` tells that rows are cut into runs.
    """

    estimator: Any
    y: str
    free: dict | None = None
    rtol: float = RTOL
    folds: bool = False


def tight(estimator, **settings):
    return estimator(tol=1e-9, **settings)


CASES = {
    "ols": Case(LinearRegression(), "real", {}),
    "ols-cholesky": Case(LinearRegression(solver="cholesky"), "real", {}, 1e-5),
    "ols-lbfgs": Case(tight(LinearRegression, solver="lbfgs"), "real", {}),
    "ols-positive": Case(LinearRegression(positive=True), "real", {}),
    "ridge": Case(Ridge(), "real", {"alpha": 0.0}),
    "ridge-lbfgs": Case(tight(Ridge, solver="lbfgs"), "real", {"alpha": 0.0}),
    "ridge-dual": Case(Ridge(solver="dual"), "real"),
    "lasso": Case(tight(Lasso, alpha=0.1), "real"),
    "lasso-working-set": Case(Lasso(alpha=0.1, solver="working_set"), "real"),
    "elastic-net": Case(tight(ElasticNet, alpha=0.1), "real"),
    "ridge-cv": Case(RidgeCV(), "real"),
    "ridge-cv-folds": Case(RidgeCV(cv=3), "real", folds=True),
    "lasso-cv": Case(tight(LassoCV, cv=3), "real", folds=True),
    "elastic-net-cv": Case(tight(ElasticNetCV, cv=3), "real", folds=True),
    "stepwise": Case(ForwardStepwiseSelector(), "real", {}),
    "huber": Case(tight(HuberRegressor), "real", {"alpha": 0.0}),
    "huber-lbfgs": Case(tight(HuberRegressor, solver="lbfgs"), "real", {"alpha": 0.0}),
    "poisson": Case(tight(PoissonRegressor), "count", {"alpha": 0.0}),
    "poisson-lbfgs": Case(tight(PoissonRegressor, solver="lbfgs"), "count", {"alpha": 0.0}),
    "gamma": Case(tight(GammaRegressor), "amount", {"alpha": 0.0}),
    "logistic": Case(tight(LogisticRegression), "two", {"C": np.inf}),
    "logistic-lbfgs": Case(tight(LogisticRegression, solver="lbfgs"), "two", {"C": np.inf}),
    "logistic-l1": Case(tight(LogisticRegression, l1_ratio=1.0, C=0.3), "two"),
    "multinomial": Case(tight(LogisticRegression), "three", {"C": np.inf}),
    "multinomial-lbfgs": Case(tight(LogisticRegression, solver="lbfgs"), "three", {"C": np.inf}),
    "multinomial-l1": Case(tight(LogisticRegression, l1_ratio=0.5, C=0.3), "three"),
    "logistic-cv": Case(tight(LogisticRegressionCV, Cs=2, cv=3), "two", folds=True),
    "multinomial-cv": Case(tight(LogisticRegressionCV, Cs=2, cv=3), "three", folds=True),
    "logistic-cv-l1": Case(
        tight(LogisticRegressionCV, Cs=2, cv=3, l1_ratios=[1.0]), "two", folds=True
    ),
}  # fmt: skip
DESCENT = {
    "sgd-regressor": Case(SGDRegressor(max_iter=3, tol=None), "real"),
    "sgd-classifier": Case(SGDClassifier(max_iter=3, tol=None), "two"),
    "mlp-regressor": Case(MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, tol=None), "real"),
    "mlp-classifier": Case(MLPClassifier(hidden_layer_sizes=(4,), max_iter=3, tol=None), "three"),
    "mlp-lbfgs": Case(
        MLPClassifier(hidden_layer_sizes=(4,), solver="lbfgs", max_iter=3, tol=None), "two"
    ),
}
every = pytest.mark.parametrize("name", CASES)
descent = pytest.mark.parametrize("name", DESCENT)
classifiers = pytest.mark.parametrize(
    "name", [k for k, case in (CASES | DESCENT).items() if case.y in ("two", "three")]
)
# Points that columns are moved to, in spreads of about one.
MOVES = {
    "near": (2.0**10, 0.0, 0.0),
    "far": (-(2.0**20), 0.0, 0.0),
    "farthest": (2.0**30, 0.0, 0.0),
    "several": (2.0**30, -(2.0**21), 2.0**12),
}


def table(kind):
    """X (N, P) of few digits, y (N,)."""
    rng = np.random.default_rng(5)
    X = np.round(rng.normal(size=(N, P)) * 2**DIGITS) / 2**DIGITS
    z = X @ [1.0, -0.6, 0.3] + 0.2
    y = {
        "real": np.round((z + rng.standard_t(3, size=N)) * 2**DIGITS) / 2**DIGITS,
        "count": rng.poisson(np.exp(z / 2)),
        "amount": rng.gamma(2.0, np.exp(z / 2)) + 0.01,
        "two": (z + rng.logistic(size=N) > 0).astype(int),
        "three": np.digitize(z + rng.logistic(size=N), [-0.7, 0.9]),
    }
    return X, y[kind]


def parameters(model):
    """Coefficients (K, P), zeros for columns that were not selected, and intercepts (K,)."""
    coef = np.atleast_2d(model.coef_)
    if hasattr(model, "support_"):
        coef = np.zeros((1, P))
        coef[0, model.support_] = model.coef_
    return coef, np.ravel(model.intercept_)


def same(model, plain, rtol, scale=1.0, move=0.0, y_move=0.0):
    """Whether a fit to ``X * scale + move`` and ``y + y_move`` is the plain one."""
    coef, intercept = parameters(model)
    right, point = parameters(plain)
    size = np.abs(right).max()
    np.testing.assert_allclose(coef * scale, right, rtol=0.0, atol=rtol * size)
    moved = intercept + coef @ (np.zeros(P) + move) - y_move
    if len(moved) > 1:  # those of all classes are determined but for a number added to all
        moved, point = moved - moved.mean(), point - point.mean()
    # The move of an intercept is as large as columns are far, and rounded accordingly.
    lost = 1e-15 * (np.abs(coef @ (np.zeros(P) + move)).max() + abs(y_move))
    np.testing.assert_allclose(moved, point, rtol=0.0, atol=10.0 * rtol * size + lost)


@every
@pytest.mark.parametrize("move", MOVES)
def test_columns_may_lie_far_from_zero(name, move):
    case, move = CASES[name], MOVES[move]
    X, y = table(case.y)
    plain = clone(case.estimator).fit(X, y)
    same(clone(case.estimator).fit(X + move, y), plain, case.rtol, move=move)


@pytest.mark.parametrize("name", ["logistic", "multinomial-lbfgs", "huber", "ridge-lbfgs"])
def test_sparse_columns_may_lie_far_from_zero(name):
    case, move = CASES[name], (2.0**30, 0.0, 0.0)
    X, y = table(case.y)
    X[np.abs(X) < 1.0] = 0.0
    plain = clone(case.estimator).fit(sparse.csr_matrix(X), y)
    same(clone(case.estimator).fit(sparse.csr_matrix(X + move), y), plain, case.rtol, move=move)


@pytest.mark.parametrize("name", ["logistic", "logistic-l1", "poisson", "huber", "ridge-lbfgs"])
def test_single_precision_columns_may_lie_far_from_zero(name):
    case, move = CASES[name], (2.0**9, 0.0, 0.0)
    X, y = table(case.y)
    X = np.round(X * 2**8) / 2**8
    estimator = clone(case.estimator).set_params(tol=1e-6)
    plain = clone(estimator).fit(X.astype(np.float32), y)
    same(clone(estimator).fit((X + move).astype(np.float32), y), plain, 1e-4, move=move)


@descent
@pytest.mark.filterwarnings("ignore:SGDRegressor clipped")
@pytest.mark.parametrize("far", [2.0**10, 2.0**30])
def test_descent_warns_of_columns_far_from_zero(name, far):
    case = DESCENT[name]
    X, y = table(case.y)
    with pytest.warns(UserWarning, match="far from zero.*: 0, 2. .*StandardScaler") as caught:
        try:
            clone(case.estimator).fit(X + [far, 0.0, -far], y)
        except ValueError as error:
            assert "diverged" in str(error) or "too large" in str(error)
    assert len([w for w in caught if "far from zero" in str(w.message)]) == 1


@descent
@pytest.mark.filterwarnings("ignore:SGDRegressor clipped")
@pytest.mark.parametrize("power", [-30, 30])
def test_descent_warns_of_columns_in_other_units(name, power):
    case = DESCENT[name]
    X, y = table(case.y)
    with pytest.warns(UserWarning, match="with a spread below .*: 0. .*Scale them") as caught:
        try:
            clone(case.estimator).fit(X * [2.0**power, 1.0, 1.0], y)
        except ValueError as error:
            assert "diverged" in str(error) or "too large" in str(error)
    assert len([w for w in caught if "was given columns" in str(w.message)]) == 1


@pytest.mark.parametrize("size", [1, 2, 200])
def test_networks_tell_columns_by_some_rows_whatever_the_batches(size):
    X, y = table("two")
    model = MLPClassifier(hidden_layer_sizes=(2,), max_iter=1, tol=None, batch_size=size)
    with pytest.warns(UserWarning, match="far from zero.*: 1. "):
        model.fit(X + [0.0, 2.0**20, 0.0], y)


def test_codes_of_tokens_have_no_units():
    codes = np.random.default_rng(0).integers(1000, 1003, size=(60, 4))
    layers = [Embedding(1003, 2), Flatten(), Dense(2)]
    NeuralClassifier(layers, max_iter=1, tol=None).fit(codes, codes[:, 0] == 1001)


@every
@pytest.mark.parametrize("power", [-30, 30])
def test_units_of_columns(name, power):
    case, scale = CASES[name], np.array([2.0**power, 1.0, 2.0**-power])
    if case.free is None:
        pytest.skip("a penalty, which depends on units")
    X, y = table(case.y)
    estimator = clone(case.estimator).set_params(**case.free)
    plain = clone(estimator).fit(X, y)
    same(clone(estimator).fit(X * scale, y), plain, case.rtol, scale=scale)
    move = np.array([2.0**20, 2.0**9, -(2.0**18)]) * scale
    same(clone(estimator).fit(X * scale + move, y), plain, case.rtol, scale=scale, move=move)


@every
def test_weights_are_numbers_of_rows(name):
    case = CASES[name]
    if case.folds:
        pytest.skip("folds are runs of rows")
    X, y = table(case.y)
    w = np.random.default_rng(1).integers(0, 4, size=N)
    plain = clone(case.estimator).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    if name in ("stepwise", "ridge-cv"):
        pytest.skip("the criterion counts rows")
    same(clone(case.estimator).fit(X, y, sample_weight=w.astype(float)), plain, case.rtol)


@every
def test_order_of_rows(name):
    case = CASES[name]
    if case.folds:
        pytest.skip("folds are runs of rows")
    X, y = table(case.y)
    order = np.random.default_rng(2).permutation(N)
    plain = clone(case.estimator).fit(X, y)
    same(clone(case.estimator).fit(X[order], y[order]), plain, case.rtol)


@pytest.mark.parametrize("name", [k for k, case in CASES.items() if case.y == "real"])
@pytest.mark.parametrize("move", [2.0**10, -(2.0**30)])
def test_targets_may_lie_far_from_zero(name, move):
    case = CASES[name]
    X, y = table(case.y)
    plain = clone(case.estimator).fit(X, y)
    same(clone(case.estimator).fit(X, y + move), plain, case.rtol, y_move=move)


@pytest.mark.parametrize("name", [k for k, case in CASES.items() if case.free is not None])
@pytest.mark.parametrize("power", [-30, 30])
def test_units_of_targets(name, power):
    """Coefficients are in the units of y, or do not depend on them where the link is log.

    Gradients are in these units too, and so is the tolerance for them: what ends the search in
    small ones is that a step is small, or that it lowers the objective by little.
    """
    case = CASES[name]
    if case.y in ("two", "three"):
        pytest.skip("labels have no units")
    X, y = table(case.y)
    estimator = clone(case.estimator).set_params(**case.free)
    estimator.set_params(**{"tol": 1e-4} if name.endswith("lbfgs") else {})
    plain = clone(estimator).fit(X, y)
    coef, right = parameters(clone(estimator).fit(X, y * 2.0**power))[0], parameters(plain)[0]
    unit = 2.0**power if case.y == "real" else 1.0
    rtol = 1e-2 if name.endswith("lbfgs") or name == "poisson" else case.rtol
    np.testing.assert_allclose(coef / unit, right, rtol=0.0, atol=rtol * np.abs(right).max())


@classifiers
def test_names_of_labels(name):
    """In the same order nothing changes; two in the other order turn the sign."""
    case = (CASES | DESCENT)[name]
    X, y = table(case.y)
    plain = clone(case.estimator).fit(X, y)
    named = clone(case.estimator).fit(X, np.array(["a", "b", "c"])[y])
    assert (
        np.array_equal(named.predict_proba(X), plain.predict_proba(X))
        if hasattr(plain, "predict_proba")
        else np.array_equal(named.coef_, plain.coef_)
    )
    assert np.array_equal(named.classes_, np.array(["a", "b", "c"])[: len(plain.classes_)])
    if case.y == "two" and name in CASES:
        turned = clone(case.estimator).fit(X, 1 - y)
        atol = case.rtol * np.abs(plain.coef_).max()
        np.testing.assert_allclose(-turned.coef_, plain.coef_, rtol=0.0, atol=atol)


@every
def test_constant_columns_get_nothing(name):
    case = CASES[name]
    X, y = table(case.y)
    X = np.column_stack([X, np.full(N, 1e9 + 0.1)])
    estimator = clone(case.estimator)
    if name in ("stepwise",):
        pytest.skip("no column of it is selected")
    if case.free == {} or name.startswith("huber"):
        pytest.skip("the relation is told of in a warning")
    plain = clone(estimator).fit(X[:, :P], y)
    coef = np.atleast_2d(estimator.fit(X, y).coef_)
    size = np.abs(plain.coef_).max()
    np.testing.assert_allclose(coef[:, P] * 1e9, 0.0, atol=case.rtol * size)
    np.testing.assert_allclose(
        coef[:, :P], np.atleast_2d(plain.coef_), rtol=0.0, atol=case.rtol * size
    )


@pytest.mark.parametrize("name", ["ols", "lasso", "ridge-lbfgs", "huber", "logistic-cv", "poisson"])
def test_squares_that_underflow_are_refused(name):
    case = CASES[name]
    X, y = table(case.y)
    with pytest.raises(ValueError, match="Column 1 of X .* underflow"):
        clone(case.estimator).fit(X * [1.0, 2.0**-540, 1.0], y)


@pytest.mark.parametrize("name", ["logistic-lbfgs", "ridge-lbfgs", "poisson"])
def test_columns_that_are_alike_without_an_intercept_are_named(name):
    case = CASES[name]
    X, y = table(case.y)
    estimator = clone(case.estimator).set_params(fit_intercept=False, tol=1e-2)
    with pytest.warns(UserWarning, match="spread: 0, 2. Without an intercept"):
        estimator.fit(X + [2.0**10, 0.0, -(2.0**14)], y)
