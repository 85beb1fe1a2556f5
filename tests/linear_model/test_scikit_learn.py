"""What code written for scikit-learn relies on: signatures, names of solvers, shapes, types."""

import inspect
import warnings

import numpy as np
import pytest
import sklearn.linear_model
import sklearn.neural_network
from sklearn.exceptions import UndefinedMetricWarning
from tables import dask_rows

import daskdsml.linear_model as linear_model
import daskdsml.neural_network as neural_network
from daskdsml.inference import infer
from daskdsml.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)

X = np.random.default_rng(0).normal(size=(60, 3))
NUMBERS = X @ [1.0, 2.0, 0.0] + np.random.default_rng(1).normal(size=60)
CODES = (NUMBERS > 0.0).astype(int)
THREE = np.arange(60) % 3
PAIRS = [
    (getattr(theirs, name), getattr(ours, name))
    for theirs, ours in (
        (sklearn.linear_model, linear_model),
        (sklearn.neural_network, neural_network),
    )
    for name in ours.__all__
    if inspect.isclass(getattr(theirs, name, None))
]
# Not taken: arguments that scikit-learn deprecates, or that switch checks off.
LEFT_OUT = {"check_input", "use_legacy_attributes", "params", "score_params"}
EVERY_PAIR = pytest.mark.parametrize("theirs, ours", PAIRS, ids=lambda kind: kind.__name__)


def by_position(method):
    parameters = inspect.signature(method).parameters.values()
    named = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    return [name for name in named if name not in LEFT_OUT]


@EVERY_PAIR
def test_signatures_are_those_of_scikit_learn(theirs, ours):
    for name, method in inspect.getmembers(theirs, callable):
        if name.startswith("_") and name != "__init__" or not hasattr(ours, name):
            continue
        positions = by_position(method)
        assert by_position(getattr(ours, name))[: len(positions)] == positions, name
        lost = set(inspect.signature(method).parameters) - LEFT_OUT
        assert lost <= set(inspect.signature(getattr(ours, name)).parameters), name
    for name in ("sparsify", "densify", "partial_fit", "predict_proba", "predict_log_proba"):
        assert hasattr(theirs, name) <= hasattr(ours, name), name


@pytest.mark.parametrize("solver", ["svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga"])
def test_solvers_of_ridge_have_their_optimum(solver):
    for y in (NUMBERS, np.column_stack([NUMBERS, X[:, 0]])):
        mine = Ridge(solver=solver).fit(X, y)
        reference = sklearn.linear_model.Ridge(solver=solver, tol=1e-12, max_iter=10_000).fit(X, y)
        np.testing.assert_allclose(mine.coef_, reference.coef_, atol=1e-8)


def test_lbfgs_takes_bounds():
    options = {"solver": "lbfgs", "positive": True}
    mine = Ridge(**options).fit(X, -NUMBERS)
    reference = sklearn.linear_model.Ridge(**options, tol=1e-12).fit(X, -NUMBERS)
    np.testing.assert_allclose(mine.coef_, reference.coef_, atol=1e-8)
    assert mine.solver_ == "nnls"


@pytest.mark.parametrize(
    "model",
    [
        Ridge(),
        SGDRegressor(random_state=0),
        neural_network.MLPRegressor(max_iter=1, tol=None, random_state=0),
    ],
)
@pytest.mark.parametrize("n_blocks", [None, 1])
def test_r2_of_one_row_is_not_defined(model, n_blocks):
    model.fit(X, NUMBERS)
    A, y = X[:1], NUMBERS[:1]
    if n_blocks is not None:
        A, y = dask_rows(A, n_blocks), dask_rows(y, n_blocks)
    with pytest.warns(UndefinedMetricWarning, match="R2 is not defined for a single row.*two"):
        assert np.isnan(model.score(A, y))


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "newton-cholesky", "sag", "saga"])
def test_solvers_of_logistic_regression_have_their_optimum(solver):
    reference = sklearn.linear_model.LogisticRegression(tol=1e-10, max_iter=10_000).fit(X, CODES)
    mine = LogisticRegression(solver=solver, tol=1e-8).fit(X, CODES)
    np.testing.assert_allclose(mine.coef_, reference.coef_, atol=1e-6)
    if solver != "saga":
        with pytest.raises(ValueError, match=f"solver='{solver}' cannot minimise an L1 penalty"):
            LogisticRegression(solver=solver, l1_ratio=1.0).fit(X, CODES)
    assert PoissonRegressor(solver="newton-cholesky").fit(X, CODES).solver_ == "newton"
    for estimator in (LogisticRegression, LogisticRegressionCV):
        with pytest.raises(ValueError, match="Unknown solver 'liblinear'.*'auto'.*'newton-cg'"):
            estimator(solver="liblinear").fit(X, CODES)


@pytest.mark.parametrize(
    "given, instead",
    [
        ({"penalty": "l2", "l1_ratio": 0.5}, {}),
        ({"penalty": "l1"}, {"l1_ratio": 1.0}),
        ({"penalty": "elasticnet", "l1_ratio": 0.5}, {"l1_ratio": 0.5}),
        ({"penalty": None, "C": 0.1}, {"C": np.inf}),
    ],
)
def test_the_deprecated_penalty_says_what_to_use_instead(given, instead):
    with pytest.warns(FutureWarning, match="deprecated.*use C=.* and l1_ratio=.* in place of"):
        mine = LogisticRegression(**given).fit(X, CODES)
    np.testing.assert_array_equal(mine.coef_, LogisticRegression(**instead).fit(X, CODES).coef_)
    if given["penalty"] is None:
        infer(mine, X, CODES)
    else:
        with pytest.raises(ValueError, match="is penalised"):
            infer(mine, X, CODES)


def test_a_class_may_have_no_weight():
    options = {"class_weight": {0: 0, 1: 1, 2: 1}}
    reference = sklearn.linear_model.LogisticRegression(**options, tol=1e-8).fit(X, THREE)
    shares = LogisticRegression(**options).fit(X, THREE).predict_proba(X)
    np.testing.assert_allclose(shares, reference.predict_proba(X), atol=1e-4)
    options |= {"shuffle": False, "max_iter": 5, "tol": None}
    reference = sklearn.linear_model.SGDClassifier(**options).fit(X, THREE)
    mine = SGDClassifier(**options).fit(X, THREE)
    np.testing.assert_allclose(mine.coef_, reference.coef_, rtol=1e-6)


def in_chunks(a):
    return dask_rows(a, 4)


def of_unknown_length(a):
    """Chunks whose lengths nobody knows."""
    return in_chunks(a)[in_chunks(np.ones(len(a))) > 0.0]


@pytest.mark.parametrize("layout", [np.asarray, in_chunks, of_unknown_length])
@EVERY_PAIR
def test_a_y_of_one_column_has_the_shapes_of_scikit_learn(theirs, ours, layout):
    y = CODES if issubclass(ours, sklearn.base.ClassifierMixin) else np.abs(NUMBERS) + 0.1
    options = {"max_iter": 5} if "MLP" in ours.__name__ else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = theirs(**options).fit(X, y[:, None])
        mine = ours(**options).fit(layout(X), layout(y[:, None]))
        predicted = np.asarray(mine.predict(layout(X)))
    assert predicted.shape == reference.predict(X).shape
    for name in ("coef_", "intercept_", "alpha_", "scale_"):
        if hasattr(reference, name):
            value, wanted = getattr(mine, name), getattr(reference, name)
            assert np.shape(value) == np.shape(wanted), name
            assert not isinstance(value, float) or isinstance(value, np.floating), name
