"""Recurrent layers: equations, gradients, masks and first states, on both kinds of kernels."""

import numpy as np
import pytest

from daskdsml.backends._layers.array import ArrayKernels
from daskdsml.layers.bidirectional import Bidirectional
from daskdsml.layers.embedding import Embedding
from daskdsml.layers.gru import GRU
from daskdsml.layers.lstm import LSTM
from daskdsml.layers.rnn import RNN
from daskdsml.network_contracts import Step

pytest.importorskip("numba")

from daskdsml.backends._layers.compiled import CompiledKernels  # noqa: E402

KERNELS = {"array": ArrayKernels(np), "compiled": CompiledKernels()}
CELLS = (RNN, LSTM, GRU)
every_cell = pytest.mark.parametrize("cell", CELLS)
both_kernels = pytest.mark.parametrize("kernels", KERNELS.values(), ids=KERNELS)
LAYERS = [
    *(cell(3, return_sequences=all_steps) for cell in CELLS for all_steps in (False, True)),
    *(Bidirectional(cell(3, return_sequences=cell is GRU)) for cell in CELLS),
]
every_layer = pytest.mark.parametrize("layer", LAYERS, ids=str)


def step_of(mask=None, real=np.float64, watch=None, inner=True):
    """A step whose buffers are kept, and hold nonsense at first."""
    kept = {}

    def work(name, shape, dtype=None):
        if (name, shape) not in kept:
            kept[name, shape] = np.full(shape, 100).astype(real if dtype is None else dtype)
        return kept[name, shape]

    return Step(training=True, mask=mask, work=work, inner=inner, watch=watch)


def problem(layer, n=5, steps=4, p=2, holes=True, per_row=False, seed=0):
    """Random parameters, x, a mask and a gradient of the output, for a layer of sequences."""
    rng = np.random.default_rng(seed)
    params, out_shape = layer.init(rng, (steps, p))
    params = {name: a + 0.3 * rng.normal(size=a.shape) for name, a in params.items()}
    own = getattr(layer, "layer", layer)
    for way in ("forward_", "backward_") if own is not layer else ("",):
        for name in own.states:
            shape = (n, own.units) if per_row else (own.units,)
            params[way + name] = rng.normal(size=shape)
    mask = rng.random((n, steps)) < 0.6 if holes else None
    return params, rng.normal(size=(n, steps, p)), mask, rng.normal(size=(n, *out_shape))


def gradients(layer, kernels, params, x, mask, dout, step=None):
    """The output, a dict of all gradients (that in x is named "x"), and the step."""
    step = step or step_of(mask, x.dtype)
    out, tape = layer.forward(kernels, params, x, step)
    out = out.copy()
    grads = {name: np.full_like(array, np.nan) for name, array in params.items()}
    dx = layer.backward(kernels, params, tape, dout, grads, step)
    return out, grads | {"x": dx}


def logistic(a):
    return 1 / (1 + np.exp(-a))


def next_states(cell, x, states, params):
    """One step of one row, gate by gate."""
    h, *rest = states
    n_gates = {RNN: 1, LSTM: 4, GRU: 3}[cell]
    parts = (np.split(params[name], n_gates, axis=-1) for name in ("Wx", "Wh", "b"))
    gates = list(zip(*parts, strict=True))

    def sums(k, h=h):
        Wx, Wh, b = gates[k]
        return x @ Wx + h @ Wh + b

    if cell is RNN:
        return (np.tanh(sums(0)),)
    if cell is LSTM:
        c = logistic(sums(1)) * rest[0] + logistic(sums(0)) * np.tanh(sums(2))
        return logistic(sums(3)) * np.tanh(c), c
    z, r = logistic(sums(0)), logistic(sums(1))
    return (z * h + (1 - z) * np.tanh(sums(2, r * h)),)


def walked(cell, x, mask, params):
    """States after each step, row after row."""
    out = []
    for i in range(len(x)):
        names = ("h0", "c0") if cell is LSTM else ("h0",)
        states = [params[name] if params[name].ndim == 1 else params[name][i] for name in names]
        for t in range(x.shape[1]):
            if mask is None or mask[i, t]:
                states = next_states(cell, x[i, t], states, params)
            out.append(states[0])
    return np.reshape(out, (*x.shape[:2], -1))


@both_kernels
@every_cell
@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("holes", [False, True])
def test_states_follow_the_equations(cell, kernels, per_row, holes):
    layer = cell(3, return_sequences=True)
    params, x, mask, _ = problem(layer, holes=holes, per_row=per_row)
    expected = walked(cell, x, mask, params)
    out, _ = layer.forward(kernels, params, x, step_of(mask))
    np.testing.assert_allclose(out, expected, atol=1e-14)
    last, _ = cell(3).forward(kernels, params, x, step_of(mask))
    np.testing.assert_allclose(last, expected[:, -1], atol=1e-14)


