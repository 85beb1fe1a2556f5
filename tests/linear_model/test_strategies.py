"""``strategy=`` of linear models: named or given, refused in words, and never without effect."""

import inspect

import dask.array as da
import numpy as np
import pytest
from sklearn.base import clone
from tables import Source, classes, dask_rows, regression

from daskdsml import linear_model
from daskdsml.linear_model import (
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    LogisticRegression,
    PoissonRegressor,
    SGDClassifier,
)
from daskdsml.strategies import AllReduce, Averaging, Columns

PARTS = [part for part in vars(linear_model).values() if inspect.isclass(part)]
MODELS = [part for part in PARTS if "strategy" in inspect.signature(part).parameters]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
X, Y, _ = classes(90, 4)


def test_who_can_be_asked():
    names = {model.__name__ for model in MODELS}
    assert names >= {"LogisticRegression", "PoissonRegressor", "GammaRegressor", "Lasso"}
    assert names >= {"SGDClassifier", "SGDRegressor", "ElasticNet", "LassoCV", "ElasticNetCV"}
    assert "LogisticRegressionCV" not in names  # whose models are trained together


@every_model
@pytest.mark.parametrize("asked", ["fast", AllReduce, None, 3])
def test_unknown_strategies_are_refused_without_a_read(model, asked, tmp_path):
    source = Source(tmp_path, 4, 30, 3)
    with pytest.raises(ValueError, match=r"strategy.*'all_reduce'"):
        model(strategy=asked).fit(*source.table())
    assert source.reads() == 0


REFUSED = [
    (
        LogisticRegression(solver="newton", strategy="columns"),
        r"LogisticRegression with solver='newton'.*hessian.*solvers \['lbfgs', 'proximal_newton'\]",
    ),
    (PoissonRegressor(solver="lbfgs", strategy=Averaging()), "solver='lbfgs'.*'gradient'.*Averag"),
    (
        Lasso(solver="coordinate_descent", strategy="columns"),
        r"'moments'.*strategies \['all_reduce'\], or one of the solvers \['working_set'\]",
    ),
    (SGDClassifier(strategy="columns"), "SGDClassifier with batch_size=1.*'epochs'"),
    (SGDClassifier(batch_size="full", strategy="columns"), "batch_size='full'.*'full batch'"),
]


@pytest.mark.parametrize("model, message", REFUSED, ids=str)
def test_what_does_not_go_together_is_explained(model, message, tmp_path):
    source = Source(tmp_path, 4, 30, 3)
    with pytest.raises(ValueError, match=message):
        model.fit(*source.table())
    assert source.reads() == 0


@every_model
def test_strategies_are_parameters(model):
    given = model(strategy=AllReduce())
    assert clone(given).strategy == AllReduce()
    y = Y + 1.0 if "Gamma" in model.__name__ else Y
    plain, asked = (model(strategy=s).fit(X, y) for s in ("auto", "all_reduce"))
    given.fit(X, y)
    for other in (asked, given):
        assert other.coef_.tobytes() == plain.coef_.tobytes()


@pytest.mark.parametrize("model", [Lasso, ElasticNet, LassoCV, ElasticNetCV])
def test_columns_have_the_optimum_of_rows(model):
    A, y, w = regression(80, 30)
    options = {"tol": 1e-10}
    rows = model(strategy="all_reduce", solver="working_set", **options).fit(A, y, w)
    assert rows.solver_ == "working_set"
    for strategy in ("columns", Columns()):
        for layout in (np.asarray, lambda part: dask_rows(part, 3)):
            mine = model(strategy=strategy, **options).fit(layout(A), layout(y), layout(w))
            assert mine.solver_ == "working_set"
            np.testing.assert_allclose(mine.coef_, rows.coef_, atol=1e-8)


def test_rows_may_be_asked_for_where_columns_suit():
    A, y, _ = regression(80, 30)
    wide = da.from_array(A, chunks=(80, 6))
    rows = Lasso(0.1, strategy="all_reduce", solver="working_set", tol=1e-10).fit(wide, y)
    np.testing.assert_allclose(rows.coef_, Lasso(0.1, tol=1e-10).fit(wide, y).coef_, atol=1e-8)


def test_columns_need_the_number_of_rows():
    A, y, _ = regression(80, 30)
    A, y = dask_rows(A, 4), dask_rows(y, 4)
    kept = y < np.inf
    with pytest.raises(ValueError, match=r"strategy='columns'.*unknown.*compute_chunk_sizes"):
        Lasso(strategy="columns").fit(A[kept], y[kept])
