"""Networks against an independent NumPy forward pass, PyTorch, and logistic regression."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn import linear_model

from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.conv2d import Conv2D
from daskdsml.layers.dense import Dense
from daskdsml.layers.flatten import Flatten
from daskdsml.layers.lstm import LSTM
from daskdsml.layers.max_pool2d import MaxPool2D
from daskdsml.linear_model import LogisticRegression
from daskdsml.losses.multinomial import Multinomial
from daskdsml.network_contracts import Batch
from daskdsml.neural_network import MLPClassifier, NeuralClassifier
from daskdsml.neural_network.backprop import Backprop, finished
from daskdsml.neural_network.network import Network, Point
from daskdsml.optimizers.adam import Adam
from daskdsml.optimizers.nesterov import Nesterov
from daskdsml.utils import registry

N, K = 6, 3
backends = pytest.mark.parametrize("backend", ["numpy", "numba"])


class Case(NamedTuple):
    """A network in float64, a point, a batch, and the mean loss by NumPy: ``value(weights)``."""

    network: Network
    point: Point
    batch: Batch
    value: Any


def compose(layers, in_shape, batch, value):
    network = Network(layers, in_shape, Multinomial(K), np.float64)
    point = network.init(np.random.default_rng(1))
    # Away from zero biases and unit scales, whose gradients could hide mistakes.
    point.theta[:] += 0.3 * np.random.default_rng(2).normal(size=point.theta.shape)
    return Case(network, point, batch, value)


def perceptron():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(N, 5)), rng.integers(0, K, N)

    def value(first, norm, last):
        z = x @ first["W"]
        z = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) * norm["gamma"] + norm["beta"]
        return cross_entropy(np.maximum(z, 0.0) @ last["W"] + last["b"], y, np.ones(N))

    # A bias here would have no gradient but rounding, which Adam makes a step of.
    layers = [Dense(7, bias=False), BatchNorm(activation="relu"), Dense(K)]
    return compose(layers, (5,), Batch(x, y, size=N), value)


def convolutional():
    rng = np.random.default_rng(4)
    x, y, w = rng.normal(size=(N, 2, 7, 6)), rng.integers(0, K, N), rng.integers(0, 4, N) / 2.0

    def value(conv, pool, flat, last):
        z = np.maximum(correlated(x, conv["K"]) + conv["b"][:, None, None], 0.0)
        z = z[:, :, :6, :6].reshape(N, 4, 3, 2, 3, 2).max(axis=(3, 5))
        return cross_entropy(z.reshape(N, -1) @ last["W"] + last["b"], y, w)

    layers = [Conv2D(4, padding=1, activation="relu"), MaxPool2D(2), Flatten(), Dense(K)]
    return compose(layers, (2, 7, 6), Batch(x, y, w, size=N), value)


def tagger(mask=None):
    """Steps that a mask hides hand both states on: here, some within the sequences."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(N, 5, 3)), rng.integers(0, K, (N, 5))
    mask = rng.random((N, 5)) < 0.7 if mask is None else mask

    def value(lstm, last):
        h = c = np.zeros((N, 4))
        states = []
        for t in range(5):
            i, f, g, o = np.split(x[:, t] @ lstm["Wx"] + h @ lstm["Wh"] + lstm["b"], 4, axis=1)
            keep = mask[:, t, None]
            c = np.where(keep, logistic(f) * c + logistic(i) * np.tanh(g), c)
            h = np.where(keep, logistic(o) * np.tanh(c), h)
            states.append(h)
        z = np.stack(states, axis=1) @ last["W"] + last["b"]
        return cross_entropy(z.reshape(-1, K), y.ravel(), mask.ravel())

    layers = [LSTM(4, return_sequences=True), Dense(K)]
    return compose(layers, (5, 3), Batch(x, y, mask=mask, size=N), value)


def logistic(z):
    return 1.0 / (1.0 + np.exp(-z))


def cross_entropy(z, y, w):
    """Weighted mean of minus the logarithm of the softmax at ``y``."""
    return w @ (np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]) / w.sum()


def correlated(x, filters):
    """Cross-correlation with a border of one zero, entry by entry of the filters."""
    n, _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros((n, len(filters), height, width))
    for i in range(3):
        for j in range(3):
            seen = padded[:, :, i : i + height, j : j + width]
            out += np.einsum("ncyx,oc->noyx", seen, filters[:, :, i, j])
    return out


def gradient(case, backend):
    """Mean loss and its gradient, a copy, by our layers."""
    backprop = Backprop(case.network, registry.find("backends", backend)())
    found = finished(backprop.gradient(case.point, case.batch))
    return found.loss / found.weight, found.gradient / found.weight


@backends
@pytest.mark.parametrize("make", [perceptron, convolutional, tagger])
def test_losses_and_gradients_are_those_of_numpy(make, backend):
    case = make()
    value, found = gradient(case, backend)
    theta = case.point.theta

    def at(j, step):
        moved = theta.copy()
        moved[j] += step
        return case.value(*case.network.views(moved))

    np.testing.assert_allclose(value, at(0, 0.0), rtol=1e-13)
    steps = [(at(j, 1e-5) - at(j, -1e-5)) / 2e-5 for j in range(len(theta))]
    np.testing.assert_allclose(found, steps, rtol=0, atol=1e-9)


