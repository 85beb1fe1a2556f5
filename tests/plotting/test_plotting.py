"""What the pictures show: the content of axes, not images."""

import sys
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import pytest
import sklearn.linear_model as reference
from matplotlib import pyplot
from tables import regression

from daskdsml.inference import infer
from daskdsml.linear_model import (
    ElasticNetCV,
    LassoCV,
    LinearRegression,
    LogisticRegressionCV,
    RidgeCV,
    lasso_path,
    ridge_path,
)
from daskdsml.plotting import CoefficientPathDisplay, CrossValidationPathDisplay, EffectDisplay

X, Y, _ = regression(120, 6, seed=1)
OUTPUTS = np.column_stack([Y, -2.0 * Y])
ALPHAS = np.array([10.0, 1.0, 0.1])
COEFS = np.array([[0.0, 1.0, 2.0], [0.0, 0.0, -3.0], [0.0, 0.5, 0.5]])
ERRORS = np.array([[4.0, 6.0], [1.0, 2.0], [1.5, 1.7]])


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    pyplot.close("all")


def names_in(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_a_line_for_each_feature():
    shown = CoefficientPathDisplay(ALPHAS, COEFS, ["a", "b", "c"], chosen=1.0)
    assert shown.plot() is shown
    assert len(shown.lines_) == 3
    for line, coef in zip(shown.lines_, COEFS, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), ALPHAS)
        np.testing.assert_array_equal(line.get_ydata(), coef)
    assert shown.ax_.get_xscale() == "log"
    assert shown.ax_.get_xlim() == (10.0, 0.1)
    assert shown.ax_.get_xlabel() == "alpha (log scale; weaker penalty to the right)"
    assert shown.ax_.get_ylabel() == "coefficient"
    assert [text.get_text() for text in shown.texts_] == ["b", "c", "a"]
    assert shown.chosen_line_.get_xdata() == [1.0, 1.0]
    assert names_in(shown.ax_.get_legend()) == ["chosen: alpha = 1"]
    assert shown.figure_ is shown.ax_.figure


def test_alphas_are_sorted_and_zero_is_left_out():
    shown = CoefficientPathDisplay([0.1, 0.0, 10.0, 1.0], COEFS[:, [2, 0, 0, 1]]).plot()
    np.testing.assert_array_equal(shown.lines_[0].get_xdata(), ALPHAS)
    np.testing.assert_array_equal(shown.lines_[1].get_ydata(), COEFS[1])
    assert shown.chosen_line_ is None
    assert shown.ax_.get_legend() is None
    assert CoefficientPathDisplay(ALPHAS, COEFS, chosen=0.0).plot().chosen_line_ is None


@pytest.mark.parametrize("path", [lasso_path, reference.lasso_path, ridge_path])
def test_from_path(path):
    options = {"alphas": ALPHAS} if path is ridge_path else {}
    found = path(X, Y, **options)
    shown = CoefficientPathDisplay.from_path(found, chosen=found[0][1]).plot()
    np.testing.assert_array_equal(shown.lines_[4].get_ydata(), found[1][4])
    assert {text.get_text() for text in shown.texts_} == {f"x{j}" for j in range(6)}


def test_from_a_path_of_many_outputs():
    path = lasso_path(X, OUTPUTS)
    shown = CoefficientPathDisplay.from_path(path, output=1).plot()
    np.testing.assert_array_equal(shown.lines_[0].get_ydata(), path.coefs[1, 0])
    for wrong in (None, 2, -1):
        with pytest.raises(ValueError, match=r"one of 2 outputs: expected output from 0 to 1"):
            CoefficientPathDisplay.from_path(path, output=wrong)


@pytest.mark.parametrize(
    "model", [LassoCV(), ElasticNetCV(l1_ratio=[0.1, 0.9]), RidgeCV()], ids=lambda m: str(m)
)
def test_coefficients_of_an_estimator(model):
    frame = pd.DataFrame(X, columns=list("abcdef"))
    shown = CoefficientPathDisplay.from_estimator(model.fit(frame, Y)).plot()
    assert {text.get_text() for text in shown.texts_} <= set("abcdef")
    assert shown.chosen_line_.get_xdata()[0] == model.alpha_
    where = np.argmin(np.abs(shown.lines_[0].get_xdata() - model.alpha_))
    drawn = [line.get_ydata()[where] for line in shown.lines_]
    np.testing.assert_array_equal(drawn, model.coef_)


