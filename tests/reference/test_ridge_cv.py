"""RidgeCV against scikit-learn's and against one fit for each row that is left out."""

import warnings

import dask.array as da
import numpy as np
import pytest
import sklearn.linear_model as theirs
from scipy import sparse
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import make_scorer, mean_pinball_loss
from sklearn.model_selection import LeaveOneOut, ShuffleSplit
from tables import csr_rows, dask_rows

import daskdsml.linear_model as ours

INTERCEPT = pytest.mark.parametrize("intercept", [True, False])
WEIGHTED = pytest.mark.parametrize("weighted", [True, False])
LAYOUTS = {
    "NumPy": np.array,
    "Dask": lambda A: dask_rows(A, 5),
    "CSR": sparse.csr_matrix,
    "Dask CSR": lambda A: csr_rows(A, 4),
}


def table(n, p, n_outputs=None, unit=1.0):
    rng = np.random.default_rng(n * p)
    y = 3.0 + rng.normal(size=(n, n_outputs or 1))
    w = rng.uniform(0.5, 2.0, size=n)
    return unit * rng.normal(size=(n, p)), y if n_outputs else y[:, 0], w


def left_out(X, y, w, alpha, intercept):
    """Errors (n,) or (n, K) of a fit without each row in turn."""
    errors = np.empty(y.shape)
    for train, test in LeaveOneOut().split(X):
        fit = theirs.Ridge(alpha, fit_intercept=intercept, solver="svd")
        fit.fit(X[train], y[train], None if w is None else w[train])
        errors[test] = y[test] - fit.predict(X[test])
    return errors


@pytest.mark.parametrize("shape", [(12, 40), (20, 20), (21, 20), (24, 8)])
@pytest.mark.parametrize("layout", ["NumPy", "Dask CSR"])
@pytest.mark.parametrize("n_outputs", [None, 2])
@INTERCEPT
@WEIGHTED
def test_each_row_left_out_by_brute_force(shape, layout, n_outputs, intercept, weighted):
    X, y, w = table(*shape, n_outputs, unit=1e4)
    w = w if weighted else None
    alphas = [1.0, 1e8, 1e2]  # not in order; the least is 1e-10 of the columns' squares
    mine = ours.RidgeCV(alphas, fit_intercept=intercept, store_cv_results=True)
    mine.fit(LAYOUTS[layout](X), y, w)
    squares = [left_out(X, y, w, alpha, intercept) ** 2 for alpha in alphas]
    exact = np.stack(squares, axis=-1)
    exact = exact if w is None else (w * exact.T).T
    scale = np.abs(exact).mean()
    np.testing.assert_allclose(mine.cv_results_ / scale, exact / scale, rtol=1e-6, atol=1e-8)
    means = exact.reshape(-1, 3).mean(axis=0)
    assert mine.best_score_ == pytest.approx(-means.min(), rel=1e-7)
    assert means[alphas.index(mine.alpha_)] == pytest.approx(means.min(), rel=1e-7)
    chosen = theirs.Ridge(mine.alpha_, fit_intercept=intercept, solver="svd").fit(X, y, w)
    scale = np.abs(chosen.coef_).max()
    np.testing.assert_allclose(mine.coef_ / scale, chosen.coef_ / scale, atol=1e-9)
    np.testing.assert_allclose(mine.intercept_, chosen.intercept_, rtol=1e-7)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_few_rows_are_read_once(layout):
    X, y, w = table(30, 5000)
    mine = ours.RidgeCV([1e3, 1.0]).fit(LAYOUTS[layout](X), y, w)
    assert mine.n_passes_ == 1
    assert mine.solver_ == "svd"
    np.testing.assert_allclose(mine.coef_, ours.RidgeCV([1e3, 1.0]).fit(X, y, w).coef_, rtol=1e-9)


def test_rows_of_weight_zero_are_not_there():
    X, y, w = table(30, 40)
    w[[0, 7]] = 0.0
    used = w > 0.0
    mine = ours.RidgeCV(store_cv_results=True).fit(X, y, w)
    rest = ours.RidgeCV(store_cv_results=True).fit(X[used], y[used], w[used])
    np.testing.assert_allclose(mine.coef_, rest.coef_, rtol=1e-9)
    np.testing.assert_allclose(mine.cv_results_[used], rest.cv_results_, rtol=1e-9)
    np.testing.assert_array_equal(mine.cv_results_[~used], 0.0)


def test_constant_columns_and_columns_that_repeat_do_not_matter():
    X, y, _ = table(20, 30)
    more = np.column_stack([X, np.full(20, 1e9 + 0.1), X[:, :3] * 0.0])
    few, many = (ours.RidgeCV([1e-6, 1.0], store_cv_results=True).fit(A, y) for A in (X, more))
    np.testing.assert_allclose(many.cv_results_, few.cv_results_, rtol=1e-9)
    np.testing.assert_array_equal(many.coef_[30:], 0.0)


