"""Data that cannot be used are answered by a sentence: what was expected, got, the remedy."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from tables import Source, classes, csr_rows, dask_rows, unknown

from daskdsml.linear_model import (
    ElasticNet,
    ElasticNetCV,
    HuberRegressor,
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeCV,
    SGDClassifier,
    lasso_path,
    ridge_path,
)

FAMILY = [Lasso, ElasticNet, LassoCV, ElasticNetCV, RidgeCV]
MODELS = [LinearRegression, Ridge, LogisticRegression, *FAMILY]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
X, Y, W = classes(60, 4)
LAYOUTS = {
    "NumPy": np.array,
    "Dask": lambda array: dask_rows(array, 5),
    "unknown": lambda array: unknown(dask_rows(array, 5)),
}
every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
dask_too = pytest.mark.parametrize("layout", [np.array, LAYOUTS["Dask"]], ids=["NumPy", "Dask"])


def spoiled(array, *entries):
    """A copy with (index, value) pairs written into it."""
    array = array.astype(float)
    for index, value in entries:
        array[index] = value
    return array


@every_model
@every_layout
@pytest.mark.parametrize("value, word", [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "inf")])
@pytest.mark.parametrize("row", [0, 31, 59])
def test_x_not_finite(model, layout, value, word, row):
    A = spoiled(X, ((row, 2), value), ((59, 3), value))
    with pytest.raises(ValueError, match=f"X contains {word}.* row {row}, column 2.*Drop such row"):
        model().fit(layout(A), layout(Y))


@every_model
def test_csr_not_finite(model):
    A = spoiled(X, ((31, 2), np.nan), ((40, 0), np.inf))
    for kind in (sparse.csr_matrix(A), csr_rows(A, 5)):
        with pytest.raises(ValueError, match="X contains NaN.* row 31, column 2"):
            model().fit(kind, Y)


@every_model
def test_x_not_finite_in_named_columns(model):
    frame = pd.DataFrame(spoiled(X, ((31, 2), np.nan)), columns=["age", "size", "price", "rooms"])
    for kind in (frame, dd.from_pandas(frame, npartitions=4)):
        with pytest.raises(ValueError, match="X contains NaN.* row 31, column 2 .*'price'"):
            model().fit(kind, Y)


@pytest.mark.parametrize("solver", ["cholesky", "lbfgs"])
@pytest.mark.parametrize("model", [LinearRegression, Ridge])
@every_layout
def test_y_not_finite(model, layout, solver):
    for value, word in ((np.nan, "NaN"), (np.inf, "inf")):
        with pytest.raises(ValueError, match=f"y contains {word}.* row 44"):
            model(solver=solver).fit(layout(X), layout(spoiled(Y, (44, value))))


@pytest.mark.parametrize("model", FAMILY)
@every_layout
def test_y_not_finite_for_penalised_models(model, layout):
    solvers = ["coordinate_descent", "working_set"] if model is not RidgeCV else [None]
    for solver in solvers:
        chosen = {} if solver is None else {"solver": solver}
        for value, word in ((np.nan, "NaN"), (np.inf, "inf")):
            with pytest.raises(ValueError, match=f"y contains {word}.* row 44"):
                model(**chosen).fit(layout(X), layout(spoiled(Y, (44, value))))


@pytest.mark.parametrize("model", FAMILY[:4])
@every_layout
def test_working_sets_find_what_is_not_finite(model, layout):
    for value, word in ((np.nan, "NaN"), (np.inf, "inf")):
        with pytest.raises(ValueError, match=f"X contains {word}.* row 31, column 2"):
            model(solver="working_set").fit(layout(spoiled(X, ((31, 2), value))), layout(Y))
    with pytest.raises(ValueError, match="sample_weight must be .* row 44 has weight -1"):
        model(solver="working_set").fit(layout(X), layout(Y), layout(spoiled(W, (44, -1.0))))


@pytest.mark.parametrize("model", [LinearRegression, Ridge, Lasso, ElasticNet, RidgeCV])
@dask_too
def test_y_of_many_outputs_not_finite(model, layout):
    outputs = spoiled(np.column_stack([Y, Y]), ((44, 1), np.nan))
    with pytest.raises(ValueError, match="y contains NaN.* row 44, column 1"):
        model().fit(layout(X), layout(outputs))


@every_layout
def test_labels_missing(layout):
    with pytest.raises(ValueError, match="y contains NaN.* row 44"):
        LogisticRegression().fit(layout(X), layout(spoiled(Y, (44, np.nan))))
    words = np.array(["no", "yes"], dtype=object)[Y]
    for missing in (None, np.nan):
        words[44] = missing
        with pytest.raises(ValueError, match="y contains NaN.* row 44"):
            LogisticRegression().fit(layout(X), layout(words))


@pytest.mark.parametrize("dtype", ["str", "string", "object", "category"])
def test_labels_missing_in_a_series(dtype):
    words = pd.Series(np.array(["no", "yes"], dtype=object)[Y]).astype(dtype)
    words[44] = None
    for target in (words, dd.from_pandas(words, npartitions=5)):
        with pytest.raises(ValueError, match="y contains NaN.* row 44"):
            LogisticRegression().fit(dask_rows(X, 5), target)


@every_model
@every_layout
@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_weights_not_finite_or_negative(model, layout, value):
    w = spoiled(W, (44, value), (50, value))
    with pytest.raises(ValueError, match=f"sample_weight must be .* row 44 has weight {value}"):
        model().fit(layout(X), layout(Y), layout(w))


@every_model
@every_layout
def test_all_weights_zero(model, layout):
    with pytest.raises(ValueError, match="sample_weight must have a positive sum"):
        model().fit(layout(X), layout(Y), layout(0 * W))


@every_model
@every_layout
def test_different_lengths(model, layout):
    with pytest.raises(ValueError, match="60.*55|55.*60|12 rows .* 11|same rows in each"):
        model().fit(layout(X), layout(Y[:55]))
    with pytest.raises(ValueError, match="60.*55|55.*60|55,.*60,|12 rows .* 11|same rows in each"):
        model().fit(layout(X), layout(Y), layout(W[:55]))


@every_model
def test_different_lengths_of_different_kinds(model):
    with pytest.raises(ValueError, match="X has 60 rows.* 55"):
        model().fit(dask_rows(X, 5), Y[:55])
    with pytest.raises(ValueError, match="X has 60 rows.* 55"):
        model().fit(LAYOUTS["unknown"](X), Y[:55])
    with pytest.raises(ValueError, match="X has 60 rows.* 55"):
        model().fit(dask_rows(X, 5), LAYOUTS["unknown"](Y[:55]))


@every_model
@every_layout
def test_x_of_one_dimension(model, layout):
    with pytest.raises(ValueError, match=r"Expected 2D array, got 1D array.*\[:, None\]|reshape"):
        model().fit(layout(X[:, 0]), layout(Y))


@every_model
def test_x_of_three_dimensions(model):
    for kind in (np.ones((4, 2, 2)), da.ones((4, 2, 2))):
        with pytest.raises(ValueError, match="3D? array|dim 3|3D"):
            model().fit(kind, np.array([0, 1, 0, 1]))


@every_model
def test_no_rows(model):
    nobody = dask_rows(X[:, 0], 5) > 99
    tables = [(kind, np.empty(0)) for kind in (np.empty((0, 4)), da.empty((0, 4)))]
    for A, y in [*tables, (dask_rows(X, 5)[nobody], dask_rows(Y, 5)[nobody])]:
        with pytest.raises(ValueError, match=r"0 sample\(s\).* minimum of 1 is required"):
            model().fit(A, y)


@every_model
def test_no_columns(model):
    for kind in (X[:, :0], dask_rows(X, 5)[:, :0]):
        with pytest.raises(ValueError, match=r"0 feature\(s\).* minimum of 1 is required"):
            model().fit(kind, Y)


@every_layout
def test_one_class(layout):
    with pytest.raises(ValueError, match="needs samples of 2 classes.* one class: .*1"):
        LogisticRegression().fit(layout(X), layout(np.ones(60, dtype=int)))


@every_layout
def test_a_class_without_weight(layout):
    three = np.array(["a", "b", "c"])[np.arange(60) % 3]
    said = "rows of class 'b' have no weight.*sample_weight"
    with pytest.raises(ValueError, match="class_weight must leave a class with weight"):
        nothing = dict.fromkeys("abc", 0.0)
        LogisticRegression(class_weight=nothing).fit(layout(X), layout(three))
    for weights in (None, "balanced"):
        with pytest.raises(ValueError, match=said):
            w = layout((three != "b") * 1.0)
            LogisticRegression(class_weight=weights).fit(layout(X), layout(three), w)


@every_layout
def test_continuous_labels(layout):
    with pytest.raises(ValueError, match="continuous.*expected class labels.*regressor"):
        LogisticRegression().fit(layout(X), layout(W))


@every_model
@every_layout
def test_complex_numbers(model, layout):
    with pytest.raises(ValueError, match="Complex data not supported"):
        model().fit(layout(X + 1j), layout(Y))
    with pytest.raises(ValueError, match="[Cc]omplex data not supported|continuous|complex"):
        model().fit(layout(X), layout(Y + 1j * W))


@every_model
@dask_too
def test_text_in_x(model, layout):
    words = np.array(["a", "b"], dtype=object)[(X > 0).astype(int)]
    with pytest.raises(ValueError, match="X must hold numbers, but .*(onvert|ncode)"):
        model().fit(layout(words), layout(Y))


@every_model
def test_columns_of_a_frame_that_are_no_numbers(model):
    frame = pd.DataFrame({"size": X[:, 0], "town": "Ulm", "when": pd.Timestamp("2026-01-01")})
    with pytest.raises(ValueError, match="these columns do not: 'town'.*'when'.*Encode or drop"):
        model().fit(dd.from_pandas(frame, npartitions=3), Y)
    with pytest.raises(ValueError, match="these columns do not: 'when' .datetime64.*Encode or"):
        model().fit(frame, Y)
    with pytest.raises(ValueError, match="X must hold numbers, but in column 'town' could not"):
        model().fit(frame[["size", "town"]], Y)
    for times in (frame[["when"]], frame[["when"]].to_numpy(), frame[["when"]] - frame.when[0]):
        with pytest.raises(ValueError, match="X must hold numbers"):
            model().fit(times, Y)


@pytest.mark.parametrize("model", [LinearRegression, Ridge, *FAMILY])
def test_text_in_y(model):
    for kind in (X, dask_rows(X, 5)):
        with pytest.raises(ValueError, match="y must hold numbers|could not convert|convert"):
            model().fit(kind, np.array(["no", "yes"], dtype=object)[Y])
    with pytest.raises(ValueError, match="y must hold numbers, but has dtype .*astype"):
        model().fit(dask_rows(X, 5), dask_rows(np.array(["no", "yes"])[Y], 5))


@every_model
def test_y_missing(model):
    with pytest.raises(ValueError, match=f"{model.__name__} .*requires y to be passed"):
        model().fit(X, None)


@pytest.mark.parametrize("model", [LassoCV, ElasticNetCV])
@dask_too
def test_y_of_two_columns_for_a_path_of_one_output(model, layout):
    with pytest.raises(ValueError, match="y should be a 1d array, got an array of shape"):
        model().fit(layout(X), layout(np.column_stack([Y, Y])))


def test_y_of_two_columns_for_a_working_set():
    outputs = np.column_stack([Y, Y])
    for fit in (
        lambda: Lasso(solver="working_set").fit(X, outputs),
        lambda: lasso_path(X, outputs, solver="working_set"),
    ):
        with pytest.raises(ValueError, match="'working_set' fits one output, but y has 2.*solver="):
            fit()


def test_y_of_two_columns_for_a_classifier():
    with pytest.raises(ValueError, match="y should be a 1d array, got an array of shape"):
        LogisticRegression().fit(X, np.column_stack([Y, Y]))
    with pytest.raises(ValueError, match="y should be a 1d array, got an array of shape"):
        LogisticRegression().fit(dask_rows(X, 5), dask_rows(np.column_stack([Y, Y]), 5))


@every_model
def test_weights_of_two_columns(model):
    for w in (np.ones((60, 2)), da.ones((60, 2))):
        for kind in (X, dask_rows(X, 5)):
            with pytest.raises(ValueError, match="Sample weights must be 1D array or scalar"):
                model().fit(kind, Y, w)


@every_model
def test_bad_values_cost_one_read(model, tmp_path):
    source = Source(tmp_path, 4, 30, 3)
    A, y = source.table()
    with pytest.raises(ValueError, match="X contains NaN"):
        model(cache="none").fit(da.where(A > 1.0, np.nan, A), y)
    assert source.reads() == 1


@every_model
@dask_too
def test_numbers_whose_squares_overflow(model, layout):
    A = spoiled(X, ((3, 1), 1e200))
    with pytest.raises(ValueError, match="so large that their squares overflow float64.*Rescale"):
        model().fit(layout(A), Y)


def test_data_that_change_between_reads(tmp_path):
    flips = iter(range(1000))

    def fickle(block):
        return block + 10 * (next(flips) >= 5)

    y = dask_rows(Y, 5).map_blocks(fickle, dtype=int, meta=np.empty(0, int))
    with pytest.raises(ValueError, match="which the first pass did not see.*Persist or store"):
        LogisticRegression(cache="none").fit(dask_rows(X, 5), y)


# Folds


@pytest.mark.parametrize("model", [LassoCV, ElasticNetCV, RidgeCV])
@every_layout
def test_more_folds_than_rows(model, layout):
    with pytest.raises(ValueError, match="cv=61 folds need at least 61 rows, but X has 60.*Lower"):
        model(cv=61).fit(layout(X), layout(Y))


@pytest.mark.parametrize("model", [LassoCV, ElasticNetCV, RidgeCV])
@every_layout
def test_a_fold_without_weight(model, layout):
    w = np.repeat([1.0, 0.0, 2.0], 20)
    with pytest.raises(ValueError, match="no row of positive weight. Use fewer folds, or drop"):
        model(cv=3).fit(layout(X), layout(Y), layout(w))


@pytest.mark.parametrize("solver", ["coordinate_descent", "working_set"])
def test_a_fold_without_weight_on_a_working_set(solver):
    w = np.repeat([1.0, 0.0, 2.0], 20)
    with pytest.raises(ValueError, match="no row of positive weight. Use fewer folds, or drop"):
        LassoCV(cv=3, solver=solver).fit(X, Y, w)


# Columns that tell nothing are kept


def kept(model, A):
    alphas = {"alphas": [1e-4]} if model in (LassoCV, ElasticNetCV, RidgeCV) else {"alpha": 1e-4}
    tight = {} if model is RidgeCV else {"tol": 1e-12}
    return model(**alphas, **tight).fit(A, Y)


@pytest.mark.parametrize("model", FAMILY)
@pytest.mark.parametrize("value", [0.0, 5.0, 0.1, 1e8])
@pytest.mark.parametrize("kind", ["NumPy", "Dask", "CSR", "Dask CSR"])
def test_constant_columns_have_no_coefficient(model, value, kind):
    A = np.column_stack([X[:, :2], np.full(60, value), X[:, 2:]])
    layouts = {
        "NumPy": np.array, "Dask": LAYOUTS["Dask"], "CSR": sparse.csr_matrix,
        "Dask CSR": lambda a: csr_rows(a, 5),
    }  # fmt: skip
    mine, other = kept(model, layouts[kind](A)), kept(model, X)
    assert mine.coef_[2] == 0.0
    np.testing.assert_allclose(np.delete(mine.coef_, 2), other.coef_, rtol=1e-8, atol=1e-10)
    assert mine.intercept_ == pytest.approx(other.intercept_, rel=1e-8)


@pytest.mark.parametrize("model", FAMILY)
@dask_too
def test_equal_columns_share_what_one_has(model, layout):
    A = np.column_stack([X, X[:, 1]])
    mine, other = kept(model, layout(A)), kept(model, X)
    if model is not Lasso and model is not LassoCV:
        assert mine.coef_[1] == pytest.approx(mine.coef_[4], rel=1e-3)
    assert mine.coef_[1] + mine.coef_[4] == pytest.approx(other.coef_[1], rel=1e-3)
    np.testing.assert_allclose(mine.predict(A), other.predict(X), atol=2e-3)


def test_a_target_that_does_not_vary():
    for model in FAMILY:
        mine = model().fit(X, np.full(60, 3.0))
        np.testing.assert_array_equal(mine.coef_, 0.0)
        assert mine.intercept_ == 3.0
    assert not lasso_path(X, np.zeros(60)).coefs.any()
    assert not ridge_path(X, np.full(60, 3.0)).coefs.any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("model", [
    LogisticRegression(), LogisticRegression(C=0.1, l1_ratio=1.0), LinearRegression(), Ridge(),
    SGDClassifier(max_iter=3, tol=None), PoissonRegressor(), HuberRegressor(),
], ids=lambda model: type(model).__name__)  # fmt: skip
def test_rows_that_are_not_finite_are_not_predicted(model, value):
    X = np.random.default_rng(0).normal(size=(30, 3))
    model.fit(X, np.arange(30) % 3)
    broken = X.copy()
    broken[17, 1] = value
    lazy = da.from_array(broken, chunks=(10, 3))
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(model, method):
            found = getattr(model, method)(lazy)
            with pytest.raises(
                ValueError, match=r"contains \w+ at row 7, column 1.*chunk, which has 10"
            ):
                found.compute()
            assert len(found[:10].compute()) == 10


def test_a_dask_series_is_no_table():
    series = dd.from_pandas(pd.Series(np.arange(30.0)), npartitions=2)
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        LinearRegression().fit(series, series)
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array instead for X"):
        LinearRegression().fit(np.arange(9.0)[:, None], np.arange(9.0)).predict(series)
