"""Inference against statsmodels, certified values and mpmath."""

import itertools
import warnings

import dask
import dask.array as da
import numpy as np
import pytest
from scipy import sparse
from tables import csr_rows, dask_rows, regression

from daskdsml.inference import infer
from daskdsml.linear_model import LinearRegression

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of others' imports
    api = pytest.importorskip("statsmodels.api")

COV_TYPES = ["nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster"]
LAYOUTS = [(None, False), (1, False), (7, False), (50, False), (None, True), (7, True)]
every_cov = pytest.mark.parametrize("cov_type", COV_TYPES)


def laid_out(array, n_blocks, csr):
    """X in memory (``n_blocks`` None) or as a Dask Array, dense or CSR."""
    if n_blocks is None:
        return sparse.csr_matrix(array) if csr else array
    return csr_rows(array, n_blocks) if csr else dask_rows(array, n_blocks)


def labels(n, seed=3):
    return np.random.default_rng(seed).integers(0, 23, size=n)


def inferred(X, y, w, intercept, cov_type, groups=None, level=0.95):
    model = LinearRegression(fit_intercept=intercept).fit(X, y, w)
    groups = groups if cov_type == "cluster" else None
    return infer(model, X, y, w, cov_type=cov_type, groups=groups, level=level)


def reference(X, y, w, intercept, cov_type, groups=None):
    """statsmodels' fit by QR of the same problem."""
    A = np.column_stack([np.ones(len(X)), X]) if intercept else X
    model = api.WLS(y, A, weights=np.ones(len(y)) if w is None else w, hasconst=intercept)
    options = {"cov_kwds": {"groups": groups}} if cov_type == "cluster" else {}
    return model.fit(method="qr", cov_type=cov_type, use_t=True, **options)


def assert_same(mine, their, level=0.95, rtol=1e-9):
    """Every number within ``rtol`` of statsmodels'; covariances relative to standard errors."""
    pairs = {
        "coef": their.params, "std_error": their.bse, "statistic": their.tvalues,
        "conf_int": their.conf_int(1.0 - level), "r_squared": their.rsquared,
        "adj_r_squared": their.rsquared_adj, "f_statistic": their.fvalue,
        "residual_std_error": np.sqrt(their.scale), "log_likelihood": their.llf,
        "aic": their.aic, "bic": their.bic, "df_resid": their.df_resid, "nobs": their.nobs,
        "df_model": their.df_model,
    }  # fmt: skip
    for name, value in pairs.items():
        np.testing.assert_allclose(getattr(mine, name), value, rtol=rtol, err_msg=name)
    # A p-value far in the tail magnifies its statistic's error by about the statistic squared.
    far = 1.0 + mine.statistic**2
    assert (abs(mine.p_value - their.pvalues) <= rtol * far * their.pvalues).all()
    np.testing.assert_allclose(mine.f_p_value, their.f_pvalue, rtol=1e-7, atol=1e-300)
    size = np.outer(their.bse, their.bse)
    np.testing.assert_allclose(mine.covariance / size, their.cov_params() / size, atol=rtol)


@every_cov
@pytest.mark.parametrize("intercept, weighted", list(itertools.product([True, False], repeat=2)))
@pytest.mark.parametrize("n_blocks, csr", LAYOUTS)
def test_statsmodels_agrees(cov_type, intercept, weighted, n_blocks, csr, regression_data):
    X, y, w = regression_data
    w = w if weighted else None
    groups = labels(len(y))
    their = reference(X, y, w, intercept, cov_type, groups)
    mine = inferred(laid_out(X, n_blocks, csr), y, w, intercept, cov_type, groups)
    assert_same(mine, their)


@every_cov
@pytest.mark.parametrize("n_blocks", [None, 7])
@pytest.mark.parametrize("change", ["scale", "shift"])
def test_units_and_origins_cost_no_digits(cov_type, n_blocks, change):
    X, y, w = regression(300, 5, seed=5)
    X = X * np.logspace(-4, 4, 5) if change == "scale" else X + 1e6
    groups = labels(len(y))
    mine = inferred(laid_out(X, n_blocks, False), y, w, True, cov_type, groups)
    # Rows that are 1e6 off zero have scores that are rounded by 1e6 units in the last place.
    rtol = 1e-9 if change == "scale" else 20 * 1e6 * np.finfo(float).eps
    np.testing.assert_allclose(mine.std_error, sandwich(X, y, w, cov_type, groups), rtol=rtol)


