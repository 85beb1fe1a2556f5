"""Metadata routing: groups go to splitters, weights to scorers, as scikit-learn hands them on."""

import numpy as np
import pytest
import sklearn
import sklearn.linear_model as theirs
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.metrics import get_scorer
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, cross_validate
from tables import dask_rows

import daskdsml.linear_model as ours

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
Y = X @ [1.0, 0.5, 0.0, 0.0] + RNG.normal(size=90)
LABELS = (Y > 0).astype(int)
W = RNG.uniform(0.2, 3.0, size=90)
GROUPS = RNG.integers(0, 6, size=90)
LOGISTIC = {"Cs": [0.01, 1.0], "l1_ratios": (0.0,), "use_legacy_attributes": False}
MODELS = {
    "LassoCV": {"alphas": [0.5, 0.1, 0.01], "tol": 1e-10},
    "ElasticNetCV": {"alphas": [0.5, 0.1, 0.01], "tol": 1e-10},
    "RidgeCV": {"alphas": [0.1, 10.0, 100.0]},
    "LogisticRegressionCV": {**LOGISTIC, "scoring": "neg_log_loss", "tol": 1e-9},
}
every_model = pytest.mark.parametrize("name", MODELS)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def made(module, name, **options):
    return getattr(module, name)(**{**MODELS[name], **options})


@every_model
@pytest.mark.parametrize("n_blocks", [None, 4])
@pytest.mark.parametrize("cv", [GroupKFold(3), LeaveOneGroupOut()])
def test_groups_reach_the_splitter(name, n_blocks, cv, routing):
    y = LABELS if name == "LogisticRegressionCV" else Y
    parts = X, y, GROUPS
    A, t, groups = parts if n_blocks is None else (dask_rows(part, n_blocks) for part in parts)
    mine = made(ours, name, cv=cv).fit(A, t, groups=groups)
    their = made(theirs, name, cv=cv).fit(X, y, groups=GROUPS)
    for attribute in ("alpha_", "C_", "best_score_", "mse_path_", "scores_"):
        if hasattr(their, attribute):
            found, right = getattr(mine, attribute), getattr(their, attribute)
            np.testing.assert_allclose(found, right, rtol=1e-5)
    np.testing.assert_allclose(mine.coef_, their.coef_, rtol=1e-4, atol=1e-6)


@every_model
def test_groups_need_routing(name):
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        made(ours, name, cv=GroupKFold(3)).fit(X, LABELS, groups=GROUPS)


@every_model
def test_what_nobody_asks_for_is_refused(name, routing):
    with pytest.raises(TypeError, match="colours"):
        made(ours, name, cv=3).fit(X, LABELS, colours=GROUPS)


@every_model
def test_requests_are_those_of_scikit_learn(name, routing):
    found = [
        made(module, name, cv=GroupKFold(3)).set_fit_request(sample_weight=True)
        for module in (ours, theirs)
    ]
    asked = [model.get_metadata_routing() for model in found]
    for caller in ("fit", "score"):
        wanted = [router.consumes(caller, ["groups", "sample_weight"]) for router in asked]
        assert wanted[0] == wanted[1]


@pytest.mark.parametrize("name", ["RidgeCV", "LogisticRegressionCV"])
@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", "r2", "neg_log_loss", "accuracy"])
@pytest.mark.parametrize("weighted", [True, False])
def test_scores_weigh_rows_where_the_scorer_asks_for_it(name, scoring, weighted, routing):
    classes = name == "LogisticRegressionCV"
    if classes != (scoring in ("neg_log_loss", "accuracy")):
        return
    y = LABELS if classes else Y
    scorer = get_scorer(scoring).set_score_request(sample_weight=weighted)
    mine, their = (
        made(module, name, cv=3, scoring=scorer).fit(X, y, sample_weight=W)
        for module in (ours, theirs)
    )
    attribute = "scores_" if classes else "best_score_"
    np.testing.assert_allclose(getattr(mine, attribute), getattr(their, attribute), rtol=1e-5)


def test_a_scorer_that_was_not_asked(routing):
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        ours.RidgeCV(cv=3, scoring="r2").fit(X, Y, sample_weight=W)


def test_weights_pass_through_a_search(routing):
    model = ours.LassoCV(cv=GroupKFold(3)).set_fit_request(sample_weight=True)
    model.set_score_request(sample_weight=True)
    params = {"sample_weight": W, "groups": GROUPS}
    found = cross_validate(model, X, Y, cv=GroupKFold(3), params=params, error_score="raise")
    assert found["test_score"].shape == (3,)


@every_model
def test_routing_of_nothing_changes_nothing(name):
    y = LABELS if name == "LogisticRegressionCV" else Y
    plain = made(ours, name, cv=3).fit(X, y)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = made(ours, name, cv=3).fit(X, y)
    np.testing.assert_array_equal(routed.coef_, plain.coef_)
