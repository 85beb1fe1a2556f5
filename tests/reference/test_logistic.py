"""Logistic regression against scikit-learn and statsmodels."""

import itertools
import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import LinAlgWarning
from sklearn import linear_model as theirs
from sklearn.exceptions import ConvergenceWarning
from tables import classes, csr_rows, dask_rows

from daskdsml.linear_model import LogisticRegression

GRID = list(itertools.product([True, False], [True, False], [None, 1, 7, 50], [False, True]))
LAYOUTS = list(itertools.product([None, 7], [False, True]))
LABELS = {
    "1 and 2": np.array([1, 2]),
    "-1 and 1": np.array([-1, 1]),
    "strings": np.array(["no", "yes"]),
    "objects": np.array(["no", "yes"], dtype=object),
    "booleans": np.array([False, True]),
    "floats": np.array([0.0, 3.0]),
    "small integers": np.array([3, 7], dtype=np.int8),
}


def reference(X, y, w=None, **parameters):
    """scikit-learn's model at its best."""
    model = theirs.LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000)
    with warnings.catch_warnings():
        # At 1e-12 its line search can end on rounding; what it found is compared all the same.
        warnings.simplefilter("ignore")
        return model.set_params(**parameters).fit(X, y, sample_weight=w)


def laid_out(array, n_blocks, csr):
    """X in memory (``n_blocks`` None) or as a Dask Array, dense or CSR."""
    if n_blocks is None:
        return sparse.csr_matrix(array) if csr else array
    return csr_rows(array, n_blocks) if csr else dask_rows(array, n_blocks)


def assert_same(mine, their, rtol=1e-7):
    """Each coefficient, and the intercept, within ``rtol`` of scikit-learn's."""
    np.testing.assert_allclose(mine.coef_, their.coef_, rtol=rtol)
    np.testing.assert_allclose(mine.intercept_, their.intercept_, rtol=rtol)
    assert mine.coef_.shape == their.coef_.shape
    assert mine.intercept_.shape == their.intercept_.shape
    assert mine.converged_


@pytest.mark.parametrize("intercept, weighted, n_blocks, csr", GRID)
def test_coefficients(intercept, weighted, n_blocks, csr, class_data):
    X, y, w = class_data
    w = w if weighted else None
    mine = LogisticRegression(tol=1e-12, fit_intercept=intercept)
    mine.fit(laid_out(X, n_blocks, csr), y, sample_weight=w)
    assert_same(mine, reference(X, y, w, fit_intercept=intercept))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize("C", [1e-3, 1.0, 100.0, np.inf])
def test_every_backend_and_strength(backend, csr, C, class_data):
    X, y, w = class_data
    mine = LogisticRegression(C=C, tol=1e-12, backend=backend).fit(laid_out(X, 7, csr), y, w)
    assert_same(mine, reference(X, y, w, C=C))


def test_default_tolerance_is_close(class_data):
    X, y, w = class_data
    mine = LogisticRegression().fit(dask_rows(X, 7), y, w)
    assert_same(mine, reference(X, y, w), rtol=1e-4)


@pytest.mark.parametrize("n_blocks, csr", LAYOUTS)
def test_lbfgs_finds_the_same(n_blocks, csr, class_data):
    X, y, w = class_data
    mine = LogisticRegression(solver="lbfgs", tol=1e-12, C=0.1)
    mine.fit(laid_out(X, n_blocks, csr), y, w)
    assert_same(mine, reference(X, y, w, C=0.1))


@pytest.mark.parametrize("sampled", [True, False])
def test_the_start_does_not_matter(sampled):
    X, y, w = classes(60_000, 3)
    X = X if sampled else X[:5000]
    y, w = y[: len(X)], w[: len(X)]
    mine = LogisticRegression(tol=1e-12).fit(dask_rows(X, 7), y, w)
    assert_same(mine, reference(X, y, w))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("n_blocks, csr", LAYOUTS)
