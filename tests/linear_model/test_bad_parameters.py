"""Calls and parameters that cannot be used: the message names them, and no pass is wasted."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from tables import Source, classes, dask_rows

from daskdsml.linear_model import (
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeCV,
    enet_path,
    lasso_path,
    ridge_path,
)
from daskdsml.utils import registry

FAMILY = [Lasso, ElasticNet, LassoCV, ElasticNetCV, RidgeCV]
MODELS = [LinearRegression, Ridge, LogisticRegression, LogisticRegressionCV, *FAMILY]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
X, Y, _ = classes(60, 4)
dask_too = pytest.mark.parametrize(
    "layout", [np.array, lambda array: dask_rows(array, 5)], ids=["NumPy", "Dask"]
)
METHODS = [(model, "predict") for model in MODELS]
METHODS += [(LogisticRegression, m) for m in ("decision_function", "predict_proba")]
METHODS += [(LogisticRegression, "predict_log_proba"), (LogisticRegressionCV, "predict_proba")]


@pytest.mark.parametrize("model, method", METHODS)
@dask_too
def test_predict_before_fit(model, method, layout):
    with pytest.raises(NotFittedError, match=f"{model.__name__} instance is not fitted yet"):
        getattr(model(), method)(layout(X))


@every_model
def test_score_before_fit(model):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        model().score(dask_rows(X, 5), Y)


@every_model
@dask_too
def test_wrong_number_of_columns(model, layout):
    mine = model().fit(layout(X), Y)
    for call in (mine.predict, lambda A: mine.score(A, Y)):
        with pytest.raises(ValueError, match="X has 3 features, but .* is expecting 4 features"):
            call(layout(X[:, :3]))


@every_model
def test_wrong_names(model):
    frame = pd.DataFrame(X, columns=list("abcd"))
    mine = model().fit(dd.from_pandas(frame, npartitions=3), Y)
    for wrong in (frame[list("abdc")], frame.rename(columns={"a": "z"})):
        for kind in (wrong, dd.from_pandas(wrong, npartitions=3)):
            with pytest.raises(ValueError, match="feature names should match those"):
                mine.predict(kind)


OPTIONS = [
    (model, name)
    for model in MODELS
    for name in ("solver", "cache", "backend")
    if hasattr(model(), name)
]
SOLVERS = dict.fromkeys(FAMILY, "working_set") | {LogisticRegressionCV: "auto"}


@pytest.mark.parametrize("model, name", OPTIONS)
@dask_too
def test_unknown_option_lists_the_known(model, name, layout):
    known = {"solver": SOLVERS.get(model, "lbfgs"), "cache": "memory", "backend": "numba"}[name]
    with pytest.raises(ValueError, match=f"Unknown {name} 'nosuch'.*expected one of .*{known}"):
        model(**{name: "nosuch"}).fit(layout(X), Y)


PARAMETERS = [
    (Ridge, "random_state", -1), (Lasso, "random_state", "x"), (LassoCV, "random_state", -1),
    (LinearRegression, "n_jobs", 0), (LinearRegression, "n_jobs", "two"),
    (LinearRegression, "verbose", "loud"), (Ridge, "alpha", np.inf),
    (Ridge, "alpha", np.array([np.inf])),
    (Ridge, "alpha", -1.0), (Ridge, "alpha", np.nan), (Ridge, "alpha", "1"), (Ridge, "tol", -1),
    (Ridge, "alpha", np.array([1.0, -1.0])), (Ridge, "max_iter", 0), (Ridge, "positive", "yes"),
    (LinearRegression, "fit_intercept", 1), (LinearRegression, "positive", None),
    (LinearRegression, "max_iter", 0), (LinearRegression, "tol", -1.0),
    (LogisticRegression, "C", -1.0), (LogisticRegression, "C", 0.0), (LogisticRegression, "C", "1"),
    (LogisticRegression, "C", np.nan), (LogisticRegression, "tol", -1e-4),
    (LogisticRegression, "max_iter", 0), (LogisticRegression, "max_iter", 1.5),
    (LogisticRegression, "fit_intercept", "yes"), (LogisticRegression, "warm_start", 1),
    (LogisticRegression, "penalty", "l3"), (LogisticRegression, "l1_ratio", 1.5),
    (LogisticRegression, "l1_ratio", -0.1), (LogisticRegression, "l1_ratio", None),
    (LogisticRegression, "penalty", ["l1"]), (LogisticRegression, "C", -np.inf),
    (LogisticRegression, "dual", True), (LogisticRegression, "intercept_scaling", 2.0),
    (LogisticRegression, "class_weight", "fair"), (LogisticRegression, "class_weight", {7: 1.0}),
    (LogisticRegression, "class_weight", {0: -1.0}),
    (LogisticRegression, "class_weight", {0: np.nan}),
    (LogisticRegression, "class_weight", {0: "1"}),
    (LogisticRegression, "random_state", "chance"),
    (LogisticRegressionCV, "Cs", 0), (LogisticRegressionCV, "Cs", -3),
    (LogisticRegressionCV, "Cs", []), (LogisticRegressionCV, "Cs", [0.0, 1.0]),
    (LogisticRegressionCV, "Cs", [1.0, -1.0]), (LogisticRegressionCV, "Cs", [np.nan]),
    (LogisticRegressionCV, "Cs", [np.inf]), (LogisticRegressionCV, "Cs", "many"),
    (LogisticRegressionCV, "Cs", 1.5), (LogisticRegressionCV, "Cs", True),
    (LogisticRegressionCV, "l1_ratios", []), (LogisticRegressionCV, "l1_ratios", 0.5),
    (LogisticRegressionCV, "l1_ratios", [1.5]), (LogisticRegressionCV, "l1_ratios", [-0.1]),
    (LogisticRegressionCV, "l1_ratios", [np.nan]), (LogisticRegressionCV, "l1_ratios", None),
    (LogisticRegressionCV, "scoring", "nosuch"), (LogisticRegressionCV, "scoring", 3),
    (LogisticRegressionCV, "use_legacy_attributes", True),
    (LogisticRegressionCV, "scoring", "r2"), (LogisticRegressionCV, "solver", "nosuch"),
    (LogisticRegressionCV, "refit", 1), (LogisticRegressionCV, "rule", "2se"),
    (LogisticRegressionCV, "tol", -1.0), (LogisticRegressionCV, "max_iter", 0),
    (LogisticRegressionCV, "penalty", None), (LogisticRegressionCV, "dual", True),
    (LogisticRegressionCV, "class_weight", {7: 1.0}), (LogisticRegressionCV, "cv", 1),
    (Lasso, "alpha", -1.0), (Lasso, "alpha", np.nan), (Lasso, "alpha", np.inf),
    (Lasso, "alpha", "1"), (Lasso, "alpha", None), (Lasso, "tol", -1.0), (Lasso, "tol", np.nan),
    (Lasso, "max_iter", 0), (Lasso, "max_iter", 2.5), (Lasso, "positive", "yes"),
    (Lasso, "warm_start", 1), (Lasso, "selection", "best"), (Lasso, "fit_intercept", 1),
    (Lasso, "precompute", np.eye(2)), (Lasso, "precompute", None),
    (ElasticNet, "l1_ratio", -0.1), (ElasticNet, "l1_ratio", 1.5), (ElasticNet, "l1_ratio", np.nan),
    (ElasticNet, "l1_ratio", [0.5]), (ElasticNet, "alpha", -1.0),
    (ElasticNet, "selection", "best"), (ElasticNet, "precompute", np.eye(2)),
    (LassoCV, "alphas", 0), (LassoCV, "alphas", -3), (LassoCV, "alphas", []),
    (LassoCV, "alphas", [1.0, -1.0]), (LassoCV, "alphas", [1.0, np.nan]),
    (LassoCV, "alphas", [np.inf]), (LassoCV, "alphas", "many"), (LassoCV, "alphas", 1.5),
    (LassoCV, "alphas", None), (LassoCV, "alphas", True),
    (LassoCV, "eps", 0.0), (LassoCV, "eps", -1.0), (LassoCV, "eps", 2.0), (LassoCV, "tol", -1.0),
    (LassoCV, "max_iter", 0), (LassoCV, "rule", "2se"), (LassoCV, "selection", "best"),
    (LassoCV, "precompute", np.eye(2)), (LassoCV, "positive", 1), (LassoCV, "fit_intercept", "no"),
    (ElasticNetCV, "l1_ratio", 0.0), (ElasticNetCV, "l1_ratio", 1.5),
    (ElasticNetCV, "l1_ratio", []), (ElasticNetCV, "l1_ratio", [0.5, -0.5]),
    (ElasticNetCV, "l1_ratio", "most"), (ElasticNetCV, "l1_ratio", [0.5, np.nan]),
    (ElasticNetCV, "rule", None), (ElasticNetCV, "alphas", [-1.0]),
    (RidgeCV, "alphas", []), (RidgeCV, "alphas", [0.0, 1.0]), (RidgeCV, "alphas", [-1.0]),
    (RidgeCV, "alphas", [np.nan]), (RidgeCV, "alphas", [np.inf]), (RidgeCV, "alphas", 0),
    (RidgeCV, "alphas", "many"), (RidgeCV, "alphas", None), (RidgeCV, "rule", "2se"),
    (RidgeCV, "scoring", "accuracy"), (RidgeCV, "fit_intercept", 1),
]  # fmt: skip


@pytest.mark.parametrize("model, name, value", PARAMETERS)
def test_bad_parameters_are_named(model, name, value, tmp_path):
    source = Source(tmp_path, 4, 30, 3)
    A, y = source.table()
    with pytest.raises(ValueError, match=f"{name}.*{_shown(value)}"):
        model(**{name: value}).fit(A, y)
    looks = 1 if isinstance(value, dict) else 0  # labels are known only after a summary
    assert source.reads() <= looks


def _shown(value):
    return (
        "" if isinstance(value, np.ndarray | dict | list | None) else str(value).replace(".", r"\.")
    )


@every_model
def test_bad_shapes_cost_no_read(model, tmp_path):
    source = Source(tmp_path, 4, 30, 3)
    A, y = source.table()
    unknown_solver = {} if model is RidgeCV else {"solver": "nosuch"}
    for call in (
        lambda: model().fit(A, y[:-1]),
        lambda: model().fit(A[:, 0], y),
        lambda: model().fit(A, y, np.ones(7)),
        lambda: model().fit(A, y, np.ones((120, 2))),
        lambda: model(cache="nosuch").fit(A, y),
        lambda: model(cache="nosuch" if model is RidgeCV else "auto", **unknown_solver).fit(A, y),
        lambda: model(backend="nosuch").fit(A, y),
    ):
        with pytest.raises(ValueError, match=r"\w+"):
            call()
    assert source.reads() == 0


PATHS = [
    (lasso_path, "alphas", []), (lasso_path, "alphas", 0), (lasso_path, "alphas", [np.nan]),
    (lasso_path, "fit_intercept", 1), (lasso_path, "tol", -1), (lasso_path, "max_iter", 0),
    (lasso_path, "positive", None), (lasso_path, "eps", 0.0), (lasso_path, "eps", 2.0),
    (enet_path, "l1_ratio", 0.0), (enet_path, "l1_ratio", 1.1), (enet_path, "alphas", [-1.0]),
    (ridge_path, "alphas", 5), (ridge_path, "alphas", []), (ridge_path, "alphas", [-1.0]),
    (ridge_path, "fit_intercept", "no"),
]  # fmt: skip


@pytest.mark.parametrize("path, name, value", PATHS)
def test_bad_parameters_of_paths_are_named(path, name, value, tmp_path):
    source = Source(tmp_path, 4, 30, 3)
    with pytest.raises(ValueError, match=f"{name}.*{_shown(value)}"):
        path(*source.table(), **{name: value})
    assert source.reads() == 0


@pytest.mark.parametrize("path", [lasso_path, enet_path, ridge_path])
def test_unknown_options_of_paths_list_the_known(path):
    for name in ("cache", "backend", *(["solver"] if path is not ridge_path else [])):
        with pytest.raises(ValueError, match=f"Unknown {name} 'nosuch'.*expected one of"):
            path(X, Y, **{name: "nosuch"})


def test_one_standard_error_needs_folds():
    with pytest.raises(
        ValueError, match="rule='1se' needs .* folds, but cv=None.*Use cv=5 or more"
    ):
        RidgeCV(rule="1se").fit(X, Y)


def test_one_standard_error_is_that_of_all_folds():
    with pytest.raises(ValueError, match="rule='1se' needs refit=True.*or rule='min'"):
        LogisticRegressionCV(rule="1se", refit=False).fit(X, Y)


@pytest.mark.parametrize("cv", [None, 3])
def test_ridge_cv_is_for_up_to_4096_columns(cv, tmp_path):
    wide = da.zeros((5000, 4097), chunks=(2500, 4097))
    with pytest.raises(
        ValueError, match="RidgeCV takes up to 4096 columns.* has 4097.*GridSearchCV"
    ):
        RidgeCV(cv=cv).fit(wide, np.arange(5000.0))


@pytest.mark.parametrize("cv", ["three", 1, 0, -2, 2.5])
@pytest.mark.parametrize("model", [LassoCV, RidgeCV, LogisticRegressionCV])
def test_cv_that_is_none(model, cv):
    with pytest.raises(
        ValueError, match="[Ee]xpected `?cv`? as an integer|k-fold cross-validation|cv"
    ):
        model(cv=cv).fit(X, Y)


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
@pytest.mark.parametrize("l1_ratio", [0.01, 1.0])
def test_solvers_that_cannot_do_an_l1_penalty_name_the_one_that_can(solver, l1_ratio, tmp_path):
    source = Source(tmp_path, 4, 30, 3)
    with pytest.raises(ValueError, match=f"'{solver}' cannot minimise an L1.*proximal_newton"):
        LogisticRegression(solver=solver, l1_ratio=l1_ratio).fit(*source.table())
    assert source.reads() == 0


@dask_too
def test_class_weights_of_strangers(layout):
    words = np.array(["no", "yes"])[Y]
    with pytest.raises(ValueError, match=r"names \['maybe'\], but y holds \['no', 'yes'\]"):
        LogisticRegression(class_weight={"maybe": 1.0}).fit(layout(X), layout(words))


def test_a_backend_that_cannot_run_says_why():
    reasons = registry.find("backends", "cupy")().refuse()
    if not reasons:
        pytest.skip("the cupy backend runs here")
    with pytest.raises(RuntimeError, match="backend='cupy' cannot run here: .*backend='auto'"):
        Ridge(backend="cupy").fit(X, Y)


def test_no_working_set_of_all_of_very_many_columns():
    wide = np.random.default_rng(0).normal(size=(20, 5000))
    y = wide[:, 0]
    for call in (
        lambda: ElasticNet(l1_ratio=0).fit(wide, y),
        lambda: Lasso(0).fit(wide, y),
        lambda: LassoCV(alphas=[1.0, 0.0]).fit(wide, y),
        lambda: lasso_path(wide, y, alphas=[1.0, 0.0]),
        lambda: ridge_path(wide, y, alphas=[1.0]),
    ):
        with pytest.raises(ValueError, match="Without an L1 penalty all 5000 coef.*solver='lbfgs'"):
            call()
