"""Every layer, on both kinds of kernels: gradients by differences, odd sizes, and what it promises.

A layer joins by a row of `SETTINGS` with the shape of its rows.
"""

import dataclasses
import pickle

import numpy as np
import pytest

from daskdsml.backends._layers.array import ArrayKernels
from daskdsml.layers.activation import Activation
from daskdsml.layers.average_pool2d import AveragePool2D
from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.bidirectional import Bidirectional
from daskdsml.layers.conv1d import Conv1D
from daskdsml.layers.conv2d import Conv2D
from daskdsml.layers.dense import Dense
from daskdsml.layers.dropout import Dropout
from daskdsml.layers.embedding import Embedding
from daskdsml.layers.flatten import Flatten
from daskdsml.layers.gru import GRU
from daskdsml.layers.lstm import LSTM
from daskdsml.layers.max_pool2d import MaxPool2D
from daskdsml.layers.rnn import RNN
from daskdsml.network_contracts import Step
from daskdsml.utils import registry

pytest.importorskip("numba")

from daskdsml.backends._layers.compiled import CompiledKernels  # noqa: E402

KERNELS = {"array": ArrayKernels(np), "compiled": CompiledKernels()}
SETTINGS = [
    (Dense(3), (5,)),
    (Dense(4, "relu"), (7,)),
    (Dense(1, "tanh", bias=False), (1,)),
    (Dense(3, "softmax"), (2,)),
    (Dense(3, "logistic"), (5, 2)),
    (Activation("elu"), (5,)),
    (Activation("identity"), (5,)),
    (Activation("leaky_relu"), (5, 2)),
    (Activation("logistic"), (2, 3, 4)),
    (Activation("relu"), (7,)),
    (Activation("softmax"), (3, 4)),
    (Activation("softplus"), (5,)),
    (Activation("tanh"), (5,)),
    (BatchNorm(), (5,)),
    (BatchNorm(0.3, 1e-3, "tanh"), (1,)),
    (BatchNorm(activation="relu"), (3, 2)),
    (BatchNorm(activation="logistic"), (3, 4, 5)),
    (Dropout(0.3), (7,)),
    (Dropout(0.0), (5,)),
    (Dropout(0.6), (3, 2)),
    (Dropout(0.5), (2, 3, 4)),
    (Conv1D(3, 2, padding="causal", activation="tanh"), (5, 2)),
    (Conv2D(2, (2, 3), 1, "same", "tanh"), (2, 4, 5)),
    (Conv2D(3, (3, 2), (2, 1), 1, "relu"), (2, 6, 5)),
    (MaxPool2D((2, 3)), (2, 5, 7)),
    (AveragePool2D(3, 2), (2, 7, 6)),
    (Flatten(), (2, 3, 4)),
    (Embedding(6, 3), (4,)),
    (RNN(3), (4, 2)),
    (LSTM(3, return_sequences=True), (4, 2)),
    (GRU(2), (5, 1)),
    (Bidirectional(GRU(2, return_sequences=True)), (3, 2)),
]
every_layer = pytest.mark.parametrize(("layer", "shape"), SETTINGS, ids=str)
every_kernel = pytest.mark.parametrize("kernels", KERNELS.values(), ids=KERNELS)


def test_every_layer_has_a_row():
    assert {type(layer) for layer, _ in SETTINGS} == {
        registry.find("layers", name) for name in registry.available("layers")
    }


def finished(result):
    """What a layer returns where the whole batch is in one place."""
    if not hasattr(result, "send"):
        return result
    try:
        total = next(result)
        while True:
            total = result.send(total)
    except StopIteration as stop:
        return stop.value


def step_of(n, real=np.float64, training=True, inner=True):
    """A step whose buffers hold nonsense at first, and whose draws are always the same."""
    kept = {}

    def work(name, shape, dtype=None):
        if (name, shape) not in kept:
            kept[name, shape] = np.full(shape, 77).astype(real if dtype is None else dtype)
        return kept[name, shape]

    return Step(training, None, lambda draw: draw(np.random.default_rng(5), n), work, inner)


def problem(layer, shape, n=5, real=np.float64, seed=0):
    """Parameters away from where they start, rows, and a gradient in what comes out."""
    rng = np.random.default_rng(seed)
    params, out_shape = layer.init(rng, shape)
    params = {name: a + 0.3 * rng.standard_normal(a.shape) for name, a in params.items()}
    if layer.collective:
        params |= {name: a + rng.random(a.shape) for name, a in layer.statistics(shape).items()}
    x = rng.standard_normal((n, *shape))
    if isinstance(layer, Embedding):
        x = rng.integers(layer.n_tokens, size=x.shape).astype(float)
    dout = rng.standard_normal((n, *out_shape))
    return {name: a.astype(real) for name, a in params.items()}, x.astype(real), dout.astype(real)


def followed(layer, shape):
    return layer.statistics(shape) if layer.collective else {}


def forward(layer, kernels, params, x, step):
    return finished(layer.forward(kernels, params, x, step))


def run(layer, kernels, params, x, dout, step, shape):
    """The output and all gradients; that in x is named "x", None for codes."""
    out, tape = forward(layer, kernels, params, x, step)
    kept = out.copy()
    names = params.keys() - followed(layer, shape)
    grads = {name: np.full_like(params[name], np.nan) for name in names}
    dx = finished(layer.backward(kernels, params, tape, dout, grads, step))
    return kept, grads | {"x": dx if dx is None else dx.copy()}


def close(actual, expected, tolerance):
    scale = max(1.0, np.abs(expected).max(initial=0.0))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