def test_ten_largest_are_named_apart_from_each_other():
    rng = np.random.default_rng(0)
    last = np.append(1.0 + 1e-3 * rng.normal(size=12), np.full(20, 0.1))
    shown = CoefficientPathDisplay([1.0, 0.1], np.column_stack([0 * last, last])).plot()
    assert len(shown.texts_) == 10
    named = sorted(int(text.get_text()[1:]) for text in shown.texts_)
    assert named == sorted(np.argsort(-last)[:10])
    shown.figure_.canvas.draw()
    boxes = [text.get_window_extent() for text in shown.texts_]
    for below, above in zip(boxes[:-1], boxes[1:], strict=True):
        assert below.y1 <= above.y0 + 1.0
    page = shown.figure_.bbox
    assert all(box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)
    fewer = CoefficientPathDisplay([1.0, 0.1], np.column_stack([0 * last, last])).plot(n_labels=2)
    assert len(fewer.texts_) == 2


def test_features_that_never_entered_are_not_named():
    shown = CoefficientPathDisplay(ALPHAS, np.zeros((3, 3))).plot()
    assert shown.texts_ == []
    assert len(shown.lines_) == 3


def test_mean_error_and_its_band():
    shown = CrossValidationPathDisplay(ALPHAS, ERRORS, chosen=0.1, chosen_1se=1.0)
    assert shown.plot() is shown
    np.testing.assert_array_equal(shown.line_.get_ydata(), [5.0, 1.5, 1.6])
    corners = shown.band_.get_paths()[0].vertices
    # The standard error of two values is half their distance.
    for alpha, mean, error in zip(ALPHAS, [5.0, 1.5, 1.6], [1.0, 0.5, 0.1], strict=True):
        heights = corners[corners[:, 0] == alpha, 1]
        assert heights.min() == pytest.approx(mean - error)
        assert heights.max() == pytest.approx(mean + error)
    assert shown.chosen_line_.get_xdata() == [0.1, 0.1]
    assert shown.chosen_1se_line_.get_xdata() == [1.0, 1.0]
    assert names_in(shown.ax_.get_legend()) == [
        "mean of 2 folds",
        "± 1 standard error",
        "chosen: alpha = 0.1",
        "one standard error: alpha = 1",
    ]
    assert shown.ax_.get_xlim() == (10.0, 0.1)
    assert "mean squared error" in shown.ax_.get_ylabel()


def test_one_fold_has_no_band():
    shown = CrossValidationPathDisplay(ALPHAS, ERRORS[:, :1]).plot()
    assert shown.band_ is None
    assert shown.chosen_line_ is None
    assert shown.chosen_1se_line_ is None
    leave_one_out = CrossValidationPathDisplay.from_estimator(RidgeCV().fit(X, Y)).plot()
    assert leave_one_out.band_ is None
    assert leave_one_out.chosen_1se is None


def test_one_line_where_the_rules_agree():
    shown = CrossValidationPathDisplay(ALPHAS, ERRORS, chosen=1.0, chosen_1se=1.0).plot()
    assert shown.chosen_1se_line_ is None
    assert "chosen, one standard error: alpha = 1" in names_in(shown.ax_.get_legend())


def test_a_single_alpha_is_drawn():
    shown = CrossValidationPathDisplay([1.0], ERRORS[:1], chosen=1.0).plot()
    assert shown.ax_.get_xlim() == (2.0, 0.5)


ESTIMATORS = [
    LassoCV(),
    LassoCV(rule="1se"),
    ElasticNetCV(l1_ratio=[0.1, 0.5, 0.9]),
    ElasticNetCV(l1_ratio=[0.1, 0.5, 0.9], alphas=ALPHAS),
    RidgeCV(cv=5, scoring="neg_mean_squared_error"),
    reference.LassoCV(),
    reference.ElasticNetCV(l1_ratio=[0.1, 0.5, 0.9]),
    reference.ElasticNetCV(l1_ratio=[0.1, 0.5, 0.9], alphas=ALPHAS),
]


@pytest.mark.parametrize("model", ESTIMATORS, ids=lambda m: f"{type(m).__module__}-{m}")
def test_errors_of_an_estimator(model):
    shown = CrossValidationPathDisplay.from_estimator(model.fit(X, Y)).plot()
    mean, alphas = shown.line_.get_ydata(), shown.line_.get_xdata()
    assert mean.min() == pytest.approx(np.mean(model.mse_path_, axis=-1).min())
    best = int(np.argmin(mean))
    error = shown.mse_path.std(axis=1, ddof=1)[best] / np.sqrt(shown.mse_path.shape[1])
    assert shown.chosen_1se == alphas[np.flatnonzero(mean <= mean[best] + error)[0]]
    if getattr(model, "rule", "min") == "min":
        assert model.alpha_ == alphas[best]
    assert shown.chosen_line_.get_xdata()[0] == model.alpha_


