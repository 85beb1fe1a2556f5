"""Lasso, elastic net, their paths and cross-validation against scikit-learn and brute force."""

import itertools
import warnings
from types import SimpleNamespace

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.optimize import nnls
from sklearn import linear_model as theirs
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneOut,
    ShuffleSplit,
    TimeSeriesSplit,
)
from tables import Source, bootstraps, csr_rows, dask_rows, regression

from daskdsml import linear_model as ours

TIGHT = {"tol": 1e-12, "max_iter": 100_000}
INTERCEPT = pytest.mark.parametrize("intercept", [True, False])
WEIGHTED = pytest.mark.parametrize("weighted", [False, True])
EVERY_SOLVER = pytest.mark.parametrize("solver", ["coordinate_descent", "working_set"])
X, Y, W = regression(240, 8)
OUTPUTS = regression(240, 8, n_outputs=3)[1]
# Some coefficients are zero, so that there is a support to find.
Y = Y - X[:, [1, 4, 6]] @ np.linalg.lstsq(X - X.mean(axis=0), Y - Y.mean())[0][[1, 4, 6]]
MODELS = {
    "lasso": (ours.Lasso, theirs.Lasso, {}),
    "ridge": (ours.ElasticNet, None, {"l1_ratio": 0.0}),
    "mixed": (ours.ElasticNet, theirs.ElasticNet, {"l1_ratio": 0.3}),
    "whole": (ours.ElasticNet, theirs.ElasticNet, {"l1_ratio": 1.0}),
}
every_model = pytest.mark.parametrize("name", MODELS)


def mean_square(y, w=None, intercept=True):
    """Mean square of y (about its mean), which a duality gap is measured by."""
    return np.average((y - intercept * np.average(y, axis=0, weights=w)) ** 2, axis=0, weights=w)


def assert_same(mine, their, rtol=1e-8):
    """The same support, and coefficients within ``rtol`` of the largest."""
    for name in ("coef_", "intercept_"):
        a, b = np.asarray(getattr(mine, name)), np.asarray(getattr(their, name))
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.max(np.abs(their.coef_)))
    np.testing.assert_array_equal(mine.coef_ != 0.0, their.coef_ != 0.0)


def reference(name, A, y, w=None, alpha=0.1, **parameters):
    """scikit-learn's fit; where there is no L1 penalty, that of least squares with more rows."""
    _, their_class, fixed = MODELS[name]
    if their_class is not None:
        return their_class(alpha, **fixed, **TIGHT, **parameters).fit(A, y, w)
    intercept = parameters.get("fit_intercept", True)
    w = np.ones(len(A)) if w is None else w
    centre, level = np.average(A, axis=0, weights=w) * intercept, np.average(y, weights=w)
    root = np.sqrt(w / w.sum())
    more = np.sqrt(alpha) * np.eye(A.shape[1])
    rows = np.vstack([root[:, None] * (A - centre), more])
    right = np.append(root * (y - level * intercept), np.zeros(len(more)))
    solve = nnls if parameters.get("positive") else np.linalg.lstsq
    coef = solve(rows, right)[0]
    return SimpleNamespace(coef_=coef, intercept_=(level - centre @ coef) * intercept)


def ours_of(name, alpha=0.1, **parameters):
    our_class, _, fixed = MODELS[name]
    return our_class(alpha, **fixed, **{**TIGHT, **parameters})


# Lasso and elastic net


@every_model
@INTERCEPT
@WEIGHTED
@pytest.mark.parametrize("positive", [False, True])
@EVERY_SOLVER
def test_coefficients(name, intercept, weighted, positive, solver):
    w = W if weighted else None
    mine = ours_of(name, fit_intercept=intercept, positive=positive, solver=solver).fit(X, Y, w)
    their = reference(name, X, Y, w, fit_intercept=intercept, positive=positive)
    if name != "ridge" or positive:
        assert (their.coef_ == 0.0).any()
    assert_same(mine, their)
    assert mine.dual_gap_ <= 1e-12 * mean_square(Y, w, intercept)
    assert mine.converged_ is True
    assert mine.solver_ == solver
    np.testing.assert_array_equal(mine.sparse_coef_.toarray(), mine.coef_[None])


