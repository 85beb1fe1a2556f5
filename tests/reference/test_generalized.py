"""Poisson, gamma and Huber regression against scikit-learn and statsmodels."""

import itertools
import warnings

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.optimize import root
from sklearn import linear_model as theirs
from sklearn import metrics
from tables import counts, csr_rows, dask_rows, outlying

from daskdsml.linear_model import GammaRegressor, HuberRegressor, PoissonRegressor

N, P = 400, 6
# Each model with its tightest tolerance, and how near scikit-learn's optimum must be.
MODELS = {
    PoissonRegressor: (theirs.PoissonRegressor, 1e-12, 1e-8),
    GammaRegressor: (theirs.GammaRegressor, 1e-12, 1e-8),
    HuberRegressor: (theirs.HuberRegressor, 1e-12, 1e-6),
}
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
GRID = list(itertools.product([True, False], [True, False], [None, 1, 7, 50], [False, True]))
LAYOUTS = list(itertools.product([None, 7], [False, True]))


def data_of(model, n=N, p=P):
    """X (n, p), y in the model's domain and weights (n,)."""
    if model is HuberRegressor:
        return outlying(n, p)
    X, y, w = counts(n, p)
    return (X, y, w) if model is PoissonRegressor else (X, y + 0.25 + w / 4, w)


def reference(model, X, y, w=None, **parameters):
    """scikit-learn's model at its best."""
    their = MODELS[model][0](max_iter=10_000, tol=1e-12, **parameters)
    if model is not HuberRegressor:
        their.set_params(solver="newton-cholesky")
    with warnings.catch_warnings():
        # At 1e-12 its line searches can end on rounding; what is found is compared all the same.
        warnings.simplefilter("ignore")
        their.fit(X, y, sample_weight=w)
    return finished(their, X, y, w) if model is HuberRegressor else their


def finished(their, X, y, w):
    """scikit-learn's Huber regression, which ends where values change by 2e-9, at zero gradient."""
    w = np.ones(len(y)) if w is None else w
    A = np.column_stack([X, np.ones(len(y))]) if their.fit_intercept else X
    penalised = np.arange(A.shape[1]) < X.shape[1]

    def gradient(theta):
        *beta, s = theta
        u = (y - A @ beta) / s
        inner = np.clip(u, -their.epsilon, their.epsilon)
        slopes = -2.0 * A.T @ (w * inner) + 2.0 * their.alpha * penalised * beta
        return np.append(slopes, w @ (1.0 - inner**2)) / w.sum()

    start = np.append([*their.coef_, their.intercept_][: A.shape[1]], their.scale_)
    found = root(gradient, start, tol=1e-14).x
    assert np.abs(gradient(found)).max() < 1e-11
    np.testing.assert_allclose(found, start, rtol=0.02, atol=0.02 * np.abs(start).max())
    their.coef_, their.scale_ = found[: X.shape[1]], found[-1]
    their.intercept_ = found[-2] if their.fit_intercept else 0.0
    their.outliers_ = np.abs(y - their.predict(X)) > their.epsilon * their.scale_
    return their


def laid_out(array, n_blocks, csr):
    """X in memory (``n_blocks`` None) or as a Dask Array, dense or CSR."""
    if n_blocks is None:
        return sparse.csr_matrix(array) if csr else array
    return csr_rows(array, n_blocks) if csr else dask_rows(array, n_blocks)


def assert_same(mine, their, rtol=None):
    """Coefficients, intercept and scale as scikit-learn's, relative to the largest of them."""
    rtol = MODELS[type(mine)][2] if rtol is None else rtol
    size = np.abs(their.coef_).max()
    np.testing.assert_allclose(mine.coef_, their.coef_, rtol=rtol, atol=rtol * size)
    np.testing.assert_allclose(mine.intercept_, their.intercept_, rtol=rtol, atol=rtol * size)
    if isinstance(mine, HuberRegressor):
        np.testing.assert_allclose(mine.scale_, their.scale_, rtol=rtol, atol=rtol * size)
    assert mine.converged_
    assert mine.coef_.shape == their.coef_.shape
    assert isinstance(mine.intercept_, np.float64)


def fitted(model, X, y, w=None, **parameters):
    return model(**{"tol": MODELS[model][1], **parameters}).fit(X, y, sample_weight=w)


@every_model
@pytest.mark.parametrize("intercept, weighted, n_blocks, csr", GRID)
def test_coefficients(model, intercept, weighted, n_blocks, csr):
    X, y, w = data_of(model)
    w = w if weighted else None
    mine = fitted(model, laid_out(X, n_blocks, csr), y, w, fit_intercept=intercept)
    assert_same(mine, reference(model, X, y, w, fit_intercept=intercept))


@every_model
@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 1e-3, 1.0, 100.0])
def test_every_backend_and_strength(model, backend, csr, alpha):
    X, y, w = data_of(model)
    mine = fitted(model, laid_out(X, 7, csr), y, w, alpha=alpha, backend=backend)
    assert_same(mine, reference(model, X, y, w, alpha=alpha))


