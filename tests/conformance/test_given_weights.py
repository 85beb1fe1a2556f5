"""Layers with weights that are given, and layers that training leaves as they are."""

import pickle
from dataclasses import fields

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.bidirectional import Bidirectional
from daskdsml.layers.conv1d import Conv1D
from daskdsml.layers.conv2d import Conv2D
from daskdsml.layers.dense import Dense
from daskdsml.layers.embedding import Embedding
from daskdsml.layers.flatten import Flatten
from daskdsml.layers.gru import GRU
from daskdsml.layers.lstm import LSTM
from daskdsml.layers.rnn import RNN
from daskdsml.network_contracts import Step
from daskdsml.neural_network import NeuralClassifier, NeuralRegressor
from daskdsml.neural_network.network import Network
from daskdsml.optimizers.adamw import AdamW
from daskdsml.utils import registry

SOBEL = np.array([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
# Layers, the shape of a row, and those behind them.
LAYERS = [
    (Dense(3), (5,), []),
    (Conv2D(2, 3, activation="tanh"), (2, 4, 5), [Flatten()]),
    (Conv1D(2, padding="same"), (6, 2), [Flatten()]),
    (Embedding(4, 3), (5,), [Flatten()]),
    (RNN(3), (4, 2), []),
    (LSTM(3, initial_state="learned"), (4, 2), []),
    (GRU(3), (4, 2), []),
]


def images(n=150, seed=0):
    """Images (n, 8, 9): do they brighten to the right or to the left?"""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    ramp = np.linspace(-1, 1, 9) * (2 * y - 1)[:, None]
    return rng.normal(size=(n, 8, 9)) + ramp[:, None], y


def fitted(layers, X, y, **settings):
    return NeuralClassifier(layers, batch_size=32, **{"max_iter": 3} | settings).fit(X, y)


@pytest.mark.parametrize(("layer", "shape", "behind"), LAYERS, ids=lambda part: str(part)[:9])
def test_given_weights_are_begun_with_and_kept_where_asked(layer, shape, behind, tmp_path):
    rng = np.random.default_rng(3)
    X, y = rng.integers(0, 4, (70, *shape)), rng.integers(0, 2, 70)
    given = {name: rng.normal(size=a.shape) for name, a in layer.init(rng, shape)[0].items()}
    settings = {f.name: getattr(layer, f.name) for f in fields(layer)}

    def kind(**changed):
        return type(layer)(**settings | changed)

    fixed = kind(weights=given, trainable=False)
    assert fixed == kind(weights=given, trainable=False) == pickle.loads(pickle.dumps(fixed))
    assert fixed != kind(weights=given) != layer
    assert hash(fixed) == hash(kind(weights=given, trainable=False))
    assert repr(fixed).startswith(repr(layer)[:-1])
    network = Network([kind(weights=given), *behind], shape, dtype=np.float64)
    for name, array in network.views(network.init(rng).theta)[0].items():
        np.testing.assert_array_equal(array, given[name])
    # Decay of weights acts on what gradients do not.
    options = {"solver": AdamW(0.1, weight_decay=0.5), "l2": 0.1, "dtype": "float64"}
    model = fitted([fixed, *behind, Dense(2)], X, y, **options)
    moved = fitted([kind(weights=given), *behind, Dense(2)], X, y, **options)
    for name, array in given.items():
        np.testing.assert_array_equal(model.weights_[0][name], array)
        assert not np.array_equal(moved.weights_[0][name], array)
    assert not np.array_equal(model.weights_[-1]["W"], moved.weights_[-1]["W"])
    model.save(tmp_path / "model")
    loaded = NeuralClassifier.load(tmp_path / "model")
    assert loaded.layers == model.layers
    for again in (model, loaded):
        again.partial_fit(X, y)
    for a, b in zip(model.weights_, loaded.weights_, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
    np.testing.assert_array_equal(loaded.weights_[0][next(iter(given))], next(iter(given.values())))


def test_a_fixed_layer_is_the_same_as_transformed_rows():
    X, y = images()
    W = np.random.default_rng(0).normal(size=(72, 6))
    settings = {"dtype": "float64", "clip_norm": 0.1}
    behind = fitted([Dense(2)], np.tanh(X.reshape(150, -1) @ W), y, **settings)
    layers = [Flatten(), Dense(activation="tanh", weights=W, trainable=False, bias=False), Dense(2)]
    model = fitted(layers, X, y, **settings)
    start = [part["W"].copy() for part in (behind.weights_[0], model.weights_[-1])]
    assert start[0].shape == start[1].shape
    # The last layers begin elsewhere: drawn behind other layers. Both learn the same from there.
    again = fitted([Flatten(), layers[1], Dense(weights=start[0])], X, y, **settings)
    there = fitted([Dense(weights=start[0])], np.tanh(X.reshape(150, -1) @ W), y, **settings)
    np.testing.assert_allclose(again.weights_[-1]["W"], there.weights_[0]["W"], rtol=1e-9)
    norms = [[record.gradient_norm for record in m.history_] for m in (again, there)]
    np.testing.assert_allclose(*norms, rtol=1e-9)


def test_layers_before_a_frozen_one_are_trained_through_it():
    X, y = images()
    frozen = Dense(4, "tanh", trainable=False)
    model = fitted([Flatten(), Dense(5), frozen, Dense(2)], X, y, dtype="float64")
    start = fitted([Flatten(), Dense(5), frozen, Dense(2)], X, y, learning_rate_init=1e-30)
    np.testing.assert_allclose(model.weights_[2]["W"], start.weights_[2]["W"], rtol=1e-6)
    assert not np.allclose(model.weights_[1]["W"], start.weights_[1]["W"], rtol=1e-3)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_layers_that_are_all_fixed_are_fitted_without_an_epoch(early_stopping):
    X, y = images()
    W = np.random.default_rng(0).normal(size=(72, 2))
    model = NeuralClassifier(
        [Flatten(), Dense(weights=W, trainable=False)], early_stopping=early_stopping
    )
    for fit in (model.fit,) if early_stopping else (model.fit, model.partial_fit):
        with pytest.warns(ConvergenceWarning, match="made no epoch: none of its layers holds"):
            fit(X, y)
        assert (model.n_iter_, len(model.history_), model.converged_) == (0, 0, True)
    np.testing.assert_array_equal(model.predict(X), (X.reshape(150, -1) @ W).argmax(axis=1))
    follows = [Flatten(), BatchNorm(), Dense(2, trainable=False)]
    assert fitted(follows, X, y, max_iter=3).n_iter_ == 3


def test_only_fixed_layers_at_the_beginning_are_asked_for_no_gradient():
    fixed, behind = Dense(4, trainable=False), [Flatten(), Dense(2)]
    for layers, first in (([Flatten(), *behind], 0), ([Flatten(), fixed, *behind], 2)):
        assert Network(layers, (3, 2)).first_wanted == first
    assert Network([Flatten(), Dense(3), fixed, *behind], (3, 2)).first_wanted == 0
    assert Network([Flatten(), Flatten()], (3, 2)).first_wanted == 0


def test_both_directions_begin_with_what_their_layer_is_given():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 5, 2)), rng.normal(size=60)
    Wh = np.eye(3)
    layer = Bidirectional(RNN(3, weights={"Wh": Wh}, trainable=False))
    model = NeuralRegressor([layer, Dense(1)], max_iter=2).fit(X, y)
    for way in ("forward_", "backward_"):
        np.testing.assert_array_equal(model.weights_[0][way + "Wh"], Wh)
        np.testing.assert_array_equal(model.weights_[0][way + "b"], 0.0)


def test_an_edge_filter_says_how_many_filters_there_are_and_of_what_size():
    edges = Conv2D(weights=SOBEL, trainable=False)
    assert (edges.filters, edges.size) == (1, 3)
    assert edges == Conv2D(1, 3, weights=SOBEL[None, None], trainable=False)
    assert Conv2D(weights=np.stack([SOBEL, SOBEL.T])).filters == 2
    assert Conv2D(weights=np.ones((4, 3, 5, 2))).size == (5, 2)
    assert (Conv1D(weights=np.ones(7)).filters, Conv1D(weights=np.ones(7)).size) == (1, 7)
    assert repr(edges) == "Conv2D(1, weights=<K (1, 1, 3, 3)>, trainable=False)"
    X, y = images()
    model = fitted([edges, Flatten(), Dense(2)], X, y)
    np.testing.assert_array_equal(model.weights_[0]["K"][0, 0], SOBEL)
    shown = model.describe().frame
    assert len(shown) == 3
    params = edges.init(np.random.default_rng(0), (8, 9))[0] | edges.given
    step = Step(work=lambda name, shape, dtype=None: np.empty(shape, dtype or float))
    out, _ = edges.forward(registry.find("backends", "numpy")().layers(), params, X[:2], step)
    window = X[1, 2:5, 3:6]
    np.testing.assert_allclose(out[1, 0, 2, 3], np.sum(window * SOBEL), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(4, weights=np.eye(3)), "units of Dense is 4, but the weights given have 3"),
        (lambda: Dense(), "units of Dense must be an integer of at least 1, got 0"),
        (lambda: Conv2D(2, weights=SOBEL), "filters of Conv2D is 2, but the weights given have 1"),
        (lambda: Conv2D(size=5, weights=SOBEL), "size of Conv2D is 5, but the weights given have"),
        (lambda: Dense(weights=np.array([["a"]])), "'W' has dtype"),
        (lambda: Dense(weights=np.array([[np.nan]])), "'W' holds NaN"),
        (lambda: RNN(3, weights=np.eye(3)), "weights of RNN must be a dict of arrays by name"),
        (lambda: Dense(3, trainable=1), "trainable"),
        (lambda: Network([Dense(3, weights={"V": SOBEL})], (3,)), r"'V', expected some of \['W'"),
        (lambda: Dense(weights={"w": SOBEL}), r"Dense hold 'w', expected some of \['W', 'b'\]"),
        (lambda: Conv2D(weights={"W": SOBEL}), r"Conv2D hold 'W', expected some of \['K', 'b'\]"),
        (lambda: Embedding(weights={"W": SOBEL}), r"Embedding hold 'W', expected some of \['E'\]"),
        (
            lambda: Network([Dense(weights=np.ones((5, 2)))], (2,)),
            r"'W' of shape \(5, 2\), expected \(2, 2\). .* pass the transpose",
        ),
        (lambda: Network([Dense(weights=SOBEL)], (4,)), r"'W' of shape \(3, 3\), expected \(4, 3"),
        (lambda: Network([Conv2D(weights=SOBEL)], (3, 8, 8)), r"'K' of shape \(1, 1, 3, 3\)"),
        (lambda: BatchNorm(weights=SOBEL), "unexpected keyword argument 'weights'"),
    ],
)
def test_weights_that_do_not_fit(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
