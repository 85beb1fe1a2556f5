"""Dense layers, activations, batch norm, dropout and losses of mini-batches: values and faults."""

import numpy as np
import pytest

from daskdsml.backends._layers._activations import ACTIVATIONS
from daskdsml.backends._layers.array import ArrayKernels
from daskdsml.layers.activation import Activation
from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.dense import Dense
from daskdsml.layers.dropout import Dropout
from daskdsml.losses.logistic import Logistic
from daskdsml.losses.multinomial import Multinomial
from daskdsml.losses.poisson import Poisson
from daskdsml.losses.squared_error import SquaredError
from daskdsml.network_contracts import Step

pytest.importorskip("numba")

from daskdsml.backends._layers.compiled import CompiledKernels  # noqa: E402

KERNELS = {"array": ArrayKernels(np), "compiled": CompiledKernels()}
every_kernel = pytest.mark.parametrize("kernels", KERNELS.values(), ids=KERNELS)
# (z, value, slope), from the formula in 40 digits.
KNOWN = {
    "identity": [(-2.5, -2.5, 1.0), (0.0, 0.0, 1.0)],
    "logistic": [
        (0.0, 0.5, 0.25),
        (2.0, 0.8807970779778823, 0.10499358540350652),
        (-40.0, 4.248354255291589e-18, 4.248354255291589e-18),
        (-1000.0, 0.0, 0.0),
    ],
    "tanh": [
        (1.0, 0.7615941559557649, 0.41997434161402607),
        (-1e-8, -1e-8, 1.0),
        (1000.0, 1.0, 0.0),
    ],
    "relu": [(-1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (3.0, 3.0, 1.0)],
    "leaky_relu": [(-2.0, -0.02, 0.01), (0.0, 0.0, 0.01), (3.0, 3.0, 1.0)],
    "elu": [
        (-1.0, -0.6321205588285577, 0.36787944117144233),
        (-1e-8, -9.99999995e-9, 0.99999999),
        (-1000.0, -1.0, 0.0),
        (1000.0, 1000.0, 1.0),
    ],
    "softplus": [
        (0.0, 0.6931471805599453, 0.5),
        (-40.0, 4.248354255291589e-18, 4.248354255291589e-18),
        (1000.0, 1000.0, 1.0),
    ],
}


def step_of(training=True, mask=None, rows=None):
    def work(name, shape, dtype=np.float64):
        return np.full(shape, 77.0, dtype)

    return Step(training, mask, rows, work, True)


def together(*generators):
    """What generators return that exchange sums: each is sent the sum of what all of them yield."""
    results, sent = [None] * len(generators), None
    while True:
        yielded = []
        for i, generator in enumerate(generators):
            try:
                yielded.append(generator.send(sent))
            except StopIteration as stop:
                results[i] = stop.value
        if not yielded:
            return results
        assert len(yielded) == len(generators)
        sent = sum(yielded)


@every_kernel
@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "softmax"])
def test_activations_have_known_values(name, kernels):
    z, value, slope = np.array(KNOWN[name]).T[:, :, None]
    layer = Activation(name)
    out, tape = layer.forward(kernels, {}, z, step_of())
    np.testing.assert_allclose(out, value, rtol=1e-14)
    found = layer.backward(kernels, {}, tape, np.ones_like(z), {}, step_of())
    # Near 1 the slope of tanh, 1 - a**2, has twice the error of a.
    np.testing.assert_allclose(found, slope, rtol=1e-14, atol=8 * np.finfo(float).eps)


@every_kernel
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_do_not_hide_nan(name, kernels):
    out, _ = Activation(name).forward(kernels, {}, np.full((2, 3), np.nan), step_of())
    assert np.isnan(out).all()


@every_kernel
def test_softmax_has_its_whole_jacobian(kernels):
    x = np.random.default_rng(0).standard_normal((1, 4))
    layer = Activation("softmax")
    y, tape = layer.forward(kernels, {}, x, step_of())
    np.testing.assert_allclose(y.sum(), 1.0, rtol=1e-15)
    rows = [layer.backward(kernels, {}, tape, dy[None], {}, step_of())[0] for dy in np.eye(4)]
    np.testing.assert_allclose(rows, np.diag(y[0]) - np.outer(y[0], y[0]), atol=1e-16)