@every_model
@pytest.mark.parametrize("n_blocks, csr", LAYOUTS)
def test_lbfgs_finds_the_same(model, n_blocks, csr):
    X, y, w = data_of(model)
    mine = fitted(model, laid_out(X, n_blocks, csr), y, w, solver="lbfgs", alpha=0.01, tol=1e-9)
    assert_same(mine, reference(model, X, y, w, alpha=0.01), rtol=1e-6)


@every_model
def test_default_tolerance_is_close(model):
    X, y, w = data_of(model)
    assert_same(model().fit(dask_rows(X, 7), y, w), reference(model, X, y, w), rtol=1e-4)


@every_model
@pytest.mark.parametrize("n_blocks, csr", LAYOUTS)
def test_single_precision(model, n_blocks, csr):
    X, y, w = data_of(model)
    X = X.astype(np.float32)
    mine = model(alpha=0.01).fit(laid_out(X, n_blocks, csr), y, w)
    assert_same(mine, reference(model, X.astype(float), y, w, alpha=0.01), rtol=1e-4)
    assert mine.predict(X).dtype == np.float32


@every_model
def test_data_frames(model):
    X, y, w = data_of(model)
    names = [f"x{j}" for j in range(P)]
    frame = pd.DataFrame(X, columns=names).assign(y=y, w=w)
    lazy = dd.from_pandas(frame, npartitions=5)
    for kind in (frame, lazy):
        mine = fitted(model, kind[names], kind["y"], kind["w"])
        assert_same(mine, reference(model, X, y, w))
        assert mine.feature_names_in_.tolist() == names


@every_model
def test_columns_of_all_sizes(model):
    """Column scales over eight orders of magnitude, and columns far from zero."""
    X, y, w = data_of(model)
    size, shift = 10.0 ** np.linspace(-4, 4, P), np.array([0, 0, 1e3, 0, -1e2, 0])
    mine = fitted(model, dask_rows((X + shift) * size, 7), y, w, alpha=0.0, tol=1e-10)
    their = reference(model, X, y, w, alpha=0.0)
    np.testing.assert_allclose(mine.coef_ * size, their.coef_, rtol=1e-6)
    assert mine.converged_
    assert mine.n_passes_ <= 8


@every_model
@pytest.mark.parametrize("n_blocks", [None, 7])
def test_predictions_and_scores(model, n_blocks):
    X, y, w = data_of(model)
    mine, their = fitted(model, X, y, w), reference(model, X, y, w)
    A = laid_out(X, n_blocks, False)
    np.testing.assert_allclose(np.asarray(mine.predict(A)), their.predict(X), rtol=1e-5)
    for weights in (None, w):
        assert mine.score(A, y, weights) == pytest.approx(their.score(X, y, weights), rel=1e-6)


@pytest.mark.parametrize(
    "model, deviance",
    [(PoissonRegressor, metrics.d2_tweedie_score), (GammaRegressor, metrics.d2_tweedie_score)],
)
def test_score_is_the_share_of_deviance(model, deviance):
    X, y, w = data_of(model)
    mine = model(alpha=0.1).fit(X, y, w)
    power = 1 if model is PoissonRegressor else 2
    expected = deviance(y, mine.predict(X), sample_weight=w, power=power)
    for n_blocks in (1, 7, 50):
        assert mine.score(dask_rows(X, n_blocks), y, w) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_poisson_of_statsmodels(weighted):
    sm = pytest.importorskip("statsmodels.api")
    X, y, w = data_of(PoissonRegressor)
    w = np.ceil(w) if weighted else np.ones(N)
    # freq_weights are repeated rows.
    their = sm.GLM(y, sm.add_constant(X), family=sm.families.Poisson(), freq_weights=w)
    params = their.fit(tol=1e-14, maxiter=100).params
    mine = fitted(PoissonRegressor, dask_rows(X, 7), y, w, alpha=0.0)
    np.testing.assert_allclose([mine.intercept_, *mine.coef_], params, rtol=1e-8)


@pytest.mark.parametrize("n_blocks", [None, 7])
@pytest.mark.parametrize("epsilon", [1.05, 1.35, 3.0, 1e6])
def test_huber_thresholds_and_outliers(n_blocks, epsilon):
    X, y, w = data_of(HuberRegressor)
    A = laid_out(X, n_blocks, False)
    mine = fitted(HuberRegressor, A, y, w, epsilon=epsilon)
    their = reference(HuberRegressor, X, y, w, epsilon=epsilon)
    assert_same(mine, their)
    np.testing.assert_array_equal(np.asarray(mine.outliers(A, y)), their.outliers_)
    if n_blocks is None:
        np.testing.assert_array_equal(mine.outliers_, their.outliers_)


def test_huber_without_outliers_is_least_squares():
    """Up to the scale, which is then the root mean square of the residuals."""
    X, y, w = data_of(HuberRegressor)
    mine = HuberRegressor(epsilon=1e6, alpha=0.0, tol=1e-12).fit(dask_rows(X, 7), y, w)
    their = theirs.LinearRegression().fit(X, y, w)
    np.testing.assert_allclose(mine.coef_, their.coef_, rtol=1e-9)
    mean_square = w @ (y - their.predict(X)) ** 2 / w.sum()
    assert mine.scale_ == pytest.approx(mean_square**0.5, rel=1e-9)