@every_cell
def test_both_directions_are_two_walks(cell):
    layer = Bidirectional(cell(3, return_sequences=True))
    params, x, mask, _ = problem(layer)
    halves = [
        walked(
            cell,
            x[:, ::way],
            mask[:, ::way],
            {k[len(own) :]: v for k, v in params.items() if k.startswith(own)},
        )
        for own, way in (("forward_", 1), ("backward_", -1))
    ]
    out, _ = layer.forward(KERNELS["compiled"], params, x, step_of(mask))
    np.testing.assert_allclose(out, np.concatenate([halves[0], halves[1][:, ::-1]], -1), atol=1e-14)
    last, _ = Bidirectional(cell(3)).forward(KERNELS["compiled"], params, x, step_of(mask))
    np.testing.assert_allclose(last, np.concatenate([h[:, -1] for h in halves], -1), atol=1e-14)


@both_kernels
@every_layer
@pytest.mark.parametrize(
    "n, steps, per_row", [(5, 4, False), (1, 4, True), (5, 1, True), (3, 7, True)]
)
def test_gradient_along_a_random_direction(layer, kernels, n, steps, per_row):
    params, x, mask, dout = problem(layer, n, steps, per_row=per_row, holes=n != 3)
    _, grads = gradients(layer, kernels, params, x, mask, dout)
    rng = np.random.default_rng(1)
    arrays = params | {"x": x}
    along = {name: rng.normal(size=array.shape) for name, array in arrays.items()}
    told = sum((grads[name] * along[name]).sum() for name in arrays)

    def value(shift):
        moved = {name: array + shift * along[name] for name, array in arrays.items()}
        out, _ = layer.forward(kernels, moved, moved["x"], step_of(mask))
        return (out * dout).sum()

    h = 1e-4
    # Fourth-order differences: rounding and truncation both stay below 1e-9.
    slope = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    assert told == pytest.approx(slope, rel=1e-7, abs=1e-7)


@every_layer
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_both_kernels_give_the_same(layer, dtype, tolerance):
    params, x, mask, dout = problem(layer, n=70, steps=9)
    params = {name: array.astype(dtype) for name, array in params.items()}
    found = [
        gradients(layer, kernels, params, x.astype(dtype), mask, dout.astype(dtype))
        for kernels in KERNELS.values()
    ]
    for name in found[0][1]:
        a, b = (grads[name] for _, grads in found)
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(a).max())
    np.testing.assert_allclose(found[0][0], found[1][0], atol=tolerance)


@every_cell
@pytest.mark.parametrize("n, steps", [(30, 9), (128, 2), (300, 2)])
def test_gathering_tiles_of_rows_and_steps(cell, n, steps):
    """Gradients are gathered over 128 rows at once: of some steps, of one, of a part of one."""
    layer = cell(3, return_sequences=True)
    params, x, mask, dout = problem(layer, n, steps)
    found = [gradients(layer, kernels, params, x, mask, dout)[1] for kernels in KERNELS.values()]
    for name, gradient in found[0].items():
        np.testing.assert_allclose(found[1][name], gradient, rtol=1e-10, atol=1e-12)


@both_kernels
@every_cell
def test_a_mask_with_holes_is_a_shorter_sequence(cell, kernels):
    layer = cell(3)
    params, x, mask, dout = problem(layer, n=6)
    mask[0] = False
    out, grads = gradients(layer, kernels, params, x, mask, dout)
    np.testing.assert_array_equal(out[0], params["h0"])
    total = {name: np.zeros_like(array) for name, array in params.items()}
    for i in range(1, len(x)):
        own = x[i : i + 1, mask[i]]
        alone, own_grads = gradients(layer, kernels, params, own, None, dout[i : i + 1])
        np.testing.assert_allclose(out[i], alone[0], atol=1e-14)
        np.testing.assert_allclose(grads["x"][i, mask[i]], own_grads["x"][0], atol=1e-14)
        for name in total:
            total[name] += own_grads[name]
    total["h0"] += dout[0]
    assert not grads["x"][~mask].any()
    for name in total:
        np.testing.assert_allclose(grads[name], total[name], atol=1e-13)


@both_kernels
@every_layer
def test_no_rows(layer, kernels):
    params, x, mask, dout = problem(layer, n=0)
    watch = {}
    out, grads = gradients(layer, kernels, params, x, mask, dout, step_of(mask, watch=watch))
    assert out.shape == dout.shape
    assert grads.pop("x").shape == x.shape
    assert not any(gradient.any() for gradient in grads.values())
    np.testing.assert_array_equal(watch["steps"], np.zeros(x.shape[1]))