def layouts(A):
    """X of every kind there is, by name."""
    frame = pd.DataFrame(A, columns=[f"x{j}" for j in range(A.shape[1])])
    return {
        "Dask 1": dask_rows(A, 1), "Dask 7": dask_rows(A, 7), "Dask 50": dask_rows(A, 50),
        "CSR": sparse.csr_matrix(A), "Dask CSR": csr_rows(A, 7),
        "DataFrame": frame, "Dask DataFrame": dd.from_pandas(frame, npartitions=5),
    }  # fmt: skip


LAYOUTS = list(layouts(X))


@pytest.mark.parametrize("kind", LAYOUTS)
@INTERCEPT
@EVERY_SOLVER
def test_every_layout(kind, intercept, solver):
    mine = ours_of("mixed", fit_intercept=intercept, solver=solver).fit(layouts(X)[kind], Y, W)
    assert_same(mine, reference("mixed", X, Y, W, fit_intercept=intercept))
    one = ours_of("mixed", fit_intercept=intercept, solver=solver).fit(X, Y, W)
    assert_same(mine, one, 1e-10)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("n_blocks, csr", [(None, False), (7, False), (7, True)])
@EVERY_SOLVER
def test_float32(backend, n_blocks, csr, solver):
    A = X.astype(np.float32)
    rows = A if n_blocks is None else csr_rows(A, 7) if csr else dask_rows(A, 7)
    mine = ours_of("lasso", backend=backend, solver=solver).fit(rows, Y, W)
    # Sums are made in float64, so only what X itself lost by rounding is lost.
    assert_same(mine, reference("lasso", A.astype(float), Y, W), 1e-7)
    assert mine.coef_.dtype == np.float64
    assert np.asarray(mine.predict(A)).dtype == np.float32


@every_model
@INTERCEPT
@pytest.mark.parametrize("n_blocks", [None, 7])
def test_many_outputs_are_fits_of_their_own(name, intercept, n_blocks):
    rows = [X, OUTPUTS] if n_blocks is None else [dask_rows(X, 7), dask_rows(OUTPUTS, 7)]
    mine = ours_of(name, fit_intercept=intercept).fit(*rows, W)
    each = [reference(name, X, y, W, fit_intercept=intercept) for y in OUTPUTS.T]
    for k, their in enumerate(each):
        size = np.max(np.abs(their.coef_))
        np.testing.assert_allclose(mine.coef_[k], their.coef_, rtol=1e-8, atol=1e-8 * size)
        np.testing.assert_array_equal(mine.coef_[k] != 0.0, their.coef_ != 0.0)
        intercepts = np.broadcast_to(mine.intercept_, 3)
        np.testing.assert_allclose(intercepts[k], their.intercept_, rtol=1e-8, atol=1e-8 * size)
    assert (mine.dual_gap_ <= 1e-12 * mean_square(OUTPUTS, W, intercept)).all()
    assert len(mine.n_iter_) == 3
    np.testing.assert_allclose(mine.predict(X), X @ mine.coef_.T + mine.intercept_)


def test_warm_start():
    mine = ours.Lasso(0.1, warm_start=True, tol=1e-6)
    first = mine.fit(X, Y).n_iter_
    coef = mine.coef_
    assert mine.fit(X, Y).n_iter_ <= first
    np.testing.assert_allclose(mine.coef_, coef, atol=1e-6 * np.abs(coef).max())
    mine.fit(X[:, :3], Y)  # another shape begins anew
    assert_same(mine, ours.Lasso(0.1, tol=1e-6).fit(X[:, :3], Y), 1e-12)


@pytest.mark.parametrize("alpha", [1e-6, 1e6])
def test_extreme_alphas(alpha):
    for name in ("lasso", "mixed"):
        assert_same(
            ours_of(name, alpha).fit(dask_rows(X, 7), Y), reference(name, X, Y, None, alpha)
        )


def test_default_tolerance_keeps_its_promise():
    for alpha, ratio in itertools.product((0.3, 0.01), (0.2, 1.0)):
        loose = ours.ElasticNet(alpha, l1_ratio=ratio).fit(X, Y)
        exact = ours.ElasticNet(alpha, l1_ratio=ratio, **TIGHT).fit(X, Y)
        excess = objective(loose, X, Y) - objective(exact, X, Y)
        assert -1e-12 <= excess <= loose.dual_gap_ + 1e-12 <= 1e-4 * mean_square(Y) + 1e-12