@every_cov
def test_collinear_columns_cost_no_digits(cov_type):
    # Condition of X'X 1e11: moments alone would leave five digits.
    X, y, w = regression(600, 4, seed=6)
    X = np.column_stack([X, X[:, 0] + 1e-5 * X[:, 1] ** 2])
    groups = labels(len(y))
    exact = sandwich(X, y, w, cov_type, groups)
    mine = inferred(dask_rows(X, 7), y, w, True, cov_type, groups)
    np.testing.assert_allclose(mine.std_error, exact, rtol=1e-9)
    assert mine.n_passes == {"nonrobust": 2}.get(cov_type, 3)


def sandwich(X, y, w, cov_type, groups):
    """Standard errors in 40 digits."""
    from mpmath import mp, mpf, sqrt

    with mp.workdps(40):
        A = mp.matrix(np.column_stack([np.ones(len(X)), X]).tolist())
        n, k = A.rows, A.cols
        WA = mp.matrix(n, k)
        for i in range(n):
            WA[i, :] = A[i, :] * mpf(float(w[i]))
        inverse = mp.inverse(WA.T * A)
        r = mp.matrix(y.tolist()) - A * (inverse * (WA.T * mp.matrix(y.tolist())))
        if cov_type == "nonrobust":
            s2 = sum(mpf(float(w[i])) * r[i] ** 2 for i in range(n)) / (n - k)
            return np.array([float(sqrt(s2 * inverse[j, j])) for j in range(k)])
        power = {"HC2": 1, "HC3": 2}.get(cov_type, 0)
        rows = WA * inverse  # row i is w_i a_i'(A'WA)^-1
        sums = {}
        for i in range(n):
            h = (rows[i, :] * A[i, :].T)[0]
            label = groups[i] if cov_type == "cluster" else i
            part = rows[i, :] * (r[i] / (1 - h) ** (mpf(power) / 2))
            sums[label] = sums[label] + part if label in sums else part
        G = len(sums)
        factor = {"HC1": mpf(n) / (n - k), "cluster": mpf(G) / (G - 1) * (n - 1) / (n - k)}
        factor = factor.get(cov_type, 1)
        return np.array(
            [float(sqrt(factor * sum(s[j] ** 2 for s in sums.values()))) for j in range(k)]
        )


def test_longley_as_certified():
    data = api.datasets.longley.load_pandas()
    X, y = data.exog, data.endog
    mine = infer(LinearRegression().fit(X, y), X, y)
    # National Institute of Standards and Technology, Statistical Reference Datasets, Longley.
    certified = [
        890420.383607373, 84.9149257747669, 0.334910077722432e-01, 0.488399681651699,
        0.214274163161675, 0.226073200069370, 455.478499142212,
    ]  # fmt: skip
    np.testing.assert_allclose(mine.std_error, certified, rtol=2e-14)
    assert mine.residual_std_error == pytest.approx(304.854073561965, rel=1e-14)
    assert mine.r_squared == pytest.approx(0.995479004577296, rel=1e-14)
    assert mine.f_statistic == pytest.approx(330.285339234588, rel=1e-13)
    assert mine.names[:2] == ["(Intercept)", "GNPDEFL"]
    assert "above 30" in mine.notes[-1]


@pytest.mark.parametrize("n_blocks", [None, 3])
def test_wampler(n_blocks):
    # y = 1 + x + ... + x^5 exactly; and with errors that leave a multiple of the same inverse.
    x = np.arange(21.0)
    X = np.column_stack([x**k for k in range(1, 6)])
    y = 1.0 + X.sum(axis=1)
    A = laid_out(X, n_blocks, False)
    exact = infer(LinearRegression().fit(A, y), A, y)
    assert exact.residual_std_error == 0.0
    assert (exact.std_error == 0.0).all()
    assert exact.r_squared == 1.0
    assert np.isinf(exact.f_statistic)
    assert (exact.p_value == 0.0).all()
    assert "exact" in " ".join(exact.notes)
    assert "nan" not in str(exact)
    half = [759, -2048, 2048, -2048, 2523, -2048, 2048, -2048, 1838, -2048]
    error = np.array([*half, 2048, *half[::-1]], dtype=float)
    w = np.ones(21)
    mine = infer(LinearRegression().fit(A, y + error), A, y + error)
    np.testing.assert_allclose(
        mine.std_error, sandwich(X, y + error, w, "nonrobust", None), rtol=1e-10
    )


