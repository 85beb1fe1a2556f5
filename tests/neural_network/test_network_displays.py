"""Seeing networks train: tables of layers, norms of gradients, and pictures of both."""

import sys
import warnings
from types import SimpleNamespace

import dask.array as da
import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import sklearn.neural_network as reference
from matplotlib import pyplot

from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.bidirectional import Bidirectional
from daskdsml.layers.conv2d import Conv2D
from daskdsml.layers.dense import Dense
from daskdsml.layers.flatten import Flatten
from daskdsml.layers.gru import GRU
from daskdsml.layers.lstm import LSTM
from daskdsml.layers.rnn import RNN
from daskdsml.linear_model import LinearRegression, SGDClassifier
from daskdsml.neural_network import (
    CNNClassifier,
    GradientFlow,
    MLPClassifier,
    MLPRegressor,
    NeuralClassifier,
    NeuralRegressor,
    RNNClassifier,
    SequenceTagger,
    gradient_flow,
)
from daskdsml.plotting import GradientFlowDisplay, LearningCurveDisplay

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
Y = RNG.integers(0, 3, 60)
W = RNG.integers(1, 4, 60).astype(float)
S = RNG.normal(size=(60, 7, 4))
QUICK = {"max_iter": 2, "tol": None, "batch_size": 16, "dtype": "float64", "backend": "numpy"}
FLOW = GradientFlow(("0 Dense", "1 Dense"), np.array([0.02, 3.0]), np.array([1.0, 2.0]), {})


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    pyplot.close("all")


