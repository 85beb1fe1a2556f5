"""Least squares and ridge against scikit-learn, NumPy and statsmodels."""

import itertools
import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import LinAlgWarning
from sklearn import linear_model as theirs
from tables import csr_rows, dask_rows, regression

from daskdsml import linear_model as ours

GRID = list(itertools.product([True, False], [True, False], [None, 1, 7, 50], [False, True]))
LAYOUTS = list(itertools.product([None, 7], [False, True]))
every_case = pytest.mark.parametrize("intercept, weighted, n_blocks, csr", GRID)
PAIRS = {
    "ols": (ours.LinearRegression, theirs.LinearRegression, {}),
    "ridge": (ours.Ridge, theirs.Ridge, {"alpha": 3.7}),
}
every_model = pytest.mark.parametrize("name", PAIRS)


def assert_same(mine, their, rtol=1e-7):
    """Each coefficient, and the intercept, within ``rtol`` of scikit-learn's."""
    np.testing.assert_allclose(mine.coef_, their.coef_, rtol=rtol)
    np.testing.assert_allclose(mine.intercept_, their.intercept_, rtol=rtol)
    assert np.shape(mine.coef_) == np.shape(their.coef_)
    assert np.shape(mine.intercept_) == np.shape(their.intercept_)


def both(name, X, y, w=None, **parameters):
    """Our model, not fitted, and scikit-learn's fitted as exactly as it can be."""
    our_class, their_class, fixed = PAIRS[name]
    extra = {"tol": 1e-12, **fixed, **parameters}
    their = their_class(**extra)
    if name == "ridge" and "positive" not in parameters:
        their.set_params(solver="cholesky" if parameters.get("fit_intercept", True) else "svd")
    return our_class(**{**fixed, **parameters}), their.fit(X, y, sample_weight=w)


def laid_out(array, n_blocks, csr):
    """X in memory (``n_blocks`` None) or as a Dask Array, dense or CSR."""
    if n_blocks is None:
        return sparse.csr_matrix(array) if csr else array
    return csr_rows(array, n_blocks) if csr else dask_rows(array, n_blocks)


@every_model
@every_case
def test_coefficients(name, intercept, weighted, n_blocks, csr, regression_data):
    X, y, w = regression_data
    w = w if weighted else None
    mine, their = both(name, X, y, w, fit_intercept=intercept)
    mine.fit(laid_out(X, n_blocks, csr), y, sample_weight=w)
    assert_same(mine, their)


@every_model
@pytest.mark.parametrize("n_blocks, csr", LAYOUTS)
def test_lbfgs(name, n_blocks, csr, regression_data):
    X, y, w = regression_data
    mine, their = both(name, X, y, w)
    mine.set_params(solver="lbfgs", tol=1e-12).fit(laid_out(X, n_blocks, csr), y, w)
    assert_same(mine, their)
    assert (mine.solver_, mine.converged_) == ("lbfgs", True)


@every_model
@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("n_blocks, csr", LAYOUTS)
def test_float32(name, backend, n_blocks, csr, regression_data):
    X, y, w = regression_data
    X = X.astype(np.float32)
    # Moments are summed in float64, so only what X itself lost by rounding is lost.
    mine, their = both(name, X.astype(float), y, w)
    mine.set_params(backend=backend).fit(laid_out(X, n_blocks, csr), y, w)
    assert_same(mine, their)
    assert mine.coef_.dtype == np.float64
    assert np.asarray(mine.predict(X)).dtype == np.float32


@every_model
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("n_blocks, csr", LAYOUTS)
def test_many_outputs(name, intercept, n_blocks, csr):
    X, Y, w = regression(300, 5, n_outputs=3)
    mine, their = both(name, X, Y, w, fit_intercept=intercept)
    mine.fit(laid_out(X, n_blocks, csr), Y if n_blocks is None else dask_rows(Y, n_blocks), w)
    assert_same(mine, their)
    np.testing.assert_allclose(mine.predict(X), their.predict(X), rtol=1e-7, atol=1e-9)
    assert mine.score(X, Y, w) == pytest.approx(their.score(X, Y, w), rel=1e-9)


