"""The equivalent of a network in PyTorch. Only `NeuralModel.to_torch` imports it, when called.

A builder takes a layer, its arrays and the shape of one of its rows, and gives modules that come
after each other.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

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
from daskdsml.neural_network.network import Network, Point

ACTIVATIONS = {
    "identity": lambda: [],
    "logistic": lambda: [nn.Sigmoid()],
    "tanh": lambda: [nn.Tanh()],
    "relu": lambda: [nn.ReLU()],
    "leaky_relu": lambda: [nn.LeakyReLU(0.01)],
    "elu": lambda: [nn.ELU()],
    # Above the threshold PyTorch takes x itself, which 20, its own, does too soon for float64.
    "softplus": lambda: [nn.Softplus(threshold=40)],
    "softmax": lambda: [nn.Softmax(dim=-1)],
}


def to_torch(network: Network, point: Point):
    """A `torch.nn.Sequential` that computes what ``network`` does at ``point``.

    It holds copies, in PyTorch's own modules where there are any, one for each layer, and can be
    trained on after ``train()``, layers that are not trainable aside. Recurrent modules have a
    second bias, which is zero. ValueError for a layer that is none of daskdsml's own.
    """
    # Modules draw weights when they are made, although they get others at once.
    with torch.random.fork_rng(devices=[]):
        arrays = network.views(point.theta, point.statistics)
        modules = [
            module_of(placed.layer, own, placed.in_shape)
            for placed, own in zip(network.placed, arrays, strict=True)
        ]
        if network.channels_last:
            modules[0] = nn.Sequential(ChannelsFirst(), modules[0])
        return nn.Sequential(*modules).eval()


def module_of(layer, arrays: dict, in_shape: tuple):
    """The module of a layer with its ``arrays``, for rows of ``in_shape``."""
    builder = BUILDERS.get(type(layer))
    if builder is None:
        raise ValueError(
            f"to_torch knows no equivalent of {layer!r}: expected one of "
            f"{sorted(kind.__name__ for kind in BUILDERS)}."
        )
    modules = builder(layer, arrays, in_shape)
    module = modules[0] if len(modules) == 1 else nn.Sequential(*modules)
    return module.requires_grad_(getattr(layer, "trainable", True))


def _activation(name) -> list:
    return ACTIVATIONS["identity" if name is None else name]()


def _tensor(array):
    return torch.tensor(np.ascontiguousarray(array))


def _filled(module, **arrays):
    """``module`` with these arrays for its parameters and buffers, in their dtype."""
    buffers = dict(module.named_buffers())
    for name, array in arrays.items():
        tensor = _tensor(array)
        setattr(module, name, tensor if name in buffers else nn.Parameter(tensor))
    return module


def _channels(in_shape) -> list:
    """What gives images (H, W) their one channel."""
    return [nn.Unflatten(1, (1, in_shape[0]))] if len(in_shape) == 2 else []


def _dense(layer, arrays, in_shape):
    weights = {"weight": arrays["W"].T} | ({"bias": arrays["b"]} if layer.bias else {})
    linear = nn.Linear(in_shape[-1], layer.units, bias=layer.bias)
    return [_filled(linear, **weights), *_activation(layer.activation)]


def _batch_norm(layer, arrays, in_shape):
    kind = nn.BatchNorm2d if len(in_shape) == 3 else nn.BatchNorm1d
    norm = _filled(
        kind(len(arrays["gamma"]), eps=layer.epsilon, momentum=layer.momentum),
        weight=arrays["gamma"],
        bias=arrays["beta"],
        running_mean=arrays["mean"],
        running_var=arrays["var"],
    )
    return [Turned(norm) if len(in_shape) == 2 else norm, *_activation(layer.activation)]


def _conv2d(layer, arrays, in_shape):
    frame = layer._frame(tuple(in_shape[-2:]))
    (top, left), (bottom, right) = frame.before, frame.after
    filters, channels, *size = arrays["K"].shape
    even = frame.before == frame.after
    padding = frame.before if even else 0
    conv = nn.Conv2d(channels, filters, tuple(size), stride=frame.stride, padding=padding)
    around = [] if even else [nn.ZeroPad2d((left, right, top, bottom))]
    conv = _filled(conv, weight=arrays["K"], bias=arrays["b"])
    return [*_channels(in_shape), *around, conv, *_activation(layer.activation)]


def _conv1d(layer, arrays, in_shape):
    frame = layer._frame(in_shape[0])
    before, after = frame.before[1], frame.after[1]
    filters, features, size = arrays["K"].shape
    even = before == after
    padding = before if even else 0
    conv = nn.Conv1d(features, filters, size, stride=frame.stride[1], padding=padding)
    around = [] if even else [nn.ConstantPad1d((before, after), 0.0)]
    conv = _filled(conv, weight=arrays["K"], bias=arrays["b"])
    return [Turned(nn.Sequential(*around, conv)), *_activation(layer.activation)]


def _pool(kind):
    return lambda layer, arrays, in_shape: [
        *_channels(in_shape),
        kind(layer.size, stride=layer.stride),
    ]


def _embedding(layer, arrays, in_shape):
    return [Codes(_filled(nn.Embedding(layer.n_tokens, layer.units), weight=arrays["E"]))]


def _by_torch(kind):
    """A builder of recurrent layers that PyTorch has too, gates in the same order."""

    def build(layer, arrays, in_shape):
        cell = kind(in_shape[-1], layer.units, batch_first=True)
        biases = {"bias_ih_l0": arrays["b"], "bias_hh_l0": np.zeros_like(arrays["b"])}
        weights = {"weight_ih_l0": arrays["Wx"].T, "weight_hh_l0": arrays["Wh"].T}
        return [_recurrence(_filled(cell, **weights, **biases), layer, arrays)]

    return build


def _gru(layer, arrays, in_shape):
    cell = ResetFirstGRU(*(_tensor(arrays[name]) for name in ("Wx", "Wh", "b")))
    return [_recurrence(cell, layer, arrays)]


def _recurrence(cell, layer, arrays):
    first = [nn.Parameter(_tensor(arrays[name])) for name in layer.states if name in arrays]
    return Recurrence(cell, first, layer.return_sequences)


def _bidirectional(layer, arrays, in_shape):
    ways = []
    for way in ("forward_", "backward_"):
        own = {name[len(way) :]: a for name, a in arrays.items() if name.startswith(way)}
        ways.append(module_of(layer.layer, own, in_shape))
    return [BothWays(*ways)]


class Turned(nn.Module):
    """``inner``, which takes (n, features, T), for sequences (n, T, features)."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.transpose(1, 2)).transpose(1, 2)