def names_in(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def softmax_model(**settings):
    return NeuralClassifier([Dense(3)], **{**QUICK, **settings})


# Tables of layers


def test_counts_shapes_and_bytes_of_layers():
    layers = [Conv2D(8, 3, padding="same", activation="relu"), BatchNorm(), Flatten(), Dense(10)]
    told = NeuralClassifier(layers).describe((1, 28, 28))
    assert [layer.parameters for layer in told.layers] == [80, 16, 0, 62730]
    assert [layer.statistics for layer in told.layers] == [0, 16, 0, 0]
    shapes = [(8, 28, 28), (8, 28, 28), (6272,), (10,)]
    assert [layer.output_shape for layer in told.layers] == shapes
    assert (told.n_parameters, told.n_statistics, told.n_bytes) == (62826, 16, 4 * 62842)
    twice = NeuralClassifier(layers, dtype="float64").describe((1, 28, 28))
    assert twice.n_bytes == 2 * told.n_bytes
    assert told.note == ""


def test_the_table_as_text_frame_and_html():
    told = NeuralClassifier([Dense(2000, "relu"), BatchNorm(), Dense(3)]).describe((5,))
    lines = str(told).splitlines()
    assert lines[0] == "NeuralClassifier: rows (5,), float32"
    assert lines[2].split() == ["layer", "output", "shape", "parameters", "statistics", "bytes"]
    assert len({len(line) for line in lines[2:]}) == 1
    assert lines[4].split("  ")[0] == "0 Dense(2000, activation='relu')"
    assert lines[4].endswith("12,000           0   46.9 KiB")
    assert lines[-1].split() == ["total", "22,003", "4,000", "101.6", "KiB"]
    frame = told.frame
    assert frame["parameters"].tolist() == [12000, 4000, 6003]
    assert frame.index[2] == "2 Dense(3)"
    html = told._repr_html_()
    assert html.count("<tr") == 1 + 3 + 1
    assert "<td>22,003</td>" in html
    assert "NeuralClassifier: rows (5,), float32" in html
    plain = str(NeuralClassifier([Dense(3)]).describe((5,)))
    assert "statistics" not in plain
    assert "72 B" in plain


def test_fixed_parameters_are_told_apart():
    told = NeuralClassifier([Dense(4, trainable=False), BatchNorm(), Dense(3)]).describe((5,))
    assert [layer.parameters for layer in told.layers] == [24, 8, 15]
    assert [layer.fixed for layer in told.layers] == [24, 0, 0]
    assert (told.n_parameters, told.n_fixed, told.n_statistics) == (47, 24, 8)
    lines = str(told).splitlines()
    assert lines[-1].split() == ["total", "47", "24", "8", "220", "B"]
    assert lines[2].endswith("parameters  of them fixed  statistics  bytes")


def test_a_layer_within_a_layer_is_named():
    told = RNNClassifier("gru", units=4, bidirectional=True).describe((9, 3))
    assert told.layers[0].layer == "0 Bidirectional(GRU(4))"
    assert told.layers[0].parameters == 2 * 3 * (4 * (3 + 4) + 4)


def test_after_fit_no_shape_is_needed():
    model = MLPClassifier((8,), **QUICK)
    before = model.describe((5,))
    assert before.note == "Before fit: for two classes, or one target."
    assert before.layers[-1].output_shape == (1,)
    model.fit(X, Y)
    told = model.describe()
    assert told.layers[-1].output_shape == (3,)
    assert told.n_parameters == model.n_parameters_ == 8 * 6 + 3 * 9
    assert told.note == ""
    assert repr(told) == str(told)
    assert MLPRegressor(hidden_layer_sizes=(4,)).describe((5,)).n_parameters == 29
    assert CNNClassifier((4,)).describe((1, 8, 8)).layers[-1].output_shape == (2,)


def test_a_fitted_network_is_described_for_longer_sequences():
    model = SequenceTagger([RNN(4, return_sequences=True), Dense(3)], **QUICK)
    model.fit(S, RNG.integers(0, 3, (60, 7)))
    assert model.describe().layers[1].output_shape == (7, 3)
    assert model.describe((12, 4)).layers[1].output_shape == (12, 3)
    with pytest.raises(ValueError, match=r"X has rows of shape \(12, 5\)"):
        model.describe((12, 5))


def test_what_cannot_be_described():
    model = MLPClassifier((8,))
    with pytest.raises(ValueError, match="not fitted, and the shape of a row is not known"):
        model.describe()
    for wrong in (784, (), (3, 0), (2.5,), "5"):
        with pytest.raises(ValueError, match="in_shape must be the shape of one row"):
            model.describe(wrong)
    with pytest.raises(ValueError, match="Incompatible layer shapes: layer 0"):
        NeuralClassifier([Flatten(), Conv2D(4, 3)]).describe((1, 8, 8))
    with pytest.raises(ValueError, match="Unknown activation"):
        MLPClassifier((8,), activation="cubic").describe((5,))


# Norms of gradients


def softmax_gradient(model, X, y, w):
    """Of the mean loss of a softmax regression, by hand: those of W (5, 3) and b (3,)."""
    p = model.predict_proba(X)
    residual = (p - np.eye(3)[y]) * w[:, None] / w.sum()
    return X.T @ residual, residual.sum(axis=0)


@pytest.mark.parametrize("weights", [np.ones(60), W], ids=["ones", "weights"])
def test_norm_of_a_softmax_regression(weights):
    model = softmax_model().fit(X, Y)
    flow = gradient_flow(model, X, Y, sample_weight=weights)
    dW, db = softmax_gradient(model, X, Y, weights)
    expected = np.sqrt(np.sum(dW**2) + np.sum(db**2))
    np.testing.assert_allclose(flow.norms, [expected], rtol=1e-12)
    size = np.sqrt(sum(np.sum(array**2) for array in model.weights_[0].values()))
    np.testing.assert_allclose(flow.weights, [size], rtol=1e-12)
    np.testing.assert_allclose(flow.ratios, [expected / size], rtol=1e-12)
    assert flow.layers == ("0 Dense",)
    assert flow.steps == {}


def test_class_weight_counts():
    model = softmax_model(class_weight={0: 5.0}).fit(X, Y)
    dW, db = softmax_gradient(model, X, Y, np.where(Y == 0, 5.0, 1.0))
    expected = np.sqrt(np.sum(dW**2) + np.sum(db**2))
    np.testing.assert_allclose(gradient_flow(model, X, Y).norms, [expected], rtol=1e-12)


def elman_steps(model, S, y):
    """Norms (T,) of the mean loss's gradient in the states of an Elman net, by hand."""
    cell, dense = model.weights_
    states = [np.zeros((len(S), cell["b"].size))]
    for t in range(S.shape[1]):
        states.append(np.tanh(S[:, t] @ cell["Wx"] + states[-1] @ cell["Wh"] + cell["b"]))
    p = np.exp(states[-1] @ dense["W"] + dense["b"])
    p /= p.sum(axis=1, keepdims=True)
    gradient = (p - np.eye(3)[y]) @ dense["W"].T / len(S)
    norms = []
    for h in reversed(states[1:]):
        norms.append(np.linalg.norm(gradient))
        gradient = (gradient * (1.0 - h * h)) @ cell["Wh"].T
    return norms[::-1]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_norms_at_each_step_of_an_elman_net(dtype):
    model = RNNClassifier("elman", units=6, **{**QUICK, "dtype": dtype})
    flow = gradient_flow(model.fit(S, Y), S, Y)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(flow.steps["0 RNN"], elman_steps(model, S, Y), rtol=tolerance)
    assert flow.layers == ("0 RNN", "1 Dense")
    assert flow.norms.dtype == np.float64


def test_each_recurrent_layer_has_its_steps():
    layers = [LSTM(4, return_sequences=True), Bidirectional(GRU(3)), Dense(3)]
    flow = gradient_flow(NeuralClassifier(layers, **QUICK), S, Y)
    assert {name: norms.shape for name, norms in flow.steps.items()} == {
        "0 LSTM": (7,), "1 Bidirectional": (7,),
    }  # fmt: skip
    assert all((norms > 0.0).all() for norms in flow.steps.values())


def test_hidden_steps_pass_the_gradient_on():
    mask = np.ones((60, 7), dtype=bool)
    mask[:, 5:] = False
    model = RNNClassifier("gru", units=4, **QUICK).fit(S, Y)
    hidden = gradient_flow(model, S, Y, mask)
    short = gradient_flow(model, S[:, :5], Y)
    np.testing.assert_allclose(hidden.norms, short.norms, rtol=1e-12)
    steps = hidden.steps["0 GRU"]
    np.testing.assert_allclose(steps[:5], short.steps["0 GRU"], rtol=1e-12)
    np.testing.assert_allclose(steps[5:], steps[4], rtol=1e-12)


@pytest.mark.parametrize("chunks", [60, 13, (1, 20, 39)])
def test_neither_chunks_nor_batches_matter(chunks):
    model = RNNClassifier("lstm", units=4, **QUICK).fit(S, Y)
    whole = gradient_flow(model, S, Y)
    lazy = da.from_array(S, chunks=(chunks, 3, 4))
    flow = gradient_flow(model.set_params(batch_size=60), lazy, da.from_array(Y, chunks=chunks))
    np.testing.assert_allclose(flow.norms, whole.norms, rtol=1e-12)
    np.testing.assert_allclose(flow.steps["0 LSTM"], whole.steps["0 LSTM"], rtol=1e-12)


def test_weights_are_repeated_rows():
    model = MLPClassifier((6,), **QUICK).fit(X, Y)
    times = W.astype(int)
    repeated = gradient_flow(model, X.repeat(times, axis=0), Y.repeat(times))
    weighted = gradient_flow(model, X, Y, sample_weight=W)
    np.testing.assert_allclose(weighted.norms, repeated.norms, rtol=1e-12)


def test_on_a_cluster(client):
    model = RNNClassifier("elman", units=4, **QUICK).fit(S, Y)
    lazy = da.from_array(S, chunks=(15, 7, 4)), da.from_array(Y, chunks=15)
    flow = gradient_flow(model, *lazy)
    np.testing.assert_allclose(flow.steps["0 RNN"], elman_steps(model, S, Y), rtol=1e-12)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_before_fit_it_is_the_gradient_of_the_first_step(batch_norm):
    settings = {**QUICK, "batch_size": 60, "max_iter": 1, "alpha": 0.0}
    model = MLPClassifier((6, 6), batch_norm=batch_norm, random_state=3, **settings)
    flow = gradient_flow(model, X, Y)
    assert not hasattr(model, "classes_")
    first = model.fit(X, Y).history_[0].gradient_norm
    np.testing.assert_allclose(np.linalg.norm(flow.norms), first, rtol=1e-10)
    assert len(flow.layers) == (5 if batch_norm else 3)


def test_gradients_too_small_for_float32_are_seen():
    long = np.random.default_rng(1).normal(size=(10, 700, 1))
    model = RNNClassifier("gru", units=4, backend="numpy")
    steps = gradient_flow(model, long, Y[:10] % 2).steps["0 GRU"]
    assert 0.0 < steps[0] < 1e-45 < 1e-3 < steps[-1]


def test_following_a_model_while_it_learns():
    seen = []
    model = softmax_model(callbacks=[lambda m, record: seen.append(gradient_flow(m, X, Y))])
    model.fit(X, Y)
    assert len(seen) == 2
    last = gradient_flow(model, X, Y)
    np.testing.assert_array_equal(seen[-1].norms, last.norms)
    assert seen[0].norms != last.norms


def test_a_loss_that_is_the_mean_over_targets():
    y = np.column_stack([X[:, 0], X[:, 1]])
    model = NeuralRegressor([Dense(2)], **QUICK).fit(X, y)
    residual = (model.predict(X) - y) / y.size
    dW, db = X.T @ residual, residual.sum(axis=0)
    expected = np.sqrt(np.sum(dW**2) + np.sum(db**2))
    np.testing.assert_allclose(gradient_flow(model, X, y).norms, [expected], rtol=1e-12)


def test_a_flow_prints_as_a_table():
    flow = GradientFlow(
        ("0 RNN", "1 Dense"),
        np.array([0.0512, 2.0]),
        np.array([4.0, 8.0]),
        {"0 RNN": np.array([1.25e-5, 0.1, 0.75])},
    )
    assert str(flow).splitlines() == [
        "layer    gradient  weights   ratio  at first step  at last step",
        "---------------------------------------------------------------",
        "0 RNN      0.0512        4  0.0128       1.25e-05          0.75",
        "1 Dense         2        8    0.25",
    ]
    assert "step" not in str(flow._replace(steps={}))


def test_what_has_no_gradient_flow():
    with pytest.raises(TypeError, match=r"an estimator of daskdsml.neural_network, got Linear"):
        gradient_flow(LinearRegression(), X, Y)
    model = softmax_model().fit(X, Y)
    with pytest.raises(ValueError, match="No row .* has a positive weight"):
        gradient_flow(model, X, Y, sample_weight=np.zeros(60))
    with pytest.raises(ValueError, match="X has 4 features"):
        gradient_flow(model, X[:, :4], Y)
    with pytest.raises(ValueError, match="max_iter of NeuralClassifier"):
        gradient_flow(softmax_model(max_iter=0), X, Y)


# Learning curves


def test_the_curve_of_a_model():
    model = MLPClassifier((4,), early_stopping=True, **{**QUICK, "max_iter": 6})
    model.fit(X, Y)
    shown = LearningCurveDisplay.from_estimator(model)
    assert shown.plot() is shown
    np.testing.assert_array_equal(shown.loss_lines_[0].get_ydata(), model.loss_curve_)
    np.testing.assert_array_equal(shown.loss_lines_[0].get_xdata(), np.arange(1, 7))
    np.testing.assert_array_equal(shown.score_lines_[0].get_ydata(), model.validation_scores_)
    best = int(np.argmax(model.validation_scores_))
    assert shown.best_epochs_ == [best + 1]
    assert shown.best_points_[0].get_xydata().tolist() == [[best + 1, model.best_validation_score_]]
    assert shown.best_points_[0].axes is shown.ax_score_ is shown.score_lines_[0].axes
    assert (shown.ax_.get_xlabel(), shown.ax_.get_ylabel()) == ("epoch", "training loss")
    assert shown.ax_score_.get_ylabel() == "validation score"
    told = f"best {model.best_validation_score_:.3g}, epoch {best + 1}"
    assert names_in(shown.ax_score_) == ["training loss", "validation score", told]


def test_without_scores_the_lowest_loss_is_the_best():
    _, ax = pyplot.subplots()
    shown = LearningCurveDisplay([2.0, 0.5, 1.0]).plot(ax)
    assert shown.ax_ is ax
    assert shown.ax_score_ is None
    assert shown.score_lines_ == [None]
    assert shown.best_epochs_ == [2]
    assert shown.best_points_[0].axes is ax
    assert names_in(ax) == ["training loss", "lowest 0.5, epoch 2"]


def test_curves_from_histories():
    def history(losses, scores):
        pairs = zip(losses, scores, strict=True)
        return [SimpleNamespace(loss=loss, score=score) for loss, score in pairs]

    nan = float("nan")
    single = LearningCurveDisplay.from_history(history([2.0, 1.0], [nan, nan])).plot()
    assert single.ax_score_ is None
    both = {"a": history([2.0, 1.0], [nan, nan]), "b": history([3.0, 2.0], [0.7, 0.6])}
    shown = LearningCurveDisplay.from_history(both, score_name="accuracy").plot()
    assert shown.ax_score_.get_ylabel() == "accuracy (dashed)"
    assert [line is None for line in shown.score_lines_] == [True, False]
    assert shown.best_epochs_ == [2, 1]
    assert names_in(shown.ax_score_) == ["a (lowest 1, epoch 2)", "b (best 0.7, epoch 1)"]
    assert shown.loss_lines_[1].get_color() == shown.score_lines_[1].get_color()
    assert shown.loss_lines_[0].get_color() != shown.loss_lines_[1].get_color()
    markers = [point.get_marker() for point in shown.best_points_]
    assert markers[0] != markers[1]
    assert [line.get_marker() for line in shown.ax_score_.get_legend().get_lines()] == markers


def test_an_axis_of_epochs_begins_at_the_first():
    shown = LearningCurveDisplay([3.0, 2.0, 1.0]).plot()
    longer = LearningCurveDisplay(np.geomspace(1.0, 0.1, 40)).plot(shown.ax_)
    longer.ax_.set_yscale("log")
    longer.figure_.canvas.draw()
    low, high = longer.ax_.get_xlim()
    assert low == 0.5
    assert high >= 40.0
    low, high = LearningCurveDisplay([1.0]).plot().ax_.get_xlim()
    assert 1.0 - low == pytest.approx(high - 1.0)


def test_models_of_other_kinds_are_compared():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they have not converged
        theirs = reference.MLPClassifier((4,), max_iter=3, early_stopping=True).fit(X, Y)
    ours = softmax_model().fit(X, Y)
    linear = SGDClassifier(max_iter=4, tol=None).fit(X, Y > 0)
    shown = LearningCurveDisplay.from_estimator({"a": theirs, "b": ours, "c": linear}).plot()
    for line, model in zip(shown.loss_lines_, (theirs, ours, linear), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), model.loss_curve_)
    np.testing.assert_array_equal(shown.score_lines_[0].get_ydata(), theirs.validation_scores_)
    assert shown.score_lines_[1:] == [None, None]


