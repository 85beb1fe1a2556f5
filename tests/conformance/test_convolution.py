"""Convolution and pooling against loops over windows, SciPy, PyTorch and central differences."""

from itertools import product

import numpy as np
import pytest
from scipy.signal import correlate2d

from daskdsml.backends._layers.array import ArrayKernels
from daskdsml.backends._layers.compiled import CompiledKernels
from daskdsml.layers.average_pool2d import AveragePool2D
from daskdsml.layers.conv1d import Conv1D
from daskdsml.layers.conv2d import Conv2D
from daskdsml.layers.flatten import Flatten
from daskdsml.layers.max_pool2d import MaxPool2D
from daskdsml.network_contracts import Step

KERNELS = {"array": ArrayKernels(np), "compiled": CompiledKernels()}
# The activations, and settings that leave rows over, skip entries, or are not square.
CONVOLUTIONS = [
    (Conv2D(4), (3, 8, 7)),
    (Conv2D(4, 3, padding="same", activation="relu"), (1, 9, 9)),
    (Conv2D(3, (2, 4), padding="same", activation="tanh"), (2, 5, 6)),
    (Conv2D(3, (3, 1), (2, 1), (1, 0), "logistic"), (2, 8, 5)),
    (Conv2D(2, 3, 2, "same", "relu"), (2, 8, 7)),
    (Conv2D(2, 2, 4, "valid", "identity"), (3, 11, 9)),
    (Conv2D(3, 5, 1, 4), (2, 3, 2)),
    (Conv2D(2, 3, 2, 1), (6, 5)),
    (Conv2D(1, 1), (1, 1, 1)),
]
SEQUENCES = [
    (Conv1D(4, 3, padding="same", activation="relu"), (7, 3)),
    (Conv1D(2, 4, padding="causal", activation="tanh"), (6, 2)),
    (Conv1D(3, 2, 3, 1), (9, 1)),
    (Conv1D(2, 3, 2, "causal"), (8, 2)),
    (Conv1D(2, 4, 3, "same", "logistic"), (8, 3)),
    (Conv1D(2, 2, 5, "valid"), (12, 2)),
]
POOLS = [
    (pool(*settings), shape)
    for pool in (MaxPool2D, AveragePool2D)
    for settings, shape in [
        ((), (3, 9, 8)),
        ((3, 2), (2, 9, 9)),
        (((1, 3), (2, 1)), (2, 5, 7)),
        ((2, 3), (1, 8, 9)),
        ((2,), (5, 6)),
    ]
]
OTHERS = [(Flatten(), (2, 3, 4)), (Flatten(), (5,))]
LAYERS = CONVOLUTIONS + SEQUENCES + POOLS + OTHERS

every_layer = pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=str)
every_kernel = pytest.mark.parametrize("kernels", KERNELS.values(), ids=KERNELS)


class Work:
    """Buffers that hold what was left in them, as those of a network do."""

    def __init__(self, dtype):
        self.dtype, self.stores = dtype, {}

    def __call__(self, name, shape, dtype=None):
        size, dtype = int(np.prod(shape)), np.dtype(dtype or self.dtype)
        store = self.stores.get(name)
        if store is None or store.size < size or store.dtype != dtype:
            store = self.stores[name] = np.full(size, 77, dtype)
        return store[:size].reshape(shape)


def drawn(layer, shape, n=3, dtype=np.float64, seed=0):
    """Parameters, inputs and gradients in the outputs; biases are not zero."""
    rng = np.random.default_rng(seed)
    params, out_shape = layer.init(rng, shape)
    params = {
        name: (a + 0.1 * rng.normal(size=a.shape)).astype(dtype) for name, a in params.items()
    }
    x, dout = (rng.normal(size=(n, *s)).astype(dtype) for s in (shape, out_shape))
    return params, x, dout


def passed(layer, kernels, params, x, dout, mask=None, inner=True, work=None):
    """Output, gradients of parameters and gradient in the input; grads begin as NaN."""
    step = Step(True, mask, None, work or Work(x.dtype), inner)
    out, tape = layer.forward(kernels, params, x, step)
    grads = {name: np.full_like(a, np.nan) for name, a in params.items()}
    dx = layer.backward(kernels, params, tape, dout, grads, step)
    return out.copy(), grads, None if dx is None else dx.copy()


def activated(z, name):
    return {
        "relu": lambda: np.where(z > 0, z, 0),
        "tanh": lambda: np.tanh(z),
        "logistic": lambda: 1 / (1 + np.exp(-z)),
    }.get(name, lambda: z)()