@both_kernels
@every_layer
def test_without_the_gradient_in_x(layer, kernels):
    params, x, mask, dout = problem(layer)
    _, expected = gradients(layer, kernels, params, x, mask, dout)
    _, grads = gradients(layer, kernels, params, x, mask, dout, step_of(mask, inner=False))
    assert grads.pop("x") is None
    for name, gradient in grads.items():
        np.testing.assert_allclose(gradient, expected[name], atol=1e-13)


@both_kernels
@every_cell
def test_watch_tells_the_gradient_in_each_state(cell, kernels):
    """The gradient in the state after step t is that in the first state of what follows.

    An LSTM's state is h and c; what follows the last step is the output, h itself.
    """
    layer = cell(3)
    params, x, _, dout = problem(layer, per_row=True, holes=False)
    watch = {}
    gradients(layer, kernels, params, x, None, dout, step_of(watch=watch))
    assert watch["steps"][-1] == pytest.approx(np.linalg.norm(dout))
    for t in range(1, x.shape[1]):
        _, tape = layer.forward(kernels, params, x[:, :t], step_of())
        rest = params | {"h0": tape.joined[-1, :, x.shape[2] :].copy()}
        if cell is LSTM:
            rest["c0"] = tape.memory[1][-1].copy()
        _, grads = gradients(layer, kernels, rest, x[:, t:], None, dout)
        whole = np.concatenate([grads[name] for name in layer.states])
        assert watch["steps"][t - 1] == pytest.approx(np.linalg.norm(whole))


def test_watch_of_both_directions_is_in_the_order_of_time():
    own = RNN(3, return_sequences=True)
    layer = Bidirectional(own)
    params, x, mask, dout = problem(layer)
    watch = {}
    gradients(layer, KERNELS["array"], params, x, mask, dout, step_of(mask, watch=watch))
    squares = np.zeros(x.shape[1])
    for way, order, half in (("forward_", 1, dout[..., :3]), ("backward_", -1, dout[..., 3:])):
        own_params = {k[len(way) :]: v for k, v in params.items() if k.startswith(way)}
        turned, seen = mask[:, ::order], {}
        step = step_of(turned, watch=seen)
        gradients(own, KERNELS["array"], own_params, x[:, ::order], turned, half[:, ::order], step)
        squares += seen["steps"][::order] ** 2
    np.testing.assert_allclose(watch["steps"], np.sqrt(squares))


@every_cell
def test_learned_states_begin_at_zero_and_learn(cell):
    layer = cell(3, initial_state="learned")
    params, _ = layer.init(np.random.default_rng(0), (None, 2))
    assert set(params) == {"Wx", "Wh", "b", *layer.states}
    _, x, mask, dout = problem(layer)
    zeros, _ = cell(3).forward(
        KERNELS["compiled"], {k: params[k] for k in ("Wx", "Wh", "b")}, x, step_of(mask)
    )
    out, grads = gradients(layer, KERNELS["compiled"], params, x, mask, dout)
    np.testing.assert_array_equal(out, zeros)
    for name in layer.states:
        assert params[name].shape == (3,)
        assert not params[name].any()
        assert np.abs(grads[name]).min() > 0


@every_cell
def test_weights_begin_as_documented(cell):
    units, p = 40, 24
    params, shape = cell(units, return_sequences=True).init(np.random.default_rng(0), (None, p))
    assert shape == (None, units)
    n_gates = params["b"].size // units
    for W in np.split(params["Wh"], n_gates, axis=1):
        np.testing.assert_allclose(W.T @ W, np.eye(units), atol=1e-12)
    limit = np.sqrt(6 / (p + units))
    assert 0.99 * limit < np.abs(params["Wx"]).max() <= limit
    assert params["Wx"].var() == pytest.approx(2 / (p + units), rel=0.1)
    expected = np.zeros_like(params["b"])
    # The gates that keep: forget, and update.
    kept = {LSTM: slice(units, 2 * units), GRU: slice(units)}
    if cell in kept:
        expected[kept[cell]] = 1
    np.testing.assert_array_equal(params["b"], expected)