def objective(model, A, y, w=None):
    coef = model.coef_
    ratio = model.l1_ratio
    penalty = ratio * np.abs(coef).sum() + 0.5 * (1.0 - ratio) * coef @ coef
    residual = y - A @ coef - model.intercept_
    return 0.5 * np.average(residual**2, weights=w) + model.alpha * penalty


def test_a_warning_names_gap_limit_and_option():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(60, 1)) + 0.3 * rng.normal(size=(60, 20))
    mine = ours.ElasticNet(1e-4, tol=1e-14, max_iter=1)
    with pytest.warns(ConvergenceWarning, match=r"max_iter=1 sweeps with a duality gap .*Raise"):
        mine.fit(A, A @ rng.normal(size=20) + rng.normal(size=60))
    assert not mine.converged_


# Hard ones: more columns than rows, columns alike, columns far from zero


def hard(kind):
    """X, y and whether to fit an intercept."""
    rng = np.random.default_rng(4)
    if kind == "wide":
        A = rng.normal(size=(60, 200))
        return A, A[:, :5] @ rng.normal(size=5) + 0.3 * rng.normal(size=60), True
    if kind == "alike":
        A = rng.normal(size=(300, 1)) + 1e-3 * rng.normal(size=(300, 25))
        return A, A @ rng.normal(size=25) + 0.1 * rng.normal(size=300), True
    A = 1e3 + rng.normal(size=(300, 20))  # "uncentred"
    return A, A[:, :4] @ [1.0, -1.0, 2.0, -1.0] + 0.1 * rng.normal(size=300), False


def assert_optimal(coef, intercept, A, y, l1, l2, tolerance):
    """The conditions of Karush, Kuhn and Tucker, with slopes within ``tolerance`` of l1."""
    slope = A.T @ (y - A @ coef - intercept) / len(y) - l2 * coef
    used = coef != 0.0
    np.testing.assert_allclose(slope[used], l1 * np.sign(coef[used]), rtol=tolerance)
    assert (np.abs(slope[~used]) <= l1 * (1.0 + tolerance)).all()


@pytest.mark.parametrize("kind", ["wide", "alike", "uncentred"])
@pytest.mark.parametrize("ratio", [0.5, 1.0])
@pytest.mark.parametrize("n_blocks", [None, 7])
@EVERY_SOLVER
def test_hard_ones_are_optimal(kind, ratio, n_blocks, solver):
    A, y, intercept = hard(kind)
    alpha = 0.02 * np.max(np.abs((A - intercept * A.mean(axis=0)).T @ (y - intercept * y.mean())))
    alpha /= len(y) * (10.0 if kind == "uncentred" else 1.0)
    mine = ours.ElasticNet(alpha, l1_ratio=ratio, fit_intercept=intercept, solver=solver, tol=1e-12)
    mine.fit(A if n_blocks is None else dask_rows(A, n_blocks), y)
    assert mine.converged_ is True
    centre = A.mean(axis=0) * intercept
    level = mine.intercept_ + centre @ mine.coef_
    l1, l2 = alpha * ratio, alpha * (1.0 - ratio)
    assert_optimal(mine.coef_, level, A - centre, y, l1, l2, 1e-5)
    assert mine.dual_gap_ <= 1e-12 * mean_square(y, None, intercept)


# Paths


@INTERCEPT
@pytest.mark.parametrize("n_outputs", [None, 3])
@pytest.mark.parametrize("ratio", [0.3, 1.0])
def test_paths(intercept, n_outputs, ratio):
    y = Y if n_outputs is None else OUTPUTS
    centre = X.mean(axis=0) * intercept
    level = y.mean(axis=0) * intercept
    alphas = np.geomspace(2.0, 0.002, 12)
    mine = ours.enet_path(
        dask_rows(X, 7), dask_rows(y, 7), l1_ratio=ratio, alphas=alphas, fit_intercept=intercept,
        **TIGHT,
    )  # fmt: skip
    for k, output in enumerate(np.atleast_2d((y - level).T)):
        _, coefs, _ = theirs.enet_path(X - centre, output, l1_ratio=ratio, alphas=alphas, **TIGHT)
        found = mine.coefs if n_outputs is None else mine.coefs[k]
        np.testing.assert_allclose(found, coefs, rtol=1e-8, atol=1e-8 * np.abs(coefs).max())
        intercepts = np.atleast_2d(mine.intercepts)[k]
        expected = np.atleast_1d(level)[k % np.size(level)] - centre @ coefs
        np.testing.assert_allclose(intercepts, expected, rtol=1e-7, atol=1e-8)
    assert mine.n_passes == 1
    assert (np.max(mine.dual_gaps, axis=-1) <= 1e-12 * mean_square(y, None, intercept)).all()
    found, coefs, gaps = mine
    np.testing.assert_array_equal(found, alphas)
    assert coefs.shape == (*np.shape(y)[1:], 8, 12)
    assert gaps.shape == (*np.shape(y)[1:], 12)


