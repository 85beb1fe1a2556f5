"""Inference: reads of the data, layouts, labels of clusters, tables, and what it refuses."""

import pickle
import warnings

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from scipy import sparse
from scipy.linalg import LinAlgWarning
from sklearn import linear_model as sk
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from tables import Source, csr_rows, dask_rows, regression

from daskdsml.feature_selection import ForwardStepwiseSelector
from daskdsml.inference import InferenceResult, infer
from daskdsml.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from daskdsml.linear_model._base import LinearRegressor
from daskdsml.passes.cluster_sums import ALL
from daskdsml.passes.fit_sums import FitRequest, fit_sums

X, Y, W = regression(400, 4)
MODEL = LinearRegression().fit(X, Y)
G = np.random.default_rng(1).integers(0, 30, size=400)
# Four labels whose shares depend on X, and two.
QUARTERS = np.array(["a", "b", "c", "d"])[
    np.digitize(Y + np.random.default_rng(2).logistic(scale=2.0, size=400), [-1.0, 1.0, 3.0])
]
CLASSES = np.isin(QUARTERS, ["c", "d"]).astype(int)
LOGIT = LogisticRegression(C=np.inf, tol=1e-10).fit(X, CLASSES)
OF_LIKELIHOOD = ["nonrobust", "HC0", "HC1", "cluster"]
COV_TYPES = ["nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster"]
every_likely_cov = pytest.mark.parametrize("cov_type", OF_LIKELIHOOD)
every_cov = pytest.mark.parametrize("cov_type", COV_TYPES)


class Stranger(LinearRegressor):
    """A model of this package that inference does not know."""


def options(cov_type, groups=G):
    return {"cov_type": cov_type, "groups": groups if cov_type == "cluster" else None}


def assert_same(mine, other, rtol=1e-10):
    for name in ("coef", "std_error", "p_value", "conf_int", "f_statistic", "aic", "bic"):
        np.testing.assert_allclose(getattr(mine, name), getattr(other, name), rtol=rtol)


# What it reads


@pytest.mark.parametrize(
    "cov_type, reads", list(zip(COV_TYPES, [1, 1, 1, 2, 2, 1], strict=True)), ids=COV_TYPES
)
def test_reads_of_x(cov_type, reads, tmp_path):
    source = Source(tmp_path, 6, 50, 4)
    A, y = source.table()
    model = LinearRegression(cache="none").fit(A, y.compute())
    before = source.reads()
    result = infer(model, A, y, **options(cov_type, np.arange(300) % 7))
    assert source.reads() - before == reads == result.n_passes
    model.set_params(cache="memory")
    before = source.reads()
    infer(model, A, y, **options(cov_type, np.arange(300) % 7))
    assert source.reads() - before == 1


def test_small_tables_are_read_again():
    assert infer(MODEL, X, Y).n_passes == 2
    assert infer(MODEL, X, Y, cov_type="HC1").n_passes == 2
    assert infer(MODEL, X, Y, cov_type="HC3").n_passes == 3


@every_cov
def test_layouts(cov_type):
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = LinearRegression().fit(frame, Y)
    expected = infer(MODEL, X, Y, **options(cov_type))
    unknown = dask_rows(X, 7)[np.ones(400, dtype=bool)]
    cases = [
        (frame, pd.Series(Y), G),
        (dd.from_pandas(frame, npartitions=5), dd.from_pandas(pd.Series(Y), npartitions=5), G),
        (dask_rows(X, 9), dask_rows(Y, 4), dask_rows(G, 3)),
        (csr_rows(X, 7), Y, G),
        (sparse.csr_matrix(X), Y[:, None], dd.from_pandas(pd.Series(G), npartitions=3)),
        (unknown, dask_rows(Y, 7), dask_rows(G, 7)),
        (X, dask_rows(Y, 7), dask_rows(G, 7)),
    ]
    for A, y, groups in cases:
        named = model if hasattr(A, "columns") else MODEL
        found = infer(named, A, y, **options(cov_type, groups))
        assert_same(found, expected)
        assert found.names == ["(Intercept)", *("abcd" if named is model else _numbered(4))]


def _numbered(p):
    return [f"x{j}" for j in range(p)]


@pytest.mark.parametrize("cov_type", ["HC3", "cluster"])
def test_on_a_cluster(cov_type, client):
    labels = np.array([f"firm {k}" for k in G], dtype=object)
    found = infer(MODEL, dask_rows(X, 9), Y, W * 0 + 1.0, **options(cov_type, labels))
    assert_same(found, infer(MODEL, X, Y, **options(cov_type, G)))


def test_threads_give_the_same_bits():
    A = dask_rows(X, 50)
    results = []
    for n_jobs, scheduler in [(1, "threads"), (4, "threads"), (None, "synchronous")]:
        model = LinearRegression(n_jobs=n_jobs).fit(A, Y)
        with dask.config.set(scheduler=scheduler):
            results.append(infer(model, A, Y, cov_type="cluster", groups=G).std_error)
    assert all((other == results[0]).all() for other in results)