def test_one_row_cannot_be_left_out():
    with pytest.raises(ValueError, match=r"1 sample\(s\) of positive weight.*Pass more rows"):
        ours.RidgeCV().fit(np.ones((1, 3)), np.ones(1))


def absolute_cubes(model, X, y):
    return -np.mean(np.abs(np.asarray(model.predict(X)) - y) ** 3)


SCORINGS = [
    None,
    "r2",
    "neg_mean_squared_error",
    "neg_root_mean_squared_error",
    "neg_mean_absolute_error",
    "neg_median_absolute_error",
    "explained_variance",
    make_scorer(mean_pinball_loss, alpha=0.3, greater_is_better=False),
    absolute_cubes,
]


@pytest.mark.parametrize("cv", [None, 4, ShuffleSplit(3, test_size=0.3, random_state=0)])
@pytest.mark.parametrize("scoring", SCORINGS, ids=lambda s: getattr(s, "__name__", str(s)))
@pytest.mark.parametrize("n_outputs", [None, 2])
@pytest.mark.parametrize("shape, intercept", [((30, 60), True), ((60, 5), False)])
def test_every_score_is_that_of_scikit_learn(cv, scoring, n_outputs, shape, intercept):
    X, y, _ = table(*shape, n_outputs)
    options = {"alphas": [0.01, 10.0, 1.0], "cv": cv, "scoring": scoring}
    options["fit_intercept"] = intercept
    their = theirs.RidgeCV(**options).fit(X, y)
    for A, t in ((X, y), (dask_rows(X, 5), dask_rows(y, 5))):
        mine = ours.RidgeCV(**options).fit(A, t)
        assert mine.alpha_ == their.alpha_
        assert mine.best_score_ == pytest.approx(their.best_score_, rel=1e-8)
        np.testing.assert_allclose(mine.coef_, their.coef_, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("scoring", [None, "neg_mean_absolute_error", "neg_max_error"])
@pytest.mark.parametrize("shape", [(30, 60), (60, 5)])
@pytest.mark.parametrize("per_target", [True, False])
def test_what_is_kept_of_rows_left_out(scoring, shape, per_target):
    several = None if scoring == "neg_max_error" and not per_target else 3
    X, y, _ = table(*shape, several)
    options = {"alphas": [1.0, 0.1, 100.0], "store_cv_results": True, "scoring": scoring}
    options["alpha_per_target"] = per_target
    their = theirs.RidgeCV(**options).fit(X, y)
    for A, t in ((X, y), (dask_rows(X, 5), dask_rows(y, 5))):
        mine = ours.RidgeCV(**options).fit(A, t)
        np.testing.assert_allclose(mine.cv_results_, their.cv_results_, rtol=1e-7, atol=1e-10)
        np.testing.assert_array_equal(mine.alpha_, their.alpha_)
        np.testing.assert_allclose(mine.best_score_, their.best_score_, rtol=1e-8)
        np.testing.assert_allclose(mine.coef_, their.coef_, rtol=1e-7)
        np.testing.assert_allclose(mine.intercept_, their.intercept_, rtol=1e-7)


@pytest.mark.parametrize("value", [0.1, 1e6 + 0.1, 3.3, 1 / 3])
@pytest.mark.parametrize("n_blocks", [None, 7])
@INTERCEPT
def test_r2_of_a_fold_in_which_y_does_not_vary(value, n_blocks, intercept):
    X, y, _ = table(60, 5)
    y[:20] = value
    alphas = [10.0, 1.0]
    mine = ours.RidgeCV(alphas, cv=[(np.arange(20, 60), np.arange(20))], fit_intercept=intercept)
    mine.fit(X if n_blocks is None else dask_rows(X, n_blocks), y)
    assert mine.best_score_ == 0.0


def test_penalty_zero_is_for_folds():
    X, y, _ = table(60, 5)
    options = {"alphas": (0.0, 1.0), "cv": 3}
    mine, their = (m.RidgeCV(**options).fit(X, y) for m in (ours, theirs))
    assert mine.alpha_ == their.alpha_
    assert mine.best_score_ == pytest.approx(their.best_score_, rel=1e-9)
    with pytest.raises(ValueError, match="alphas must be an array of strengths above 0"):
        ours.RidgeCV((0.0, 1.0)).fit(X, y)


def test_r2_of_one_row_is_not_defined():
    X, y, _ = table(20, 3)
    options = {"alphas": (1.0, 0.1, 10.0), "cv": LeaveOneOut()}
    with pytest.warns(UndefinedMetricWarning, match="not defined.*neg_mean_squared_error"):
        mine = ours.RidgeCV(**options).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        their = theirs.RidgeCV(**options).fit(X, y)
    assert mine.alpha_ == their.alpha_ == 1.0
    assert np.isnan([mine.best_score_, their.best_score_]).all()


def test_scores_weigh_rows():
    X, y, _ = table(60, 5)
    w = np.random.default_rng(0).integers(1, 4, size=60)
    order = np.repeat(np.arange(60), w)
    folds = [(np.arange(20, 60), np.arange(20)), (np.arange(40), np.arange(40, 60))]
    again = [tuple(np.flatnonzero(np.isin(order, part)) for part in pair) for pair in folds]
    for scoring in (None, "neg_mean_absolute_error", "neg_median_absolute_error"):
        mine = ours.RidgeCV(cv=folds, scoring=scoring).fit(X, y, w)
        other = ours.RidgeCV(cv=again, scoring=scoring).fit(X[order], y[order])
        assert mine.best_score_ == pytest.approx(other.best_score_, rel=1e-9), scoring
    with pytest.raises(ValueError, match="takes no sample_weight, but rows have weights"):
        ours.RidgeCV(cv=folds, scoring="neg_max_error").fit(X, y, w)


@pytest.mark.parametrize(
    "returned, told", [(None, "NoneType"), ("0.5", "'0.5'"), ({"r2": 1.0}, "dict")], ids=str
)
def test_scores_must_be_numbers(returned, told):
    X, y, _ = table(20, 3)

    def forgetful(*args, **options):
        return returned

    said = f"scoring=.*forgetful.* must return a number.*{told}.*End its function with 'return'"
    for scoring in (forgetful, make_scorer(forgetful)):
        for cv in (None, 3):
            with pytest.raises(ValueError, match=said):
                ours.RidgeCV(cv=cv, scoring=scoring).fit(X, y)
    model, labels = ours.LogisticRegressionCV(Cs=[1.0], cv=2), y > np.median(y)
    model.fit(X, labels).set_params(scoring=forgetful)
    for call in (model.fit, model.score):
        with pytest.raises(ValueError, match=said):
            call(X, labels)


def test_a_type_error_of_a_scorer_is_its_own():
    X, y, _ = table(20, 3)

    def broken(estimator, X, y):
        return 1 * None

    with pytest.raises(TypeError, match="unsupported operand"):
        ours.RidgeCV(cv=3, scoring=broken).fit(X, y)


@pytest.mark.parametrize("cv", [None, 4])
def test_a_score_that_is_nan_is_never_the_best(cv):
    X, y, _ = table(60, 5)
    alphas = np.geomspace(1e-3, 1e3, 7)
    model = ours.RidgeCV(alphas, cv=cv, scoring="neg_mean_squared_error").fit(X, y)
    middle = np.median(model.score_path_.max(axis=1))

    def shaky(model, A, t):
        score = -np.mean((np.asarray(model.predict(A)) - t) ** 2)
        return np.nan if score > middle + 1e-9 else score

    model.set_params(scoring=shaky)
    with pytest.warns(UndefinedMetricWarning, match="shaky.* returned NaN for 3 of 7 settings"):
        model.fit(X, y)
    mean = model.score_path_.mean(axis=1)
    assert model.best_score_ == np.nanmax(mean)
    assert model.alpha_ == model.alphas_[np.nanargmax(mean)]


def test_classifiers_do_not_choose_what_has_no_score():
    X, y, _ = table(60, 5)

    def shaky(model, A, labels):
        size = np.abs(model.coef_).max()
        return np.nan if size < 0.1 else -size

    for refit in (True, False):
        model = ours.LogisticRegressionCV(Cs=[1e-4, 1.0, 10.0], cv=3, scoring=shaky, refit=refit)
        with pytest.warns(UndefinedMetricWarning, match="returned NaN for 1 of 3 settings"):
            model.fit(X, y > np.median(y))
        assert model.C_ == pytest.approx(1.0)


@pytest.mark.parametrize("number", [np.float32(0.5), da.ones(3).mean(), True])
def test_scores_may_be_any_numbers(number):
    X, y, _ = table(20, 3)
    model = ours.RidgeCV(cv=3, scoring=lambda *args: number).fit(X, y)
    assert model.best_score_ == float(number)


@pytest.mark.parametrize("name", ["store_cv_results", "alpha_per_target"])
def test_what_is_for_rows_left_out_alone(name):
    X, y, _ = table(20, 3)
    with pytest.raises(ValueError, match=f"cv!=None and {name}=True are incompatible"):
        ours.RidgeCV(cv=3, **{name: True}).fit(X, y)


def test_predictions_that_would_fill_the_memory(monkeypatch):
    from daskdsml.linear_model import _scoring

    monkeypatch.setattr(_scoring, "MOST_KEPT", 1000)
    X, y, _ = table(60, 5)
    for options in ({"store_cv_results": True}, {"cv": 3, "scoring": "neg_max_error"}):
        with pytest.raises(ValueError, match="predictions in memory.*a sum over rows"):
            ours.RidgeCV(**options).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours.RidgeCV(cv=3, scoring="neg_mean_absolute_error").fit(X, y)