@every_kernel
def test_softmax_of_large_scores(kernels):
    x = np.array([[1000.0, 1000.0 + np.log(3)], [-1000.0, 0.0]])
    y, _ = Activation("softmax").forward(kernels, {}, x, step_of())
    np.testing.assert_allclose(y, [[0.25, 0.75], [0.0, 1.0]], rtol=1e-12)


@every_kernel
def test_dense_keeps_the_order_in_memory(kernels):
    rng = np.random.default_rng(0)
    layer = Dense(3, "relu")
    params, _ = layer.init(rng, (5, 2))
    x = rng.standard_normal((5, 4, 2)).transpose(1, 0, 2)
    out, _ = layer.forward(kernels, params, x, step_of())
    assert out.shape == (4, 5, 3)
    assert out.transpose(1, 0, 2).flags.c_contiguous
    np.testing.assert_allclose(out, np.maximum(x @ params["W"] + params["b"], 0), atol=1e-15)


def test_weights_are_as_wide_as_their_sources_say():
    rng = np.random.default_rng(0)
    for activation, limit in (("relu", np.sqrt(6 / 50)), (None, np.sqrt(6 / 350))):
        W = Dense(300, activation).init(rng, (50,))[0]["W"]
        assert np.abs(W).max() == pytest.approx(limit, rel=1e-3)
        assert W.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)


@every_kernel
@pytest.mark.parametrize("shape", [(12, 3), (12, 3, 4, 2), (12, 5, 3)])
def test_batch_norm_of_a_spread_batch_is_that_of_the_whole(shape, kernels):
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal(shape), rng.standard_normal(shape)
    layer = BatchNorm(activation="tanh")
    params, _ = layer.init(rng, shape[1:])
    params = {k: a + rng.standard_normal(a.shape) for k, a in params.items()}
    params |= layer.statistics(shape[1:])
    found = []
    for cuts in ([slice(0, 12)], [slice(0, 7), slice(7, 7), slice(7, 12)]):
        step = step_of()
        results = together(*(layer.forward(kernels, params, x[c], step) for c in cuts))
        grads = [{k: np.empty(3) for k in ("gamma", "beta")} for _ in cuts]
        dx = together(
            *(
                layer.backward(kernels, params, tape, dout[c], g, step)
                for c, (_, tape), g in zip(cuts, results, grads, strict=True)
            )
        )
        total = [sum(g[k] for g in grads) for k in ("gamma", "beta")]
        followed = [tape.statistics["var"] for _, tape in results]
        found.append((np.concatenate([out for out, _ in results]), np.concatenate(dx), *total))
        np.testing.assert_array_equal(followed, [followed[0]] * len(cuts))
    for whole, spread in zip(*found, strict=True):
        np.testing.assert_allclose(spread, whole, rtol=0, atol=1e-13)


@every_kernel
@pytest.mark.parametrize("shape", [(50, 2), (10, 2, 5, 1)], ids=["rows", "images"])
@pytest.mark.parametrize(("real", "tolerance"), [(np.float64, 1e-9), (np.float32, 2e-4)])
def test_batch_norm_far_from_zero_keeps_its_digits(real, tolerance, shape, kernels):
    # Numbers that float32 holds exactly, so that the distance alone is what could be lost.
    near = np.random.default_rng(0).integers(-64, 64, shape) / 16.0
    layer = BatchNorm()
    params = layer.init(None, shape[1:])[0] | layer.statistics(shape[1:])
    params = {k: a.astype(real) for k, a in params.items()}
    distance = 1e6 if real is np.float64 else 2.0**17
    outs = [
        together(layer.forward(kernels, params, x.astype(real), step_of()))[0]
        for x in (near, near + distance)
    ]
    (out, tape), (far, far_tape) = outs
    np.testing.assert_allclose(far, out, rtol=0, atol=tolerance)
    np.testing.assert_allclose(far_tape.statistics["var"], tape.statistics["var"], rtol=1e-9)