def test_empty_blocks():
    A = da.concatenate([dask_rows(X[:0], 1), dask_rows(X, 3), dask_rows(X[:0], 1)])
    y = da.concatenate([dask_rows(Y[:0], 1), dask_rows(Y, 3), dask_rows(Y[:0], 1)])
    for cov_type in COV_TYPES:
        assert_same(
            infer(MODEL, A, y, **options(cov_type)), infer(MODEL, X, Y, **options(cov_type))
        )


def test_no_columns_that_vary():
    A = np.ones((400, 2))
    with pytest.warns(LinAlgWarning):
        model = LinearRegression().fit(A, Y)
    result = infer(model, A, Y, cov_type="HC1")
    assert result.std_error[0] == pytest.approx(Y.std(ddof=1) / 20.0, rel=1e-10)
    assert np.isnan(result.std_error[1:]).all()
    assert np.isnan(result.f_statistic)
    assert "x0, x1" in result.notes[0]


# Clusters


LABELS = {
    "strings": lambda g: [f"firm {k}" for k in g],
    "fixed-width": lambda g: np.array([f"firm {k}" for k in g]),
    "objects": lambda g: np.array([f"firm {k}" for k in g], dtype=object),
    "tuples": lambda g: [(f"firm {k // 5}", int(k % 5)) for k in g],
    "mixed": lambda g: [k if k % 2 else str(k - 1) for k in g.tolist()],
    "dates": lambda g: np.datetime64("2020-01-01") + g,
    "floats": lambda g: g / 7.0,
    "categories": lambda g: pd.Series(g).astype(str).astype("category"),
    "pandas strings": lambda g: pd.Series(g).astype(str).astype("string"),
    "nullable": lambda g: pd.Series(g).astype("Int64"),
    "bytes": lambda g: np.array([f"{k}".encode() for k in g]),
}


@pytest.mark.parametrize("n_blocks", [None, 7])
@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_kind(kind, n_blocks):
    A = X if n_blocks is None else dask_rows(X, n_blocks)
    labels = LABELS[kind](G)
    found = infer(MODEL, A, Y, cov_type="cluster", groups=labels)
    # 1 and "1" are not the same label, which NumPy would have made of them.
    assert found.n_clusters == len(set(G)) == 30
    assert_same(found, infer(MODEL, X, Y, cov_type="cluster", groups=G))


def test_labels_of_a_dask_frame():
    labels = dd.from_pandas(pd.Series(G).astype(str).astype("category"), npartitions=5)
    A = dd.from_pandas(pd.DataFrame(X), npartitions=5)
    model = LinearRegression().fit(X, Y)
    y = dd.from_pandas(pd.Series(Y), npartitions=5)
    found = infer(model, A, y, cov_type="cluster", groups=labels)
    assert_same(found, infer(MODEL, X, Y, cov_type="cluster", groups=G))


def test_labels_are_told_apart_by_type():
    groups = [1, "1"] * 200
    found = infer(MODEL, X, Y, cov_type="cluster", groups=groups)
    assert found.n_clusters == 2
    assert found.df_inference == 1


def test_memory_grows_with_clusters_not_rows():
    from daskdsml.backends.numpy import NumPy
    from daskdsml.contracts import Block

    at = FitRequest(NumPy(), MODEL.coef_, MODEL.intercept_)
    halves = [
        fit_sums(at, Block(X[rows], Y[rows], None, G[rows]))
        for rows in (slice(250), slice(250, 400))
    ]
    total = (halves[0] + halves[1]).scores
    assert total.sums.shape == (30, 5)
    assert len(total.labels) == 30
    alone = fit_sums(at, Block(X, Y)).scores
    assert alone.sums.shape == (1, 5)
    assert alone.labels is ALL
    np.testing.assert_allclose(alone.sums, 0.0, atol=1e-9)


# Tables


def test_the_summary():
    frame = pd.DataFrame(
        X, columns=["wage", "<b>age</b>", "a name that is longer than thirty letters", "z"]
    )
    frame["fixed"] = 7.0
    with pytest.warns(LinAlgWarning):
        model = LinearRegression().fit(frame, Y)
    result = infer(model, frame, Y, W * 0 + 2.0, cov_type="HC3", level=0.9)
    text = result.summary()
    assert isinstance(text, str)
    assert str(result) == text == repr(text)
    lines = text.splitlines()
    assert lines[3].startswith("(Intercept)")
    for part in ("[0.05", "0.95]", "***", "Signif. codes", "Residual standard error", "R²", "AIC",
                 "BIC", "F statistic", "Log-likelihood", "Condition number", "HC3", "400 rows",
                 "constant columns", "fixed", "a name that is longer than ..."):  # fmt: skip
        assert part in text
    assert max(map(len, lines)) <= 100
    assert pickle.loads(pickle.dumps(text)) == text
    html = text._repr_html_()
    assert html == result._repr_html_()
    assert "&lt;b&gt;age" in html
    assert "<b>age" not in html
    assert "400 rows" in repr(result)
    table = result.to_frame()
    assert list(table.index) == result.names
    assert list(table) == ["coef", "std_error", "statistic", "p_value", "lower", "upper"]
    np.testing.assert_array_equal(table["std_error"], result.std_error)


