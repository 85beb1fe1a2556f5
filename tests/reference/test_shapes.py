"""Least squares on unkind shapes: which route is taken, and that its numbers are the same."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import sklearn.linear_model as theirs
from scipy import sparse
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from tables import dask_rows

import daskdsml.linear_model as ours
from daskdsml.data.dataset import Dataset
from daskdsml.linear_model import huber_regressor
from daskdsml.linear_model._routes import suits_dual, suits_working_set
from daskdsml.passes.columns import ColumnMoments, Joining, column_products
from daskdsml.passes.moments import group_moments
from daskdsml.solvers._symmetric import complement, solve

ALPHAS = (0.1, 1.0, 10.0, 100.0)
MSE = "neg_mean_squared_error"


def data(n, p, decades=0, seed=0):
    """X (n, p) with scales of so many decades, and y (n,) of ten effects."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    y = X[:, : min(10, p)].sum(axis=1) + rng.standard_normal(n)
    return X * np.logspace(-decades / 2, decades / 2, p), y


def closed_form(X, y, alpha, w=None, fit_intercept=True):
    """Coefficients and intercept by the singular values of the weighted, centred X."""
    w = np.ones(len(y)) if w is None else w
    mean, level = (w @ X / w.sum(), w @ y / w.sum()) if fit_intercept else (0.0 * X[0], 0.0)
    root = np.sqrt(w)
    U, s, Vt = np.linalg.svd(root[:, None] * (X - mean), full_matrices=False)
    coef = Vt.T @ (s / (s**2 + alpha) * (U.T @ (root * (y - level))))
    return coef, level - mean @ coef


def close(found, expected, tol):
    assert np.linalg.norm(found - expected) <= tol * np.linalg.norm(expected)


class Shaped:
    """Stands for an array of a shape that is not made."""

    def __init__(self, n, p):
        self.table = Dataset(np.broadcast_to(0.0, (n, p)), np.zeros(n))


@pytest.mark.parametrize(
    ("n", "p", "dual"),
    [
        (300, 2000, True),
        (300, 6000, True),
        (2000, 4000, True),
        (5000, 3000, False),
        (300, 300, False),
        (301, 300, False),
        (5000, 6000, False),
        (100_000, 50, False),
    ],
)
def test_ridge_is_solved_for_the_rows_where_they_are_fewer(n, p, dual):
    assert suits_dual(Shaped(n, p).table, 4096) is dual


@pytest.mark.parametrize(
    ("n", "p", "n_fits", "n_sets", "taken"),
    [
        (500, 2000, 1, 1, True),
        (20_000, 2000, 1, 1, True),
        (300, 6000, 600, 6, True),
        (2000, 500, 600, 6, False),
        (100_000, 50, 1, 1, False),
        (100, 5, 1, 1, False),
        (300, 300, 1, 1, False),
    ],
)
def test_a_working_set_is_taken_where_reads_cost_less_than_moments(n, p, n_fits, n_sets, taken):
    assert suits_working_set(Shaped(n, p).table, n_fits, n_sets) is taken


def test_chunked_data_are_read_as_seldom_as_before():
    import dask.array as da

    X, y = data(60, 1500)
    A, b = da.from_array(X, chunks=(20, 1500)), da.from_array(y, chunks=20)
    assert ours.Ridge().fit(A, b).n_passes_ == 1
    assert ours.Lasso(0.5).fit(A, b).n_passes_ == 1
    assert ours.LassoCV(alphas=3, cv=3).fit(A, b).n_passes_ == 1


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shift", [0.0, 1e4])
@pytest.mark.parametrize("weighted", [False, True])
def test_dual_ridge(fit_intercept, shift, weighted):
    X, y = data(60, 500)
    X[:, 7] = 3.0
    X[:, 8] = X[:, 9]
    X += shift if fit_intercept else 0.0
    w = np.random.default_rng(1).integers(0, 4, 60).astype(float) if weighted else None
    mine = ours.Ridge(0.5, fit_intercept=fit_intercept).fit(X, y, w)
    assert mine.solver_ == "dual" and mine.n_passes_ == 2 and mine.converged_
    coef, level = closed_form(X, y, 0.5, w, fit_intercept)
    close(mine.coef_, coef, 1e-9)
    assert abs(mine.intercept_ - level) <= 1e-9 * max(1.0, shift) * np.abs(coef).sum()