@pytest.mark.parametrize("cov_type", ["HC3", "cluster"])
def test_wald_test(cov_type, regression_data):
    X, y, w = regression_data
    groups = labels(len(y))
    their = reference(X, y, w, True, cov_type, groups)
    mine = inferred(dask_rows(X, 7), y, w, True, cov_type, groups)
    R = np.zeros((2, 7))
    R[0, 1], R[0, 2], R[1, 5] = 1.0, -1.0, 2.0
    r = [0.5, -0.1]
    theirs = their.wald_test((R, r), use_f=True, scalar=True)
    ours = mine.wald_test(R, r)
    assert ours.statistic == pytest.approx(theirs.statistic, rel=1e-9)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-7)
    assert (ours.df_num, ours.df_denom) == (2, theirs.df_denom)
    single = mine.wald_test(np.eye(7)[3])
    assert single.statistic == pytest.approx(mine.statistic[3] ** 2, rel=1e-12)
    assert single.p_value == pytest.approx(mine.p_value[3], rel=1e-9)


def test_few_clusters_as_statsmodels(regression_data):
    X, y, _ = regression_data
    groups = labels(len(y)) % 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # statsmodels' own, of the rank
        their = reference(X, y, None, True, "cluster", groups)
        fvalue = their.fvalue
    mine = inferred(X, y, None, True, "cluster", groups)
    np.testing.assert_allclose(mine.std_error, their.bse, rtol=1e-9)
    assert "rank 3 for 6 slopes" in mine.notes[-1]
    assert mine.f_statistic > 0.0 and fvalue > 0.0


@every_cov
def test_rows_of_weight_zero_are_absent(cov_type, regression_data):
    X, y, w = regression_data
    w = np.where(np.arange(len(y)) % 5 == 0, 0.0, w)
    groups = np.where(w == 0.0, 999, labels(len(y)))
    used = w > 0.0
    their = reference(X[used], y[used], w[used], True, cov_type, groups[used])
    assert_same(inferred(dask_rows(X, 7), y, w, True, cov_type, groups), their)


def test_the_scale_of_weights_does_not_matter(regression_data):
    X, y, w = regression_data
    one = inferred(X, y, w, True, "HC2")
    ten = inferred(X, y, 10.0 * w, True, "HC2")
    np.testing.assert_allclose(one.std_error, ten.std_error, rtol=1e-12)
    assert one.condition_number == pytest.approx(ten.condition_number, rel=1e-12)


@pytest.mark.parametrize("intercept", [True, False])
def test_condition_number(intercept, regression_data):
    X, y, w = regression_data
    A = np.column_stack([np.ones(len(X)), X + 3.0]) if intercept else X + 3.0
    A = A * np.sqrt(w)[:, None]
    exact = np.linalg.cond(A / np.linalg.norm(A, axis=0))
    mine = inferred(dask_rows(X + 3.0, 7), y, w, intercept, "nonrobust")
    assert mine.condition_number == pytest.approx(exact, rel=1e-10)


@every_cov
def test_any_chunking_gives_the_same_numbers(cov_type, regression_data):
    X, y, w = regression_data
    groups = labels(len(y))
    model = LinearRegression().fit(X, y, w)
    options = {"groups": groups} if cov_type == "cluster" else {}
    cases = [X, *(dask_rows(X, k) for k in (1, 7, 50)), dask_rows(X, 7).rechunk((60, 2))]
    with dask.config.set(scheduler="synchronous"):
        found = [infer(model, A, y, w, cov_type=cov_type, **options) for A in cases]
    for other in found[1:]:
        np.testing.assert_allclose(other.std_error, found[0].std_error, rtol=1e-10)
        np.testing.assert_allclose(other.covariance, found[0].covariance, rtol=1e-7)
        assert other.aic == pytest.approx(found[0].aic, rel=1e-10)


def test_float32_is_summed_in_float64(regression_data):
    X, y, w = regression_data
    X = X.astype(np.float32)
    mine = inferred(dask_rows(X, 7), y, w, True, "HC3")
    assert_same(mine, reference(X.astype(float), y, w, True, "HC3"), rtol=1e-8)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.999])
def test_level(level, regression_data):
    X, y, w = regression_data
    mine = inferred(da.from_array(X), y, w, True, "HC1", level=level)
    assert_same(mine, reference(X, y, w, True, "HC1"), level)