def test_tails_are_not_one_minus_one():
    result = infer(MODEL, X, Y)
    assert 0.0 < result.p_value[1] < 1e-100
    exact = 2.0 * scipy.stats.t.sf(abs(result.statistic), 395)
    np.testing.assert_array_equal(result.p_value, exact)


def test_a_result_is_frozen():
    result = infer(MODEL, X, Y)
    assert isinstance(result, InferenceResult)
    with pytest.raises(AttributeError):
        result.coef = None


# Pipelines and penalties


def test_a_pipeline():
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False),
                          LinearRegression()).fit(X, Y)  # fmt: skip
    A = model[:-1].transform(X)
    result = infer(model, X, Y, cov_type="HC2")
    assert_same(result, infer(LinearRegression().fit(A, Y), A, Y, cov_type="HC2"))
    assert result.names[1:6] == ["x0", "x1", "x2", "x3", "x0^2"]
    assert_same(infer(make_pipeline(MODEL), X, Y), infer(MODEL, X, Y))


def test_selection_on_the_same_data():
    model = make_pipeline(SelectKBest(f_regression, k=2), LinearRegression()).fit(X, Y)
    with pytest.raises(ValueError, match="'selectkbest' .* selects columns by the same data"):
        infer(model, X, Y)
    result = infer(model, X, Y, allow_penalized=True)
    assert len(result.coef) == 3
    assert "selects columns" in str(result)


@pytest.mark.parametrize(
    "model, words",
    [(Ridge(1.25), r"alpha=1\.25\)"), (LinearRegression(positive=True), "positive=True")],
)
def test_penalised_models(model, words):
    model.fit(X, Y)
    with pytest.raises(ValueError, match=f"{words}.*allow_penalized=True"):
        infer(model, X, Y)
    result = infer(model, X, Y, allow_penalized=True)
    assert "covariance of least squares does not hold" in " ".join(str(result).split())
    np.testing.assert_array_equal(result.coef[1:], model.coef_)


def test_ridge_without_a_penalty_is_least_squares():
    assert_same(infer(Ridge(0.0).fit(X, Y), X, Y), infer(MODEL, X, Y))


# What it refuses


def refused(match, *data, error=ValueError, model=MODEL, **how):
    with pytest.raises(error, match=match):
        infer(model, *(data or (X, Y)), **how)


def test_models_it_does_not_know():
    other = sk.LinearRegression().fit(X, Y)
    refused("got sklearn.*Fit its counterpart of daskdsml", model=other, error=TypeError)
    refused("not fitted yet", model=LinearRegression())
    refused("got builtins.str", model="ols", error=TypeError)
    refused("got LeastSquaresResult", model=infer(MODEL, X, Y), error=TypeError)
    search = GridSearchCV(LinearRegression(), {"fit_intercept": [True]}).fit(X, Y)
    refused("best_estimator_", model=search, error=TypeError)
    selector = ForwardStepwiseSelector().fit(X, Y)
    refused("got the selector ForwardStepwiseSelector", model=selector, error=TypeError)
    logit = sk.LogisticRegression().fit(X, CLASSES)
    refused("Fit its counterpart of daskdsml.linear_model", model=logit, error=TypeError)
    refused(
        "got Stranger, whose standard errors are not offered", model=Stranger(), error=TypeError
    )
    both = LinearRegression().fit(X, np.column_stack([Y, Y]))
    refused(r"one output.*one column of y at a time", model=both)


def test_options():
    refused("Unknown cov_type 'HC9'.*'HC3'", cov_type="HC9")
    refused("Unknown cov_type None", cov_type=None)
    refused("needs groups", cov_type="cluster")
    refused("only has a use with cov_type='cluster'", groups=G)
    for level in (0.0, 1.0, 95, -1, "high", None, True, np.nan):
        refused("level must be a number between 0 and 1", level=level)


@pytest.mark.parametrize("layout", [np.array, lambda a: dask_rows(a, 7)], ids=["NumPy", "Dask"])
def test_groups_that_cannot_be_used(layout):
    A = layout(X)
    refused("one label per row: X has 400 rows and groups 399", A, Y, **options("cluster", G[1:]))
    refused("two clusters or more.*'a'", A, Y, **options("cluster", ["a"] * 400))
    missing = G.astype(float)
    missing[250] = np.nan
    for labels in (missing, pd.Series(missing).astype("Int64"), [*G[:250], None, *G[251:]]):
        refused("label of row 250 is missing", A, Y, **options("cluster", labels))
    unhashable = [[k] for k in G.tolist()]
    refused("can be hashed", A, Y, error=TypeError, **options("cluster", unhashable))
    for labels in (np.column_stack([G, G]), 3, "firm", {1: 2}, pd.DataFrame({"g": G})):
        refused("groups must be 1D", A, Y, **options("cluster", labels))


