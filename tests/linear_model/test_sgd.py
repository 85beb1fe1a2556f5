"""Gradient descent: scikit-learn's numbers, plain loops, invariances, stopping, faults."""

import os
import warnings

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import sklearn.linear_model as theirs
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from tables import Source, classes, csr_rows, dask_rows, regression

from daskdsml.linear_model import Lasso, LogisticRegression, SGDClassifier, SGDRegressor
from daskdsml.utils import registry

X, Y, W = classes(400, 6)
A, B, V = regression(400, 6)
THREE = np.digitize(X[:, 0] + X[:, 1], [-3.0, 0.0])
PLAIN = {"max_iter": 6, "tol": None, "shuffle": False, "eta0": 0.01, "alpha": 0.01}
CLASSIFIER_LOSSES = ["hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron", "huber"]
REGRESSOR_LOSSES = ["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"]
SCHEDULES = ["constant", "optimal", "invscaling", "adaptive"]
both = pytest.mark.parametrize("model", [SGDClassifier, SGDRegressor], ids=lambda m: m.__name__)


def data_of(model):
    return (X, Y) if model is SGDClassifier else (A, B)


def same(mine, reference, rtol=1e-10):
    np.testing.assert_allclose(mine.coef_, reference.coef_, rtol=rtol, atol=1e-12)
    np.testing.assert_allclose(mine.intercept_, reference.intercept_, rtol=rtol, atol=1e-12)
    assert mine.t_ == reference.t_
    assert mine.n_iter_ == reference.n_iter_


def bits(model):
    return model.coef_.tobytes() + model.intercept_.tobytes() + model.loss_curve_.tobytes()


@pytest.mark.parametrize("average", [False, True, 50])
@pytest.mark.parametrize("penalty", ["l2", None])
@pytest.mark.parametrize("loss", CLASSIFIER_LOSSES)
def test_classifier_has_the_coefficients_of_scikit_learn(loss, penalty, average):
    for schedule, w in (("constant", None), ("constant", W), ("invscaling", None), ("optimal", W)):
        options = dict(PLAIN, loss=loss, penalty=penalty, average=average, learning_rate=schedule)
        # Long steps, as "optimal" makes for small alpha, would amplify rounding.
        features, options["alpha"] = (X / 6.0, 1.0) if schedule == "optimal" else (X, 0.01)
        reference = theirs.SGDClassifier(**options).fit(features, Y, sample_weight=w)
        same(SGDClassifier(**options).fit(dask_rows(features, 5), Y, sample_weight=w), reference)


@pytest.mark.parametrize("average", [False, True, 50])
@pytest.mark.parametrize("penalty", ["l2", None])
@pytest.mark.parametrize("loss", REGRESSOR_LOSSES)
def test_regressor_has_the_coefficients_of_scikit_learn(loss, penalty, average):
    for schedule, w in (("constant", None), ("constant", V), ("invscaling", None)):
        options = dict(PLAIN, loss=loss, penalty=penalty, average=average, learning_rate=schedule)
        reference = theirs.SGDRegressor(**options).fit(A, B, sample_weight=w)
        same(SGDRegressor(**options).fit(dask_rows(A, 5), B, sample_weight=w), reference)


