"""The protocols and value types of neural networks; anyone may import it.

Symbols: ``n`` rows, ``T`` time steps, ``K`` outputs, ``d`` parameters of a network, ``s`` numbers
that follow its batches (running statistics). Images are ``(n, C, H, W)``, sequences
``(n, T, features)``; ``in_shape`` and ``out_shape`` of a layer are those of one row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np


class Batch(NamedTuple):
    """Rows of one mini-batch on one machine: the whole of it, unless it is spread over workers.

    ``X (n, *in_shape)`` in the dtype it is stored in; ``y`` codes of classes (n,) or (n, T),
    targets (n, K), or None; ``w (n,)`` or None; ``mask (n, T)``, True at steps that count, or None.
    ``positions (n,)`` are those of these rows in the batch of ``size`` rows, None where they
    are all of it in order. ``key`` seeds what is drawn at random in this step.
    """

    X: Any
    y: Any = None
    w: Any = None
    mask: Any = None
    positions: Any = None
    size: int = 0
    key: tuple[int, ...] = ()


class BatchGradient(NamedTuple):
    """What rows of a mini-batch add to its gradient.

    ``loss`` and ``weight`` are summed over rows (and steps of sequences), and so is the
    ``gradient (d,)``: it is divided by the whole weight afterwards. ``statistics (s,)`` are those
    of the whole batch, the same everywhere. ``by_step (2, T)`` are sums of losses and weights at
    each time step, or None without scores for steps.
    """

    loss: float
    weight: float
    gradient: np.ndarray
    statistics: np.ndarray
    by_step: Any = None

    def __add__(self, other: Any) -> BatchGradient:
        return BatchGradient(
            self.loss + other.loss,
            self.weight + other.weight,
            self.gradient + other.gradient,
            self.statistics,
            None if self.by_step is None else self.by_step + other.by_step,
        )


class Step(NamedTuple):
    """What a layer is told besides its input.

    ``training`` tells batch statistics and dropout from prediction; ``mask (n, T)`` which steps of
    sequences count, or None; ``rows(draw)`` is ``draw(rng, size)``, an array of random numbers for
    the ``size`` rows of the whole batch, cut to the rows here, so that it does not depend on how a
    batch is spread; ``work(name, shape, dtype=None)`` is an uninitialised array, this layer's own,
    kept between steps, in the network's dtype unless told; ``inner`` tells that the gradient in the
    layer's input is wanted; ``watch``, a dict or None, takes from a recurrent layer the
    norm of the loss's gradient in its state after each time step (of an LSTM, h and c together),
    ``watch["steps"] (T,)``.
    """

    training: bool = False
    mask: Any = None
    rows: Any = None
    work: Any = None
    inner: bool = True
    watch: dict | None = None


class Layer(Protocol):
    """One layer of a network: a frozen dataclass of settings; its parameters are kept apart.

    ``init`` raises ValueError for an ``in_shape`` it cannot take, and returns the parameters, a
    dict of float64 arrays (empty if none), and the shape it gives. ``forward`` returns its output
    and a tape, whatever ``backward`` needs; ``backward`` takes the gradient ``dout`` of the summed
    loss in the output, writes those of the parameters into the arrays of ``grads`` (same keys, same
    shapes) and returns that in the input, or None where ``step.inner`` is False. Rows are the first
    axis; there may be none. Inputs are never changed, outputs and tapes hold until the next forward
    with the same ``step.work``.

    ``penalised`` names the parameters that weight decay acts on. ``kernels`` are those of a backend
    (`daskdsml.backends._layers`). A layer with ``first = True`` has no gradient in its input.

    A ``collective`` layer needs sums over the whole batch: its ``forward`` and ``backward`` are
    generators that yield an array to be summed over the workers a batch is spread to, are sent the
    sum, and return as above. ``statistics(in_shape)`` is a dict of arrays that follow the batches;
    they stand among ``params`` when the layer is called, ``momentum`` is the share of the latest
    batch in them, and its tape has a dict ``statistics`` with those of this batch.
    """

    penalised: frozenset[str]
    collective: bool

    def init(
        self, rng: np.random.Generator, in_shape: tuple[int, ...]
    ) -> tuple[dict, tuple[int, ...]]: ...
    def forward(self, kernels: Any, params: dict, x: Any, step: Step) -> tuple[Any, Any]: ...
    def backward(
        self, kernels: Any, params: dict, tape: Any, dout: Any, grads: dict, step: Step
    ) -> Any: ...


class Optimizer(Protocol):
    """Decides the next parameters from gradients of mini-batches.

    A NamedTuple of settings, of which ``learning_rate`` is one. ``init`` gives a state, a
    NamedTuple whose first field is ``theta (d,)``, all of it arrays (d,) and numbers, so that it
    can be saved, shipped and resumed. ``update`` returns the state after a step with ``factor``
    times the learning rate. The arrays of a state are changed in place: a copy at every step would
    cost as much as the step.

    ``update`` calls ``kernels.update(self, theta, gradient, slots, numbers)``, where ``slots`` is a
    tuple of up to two arrays (d,) of the state and ``numbers`` one of floats; the kernel calls
    ``move(xp, g, theta, *slots, *numbers)``, which returns a parameter and its slots after the
    step. It is written in functions of ``xp`` without branches, for arrays on any device and for
    the scalars of compiled loops.
    """

    learning_rate: float

    def init(self, theta: np.ndarray) -> Any: ...
    def update(
        self, kernels: Any, state: Any, gradient: np.ndarray, factor: float = 1.0
    ) -> Any: ...


class BatchStep(Protocol):
    """One mini-batch; it can be run, as often as wanted, until the next one is asked for.

    ``run`` is the sum of what the kernel returns over the workers with rows of the batch. A kernel
    is a generator function ``kernel(state, batch)``: it may yield arrays, and is sent their sums
    over all of these workers.
    """

    n_rows: int

    def run(self, kernel: Any, state: Any) -> Any: ...


class TrainingStep(Protocol):
    """A step of training: ``step(state, batch)`` gives the next state and a record to be added up.

    ``measure`` reads rows, a `BatchStep` of them; what it gives for parts of a batch can be added.
    ``update`` goes on from there without rows, as ``of(where)`` does for a slice of the parameters
    unless these are needed ``whole``.
    """

    whole: bool

    def __call__(self, state: Any, batch: Any) -> tuple[Any, Any]: ...
    def measure(self, state: Any, batch: Any) -> Any: ...
    def update(self, state: Any, measured: Any) -> tuple[Any, Any]: ...
    def of(self, where: slice) -> Any: ...


class Batches(Protocol):
    """Rows laid out for training on mini-batches, in this process or on a cluster.

    ``epoch`` gives the steps of an epoch, each row in one of them, the same whatever the threads
    and workers; ``rounds`` gives one or more of them at a time, from the ``first`` on, whose
    ``run`` is ``kernel(state, batches)`` of these steps, made alike by all workers that have rows.
    A round's ``serve(step, state, staleness, n_servers)`` has a `TrainingStep` made by parameter
    servers, and gives the next state and what to tell of its steps; after a failure it gives
    ``state``, and what tells of the failure. ``run`` is the sum of ``kernel(state, batch)`` over
    all rows in order.
    """

    n_rows: int
    in_shape: tuple[int, ...]
    steps_per_epoch: int
    n_rows_read: int

    def epoch(self, epoch: int) -> Iterator[BatchStep]: ...
    def rounds(self, epoch: int, first: int = 0) -> Iterator[Any]: ...
    def run(self, kernel: Any, state: Any, name: str) -> Any: ...
    def close(self) -> None: ...


class Parts(Protocol):
    """Rows in parts, each with mini-batches of its own.

    ``rounds`` gives the rounds of an epoch, of at most ``count`` mini-batches of each part (None:
    all), from the ``first`` on. A round's ``run`` is the sum of ``kernel(state, batches)`` over
    the parts, in order; ``batches`` are an iterator, empty for a part that has no more in this
    epoch. ``steps_per_epoch`` are those of the largest part; ``run`` is as of `Batches`.
    """

    n_rows: int
    in_shape: tuple[int, ...]
    steps_per_epoch: int
    n_rows_read: int

    def rounds(self, epoch: int, count: int | None, first: int = 0) -> Iterator[Any]: ...
    def run(self, kernel: Any, state: Any, name: str) -> Any: ...
    def close(self) -> None: ...


class Schedule(Protocol):
    """The factor of the learning rate at a step; a NamedTuple of settings."""

    def factor(self, step: int, epoch: int, n_steps: int) -> float: ...