def test_data_that_cannot_be_used():
    refused("y is None", X, None)
    refused("X has 3 columns.*was fitted to 4", X[:, :3], Y)
    refused("y has 2 columns", X, np.column_stack([Y, Y]))
    refused("inconsistent numbers of samples", X, Y[1:])
    spoiled = X.copy()
    spoiled[7, 2] = np.nan
    refused("NaN at row 7, column 2", dask_rows(spoiled, 7), Y)
    refused("weight -1.0", X, Y, np.where(np.arange(400) == 3, -1.0, 1.0))
    refused("all weights are zero", X, Y, np.zeros(400))
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = LinearRegression().fit(frame, Y)
    refused("Column 0 of X is 'b'.*'a'", frame[list("bacd")], Y, model=model)


def test_no_degrees_of_freedom():
    model = LinearRegression().fit(X[:5], Y[:5])
    for cov_type in COV_TYPES:
        refused("5 rows of non-zero weight for 5 parameters", X[:5], Y[:5], model=model,
                **options(cov_type, np.arange(5)))  # fmt: skip
    w = np.where(np.arange(400) < 4, 1.0, 0.0)
    refused("4 rows of non-zero weight", X, Y, w)


@pytest.mark.parametrize("layout", [np.array, lambda a: dask_rows(a, 7)], ids=["NumPy", "Dask"])
@pytest.mark.parametrize("cov_type", ["nonrobust", "HC3", "cluster"])
def test_dependent_columns_are_named(cov_type, layout):
    A = layout(np.column_stack([X, X[:, 0] - 2.0 * X[:, 3] + 4.0]))
    with pytest.warns(LinAlgWarning):
        model = LinearRegression().fit(A, Y)
    refused(r"1 linear relation\(s\) among the columns x0, x3, x4\. Drop", A, Y,
            model=model, error=np.linalg.LinAlgError, **options(cov_type))  # fmt: skip
    A = layout(np.column_stack([X, X[:, 1]]))
    with pytest.warns(LinAlgWarning):
        model = LinearRegression().fit(A, Y)
    refused("among the columns x1, x4. Drop", A, Y, model=model, **options(cov_type))


@pytest.mark.parametrize("n_blocks, csr", [(None, False), (None, True), (7, False), (7, True)])
@pytest.mark.parametrize("value", [5.0, 0.1, 1e8])
def test_constant_columns_are_kept(n_blocks, csr, value):
    A = np.column_stack([X, np.full(400, value)])
    if n_blocks is None:
        A = sparse.csr_matrix(A) if csr else A
    else:
        A = csr_rows(A, n_blocks) if csr else dask_rows(A, n_blocks)
    with pytest.warns(LinAlgWarning):
        model = LinearRegression().fit(A, Y)
    for cov_type in COV_TYPES:
        result = infer(model, A, Y, **options(cov_type))
        expected = infer(MODEL, X, Y, **options(cov_type))
        np.testing.assert_allclose(result.std_error[:5], expected.std_error, rtol=1e-7)
        assert result.f_statistic == pytest.approx(expected.f_statistic, rel=1e-7)
        assert result.df_resid == expected.df_resid
        assert result.coef[5] == 0.0
        assert np.isnan(result.std_error[5])
        assert "x4" in result.notes[0]


def test_other_data_than_the_model_was_fitted_to():
    for other in (X[:300], X + 0.01, 1.01 * X):
        refused("not the least squares fit to these data", other, Y[: len(other)])
        refused("not the least squares fit", dask_rows(other, 7), Y[: len(other)])
    refused("not the least squares fit to these data", X, Y, W)
    refused("not the least squares fit to these data", X, -Y)
    refused("not the least squares fit to these data", X, Y[::-1])


@every_cov
def test_an_iterative_fit_is_near_enough(cov_type):
    model = LinearRegression(solver="lbfgs").fit(X, Y)
    expected = infer(MODEL, X, Y, **options(cov_type))
    assert_same(infer(model, X, Y, **options(cov_type)), expected, rtol=1e-3)


@every_cov
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_an_exact_fit(cov_type, offset):
    y = X @ [1.0, 2.0, -1.0, 0.5] + offset
    for A in (X, dask_rows(X, 7), 1e3 + X):
        model = LinearRegression().fit(A, y)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = infer(model, A, y, **options(cov_type))
        assert result.r_squared == pytest.approx(1.0)
        assert "nan" not in str(result)


