"""What is passed by mistake: each error names the part, what it is, and what to do."""

from functools import partial

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.delayed import delayed
from scipy import sparse
from tables import dask_rows

from daskdsml.linear_model import LinearRegression, LogisticRegression, Ridge, SGDRegressor
from daskdsml.neural_network import MLPRegressor


class Group:
    """What zarr and h5py have for a folder of arrays."""

    def keys(self):
        return ["X"]


X = np.random.default_rng(0).normal(size=(40, 2))
Y = (X[:, 0] > 0.0) * 1.0
CHUNKED = dask_rows(X, 4)


def of_unknown_length(a):
    """Made in a test, for Dask's array expressions have no masks."""
    return a[da.ones(len(a), chunks=a.chunks[:1]) > 0.0]


UNKNOWN = partial(of_unknown_length, CHUNKED)
OTHER_CHUNKS = partial(of_unknown_length, da.from_array(np.ones(41), chunks=41))
WEIGHT = {"sample_weight": np.ones(39)}
SERIES = dd.from_pandas(pd.Series(Y, name="y"), npartitions=2)
# Whatever is fitted, what X, y and weights are, and what the error must tell.
CASES = [
    (None, Y, {}, "X is None: expected an array.* Pass the data"),
    ("rows.csv", Y, {}, "X is a str: .*dask.dataframe.read_csv"),
    ({"a": 1}, Y, {}, "X is a dict: .*pandas.DataFrame"),
    (delayed(X), Y, {}, "X is a Delayed.*: .*from_delayed"),
    ([delayed(row) for row in X], Y, {}, "X is a list of Delayed: .*from_delayed.*concatenate"),
    (Group(), Y, {}, "X is a Group: expected an array.* Pass one of the arrays in it"),
    ([CHUNKED], Y, {}, "X is a list of Dask collections: .*dask.array.concatenate"),
    ([[1.0, 2.0], [3.0]], [0, 1], {}, "X has rows of different lengths: .* row 1 has 1"),
    ([["a", "b"]] * 40, Y, {}, "X must hold numbers, but"),
    (SERIES, Y, {}, r"Expected 2D array, got 1D array instead for X.*X\.to_frame\(\)"),
    (pd.Series(Y), Y, {}, r"Expected 2D array, got 1D array instead for X.*X\.to_frame\(\)"),
    (X, None, {}, "requires y to be passed"),
    (X, 3.0, {}, "y is a float: expected an array"),
    (X, {"a": 1}, {}, "y is a dict: "),
    (X, [[1.0, 2.0], [3.0]], {}, "y has rows of different lengths: .* row 1 has 1"),
    (X, Y + 1j, {}, "Complex data not supported: y has dtype complex128.* real and imaginary"),
    (X, np.ones((40, 1, 1)), {}, r"y should be a 1d array, got .* \(40, 1, 1\)"),
    (X, Y[:39], {}, r"inconsistent numbers of samples: \[40, 39\]"),
    (CHUNKED, Y[:39], {}, "X has 40 rows and y has 39"),
    (UNKNOWN, Y[:39], {}, "X has 40 rows and y has 39"),
    (UNKNOWN, dask_rows(Y[:39], 4), {}, "X has 40 rows and y has 39"),
    (UNKNOWN, OTHER_CHUNKS, {}, "X has 40 rows and y has 41"),
    (X, Y, WEIGHT, r"sample_weight.shape == \(39,\), expected \(40,\)"),
    (CHUNKED, dask_rows(Y, 4), WEIGHT, "X has 40 rows and sample_weight has 39"),
    (UNKNOWN, Y, WEIGHT, "X has 40 rows and sample_weight has 39"),
    (X, Y, {"sample_weight": "balanced"}, "sample_weight must hold numbers, but .*'balanced'"),
    (CHUNKED, Y, {"sample_weight": ["a"] * 40}, "sample_weight must hold numbers, but .*'a'"),
    (X, Y, {"sample_weight": np.ones((40, 1))}, r"got 2D array of shape \(40, 1\).*\[:, 0\]"),
    (CHUNKED, Y, {"sample_weight": dask_rows(np.ones((40, 1)), 4)}, r"got 2D .*\[:, 0\]"),
]
MODELS = [LinearRegression, LogisticRegression, SGDRegressor, MLPRegressor]
MODELS = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


@MODELS
@pytest.mark.parametrize("case", range(len(CASES)))
def test_fits_tell_what_is_wrong(case, model):
    rows, y, options, said = CASES[case]
    rows, y = (given() if isinstance(given, partial) else given for given in (rows, y))
    with pytest.raises(ValueError, match=said):
        model().fit(rows, y, **options)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@MODELS
def test_predictions_tell_what_is_wrong(model):
    options = {"max_iter": 2} if model is MLPRegressor else {}
    fitted = model(**options).fit(X, Y)
    spoiled = X.copy()
    spoiled[7, 1] = np.nan
    for rows, said in (
        *((rows, said) for rows, y, _, said in CASES[:8]),
        (X[0], "Expected 2D array, got 1D array instead for X"),
        (np.ones((3, 3)), "X has 3 features, but .* expecting 2"),
        (da.ones((3, 3)), "X has 3 features, but .* expecting 2"),
        (spoiled, "X contains NaN"),
    ):
        with pytest.raises(ValueError, match=said):
            fitted.predict(rows)


@pytest.mark.parametrize("layout", [np.asarray, lambda a: dask_rows(a, 4)], ids=["local", "dask"])
def test_regressions_of_one_output_name_a_column_to_pass(layout):
    y = np.array(["1", "two"])[Y.astype(int)]
    with pytest.raises(ValueError, match="y must hold numbers, but has dtype <U3.*astype"):
        Ridge().fit(layout(X), layout(y))
    with pytest.raises(ValueError, match=r"got an array of shape \(40, 2\).* such as y\[:, 0\]"):
        SGDRegressor().fit(layout(X), layout(X))


def test_a_sparse_matrix_of_keys_is_no_dict():
    mine, dense = Ridge().fit(sparse.dok_array(X), Y), Ridge().fit(X, Y)
    np.testing.assert_allclose(mine.coef_, dense.coef_, rtol=1e-12)
    np.testing.assert_allclose(mine.predict(sparse.dok_array(X)), dense.predict(X), rtol=1e-12)


def test_weights_and_y_keep_their_precision_beside_single_precision_rows():
    rng = np.random.default_rng(1)
    narrow, w = X.astype(np.float32), 1.0 + 1e-9 * rng.integers(0, 9, size=40)
    y = 1e8 + rng.normal(size=40)
    wide = Ridge(alpha=0.1).fit(narrow.astype(float), y, sample_weight=w)
    mine = Ridge(alpha=0.1).fit(narrow, y, sample_weight=w)
    np.testing.assert_allclose(mine.coef_, wide.coef_, rtol=1e-6)
    np.testing.assert_allclose(mine.intercept_, wide.intercept_, rtol=1e-12)