def zeros_around(length, size, stride, padding):
    """Zeros before and after, as the documentation has it."""
    if padding == "same":
        lacking = max(0, (int(np.ceil(length / stride)) - 1) * stride + size - length)
        return lacking // 2, (lacking + 1) // 2
    return {"valid": (0, 0), "causal": (size - 1, 0)}.get(padding, (padding, padding))


def pairs(*values):
    return [(v, v) if isinstance(v, int | str) else v for v in values]


def windows(x, size, stride):
    """Window (y, x) of images, and its position."""
    rows, columns = ((x.shape[2 + i] - size[i]) // stride[i] + 1 for i in range(2))
    for y, z in product(range(rows), range(columns)):
        top, left = y * stride[0], z * stride[1]
        yield (y, z), x[:, :, top : top + size[0], left : left + size[1]]


def in_place(found):
    """Results (n, C) of windows, by their position, as images."""
    rows, columns = (1 + max(at[i] for at in found) for i in range(2))
    grid = [[found[y, z] for z in range(columns)] for y in range(rows)]
    return np.array(grid).transpose(2, 3, 0, 1)


def correlated(x, K, b, stride, zeros):
    """Cross-correlation of images with zeros around them."""
    seen = windows(np.pad(x, [(0, 0), (0, 0), *zeros]), K.shape[2:], stride)
    return in_place({at: np.einsum("ncij,ocij->no", part, K) + b for at, part in seen})


def by_windows(layer, params, x):
    """What the layer should give, one window after the other."""
    if isinstance(layer, Conv1D):
        zeros = zeros_around(x.shape[1], layer.size, layer.stride, layer.padding)
        images, K = x.transpose(0, 2, 1)[:, :, None], params["K"][:, :, None]
        z = correlated(images, K, params["b"], (1, layer.stride), [(0, 0), zeros])
        return activated(z[:, :, 0].transpose(0, 2, 1), layer.activation)
    x = x.reshape(len(x), -1, *x.shape[-2:])
    if isinstance(layer, Conv2D):
        size, stride, padding = pairs(layer.size, layer.stride, layer.padding)
        zeros = list(map(zeros_around, x.shape[2:], size, stride, padding))
        return activated(correlated(x, **params, stride=stride, zeros=zeros), layer.activation)
    size, stride = pairs(layer.size, layer.size if layer.stride is None else layer.stride)
    reduce = np.max if isinstance(layer, MaxPool2D) else np.mean
    return in_place({at: reduce(part, axis=(2, 3)) for at, part in windows(x, size, stride)})


@every_kernel
@pytest.mark.parametrize(("layer", "shape"), CONVOLUTIONS + SEQUENCES + POOLS, ids=str)
def test_outputs_are_those_of_windows_one_by_one(kernels, layer, shape):
    params, x, dout = drawn(layer, shape)
    out, _, _ = passed(layer, kernels, params, x, dout)
    assert out.shape == (3, *layer.init(np.random.default_rng(0), shape)[1])
    np.testing.assert_allclose(out, by_windows(layer, params, x), rtol=1e-12, atol=1e-13)


@every_kernel
@every_layer
def test_gradients_along_random_directions(kernels, layer, shape):
    params, x, dout = drawn(layer, shape)
    _, grads, dx = passed(layer, kernels, params, x, dout)
    rng = np.random.default_rng(1)
    directions = {name: rng.normal(size=a.shape) for name, a in params.items()}
    moves = rng.normal(size=x.shape)

    def summed(h):
        moved = {name: a + h * directions[name] for name, a in params.items()}
        return np.sum(dout * passed(layer, kernels, moved, x + h * moves, dout)[0])

    slope = (summed(1e-6) - summed(-1e-6)) / 2e-6
    exact = np.sum(dx * moves) + sum(np.sum(grads[name] * directions[name]) for name in params)
    assert slope == pytest.approx(exact, rel=1e-7, abs=1e-7)


@every_layer
def test_kernels_agree(layer, shape):
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        drawing = drawn(layer, shape, n=130, dtype=dtype)
        theirs, ours = (passed(layer, kernels, *drawing) for kernels in KERNELS.values())
        for a, b in [(theirs[0], ours[0]), (theirs[2], ours[2])] + [
            (theirs[1][name], ours[1][name]) for name in theirs[1]
        ]:
            assert a.dtype == b.dtype == dtype
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, np.abs(a).max()))