def test_a_constant_y():
    for value in (0.0, 3.0):
        y = np.full(400, value)
        result = infer(LinearRegression().fit(X, y), X, y)
        assert result.residual_std_error < 1e-12
        assert isinstance(str(result), str)


def test_a_row_of_leverage_one():
    A = np.column_stack([X, np.arange(400) == 123])
    model = LinearRegression().fit(A, Y)
    for layout in (A, dask_rows(A, 7)):
        refused("row 123 has leverage 1.*HC1", layout, Y, model=model, cov_type="HC3")
        assert np.isfinite(infer(model, layout, Y, cov_type="HC1").std_error).all()


def test_wald_tests_that_make_no_sense():
    result = infer(MODEL, X, Y)
    for R, r, match in [
        (np.eye(4), None, "one column for each of the 5 parameters"),
        (np.full(5, np.nan), None, "finite"),
        (np.eye(5), [1.0, 2.0], "r must have 5 entries"),
        (np.ones((2, 5)), None, "depend on each other"),
        (np.zeros(5), None, "is empty"),
    ]:
        with pytest.raises(ValueError, match=match):
            result.wald_test(R, r)
    A = np.column_stack([X, np.ones(400)])
    with pytest.warns(LinAlgWarning):
        model = LinearRegression().fit(A, Y)
    with pytest.raises(ValueError, match="constant column 'x4'"):
        infer(model, A, Y).wald_test(np.eye(6)[5])


def test_lasso_is_refused_for_its_selection_too():
    with pytest.raises(ValueError, match="L1 penalty of Lasso selects columns by the same data"):
        infer(Lasso(0.1).fit(X, Y), X, Y)


def test_wald_test_by_names():
    result = infer(MODEL, X, Y)
    R = np.eye(len(result.names))
    assert result.wald_test(["x0", "x2"]) == result.wald_test(R[[1, 3]])
    assert result.wald_test("x1") == result.wald_test(R[2])
    with pytest.raises(ValueError, match=r"Unknown parameters \['age'\]: expected some of"):
        result.wald_test(["x0", "age"])


# Likelihoods


def logit(**how):
    return LogisticRegression(C=np.inf, **how)


def assert_same_likelihood(mine, other, rtol=1e-7):
    for name in ("coef", "std_error", "p_value", "conf_int", "lr_statistic", "aic", "bic"):
        np.testing.assert_allclose(getattr(mine, name), getattr(other, name), rtol=rtol)


@every_likely_cov
def test_a_likelihood_reads_once(cov_type, tmp_path):
    source = Source(tmp_path, 6, 50, 4)
    A, y = source.table()
    model = logit(cache="none").fit(A, y.compute())
    before = source.reads()
    result = infer(model, A, y, **options(cov_type, np.arange(300) % 7))
    assert source.reads() - before == 1 == result.n_passes


@every_likely_cov
def test_layouts_of_a_likelihood(cov_type):
    expected = infer(LOGIT, X, CLASSES, **options(cov_type))
    frame = pd.DataFrame(X, columns=list("abcd"))
    named = logit(tol=1e-10).fit(frame, CLASSES)
    unknown = dask_rows(X, 7)[np.ones(400, dtype=bool)]
    cases = [
        (frame, pd.Series(CLASSES), G),
        (
            dd.from_pandas(frame, npartitions=5),
            dd.from_pandas(pd.Series(CLASSES), npartitions=5),
            G,
        ),
        (dask_rows(X, 9), dask_rows(CLASSES, 4), dask_rows(G, 3)),
        (csr_rows(X, 7), CLASSES[:, None], G),
        (sparse.csr_matrix(X), CLASSES.astype(bool), dd.from_pandas(pd.Series(G), npartitions=3)),
        (unknown, dask_rows(CLASSES, 7), dask_rows(G, 7)),
        (da.concatenate([dask_rows(X[:0], 1), dask_rows(X, 3)]), CLASSES, G),
    ]
    for A, y, groups in cases:
        model = named if hasattr(A, "columns") else LOGIT
        assert_same_likelihood(infer(model, A, y, **options(cov_type, groups)), expected)


@pytest.mark.parametrize("cov_type", ["HC0", "cluster"])
def test_a_likelihood_on_a_cluster(cov_type, client):
    labels = np.array([f"firm {k}" for k in G], dtype=object)
    found = infer(LOGIT, dask_rows(X, 9), CLASSES, **options(cov_type, labels))
    assert_same_likelihood(found, infer(LOGIT, X, CLASSES, **options(cov_type, G)), rtol=1e-10)


def test_threads_give_a_likelihood_the_same_bits():
    results = []
    for n_jobs, scheduler in [(1, "threads"), (4, "threads"), (None, "synchronous")]:
        model = logit(n_jobs=n_jobs).fit(X, CLASSES)
        model.coef_, model.intercept_ = LOGIT.coef_, LOGIT.intercept_
        with dask.config.set(scheduler=scheduler):
            results.append(infer(model, dask_rows(X, 50), CLASSES, cov_type="HC1").std_error)
    assert all((other == results[0]).all() for other in results)