@EVERY_SOLVER
@pytest.mark.parametrize("positive", [False, True])
def test_grids_of_a_path_are_those_of_scikit_learn(solver, positive):
    A, y = X - X.mean(axis=0), Y - Y.mean()
    mine = ours.lasso_path(A, y, alphas=20, eps=1e-2, positive=positive, solver=solver, **TIGHT)
    alphas, coefs, _ = theirs.lasso_path(A, y, alphas=20, eps=1e-2, positive=positive, **TIGHT)
    np.testing.assert_allclose(mine.alphas, alphas, rtol=1e-12)
    np.testing.assert_allclose(mine.coefs, coefs, rtol=1e-8, atol=1e-8 * np.abs(coefs).max())
    one = ours.enet_path(A, y, l1_ratio=1.0, alphas=alphas, positive=positive, **TIGHT)
    np.testing.assert_allclose(one.coefs, coefs, rtol=1e-8, atol=1e-8 * np.abs(coefs).max())


def test_a_path_with_weights_is_that_of_the_fits():
    path = ours.enet_path(csr_rows(X, 7), Y, sample_weight=W, fit_intercept=True, alphas=5, **TIGHT)
    for alpha, coef, level in zip(path.alphas, path.coefs.T, path.intercepts, strict=True):
        their = theirs.ElasticNet(alpha, l1_ratio=0.5, **TIGHT).fit(X, Y, W)
        np.testing.assert_allclose(coef, their.coef_, rtol=1e-8, atol=1e-8)
        assert level == pytest.approx(their.intercept_, rel=1e-8)