@every_model
@pytest.mark.parametrize("solver", ["cholesky", "lbfgs"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("n_blocks", [None, 7])
def test_one_output_as_a_column(name, solver, intercept, n_blocks, regression_data):
    X, y, w = regression_data
    y = y[:, None]
    mine, their = both(name, X, y, w, fit_intercept=intercept)
    mine.set_params(solver=solver, tol=1e-12)
    mine.fit(laid_out(X, n_blocks, False), y if n_blocks is None else dask_rows(y, n_blocks), w)
    assert mine.coef_.shape == their.coef_.shape
    np.testing.assert_allclose(mine.coef_, their.coef_, rtol=1e-7)
    np.testing.assert_allclose(mine.intercept_, their.intercept_, rtol=1e-7)
    np.testing.assert_allclose(mine.predict(X), their.predict(X), rtol=1e-7)


def test_an_alpha_per_output():
    X, Y, _ = regression(300, 5, n_outputs=3)
    alphas = np.array([0.0, 1.0, 100.0])
    mine = ours.Ridge(alphas).fit(dask_rows(X, 7), Y)
    assert_same(mine, theirs.Ridge(alphas, solver="cholesky", tol=1e-12).fit(X, Y))


@every_model
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("n_blocks", [None, 7])
def test_positive(name, intercept, n_blocks, regression_data):
    X, y, _ = regression_data
    mine, their = both(name, X, y, fit_intercept=intercept, positive=True)
    mine.fit(laid_out(X, n_blocks, False), y)
    assert (mine.coef_ >= 0.0).all()
    assert (mine.coef_ == 0.0).any()
    assert_same(mine, their)


@pytest.mark.parametrize("alpha", [0.0, 1e-8, 1e6])
def test_extreme_alpha(alpha, regression_data):
    X, y, w = regression_data
    mine = ours.Ridge(alpha).fit(dask_rows(X, 7), y, w)
    assert_same(mine, theirs.Ridge(alpha, solver="cholesky").fit(X, y, w))


def test_ridge_weights_are_not_rescaled(regression_data):
    X, y, w = regression_data
    assert_same(
        ours.Ridge(2.0).fit(dask_rows(X, 7), y, 10 * w),
        theirs.Ridge(0.2, solver="cholesky").fit(X, y, w),
    )


@every_model
def test_columns_over_eight_orders_of_magnitude(name, regression_data):
    X, y, w = regression_data
    X = X * np.logspace(-4, 4, X.shape[1])
    mine, their = both(name, X, y, w)
    mine.fit(dask_rows(X, 7), y, w)
    assert_same(mine, their)


def test_columns_far_from_zero(regression_data):
    X, y, _ = regression_data
    mine = ours.LinearRegression().fit(dask_rows(X + 1e6, 7), y)
    exact = np.linalg.lstsq(X - X.mean(axis=0), y - y.mean())[0]
    np.testing.assert_allclose(mine.coef_, exact, rtol=1e-7)


def test_rank_and_singular_values(regression_data):
    X, y, w = regression_data
    mine = ours.LinearRegression().fit(dask_rows(X, 7), y, w)
    their = theirs.LinearRegression().fit(X, y, w)
    assert mine.rank_ == their.rank_ == 6
    np.testing.assert_allclose(mine.singular_, their.singular_, rtol=1e-9)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("n_blocks, csr", LAYOUTS)
def test_dependent_columns_give_the_least_norm(intercept, n_blocks, csr, regression_data):
    X, y, _ = regression_data
    X = np.column_stack([X, X[:, 0] - 2 * X[:, 3]])
    mine = ours.LinearRegression(fit_intercept=intercept)
    with pytest.warns(LinAlgWarning, match=r"1 linear relation.* columns 0, 3, 6 "):
        mine.fit(laid_out(X, n_blocks, csr), y)
    shift = X.mean(axis=0) * intercept
    exact = np.linalg.lstsq(X - shift, y - y.mean() * intercept)[0]
    np.testing.assert_allclose(mine.coef_, exact, rtol=1e-7)
    np.testing.assert_allclose(mine.intercept_, (y.mean() - shift @ exact) * intercept, rtol=1e-7)
    assert mine.rank_ == 6


def test_a_constant_column_is_named(regression_data):
    X, y, _ = regression_data
    X = np.column_stack([X, np.full(len(X), 5.0)])
    with pytest.warns(LinAlgWarning, match="1 linear relation.* columns 6 "):
        mine = ours.LinearRegression().fit(dask_rows(X, 7), y)
    assert mine.coef_[6] == 0.0
    assert_same_prefix(mine, theirs.LinearRegression().fit(X[:, :6], y))


def assert_same_prefix(mine, their):
    np.testing.assert_allclose(mine.coef_[: their.coef_.size], their.coef_, rtol=1e-7)
    np.testing.assert_allclose(mine.intercept_, their.intercept_, rtol=1e-7)


def test_more_columns_than_rows():
    X, y, _ = regression(8, 20)
    with pytest.warns(LinAlgWarning, match="13 linear relation"):
        mine = ours.LinearRegression().fit(dask_rows(X, 3), y)
    exact = np.linalg.lstsq(X - X.mean(axis=0), y - y.mean())[0]
    np.testing.assert_allclose(mine.coef_, exact, rtol=1e-7)


def test_ridge_needs_no_full_rank(regression_data):
    X, y, _ = regression_data
    X = np.column_stack([X, X[:, 0]])
    assert_same(ours.Ridge(0.5).fit(dask_rows(X, 7), y), theirs.Ridge(0.5).fit(X, y))


@every_model
def test_scores(name, regression_data):
    X, y, w = regression_data
    mine, their = both(name, X, y, w)
    mine.fit(X, y, w)
    for n_blocks, csr in itertools.product([None, 1, 7, 50], [False, True]):
        A = laid_out(X, n_blocks, csr)
        assert mine.score(A, y, w) == pytest.approx(their.score(X, y, w), rel=1e-10)
        assert mine.score(A, y) == pytest.approx(their.score(X, y), rel=1e-10)


def test_statsmodels_agrees(regression_data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of others' imports
        api = pytest.importorskip("statsmodels.api")
    X, y, w = regression_data
    exact = api.WLS(y, api.add_constant(X), weights=w).fit().params
    mine = ours.LinearRegression().fit(dask_rows(X, 7), y, w)
    np.testing.assert_allclose(np.append(mine.intercept_, mine.coef_), exact, rtol=1e-9)