def test_dual_ridge_counts_weights_as_rows_and_does_not_depend_on_threads():
    X, y = data(80, 600)
    w = np.arange(80) % 3
    whole = ours.Ridge().fit(X, y, w)
    i = np.repeat(np.arange(80), w)
    close(ours.Ridge(solver="dual").fit(X[i], y[i]).coef_, whole.coef_, 1e-12)
    import dask

    with dask.config.set(scheduler="synchronous"):
        assert np.array_equal(ours.Ridge().fit(X, y, w).coef_, whole.coef_)


def test_dual_ridge_of_float32_and_column_orders():
    X, y = data(80, 600)
    narrow = X.astype(np.float32)
    expected = closed_form(narrow.astype(float), y, 1.0)[0]
    close(ours.Ridge().fit(narrow, y).coef_, expected, 1e-9)
    close(ours.Ridge().fit(np.asfortranarray(narrow), y).coef_, expected, 1e-9)
    close(ours.Ridge().fit(sparse.csr_matrix(narrow), y).coef_, expected, 1e-6)
    assert ours.Ridge().fit(X, y[:, None]).coef_.shape == (600,)


def test_dual_ridge_names_what_is_not_finite():
    X, y = data(40, 300)
    X[3, 5] = np.nan
    with pytest.raises(ValueError, match="NaN at row 3, column 5"):
        ours.Ridge().fit(X, y)


@pytest.mark.parametrize("options", [{"alpha": 0.0}, {"positive": True}])
def test_dual_ridge_refuses_what_it_cannot(options):
    X, y = data(20, 30)
    with pytest.raises(ValueError, match="Solver 'dual' needs"):
        ours.Ridge(solver="dual", **options).fit(X, y)


@pytest.mark.parametrize("p", [400, 5000])
def test_ridge_of_badly_scaled_columns(p):
    X, y = data(50, p, decades=8)
    mine = ours.Ridge().fit(X, y)
    coef, level = closed_form(X, y, 1.0)
    close(mine.coef_, coef, 1e-9)
    assert mine.intercept_ == pytest.approx(level, abs=1e-8)


@pytest.mark.parametrize("shape", [(60, 59), (60, 60), (60, 61)])
def test_ridge_of_as_many_columns_as_rows(shape):
    X, y = data(*shape)
    close(ours.Ridge(0.1).fit(X, y).coef_, closed_form(X, y, 0.1)[0], 1e-9)


@pytest.mark.parametrize("cv", [None, 5])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("outputs", [1, 2])
def test_ridge_cv_of_more_columns_than_rows(cv, fit_intercept, outputs):
    X, y = data(60, 500)
    X += 10.0
    Y = y if outputs == 1 else np.column_stack([y, X[:, 3]])
    options = {"alphas": ALPHAS, "cv": cv, "fit_intercept": fit_intercept, "scoring": MSE}
    mine = ours.RidgeCV(**options).fit(X, Y)
    their = theirs.RidgeCV(**options).fit(X, Y)
    assert mine.alpha_ == their.alpha_
    assert mine.best_score_ == pytest.approx(their.best_score_, rel=1e-7)
    np.testing.assert_allclose(mine.coef_, their.coef_, atol=1e-9)
    np.testing.assert_allclose(mine.intercept_, their.intercept_, atol=1e-7)
    chosen = list(mine.alphas_).index(mine.alpha_)
    np.testing.assert_array_equal(mine.coef_path_[..., chosen], mine.coef_)