def test_what_has_no_learning_curve():
    with pytest.raises(ValueError, match=r"LinearRegression holds no loss_curve_"):
        LearningCurveDisplay.from_estimator(LinearRegression().fit(X, Y))
    for losses, scores in (([], None), ([1.0], [1.0, 2.0]), ([[1.0]], None), ([np.nan], None)):
        with pytest.raises(ValueError, match="Expected a loss for each of at least one epoch"):
            LearningCurveDisplay(losses, scores)
    with pytest.raises(ValueError, match=r"scores name \['b'\]"):
        LearningCurveDisplay({"a": [1.0]}, {"b": [1.0]})
    with pytest.raises(ValueError, match="scores must be a dict by name"):
        LearningCurveDisplay({"a": [1.0]}, [1.0])
    with pytest.raises(ValueError, match="Expected at least one model"):
        LearningCurveDisplay({})


# Pictures of gradients


def test_lines_of_steps_and_bars_of_layers():
    models = {name: RNNClassifier(name, units=4, **QUICK) for name in ("elman", "gru")}
    shown = GradientFlowDisplay.from_estimator(models, S, Y)
    assert shown.plot() is shown
    for name, layer in (("elman", "0 RNN"), ("gru", "0 GRU")):
        flow = shown.flows[name]
        line = shown.lines_[name][layer]
        np.testing.assert_array_equal(line.get_ydata(), flow.steps[layer])
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 8))
        ends = [bar.get_x() + bar.get_width() for bar in shown.bars_[name]]
        np.testing.assert_allclose(ends, flow.norms, rtol=1e-12)
    assert shown.ax_steps_.get_yscale() == shown.ax_.get_xscale() == "log"
    assert names_in(shown.ax_steps_) == ["elman", "gru"]
    markers = {line.get_marker() for lines in shown.lines_.values() for line in lines.values()}
    assert len(markers) == 2
    assert shown.ax_steps_.get_xlim()[0] >= 0.5
    ticks = [text.get_text() for text in shown.ax_.get_yticklabels()]
    assert ticks == ["elman: 0 RNN", "elman: 1 Dense", "gru: 0 GRU", "gru: 1 Dense"]
    assert np.diff(shown.ax_.get_yticks()).min() >= 1.0
    assert shown.ax_.get_xlim()[0] < min(flow.norms.min() for flow in shown.flows.values())