@INTERCEPT
@WEIGHTED
@pytest.mark.parametrize("n_outputs", [None, 3])
def test_ridge_path(intercept, weighted, n_outputs):
    y, w = Y if n_outputs is None else OUTPUTS, W if weighted else None
    alphas = np.geomspace(1e4, 1e-4, 9)
    mine = ours.ridge_path(
        dask_rows(X, 7), dask_rows(y, 7), alphas=alphas[::-1], fit_intercept=intercept,
        sample_weight=w,
    )  # fmt: skip
    np.testing.assert_array_equal(mine.alphas, alphas)
    for k, alpha in enumerate(alphas):
        their = theirs.Ridge(alpha, fit_intercept=intercept, solver="svd").fit(X, y, w)
        np.testing.assert_allclose(mine.coefs[..., k], their.coef_, rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(mine.intercepts[..., k], their.intercept_, rtol=1e-9)
    assert mine.n_passes == 1
    assert not mine.dual_gaps.any()


def test_a_ridge_path_to_nothing_is_least_squares():
    wide, y, _ = regression(6, 10)
    found = ours.ridge_path(wide, y, alphas=[0.0]).coefs[:, 0]
    exact = np.linalg.lstsq(wide - wide.mean(axis=0), y - y.mean())[0]
    np.testing.assert_allclose(found, exact, rtol=1e-9)


# Cross-validation

GROUPS = np.random.default_rng(2).integers(0, 9, size=240)
SPLITS = {
    "None": None,
    "3": 3,
    "shuffled": KFold(4, shuffle=True, random_state=0),
    "some": ShuffleSplit(4, test_size=0.3, train_size=0.5, random_state=0),
    "time": TimeSeriesSplit(4),
    "pairs": list(GroupKFold(4).split(X, Y, GROUPS)),
    "bootstrap": bootstraps(len(X), 3),
    "test rows in train": [(np.arange(len(X)), np.r_[0:20, 0:9]), (np.r_[0:50, 9:30], np.r_[8:60])],
}
every_split = pytest.mark.parametrize("cv", SPLITS.values(), ids=SPLITS)


def assert_same_search(mine, their, rtol=1e-8):
    """The same choice from the same errors."""
    np.testing.assert_allclose(mine.alphas_, their.alphas_, rtol=1e-10)
    np.testing.assert_allclose(mine.mse_path_, their.mse_path_, rtol=rtol)
    assert mine.alpha_ == pytest.approx(their.alpha_, rel=1e-10)
    assert_same(mine, their)


@every_split
@WEIGHTED
@pytest.mark.parametrize("n_blocks", [None, 7])
def test_lasso_cv(cv, weighted, n_blocks):
    w = W if weighted else None
    mine = ours.LassoCV(cv=cv, alphas=12, **TIGHT)
    mine.fit(X if n_blocks is None else dask_rows(X, n_blocks), Y, w)
    their = theirs.LassoCV(cv=cv, alphas=12, **TIGHT).fit(X, Y, w)
    assert_same_search(mine, their)
    assert mine.alpha_ == mine.alpha_min_ <= mine.alpha_1se_
    path = ours.enet_path(
        X, Y, l1_ratio=1.0, alphas=mine.alphas_, fit_intercept=True, sample_weight=w, **TIGHT
    )
    np.testing.assert_allclose(mine.coef_path_, path.coefs, rtol=1e-8, atol=1e-8)
    np.testing.assert_array_equal(mine.coef_path_[:, mine.alphas_ == mine.alpha_][:, 0], mine.coef_)


@pytest.mark.parametrize("cv", [None, SPLITS["shuffled"]], ids=["None", "shuffled"])
@pytest.mark.parametrize("alphas", [6, np.array([0.01, 0.3, 0.1])], ids=["grid", "list"])
@INTERCEPT
@EVERY_SOLVER
def test_elastic_net_cv(cv, alphas, intercept, solver):
    options = {"cv": cv, "alphas": alphas, "fit_intercept": intercept, **TIGHT}
    options["l1_ratio"] = [0.2, 0.7, 1.0]
    mine = ours.ElasticNetCV(solver=solver, **options).fit(dask_rows(X, 7), dask_rows(Y, 7), W)
    their = theirs.ElasticNetCV(**options).fit(X, Y, W)
    assert_same_search(mine, their)
    assert mine.l1_ratio_ == their.l1_ratio_
    assert mine.mse_path_.shape == their.mse_path_.shape


def test_positive_elastic_net_cv_of_one_ratio():
    options = {"cv": 4, "alphas": 8, "positive": True, "l1_ratio": 0.5, **TIGHT}
    mine = ours.ElasticNetCV(**options).fit(csr_rows(X, 7), Y)
    assert_same_search(mine, theirs.ElasticNetCV(**options).fit(X, Y))


@pytest.mark.parametrize("cv", list(SPLITS.values())[1:], ids=list(SPLITS)[1:])
@INTERCEPT
def test_ridge_cv_on_folds(cv, intercept):
    alphas = np.geomspace(1e3, 1e-3, 7)
    mine = ours.RidgeCV(alphas, cv=cv, fit_intercept=intercept).fit(dask_rows(X, 7), Y)
    ridge = theirs.Ridge(fit_intercept=intercept, solver="svd")
    scoring = ["r2", "neg_mean_squared_error"]
    their = GridSearchCV(ridge, {"alpha": alphas}, cv=cv, scoring=scoring, refit="r2")
    their.fit(X, Y)
    assert mine.alpha_ == their.best_params_["alpha"]
    assert mine.best_score_ == pytest.approx(their.best_score_, rel=1e-9)
    errors = "split{}_test_neg_mean_squared_error"
    by_fold = [their.cv_results_[errors.format(k)] for k in range(their.n_splits_)]
    np.testing.assert_allclose(mine.mse_path_, -np.transpose(by_fold), rtol=1e-9)
    assert_same(mine, their.best_estimator_)
    assert mine.n_passes_ == 1


@INTERCEPT
@pytest.mark.parametrize("n_outputs", [None, 3])
@pytest.mark.parametrize("kind", ["NumPy", *LAYOUTS])
def test_ridge_cv_leaves_each_row_out(intercept, n_outputs, kind):
    y, alphas = Y if n_outputs is None else OUTPUTS, np.geomspace(1e2, 1e-2, 5)
    options = {"alphas": alphas, "fit_intercept": intercept}
    mine = ours.RidgeCV(**options).fit(X if kind == "NumPy" else layouts(X)[kind], y)
    their = theirs.RidgeCV(**options, store_cv_results=True, gcv_mode="svd").fit(X, y)
    errors = their.cv_results_.reshape(-1, 5).mean(axis=0)
    np.testing.assert_allclose(mine.mse_path_, errors[:, None], rtol=1e-9)
    assert mine.alpha_ == their.alpha_
    assert mine.best_score_ == pytest.approx(their.best_score_, rel=1e-9)
    assert_same(mine, their)


@INTERCEPT
def test_rows_left_out_with_weights_by_brute_force(intercept):
    A, y, w = X[:40, :4], Y[:40], W[:40]
    alphas = [10.0, 0.1]
    mine = ours.RidgeCV(alphas, fit_intercept=intercept).fit(dask_rows(A, 3), y, w)
    for k, alpha in enumerate(alphas):
        squares = np.empty(40)
        for train, test in LeaveOneOut().split(A):
            fit = theirs.Ridge(alpha, fit_intercept=intercept, solver="svd")
            fit.fit(A[train], y[train], w[train])
            squares[test] = (y[test] - fit.predict(A[test])) ** 2
        assert mine.mse_path_[k, 0] == pytest.approx(np.average(squares, weights=w), rel=1e-10)


def grams(A, w):
    """Gram matrices that scikit-learn takes for the same fit."""
    centred = A - np.average(A, axis=0, weights=w)
    shares = np.ones(len(A)) if w is None else w * len(A) / w.sum()
    return [centred.T @ (shares[:, None] * centred), A.T @ (shares[:, None] * A)]


@WEIGHTED
@EVERY_SOLVER
def test_a_gram_matrix_of_the_data_is_taken(weighted, solver):
    w = W if weighted else None
    cases = [(ours.Lasso, {"alpha": 0.1}), (ours.LassoCV, {"alphas": [0.1], "cv": 3})]
    for model, options in cases:
        plain = model(**options, solver=solver, **TIGHT).fit(X, Y, w)
        for gram in grams(X, w):
            for A in (X, dask_rows(X, 7)):
                mine = model(**options, precompute=gram, solver=solver, **TIGHT).fit(A, Y, w)
                np.testing.assert_allclose(mine.coef_, plain.coef_, rtol=1e-9, atol=1e-12)
        wrong = grams(X, w)[0]
        wrong[0, 0] *= 1.01
        with pytest.raises(ValueError, match="Gram matrix.*did not pass validation.*Leave it out"):
            model(**options, precompute=wrong, solver="coordinate_descent").fit(X, Y, w)
    if weighted:
        with pytest.raises(ValueError, match="it is not X'WX, with sample_weight in W, of these"):
            ours.Lasso(precompute=X.T @ X).fit(X, Y, w)


@pytest.mark.parametrize("n_outputs", [None, 3])
def test_a_path_takes_products_and_a_start(n_outputs):
    y = Y if n_outputs is None else OUTPUTS
    start = np.ones(X.shape[1] if n_outputs is None else (3, X.shape[1]))
    options = {"alphas": [0.5, 0.1, 0.01], "l1_ratio": 0.7, "coef_init": start}
    given = {"precompute": X.T @ X, "Xy": X.T @ y, "copy_X": False, "check_input": False}
    alphas, coefs, gaps, n_iters = ours.enet_path(
        X, y, return_n_iter=True, **given, **options, **TIGHT
    )
    plain = ours.enet_path(dask_rows(X, 7), y, alphas=[0.5, 0.1, 0.01], l1_ratio=0.7, **TIGHT)
    assert len(plain) == 3
    np.testing.assert_array_equal(alphas, plain.alphas)
    np.testing.assert_allclose(coefs, plain.coefs, rtol=1e-7, atol=1e-9)
    assert np.shape(n_iters) == gaps.shape
    given["Xy"] = 1.01 * given["Xy"]
    with pytest.raises(ValueError, match="Cross product .*'Xy' parameter did not pass validation"):
        ours.enet_path(X, y, **given, **options)
    with pytest.raises(ValueError, match="coef_init must be finite numbers of shape"):
        ours.enet_path(X, y, coef_init=np.ones(1))


@pytest.mark.parametrize("model", [ours.LassoCV, ours.RidgeCV])
def test_one_standard_error_by_hand(model):
    alphas = np.geomspace(1.0, 1e-3, 15) * (1.0 if model is ours.LassoCV else 1e3)
    scoring = {} if model is ours.LassoCV else {"scoring": "neg_mean_squared_error"}
    mine = model(alphas=alphas, cv=6, rule="1se", **scoring).fit(X, Y)
    mean = mine.mse_path_.mean(axis=1)
    best = np.argmin(mean)
    limit = mean[best] + mine.mse_path_[best].std(ddof=1) / np.sqrt(6)
    expected = max(alpha for alpha, error in zip(mine.alphas_, mean, strict=True) if error <= limit)
    assert mine.alpha_ == mine.alpha_1se_ == expected > mine.alpha_min_ == mine.alphas_[best]
    least = model(alphas=alphas, cv=6, **scoring).fit(X, Y)
    assert least.alpha_ == mine.alpha_min_
    np.testing.assert_array_equal(mine.coef_, mine.coef_path_[:, mine.alphas_ == expected][:, 0])
    assert_same(mine, model(alphas=[expected], cv=6).fit(X, Y), 1e-5)


@pytest.mark.parametrize("cv", [3, SPLITS["some"], bootstraps(60, 3)], ids=["3", "some", "drawn"])
def test_working_sets_choose_as_coordinate_descent(cv):
    A, y, _ = hard("wide")
    found = [
        ours.LassoCV(cv=cv, alphas=10, eps=0.05, solver=solver, **TIGHT).fit(A, y)
        for solver in ("coordinate_descent", "working_set")
    ]
    assert_same_search(found[1], found[0])
    np.testing.assert_allclose(found[1].coef_path_, found[0].coef_path_, rtol=1e-7, atol=1e-9)


# What must not change the answer

CASES = {
    "lasso": (ours.Lasso, {"alpha": 0.1, **TIGHT}),
    "enet": (ours.ElasticNet, {"alpha": 0.1, "l1_ratio": 0.3, **TIGHT}),
    "lasso_set": (ours.Lasso, {"alpha": 0.1, "solver": "working_set", **TIGHT}),
    "lasso_cv": (ours.LassoCV, {"alphas": 8, **TIGHT}),
    "enet_cv": (ours.ElasticNetCV, {"alphas": 8, "l1_ratio": [0.3, 0.9], **TIGHT}),
    "ridge_cv": (ours.RidgeCV, {"alphas": np.geomspace(100.0, 0.01, 5), "cv": 5}),
    "ridge_loo": (ours.RidgeCV, {"alphas": np.geomspace(100.0, 0.01, 5)}),
}
every_case = pytest.mark.parametrize("name", CASES)
CROSS_VALIDATED = {name: case for name, case in CASES.items() if name.endswith("_cv")}


def made(name, **parameters):
    model, fixed = CASES[name]
    return model(**{**fixed, **parameters})


def assert_equal(mine, other, rtol=1e-10):
    assert_same(mine, other, rtol)
    if hasattr(other, "mse_path_"):
        np.testing.assert_allclose(mine.mse_path_, other.mse_path_, rtol=rtol)
        np.testing.assert_allclose(mine.alphas_, other.alphas_, rtol=rtol)
        assert mine.alpha_ == pytest.approx(other.alpha_, rel=rtol)


@every_case
def test_chunking(name):
    one = made(name).fit(X, Y, W)
    uneven = dask_rows(X, 7).rechunk(((1, 100, 3, 36, 0, 100), (5, 3)))
    for A in (*layouts(X).values(), uneven):
        assert_equal(made(name).fit(A, Y, W), one)


@pytest.mark.parametrize("name", [name for name in CASES if name != "ridge_loo"])
@pytest.mark.parametrize("n_blocks", [None, 7])
def test_integer_weights_are_repeated_rows(name, n_blocks):
    counts = np.random.default_rng(5).integers(0, 4, size=240)
    rows = np.repeat(np.arange(240), counts)
    splits, repeated = {}, {}
    if name in CROSS_VALIDATED:
        pairs = list(KFold(4, shuffle=True, random_state=1).split(X))
        splits["cv"] = pairs
        # The rows of a fold, wherever their copies went.
        repeated["cv"] = [
            tuple(np.flatnonzero(np.isin(rows, part)) for part in pair) for pair in pairs
        ]
    A = X if n_blocks is None else dask_rows(X, n_blocks)
    mine = made(name, **splits).fit(A, Y, counts)
    assert_equal(mine, made(name, **repeated).fit(X[rows], Y[rows]))


@every_case
def test_order_of_columns(name):
    order = np.random.default_rng(6).permutation(8)
    mine, other = made(name).fit(X[:, order], Y, W), made(name).fit(X, Y, W)
    np.testing.assert_allclose(mine.coef_, other.coef_[order], rtol=1e-9, atol=1e-10)
    assert mine.intercept_ == pytest.approx(other.intercept_, rel=1e-9)


@pytest.mark.parametrize("name", CROSS_VALIDATED)
def test_order_of_rows(name):
    order = np.random.default_rng(7).permutation(240)
    place = np.argsort(order)
    pairs = list(KFold(4, shuffle=True, random_state=1).split(X))
    moved = [(place[train], place[test]) for train, test in pairs]
    mine = made(name, cv=moved).fit(dask_rows(X[order], 7), dask_rows(Y[order], 7), W[order])
    assert_equal(mine, made(name, cv=pairs).fit(X, Y, W))


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_one_factor_for_all_columns(factor):
    # The lasso's alpha is then in other units; a ridge's is so squared.
    lasso = ours.Lasso(0.1 * factor, **TIGHT).fit(factor * X, Y)
    np.testing.assert_allclose(
        lasso.coef_ * factor, ours.Lasso(0.1, **TIGHT).fit(X, Y).coef_, rtol=1e-9, atol=1e-10
    )
    ridge = ours.ridge_path(factor * X, Y, alphas=[3.0 * factor**2]).coefs
    np.testing.assert_allclose(ridge * factor, ours.ridge_path(X, Y, alphas=[3.0]).coefs, rtol=1e-9)


def test_scale_of_y():
    for factor in (1e-6, 1e6):
        mine = ours.LassoCV(alphas=8, **TIGHT).fit(X, factor * Y)
        other = ours.LassoCV(alphas=8, **TIGHT).fit(X, Y)
        np.testing.assert_allclose(mine.coef_ / factor, other.coef_, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(mine.mse_path_ / factor**2, other.mse_path_, rtol=1e-8)


# Reads of X


@pytest.mark.parametrize("name", [name for name in CASES if name != "lasso_set"])
@pytest.mark.parametrize("cache", ["none", "auto"])
def test_reads(name, cache, tmp_path):
    source = Source(tmp_path, 6, 40, 5)
    A, y = source.table()
    mine = made(name, cache=cache).fit(A, y)
    passes = 2 if name == "ridge_loo" else 1
    assert mine.n_passes_ == passes == len(mine.history_)
    assert source.reads() == (passes if cache == "none" else 1)


@pytest.mark.parametrize("path", [ours.lasso_path, ours.enet_path, ours.ridge_path])
def test_reads_of_a_path(path, tmp_path):
    source = Source(tmp_path, 6, 40, 5)
    A, y = source.table()
    assert path(A, y, cache="none").n_passes == 1 == source.reads()


def test_reads_of_a_working_set(tmp_path):
    source = Source(tmp_path, 6, 40, 5)
    A, y = source.table()
    mine = ours.Lasso(0.01, solver="working_set", cache="none").fit(A, y)
    # Gradient at zero, moments of the columns that matter, gradient in all at the end.
    assert mine.n_passes_ == 3 == source.reads()
    assert [record.name for record in mine.history_] == ["summary", "columns", "gradient"]


@pytest.mark.parametrize("tol", [0.0, 1e-17, 1e-16, 1e-15])
def test_a_tolerance_below_rounding_ends_a_working_set(tol):
    rng = np.random.default_rng(0)
    A = rng.normal(size=(50, 200)) + 100.0
    target = A[:, :5].sum(axis=1) + rng.normal(size=50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = ours.Lasso(0.05, tol=tol, solver="working_set", max_iter=200).fit(A, target)
    assert found.n_passes_ < 40
    assert found.dual_gap_ < 1e-12 * target.var()
