"""A step of training (forward, backward, Adam) on one thread, against PyTorch in the same run."""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from daskdsml.backends.numba import Numba
from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.conv2d import Conv2D
from daskdsml.layers.dense import Dense
from daskdsml.layers.flatten import Flatten
from daskdsml.layers.gru import GRU
from daskdsml.layers.lstm import LSTM
from daskdsml.layers.max_pool2d import MaxPool2D
from daskdsml.layers.rnn import RNN
from daskdsml.losses.multinomial import Multinomial
from daskdsml.network_contracts import Batch
from daskdsml.neural_network._training import TrainConfig, Trainer
from daskdsml.neural_network.backprop import Backprop, finished
from daskdsml.neural_network.network import Network
from daskdsml.optimizers.adam import Adam
from daskdsml.optimizers.schedules.constant import Constant
from daskdsml.utils.threads import single_threaded_blas
from measure import say, timed
from report import SKIPPED, Line, judge

ROWS, CLASSES, STEPS, UNITS = 128, 10, 50, 64
# Seconds of a turn of PyTorch.
TURN = 0.75


class Net(NamedTuple):
    """A network by our layers, by PyTorch's, the shape of a row, and the target."""

    name: str
    layers: list
    torch: Any
    in_shape: tuple
    target: float


class Same:
    """Batches for `Trainer`: the same one, ``n_steps`` times an epoch."""

    def __init__(self, batch, n_steps):
        self.batch, self.steps_per_epoch, self.n_rows = batch, n_steps, len(batch.X)

    def epoch(self, epoch):
        """Steps of an epoch, each with ``n_rows`` and ``run``."""
        return (self for _ in range(self.steps_per_epoch))

    def run(self, kernel, state):
        """What a kernel makes of the batch."""
        return finished(kernel(state, self.batch))


def net_step(setup) -> list[Line]:
    """Milliseconds of a step of six networks, float32, 128 rows."""
    try:
        import torch
    except ImportError as error:
        return [Line("a step of training against PyTorch", "-", "-", SKIPPED, str(error))]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"), single_threaded_blas():
            return [_against(net, torch, setup) for net in _nets(torch)]
    finally:
        torch.set_num_threads(before)


def _nets(torch) -> list[Net]:
    nn = torch.nn
    perceptron = [nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, CLASSES)]
    normed = [nn.Linear(784, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, CLASSES)]
    convolutional = [nn.Conv2d(1, 16, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)]
    convolutional += [nn.Conv2d(16, 32, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)]
    convolutional += [nn.Flatten(), nn.Linear(32 * 49, CLASSES)]
    ours = [Conv2D(16, padding="same", activation="relu"), MaxPool2D(2)]
    ours += [Conv2D(32, padding="same", activation="relu"), MaxPool2D(2), Flatten()]
    last = Dense(CLASSES)
    norm = BatchNorm(activation="relu")
    nets = [
        Net("MLP 20-64-10", [Dense(64, "relu"), last], nn.Sequential(*perceptron), (20,), 3.0),
        Net("MLP 784-128(bn)-10", [Dense(128), norm, last], nn.Sequential(*normed), (784,), 1.5),
    ]
    cells = ("Elman", RNN, nn.RNN, 1.5), ("LSTM", LSTM, nn.LSTM, 1.3), ("GRU", GRU, nn.GRU, 1.3)
    for name, layer, module, target in cells:
        model = _last_state(torch, module(32, UNITS, batch_first=True))
        shape = (STEPS, 32)
        nets.append(
            Net(
                f"{name}, {STEPS} steps of 32, {UNITS} units",
                [layer(UNITS), last],
                model,
                shape,
                target,
            )
        )
    image = (1, 28, 28)
    name = "CNN 16-32 filters 3x3, 2x2 pooling, 28x28"
    return [*nets, Net(name, [*ours, last], nn.Sequential(*convolutional), image, 1.0)]


