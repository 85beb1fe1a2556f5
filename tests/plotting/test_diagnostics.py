"""Displays of classifiers: scikit-learn's curves, from one read, however the rows are cut."""

import sys

import matplotlib

matplotlib.use("Agg")

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import sklearn.linear_model as reference
from matplotlib import pyplot
from scipy import sparse
from scipy.stats import binomtest
from sklearn import metrics
from sklearn.calibration import calibration_curve
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from tables import Source, classes

from daskdsml.linear_model import LinearRegression, LogisticRegression
from daskdsml.passes.calibration import Calibration
from daskdsml.plotting import CalibrationDisplay, PrecisionRecallDisplay, RocCurveDisplay

X, Y, W = classes(600, 5, seed=7)
LABELS = np.array(["no", "yes"])[Y]
MODEL = LogisticRegression().fit(X, Y)
P = MODEL.predict_proba(X)[:, 1]
RNG = np.random.default_rng(0)
THREE = np.array(["a", "b", "c"])[
    np.clip(np.round(X[:, 0] + 3 + RNG.normal(size=600)), 0, 2).astype(int)
]
MULTI = reference.LogisticRegression().fit(X, THREE)
DISPLAYS = [RocCurveDisplay, PrecisionRecallDisplay, CalibrationDisplay]
EVERY = pytest.mark.parametrize("display", DISPLAYS)
CURVES = {
    RocCurveDisplay: ("fpr", "tpr", "roc_auc", "thresholds"),
    PrecisionRecallDisplay: ("precision", "recall", "average_precision", "thresholds"),
    CalibrationDisplay: ("prob_true", "prob_pred", "n_effective", "histogram"),
}


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    pyplot.close("all")


def assert_same(a, b, rtol=1e-12):
    """Both displays show the same curve or curves."""
    for name in CURVES[type(a)]:
        left, right = getattr(a, name), getattr(b, name)
        if not isinstance(left, list):
            left, right = [left], [right]
        for one, other in zip(left, right, strict=True):
            np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-14)


def in_chunks(*parts, rows=170):
    return [da.from_array(part, chunks=(rows, *part.shape[1:])) for part in parts]