@pytest.mark.parametrize("cell", [RNN, LSTM])
def test_as_torch(cell):
    torch = pytest.importorskip("torch")
    layer = cell(5, return_sequences=True)
    params, x, _, dout = problem(layer, n=4, steps=6, p=3, holes=False, per_row=True)
    out, grads = gradients(layer, KERNELS["compiled"], params, x, None, dout)
    theirs = getattr(torch.nn, cell.__name__)(3, 5, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(torch.tensor(params["Wx"].T))
        theirs.weight_hh_l0.copy_(torch.tensor(params["Wh"].T))
        theirs.bias_ih_l0.copy_(torch.tensor(params["b"]))
        theirs.bias_hh_l0.zero_()
    states = [torch.tensor(params[k][None], requires_grad=True) for k in layer.states]
    x = torch.tensor(x, requires_grad=True)
    found, _ = theirs(x, tuple(states) if cell is LSTM else states[0])
    found.backward(torch.tensor(dout))
    expected = {
        "Wx": theirs.weight_ih_l0.grad.T,
        "Wh": theirs.weight_hh_l0.grad.T,
        "b": theirs.bias_ih_l0.grad,
        "x": x.grad,
    } | {name: state.grad[0] for name, state in zip(layer.states, states, strict=True)}
    np.testing.assert_allclose(out, found.detach(), atol=1e-10)
    for name, gradient in expected.items():
        np.testing.assert_allclose(grads[name], gradient, atol=1e-10)


@both_kernels
def test_embedding_looks_up_and_scatters(kernels):
    layer = Embedding(4, 3)
    params, shape = layer.init(np.random.default_rng(0), (None,))
    assert shape == (None, 3)
    codes = np.array([[0, 3, 3], [1, -1, 3]])
    mask = np.array([[True, True, True], [True, False, True]])
    step = step_of(mask)
    out, tape = layer.forward(kernels, params, codes.astype(float), step)
    np.testing.assert_array_equal(out[mask], params["E"][codes[mask]])
    dout = np.random.default_rng(1).normal(size=out.shape) * mask[:, :, None]
    grads = {"E": np.full((4, 3), np.nan)}
    assert layer.backward(kernels, params, tape, dout, grads, step) is None
    for code in range(4):
        np.testing.assert_allclose(grads["E"][code], dout[codes == code].sum(0), atol=1e-15)


def test_embedding_takes_no_rows():
    layer = Embedding(4, 3)
    params, _ = layer.init(np.random.default_rng(0), (5,))
    out, _ = layer.forward(KERNELS["array"], params, np.empty((0, 5)), step_of())
    assert out.shape == (0, 5, 3)


@pytest.mark.parametrize("code", [4, -1, 1.5, np.nan])
def test_embedding_names_a_code_it_does_not_know(code):
    layer = Embedding(4, 3)
    params, _ = layer.init(np.random.default_rng(0), (2,))
    with pytest.raises(ValueError, match=rf"from 0 to 3, but x holds {code}"):
        layer.forward(KERNELS["array"], params, np.array([[1, code]]), step_of())


@pytest.mark.parametrize(
    "layer", [*(cell(3) for cell in CELLS), Bidirectional(GRU(3)), Embedding(4, 3)], ids=str
)
def test_bad_shapes(layer):
    codes = isinstance(layer, Embedding)
    for shape in ((4, 5, 6), (4, 2) if codes else (4,), () if codes else (0, 2)):
        with pytest.raises(ValueError, match="takes rows of shape"):
            layer.init(np.random.default_rng(0), shape)
    rows = () if codes else (2,)
    params, _ = layer.init(np.random.default_rng(0), (4, *rows))
    with pytest.raises(ValueError, match=r"mask of .*\(5, 4.*\(5, 3\)"):
        layer.forward(
            KERNELS["array"], params, np.zeros((5, 4, *rows)), step_of(np.ones((5, 3), bool))
        )


@every_cell
def test_no_steps(cell):
    layer = cell(3)
    params, _ = layer.init(np.random.default_rng(0), (None, 2))
    with pytest.raises(ValueError, match="at least one step"):
        layer.forward(KERNELS["array"], params, np.zeros((5, 0, 2)), step_of())


@pytest.mark.parametrize(
    "made, message",
    [
        (lambda: RNN(0), "units of RNN must be an integer of at least 1"),
        (lambda: LSTM(3, initial_state="ones"), "must be 'zeros' or 'learned', got 'ones'"),
        (lambda: GRU(3, return_sequences="no"), "return_sequences of GRU must be True or False"),
        (lambda: Bidirectional(Embedding(3, 4)), "must be an RNN, LSTM or GRU"),
        (lambda: Embedding(0, 3), "n_tokens of Embedding must be an integer of at least 1"),
    ],
)
def test_bad_settings(made, message):
    with pytest.raises(ValueError, match=message):
        made()


@every_cell
def test_weight_decay_acts_on_weights_alone(cell):
    assert cell(3).penalised == {"Wx", "Wh"}
    both = {"forward_Wx", "forward_Wh", "backward_Wx", "backward_Wh"}
    assert Bidirectional(cell(3)).penalised == both