def test_float32(backend, n_blocks, csr, class_data):
    X, y, w = class_data
    X = X.astype(np.float32)
    mine = LogisticRegression(backend=backend).fit(laid_out(X, n_blocks, csr), y, w)
    assert_same(mine, reference(X.astype(float), y, w), rtol=1e-4)
    assert mine.coef_.dtype == np.float64
    assert mine.predict_proba(X).dtype == np.float32


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("n_blocks", [None, 7])
def test_labels(kind, n_blocks, class_data):
    X, y, _ = class_data
    labels = LABELS[kind][y]
    if n_blocks:
        target, A = dask_rows(labels, n_blocks), dask_rows(X, n_blocks)
    else:
        target, A = labels, X
    mine = LogisticRegression(tol=1e-12).fit(A, target)
    their = reference(X, labels)
    assert_same(mine, their)
    assert mine.classes_.tolist() == LABELS[kind].tolist()
    assert mine.classes_.dtype == LABELS[kind].dtype
    predicted = np.asarray(mine.predict(A))
    assert predicted.dtype == LABELS[kind].dtype
    np.testing.assert_array_equal(predicted, their.predict(X))
    assert mine.score(A, target) == their.score(X, labels)


@pytest.mark.parametrize("n_blocks", [None, 7])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("class_weight", ["balanced", {0: 1.0, 1: 5.0}, {1: 0.2}])
def test_class_weight(class_weight, weighted, n_blocks, class_data):
    X, y, w = class_data
    w = w if weighted else None
    mine = LogisticRegression(tol=1e-12, class_weight=class_weight)
    mine.fit(laid_out(X, n_blocks, False), y, w)
    assert_same(mine, reference(X, y, w, class_weight=class_weight))
    plain = LogisticRegression(tol=1e-12).fit(X, y, w)
    assert np.abs(mine.intercept_ - plain.intercept_) > 0.1


def test_class_weight_of_strings(class_data):
    X, y, _ = class_data
    labels, weights = LABELS["strings"][y], {"no": 3.0, "yes": 1.0}
    mine = LogisticRegression(tol=1e-12, class_weight=weights).fit(dask_rows(X, 7), labels)
    assert_same(mine, reference(X, labels, class_weight=weights))


def test_warm_start_begins_where_it_ended(class_data):
    X, y, _ = class_data
    mine = LogisticRegression(tol=1e-10, warm_start=True).fit(dask_rows(X, 7), y)
    first, coef = mine.n_iter_[0], mine.coef_
    mine.fit(dask_rows(X, 7), y)
    assert mine.n_iter_[0] < first
    np.testing.assert_allclose(mine.coef_, coef, rtol=1e-9)
    mine.set_params(warm_start=False).fit(dask_rows(X, 7), y)
    assert mine.n_iter_[0] == first


@pytest.mark.parametrize("random_state", [0, 1, 12345])
def test_random_state_moves_the_start_only(random_state):
    X, y, _ = classes(60_000, 3)
    mine = LogisticRegression(random_state=random_state, tol=1e-12).fit(X, y)
    assert_same(mine, reference(X, y))


@pytest.mark.parametrize("C", [1.0, np.inf])
def test_columns_over_eight_orders_of_magnitude(C, class_data):
    X, y, w = class_data
    scales = np.logspace(-4, 4, X.shape[1])
    mine = LogisticRegression(C=C, tol=1e-12).fit(dask_rows(X * scales, 7), y, w)
    if np.isinf(C):  # then the model of the unscaled columns, in other units
        unscaled = reference(X, y, w, C=C)
        np.testing.assert_allclose(mine.coef_ * scales, unscaled.coef_, rtol=1e-7)
    else:
        assert_stationary(mine, X * scales, y, w)