def legend_of(shown):
    return [text.get_text() for text in shown.ax_.get_legend().get_texts()]


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("w", [None, np.round(W)], ids=["unweighted", "weighted"])
def test_roc_is_scikit_learns(drop, w):
    shown = RocCurveDisplay.from_estimator(MODEL, X, Y, sample_weight=w, drop_intermediate=drop)
    expected = metrics.roc_curve(Y, P, sample_weight=w, drop_intermediate=drop)
    for ours, theirs in zip((shown.fpr, shown.tpr, shown.thresholds), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    auc = metrics.roc_auc_score(Y, P, sample_weight=w)
    assert shown.roc_auc == pytest.approx(auc, rel=1e-12)
    assert shown.roc_auc_error == 0.0
    assert shown.pos_label == 1
    np.testing.assert_array_equal(shown.line_.get_xdata(), shown.fpr)
    np.testing.assert_array_equal(shown.line_.get_ydata(), shown.tpr)
    assert legend_of(shown) == [f"LogisticRegression (AUC = {auc:.2f})", "Chance level (AUC = 0.5)"]


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("w", [None, np.round(W)], ids=["unweighted", "weighted"])
def test_precision_recall_is_scikit_learns(drop, w):
    options = {"sample_weight": w, "drop_intermediate": drop}
    shown = PrecisionRecallDisplay.from_estimator(MODEL, X, Y, **options)
    expected = metrics.precision_recall_curve(Y, P, **options)
    curve = (shown.precision, shown.recall, shown.thresholds)
    for ours, theirs in zip(curve, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    score = metrics.average_precision_score(Y, P, sample_weight=w)
    assert shown.average_precision == pytest.approx(score, rel=1e-12)
    share = np.average(Y, weights=w)
    assert shown.prevalence_pos_label == pytest.approx(share, rel=1e-12)
    np.testing.assert_array_equal(shown.line_.get_xdata(), shown.recall)
    np.testing.assert_array_equal(shown.chance_level_.get_ydata(), [shown.prevalence_pos_label] * 2)
    assert legend_of(shown) == [
        f"LogisticRegression (AP = {score:.2f})",
        f"Chance level (AP = {share:.2f})",
    ]


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("n_bins", [1, 5, 10])
def test_calibration_is_scikit_learns(strategy, n_bins):
    shown = CalibrationDisplay.from_estimator(MODEL, X, Y, n_bins=n_bins, strategy=strategy)
    expected = calibration_curve(Y, P, n_bins=n_bins, strategy=strategy)
    np.testing.assert_allclose(shown.prob_true, expected[0], rtol=1e-12)
    np.testing.assert_allclose(shown.prob_pred, expected[1], rtol=1e-12)
    assert shown.n_effective.sum() == pytest.approx(600)
    np.testing.assert_array_equal(shown.histogram, np.histogram(P, 20, (0.0, 1.0))[0])
    np.testing.assert_array_equal(shown.line_.get_ydata(), shown.prob_true)
    np.testing.assert_array_equal(shown.line_.get_xdata(), shown.prob_pred)
    assert legend_of(shown) == ["Perfectly calibrated", "LogisticRegression"]


def test_quantiles_of_probabilities_that_tie():
    p = np.repeat([0.0, 0.3, 0.3, 0.3, 1.0], 20)
    y = np.arange(100) % 3 == 0
    shown = CalibrationDisplay.from_predictions(y, p, n_bins=5, strategy="quantile")
    expected = calibration_curve(y, p, n_bins=5, strategy="quantile")
    np.testing.assert_allclose(shown.prob_true, expected[0], rtol=1e-12)
    np.testing.assert_allclose(shown.prob_pred, expected[1], rtol=1e-12)


def test_intervals_are_wilsons():
    shown = CalibrationDisplay.from_estimator(MODEL, X, Y, level=0.9)
    low, high = np.array([s[:, 1] for s in shown.intervals_.get_segments()]).T
    for j, n in enumerate(np.round(shown.n_effective).astype(int)):
        seen = binomtest(round(shown.prob_true[j] * n), n)
        expected = seen.proportion_ci(0.9, method="wilson")
        np.testing.assert_allclose([low[j], high[j]], expected, rtol=1e-9)
    assert CalibrationDisplay.from_estimator(MODEL, X, Y, level=None).intervals_ is None


@EVERY
@pytest.mark.parametrize("rows", [600, 170, 41])
def test_chunks_change_nothing(display, rows):
    whole = display.from_estimator(MODEL, X, Y, sample_weight=W)
    dX, dy, dw = in_chunks(X, Y, W, rows=rows)
    assert_same(display.from_estimator(MODEL, dX, dy, sample_weight=dw), whole)
    assert_same(
        display.from_predictions(dy, MODEL.predict_proba(dX)[:, 1], sample_weight=dw), whole
    )
    assert_same(display.from_predictions(Y, P, sample_weight=W), whole)


def test_quantile_bins_and_chunks():
    whole = CalibrationDisplay.from_estimator(MODEL, X, Y, strategy="quantile", sample_weight=W)
    dX, dy, dw = in_chunks(X, Y, W, rows=41)
    cut = CalibrationDisplay.from_estimator(MODEL, dX, dy, strategy="quantile", sample_weight=dw)
    assert_same(cut, whole)


@EVERY
def test_frames_and_sparse_matrices(display):
    names = [f"column {j}" for j in range(5)]
    frame = pd.DataFrame(X, columns=names)
    named = reference.LogisticRegression().fit(frame, LABELS)
    whole = display.from_estimator(named, frame, LABELS)
    parts = dd.from_pandas(frame, npartitions=3)
    labels = dd.from_pandas(pd.Series(LABELS), npartitions=3)
    assert_same(display.from_estimator(named, parts, labels), whole)
    assert whole.pos_label == "yes"
    series = pd.Series(named.predict_proba(frame)[:, 1])
    assert_same(display.from_predictions(LABELS, series, pos_label="yes"), whole)
    lazy = dd.from_pandas(series, npartitions=3)
    assert_same(display.from_predictions(labels, lazy, pos_label="yes"), whole)
    assert_same(
        display.from_estimator(MODEL, sparse.csr_matrix(X), Y), display.from_estimator(MODEL, X, Y)
    )
    with pytest.raises(ValueError, match="feature names"):
        display.from_estimator(named, frame.rename(columns={"column 0": "other"}), LABELS)


@EVERY
def test_integer_weights_are_repeated_rows(display):
    times = np.random.default_rng(1).integers(0, 4, size=600)
    options = {"strategy": "quantile"} if display is CalibrationDisplay else {}
    once = display.from_predictions(Y, P, sample_weight=times, **options)
    many = display.from_predictions(np.repeat(Y, times), np.repeat(P, times), **options)
    for name in CURVES[display][:2]:
        np.testing.assert_allclose(getattr(once, name), getattr(many, name), rtol=1e-12)


@EVERY
def test_the_scale_of_weights_changes_nothing(display):
    options = {"strategy": "quantile"} if display is CalibrationDisplay else {}
    one = display.from_predictions(Y, P, sample_weight=W, **options)
    other = display.from_predictions(Y, P, sample_weight=W / 2**20, **options)
    for name in CURVES[display][:3]:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12)


@EVERY
def test_rows_are_read_once(display, tmp_path):
    source = Source(tmp_path, 6, 100, 5)
    display.from_estimator(MODEL, *source.joint())
    assert source.reads() == 1.0


@EVERY
def test_nothing_is_read_without_matplotlib(display, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    source = Source(tmp_path, 6, 100, 5)
    with pytest.raises(ImportError, match=r"daskdsml\[plot\]"):
        display.from_estimator(MODEL, *source.joint())
    assert source.reads() == 0.0


@EVERY
def test_the_other_class(display):
    shown = display.from_estimator(MODEL, X, Y, pos_label=0)
    assert_same(shown, display.from_predictions(1 - Y, 1.0 - P, pos_label=1), rtol=1e-9)
    assert shown.pos_label == 0


@pytest.mark.parametrize("display", DISPLAYS[:2])
def test_scores_of_decision_function(display):
    machine = LinearSVC().fit(X, LABELS)
    z = machine.decision_function(X)
    for pos_label, scores in (("yes", z), ("no", -z)):
        shown = display.from_estimator(machine, X, LABELS, pos_label=pos_label)
        assert_same(shown, display.from_predictions(LABELS, scores, pos_label=pos_label))
    ours = display.from_estimator(MODEL, X, Y, response_method="decision_function")
    assert_same(ours, display.from_predictions(Y, MODEL.decision_function(X)))


@EVERY
def test_each_of_many_classes_against_the_rest(display):
    shown = display.from_estimator(MULTI, *in_chunks(X, THREE))
    assert shown.classes == ["a", "b", "c"]
    assert len(shown.line_) == 3
    p = MULTI.predict_proba(X)
    for j, label in enumerate("abc"):
        one = display.from_predictions(THREE == label, p[:, j])
        for name in CURVES[display]:
            np.testing.assert_allclose(getattr(shown, name)[j], getattr(one, name), rtol=1e-12)
        assert legend_of(shown)[j + (display is CalibrationDisplay)].startswith(label)
        assert_same(display.from_estimator(MULTI, X, THREE, pos_label=label), one)
    assert_same(display.from_predictions(THREE, p, classes=["a", "b", "c"]), shown)
    assert_same(display.from_predictions(np.searchsorted(MULTI.classes_, THREE), p), shown)
    assert shown.ax_.get_legend().get_title().get_text() == "LogisticRegression, each class"


@EVERY
def test_scikit_learns_classifiers_block_by_block(display):
    pipe = make_pipeline(StandardScaler(), reference.LogisticRegression()).fit(X, LABELS)
    whole = display.from_predictions(LABELS, pipe.predict_proba(X)[:, 1], pos_label="yes")
    assert_same(display.from_estimator(pipe, *in_chunks(X, LABELS)), whole)
    holes = X.copy()
    holes[::7, 2] = np.nan
    trees = HistGradientBoostingClassifier(max_iter=5).fit(holes, Y)
    whole = display.from_predictions(Y, trees.predict_proba(holes)[:, 1])
    assert_same(display.from_estimator(trees, *in_chunks(holes, Y)), whole)


def test_on_a_cluster(client):
    whole = RocCurveDisplay.from_estimator(MULTI, X, THREE, sample_weight=W)
    dX, dy, dw = in_chunks(X, THREE, W)
    assert_same(RocCurveDisplay.from_estimator(MULTI, dX, dy, sample_weight=dw), whole)


def test_chunks_of_no_rows():
    kept = da.from_array(X, chunks=(100, 5))
    mask = da.from_array(np.arange(600) >= 150, chunks=100)
    shown = RocCurveDisplay.from_estimator(MODEL, kept[mask], da.from_array(Y, chunks=100)[mask])
    assert_same(shown, RocCurveDisplay.from_estimator(MODEL, X[150:], Y[150:]))


@pytest.fixture(scope="module")
def many():
    """Labels and scores of more rows than are kept apart."""
    rng = np.random.default_rng(2)
    y = (rng.random(300_000) < 0.2).astype(int)
    return y, 1.0 / (1.0 + np.exp(2.0 - rng.normal(size=y.size) - y))


def test_roc_of_more_scores_than_are_kept(many):
    y, p = many
    shown = RocCurveDisplay.from_predictions(*in_chunks(y, p, rows=40_000))
    off = abs(shown.roc_auc - metrics.roc_auc_score(y, p))
    assert 0.0 < off < 1e-7 < shown.roc_auc_error < 1e-4
    assert len(shown.fpr) <= 2**16 + 1
    # Points of the exact curve, at thresholds that may stand between two scores.
    for k in range(0, len(shown.fpr), 5000):
        above = p >= shown.thresholds[k]
        assert shown.fpr[k] == above[y == 0].mean()
        assert shown.tpr[k] == above[y == 1].mean()


def test_precision_recall_of_more_scores_than_are_kept(many):
    y, p = many
    shown = PrecisionRecallDisplay.from_predictions(*in_chunks(y, p, rows=40_000))
    off = abs(shown.average_precision - metrics.average_precision_score(y, p))
    assert 0.0 < off < shown.average_precision_error < 2e-4
    for k in range(0, len(shown.thresholds), 5000):
        above = p >= shown.thresholds[k]
        assert shown.precision[k] == y[above].mean()
        assert shown.recall[k] == above[y == 1].mean()


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_calibration_of_more_scores_than_are_kept(many, strategy):
    y, p = many
    dy, dp = in_chunks(y, p, rows=40_000)
    shown = CalibrationDisplay.from_predictions(dy, dp, n_bins=10, strategy=strategy)
    expected = calibration_curve(y, p, n_bins=10, strategy=strategy)
    tolerance = 1e-12 if strategy == "uniform" else 2e-3
    np.testing.assert_allclose(shown.prob_true, expected[0], rtol=tolerance)
    np.testing.assert_allclose(shown.prob_pred, expected[1], rtol=tolerance)


def test_quantiles_are_off_by_a_cell_at_most():
    rng = np.random.default_rng(3)
    p = rng.random(5000)
    y = rng.random(5000) < p
    exact, coarse = (Calibration(4, True, most) for most in (5000, 100))
    total = coarse(y, p, None)
    cell = total.bins.sums[:, 0].max()
    assert len(total.bins.keys) <= 100
    difference = np.cumsum(coarse.curve(total)[:, 0]) - np.cumsum(
        exact.curve(exact(y, p, None))[:, 0]
    )
    assert 0.0 < np.abs(difference).max() <= cell


@EVERY
def test_on_axes_of_the_user(display):
    figure, ax = pyplot.subplots()
    shown = display.from_estimator(MODEL, X, Y, ax=ax, name="first", curve_kwargs={"color": "C3"})
    again = display.from_estimator(MODEL, X, Y, pos_label=1, ax=ax, name="second")
    assert shown.ax_ is again.ax_ is ax
    assert shown.figure_ is figure
    assert shown.line_.get_color() == "C3"
    names = [text.split(" (")[0] for text in legend_of(again)]
    assert len(names) == 3
    assert [name for name in names if name in ("first", "second")] == ["first", "second"]
    assert ax.get_aspect() == 1.0
    for text in (ax.get_xlabel(), ax.get_ylabel()):
        assert text.endswith(("(Positive label: 1)", "(Positive class: 1)"))
    assert figure.axes == [ax]


def test_the_histogram_stands_below():
    shown = CalibrationDisplay.from_estimator(MODEL, X, Y)
    assert shown.figure_.axes == [shown.ax_, shown.ax_histogram_]
    assert shown.ax_.get_xlabel() == ""
    below = "Mean predicted probability (Positive class: 1)"
    assert shown.ax_histogram_.get_xlabel() == below
    shown.figure_.canvas.draw()
    upper, lower = (ax.get_position() for ax in shown.figure_.axes)
    np.testing.assert_allclose([upper.x0, upper.x1], [lower.x0, lower.x1], atol=1e-3)
    again = CalibrationDisplay(shown.prob_true, shown.prob_pred).plot(ref_line=False)
    assert again.figure_.axes == [again.ax_]
    assert again.intervals_ is again.ref_line_ is None
    assert legend_of(again) == ["Classifier"]


def test_curves_without_scores_and_chance():
    roc = RocCurveDisplay(fpr=[0.0, 1.0], tpr=[0.0, 1.0], name="model").plot(
        plot_chance_level=False
    )
    assert legend_of(roc) == ["model"]
    assert roc.chance_level_ is None
    curve = PrecisionRecallDisplay([0.5, 1.0], [1.0, 0.0]).plot()
    assert curve.chance_level_ is None
    assert curve.ax_.get_legend() is None


@EVERY
@pytest.mark.parametrize("only", [0, 1])
def test_one_class_alone(display, only):
    rows = Y == only
    said = "no row of positive weight has the label 1" if only == 0 else "all rows .* label 1"
    with pytest.raises(ValueError, match=f"rows of the class 1 and others, but {said}"):
        display.from_estimator(MODEL, X[rows], Y[rows])
    with pytest.raises(ValueError, match=said):
        display.from_estimator(MODEL, X, Y, sample_weight=rows.astype(float))
    with pytest.raises(ValueError, match=said):
        display.from_predictions(Y[rows], P[rows])


@EVERY
def test_a_class_that_is_missing(display):
    rows = THREE != "b"
    with pytest.raises(ValueError, match="no row of positive weight has the label 'b'"):
        display.from_estimator(MULTI, X[rows], THREE[rows])


@EVERY
def test_labels_unseen_at_fit(display):
    strange = np.where(np.arange(600) == 500, "d", THREE)
    with pytest.raises(ValueError, match=r"label 'd', but the classifier knows \['a', 'b', 'c'\]"):
        display.from_estimator(MULTI, *in_chunks(X, strange))


@EVERY
def test_labels_of_predictions(display):
    with pytest.raises(ValueError, match=r"labels \['no', 'yes'\], and pos_label is not given"):
        display.from_predictions(LABELS, P)
    with pytest.raises(ValueError, match="more than two labels .*scores \\(n, K\\)"):
        display.from_predictions(*in_chunks(np.arange(600) % 5, P), pos_label=1)
    with pytest.raises(ValueError, match=r"pos_label='d' is not a class: .*\['a', 'b', 'c'\]"):
        display.from_estimator(MULTI, X, THREE, pos_label="d")
    with pytest.raises(ValueError, match="no row of positive weight has the label 'maybe'"):
        display.from_predictions(LABELS, P, pos_label="maybe")
    with pytest.raises(ValueError, match="must name each of the 3 columns"):
        display.from_predictions(THREE, MULTI.predict_proba(X), classes=["a", "b"])
    with pytest.raises(ValueError, match="names columns, but y_.* has one"):
        display.from_predictions(Y, P, classes=[0, 1])
    with pytest.raises(ValueError, match=r"must be \(n,\) or \(n, K\)"):
        display.from_predictions(Y, P[:, None, None])
    signs = display.from_predictions(2 * Y - 1, P)
    assert_same(signs, display.from_predictions(Y == 1, P))


@EVERY
def test_rows_that_cannot_be_used(display):
    holes, gaps = X.copy(), P.copy()
    holes[400, 2] = gaps[400] = np.nan
    with pytest.raises(ValueError, match="X contains NaN at row 400, column 2"):
        display.from_estimator(MODEL, *in_chunks(holes, Y))
    with pytest.raises(ValueError, match="y_(score|prob) contains NaN at row 400"):
        display.from_predictions(*in_chunks(Y, gaps))
    labels = LABELS.astype(object)
    labels[300] = None
    with pytest.raises(ValueError, match="y contains NaN at row 300"):
        display.from_predictions(labels, P, pos_label="yes")
    with pytest.raises(ValueError, match="row 5 has weight -1"):
        display.from_predictions(Y, P, sample_weight=np.where(np.arange(600) == 5, -1.0, W))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        display.from_predictions(Y[:-1], P)


@EVERY
def test_classifiers_that_cannot_be_used(display):
    with pytest.raises(NotFittedError):
        display.from_estimator(LogisticRegression(), X, Y)
    with pytest.raises(ValueError, match="LinearRegression has no classes_"):
        display.from_estimator(LinearRegression().fit(X, Y), X, Y)
    with pytest.raises(ValueError, match="X has 4 features"):
        display.from_estimator(MODEL, X[:, :4], Y)


def test_classifiers_without_what_is_asked():
    machine = LinearSVC().fit(X, Y)
    pattern = "LinearSVC has no predict_proba.*response_method='decision_function'.*Calibrated"
    with pytest.raises(ValueError, match=pattern):
        CalibrationDisplay.from_estimator(machine, X, Y)
    with pytest.raises(ValueError, match=pattern):
        RocCurveDisplay.from_estimator(machine, X, Y, response_method="predict_proba")
    with pytest.raises(ValueError, match="Unknown response_method 'predict'"):
        RocCurveDisplay.from_estimator(machine, X, Y, response_method="predict")
    pairs = SVC(decision_function_shape="ovo").fit(np.r_[X, X], np.r_[THREE, np.full(600, "d")])
    with pytest.raises(TypeError, match=r"each of 4 classes.*decision_function_shape='ovr'"):
        RocCurveDisplay.from_estimator(pairs, X, THREE)


def test_bins_that_cannot_be_used():
    with pytest.raises(ValueError, match="n_bins must be an integer of at least 1, got 0"):
        CalibrationDisplay.from_predictions(Y, P, n_bins=0)
    with pytest.raises(ValueError, match=r"Unknown strategy 'equal': .*\['uniform', 'quantile'\]"):
        CalibrationDisplay.from_predictions(Y, P, strategy="equal")
    with pytest.raises(ValueError, match="level must be a number between 0 and 1.*got 95"):
        CalibrationDisplay.from_predictions(Y, P, level=95)
    with pytest.raises(ValueError, match=r"Probabilities must lie in \[0, 1\], got 1.5"):
        CalibrationDisplay.from_predictions(Y, np.where(P == P.max(), 1.5, P))