@every_kernel
@every_layer
def test_gradients_are_those_of_differences(layer, shape, kernels):
    params, x, dout = problem(layer, shape)
    step = step_of(len(x))
    _, grads = run(layer, kernels, params, x, dout, step, shape)
    rng = np.random.default_rng(1)
    for name, gradient in grads.items():
        if gradient is None:
            assert isinstance(layer, Embedding)
            continue
        whole = params | {"x": x}
        way = rng.standard_normal(whole[name].shape)

        def loss(t, whole=whole, name=name, way=way):
            moved = whole | {name: whole[name] + t * way}
            out, _ = forward(layer, kernels, moved, moved["x"], step)
            return np.sum(out * dout)

        t = 1e-4
        near, far = loss(t) - loss(-t), loss(2 * t) - loss(-2 * t)
        expected = (8 * near - far) / (12 * t)
        assert np.sum(gradient * way) == pytest.approx(expected, rel=1e-7, abs=1e-7), name


@pytest.mark.parametrize(("real", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@every_layer
def test_kernels_agree(layer, shape, real, tolerance):
    params, x, dout = problem(layer, shape, n=13, real=real)
    results = [run(layer, k, params, x, dout, step_of(13, real), shape) for k in KERNELS.values()]
    (out, grads), (expected, expected_grads) = results
    assert out.dtype == expected.dtype == real
    close(out, expected, tolerance)
    for name, gradient in grads.items():
        if gradient is not None:
            assert gradient.dtype == expected_grads[name].dtype == real
            close(gradient, expected_grads[name], tolerance)


@every_kernel
@every_layer
def test_no_rows_give_no_rows_and_no_gradient(layer, shape, kernels):
    params, x, dout = problem(layer, shape, n=0)
    out, grads = run(layer, kernels, params, x, dout, step_of(0), shape)
    assert out.shape == dout.shape
    dx = grads.pop("x")
    assert dx is None or dx.shape == x.shape
    for gradient in grads.values():
        assert not gradient.any()


@every_kernel
@every_layer
def test_rows_are_predicted_one_by_one(layer, shape, kernels):
    params, x, dout = problem(layer, shape, n=4)
    whole, _ = forward(layer, kernels, params, x, step_of(4, training=False))
    assert whole.shape == dout.shape
    for i in range(4):
        out, _ = forward(layer, kernels, params, x[i : i + 1], step_of(1, training=False))
        np.testing.assert_allclose(out[0], whole[i], rtol=0, atol=1e-13)


@every_kernel
@every_layer
def test_a_batch_of_one_is_trained(layer, shape, kernels):
    params, x, dout = problem(layer, shape, n=1)
    if layer.collective and len(shape) == 1:
        with pytest.raises(ValueError, match="expects 2 entries or more"):
            run(layer, kernels, params, x, dout, step_of(1), shape)
        return
    out, grads = run(layer, kernels, params, x, dout, step_of(1), shape)
    assert out.shape == dout.shape
    assert np.isfinite(out).all()
    assert all(np.isfinite(g).all() for g in grads.values() if g is not None)


@every_kernel
@every_layer
def test_inputs_are_not_changed(layer, shape, kernels):
    params, x, dout = problem(layer, shape)
    given = pickle.loads(pickle.dumps((params, x, dout)))
    run(layer, kernels, params, x, dout, step_of(len(x)), shape)
    for name, array in params.items():
        np.testing.assert_array_equal(array, given[0][name])
    np.testing.assert_array_equal(x, given[1])
    np.testing.assert_array_equal(dout, given[2])


@every_kernel
@every_layer
def test_the_order_in_memory_does_not_matter(layer, shape, kernels):
    params, x, dout = problem(layer, shape)
    expected, expected_grads = run(layer, kernels, params, x, dout, step_of(5), shape)
    for order in ((1, 0, *range(2, x.ndim)), (*range(1, x.ndim), 0)):
        # Rows or features of another order in memory, as layers hand them on.
        moved, dmoved = (
            np.ascontiguousarray(a.transpose(order[: a.ndim])).transpose(np.argsort(order))
            if a.ndim == x.ndim
            else a
            for a in (x, dout)
        )
        out, grads = run(layer, kernels, params, moved, dmoved, step_of(5), shape)
        close(out, expected, 1e-13)
        for name, gradient in grads.items():
            if gradient is not None:
                close(gradient, expected_grads[name], 1e-13)


@every_kernel
@every_layer
def test_the_gradient_in_x_is_left_out_where_it_is_not_wanted(layer, shape, kernels):
    params, x, dout = problem(layer, shape)
    _, expected = run(layer, kernels, params, x, dout, step_of(5), shape)
    _, grads = run(layer, kernels, params, x, dout, step_of(5, inner=False), shape)
    assert grads.pop("x") is None
    for name, gradient in grads.items():
        close(gradient, expected[name], 1e-13)


def test_a_layer_shows_what_differs_from_its_defaults():
    assert repr(Dense(3)) == "Dense(3)"
    assert repr(BatchNorm(activation="relu")) == "BatchNorm(activation='relu')"
    assert repr(Bidirectional(GRU(2, True))) == "Bidirectional(GRU(2, return_sequences=True))"
    assert repr(AveragePool2D()) == "AveragePool2D()"


@every_layer
def test_settings_are_values(layer, shape):
    again = pickle.loads(pickle.dumps(layer))
    assert again == layer
    assert hash(again) == hash(layer)
    names = {type(other).__name__: type(other) for other, _ in SETTINGS}
    assert eval(repr(layer), names) == layer
    with pytest.raises(dataclasses.FrozenInstanceError):
        layer.other = 1


@every_layer
def test_parameters_are_drawn_from_the_generator(layer, shape):
    drawn, again = (layer.init(np.random.default_rng(3), shape)[0] for _ in range(2))
    assert drawn.keys() >= layer.penalised
    for name, array in drawn.items():
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, again[name])