@pytest.mark.parametrize("cv", [None, 5])
@pytest.mark.parametrize("make", [np.float64, np.float32, np.asfortranarray])
def test_ridge_cv_of_more_columns_than_rows_weighs_them(cv, make):
    X, y = data(60, 500)
    X, w = make(X + 10.0), np.random.default_rng(1).uniform(0.1, 5.0, 60)
    fit = ours.RidgeCV(alphas=ALPHAS, cv=cv, scoring=MSE).fit(X, y, w)
    coef, level = closed_form(X.astype(float), y, fit.alpha_, w)
    close(fit.coef_, coef, 1e-9)
    assert fit.intercept_ == pytest.approx(level, rel=1e-9)


def test_ridge_cv_of_more_columns_than_rows_is_the_same_on_a_cluster(client):
    X, y = data(60, 500)
    there = ours.RidgeCV(alphas=ALPHAS).fit(X, y)
    with dask.config.set(scheduler="threads"):
        here = ours.RidgeCV(alphas=ALPHAS).fit(X, y)
    np.testing.assert_array_equal(there.coef_, here.coef_)


@pytest.mark.parametrize(("d", "r"), [(5, 0), (6, 6), (7, 6), (300, 120)])
def test_complement_is_orthonormal_and_orthogonal(d, r):
    A = np.random.default_rng(0).standard_normal((d, r)) * np.logspace(-6, 6, r)
    rest = complement(A)
    assert rest.shape == (d, d - r)
    np.testing.assert_allclose(rest.T @ rest, np.eye(d - r), atol=1e-13)
    np.testing.assert_allclose((A / np.linalg.norm(A, axis=0)).T @ rest, 0.0, atol=1e-12)


@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, sparse.csr_matrix, np.float32])
@pytest.mark.parametrize("alpha", [0.5, 0.02])
def test_lasso_of_more_columns_than_rows(make, alpha):
    X, y = data(100, 1500)
    mine = ours.Lasso(alpha, tol=1e-10, max_iter=100_000).fit(make(X), y)
    assert mine.solver_ == "working_set" and mine.converged_
    their = theirs.Lasso(alpha, tol=1e-10, max_iter=100_000).fit(X, y)
    np.testing.assert_allclose(mine.coef_, their.coef_, atol=1e-5)