@every_kernel
def test_batch_norm_leaves_masked_steps_out(kernels):
    rng = np.random.default_rng(0)
    x, mask = rng.standard_normal((4, 5, 3)), rng.random((4, 5)) < 0.6
    layer = BatchNorm()
    params = layer.init(rng, (5, 3))[0] | layer.statistics((5, 3))
    step = step_of(mask=mask)
    [(out, tape)] = together(layer.forward(kernels, params, x, step))
    np.testing.assert_allclose(tape.statistics["mean"], x[mask].mean(0), atol=1e-15)
    np.testing.assert_allclose(tape.statistics["var"], x[mask].var(0), atol=1e-15)
    expected = (x - x[mask].mean(0)) / np.sqrt(x[mask].var(0) + 1e-5)
    np.testing.assert_allclose(out, expected, atol=1e-14)
    dout, way = rng.standard_normal((2, *x.shape))
    grads = {k: np.empty(3) for k in ("gamma", "beta")}
    [dx] = together(layer.backward(kernels, params, tape, dout, grads, step))

    def loss(t):
        [(out, _)] = together(layer.forward(kernels, params, x + t * way, step))
        return np.sum(out * dout)

    assert np.sum(dx * way) == pytest.approx((loss(1e-5) - loss(-1e-5)) / 2e-5, rel=1e-7)
    with pytest.raises(ValueError, match="5 steps and a mask of 4"):
        together(layer.forward(kernels, params, x, step_of(mask=mask[:, :4])))


@every_kernel
def test_batch_norm_predicts_by_running_statistics(kernels):
    x = np.random.default_rng(0).standard_normal((6, 2))
    layer = BatchNorm(epsilon=0.5)
    params = layer.init(None, (2,))[0] | {"mean": np.array([1.0, 2]), "var": np.array([3.5, 8.5])}
    generator = layer.forward(kernels, params, x, step_of(training=False))
    with pytest.raises(StopIteration) as stop:
        next(generator)  # nothing is exchanged
    np.testing.assert_allclose(stop.value.value[0], (x - [1, 2]) / [2, 3], atol=1e-15)


def test_dropout_drops_its_share_and_keeps_the_mean():
    x = np.ones((400, 500))
    layer = Dropout(0.25)
    drawn = step_of(rows=lambda draw: draw(np.random.default_rng(0), 400))
    out, tape = layer.forward(KERNELS["array"], {}, x, drawn)
    assert set(np.unique(out)) == {0.0, 1 / 0.75}
    assert np.mean(out == 0) == pytest.approx(0.25, abs=0.005)
    np.testing.assert_array_equal(layer.backward(None, {}, tape, x, {}, drawn), out)
    assert layer.forward(KERNELS["array"], {}, x, step_of(training=False))[0] is x


@every_kernel
@pytest.mark.parametrize(
    "loss", [Multinomial(3), SquaredError(), Logistic(), Poisson()], ids=lambda loss: str(loss)
)
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_those_of_rows(loss, weighted, kernels):
    rng = np.random.default_rng(0)
    z = 3 * rng.standard_normal((11, 3))
    y = rng.integers(3, size=11).astype(float) if loss.coupled else rng.random((11, 3))
    w = rng.integers(3, size=11).astype(float) if weighted else None
    value, weight, dz = kernels.loss(loss, y, z, w)
    counts = np.ones(11) if w is None else w
    each, slope = loss.value_and_derivative(np, y, z)
    if not loss.coupled:
        each, slope = each.mean(1), slope / 3
    np.testing.assert_allclose(value, counts * each, rtol=1e-13)
    assert weight == counts.sum()
    np.testing.assert_allclose(dz, counts[:, None] * slope, atol=1e-15)


