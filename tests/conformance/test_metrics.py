"""Every metric: scikit-learn's number however the rows are cut, and what it says of bad rows."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn import metrics as reference
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from daskdsml.utils import registry

NAMES = registry.available("metrics")
EVERY = pytest.mark.parametrize("name", NAMES)
RANKED = pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
N = 503


def metric_of(name, **options):
    return registry.find("metrics", name)(**options)


class FixedPredictions(ClassifierMixin, BaseEstimator):
    """A classifier whose answer for a row is what it was given: X holds numbers of rows."""

    def __init__(self, predicted=None, n_classes=2):
        self.predicted = predicted
        self.n_classes = n_classes

    def fit(self, X, y):
        self.classes_ = np.arange(self.n_classes)
        return self

    def predict(self, X):
        return self.predicted[X[:, 0]]

    def predict_proba(self, X):
        return self.predicted[X[:, 0]]

    def decision_function(self, X):
        return self.predicted[X[:, 0]]


class FixedRegression(RegressorMixin, FixedPredictions):
    """The same for a regression."""


class OnlyScores(FixedPredictions):
    predict_proba = property()


def rows(needs, n_classes=2, n=N, seed=0):
    """Targets and what a metric needs, with ties among scores, and weights of which some are 0."""
    rng = np.random.default_rng([seed, n_classes])
    w = rng.uniform(0.1, 3.0, size=n) * (rng.random(n) > 0.1)
    if needs == "predictions":
        y = rng.gamma(2.0, size=n)
        return y, y * rng.uniform(0.5, 2.0, size=n), w
    y = rng.integers(0, n_classes, size=n)
    if needs == "labels":
        return y, np.where(rng.random(n) < 0.6, y, rng.integers(0, n_classes, size=n)), w
    if needs == "scores":
        return y, np.round(y + rng.normal(size=n), 1), w
    p = rng.dirichlet(np.ones(n_classes), size=n)
    p[0], p[1] = np.eye(n_classes)[0], np.eye(n_classes)[1]
    return y, p, w


def counted(metric, y, predicted, w, borders, n_classes=2):
    """The sum over the pieces between ``borders``."""
    pieces = [slice(a, b) for a, b in zip([0, *borders], [*borders, len(y)], strict=True)]
    total = None
    for piece in pieces:
        part = metric.count(y[piece], predicted[piece], None if w is None else w[piece], n_classes)
        total = part if total is None else total + part
    return total


def theirs(name, needs, y, predicted, w, n_classes=2):
    model = {"predictions": FixedRegression, "scores": OnlyScores}.get(needs, FixedPredictions)(
        predicted, n_classes
    )
    X = np.arange(len(y))[:, None]
    return reference.get_scorer(name)(model.fit(X, y), X, y, sample_weight=w)


@EVERY
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("borders", [(), (200,), (1, 90, 90, 300, 301, 450), (0, N)], ids=str)
def test_is_scikit_learns_however_rows_are_cut(name, weighted, borders):
    metric = metric_of(name)
    y, predicted, w = rows(metric.needs)
    w = w if weighted else None
    ours = metric.value(counted(metric, y, predicted, w, borders))
    assert isinstance(ours, float)
    assert ours == pytest.approx(theirs(name, metric.needs, y, predicted, w), rel=1e-12)


@pytest.mark.parametrize(
    "name", [n for n in NAMES if metric_of(n).needs in ("probabilities", "labels")]
)
def test_many_classes(name):
    metric = metric_of(name)
    y, predicted, w = rows(metric.needs, n_classes=4)
    if name in ("f1", "precision", "recall"):
        with pytest.raises(ValueError, match=f"two classes, but there are 4. Use '{name}_macro'"):
            metric.count(y, predicted, w, 4)
        return
    ours = metric.value(counted(metric, y, predicted, w, (10, 200), n_classes=4))
    assert ours == pytest.approx(theirs(name, metric.needs, y, predicted, w, 4), rel=1e-12)


@EVERY
def test_integer_weights_are_repeated_rows(name):
    metric = metric_of(name)
    y, predicted, _ = rows(metric.needs)
    times = np.random.default_rng(5).integers(0, 4, size=N)
    once = metric.value(metric.count(y, predicted, times.astype(float), 2))
    many = metric.value(
        metric.count(np.repeat(y, times), np.repeat(predicted, times, axis=0), None, 2)
    )
    assert once == pytest.approx(many, rel=1e-12)


@EVERY
def test_better_predictions_score_higher(name):
    metric = metric_of(name)
    y, predicted, w = rows(metric.needs)
    right = {
        "predictions": y,
        "labels": y,
        "scores": y.astype(float),
        "probabilities": np.eye(2)[(y > 0).astype(int)],
    }[metric.needs]
    assert metric.value(metric.count(y, right, w, 2)) > metric.value(
        metric.count(y, predicted, w, 2)
    )


@EVERY
def test_no_rows(name):
    metric = metric_of(name)
    y, predicted, w = rows(metric.needs)
    with pytest.raises(ValueError, match="row.* of positive weight"):
        metric.value(counted(metric, y[:0], predicted[:0], None, (0,)))
    with pytest.raises(ValueError, match="row.* of positive weight"):
        metric.value(metric.count(y, predicted, 0.0 * w, 2))


@EVERY
def test_survives_pickling(name):
    metric = metric_of(name)
    total = metric.count(*rows(metric.needs), 2)
    assert pickle.loads(pickle.dumps(metric)) == metric
    assert metric.value(pickle.loads(pickle.dumps(total))) == metric.value(total)


@pytest.mark.parametrize("name", [n for n in NAMES if metric_of(n).needs != "predictions"])
@pytest.mark.parametrize("only", [0, 1])
def test_a_class_without_rows(name, only):
    metric = metric_of(name)
    _, predicted, w = rows(metric.needs)
    y = np.full(N, only)
    missing = {"roc_auc": 1 - only, "average_precision": 1, "recall": 1, "f1": 1}.get(name, only)
    total = metric.count(y, predicted, w, 2)
    if missing != only:
        with pytest.raises(ValueError, match=f"needs rows of class {missing} .*stratified"):
            metric.value(total)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of predicted classes that are not met
        if metric.needs == "probabilities":
            expected = expected_of_one_class(name, y, predicted, w)
        else:
            expected = theirs(name, metric.needs, y, predicted, w)
    assert metric.value(total) == pytest.approx(expected, rel=1e-12)


def expected_of_one_class(name, y, predicted, w):
    """scikit-learn's function with all labels, which its scorer does not pass on."""
    if name == "neg_log_loss":
        return -reference.log_loss(y, predicted, sample_weight=w, labels=[0, 1])
    return -reference.brier_score_loss(y, predicted, sample_weight=w, labels=[0, 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_clips_as_scikit_learn_does(dtype):
    p = np.array([[1.0, 0.0], [0.0, 1.0], [0.25, 0.75]], dtype=dtype)
    y = np.array([1, 1, 0])
    metric = metric_of("neg_log_loss")
    ours = metric.value(metric.count(y, p, None, 2))
    assert ours == pytest.approx(-reference.log_loss(y, p), rel=1e-6)


def test_r2_of_a_constant_target():
    metric = metric_of("r2")
    y = np.full(5, 3.0)
    assert metric.value(metric.count(y, y, None, 0)) == 1.0
    assert metric.value(metric.count(y, y + [0, 0, 1, 0, 0], None, 0)) == 0.0


def test_r2_far_from_zero():
    metric = metric_of("r2")
    y, predicted, _ = rows("predictions")
    shifted = counted(metric, y + 1e9, predicted + 1e9, None, (100, 101, 300))
    assert metric.value(shifted) == pytest.approx(reference.r2_score(y, predicted), rel=1e-6)


@pytest.mark.parametrize(
    "name, y, predicted, what",
    [
        ("neg_mean_poisson_deviance", 1.0, 0.0, "predictions above 0, got 0"),
        ("neg_mean_poisson_deviance", -1.0, 1.0, "y of at least 0, got -1"),
        ("neg_mean_gamma_deviance", 1.0, -2.0, "predictions above 0, got -2"),
        ("neg_mean_gamma_deviance", 0.0, 1.0, "y above 0, got 0"),
    ],
)
def test_deviances_refuse_what_has_none(name, y, predicted, what):
    with pytest.raises(ValueError, match=f"{name}.*{what}"):
        metric_of(name).count(np.array([1.0, y]), np.array([1.0, predicted]), None, 0)


def test_poisson_deviance_of_zero_counts():
    y, predicted = np.array([0.0, 2.0, 0.0]), np.array([0.5, 1.0, 3.0])
    metric = metric_of("neg_mean_poisson_deviance")
    ours = metric.value(metric.count(y, predicted, None, 0))
    assert ours == pytest.approx(-reference.mean_poisson_deviance(y, predicted), rel=1e-12)


def many_scores(kind, n=200_000):
    rng = np.random.default_rng(3)
    y = (rng.random(n) < 0.3).astype(int)
    z = rng.normal(size=n) + y
    scores = {
        "raw": z,
        "probabilities": 1.0 / (1.0 + np.exp(-z)),
        "rare": 1.0 / (1.0 + np.exp(12.0 - z)),
        "narrow": 0.5 + 1e-9 * z,
        "negative": -np.exp(z[::-1] - z),
        "wide": np.sign(z) * np.exp(40.0 * np.abs(z)),
    }
    return y, scores[kind]


@RANKED
@pytest.mark.parametrize("kind", ["raw", "probabilities", "rare", "narrow", "negative", "wide"])
def test_above_the_limit_errors_are_below_the_stated_bound(name, kind):
    y, scores = many_scores(kind)
    exact = metric_of(name, most=len(y))
    kept = exact.count(y, scores, None, 2)
    assert exact.error(kept) == 0.0
    score = {"roc_auc": reference.roc_auc_score}.get(name, reference.average_precision_score)
    truth = score(y, scores)
    assert exact.value(kept) == pytest.approx(truth, rel=1e-12)
    for most in (2, 50, 2**10, 2**14):
        metric = metric_of(name, most=most)
        total = metric.count(y, scores, None, 2)
        assert most / 2 < len(total.keys) <= most
        assert abs(metric.value(total) - truth) <= metric.error(total)
    off, bound = {"roc_auc": (5e-7, 2e-4), "average_precision": (2e-4, 1e-3)}[name]
    assert abs(metric.value(total) - truth) < off
    assert metric.error(total) < bound


@RANKED
def test_above_the_limit_chunks_and_order_change_nothing(name):
    y, scores = many_scores("raw")
    metric = metric_of(name, most=1000)
    whole = metric.count(y, scores, None, 2)
    order = np.random.default_rng(4).permutation(len(y))
    for borders in ((70_000, 70_000, 70_001), range(500, len(y), 997)):
        for mixed in (slice(None), order):
            total = counted(metric, y[mixed], scores[mixed], None, [*borders])
            assert total.dropped == whole.dropped
            np.testing.assert_array_equal(total.keys, whole.keys)
            np.testing.assert_array_equal(total.sums, whole.sums)


def test_kept_scores_are_the_scores():
    scores = np.array([-np.inf, -1e300, -2.5, -1e-310, -0.0, 0.0, 1e-310, 0.25, 1e300, np.inf])
    total = metric_of("roc_auc").count(np.arange(10) % 2, scores, None, 2)
    np.testing.assert_array_equal(total.scores(), np.unique(scores))
    np.testing.assert_array_equal(total.sums.sum(axis=1), [1, 1, 1, 1, 2, 1, 1, 1, 1])


def test_a_cell_is_named_by_its_lower_end():
    y, scores = many_scores("raw", 5000)
    total = metric_of("roc_auc", most=40).count(y, scores, None, 2)
    assert total.dropped > 0
    ends = total.scores()
    above = [(scores >= end).sum() for end in ends]
    np.testing.assert_array_equal(above, np.cumsum(total.sums[::-1].sum(axis=1))[::-1])


def test_a_limit_that_keeps_nothing():
    with pytest.raises(ValueError, match="at least 2 distinct scores, got most=1"):
        metric_of("roc_auc", most=1).count(np.array([0, 1]), np.array([0.0, 1.0]), None, 2)


@RANKED
def test_ranks_are_for_two_classes(name):
    with pytest.raises(ValueError, match="two classes, but there are 3"):
        metric_of(name).count(np.array([0, 1, 2]), np.zeros(3), None, 3)
