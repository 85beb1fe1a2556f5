"""Networks as torch modules: the same numbers, in training too."""

import io
import sys

import numpy as np
import pytest

from daskdsml.backends._layers._activations import ACTIVATIONS
from daskdsml.backends.numpy import NumPy
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
from daskdsml.losses.multinomial import Multinomial
from daskdsml.network_contracts import Batch
from daskdsml.neural_network import NeuralRegressor
from daskdsml.neural_network.backprop import Backprop, finished
from daskdsml.neural_network.network import Network, Point
from daskdsml.utils import registry

# layers, shape of a row
NETS = {
    "dense": ([Dense(4, "relu"), Dense(3, bias=False), Dense(2, "tanh")], (5,)),
    "dense over steps": ([Dense(4, "elu"), Dense(3)], (6, 5)),
    **{name: ([Dense(4), Activation(name)], (5,)) for name in ACTIVATIONS},
    "softmax over steps": ([Dense(4, "softmax")], (6, 5)),
    "batch norm": ([Dense(4), BatchNorm(activation="relu"), Dropout(0.5), Dense(2)], (5,)),
    "batch norm over steps": ([BatchNorm(momentum=0.3), Dense(2)], (6, 5)),
    "batch norm of images": ([Conv2D(4), BatchNorm(epsilon=1e-3), Flatten()], (3, 7, 6)),
    "one channel": ([Conv2D(4, activation="tanh"), Flatten(), Dense(2)], (7, 6)),
    "channels last": ([Conv2D(4, data_format="channels_last"), Flatten(), Dense(2)], (7, 6, 3)),
    "channels last, pooled first": (
        [MaxPool2D(data_format="channels_last"), Conv2D(4), BatchNorm(), Flatten()],
        (7, 6, 3),
    ),
    "stride and padding": ([Conv2D(4, (3, 2), (2, 1), (1, 0), "relu"), Flatten()], (3, 9, 8)),
    "same, odd": ([Conv2D(4, 3, padding="same"), Flatten()], (3, 7, 6)),
    "same, even": ([Conv2D(4, (4, 2), (1, 2), "same"), Flatten()], (3, 7, 6)),
    "largest": ([MaxPool2D(), Flatten()], (3, 9, 7)),
    "largest, one channel": ([MaxPool2D((3, 2), 2), Flatten(), Dense(2)], (9, 7)),
    "mean": ([AveragePool2D(3, (1, 2)), Flatten()], (3, 9, 7)),
    "over time": ([Conv1D(4, 3, 2, 1, "relu"), Flatten()], (9, 5)),
    "over time, same": ([Conv1D(4, 4, padding="same"), Flatten()], (9, 5)),
    "over time, causal": ([Conv1D(4, 3, padding="causal", activation="tanh")], (9, 5)),
    "codes": ([Embedding(11, 4), RNN(3)], (6,)),
}
for cell in (RNN, LSTM, GRU):
    for layer in (
        cell(4),
        cell(4, return_sequences=True),
        cell(4, initial_state="learned"),
        Bidirectional(cell(4, initial_state="learned")),
        Bidirectional(cell(4, return_sequences=True)),
    ):
        NETS[repr(layer)] = ([layer, Dense(2)], (6, 5))
EVERY_NET = pytest.mark.parametrize(("layers", "in_shape"), NETS.values(), ids=NETS)


def to_torch(network, point):
    from daskdsml.neural_network import _torch  # imports PyTorch

    return _torch.to_torch(network, point)


@pytest.fixture
def torch():
    """PyTorch, or a skip; on one thread, for more would wait for each other in so small nets."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(before)


def drawn(layers, in_shape, dtype="float64"):
    """A network, a point off its start, and rows for it."""
    rng = np.random.default_rng(0)
    network = Network(layers, in_shape, dtype=dtype)
    theta = rng.normal(size=network.n_parameters).astype(dtype)
    statistics = rng.uniform(0.5, 2.0, size=network.n_statistics).astype(dtype)
    X = rng.normal(size=(7, *in_shape))
    if isinstance(layers[0], Embedding):
        X = rng.integers(0, layers[0].n_tokens, size=X.shape)
    return network, Point(theta, statistics), X.astype(dtype)


def scores(network, point, X):
    return np.array(Backprop(network, NumPy()).scores(point, X))


@EVERY_NET
def test_a_torch_module_gives_the_same_scores(torch, layers, in_shape):
    network, point, X = drawn(layers, in_shape)
    module = to_torch(network, point)
    assert not module.training
    assert len(module) == len(layers)
    with torch.no_grad():
        found = module(torch.tensor(X)).numpy()
    assert found.dtype == "float64"
    np.testing.assert_allclose(found, scores(network, point, X), rtol=1e-10, atol=1e-10)


@EVERY_NET
def test_a_torch_module_can_be_trained_and_kept(torch, layers, in_shape):
    network, point, X = drawn(layers, in_shape, "float32")
    module, X = to_torch(network, point).train(), torch.tensor(X)
    parameters = list(module.parameters())
    if parameters:
        out = module(X)
        (out * torch.arange(out.numel()).reshape(out.shape)).mean().backward()
    for parameter in parameters:
        assert parameter.dtype == torch.float32
        assert torch.isfinite(parameter.grad).all()
        parameter.data -= 0.1 * parameter.grad
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other = to_torch(network, point)
    other.load_state_dict(torch.load(file))
    with torch.no_grad():
        assert (other(X) == module.eval()(X)).all()


def test_gradients_in_training_are_the_same(torch):
    layers = [Conv2D(3), BatchNorm(activation="tanh"), MaxPool2D(), Flatten(), Dense(2)]
    network, point, X = drawn(layers, (2, 8, 7))
    network.loss = Multinomial(2)
    y = np.arange(len(X)) % 2
    slopes = finished(Backprop(network, NumPy()).gradient(point, Batch(X, y.astype(float))))
    module = to_torch(network, point).train()
    loss = torch.nn.functional.cross_entropy(
        module(torch.tensor(X)), torch.tensor(y), reduction="sum"
    )
    loss.backward()
    assert loss.item() == pytest.approx(slopes.loss, rel=1e-12)
    W, dW = module[4].weight, network.views(slopes.gradient)[4]["W"]
    np.testing.assert_allclose(W.grad.numpy().T, dW, rtol=1e-9, atol=1e-10)
    K, dK = module[0].weight, network.views(slopes.gradient)[0]["K"]
    np.testing.assert_allclose(K.grad.numpy(), dK, rtol=1e-9, atol=1e-10)


def test_a_torch_module_holds_copies(torch):
    network, point, X = drawn(*NETS["batch norm"])
    state = torch.random.get_rng_state()
    before, module = scores(network, point, X), to_torch(network, point)
    assert (torch.random.get_rng_state() == state).all()
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data.fill_(0)
    assert (scores(network, point, X) == before).all()


def test_a_layer_that_torch_is_not_told_of(torch):
    class Mine(Flatten):
        pass

    network, point, _ = drawn([Mine()], (3, 2))
    with pytest.raises(ValueError, match="knows no equivalent of .*Mine.*expected one of"):
        to_torch(network, point)


def test_without_torch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "daskdsml.neural_network._torch", raising=False)
    model = NeuralRegressor([Dense(1)], max_iter=1).fit(np.ones((4, 2)), np.ones(4))
    with pytest.raises(ImportError, match=r"pip install 'daskdsml\[torch\]'"):
        model.to_torch()


def test_torch_is_told_of_every_layer(torch):
    from daskdsml.neural_network._torch import BUILDERS

    assert set(BUILDERS) == {registry.find("layers", n) for n in registry.available("layers")}