@pytest.mark.parametrize(
    "recode",
    [lambda y: 2 * y - 1, lambda y: y + 1.0, lambda y: y == 1, lambda y: np.where(y, "yes", "no"),
     lambda y: np.where(y, "yes", "no").astype(object)],
    ids=["-1 and 1", "1.0 and 2.0", "booleans", "strings", "objects"],
)  # fmt: skip
def test_labels_of_classes(recode):
    y = recode(CLASSES)
    result = infer(logit(tol=1e-10).fit(X, y), dask_rows(X, 7), y)
    assert_same_likelihood(result, infer(LOGIT, X, CLASSES))
    assert result.classes == tuple(np.unique(y).tolist())


def test_the_summary_of_a_likelihood():
    frame = pd.DataFrame(X, columns=["wage", "<b>age</b>", "x", "z"]).assign(fixed=7.0)
    frame["set"] = np.arange(400) < 40
    y = np.where(frame["set"], 1, CLASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of separated classes and a constant column
        model = logit().fit(frame.astype(float), y)
    result = infer(model, frame.astype(float), y, cov_type="HC1", level=0.9)
    text = result.summary()
    assert str(result) == text == repr(text)
    for part in ("z value", "Pr(>|z|)", "[0.05", "0.95]", "***", "Deviance", "null deviance",
                 "Likelihood ratio", "McFadden R²", "AIC", "BIC", "HC1", "400 rows", "fixed",
                 "without a maximum likelihood estimate: set."):  # fmt: skip
        assert part in text
    line = next(line for line in text.splitlines() if line.startswith("set "))
    assert "separated" in line
    assert "*" not in line
    assert max(map(len, text.splitlines())) <= 100
    assert "&lt;b&gt;age" in text._repr_html_()
    assert "separated" in result._repr_html_()
    assert result.separated == ("set",)
    assert list(result.to_frame()) == [
        "coef",
        "std_error",
        "statistic",
        "p_value",
        "lower",
        "upper",
    ]
    again = pickle.loads(pickle.dumps(result))
    assert str(again) == text
    assert "R²" in repr(result)
    with pytest.raises(ValueError, match="separated column 'set'"):
        result.wald_test("set")
    with pytest.raises(ValueError, match="constant column 'fixed'"):
        result.wald_test("fixed")


def test_odds_ratios():
    result = infer(LOGIT, X, CLASSES)
    frame = result.odds_ratios()
    assert list(frame) == ["ratio", "lower", "upper"]
    np.testing.assert_allclose(frame["ratio"], np.exp(result.coef))
    np.testing.assert_allclose(frame[["lower", "upper"]], np.exp(result.conf_int))
    text = result.summary(ratios=True)
    assert "Odds ratio" in text
    assert f"{frame['ratio'].iloc[1]:.2f}" in text
    assert "Odds ratio" in text._repr_html_()
    assert "Odds ratio" not in result.summary()


def test_ratios_are_drawn_on_a_logarithmic_axis():
    pytest.importorskip("matplotlib").use("agg")
    from daskdsml.plotting import EffectDisplay

    result = infer(logit(tol=1e-10).fit(X, QUARTERS), X, QUARTERS)
    shown = EffectDisplay.from_result(result, ratios=True).plot()
    slopes = [name for name in result.names if "Intercept" not in name]
    assert [tick.get_text() for tick in shown.ax_.get_yticklabels()] == slopes
    np.testing.assert_allclose(shown.points_.get_xdata(), result.odds_ratios()["ratio"][slopes])
    assert shown.ax_.get_xscale() == "log"
    assert list(shown.zero_line_.get_xdata()) == [1.0, 1.0]
    assert shown.ax_.get_xlabel().startswith("relative risk ratio, with 95 %")
    plain = EffectDisplay.from_result(result, include_intercept=True).plot()
    np.testing.assert_array_equal(plain.points_.get_xdata(), result.coef)
    with pytest.raises(ValueError, match="ratios=True needs a result of logistic"):
        EffectDisplay.from_result(infer(MODEL, X, Y), ratios=True)


def test_a_panel_for_each_class():
    model = logit(tol=1e-10).fit(X, QUARTERS)
    result = infer(model, dask_rows(X, 7), QUARTERS)
    assert result.names[:2] == ["b: (Intercept)", "b: x0"]
    assert result.panels == ("b", "c", "d")
    assert result.ratio == "relative risk ratio"
    assert (result.df_model, result.df_resid) == (12, 385)
    text = str(result)
    for part in ("\nb against a (Intercept)", "\nc against a (", "\nd against a ("):
        assert part in text
    assert "b: x0" not in text
    # Class codes are labels alone: the order of labels decides the baseline.
    turned = np.array(["d", "c", "b", "a"])[np.unique(QUARTERS, return_inverse=True)[1]]
    other = infer(logit(tol=1e-10).fit(X, turned), X, turned)
    against = result.coef.reshape(3, 5)
    expected = [against[1] - against[2], against[0] - against[2], -against[2]]
    np.testing.assert_allclose(other.coef.reshape(3, 5), expected, rtol=1e-5, atol=1e-6)
    assert other.log_likelihood == pytest.approx(result.log_likelihood, rel=1e-10)
    first = other.wald_test([name for name in other.names if name.endswith("x0")])
    same = result.wald_test([name for name in result.names if name.endswith("x0")])
    assert first.statistic == pytest.approx(same.statistic, rel=1e-5)


def test_a_pipeline_of_a_classifier():
    model = make_pipeline(StandardScaler(), logit(tol=1e-10)).fit(X, CLASSES)
    A = model[0].transform(X)
    result = infer(model, X, CLASSES)
    assert_same_likelihood(result, infer(logit(tol=1e-10).fit(A, CLASSES), A, CLASSES))


def test_penalised_classifiers():
    model = LogisticRegression(C=2.0).fit(X, CLASSES)
    refused(r"LogisticRegression is penalised \(C=2\).*maximum likelihood does not hold.*C=np\.inf",
            X, CLASSES, model=model)  # fmt: skip
    result = infer(model, X, CLASSES, allow_penalized=True)
    assert "penalised" in " ".join(result.notes)
    np.testing.assert_array_equal(result.coef[1:], model.coef_[0])


def test_class_weights_need_a_robust_covariance():
    model = logit(class_weight="balanced", tol=1e-10).fit(X, CLASSES)
    refused("weighted pseudo-likelihood.*cov_type='HC0'", X, CLASSES, model=model)
    robust = infer(model, X, CLASSES, cov_type="HC0")
    assert "pseudo-likelihood" in " ".join(robust.notes)
    allowed = infer(model, X, CLASSES, allow_penalized=True)
    assert "pseudo-likelihood" in " ".join(allowed.notes)
    assert (robust.std_error != allowed.std_error).all()


def test_what_a_likelihood_refuses():
    for cov_type in ("HC2", "HC3"):
        refused(f"Unknown cov_type '{cov_type}'.*leverages", X, CLASSES, model=LOGIT,
                cov_type=cov_type)  # fmt: skip
    refused("Unknown cov_type 'HC9'", X, CLASSES, model=LOGIT, cov_type="HC9")
    for A in (X, dask_rows(X, 7)):
        for other in (X + 0.1 * X[::-1], 1.5 * X):
            refused("not the optimum on these data", other, CLASSES, model=LOGIT)
        refused("not the optimum on these data", A, CLASSES[::-1], model=LOGIT)
        refused("not the optimum on these data", A, CLASSES, W, model=LOGIT)
        refused(r"label 7.*classes \[0, 1\]", A, np.where(np.arange(400) == 9, 7, CLASSES),
                model=LOGIT)  # fmt: skip
        refused("No row of positive weight is of the class 1", A, 0 * CLASSES, model=LOGIT)
        missing = CLASSES.astype(float)
        missing[3] = np.nan
        refused("NaN at row 3", A, missing, model=LOGIT)
    spoiled = X.copy()
    spoiled[7, 2] = np.inf
    refused("infinity at row 7, column 2", dask_rows(spoiled, 7), CLASSES, model=LOGIT)
    refused("y has 2 columns", X, np.column_stack([CLASSES, CLASSES]), model=LOGIT)
    refused("needs groups", X, CLASSES, model=LOGIT, cov_type="cluster")
    labels = np.where(np.arange(400) == 250, np.nan, G)
    refused("label of row 250 is missing", X, CLASSES, model=LOGIT, **options("cluster", labels))
    refused("two clusters or more", X, CLASSES, model=LOGIT, **options("cluster", ["a"] * 400))
    w = np.where(np.isin(np.arange(400), np.flatnonzero(CLASSES)[:2]), 1.0, 0.0)
    w[np.flatnonzero(CLASSES == 0)[:2]] = 1.0
    refused("4 rows of non-zero weight for 5", X, CLASSES, w, model=LOGIT)


@pytest.mark.parametrize("layout", [np.array, lambda a: dask_rows(a, 7)], ids=["NumPy", "Dask"])
def test_dependent_columns_of_a_likelihood_are_named(layout):
    A = layout(np.column_stack([X, X[:, 0] - 2.0 * X[:, 3] + 4.0]))
    with pytest.warns(LinAlgWarning):
        model = logit(tol=1e-8).fit(A, CLASSES)
    refused(r"1 linear relation\(s\) among the columns x0, x3, x4\. Drop", A, CLASSES, model=model,
            error=np.linalg.LinAlgError)  # fmt: skip


def test_constant_columns_of_a_likelihood_are_kept():
    A = np.column_stack([X, np.full(400, 0.1)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)
        model = logit(tol=1e-10).fit(A, CLASSES)
    result = infer(model, dask_rows(A, 7), CLASSES)
    expected = infer(LOGIT, X, CLASSES)
    np.testing.assert_allclose(result.std_error[:5], expected.std_error, rtol=1e-7)
    assert result.df_resid == expected.df_resid
    assert np.isnan(result.std_error[5])
    assert "x4" in result.notes[0]


def test_a_likelihood_without_an_intercept():
    model = logit(fit_intercept=False, tol=1e-10).fit(X, CLASSES)
    result = infer(model, dask_rows(X, 7), CLASSES)
    assert result.names == _numbered(4)
    assert "no intercept" in result.notes[0]


@pytest.mark.parametrize("n_clusters", [2, 3, 4])
@pytest.mark.parametrize("kind", ["least squares", "logistic", "multinomial", "Poisson"])
def test_few_clusters_tell_of_fewer_directions(kind, n_clusters):
    rng = np.random.default_rng(n_clusters)
    A = rng.normal(size=(200, 5))
    score = 2.0 * A[:, 0] + rng.logistic(size=200)
    model, y = {
        "least squares": (LinearRegression(), score),
        "logistic": (LogisticRegression(C=np.inf), score > 0),
        "multinomial": (LogisticRegression(C=np.inf), np.digitize(score, [-1.0, 1.0])),
        "Poisson": (PoissonRegressor(alpha=0), rng.poisson(np.exp(A[:, 0]))),
    }[kind]
    groups = np.arange(200) % n_clusters

    def of(X):
        return infer(model.fit(X, y), X, y, cov_type="cluster", groups=groups)

    mine = of(A)
    slopes = [name for name in mine.names if "Intercept" not in name]
    test = mine.wald_test(slopes)
    assert test.df_num <= n_clusters - 1
    if kind == "least squares":
        assert test.statistic == pytest.approx(mine.f_statistic, rel=1e-6)
        assert test.df_num == n_clusters - 1
    mixed = of(A @ rng.normal(size=(5, 5))).wald_test(slopes)
    assert mixed.df_num == test.df_num
    assert mixed.statistic == pytest.approx(test.statistic, rel=1e-2)


@pytest.mark.parametrize("kind", ["least squares", "logistic", "Poisson"])
def test_a_column_for_each_cluster_tells_of_no_direction(kind):
    # Scores of such a column sum to zero within its cluster: what is left is 3 columns.
    for seed in range(4):
        rng = np.random.default_rng(seed)
        _check_a_column_for_each_cluster(kind, rng)


def _check_a_column_for_each_cluster(kind, rng):
    groups = np.arange(400) % 6
    A = np.column_stack([rng.normal(size=(400, 3)), groups[:, None] == np.arange(1, 6)])
    score = A[:, 0] + rng.logistic(size=400)
    model, y = {
        "least squares": (LinearRegression(), score),
        "logistic": (LogisticRegression(C=np.inf), score > 0),
        "Poisson": (PoissonRegressor(alpha=0), rng.poisson(np.exp(0.3 * A[:, 0]))),
    }[kind]
    result = infer(model.fit(A, y), A, y, cov_type="cluster", groups=groups)
    test = result.wald_test(result.names[1:])
    assert test.df_num == 3
    assert test.statistic < 1e4


def test_all_slopes_of_nearly_dependent_columns():
    # Past 1e8 the covariance in the user's units has no digits left to be inverted.
    rng = np.random.default_rng(1)
    A = rng.normal(size=(400, 4))
    A[:, 3] = A[:, 2] + 1e-9 * A[:, 3]
    y = A[:, 0] + rng.normal(size=400)
    for cov_type, groups in (("HC1", None), ("cluster", np.arange(400) % 4)):
        result = infer(LinearRegression().fit(A, y), A, y, cov_type=cov_type, groups=groups)
        test = result.wald_test(result.names[1:])
        assert test.statistic == pytest.approx(result.f_statistic, rel=1e-6)
        assert test.df_num == (3 if groups is not None else 4)


@pytest.mark.parametrize("shift", [0.0, 1.7e9])
def test_other_data_are_refused_however_far_columns_lie(shift):
    rng = np.random.default_rng(0)
    clock = rng.uniform(0.0, 3600.0, 600)
    celsius, counts = (
        20.0 + clock / 3600.0 + rng.normal(size=600),
        rng.poisson(np.exp(clock / 3600.0)),
    )
    A = (clock + shift)[:, None]
    for model, y, other in (
        (LinearRegression(), celsius, celsius + 273.15),
        (PoissonRegressor(alpha=0, tol=1e-8), counts, 2 * counts),
        (LogisticRegression(C=np.inf), counts > 1, counts > 2),
    ):
        model.fit(A, y)
        infer(model, A, y)
        with pytest.raises(ValueError, match="a combination of coefficients is"):
            infer(model, A, other)
