"""Each layer as a module of PyTorch. Only `_torch.to_torch` imports this file, when it is called.

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
from daskdsml.neural_network._torch_modules import (
    BothWays,
    Codes,
    Recurrence,
    ResetFirstGRU,
    Turned,
)

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


def sequential(build):
    """The modules that ``build()`` makes, after each other; PyTorch's random state stays as it is.

    Modules draw weights when they are made, although they get others at once.
    """
    with torch.random.fork_rng(devices=[]):
        return nn.Sequential(*build())


def module_of(layer, arrays: dict, in_shape: tuple):
    """The module of a layer with its ``arrays``, parameters and statistics, for one ``in_shape``.

    Raises
    ------
    ValueError
        If the layer is none of daskdsml's own.
    """
    builder = BUILDERS.get(type(layer))
    if builder is None:
        raise ValueError(
            f"to_torch knows no equivalent of {layer!r}: expected one of "
            f"{sorted(kind.__name__ for kind in BUILDERS)}."
        )
    modules = builder(layer, arrays, in_shape)
    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)


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
