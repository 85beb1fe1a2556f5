"""What scikit-learn asks of every estimator, and what fitted ones tell."""

import pickle
import warnings
from functools import partial

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import sklearn.linear_model as theirs
from scipy import sparse
from scipy.linalg import LinAlgWarning
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from tables import Source, classes, csr_rows, dask_rows, regression

from daskdsml import linear_model
from daskdsml.contracts import Record
from daskdsml.linear_model import (
    ElasticNet,
    ElasticNetCV,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
)
from daskdsml.neural_network import MLPClassifier, MLPRegressor

DESCENT = [Lasso, ElasticNet, LassoCV, ElasticNetCV]
MODELS = [LinearRegression, Ridge, LogisticRegression, LogisticRegressionCV, *DESCENT, RidgeCV]
MODELS += [PoissonRegressor, HuberRegressor]
DESCENDING = (SGDClassifier, SGDRegressor)
MODELS += DESCENDING
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
X, Y, W = classes(200, 5)
# Penalties that leave some coefficients, and paths that are short.
FITTING = {
    Lasso: {"alpha": 0.01}, ElasticNet: {"alpha": 0.01}, LassoCV: {"alphas": 8},
    ElasticNetCV: {"alphas": 8}, LogisticRegressionCV: {"Cs": 3}, PoissonRegressor: {"alpha": 0.01},
    SGDClassifier: {"alpha": 0.1, "average": True}, SGDRegressor: {"tol": 1e-5},
}  # fmt: skip
# Hardly penalised, probabilities in float32 are 1, whose logarithms are exact and not 0.
CHECKED = {LogisticRegressionCV: {"Cs": (0.1, 1.0), "cv": 3}}
METHODS = ["predict", "decision_function", "predict_proba", "predict_log_proba"]


# Some checks fit more columns than rows, which least squares rightly warns of.
more_columns_than_rows = pytest.mark.filterwarnings("ignore:X is rank-deficient")
# scikit-learn has no tag for a solver that fits one output.
ONE_OUTPUT = {"check_regressor_multioutput": "without p x p matrices one output is fitted, it says"}


# These do not claim more than one.
ONE_ALWAYS = PoissonRegressor | GammaRegressor | HuberRegressor

FOLDS = {"check_fit2d_1sample": "says that its folds need as many rows, but X has 1"}


# Weights lengthen the steps of rows; and rows left out change how many there are to average over.
WEIGHTS = dict.fromkeys(
    [f"check_sample_weight_equivalence_on_{kind}_data" for kind in ("dense", "sparse")],
    "a row of weight 2 makes one step of twice the length, as in scikit-learn",
)
FAR_FROM_ZERO = dict.fromkeys(
    ["check_fit_idempotent", "check_fit_check_is_fitted", "check_n_features_in"],
    "says that steps are too long for columns whose mean is 100",
)
# A weight of 1000 makes an objective that goes on moving by more than tol.
sgd_of_heavy_rows = pytest.mark.filterwarnings("ignore:SGDClassifier stopped after max_iter")


def expected_failures(model):
    if isinstance(model, SGDClassifier):
        return WEIGHTS
    if isinstance(model, SGDRegressor):
        return WEIGHTS | FAR_FROM_ZERO
    if isinstance(model, LassoCV | ElasticNetCV) or (isinstance(model, RidgeCV) and model.cv):
        return FOLDS
    one_output = getattr(model, "solver", None) in ("lbfgs", "working_set") and is_regressor(model)
    return ONE_OUTPUT if one_output and not isinstance(model, ONE_ALWAYS) else {}