def closeness(model, X, y):
    return -np.mean(np.abs(np.asarray(model.predict(X)) - y))


@pytest.mark.parametrize(
    "scoring, name",
    [(None, "r2"), ("r2", "r2"), ("neg_max_error", "neg_max_error"), (closeness, "closeness")],
)
def test_the_score_that_a_ridge_was_chosen_by(scoring, name):
    # By its squared errors another alpha would be best: the folds differ in how y spreads.
    y = Y * np.geomspace(1.0, 50.0, len(Y))
    model = RidgeCV(np.geomspace(1e-2, 1e4, 13), cv=4, scoring=scoring).fit(X, y)
    shown = CrossValidationPathDisplay.from_estimator(model).plot()
    mean, alphas = shown.line_.get_ydata(), shown.line_.get_xdata()
    assert shown.ax_.get_ylabel() == f"{name} on left-out rows"
    assert mean.max() == pytest.approx(model.best_score_)
    assert shown.chosen_line_.get_xdata()[0] == model.alpha_ == alphas[mean.argmax()]
    assert shown.chosen_1se == model.alpha_1se_
    folds = np.array_split(np.arange(len(y)), 4)
    if name == "r2":
        theirs = [
            reference.Ridge(model.alpha_)
            .fit(np.delete(X, fold, axis=0), np.delete(y, fold))
            .score(X[fold], y[fold])
            for fold in folds
        ]
        assert mean.max() == pytest.approx(np.mean(theirs))
        assert model.mse_path_.mean(axis=1).argmin() != mean.argmax()


def test_the_score_of_rows_left_out_in_turn():
    model = RidgeCV(scoring="neg_mean_absolute_error").fit(X, OUTPUTS)
    shown = CrossValidationPathDisplay.from_estimator(model).plot()
    assert shown.ax_.get_ylabel() == "neg_mean_absolute_error on left-out rows"
    assert shown.line_.get_ydata().max() == model.best_score_
    assert shown.band_ is None
    shown = CrossValidationPathDisplay.from_estimator(RidgeCV().fit(X, OUTPUTS)).plot()
    assert shown.ax_.get_ylabel() == "mean squared error on left-out rows"


def test_one_output_of_those_with_an_alpha_each():
    outputs = np.column_stack([Y, np.random.default_rng(0).normal(size=len(Y))])
    model = RidgeCV(np.geomspace(1e-3, 1e3, 7), alpha_per_target=True).fit(X, outputs)
    assert model.alpha_[0] != model.alpha_[1]
    for output, (alpha, score) in enumerate(zip(model.alpha_, model.best_score_, strict=True)):
        shown = CrossValidationPathDisplay.from_estimator(model, output=output).plot()
        assert shown.line_.get_ydata().max() == score
        assert shown.chosen_line_.get_xdata()[0] == alpha
        shown = CoefficientPathDisplay.from_estimator(model, output=output).plot()
        assert shown.chosen_line_.get_xdata()[0] == alpha
    for display in (CrossValidationPathDisplay, CoefficientPathDisplay):
        with pytest.raises(ValueError, match="one of 2 outputs: expected output from 0 to 1"):
            display.from_estimator(model)


@pytest.mark.parametrize("kind", [LogisticRegressionCV, reference.LogisticRegressionCV])
def test_accuracy_where_classifiers_name_no_score(kind):
    options = {"Cs": [0.1, 1.0], "l1_ratios": (0.0,), "use_legacy_attributes": False}
    model = kind(**options, scoring=None).fit(X, Y > 0)
    shown = CrossValidationPathDisplay.from_estimator(model).plot()
    assert shown.ax_.get_ylabel() == "accuracy on left-out rows"


