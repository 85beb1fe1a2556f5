"""What a checker of small nets' stored values calls: our layers in its terms.

``run(name, ins, ws, meta)`` takes inputs, weights and facts of a net by their stored names and
gives its outputs ("out.*"), "loss", gradients in weights ("g.*") and inputs ("gin.*") and the
statistics of batch norm ("bn.*"), in float64; None for a net that is not offered. Two names are
tables: "optimizers", of weights after steps, and "activations", of values and slopes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.layers.activation import Activation
from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.conv2d import Conv2D
from daskdsml.layers.dense import Dense
from daskdsml.layers.flatten import Flatten
from daskdsml.layers.gru import GRU
from daskdsml.layers.lstm import LSTM
from daskdsml.layers.max_pool2d import MaxPool2D
from daskdsml.layers.rnn import RNN
from daskdsml.losses.multinomial import Multinomial
from daskdsml.losses.squared_error import SquaredError
from daskdsml.network_contracts import Step
from daskdsml.neural_network.backprop import finished
from daskdsml.optimizers.adagrad import Adagrad
from daskdsml.optimizers.adam import Adam
from daskdsml.optimizers.gradient_descent import GradientDescent
from daskdsml.optimizers.momentum import Momentum
from daskdsml.optimizers.nesterov import Nesterov
from daskdsml.optimizers.rmsprop import RMSProp
from daskdsml.utils import registry

# Layers and the gates of their parameters, side by side in this order.
CELLS = {"rnn": (RNN, ("",)), "lstm": (LSTM, ("i", "f", "g", "o")), "gru": (GRU, ("z", "r", "g"))}
RECURRENT = tuple(kind for kind, _ in CELLS.values())
# The reset gate of our GRU acts before the product with the state, not after it.
NOT_OFFERED = ("gru_pytorch_variant",)
SOLVERS = {
    "sgd_lr0.1": GradientDescent(0.1),
    "momentum_lr0.1_m0.9": Momentum(0.1, 0.9),
    "nesterov_lr0.1_m0.9": Nesterov(0.1, 0.9),
    "rmsprop_lr0.01_a0.9_eps1e-8": RMSProp(0.01, 0.9, 1e-8),
    "adagrad_lr0.1_eps1e-10": Adagrad(0.1, 1e-10),
    "adam_lr0.01_b0.9_0.999_eps1e-8": Adam(0.01, 0.9, 0.999, 1e-8),
}
ACTIVATIONS = {
    "relu": "relu",
    "tanh": "tanh",
    "sigmoid": "logistic",
    "softplus": "softplus",
    "elu": "elu",
    "leaky_relu_0.01": "leaky_relu",
    "identity": "identity",
}


class Link(NamedTuple):
    """A layer of a chain.

    ``keys`` are the stored names of each parameter, several where it holds arrays side by side;
    ``out`` is the name of the layer's output, or None.
    """

    layer: Any
    keys: dict[str, tuple[str, ...]]
    out: str | None = None


class Trace(NamedTuple):
    """Parameters, outputs and tapes of all layers of a chain."""

    params: list[dict]
    outputs: list
    tapes: list


def run(name, ins, ws, meta, backend="numba"):
    """Outputs, loss and gradients of net ``name`` by their stored names."""
    kernels = registry.find("backends", backend)().layers()
    if name in NOT_OFFERED:
        return None
    if name == "optimizers":
        return _solved(kernels, **ins)
    if name == "activations":
        return _activated(kernels, **ins)
    states = {key: ins[key] for key in ("h0", "c0") if key in ins}
    chain = _chain(name, {**ws, **states})
    params = [_joined(link, {**ws, **states}) for link in chain]
    trace = _forward(kernels, chain, params, ins["x"], training=True)
    loss, dout = _loss(kernels, trace.outputs[-1], ins["y"], ins.get("mask"))
    found = {"loss": loss} | _outputs(chain, trace) | _statistics(chain, trace)
    found |= _gradients(kernels, chain, trace, dout, states)
    if name.startswith("mlp"):
        later = _forward(kernels, chain, _later(chain, trace), ins["x"], training=False)
        found["out.eval_mode"] = later.outputs[-1]
    if name == "mlp_bn_classifier":
        scores = trace.outputs[-1]
        found["out.proba"] = Multinomial(scores.shape[1]).mean(np, scores)
    return found


def run_plain(name, ins, ws, meta):
    """The same by the plain kernels."""
    return run(name, ins, ws, meta, backend="numpy")


def _chain(name, arrays) -> list[Link]:
    """The layers of net ``name``; their sizes are those of its weights."""
    if name.startswith("mlp_bn"):
        return _perceptron(arrays, "logits" if name.endswith("classifier") else "yhat")
    if name == "cnn":
        return _convolutional(arrays)
    if name == "cnn_bn_stride":
        return _strided(arrays)
    cell, _, task = name.partition("_")
    if cell == "lstm2":
        recurrent = [
            _recurrent("lstm", arrays, True, "_1"),
            _recurrent("lstm", arrays, False, "_2"),
        ]
    else:
        recurrent = [_recurrent(cell, arrays, task.startswith("tagger"))]
    return [*recurrent, _dense(arrays, "Wy", "by", out="logits")]


def _perceptron(arrays, out):
    return [
        _dense(arrays, "W1", "b1"),
        Link(BatchNorm(activation="relu"), {"gamma": ("gamma1",), "beta": ("beta1",)}, "a1"),
        _dense(arrays, "W2", "b2"),
        Link(BatchNorm(activation="tanh"), {"gamma": ("gamma2",), "beta": ("beta2",)}, "a2"),
        _dense(arrays, "W3", "b3", out=out),
    ]


def _convolutional(arrays):
    return [
        _conv(arrays, "K1", "c1", padding=1, activation="relu", out="conv1"),
        Link(MaxPool2D(2), {}, "pool"),
        _conv(arrays, "K2", "c2", activation="relu", out="conv2"),
        Link(Flatten(), {}),
        _dense(arrays, "W", "b", out="logits"),
    ]


def _strided(arrays):
    return [
        _conv(arrays, "K", "c", stride=2, padding=1),
        Link(BatchNorm(), {"gamma": ("gamma",), "beta": ("beta",)}, "bn"),
        Link(Activation("relu"), {}),
        Link(MaxPool2D(3, 2), {}, "pool"),
        Link(Flatten(), {}),
        _dense(arrays, "W", "b", out="logits"),
    ]


def _dense(arrays, W, b, out=None):
    return Link(Dense(arrays[W].shape[1]), {"W": (W,), "b": (b,)}, out)


def _conv(arrays, K, c, out=None, **settings):
    filters, _, *size = arrays[K].shape
    return Link(Conv2D(filters, tuple(size), **settings), {"K": (K,), "b": (c,)}, out)


def _recurrent(cell, arrays, sequences, tag=""):
    """A recurrent layer, and its first states if these are stored."""
    kind, gates = CELLS[cell]
    keys = {key: tuple(f"{key}{gate}{tag}" for gate in gates) for key in ("Wx", "Wh", "b")}
    layer = kind(arrays[keys["b"][0]].size, return_sequences=sequences)
    keys |= {state: (state,) for state in layer.states if state in arrays}
    # Padded steps count in the state: what is hidden is hidden in the loss alone.
    return Link(layer, keys, f"h{tag[1:]}")


def _joined(link, arrays) -> dict:
    """Parameters of a layer; statistics as they are before the first batch."""
    joint = {
        key: np.concatenate([arrays[k] for k in names], -1) for key, names in link.keys.items()
    }
    fresh = link.layer.statistics(joint["gamma"].shape) if link.layer.collective else {}
    return joint | fresh


def _forward(kernels, chain, params, x, training) -> Trace:
    outputs, tapes, step = [], [], Step(training, work=_buffer)
    for link, own in zip(chain, params, strict=True):
        found = link.layer.forward(kernels, own, x, step)
        x, tape = finished(found) if link.layer.collective else found
        outputs.append(x)
        tapes.append(tape)
    return Trace(params, outputs, tapes)


def _loss(kernels, scores, y, mask):
    """The stored loss, and its derivative in the scores.

    Ours is a sum; it has half the square, and the mean over the outputs of a row.
    """
    flat = scores.reshape(-1, scores.shape[-1])
    if y.shape == scores.shape:
        loss, y, factor = SquaredError(), y.reshape(flat.shape), 2.0
    else:
        loss, y, factor = Multinomial(flat.shape[1]), y.reshape(-1), 1.0
    w = None if mask is None else mask.reshape(-1).astype(np.float64)
    value, weight, slope = kernels.loss(loss, y.astype(np.float64), flat, w)
    return factor * float(np.sum(value)) / weight, factor * slope.reshape(scores.shape) / weight


def _gradients(kernels, chain, trace, dout, states) -> dict:
    found, step = {}, Step(True, work=_buffer)
    for i in reversed(range(len(chain))):
        layer, own = chain[i].layer, trace.params[i]
        grads = {key: np.empty_like(own[key]) for key in chain[i].keys}
        dout = layer.backward(kernels, own, trace.tapes[i], dout, grads, step)
        dout = finished(dout) if layer.collective else dout
        for key, names in chain[i].keys.items():
            parts = np.split(grads[key], len(names), axis=-1)
            kind = "gin" if key in states else "g"
            found |= {f"{kind}.{k}": part for k, part in zip(names, parts, strict=True)}
    return found | {"gin.x": dout}


def _outputs(chain, trace) -> dict:
    found = {}
    for link, out, tape in zip(chain, trace.outputs, trace.tapes, strict=True):
        if isinstance(link.layer, RECURRENT):
            out = tape.joined[1:, :, -link.layer.units :].transpose(1, 0, 2)
        if link.out is not None:
            found[f"out.{link.out}"] = out
        if "c0" in link.keys:
            found["out.c_last"] = tape.memory[1][-1]
    return found


def _statistics(chain, trace) -> dict:
    """Statistics of the batch, and those that follow it by either convention."""
    found = {}
    norms = [(link, tape) for link, tape in zip(chain, trace.tapes, strict=True) if _norm(link)]
    for k, (link, tape) in enumerate(norms, start=1):
        batch, share = tape.statistics, link.layer.momentum
        spread = batch["var"] * tape.count / (tape.count - 1.0)
        found |= {
            f"bn.{k}.batch_mean": batch["mean"],
            f"bn.{k}.batch_var_biased": batch["var"],
            f"bn.{k}.running_mean": share * batch["mean"],
            f"bn.{k}.running_var_biased": 1.0 - share + share * batch["var"],
            f"bn.{k}.running_var_unbiased": 1.0 - share + share * spread,
        }
    return found


def _later(chain, trace) -> list[dict]:
    """Parameters with the statistics as they are after the batch."""
    later = []
    for link, own, tape in zip(chain, trace.params, trace.tapes, strict=True):
        batch = tape.statistics if _norm(link) else {}
        moved = {k: own[k] + link.layer.momentum * (batch[k] - own[k]) for k in batch}
        later.append(own | moved)
    return later


def _norm(link) -> bool:
    return isinstance(link.layer, BatchNorm)


def _buffer(name, shape, dtype=np.float64):
    return np.empty(shape, dtype)


def _solved(kernels, w0, grads) -> dict:
    """Weights after each step of every solver."""
    found = {}
    for name, solver in SOLVERS.items():
        state, path = solver.init(w0.ravel().copy()), []
        for gradient in grads:
            state = solver.update(kernels, state, gradient.ravel())
            path.append(state.theta.reshape(w0.shape).copy())
        found[f"w.{name}"] = np.stack(path)
    return found


def _activated(kernels, x) -> dict:
    """Values and slopes of every activation."""
    found, step = {}, Step(True, work=_buffer)
    for name, ours in ACTIVATIONS.items():
        layer = Activation(ours)
        y, tape = layer.forward(kernels, {}, x[:, None], step)
        slope = layer.backward(kernels, {}, tape, np.ones_like(y), {}, step)
        found |= {name: y[:, 0], f"d_{name}": slope[:, 0]}
    return found