@sgd_of_heavy_rows
@more_columns_than_rows
@parametrize_with_checks(
    [model(**CHECKED.get(model, {})) for model in (*MODELS, GammaRegressor)],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@more_columns_than_rows
@parametrize_with_checks(
    [
        LinearRegression(solver="lbfgs"),
        Ridge(solver="lbfgs"),
        LogisticRegression(solver="lbfgs"),
        LinearRegression(positive=True),
        LinearRegression(solver="cholesky"),
        Lasso(solver="working_set"),
        ElasticNet(positive=True),
        RidgeCV(cv=3),
        PoissonRegressor(solver="lbfgs"),
        GammaRegressor(solver="lbfgs"),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_check_of_other_solvers(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:MLP.* stopped after max_iter")
@parametrize_with_checks(
    [
        model(dtype="float64", max_iter=60, learning_rate_init=0.01)
        for model in (MLPClassifier, MLPRegressor)
    ]
)
def test_scikit_learn_check_of_perceptrons(estimator, check):
    check(estimator)


def test_kinds():
    assert is_classifier(LogisticRegression())
    assert is_classifier(LogisticRegressionCV())
    assert is_regressor(Ridge())
    assert is_regressor(LinearRegression())


def made(model, **parameters):
    """An estimator that leaves some coefficients, with short paths."""
    return model(**FITTING.get(model, {}), **parameters)


def methods_of(model):
    return [method for method in METHODS if hasattr(model, method)]


@every_model
@pytest.mark.parametrize("real", [np.float64, np.float32])
def test_predictions_are_as_lazy_as_the_input(model, real):
    A = X.astype(real)
    mine = made(model).fit(dask_rows(A, 7), Y)
    for method in methods_of(mine):
        here = getattr(mine, method)(A)
        assert type(here) is np.ndarray
        for kind in (sparse.csr_matrix(A), A.tolist()):
            assert type(getattr(mine, method)(kind)) is np.ndarray
        for kind in (dask_rows(A, 7), csr_rows(A, 3), dask_rows(A, 4).rechunk((50, 2))):
            lazy = getattr(mine, method)(kind)
            assert isinstance(lazy, da.Array)
            assert (lazy.shape, lazy.dtype) == (here.shape, here.dtype)
            assert lazy.chunks[0] == kind.chunks[0]
            values = lazy.compute()
            assert values.dtype == here.dtype
            assert_same_scores(values, here)


@every_model
def test_predictions_of_frames_have_their_partitions_and_index(model):
    frame = pd.DataFrame(X, index=np.arange(len(X))[::-1] * 2, columns=list("abcde"))
    table = dd.from_pandas(frame, npartitions=3, sort=False)
    mine = made(model).fit(frame, Y)
    for method in methods_of(mine):
        here, lazy = getattr(mine, method)(frame), getattr(mine, method)(table)
        assert lazy.npartitions == 3
        values = lazy.compute()
        pd.testing.assert_index_equal(values.index, frame.index)
        assert_same_scores(values.to_numpy().astype(here.dtype), here)
        if here.ndim == 2:
            assert values.columns.tolist() == mine.classes_.tolist()
            assert table.join(lazy).compute().shape == (len(X), 5 + here.shape[1])
        else:
            together = table.assign(predicted=lazy).compute()
            pd.testing.assert_series_equal(together.predicted, values, check_names=False)
            assert together[list("abcde")].equals(frame)


@pytest.mark.parametrize("chunked", [False, True])
def test_predictions_of_frames_have_the_names_of_the_targets(chunked, tmp_path):
    frame = pd.DataFrame(X, columns=list("abcde"))
    outputs = pd.DataFrame(regression(200, 5, n_outputs=2)[1], columns=["u", "v"])
    table = dd.from_pandas(frame, npartitions=3)
    layout = partial(dd.from_pandas, npartitions=3) if chunked else pd.DataFrame.copy
    several = [
        Ridge(),
        LinearRegression(),
        MLPRegressor(hidden_layer_sizes=(4,), max_iter=1, tol=None),
    ]
    for model in several:
        model.fit(layout(frame), layout(outputs))
        found = pickle.loads(pickle.dumps(model)).predict(table)
        assert found.columns.tolist() == found.compute().columns.tolist() == ["u", "v"]
        found.to_parquet(tmp_path, write_index=False)
    single = [Ridge(), LogisticRegression(), SGDClassifier(max_iter=2, tol=None)]
    for model in [*single, MLPClassifier((4,), max_iter=1, tol=None)]:
        y = dd.from_pandas(pd.Series(Y, name="lab"), npartitions=3) if chunked else None
        found = model.fit(layout(frame), pd.Series(Y, name="lab") if y is None else y)
        found = found.predict(table)
        assert found.name == found.compute().name == "lab"
    assert model.fit(frame, Y).predict(table).name is None
    assert model.predict_proba(table).columns.tolist() == model.classes_.tolist()
    assert Ridge().fit(frame, outputs[["u"]]).predict(table).name == "u"
    assert Ridge().fit(frame, outputs.to_numpy()).predict(table).columns.tolist() == [0, 1]


def test_columns_that_are_not_finite_are_named_in_predictions_of_frames():
    frame = pd.DataFrame(X, columns=list("abcde"))
    broken = frame.where((np.arange(200) != 150)[:, None] | (np.arange(5) != 1))
    for model in (Ridge(), LogisticRegression(), MLPClassifier((4,), max_iter=1, tol=None)):
        model.fit(frame, Y)
        for rows in (broken, dd.from_pandas(broken, npartitions=3)):
            with pytest.raises(ValueError, match=r"NaN at row \d+, column 1 \('b'\), but"):
                np.asarray(model.predict(rows))


def test_predictions_of_parquet_files_read_together(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcde")).assign(y=Y)
    for i in range(8):
        frame.iloc[25 * i : 25 * (i + 1)].to_parquet(tmp_path / f"part.{i}.parquet")
    table = dd.read_parquet(tmp_path)  # small files become one partition when it is computed
    model = Ridge().fit(table[list("abcde")], table.y)
    together = table.assign(p=model.predict(table[list("abcde")])).compute()
    assert_same_scores(together.p.to_numpy(), model.predict(frame[list("abcde")]))
    residuals = (table.y - model.predict(table[list("abcde")])).compute()
    assert_same_scores(residuals.to_numpy(), Y - together.p.to_numpy())


def assert_same_scores(found, expected):
    """Equal to rounding of the products of X: a score near zero is a difference of larger ones.

    Blocks of other sizes, and other processors, add these in another order.
    """
    if found.dtype.kind == "f":
        atol = 64.0 * np.finfo(found.dtype).eps * np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0.0, atol=atol)
    else:
        np.testing.assert_array_equal(found, expected)


@every_model
def test_blocks_of_predictions_match_unknown_and_empty_chunks(model):
    mine = made(model).fit(X, Y)
    chosen = dask_rows(X, 7)[dask_rows(X[:, 0], 7) > 0.5]
    uneven = da.from_array(X, chunks=((0, 1, 99, 0, 100), 5))
    for method in methods_of(mine):
        here = getattr(mine, method)(X)
        assert_same_scores(getattr(mine, method)(chosen).compute(), here[X[:, 0] > 0.5])
        assert_same_scores(getattr(mine, method)(uneven).compute(), here)


def test_predictions_of_many_outputs():
    A, outputs, _ = regression(200, 5, n_outputs=3)
    mine = Ridge().fit(dask_rows(A, 7), dask_rows(outputs, 7))
    lazy = mine.predict(dask_rows(A, 4))
    assert lazy.shape == (200, 3)
    assert_same_scores(lazy.compute(), mine.predict(A))


def test_a_model_is_one_key_of_the_graph():
    wide = da.ones((100, 20_000), chunks=(1, 20_000))
    mine = Ridge(solver="lbfgs", max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mine.fit(wide, np.arange(100.0))
    graph = mine.predict(wide).__dask_graph__()
    assert len(pickle.dumps(dict(graph))) < 3 * mine.coef_.nbytes


@every_model
def test_a_score_is_a_float(model):
    mine = made(model).fit(X, Y)
    for A, y in ((X, Y), (dask_rows(X, 7), dask_rows(Y, 7)), (csr_rows(X, 7), Y)):
        assert type(mine.score(A, y)) is float
        assert mine.score(A, y, W) == pytest.approx(mine.score(X, Y, W), rel=1e-12)


@every_model
def test_pickles_are_small_and_need_no_cluster(model, client, tmp_path):
    source = Source(tmp_path, 6, 400, 25)
    A, y = source.table()
    mine = made(model, cache="memory").fit(A, y)
    saved = pickle.dumps(mine)
    assert len(saved) < 10_000
    here = A.compute()
    with dask.config.set(scheduler="synchronous"):
        back = pickle.loads(saved)
        np.testing.assert_array_equal(back.predict(here), mine.predict(here))
        np.testing.assert_array_equal(back.predict(A).compute(), mine.predict(A).compute())
    assert back.get_params() == mine.get_params()


@every_model
def test_nothing_but_plain_values_is_kept(model):
    # A tuple is what RidgeCV was given for its alphas.
    plain = np.ndarray | np.generic | float | int | bool | str | list | tuple | None
    mine = made(model, cache="memory").fit(dask_rows(X, 7), dask_rows(Y, 7))
    assert all(isinstance(value, plain) for value in vars(mine).values())


@every_model
def test_fit_does_not_change_parameters(model):
    mine = made(model)
    before = mine.get_params()
    assert mine.fit(X, Y) is mine
    assert mine.get_params() == before
    assert clone(mine).get_params() == before


@every_model
@pytest.mark.parametrize("n_blocks", [None, 7])
def test_history(model, n_blocks):
    mine = made(model, cache="none").fit(dask_rows(X, n_blocks) if n_blocks else X, Y)
    assert mine.converged_ is True
    assert mine.n_passes_ == len(mine.history_)
    assert isinstance(mine.n_passes_, int)
    assert all(isinstance(record, Record) for record in mine.history_)
    assert all(record.seconds > 0 for record in mine.history_)
    last = mine.history_[-1]
    residual = Y - mine.predict(X)
    if model is LogisticRegression:
        likelihood = -mine.predict_log_proba(X)[np.arange(200), Y].mean()
        assert last.objective == pytest.approx(likelihood + mine.coef_[0] @ mine.coef_[0] / 400)
        assert last.gradient_norm <= mine.tol
        objectives = [record.objective for record in mine.history_[1:]]
        assert objectives == sorted(objectives, reverse=True)
        assert mine.history_[0].name == "summary"
    elif model in (LinearRegression, Ridge):
        penalty = getattr(mine, "alpha", 0.0) * mine.coef_ @ mine.coef_
        assert last.objective == pytest.approx((residual @ residual + penalty) / 400)
    elif model in (Lasso, ElasticNet):
        ratio = mine.l1_ratio
        size = ratio * np.abs(mine.coef_).sum() + (1.0 - ratio) / 2 * mine.coef_ @ mine.coef_
        assert last.objective == pytest.approx(residual @ residual / 400 + mine.alpha * size)
    elif model is LogisticRegressionCV:
        assert last.gradient_norm <= mine.tol
        assert last.models > 0
        assert mine.history_[0].name == "summary"
    elif model is PoissonRegressor:
        expected = mine.predict(X)
        loss = (expected - Y * np.log(expected)).mean()
        assert last.objective == pytest.approx(loss + mine.alpha * mine.coef_ @ mine.coef_ / 2)
        assert last.gradient_norm <= mine.tol
    elif model is HuberRegressor:
        size, s, low_high = np.abs(residual), mine.scale_, np.quantile(Y, [0.25, 0.75])
        far = np.where(mine.outliers(X, Y), 2.7 * size - 1.35**2 * s, size**2 / s)
        objective = s + far.mean() + 1e-4 * mine.coef_ @ mine.coef_ / 200
        assert last.objective == pytest.approx(objective / 2 / np.diff(low_high).item())
        assert last.gradient_norm <= mine.tol
    elif model in DESCENDING:
        assert [record.name for record in mine.history_] == ["summary"] + ["epoch"] * mine.n_iter_
        curve = [record.objective for record in mine.history_[1:]]
        assert (curve > mine.loss_curve_).all()  # by the penalty
        assert min(curve) == pytest.approx(min(curve[-6:]))
    else:  # the objective is that of the last alpha, not of the one chosen
        names = ["moments"] + ["leave-one-out"] * (model is RidgeCV)
        assert [record.name for record in mine.history_] == names
        assert last.objective > 0.0


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
@pytest.mark.parametrize("n_blocks", [None, 7])
def test_a_warning_names_number_limit_and_option(solver, n_blocks):
    mine = LogisticRegression(max_iter=1, tol=1e-9, solver=solver)
    said = r"LogisticRegression stopped after max_iter=1 iterations with a gradient norm of \d.*"
    with pytest.warns(ConvergenceWarning, match=said + "limit tol=1e-09. Raise max_iter") as seen:
        mine.fit(dask_rows(X, n_blocks) if n_blocks else X, Y)
    assert seen[0].filename == __file__
    assert mine.converged_ is False
    assert mine.n_iter_.tolist() == [1]
    assert mine.predict(X).shape == (200,)


@pytest.mark.parametrize("model", DESCENT)
@pytest.mark.parametrize("solver", ["coordinate_descent", "working_set"])
def test_descent_warns_too(model, solver):
    rng = np.random.default_rng(0)
    A = rng.normal(size=(60, 1)) + 0.3 * rng.normal(size=(60, 20))
    y = A @ rng.normal(size=20) + rng.normal(size=60)
    said = rf"{model.__name__} stopped after max_iter=1 sweeps with a duality gap of up to \d.*"
    penalty = {"alpha": 1e-4} if model in (Lasso, ElasticNet) else {"alphas": [1e-4, 1e-5]}
    with pytest.warns(
        ConvergenceWarning, match=said + "above tol=1e-14 times.*Raise max_iter"
    ) as seen:
        mine = model(**penalty, solver=solver, max_iter=1, tol=1e-14).fit(dask_rows(A, 7), y)
    assert seen[0].filename == __file__
    assert mine.converged_ is False
    assert mine.predict(A).shape == (60,)


@pytest.mark.parametrize("model", [LinearRegression, Ridge])
def test_least_squares_by_lbfgs_warns_too(model):
    mine = model(solver="lbfgs", max_iter=2, tol=1e-9)
    with pytest.warns(
        ConvergenceWarning, match=f"{model.__name__} stopped after max_iter=2"
    ) as seen:
        mine.fit(X, Y)
    assert seen[0].filename == __file__
    assert not mine.converged_


def test_a_warning_of_dependent_columns_names_the_line_of_the_user():
    with pytest.warns(LinAlgWarning, match="columns 0, 5 ") as seen:
        LinearRegression().fit(np.column_stack([X, X[:, 0]]), Y)
    assert seen[0].filename == __file__


@every_model
def test_verbose_shows_a_bar(model, capsys):
    made(model, verbose=True).fit(dask_rows(X, 7), Y)
    shown = capsys.readouterr().err
    many = model is LogisticRegressionCV
    for part in (model.__name__, "pass", "models" if many else "objective"):
        assert part in shown
    iterative = (LogisticRegression, LogisticRegressionCV, PoissonRegressor, HuberRegressor)
    assert ("gradient_norm" in shown) == (model in iterative)
    made(model).fit(dask_rows(X, 7), Y)
    assert capsys.readouterr() == ("", "")


def test_verbose_bar_is_closed_when_a_fit_fails(capsys):
    with pytest.raises(ValueError, match="one class"):
        LogisticRegression(verbose=True).fit(X, 0 * Y)
    assert "summary" in capsys.readouterr().err


@every_model
def test_repr_and_pipelines(model):
    assert repr(model(cache="none")) == f"{model.__name__}(cache='none')"
    mine = make_pipeline(StandardScaler(), made(model)).fit(X, Y)
    assert mine.score(X, Y) == pytest.approx(made(model).fit(X, Y).score(X, Y), abs=0.02)
    assert len(cross_val_score(made(model), X, Y, cv=3)) == 3


def test_grid_search():
    search = GridSearchCV(LogisticRegression(), {"C": [1e-4, 1.0]}, cv=3).fit(X, Y)
    assert search.best_params_ == {"C": 1.0}


def test_many_classes_by_one_versus_rest():
    from sklearn.multiclass import OneVsRestClassifier

    three = np.digitize(X[:, 0], [-2.0, 0.0])
    mine = OneVsRestClassifier(LogisticRegression()).fit(X, three)
    assert mine.score(X, three) > 0.8


@every_model
def test_refit_forgets_the_last_fit(model):
    frame = pd.DataFrame(X, columns=list("abcde"))
    mine = made(model).fit(frame, Y).fit(X[:, :3], Y)
    fresh = made(model).fit(X[:, :3], Y)
    np.testing.assert_array_equal(mine.coef_, fresh.coef_)
    assert not hasattr(mine, "feature_names_in_")


@pytest.mark.parametrize("chunk", [None, 1, 7])
@pytest.mark.parametrize(("n", "value"), [(10, 0.1), (10, 1e6 + 0.1), (37, 3.3), (1000, 1 / 3)])
def test_a_y_that_is_the_same_throughout_is_not_explained(n, value, chunk):
    X = np.random.default_rng(1).normal(size=(n, 2))
    y = np.full(n, value)
    A, b = X, y
    if chunk is not None:
        A, b = da.from_array(X, chunks=(chunk, 2)), da.from_array(y, chunks=chunk)
    target = 1.0 + X @ [1.0, 2.0]
    models = (
        LinearRegression().fit(X, target),
        HuberRegressor().fit(X, target),
        PoissonRegressor().fit(X, np.exp(target)),
        SGDRegressor(max_iter=2, tol=None).fit(X, target),
        MLPRegressor(hidden_layer_sizes=2, max_iter=1, tol=None).fit(X, target),
    )
    assert [model.score(A, b) for model in models] == [0.0] * len(models)


@pytest.mark.parametrize(
    "name",
    [
        "LinearRegression",
        "Ridge",
        "RidgeCV",
        "Lasso",
        "ElasticNet",
        "LassoCV",
        "ElasticNetCV",
        "HuberRegressor",
        "SGDRegressor",
    ],
)
@pytest.mark.parametrize("n_axes", [1, 2])
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_shapes_are_those_of_scikit_learn(name, n_axes):
    X, y, _ = regression(60, 3)
    y = y if n_axes == 1 else y[:, None]
    mine, their = (getattr(module, name)().fit(X, y) for module in (linear_model, theirs))
    for attribute in ("coef_", "intercept_", "alpha_", "scale_", "dual_gap_"):
        assert hasattr(mine, attribute) == hasattr(their, attribute)
        if hasattr(their, attribute):
            value = getattr(mine, attribute)
            assert np.shape(value) == np.shape(getattr(their, attribute)), attribute
            assert isinstance(value, np.ndarray | np.floating), attribute
    assert mine.predict(X).shape == their.predict(X).shape


@pytest.mark.parametrize("name", ["lasso_path", "enet_path"])
def test_paths_unpack_as_those_of_scikit_learn(name):
    X, y, _ = regression(60, 3)
    mine, their = (getattr(module, name)(X, y, alphas=5) for module in (linear_model, theirs))
    alphas, coefs, gaps = mine
    np.testing.assert_allclose(alphas, their[0])
    np.testing.assert_allclose(coefs, their[1], atol=1e-3)
    assert len(mine) == len(their) and mine[2] is gaps


def test_a_ridge_of_one_strength_may_have_a_number():
    X, y, _ = regression(60, 3)
    mine, their = (module.RidgeCV(alphas=1).fit(X, y) for module in (linear_model, theirs))
    assert mine.alpha_ == their.alpha_ == 1
    np.testing.assert_allclose(mine.coef_, their.coef_)