class Codes(nn.Module):
    """A table's rows at codes (n, T), which are integers or whole floats."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, x):
        return self.table(x.long())


class Recurrence(nn.Module):
    """States of ``cell`` at all steps, or at the last.

    ``first`` are the states to begin with, each (units,), learned; none for zeros.
    """

    def __init__(self, cell, first, sequences):
        super().__init__()
        self.cell, self.sequences = cell, sequences
        self.first = nn.ParameterList(first)

    def forward(self, x):
        first = tuple(state.expand(1, len(x), -1).contiguous() for state in self.first)
        states, _ = self.cell(x, first if len(first) > 1 else first[0] if first else None)
        return states if self.sequences else states[:, -1]


class ChannelsFirst(nn.Module):
    """Images (n, C, H, W) of rows (H, W, C)."""

    def forward(self, x):
        return x.permute(0, 3, 1, 2)


class BothWays(nn.Module):
    """States of a walk ahead in time, and of another that walks back."""

    def __init__(self, ahead, back):
        super().__init__()
        self.ahead, self.back = ahead, back

    def forward(self, x):
        back = self.back(x.flip(1))
        return torch.cat([self.ahead(x), back.flip(1) if self.back.sequences else back], -1)


class ResetFirstGRU(nn.Module):
    """Gated recurrent units whose reset gate acts before the product; called as `torch.nn.GRU`.

    ``weight_x (p, 3 u)``, ``weight_h (u, 3 u)`` and ``bias (3 u,)``, gates in the order z | r | g;
    see `daskdsml.layers.gru.GRU`.
    """

    def __init__(self, weight_x, weight_h, bias):
        super().__init__()
        self.weight_x, self.weight_h, self.bias = map(nn.Parameter, (weight_x, weight_h, bias))

    def forward(self, x, first=None):
        u = len(self.weight_h)
        from_x = x @ self.weight_x + self.bias
        h = x.new_zeros(len(x), u) if first is None else first[0]
        states = []
        for t in range(x.shape[1]):
            z, r = torch.sigmoid(from_x[:, t, : 2 * u] + h @ self.weight_h[:, : 2 * u]).chunk(2, -1)
            g = torch.tanh(from_x[:, t, 2 * u :] + (r * h) @ self.weight_h[:, 2 * u :])
            h = z * h + (1 - z) * g
            states.append(h)
        return torch.stack(states, 1), h[None]


BUILDERS = {
    Activation: lambda layer, arrays, in_shape: _activation(layer.name) or [nn.Identity()],
    AveragePool2D: _pool(nn.AvgPool2d),
    BatchNorm: _batch_norm,
    Bidirectional: _bidirectional,
    Conv1D: _conv1d,
    Conv2D: _conv2d,
    Dense: _dense,
    Dropout: lambda layer, arrays, in_shape: [nn.Dropout(layer.rate)],
    Embedding: _embedding,
    Flatten: lambda layer, arrays, in_shape: [nn.Flatten()],
    GRU: _gru,
    LSTM: _by_torch(nn.LSTM),
    MaxPool2D: _pool(nn.MaxPool2d),
    RNN: _by_torch(nn.RNN),
}