@every_kernel
def test_cross_entropy_keeps_its_digits(kernels):
    z = np.array([[40.0, 0.0, 0.0], [0.0, 1000.0, -1000.0], [2.0, 2.0, 2.0]])
    value, weight, dz = kernels.loss(Multinomial(3), np.zeros(3), z[:1])
    assert value[0] == pytest.approx(8.496708510583178e-18, rel=1e-13)
    assert dz[0, 1] == pytest.approx(4.248354255291589e-18, rel=1e-13)
    value, weight, dz = kernels.loss(Multinomial(3), np.zeros(3), z, np.array([1.0, 2, 1]))
    np.testing.assert_allclose(value, [0.0, 2000.0, np.log(3)], atol=1e-15)
    assert weight == 4.0
    np.testing.assert_allclose(dz[1], [-2, 2, 0], atol=1e-15)


@every_kernel
@np.errstate(all="ignore")  # as in the engine: what overflows here has no weight
def test_what_has_no_weight_is_zero_even_if_infinite(kernels):
    z = np.array([[800.0], [0.0]])
    value, weight, dz = kernels.loss(Poisson(), np.ones((2, 1)), z, np.array([0.0, 1.0]))
    assert (value.tolist(), weight) == ([0.0, 1.0], 1.0)
    np.testing.assert_array_equal(dz, [[0.0], [0.0]])


@every_kernel
def test_no_rows_have_no_loss(kernels):
    for loss, y in ((Multinomial(3), np.empty(0)), (SquaredError(), np.empty((0, 3)))):
        value, weight, dz = kernels.loss(loss, y, np.empty((0, 3)))
        assert (value.tolist(), weight, dz.shape) == ([], 0.0, (0, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Activation("swish"), "Unknown activation 'swish' of Activation: .*'tanh'"),
        (lambda: Dense(3, "swish"), "Unknown activation 'swish' of Dense"),
        (lambda: Activation(["relu"]), "Unknown activation"),
        (lambda: BatchNorm(activation="softmax"), r"Put Activation\('softmax'\) behind"),
        (lambda: BatchNorm(momentum=0.0), "momentum of BatchNorm"),
        (lambda: BatchNorm(momentum=1.5), "momentum of BatchNorm"),
        (lambda: BatchNorm(epsilon=0.0), "epsilon of BatchNorm"),
        (lambda: Dense(0), "units of Dense"),
        (lambda: Dense(2.5), "units of Dense"),
        (lambda: Dense(3, bias=1.0), "bias of Dense"),
        (lambda: Dropout(1.0), "rate of Dropout"),
        (lambda: Dropout(-0.1), "rate of Dropout"),
        (lambda: Dropout(float("nan")), "rate of Dropout"),
        (lambda: Dense(3).init(None, (2, 3, 4)), r"got \(2, 3, 4\). Put Flatten\(\) before"),
        (lambda: Activation("softmax").init(None, (2, 3, 4)), "Flatten"),
        (lambda: BatchNorm().init(None, (2, 3, 4, 5)), "Flatten"),
        (lambda: BatchNorm().init(None, ()), "BatchNorm needs rows"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_batch_norm_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((2, 6, 3, 4, 5))
    given = torch.tensor(x, requires_grad=True)
    theirs = torch.nn.BatchNorm2d(3, dtype=torch.float64)
    expected = theirs(given)
    expected.backward(torch.tensor(dout))
    layer = BatchNorm()
    params = layer.init(rng, (3, 4, 5))[0] | layer.statistics((3, 4, 5))
    grads = {k: np.empty(3) for k in ("gamma", "beta")}
    kernels = KERNELS["compiled"]
    [(out, tape)] = together(layer.forward(kernels, params, x, step_of()))
    [dx] = together(layer.backward(kernels, params, tape, dout, grads, step_of()))
    np.testing.assert_allclose(out, expected.detach().numpy(), atol=1e-13)
    np.testing.assert_allclose(dx, given.grad.numpy(), atol=1e-13)
    np.testing.assert_allclose(grads["gamma"], theirs.weight.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(grads["beta"], theirs.bias.grad.numpy(), atol=1e-12)
    mean = 0.1 * tape.statistics["mean"]
    np.testing.assert_allclose(mean, theirs.running_mean.numpy(), atol=1e-15)