def test_lasso_cv_of_more_columns_than_rows():
    X, y = data(80, 1500)
    mine = ours.LassoCV(alphas=10, eps=0.05, cv=4, tol=1e-8, max_iter=10_000).fit(X, y)
    assert mine.solver_ == "working_set"
    their = theirs.LassoCV(alphas=10, eps=0.05, cv=4, tol=1e-8, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(mine.mse_path_, their.mse_path_, rtol=1e-3)
    assert mine.alpha_ == pytest.approx(their.alpha_)


@pytest.mark.parametrize("intercept", [True, False])
def test_moments_of_columns_that_join_one_by_one(intercept):
    """Those of a block at once are those of its columns, joined in two reads."""
    from daskdsml.backends.numpy import NumPy
    from daskdsml.contracts import Block

    X, y = data(30, 6)
    block = Block(X + 5.0, y, np.arange(30) % 3 + 0.5, np.arange(30) % 2)
    y_alone = group_moments(NumPy(), block._replace(X=np.empty((30, 0))))
    known = ColumnMoments.empty(y_alone, intercept)
    for new in ([4, 1], [0, 2, 5]):
        columns = np.append(known.columns, new)
        centre = np.concatenate([known.centre[:-1], 5.0 * intercept * np.ones(len(new))])
        joining = Joining(columns, len(new), np.append(centre, known.centre[-1]))
        known = known.joined(joining, column_products(joining, block))
    whole = group_moments(NumPy(), block._replace(X=block.X[:, known.columns]))
    for labels in ([0], [1], [0, 1]):
        mine, other = known.of(labels), whole.of(labels)
        other = other if intercept else other.about_zero()
        np.testing.assert_allclose(mine.cross, other.cross, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(mine.mean, other.mean, atol=1e-12)
        np.testing.assert_allclose(known.mean_of(labels), other.mean, atol=1e-12)
        cross, _ = known.last_joined(labels)
        np.testing.assert_allclose(cross, other.cross[2:5], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [0.5, [0.5, 20.0]])
def test_ridge_of_several_outputs_and_more_columns_than_rows(fit_intercept, alpha):
    X, y = data(60, 500)
    X, Y = X + 10.0, np.column_stack([y, X[:, 3]])
    w = np.random.default_rng(1).uniform(0.1, 5.0, 60)
    fit = ours.Ridge(alpha, fit_intercept=fit_intercept).fit(X, Y, w)
    for k, strength in enumerate(np.broadcast_to(alpha, 2)):
        coef, level = closed_form(X, Y[:, k], strength, w, fit_intercept)
        close(fit.coef_[k], coef, 1e-9)
        if fit_intercept:
            assert fit.intercept_[k] == pytest.approx(level, rel=1e-8)
    assert fit.n_passes_ <= 6 and fit.converged_


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("model", [ours.Ridge(0.5), ours.RidgeCV(alphas=[0.5])])
def test_ridge_of_csr_with_more_columns_than_rows(model, outputs):
    X, y = data(60, 500)
    X[np.random.default_rng(1).random(X.shape) < 0.9] = 0.0
    Y = y if outputs == 1 else np.column_stack([y, X[:, 3]])
    sparse_fit = clone(model).fit(sparse.csr_array(X), Y)
    dense = clone(model).fit(X, Y)
    assert sparse_fit.solver_ == dense.solver_
    np.testing.assert_allclose(sparse_fit.coef_, dense.coef_, atol=1e-12)


def weighed(kind):
    """Rows whose first ones lie elsewhere and count for little or nothing, and all weights."""
    rng = np.random.default_rng(1)
    A, i = rng.normal(size=(6000, 5)), np.arange(6000)
    y = A @ np.arange(1.0, 6.0) + rng.normal(size=6000)
    if kind == "fading":
        return A + (1e6 * np.minimum(i / 3000, 1.0))[:, None], y, 2.0 ** ((i - 6000) / 200)
    X, w = A + 1e7, np.ones(6000)
    X[:1500], w[:1500] = 0.0, 0.0 if kind == "masked" else 1e-30
    return X, y, w


@pytest.mark.parametrize("kind", ["fading", "masked", "light"])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("lazy", [False, True])
def test_rows_of_little_weight_take_no_digits_from_others(kind, backend, lazy):
    X, y, w = weighed(kind)
    root = np.sqrt(w)[:, None]
    A, b = root * (X - w @ X / w.sum()), root[:, 0] * (y - w @ y / w.sum())
    expected = np.linalg.lstsq(A, b)[0]
    parts = [dask_rows(part, 2) if lazy else part for part in (X, y, w)]
    for model in (ours.LinearRegression(backend=backend), ours.Ridge(1e-9, backend=backend)):
        np.testing.assert_allclose(model.fit(*parts).coef_, expected, atol=1e-7)


@pytest.mark.parametrize("in_y", [False, True])
@pytest.mark.parametrize(
    "model", [ours.Lasso(1.0, solver="working_set"), ours.Ridge(1.0), ours.Lasso(1.0)]
)
def test_squares_that_overflow_are_named_by_every_solver(model, in_y):
    X, y = data(20, 100)
    X, y = (X, y * 1e160) if in_y else (X * 1e160, y)
    with pytest.raises(ValueError, match="squares overflow float64"):
        clone(model).fit(X, y)


def test_columns_of_a_basis_are_not_named():
    X, y = data(20, 100)
    fit = ours.Ridge(1.0).fit(X * 1e120, y)
    assert np.isfinite(fit.coef_).all()


def test_huber_bounds_its_work_on_a_sample(monkeypatch):
    """With hardly more rows than columns the scale runs towards zero, round after round."""
    made, minimize = [], huber_regressor.minimize_sample

    def counted(*given):
        made.append(minimize(*given))
        return made[-1]

    monkeypatch.setattr(huber_regressor, "minimize_sample", counted)
    monkeypatch.setattr(huber_regressor, "STEP_WORK", 0)
    X, y = data(120, 80)
    with pytest.warns(ConvergenceWarning, match="HuberRegressor stopped after max_iter=2 "):
        ours.HuberRegressor(max_iter=2).fit(X, y)
    assert 0 < sum(result.n_iter for result in made) <= 30


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shift", [0.0, 1e5])
@pytest.mark.parametrize("outputs", [1, 2])
def test_least_squares_of_more_columns_than_rows(fit_intercept, shift, outputs):
    X, y = data(60, 500)
    X, w = X + shift, np.random.default_rng(1).uniform(0.1, 5.0, 60)
    Y = y if outputs == 1 else np.column_stack([y, 2.0 * y + 1.0])
    with pytest.warns(LinAlgWarning, match=r"fewer rows \(60\) than columns \(500\)"):
        fit = ours.LinearRegression(fit_intercept=fit_intercept).fit(X, Y, w)
    mean, level = (w @ X / w.sum(), w @ y / w.sum()) if fit_intercept else (0.0 * X[0], 0.0)
    root = np.sqrt(w)
    # Of what rounding leaves of the sum of the rows, 1e-10 at this shift, nothing is to be fitted.
    coef = np.linalg.pinv(root[:, None] * (X - mean), rtol=1e-8) @ (root * (y - level))
    close(np.atleast_2d(fit.coef_)[0], coef, 1e-8)
    assert fit.rank_ == 60 - fit_intercept and len(fit.singular_) == 60
    np.testing.assert_allclose(fit.predict(X), Y, atol=1e-6)


@pytest.mark.parametrize("n", [100, 400])
def test_lbfgs_of_few_rows_a_column_ends_near_the_minimum(n):
    X = np.random.default_rng(0).normal(size=(n, 1000))
    y = 2.0 * X[:, :20].sum(axis=1) + np.random.default_rng(1).normal(size=n)
    exact, mine = (ours.Ridge(solver=name).fit(X, y) for name in ("cholesky", "lbfgs"))
    least, found = (
        np.sum((y - model.predict(X)) ** 2) + model.coef_ @ model.coef_ for model in (exact, mine)
    )
    assert mine.converged_
    assert 0.0 <= found - least <= 1e-4 * least


@pytest.mark.parametrize("spectrum", ["even", "one small", "one large"])
@pytest.mark.parametrize("d", [5, 200])
def test_condition_numbers_are_those_of_the_2_norm(d, spectrum):
    values = {
        "even": np.geomspace(1.0, 1e-6, d),
        "one small": np.append(np.ones(d - 1), 1e-6),
        "one large": np.append(np.full(d - 1, 1e-6), 1.0),
    }[spectrum]
    Q = np.linalg.qr(np.random.default_rng(d).normal(size=(d, d)))[0]
    A = (Q * values) @ Q.T
    unit = A / np.sqrt(np.outer(np.diag(A), np.diag(A)))
    true = np.linalg.cond(unit)
    found = solve(A, np.ones(d)).condition
    assert true <= found <= 1.6 * true if true > 1e5 else found >= 0.9 * true


def test_columns_that_share_a_factor_take_one_read():
    rng = np.random.default_rng(0)
    X = 0.45 * rng.normal(size=(480, 400)) + 0.9 * rng.normal(size=(480, 1))
    y = X[:, :20].sum(axis=1) + rng.normal(size=480)
    mine, careful = ours.LinearRegression().fit(X, y), ours.LinearRegression(solver="qr").fit(X, y)
    assert mine.n_passes_ == 1 and careful.n_passes_ > 1
    close(mine.coef_, careful.coef_, 1e-9)