@every_kernel
@every_layer
def test_rows_are_apart(kernels, layer, shape):
    """A batch is its rows one by one, with buffers left from larger batches; it may have none."""
    params, x, dout = drawn(layer, shape, n=5)
    work = Work(x.dtype)
    out, grads, dx = passed(layer, kernels, params, x, dout, work=work)
    alone = [
        passed(layer, kernels, params, x[i : i + 1], dout[i : i + 1], work=work) for i in range(5)
    ]
    np.testing.assert_allclose(out, np.concatenate([a[0] for a in alone]), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(dx, np.concatenate([a[2] for a in alone]), rtol=1e-12, atol=1e-14)
    for name in params:
        np.testing.assert_allclose(grads[name], sum(a[1][name] for a in alone), atol=1e-12)
    none = passed(layer, kernels, params, x[:0], dout[:0], work=work)
    assert none[0].shape == out[:0].shape and none[2].shape == x[:0].shape
    assert all(not grad.any() for grad in none[1].values())


@every_layer
def test_inner_gradient_only_where_wanted(layer, shape):
    params, x, dout = drawn(layer, shape)
    _, grads, _ = passed(layer, KERNELS["array"], params, x, dout)
    _, same, dx = passed(layer, KERNELS["array"], params, x, dout, inner=False)
    assert dx is None
    for name in params:
        np.testing.assert_array_equal(grads[name], same[name])


@every_kernel
def test_one_filter_is_scipys_correlation(kernels):
    params, x, dout = drawn(Conv2D(1, (3, 5)), (1, 9, 8))
    out, _, _ = passed(Conv2D(1, (3, 5)), kernels, params, x, dout)
    expected = [correlate2d(image[0], params["K"][0, 0], "valid") + params["b"] for image in x]
    np.testing.assert_allclose(out[:, 0], expected, rtol=1e-12, atol=1e-13)


@every_kernel
def test_largest_entry_takes_the_gradient_and_the_first_of_equals(kernels):
    x = np.array([[[[1.0, 1, 0, 2], [1, 1, 3, 3]]]])
    out, _, dx = passed(MaxPool2D(), kernels, {}, x, np.array([[[[5.0, 7]]]]))
    np.testing.assert_array_equal(out, [[[[1, 3]]]])
    np.testing.assert_array_equal(dx, [[[[5, 0, 0, 0], [0, 0, 7, 0]]]])


@every_kernel
@pytest.mark.parametrize("size", [2, 3])
def test_nan_is_the_largest_entry(kernels, size):
    for place in range(size * size):
        x = np.ones((1, 1, size, size))
        x.flat[place] = np.nan
        out, _, _ = passed(MaxPool2D(size), kernels, {}, x, np.ones((1, 1, 1, 1)))
        assert np.isnan(out).all()


@every_kernel
def test_rectifier_is_flat_at_zero(kernels):
    layer, params = Conv2D(1, 1, activation="relu"), {"K": np.ones((1, 1, 1, 1)), "b": np.zeros(1)}
    x = np.array([-1.0, 0, 1]).reshape(3, 1, 1, 1)
    _, grads, dx = passed(layer, kernels, params, x, np.ones((3, 1, 1, 1)))
    assert dx.ravel().tolist() == [0, 0, 1] and grads["b"].tolist() == [1]


@every_kernel
@pytest.mark.parametrize("padding", ["same", "causal"])
def test_masked_steps_count_as_zero(kernels, padding):
    layer = Conv1D(3, 3, padding=padding, activation="tanh")
    params, x, dout = drawn(layer, (6, 2), n=4)
    mask = np.arange(6) < np.array([[6], [4], [1], [0]])
    out, grads, dx = passed(layer, kernels, params, x, dout, mask=mask)
    zeros = passed(layer, kernels, params, np.where(mask[..., None], x, 0), dout)
    np.testing.assert_array_equal(out, zeros[0])
    np.testing.assert_array_equal(grads["K"], zeros[1]["K"])
    np.testing.assert_array_equal(dx, np.where(mask[..., None], zeros[2], 0))


def test_causal_filters_know_nothing_of_the_future():
    layer = Conv1D(2, 3, padding="causal")
    params, x, dout = drawn(layer, (8, 2))
    later = x.copy()
    later[:, 5:] += 1
    first, second = (passed(layer, KERNELS["array"], params, a, dout)[0] for a in (x, later))
    np.testing.assert_array_equal(first[:, :5], second[:, :5])
    assert (first[:, 5] != second[:, 5]).all()


@every_kernel
@pytest.mark.parametrize(("layer", "shape"), CONVOLUTIONS + POOLS, ids=str)
def test_gradients_are_those_of_torch(kernels, layer, shape):
    torch = pytest.importorskip("torch")
    params, x, dout = drawn(layer, shape)
    out, grads, dx = passed(layer, kernels, params, x, dout)
    leaves = {name: torch.tensor(a, requires_grad=True) for name, a in params.items()}
    entries = torch.tensor(x, requires_grad=True)
    images = entries.reshape(len(x), -1, *x.shape[-2:])
    F = torch.nn.functional
    if isinstance(layer, Conv2D):
        size, stride, padding = pairs(layer.size, layer.stride, layer.padding)
        top, left = map(zeros_around, x.shape[-2:], size, stride, padding)
        z = F.conv2d(F.pad(images, (*left, *top)), leaves["K"], leaves["b"], stride)
        acts = {"relu": torch.relu, "tanh": torch.tanh, "logistic": torch.sigmoid}
        found = acts.get(layer.activation, lambda z: z)(z)
    else:
        pool = F.max_pool2d if isinstance(layer, MaxPool2D) else F.avg_pool2d
        found = pool(images, layer.size, layer.stride)
    found.backward(torch.tensor(dout))
    np.testing.assert_allclose(out, found.detach().numpy(), atol=1e-10)
    np.testing.assert_allclose(dx, entries.grad.numpy(), atol=1e-10)
    for name in params:
        np.testing.assert_allclose(grads[name], leaves[name].grad.numpy(), atol=1e-10)


@pytest.mark.parametrize(("activation", "variance"), [("relu", 2 / 45), ("tanh", 2 / (45 + 270))])
def test_first_filters_have_the_variance_of_their_sources(activation, variance):
    layer = Conv2D(30, 3, activation=activation)
    params, _ = layer.init(np.random.default_rng(0), (5, 9, 9))
    assert params["K"].shape == (30, 5, 3, 3) and not params["b"].any()
    assert params["K"].var() == pytest.approx(variance, rel=0.1)
    assert np.abs(params["K"]).max() <= np.sqrt(3 * variance)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Conv2D(2), (5,), r"Conv2D expects images \(C, H, W\) or \(H, W\), got a shape \(5,\)"),
        (MaxPool2D(), (1, 2, 3, 4), "MaxPool2D expects images"),
        (Conv2D(2, 5), (1, 4, 9), r"size \(5, 5\), larger than its input with padding, \(4, 9\)"),
        (AveragePool2D(3), (1, 2, 9), r"size \(3, 3\), larger than its input with padding"),
        (Conv1D(2, 5, padding=1), (2, 3), r"size \(1, 5\), larger than its input with .* \(1, 4\)"),
        (
            Conv1D(2),
            (3, 4, 5),
            r"Conv1D expects sequences \(T, features\), got a shape \(3, 4, 5\)",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_told(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer.init(np.random.default_rng(0), shape)


@pytest.mark.parametrize(
    ("layer", "settings", "message"),
    [
        (Conv2D, {"filters": 0}, "filters of Conv2D must be an integer of at least 1, got 0"),
        (Conv2D, {"filters": 2, "size": 0}, "size of Conv2D .* at least 1, or a pair .*got 0"),
        (Conv2D, {"filters": 2, "size": (1, 2, 3)}, "size of Conv2D"),
        (Conv2D, {"filters": 2, "stride": 1.5}, "stride of Conv2D"),
        (Conv2D, {"filters": 2, "padding": -1}, "padding of Conv2D"),
        (Conv2D, {"filters": 2, "padding": "causal"}, "Unknown padding 'causal' of Conv2D"),
        (Conv2D, {"filters": 2, "activation": "gelu"}, "Unknown activation 'gelu' of Conv2D"),
        (Conv1D, {"filters": 2, "activation": "softmax"}, r"Put Activation\('softmax'\) behind it"),
        (Conv1D, {"filters": 2, "stride": 0}, "stride of Conv1D must be an integer of at least 1"),
        (Conv1D, {"filters": 2, "size": (1, 1)}, "size of Conv1D must be an integer"),
        (Conv1D, {"filters": 2, "padding": -1}, "padding of Conv1D must be an integer"),
        (Conv1D, {"filters": 2, "padding": "full"}, "Unknown padding 'full' of Conv1D"),
        (MaxPool2D, {"stride": 0}, "stride of MaxPool2D"),
        (AveragePool2D, {"size": True}, "size of AveragePool2D"),
    ],
)
def test_settings_that_mean_nothing_are_told(layer, settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)


def test_a_mask_of_a_length_that_changes_is_refused():
    layer = Conv1D(2, 3)
    params, x, dout = drawn(layer, (6, 2))
    with pytest.raises(ValueError, match="4 time steps of 6.*padding='same' or 'causal'"):
        passed(layer, KERNELS["array"], params, x, dout, mask=np.ones((3, 6), dtype=bool))