LABELS = np.digitize(Y, np.quantile(Y, [0.3, 0.7]))
LOGISTIC = {"Cs": [100.0, 1.0, 0.01], "l1_ratios": (0.0, 1.0), "scoring": "neg_log_loss"}


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegressionCV(**LOGISTIC),
        LogisticRegressionCV(**LOGISTIC, rule="1se"),
        reference.LogisticRegressionCV(
            **{**LOGISTIC, "l1_ratios": (0.0,)}, solver="newton-cholesky",
            use_legacy_attributes=False,
        ),
    ],
    ids=lambda m: f"{type(m).__module__}-{m}",
)  # fmt: skip
def test_scores_of_an_estimator(model):
    shown = CrossValidationPathDisplay.from_estimator(model.fit(X, LABELS)).plot()
    assert shown.ax_.get_xlim() == (0.01, 100.0)
    assert shown.ax_.get_xlabel() == "C (log scale; weaker penalty to the right)"
    assert shown.ax_.get_ylabel() == "neg_log_loss on left-out rows"
    np.testing.assert_array_equal(shown.line_.get_xdata(), [0.01, 1.0, 100.0])
    means = model.scores_.mean(axis=0)[:, np.argsort(model.Cs_)]
    best = int(means.max(axis=1).argmax())
    np.testing.assert_allclose(shown.line_.get_ydata(), means[best])
    others = np.delete(means, best, axis=0)
    for line, other in zip(shown.other_lines_, others, strict=True):
        np.testing.assert_allclose(line.get_ydata(), other)
    spread = model.scores_[:, best].std(axis=0, ddof=1) / np.sqrt(5)
    where = int(means[best].argmax())
    corners = shown.band_.get_paths()[0].vertices
    heights = corners[corners[:, 0] == shown.line_.get_xdata()[where], 1]
    error = spread[np.argsort(model.Cs_)][where]
    assert heights.max() == pytest.approx(means[best].max() + error)
    near = np.flatnonzero(means[best] >= means[best].max() - error)[0]
    assert shown.chosen_1se == [0.01, 1.0, 100.0][near]
    assert shown.chosen_line_.get_xdata()[0] == model.C_
    named = names_in(shown.ax_.get_legend())
    assert named[-1].endswith(f"C = {shown.chosen_1se:g}")
    assert ("l1_ratio = 0" in named) == (len(means) > 1)


def test_a_single_inverse_strength_is_drawn():
    shown = CrossValidationPathDisplay([1.0], ERRORS[:1], chosen=1.0, strength="C").plot()
    assert shown.ax_.get_xlim() == (0.5, 2.0)
    assert shown.other_lines_ == []


def test_coefficients_of_classes():
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = LogisticRegressionCV(**LOGISTIC).fit(frame, LABELS)
    shown = CoefficientPathDisplay.from_estimator(model, output=2).plot()
    ratio = list(model.l1_ratios_).index(model.l1_ratio_)
    for j, line in enumerate(shown.lines_):
        np.testing.assert_array_equal(line.get_xdata(), [0.01, 1.0, 100.0])
        exact = model.coefs_paths_[:, ratio, :, 2, j].mean(axis=0)
        np.testing.assert_allclose(line.get_ydata(), exact)
    assert shown.ax_.get_xlim() == (0.01, 100.0)
    assert names_in(shown.ax_.get_legend()) == [f"chosen: C = {model.C_:g}"]
    with pytest.raises(ValueError, match="one of 3 outputs: expected output from 0 to 2"):
        CoefficientPathDisplay.from_estimator(model)
    model.fit(frame, LABELS > 0)
    shown = CoefficientPathDisplay.from_estimator(model).plot()
    assert {text.get_text() for text in shown.texts_} == set("abcdef")


def test_effects():
    names = ["a", "b", "c"]
    limits = np.array([[0.5, 1.5], [-2.5, 1.0], [np.nan, np.nan]])
    shown = EffectDisplay(names, [1.0, -1.0, np.nan], limits, level=0.9)
    assert shown.plot() is shown
    np.testing.assert_array_equal(shown.points_.get_xdata(), [1.0, -1.0, np.nan])
    segments = shown.intervals_.get_segments()
    np.testing.assert_array_equal(segments[0], [[0.5, 0.0], [1.5, 0.0]])
    np.testing.assert_array_equal(segments[1], [[-2.5, 1.0], [1.0, 1.0]])
    assert [tick.get_text() for tick in shown.ax_.get_yticklabels()] == names
    low, high = shown.ax_.get_ylim()
    assert low > 2.0 and high < 0.0
    assert shown.zero_line_.get_xdata() == [0.0, 0.0]
    assert shown.ax_.get_xlabel() == "coefficient, with 90 % confidence interval"


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.7, 1.9, ["0.8", "1", "1.2", "1.4", "1.6", "1.8"]),
        (0.2, 4.0, ["0.2", "0.5", "1", "2"]),
        (1e-4, 2e3, None),
    ],
)
def test_ratios_have_plain_numbers(low, high, labels):
    shown = EffectDisplay(["a"], [1.0], [[low, high]], ratio="odds ratio").plot()
    left, right = shown.ax_.get_xlim()
    ticks = shown.ax_.get_xticks()
    inside = (left <= ticks) & (ticks <= right)
    texts = [t.get_text() for t, i in zip(shown.ax_.get_xticklabels(), inside, strict=True) if i]
    assert len(texts) > 3
    if labels is None:
        assert all(text.startswith("$") for text in texts)  # powers of ten
    else:
        assert texts == labels