@pytest.mark.parametrize("penalty", ["l1", "elasticnet"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_sparse_penalties_have_the_coefficients_of_scikit_learn(schedule, penalty):
    options = dict(PLAIN, penalty=penalty, learning_rate=schedule, alpha=0.05, l1_ratio=0.5)
    for w in (None, W):
        reference = theirs.SGDClassifier("log_loss", **options).fit(X, Y, sample_weight=w)
        mine = SGDClassifier("log_loss", **options).fit(X, Y, sample_weight=w)
        same(mine, reference)
        np.testing.assert_array_equal(mine.coef_ == 0.0, reference.coef_ == 0.0)
        assert (mine.coef_ == 0.0).any() or penalty != "l1" or schedule == "optimal"


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("weights", [None, "balanced", {0: 2.0, 1: 0.5, 2: 3.0}])
def test_many_classes_have_the_coefficients_of_scikit_learn(weights, average):
    options = dict(PLAIN, loss="log_loss", class_weight=weights, average=average)
    same(SGDClassifier(**options).fit(X, THREE), theirs.SGDClassifier(**options).fit(X, THREE))


@pytest.mark.parametrize("weights", ["balanced", {0: 2.0, 1: 0.5}])
def test_class_weights_are_those_of_scikit_learn(weights):
    options = dict(PLAIN, class_weight=weights)
    same(SGDClassifier(**options).fit(X, Y), theirs.SGDClassifier(**options).fit(X, Y))


@both
def test_without_intercept_and_dropping_steps(model):
    features, y = data_of(model)
    options = {"shuffle": False, "learning_rate": "adaptive", "eta0": 0.01, "fit_intercept": False}
    options |= {"n_iter_no_change": 2, "max_iter": 1000}
    reference = getattr(theirs, model.__name__)(**options).fit(features, y)
    mine = model(**options).fit(features, y)
    assert mine.converged_ is True
    assert mine.intercept_ == 0.0
    np.testing.assert_allclose(mine.coef_, reference.coef_, rtol=1e-4)
    last = mine._models[0].number("eta")
    assert last <= 1e-6 < 5 * last


def test_stops_where_scikit_learn_stops():
    for tol in (1e-2, 1e-3):
        options = {"loss": "log_loss", "alpha": 0.01, "shuffle": False, "tol": tol}
        mine = SGDClassifier(**options).fit(X, Y)
        assert mine.n_iter_ == theirs.SGDClassifier(**options).fit(X, Y).n_iter_ < 50
        assert len(mine.loss_curve_) == mine.n_iter_
        assert mine.converged_ is True


def gradient_descent(loss, features, y, w, batch, epochs, eta0, alpha, power_t=0.0):
    """The textbook's loop over mini-batches in the order of rows, with an L2 penalty."""
    coef, intercept, t = np.zeros(features.shape[1]), 0.0, 1
    for _ in range(epochs):
        for start in range(0, len(y), batch):
            x, target = features[start : start + batch], y[start : start + batch]
            _, slope = loss.value_and_derivative(np, target, x @ coef + intercept)
            slope = slope * w[start : start + batch] / len(x)
            eta = eta0 / t**power_t
            coef, intercept = (
                coef - eta * (x.T @ slope + alpha * coef),
                intercept - eta * slope.sum(),
            )
            t += 1
    return coef, intercept


@pytest.mark.parametrize("n_blocks", [1, 7])
@pytest.mark.parametrize("batch", [3, 64, 150, 400, "full"])
def test_batches_are_those_of_a_plain_loop(batch, n_blocks, monkeypatch):
    from daskdsml.data import blocks

    monkeypatch.setattr(blocks, "SMALL_BLOCK", 1)  # else blocks this small are joined
    size = 400 if batch == "full" else batch
    options = {"max_iter": 5, "tol": None, "shuffle": False, "alpha": 0.1, "eta0": 0.1}
    rows = [dask_rows(part, n_blocks) for part in (X, Y, W)]
    options |= {"learning_rate": "invscaling", "power_t": 0.3, "batch_size": batch}
    mine = SGDClassifier("log_loss", **options).fit(*rows[:2], sample_weight=rows[2])
    logistic = registry.find("losses", "logistic")()
    coef, intercept = gradient_descent(logistic, X, Y, W, size, 5, 0.1, 0.1, 0.3)
    np.testing.assert_allclose(mine.coef_[0], coef, rtol=1e-10)
    np.testing.assert_allclose(mine.intercept_, intercept, rtol=1e-10)
    assert mine.t_ == 1 + 5 * -(-400 // size)
    rows = [dask_rows(part, n_blocks) for part in (A, B, V)]
    mine = SGDRegressor(**options).fit(*rows[:2], sample_weight=rows[2])
    squares = registry.find("losses", "squared_error")()
    coef, intercept = gradient_descent(squares, A, B, V, size, 5, 0.1, 0.1, 0.3)
    np.testing.assert_allclose(mine.coef_, coef, rtol=1e-10)
    np.testing.assert_allclose(mine.intercept_, intercept, rtol=1e-10)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
@pytest.mark.parametrize("batch", [1, 32, "full"])
def test_chunks_and_layouts_do_not_matter_without_shuffling(batch, penalty, average, monkeypatch):
    from daskdsml.data import blocks

    monkeypatch.setattr(blocks, "SMALL_BLOCK", 1)
    options = dict(PLAIN, penalty=penalty, average=average, batch_size=batch, loss="log_loss")
    whole = SGDClassifier(**options).fit(X, THREE)
    frame = dd.from_pandas(pd.DataFrame(X), npartitions=4)
    for kind in (dask_rows(X, 9), dask_rows(X, 400).rechunk((3, 2)), frame, X.tolist()):
        mine = SGDClassifier(**options).fit(kind, THREE)
        np.testing.assert_allclose(mine.coef_, whole.coef_, rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(mine.loss_curve_, whole.loss_curve_, rtol=1e-9)
    # Columns that a row lacks pay L1 later: after coefficients have shrunk, or were averaged.
    later = penalty == "elasticnet" or (penalty == "l1" and average)
    tolerance = 1e-2 if later else 1e-9
    for kind in (sparse.csr_matrix(X), csr_rows(X, 9)):
        mine = SGDClassifier(**options).fit(kind, THREE)
        np.testing.assert_allclose(mine.coef_, whole.coef_, rtol=tolerance, atol=tolerance)


@both
def test_full_is_a_batch_of_all_rows(model):
    features, y = data_of(model)
    for penalty in ("l2", "l1"):
        options = dict(PLAIN, penalty=penalty, max_iter=20)
        full = model(**options, batch_size="full").fit(dask_rows(features, 3), y)
        same(model(**options, batch_size=400).fit(features, y), full)


@both
@pytest.mark.parametrize("batch", [1, 50, "full"])
def test_the_same_seed_gives_the_same_bits_on_any_scheduler(model, batch, client, tmp_path):
    features, _ = Source(tmp_path, 12, 500, 25).table()
    features = features / 4.0
    y = (features[:, 0] + features[:, 1] > 0).astype(float)
    options = {"max_iter": 2, "tol": None, "batch_size": batch, "eta0": 0.01}
    there = {bits(model(**options, cache=cache).fit(features, y)) for cache in ("none", "memory")}
    with dask.config.set(scheduler="threads"):
        here = model(**options).fit(features, y)
        other = model(**options, random_state=1).fit(features, y)
    assert there == {bits(here)}
    assert (bits(other) == bits(here)) == (batch == "full")
    assert here.n_passes_ == 3


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_a_worker_killed_in_an_epoch(cache, client, tmp_path):
    features, y = Source(tmp_path, 12, 2000, 25, deadly=2 if cache == "none" else 1).table()
    options = {"max_iter": 2, "tol": None, "loss": "log_loss", "alpha": 0.01, "cache": cache}
    there = SGDClassifier(**options).fit(features, y)
    assert (tmp_path / "died").exists()
    with dask.config.set(scheduler="synchronous"):
        assert bits(SGDClassifier(**options).fit(features, y)) == bits(there)
    assert os.getpid()  # the test's own process lives on


def test_shuffling_is_of_rows_and_of_shards():
    assert bits(SGDClassifier(**PLAIN).fit(X, Y)) != bits(
        SGDClassifier(**dict(PLAIN, shuffle=True)).fit(X, Y)
    )
    many = np.random.default_rng(0).normal(size=(60_000, 10))
    y = np.repeat([0.0, 1.0], 30_000)
    # With all ones before all twos only the order of shards brings the sides together.
    rows = dask_rows(many, 4)
    last = SGDRegressor(max_iter=1, tol=None, learning_rate="constant").fit(rows, y)
    assert bits(last) == bits(
        SGDRegressor(max_iter=1, tol=None, learning_rate="constant").fit(rows, y)
    )
    starts = {SGDRegressor(max_iter=1, tol=None, random_state=i).fit(rows, y).intercept_[0] > 0.5
              for i in range(8)}  # fmt: skip
    assert starts == {True, False}


SCALED = StandardScaler().fit_transform(X)
OPTIMUM = LogisticRegression(C=1 / (400 * 0.05), tol=1e-10).fit(SCALED, Y)


@pytest.mark.parametrize(
    "options, tolerance",
    [
        ({"batch_size": "full", "learning_rate": "constant", "eta0": 1.0, "max_iter": 300}, 1e-6),
        ({"batch_size": 20, "learning_rate": "invscaling", "eta0": 1.0, "max_iter": 300}, 5e-3),
        ({"batch_size": 20, "learning_rate": "invscaling", "eta0": 1.0, "average": 3000}, 2e-3),
        ({"learning_rate": "optimal", "max_iter": 300}, 1e-2),
        ({"learning_rate": "invscaling", "eta0": 0.5, "average": 4000, "max_iter": 300}, 2e-3),
    ],
)
def test_finds_the_optimum_of_logistic_regression(options, tolerance):
    options = {"max_iter": 600, **options}
    mine = SGDClassifier("log_loss", alpha=0.05, tol=None, **options).fit(SCALED, Y)
    assert np.abs(mine.coef_ - OPTIMUM.coef_).max() < tolerance
    assert np.abs(mine.intercept_ - OPTIMUM.intercept_).max() < tolerance


def test_full_batches_find_the_lasso():
    scaled = StandardScaler().fit_transform(A)
    lasso = Lasso(alpha=0.3, tol=1e-12).fit(scaled, B)
    options = {"penalty": "l1", "alpha": 0.3, "batch_size": "full", "learning_rate": "constant"}
    mine = SGDRegressor(**options, eta0=0.3, max_iter=500, tol=None).fit(scaled, B)
    np.testing.assert_allclose(mine.coef_, lasso.coef_, atol=1e-8)
    np.testing.assert_array_equal(mine.coef_ == 0.0, lasso.coef_ == 0.0)
    assert (lasso.coef_ == 0.0).any()


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("penalty", ["l2", "l1"])
@pytest.mark.parametrize("batch", [1, 25])
def test_partial_fits_are_an_epoch(batch, penalty, average):
    options = dict(PLAIN, max_iter=1, batch_size=batch, average=average, penalty=penalty)
    whole = SGDClassifier(**options).fit(X, THREE, sample_weight=W)
    parts = SGDClassifier(**options)
    number = SGDRegressor(**options)
    for start in range(0, 400, 100):
        rows = slice(start, start + 100)
        parts.partial_fit(X[rows], THREE[rows], [0, 1, 2], W[rows])
        number.partial_fit(dask_rows(A[rows], 3), B[rows])
    same(parts, whole)
    same(number, SGDRegressor(**options).fit(A, B))
    assert len(parts.loss_curve_) == 4


def test_partial_fit_is_that_of_scikit_learn():
    # With average, scikit-learn's classifier forgets its intercepts from call to call.
    options = {"loss": "log_loss", "shuffle": False, "alpha": 0.01}
    pair = [kind(**options) for kind in (SGDClassifier, theirs.SGDClassifier)]
    options = {"shuffle": False, "alpha": 0.01, "average": 30}
    numbers = [kind(**options) for kind in (SGDRegressor, theirs.SGDRegressor)]
    for start in range(0, 400, 80):
        rows = slice(start, start + 80)
        for model in pair:
            model.partial_fit(X[rows], THREE[rows], classes=[0, 1, 2])
        for model in numbers:
            model.partial_fit(A[rows], B[rows])
    same(*pair)
    same(*numbers)


def test_partial_fit_goes_on_after_fit_and_warm_start_begins_again():
    options = dict(PLAIN, learning_rate="constant")
    two = SGDClassifier(**dict(options, max_iter=2)).fit(X, Y)
    one = SGDClassifier(**dict(options, max_iter=1)).fit(X, Y).partial_fit(X, Y)
    same_coefficients = [m.coef_.tobytes() for m in (one, two)]
    assert same_coefficients[0] == same_coefficients[1]
    warm = SGDClassifier(**dict(options, max_iter=1, warm_start=True)).fit(X, Y).fit(X, Y)
    assert warm.coef_.tobytes() == two.coef_.tobytes()
    assert warm.t_ == 401.0


@both
@pytest.mark.parametrize("kind", ["fraction", "given"])
def test_early_stopping(model, kind):
    features, y = data_of(model)
    if kind == "given":
        given = {"X_val": dask_rows(features[300:], 3), "y_val": y[300:]}
        features, y = features[:300], y[:300]
    else:
        given = {}
    options = {"early_stopping": True, "tol": 1e-3, "n_iter_no_change": 3, "alpha": 0.01}
    mine = model(**options, eta0=0.001).fit(dask_rows(features, 4), y, **given)
    scores = mine.validation_scores_
    assert mine.converged_ is True
    assert len(scores) == len(mine.loss_curve_) == mine.n_iter_ < 1000
    best = np.maximum.accumulate(scores)
    assert (scores[-3:] < best[-4:-1] + 1e-3).all()
    assert [record.name for record in mine.history_] == ["summary"] + [
        "epoch",
        "validation",
    ] * mine.n_iter_
    if kind == "given":
        assert scores[-1] == pytest.approx(mine.score(given["X_val"], given["y_val"]))
        assert mine.t_ == 1 + 300 * mine.n_iter_
        assert mine.n_passes_ == 1 + mine.n_iter_
    else:
        assert mine.t_ - 1 < 400 * mine.n_iter_
        assert mine.n_passes_ == 1 + 2 * mine.n_iter_
    longer = model(**dict(options, n_iter_no_change=6), eta0=0.001).fit(features, y, **given)
    assert longer.n_iter_ > 3


def test_early_stopping_of_many_classes():
    mine = SGDClassifier(early_stopping=True, alpha=0.01).fit(X, THREE)
    assert mine.validation_scores_.shape == mine.loss_curve_.shape == (mine.n_iter_, 3)
    ended = np.isnan(mine.validation_scores_)
    assert not ended[0].any()
    np.testing.assert_array_equal(ended, np.isnan(mine.loss_curve_))
    np.testing.assert_array_equal(ended, np.maximum.accumulate(ended))


LABELS = {
    "integers": np.array([3, 7]),
    "strings": np.array(["no", "yes"]),
    "booleans": np.array([False, True]),
    "floats": np.array([-1.0, 1.0]),
    "objects": np.array(["a", "b"], dtype=object),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_all_kinds(name):
    labels = LABELS[name][Y]
    plain = SGDClassifier("log_loss", **PLAIN).fit(X, Y)
    mine = SGDClassifier("log_loss", **PLAIN).fit(dask_rows(X, 3), labels)
    assert mine.coef_.tobytes() == plain.coef_.tobytes()
    np.testing.assert_array_equal(mine.classes_, LABELS[name])
    np.testing.assert_array_equal(mine.predict(X), LABELS[name][plain.predict(X)])
    assert mine.score(dask_rows(X, 3), labels) == plain.score(X, Y)
    partial = SGDClassifier("log_loss", **dict(PLAIN, max_iter=1))
    partial.partial_fit(X, labels, classes=LABELS[name])
    assert partial.predict(X).dtype == LABELS[name].dtype


@pytest.mark.parametrize("labels", [Y, THREE], ids=["two", "three"])
@pytest.mark.parametrize("loss", ["log_loss", "modified_huber"])
def test_probabilities_are_those_of_scikit_learn(loss, labels):
    options = dict(PLAIN, loss=loss, learning_rate="constant")
    mine, reference = SGDClassifier(**options).fit(X, labels), theirs.SGDClassifier(**options)
    reference.fit(X, labels)
    np.testing.assert_allclose(mine.predict_proba(X), reference.predict_proba(X), atol=1e-12)
    np.testing.assert_allclose(mine.predict_proba(dask_rows(X, 3)).sum(axis=1), 1.0, rtol=1e-14)
    with np.errstate(divide="ignore"):
        logarithms = np.log(mine.predict_proba(X))
    np.testing.assert_allclose(mine.predict_log_proba(X), logarithms)
    np.testing.assert_array_equal(mine.predict(X), reference.predict(X))
    np.testing.assert_allclose(mine.decision_function(X), reference.decision_function(X), rtol=1e-9)


def test_losses_without_probabilities_say_which_have_some():
    mine = SGDClassifier("hinge").fit(X, Y)
    assert not hasattr(mine, "predict_proba")
    with pytest.raises(AttributeError) as error:
        mine.predict_proba(X)
    assert "expected one of ['log_loss', 'modified_huber']" in str(error.value.__cause__)


PARAMETERS = [
    ("batch_size", 0, "batch_size of .* must be an integer of at least 1, got 0"),
    ("batch_size", "x", "batch_size must be a number of rows or 'full', got 'x'"),
    ("batch_size", 1.5, "batch_size of .* must be an integer"),
    ("loss", "logistic", "Unknown loss 'logistic' of .*expected one of .*'squared_error'"),
    ("penalty", "l3", "Unknown penalty 'l3'.*'elasticnet'"),
    ("eta0", 0.0, "eta0 of .* must be a number above 0 and finite, got 0.0"),
    ("eta0", None, "eta0 of .* must be a number above 0 and finite, got None"),
    ("alpha", -1.0, "alpha of .* must be a number of at least 0"),
    ("max_iter", 0, "max_iter of .* at least 1"), ("tol", -1.0, "tol of .* at least 0"),
    ("average", 0, "average of .* at least 1"), ("average", "yes", "average of .* an integer"),
    ("shuffle", 1, "shuffle of .* must be True or False"), ("power_t", -1.0, "power_t"),
    ("early_stopping", None, "early_stopping of .* must be True or False"),
    ("n_iter_no_change", 0, "n_iter_no_change"), ("random_state", "chance", "random_state"),
    ("epsilon", -1.0, "epsilon"), ("epsilon", np.inf, "epsilon .* finite"),
    ("eta0", np.inf, "eta0 .* finite"), ("power_t", np.inf, "power_t .* finite"),
]  # fmt: skip


@both
@pytest.mark.parametrize("name, value, said", PARAMETERS)
def test_bad_parameters(model, name, value, said):
    features, y = data_of(model)
    with pytest.raises(ValueError, match=said):
        model(**{name: value}).fit(features, y)


@both
def test_bad_combinations(model):
    features, y = data_of(model)
    for options, said in [
        (
            {"learning_rate": "optimal", "alpha": 0.0},
            "'optimal' makes steps of 1 / .alpha t.* alpha",
        ),
        ({"learning_rate": "pa1", "loss": "huber"}, "'pa1' of .* only works with loss="),
        ({"penalty": "elasticnet", "l1_ratio": 2.0}, "l1_ratio of .* at most 1"),
        ({"early_stopping": True, "validation_fraction": 0.0}, "validation_fraction of .* above 0"),
        (
            {"early_stopping": True, "validation_fraction": 1e-9},
            "No row with weight is left for val",
        ),
        ({"early_stopping": True, "validation_fraction": 1}, "above 0 and below 1, got 1"),
        ({"early_stopping": True, "validation_fraction": 0.999999}, "leaves no row to learn"),
    ]:
        with pytest.raises(ValueError, match=said):
            model(**options).fit(features, y)
    with pytest.raises(ValueError, match="X_val was given without y_val"):
        model(early_stopping=True).fit(features, y, X_val=features)
    with pytest.raises(ValueError, match="y_val was given without X_val"):
        model(early_stopping=True).fit(features, y, y_val=y)
    with pytest.raises(ValueError, match="Set early_stopping=True, or do not pass them"):
        model().fit(features, y, X_val=features, y_val=y)
    with pytest.raises(ValueError, match="X has 3 features, but"):
        model(early_stopping=True).fit(features, y, X_val=features[:, :3], y_val=y)
    more = {"classes": [0, 1]} if model is SGDClassifier else {}
    with pytest.raises(ValueError, match="early_stopping=True has no effect on partial_fit"):
        model(early_stopping=True).partial_fit(features, y, **more)


@both
def test_not_finite_is_named(model):
    features, y = data_of(model)
    names = list("abcdef")
    spoiled = features.copy()
    spoiled[311, 2] = np.nan
    for call in ("fit", "partial_fit"):
        more = {"classes": [0, 1]} if (call, model) == ("partial_fit", SGDClassifier) else {}
        with pytest.raises(ValueError, match="X contains NaN at row 311, column 2"):
            getattr(model(), call)(dask_rows(spoiled, 7), y, **more)
        with pytest.raises(ValueError, match=r"X contains NaN at row 311, column 2 \('c'\)"):
            getattr(model(), call)(pd.DataFrame(spoiled, columns=names), y, **more)
    with pytest.raises(ValueError, match="X contains NaN at row 311"):
        model(early_stopping=True).fit(features, y, X_val=spoiled, y_val=y)
    with pytest.raises(ValueError, match="sample_weight must be .* row 3 has weight -1"):
        model().fit(features, y, sample_weight=np.where(np.arange(400) == 3, -1.0, 1.0))


@pytest.mark.filterwarnings("ignore:SGDRegressor was given columns with a spread")
@pytest.mark.parametrize("batch", [1, 10, "full"])
def test_divergence_names_the_step(batch):
    options = {"batch_size": batch, "tol": None, "alpha": 1e-3, "max_iter": 20}
    with pytest.raises(ValueError, match=r"diverged in epoch \d+.*lower eta0 .now 1e.300"):
        SGDRegressor(eta0=1e300, learning_rate="constant", **options).fit(1e3 * A, B)
    model = SGDRegressor(learning_rate="optimal", **options)
    for call in ("fit", "partial_fit"):
        with pytest.warns(ConvergenceWarning, match=r"clipped .* \d+ time.*raise alpha"):
            getattr(model, call)(1e9 * A, B)
        assert model.converged_ is False


def test_an_objective_that_only_grew_is_no_success():
    mine = SGDRegressor(batch_size="full", learning_rate="constant", eta0=1.0)
    with pytest.warns(ConvergenceWarning, match="objective grew from .* to .*lower eta0 .now 1"):
        mine.fit(A, B)
    assert mine.converged_ is False
    assert mine.n_iter_ == 6


def test_partial_fit_says_what_it_needs():
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        SGDClassifier().partial_fit(X, Y)
    mine = SGDClassifier().partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"y holds \[2\], which the first call .*are \[0, 1\]"):
        mine.partial_fit(X, THREE)
    with pytest.raises(ValueError, match="is not the same as on last call|the same as on the last"):
        mine.partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="X has 3 features, but"):
        mine.partial_fit(X[:, :3], Y)
    with pytest.raises(ValueError, match="penalty and average must be of the same kind"):
        mine.set_params(average=True).partial_fit(X, Y)
    with pytest.raises(ValueError, match="class_weight='balanced' needs the labels of all rows"):
        SGDClassifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ValueError, match="class_weight names .7."):
        SGDClassifier(class_weight={7: 1.0}).fit(X, Y)
    with pytest.raises(ValueError, match="needs samples of 2 classes or more"):
        SGDClassifier().fit(X, 0 * Y)
    with pytest.raises(ValueError, match=r"y_val holds \[2\], but y holds \[0, 1\]"):
        SGDClassifier(early_stopping=True).fit(X, Y, X_val=X, y_val=THREE)


@both
def test_a_warning_says_that_epochs_ran_out(model):
    features, y = data_of(model)
    with pytest.warns(ConvergenceWarning, match="stopped after max_iter=2 epochs") as seen:
        mine = model(max_iter=2).fit(features, y)
    assert seen[0].filename == __file__
    assert mine.converged_ is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(max_iter=2, tol=None).fit(features, y)


@both
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("schedule", ["pa1", "pa2"])
def test_passive_aggressive_steps_are_those_of_scikit_learn(schedule, average, model):
    features, y = data_of(model)
    features = np.where(np.arange(len(y))[:, None] % 9 == 0, 0.0, features)  # nothing to step along
    loss = "hinge" if model is SGDClassifier else "epsilon_insensitive"
    options = dict(PLAIN, loss=loss, penalty="l2", learning_rate=schedule, eta0=0.7)
    options["average"] = average
    reference = getattr(theirs, model.__name__)(**options).fit(features, y)
    mine = model(**options).fit(dask_rows(features, 5), y)
    # scikit-learn's means of all updates have some eight digits.
    np.testing.assert_allclose(mine.coef_, reference.coef_, rtol=1e-7)
    np.testing.assert_allclose(mine.intercept_, reference.intercept_, rtol=1e-7)
    options |= {"tol": 1e-3, "max_iter": 500}
    reference = getattr(theirs, model.__name__)(**options).fit(features, y)
    assert model(**options).fit(features, y).n_iter_ == reference.n_iter_ < 500


@both
@pytest.mark.parametrize("batch", [1, 16, "full"])
def test_slopes_are_clipped_where_scikit_learn_clips_them(batch, model):
    features, y = data_of(model)
    features = 1e4 * features + 5e4
    loss = "squared_hinge" if model is SGDClassifier else "squared_error"
    options = dict(PLAIN, loss=loss, penalty="elasticnet", learning_rate="invscaling")
    mine = model(**options, batch_size=batch)
    with pytest.warns(ConvergenceWarning, match="clipped the derivative"):
        mine.fit(features, y)
    assert 1e6 < np.abs(mine.coef_).max() < 1e18
    if batch == 1:
        reference = getattr(theirs, model.__name__)(**options).fit(features, y)
        np.testing.assert_allclose(mine.coef_, reference.coef_, rtol=1e-6)


@both
def test_starts_from_the_parameters_that_are_named(model):
    features, y = data_of(model)
    y = THREE if model is SGDClassifier else y
    n_models = 3 if model is SGDClassifier else 1
    rng = np.random.default_rng(3)
    coef, intercept = rng.normal(size=(n_models, 6)), rng.normal(size=n_models)
    coef = coef if n_models > 1 else coef[0]
    reference = getattr(theirs, model.__name__)(**PLAIN).fit(features, y, +coef, +intercept)
    same(model(**PLAIN).fit(features, y, coef, intercept), reference)
    for name in ("coef_init", "intercept_init"):
        with pytest.raises(ValueError, match=f"{name}.*expected finite numbers of shape"):
            model(**PLAIN).fit(features, y, **{name: np.zeros(7)})
        unknown = np.full(np.shape(coef if name == "coef_init" else intercept), np.nan)
        with pytest.raises(ValueError, match=f"{name}.*with NaN or infinity. Pass such"):
            model(**PLAIN).fit(features, y, **{name: unknown})
    warm = model(**PLAIN, warm_start=True).fit(features, y)
    with pytest.raises(ValueError, match="what the last fit left.*shape"):
        warm.fit(features[:, :4], y)


@both
def test_a_random_state_gives_each_fit_a_seed_of_its_own(model):
    features, y = data_of(model)
    options = dict(PLAIN, shuffle=True, early_stopping=True, tol=1e-3, max_iter=20)
    draws = np.random.RandomState(5)
    first, second = (model(**options, random_state=draws).fit(features, y) for _ in range(2))
    again = model(**options, random_state=np.random.RandomState(5)).fit(features, y)
    assert bits(first) == bits(again) != bits(second)


@both
def test_sparse_coefficients_predict_the_same(model):
    features, y = data_of(model)
    mine = model(**dict(PLAIN, penalty="l1", alpha=0.2)).fit(features, y)
    coef, predicted, score = mine.coef_.copy(), mine.predict(features), mine.score(features, y)
    mine.sparsify()
    assert sparse.issparse(mine.coef_)
    np.testing.assert_array_equal(mine.predict(features), predicted)
    np.testing.assert_array_equal(mine.predict(dask_rows(features, 3)).compute(), predicted)
    assert mine.score(features, y) == score
    mine.partial_fit(features, y)  # needs no coefficients of one kind
    mine.sparsify().densify()
    assert mine.coef_.shape == coef.shape
    with pytest.raises(ValueError, match="not fitted"):
        model().sparsify()