def test_layers_alone():
    _, ax = pyplot.subplots()
    shown = GradientFlowDisplay.from_flows(FLOW).plot(ax)
    assert shown.ax_ is ax
    assert shown.ax_steps_ is None
    assert ax.get_xlim()[0] == pytest.approx(1e-3)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0 Dense", "1 Dense"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_zeros_are_told_and_left_out_of_lines():
    steps = {"0 RNN": np.array([0.0, 1e-9, 1.0])}
    flow = FLOW._replace(norms=np.array([0.0, np.inf]), steps=steps)
    shown = GradientFlowDisplay.from_flows({"a": flow}).plot()
    assert [text.get_text().strip() for text in shown.ax_.texts] == ["0", "inf"]
    assert [bar.get_width() for bar in shown.bars_["a"]] == [0.0, 0.0]
    np.testing.assert_array_equal(shown.lines_["a"]["0 RNN"].get_ydata(), [np.nan, 1e-9, 1.0])
    shown.figure_.canvas.draw()


def test_axes_of_the_user_for_steps_and_layers():
    flow = FLOW._replace(steps={"0 RNN": np.array([0.1, 1.0])})
    _, axes = pyplot.subplots(ncols=2)
    shown = GradientFlowDisplay.from_flows(flow).plot(axes)
    assert (shown.ax_steps_, shown.ax_) == tuple(axes)
    with pytest.raises(ValueError, match=r"two, of time steps and of layers\), got 1"):
        GradientFlowDisplay.from_flows(flow).plot(axes[0])
    with pytest.raises(ValueError, match=r"one, of layers\), got 2"):
        GradientFlowDisplay.from_flows(FLOW).plot(axes)
    for wrong in ({}, [FLOW], None):
        with pytest.raises(ValueError, match="dict of at least one GradientFlow"):
            GradientFlowDisplay.from_flows(wrong)


@pytest.mark.parametrize(
    "shown",
    [LearningCurveDisplay([2.0, 1.0]), GradientFlowDisplay.from_flows(FLOW)],
    ids=lambda shown: type(shown).__name__,
)
def test_without_matplotlib_the_extra_is_named(shown, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'daskdsml\[plot\]'"):
        shown.plot()