def torch_perceptron(torch, x, weights, running):
    first, norm, last = weights
    z = x @ first["W"]
    options = {"training": True, "momentum": 0.1, "eps": 1e-5}
    z = torch.nn.functional.batch_norm(z, *running, norm["gamma"], norm["beta"], **options)
    return torch.relu(z) @ last["W"] + last["b"]


def torch_convolutional(torch, x, weights, running):
    conv, _, _, last = weights
    z = torch.relu(torch.nn.functional.conv2d(x, conv["K"], conv["b"], padding=1))
    z = torch.nn.functional.max_pool2d(z, 2)
    return z.flatten(1) @ last["W"] + last["b"]


def torch_tagger(torch, x, weights, running):
    lstm, last = weights
    units = len(lstm["Wh"])
    own = {"weight_ih_l0": lstm["Wx"].T, "weight_hh_l0": lstm["Wh"].T}
    own |= {"bias_ih_l0": lstm["b"], "bias_hh_l0": torch.zeros_like(lstm["b"])}
    module = torch.nn.LSTM(x.shape[2], units, batch_first=True, dtype=x.dtype)
    states, _ = torch.func.functional_call(module, own, (x,))
    return states @ last["W"] + last["b"]


@backends
@pytest.mark.parametrize(
    "make, theirs",
    [
        (perceptron, torch_perceptron),
        (convolutional, torch_convolutional),
        # PyTorch's layer knows no masks: only padding at the end leaves its states as they are.
        (lambda: tagger(np.arange(5) < np.array([5, 1, 3, 4, 2, 5])[:, None]), torch_tagger),
    ],
    ids=["perceptron", "convolutional", "tagger"],
)
def test_steps_of_adam_are_those_of_torch(make, theirs, backend):
    torch = pytest.importorskip("torch")
    case = make()
    network, batch = case.network, case.batch
    weights = [
        {key: torch.tensor(array, requires_grad=True) for key, array in own.items()}
        for own in network.views(case.point.theta.copy())
    ]
    running = torch.zeros(7, dtype=torch.float64), torch.ones(7, dtype=torch.float64)
    optimizer = torch.optim.Adam([a for own in weights for a in own.values()], lr=0.01)
    x, y = torch.tensor(batch.X), torch.tensor(batch.y).reshape(-1)
    w = np.ones(y.shape) if batch.w is None and batch.mask is None else batch.w
    w = torch.tensor(batch.mask.ravel() * 1.0 if batch.mask is not None else w)
    solver, kernels = Adam(0.01), registry.find("backends", backend)().layers()
    state = solver.init(case.point.theta)
    for _ in range(5):
        value, slope = gradient(case, backend)
        state = solver.update(kernels, state, slope)
        optimizer.zero_grad()
        z = theirs(torch, x, weights, running).reshape(-1, K)
        loss = torch.nn.functional.cross_entropy(z, y, reduction="none") @ w / w.sum()
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(value, loss.item(), rtol=1e-12)
    for own, other in zip(network.views(state.theta), weights, strict=True):
        for key, array in own.items():
            np.testing.assert_allclose(array, other[key].detach().numpy(), rtol=0, atol=1e-10)


def labelled(n_classes):
    rng = np.random.default_rng(6)
    X = rng.normal(size=(300, 4))
    scores = X @ rng.normal(size=(4, n_classes)) + rng.gumbel(size=(300, n_classes))
    return X, np.argmax(scores, axis=1)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("alpha", [1e-6, 3.0])
def test_a_perceptron_without_hidden_layers_is_logistic_regression(n_classes, alpha):
    X, y = labelled(n_classes)
    # alpha / 2 ||W||**2 stands beside the summed loss, as 1 / (2 C) ||W||**2 does.
    ours = MLPClassifier((), solver="lbfgs", alpha=alpha, tol=1e-9, max_iter=1000).fit(X, y)
    assert ours.converged_
    check_same_model(ours.coefs_[0], ours.intercepts_[0], X, y, C=1.0 / alpha)
    theirs = linear_model.LogisticRegression(C=1.0 / alpha, tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)


def test_one_dense_layer_is_logistic_regression():
    X, y = labelled(2)
    model = NeuralClassifier(
        [Dense(1)],
        solver=Nesterov(2.0, 0.8),
        batch_size=len(X),
        l2=0.01,
        max_iter=300,
        dtype="float64",
    ).fit(X, y)
    weights = model.weights_[0]
    # l2 / 2 ||W||**2 stands beside the mean loss.
    check_same_model(weights["W"], weights["b"], X, y, C=1.0 / (0.01 * len(X)))


def check_same_model(W, b, X, y, C):
    """Coefficients are those of our logistic regression, and of scikit-learn's, up to 1e-5.

    Of more than two classes, intercepts are only known up to a number that all share.
    """
    for model in (
        LogisticRegression(C=C, tol=1e-10),
        linear_model.LogisticRegression(C=C, tol=1e-10, max_iter=1000),
    ):
        model.fit(X, y)
        np.testing.assert_allclose(W.T, model.coef_, rtol=0, atol=1e-5)
        found, expected = b, model.intercept_
        if len(b) > 1:
            found, expected = b - b.mean(), expected - expected.mean()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