def assert_stationary(mine, X, y, w):
    """The gradient of the objective vanishes, against the terms it is the sum of."""
    residual = w * (mine.predict_proba(X)[:, 1] - y)
    gradient = X.T @ residual + mine.coef_[0] / mine.C
    assert np.all(np.abs(gradient) <= 1e-9 * (np.abs(X).T @ np.abs(residual)))
    assert abs(residual.sum()) <= 1e-9 * np.abs(residual).sum()


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("n_blocks, csr", LAYOUTS)
def test_dependent_columns_give_the_least_norm(intercept, n_blocks, csr, class_data):
    X, y, _ = class_data
    wide = np.column_stack([X, X[:, 0] - 2 * X[:, 3]])
    mine = LogisticRegression(C=np.inf, tol=1e-10, fit_intercept=intercept)
    with pytest.warns(LinAlgWarning, match=r"1 linear relation.* columns 0, 3, 6 "):
        mine.fit(laid_out(wide, n_blocks, csr), y)
    their = reference(X, y, C=np.inf, fit_intercept=intercept)
    scores = X @ their.coef_[0] + their.intercept_
    np.testing.assert_allclose(mine.decision_function(wide), scores, rtol=1e-7, atol=1e-9)
    relation = np.array([1.0, 0, 0, -2, 0, 0, -1])
    assert abs(mine.coef_[0] @ relation) < 1e-8  # no part of it along what data do not tell


@pytest.mark.parametrize("n_blocks", [None, 7])
def test_separated_classes_are_told(n_blocks, class_data):
    X = class_data[0]
    y = (X[:, 0] > 0.1).astype(int)
    mine = LogisticRegression(C=np.inf)
    with pytest.warns(ConvergenceWarning, match="separated by a linear combination of columns"):
        mine.fit(laid_out(X, n_blocks, False), y)
    assert not mine.converged_
    assert np.isfinite(mine.coef_).all()
    assert np.isfinite(mine.intercept_).all()
    assert mine.score(X, y) == 1.0


def test_a_penalty_makes_separated_classes_fit(class_data):
    X = class_data[0]
    y = (X[:, 0] > 0.1).astype(int)
    assert_same(LogisticRegression(tol=1e-12).fit(dask_rows(X, 7), y), reference(X, y))


def test_a_constant_column_beside_the_intercept(class_data):
    X, y, _ = class_data
    X = np.column_stack([X, np.full(len(X), 2.0)])
    mine = LogisticRegression(tol=1e-12).fit(dask_rows(X, 7), y)
    their = reference(X[:, :6], y)
    np.testing.assert_allclose(mine.coef_[0, :6], their.coef_[0], rtol=1e-7)
    assert abs(mine.coef_[0, 6]) < 1e-9


def test_probabilities(class_data):
    X, y, w = class_data
    mine, their = LogisticRegression(tol=1e-12).fit(X, y, w), reference(X, y, w)
    for n_blocks, csr in itertools.product([None, 7], [False, True]):
        A = laid_out(X, n_blocks, csr)
        for method in ("decision_function", "predict_proba", "predict_log_proba"):
            found, expected = getattr(mine, method)(A), getattr(their, method)(X)
            assert found.shape == expected.shape
            np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-7, atol=1e-10)
        assert mine.score(A, y, w) == pytest.approx(their.score(X, y, w), rel=1e-12)


def test_probabilities_do_not_overflow(class_data):
    X, y, _ = class_data
    mine = LogisticRegression().fit(X, y)
    far = 1e4 * X
    assert np.isfinite(mine.predict_log_proba(far)).all()
    np.testing.assert_allclose(mine.predict_proba(far).sum(axis=1), 1.0)


def test_statsmodels_agrees(class_data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of others' imports
        api = pytest.importorskip("statsmodels.api")
    X, y, _ = class_data
    exact = api.Logit(y, api.add_constant(X)).fit(disp=False, tol=1e-12).params
    mine = LogisticRegression(C=np.inf, tol=1e-12).fit(dask_rows(X, 7), y)
    np.testing.assert_allclose(np.append(mine.intercept_, mine.coef_), exact, rtol=1e-7)


def test_a_start_where_the_loss_is_straight_is_left():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(200, 3))
    y = (X[:, 0] + rng.normal(size=200) > 0).astype(int)
    model = LogisticRegression(C=np.inf, warm_start=True).fit(X, y)
    expected = model.coef_
    # The curvature of every row underflows there, which looks like columns that depend on others.
    model.coef_ = np.array([[5e4, 5e4, -5e4]])
    model.fit(X, y)
    assert model.converged_
    np.testing.assert_allclose(model.coef_, expected, rtol=1e-5, atol=1e-5)