@pytest.mark.parametrize("intercept", [True, False])
def test_effects_of_a_result(intercept):
    names = ["(Intercept)", "a", "b"][not intercept :]
    coef = np.array([9.0, 1.0, 2.0])[not intercept :]
    result = SimpleNamespace(
        names=names, coef=coef, conf_int=np.column_stack([coef - 1, coef + 1]), level=0.95
    )
    shown = EffectDisplay.from_result(result).plot()
    np.testing.assert_array_equal(shown.points_.get_xdata(), [1.0, 2.0])
    shown = EffectDisplay.from_result(result, include_intercept=True).plot()
    np.testing.assert_array_equal(shown.points_.get_xdata(), coef)
    assert "95 %" in shown.ax_.get_xlabel()


def test_effects_of_an_inference():
    frame = pd.DataFrame(X, columns=list("abcdef"))
    result = infer(LinearRegression().fit(frame, Y), frame, Y, level=0.99)
    shown = EffectDisplay.from_result(result).plot()
    assert [tick.get_text() for tick in shown.ax_.get_yticklabels()] == list("abcdef")
    np.testing.assert_array_equal(shown.points_.get_xdata(), result.coef[1:])
    ends = [segment[:, 0] for segment in shown.intervals_.get_segments()]
    np.testing.assert_array_equal(ends, result.conf_int[1:])
    assert "99 %" in shown.ax_.get_xlabel()


DISPLAYS = [
    CoefficientPathDisplay(ALPHAS, COEFS),
    CrossValidationPathDisplay(ALPHAS, ERRORS),
    EffectDisplay(["a"], [1.0], [[0.0, 2.0]]),
]
every_display = pytest.mark.parametrize("shown", DISPLAYS, ids=lambda d: type(d).__name__)


@every_display
def test_drawn_on_axes_of_the_user(shown):
    figure, (left, right) = pyplot.subplots(1, 2)
    assert shown.plot(ax=right).ax_ is right
    assert shown.figure_ is figure
    assert not left.lines
    assert pyplot.get_fignums() == [figure.number]


@every_display
def test_without_matplotlib_the_extra_is_named(shown, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'daskdsml\[plot\]'"):
        shown.plot()


def test_importing_the_pictures_does_not_import_matplotlib():
    from test_architecture import imported_after

    assert "matplotlib" not in imported_after("import daskdsml.plotting")


BAD = {
    "names": (CoefficientPathDisplay(ALPHAS, COEFS, ["a"]), "holds 1 names, but coefs has 3"),
    "outputs": (CoefficientPathDisplay(ALPHAS, COEFS[None]), "one output at a time"),
    "length": (CoefficientPathDisplay(ALPHAS[:2], COEFS), r"shape \(2,\) and there are \[3\]"),
    "no alpha": (CoefficientPathDisplay([0.0], COEFS[:, :1]), "No alpha is above 0"),
    "ratios": (CrossValidationPathDisplay(ALPHAS, ERRORS[None]), "errors of one l1_ratio"),
    "others": (
        CrossValidationPathDisplay(ALPHAS, ERRORS, others={0.5: [1.0]}),
        r"there are \[3, 1\]",
    ),
    "grid": (CrossValidationPathDisplay([ALPHAS], ERRORS), r"shape \(1, 3\)"),
    "limits": (EffectDisplay(["a"], [1.0], [0.0, 2.0]), r"conf_int \(q, 2\)"),
    "coef": (EffectDisplay(["a", "b"], [1.0], np.zeros((2, 2))), "got 2 names"),
    "nothing": (EffectDisplay([], [], np.zeros((0, 2))), "at least one name"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused(name):
    shown, said = BAD[name]
    with pytest.raises(ValueError, match=said):
        shown.plot()
    assert pyplot.get_fignums() == []


def test_estimators_without_a_path_are_refused():
    model = reference.LinearRegression().fit(X, Y)
    with pytest.raises(ValueError, match="LinearRegression holds no coef_path_. Fit a LassoCV"):
        CoefficientPathDisplay.from_estimator(model)
    with pytest.raises(ValueError, match="LinearRegression holds no alphas_ and mse_path_"):
        CrossValidationPathDisplay.from_estimator(model)