def _last_state(torch, cell):
    """A recurrent module with a linear one on its last state."""

    class LastState(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.linear = cell, torch.nn.Linear(UNITS, CLASSES)

        def forward(self, x):
            return self.linear(self.cell(x)[0][:, -1])

    return LastState()


def _against(net, torch, setup) -> Line:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS, *net.in_shape)).astype(np.float32)
    y = rng.integers(0, CLASSES, ROWS)
    runs = {
        "ours": _ours(net, X, y),
        "torch": _theirs(net.torch, torch, X, y),
        "torch, fused Adam": _theirs(net.torch, torch, X, y, fused=True),
        "products": partial(_multiply, _products(net)),
    }
    runs["torch"](10)
    each = timed(partial(runs["torch"], 10))[0] / 10
    # Turns are short, so that clocks and the other core change for all alike.
    n_steps = max(3, int(setup.scale * TURN / each))
    times = {name: [] for name in runs}
    for turn in range(setup.repeats + 1):
        for name, run in runs.items():
            seconds, _ = timed(partial(run, n_steps))
            if turn:
                times[name].append(1e3 * seconds / n_steps)
    medians = {name: statistics.median(some) for name, some in times.items()}
    say(f"{net.name}: " + ", ".join(f"{name} {ms:.3f} ms" for name, ms in medians.items()))
    ratio = medians["torch"] / medians["ours"]
    return Line(
        f"a step of {net.name}: float32, {ROWS} rows, Adam, one thread",
        f"{net.target:g}x as fast as PyTorch",
        f"{ratio:.2f}x",
        judge(ratio >= net.target),
        f"ours {medians['ours']:.3f} ms, PyTorch {torch.__version__} {medians['torch']:.3f} ms, "
        f"with its fused Adam {medians['torch, fused Adam']:.3f} ms; the matrix products alone, by "
        f"NumPy's BLAS, {medians['products']:.3f} ms; medians of {setup.repeats} alternated runs "
        f"of {n_steps} steps",
    )


def _ours(net, X, y):
    """``run(n)``: n steps as estimators take them."""
    network = Network(net.layers, net.in_shape, Multinomial(CLASSES), np.float32)
    trainer = Trainer(Backprop(network, Numba()), TrainConfig(Adam(), Constant().factor), 1)
    train_state = trainer.begin(network.init(np.random.default_rng(0)))
    batch = Batch(X, y, size=ROWS)

    def run(n_steps):
        nonlocal train_state
        train_state, _ = trainer.epoch(train_state, Same(batch, n_steps), _quiet)

    return run


def _quiet(*_):
    """Show nothing."""


def _theirs(model, torch, X, y, fused=False):
    """``run(n)``: n steps of PyTorch, by its defaults or with its fused Adam."""
    x, target = torch.from_numpy(X), torch.from_numpy(y)
    optimizer = torch.optim.Adam(model.parameters(), fused=fused)
    loss_of = torch.nn.CrossEntropyLoss()

    def run(n_steps):
        for _ in range(n_steps):
            optimizer.zero_grad()
            loss_of(model(x), target).backward()
            optimizer.step()

    return run


def _products(net) -> list[tuple]:
    """Matrices of the products that a step takes, forward and backward."""
    network = Network(net.layers, net.in_shape, Multinomial(CLASSES), np.float32)
    sizes = []
    for i, placed in enumerate(network.placed):
        sizes += _sizes(placed.layer, placed.in_shape, placed.out_shape, inner=i > 0)
    ones = {}
    pairs = [[_ones(ones, shape) for shape in ((m, k), (k, n))] for m, k, n in sizes]
    return [(a, b, np.empty((len(a), b.shape[1]), np.float32)) for a, b in pairs]


def _sizes(layer, in_shape, out_shape, inner) -> list[tuple]:
    """``(m, k, n)`` of all products of a layer."""
    if isinstance(layer, Dense):
        n, p, units = ROWS, in_shape[0], layer.units
        return [(n, p, units), (p, n, units), *([(n, units, p)] if inner else [])]
    if isinstance(layer, Conv2D):
        n, filters = ROWS * out_shape[1] * out_shape[2], layer.filters
        seen = in_shape[0] * layer.size**2
        return [(filters, seen, n), (filters, n, seen), *([(seen, filters, n)] if inner else [])]
    if isinstance(layer, RNN | LSTM | GRU):
        (steps, p), u, gates = in_shape, layer.units, sum(layer.blocks)
        forward = [(ROWS, p + u, gates * u)] * steps
        back = [(ROWS, gates * u, u)] * steps
        return [*forward, *back, (p + u, ROWS * steps, gates * u)]
    return []


def _ones(kept, shape):
    """An array of a shape, the same for the same shape."""
    return kept.setdefault(shape, np.ones(shape, np.float32))


def _multiply(products, n_steps) -> None:
    for _ in range(n_steps):
        for a, b, out in products:
            np.matmul(a, b, out=out)
