"""Gradients, scores and traces of a network on mini-batches: kernels for the engine."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np

from daskdsml.engine.minibatch.accumulate import finished
from daskdsml.network_contracts import Batch, BatchGradient, Step
from daskdsml.neural_network.network import Network, Point


class Backprop:
    """Kernels of mini-batches: gradients, scores and traces of a network at a `Point`.

    The ``backend`` has ``layers()``. Buffers last from one batch to the next, those of each thread
    apart; they stay behind when an object is sent elsewhere.
    """

    def __init__(self, network: Network, backend):
        self.network, self.backend = network, backend
        self._kernels = backend.layers()
        self._threads = threading.local()

    def __reduce__(self):
        return Backprop, (self.network, self.backend)

    @property
    def _buffers(self) -> _Buffers:
        """What this thread keeps between batches."""
        buffers = getattr(self._threads, "buffers", None)
        if buffers is None:
            buffers = _Buffers(self.network, self.backend, self._kernels.xp)
            self._threads.buffers = buffers
        return buffers

    def gradient(self, point: Point, batch: Batch, watch=None):
        """Kernel: the `BatchGradient` of a batch, whose gradient is good until the next batch.

        ``watch`` has a dict for each layer (see `Step`).
        """
        tapes: list = []
        z = yield from self._forward(point, batch, True, tapes, watch=watch)
        value, weight, dout, by_step = self.loss(batch, z)
        buffers = self._buffers
        gradient, grads, params = buffers.gradient, buffers.grads, buffers.params(point)
        for i in reversed(range(self.network.first_wanted, len(tapes))):
            layer, (tape, step) = self.network.placed[i].layer, tapes[i]
            dout = layer.backward(self._kernels, params[i], tape, dout, grads[i], step)
            if layer.collective:
                dout = yield from dout
        for where in self.network.fixed:
            gradient[where] = 0.0
        gradient, statistics = self.backend.get(gradient), self._statistics(tapes)
        return BatchGradient(value, weight, gradient, statistics, by_step)

    def scores(self, point: Point, X, mask=None):
        """Raw scores of rows X (n, *in_shape), as for prediction."""
        return finished(self._forward(point, Batch(X, mask=mask), False))

    def loss(self, batch: Batch, z):
        """Summed loss, weight, and derivative in the scores ``z`` of a batch with targets.

        Of scores (n, T, K), also sums of losses and weights at each step (2, T), else None.
        """
        loss, w = self.network.loss, batch.w
        y = np.asarray(batch.y, dtype=self.network.dtype)
        _check_finite(y, "y")
        if self.network.steps:
            w = _step_weights(w, batch.mask, z.shape[:2])
        flat = z.reshape(-1, z.shape[-1])
        y = self.backend.put(y.reshape(-1) if loss.coupled else y.reshape(flat.shape))
        put = None if w is None else self.backend.put(w)
        values, weight, dz = self._kernels.loss(loss, y, flat, put)
        if self.network.multilabel:  # kernels take the mean over outputs
            values, dz = values * z.shape[-1], dz * self.network.dtype.type(z.shape[-1])
        by_step = _sums_by_step(self.backend.get(values), w, z.shape) if z.ndim == 3 else None
        return float(values.sum()), weight, dz.reshape(z.shape), by_step

    def trace(self, point: Point, batch: Batch):
        """Kernel: the `FirstNonFinite` output of a batch."""
        outputs: list = []
        yield from self._forward(point, batch, True, outputs=outputs)
        good = (bool(np.isfinite(self.backend.get(out)).all()) for out in outputs)
        return FirstNonFinite(next((i for i, fine in enumerate(good) if not fine), len(outputs)))

    def _forward(self, point, batch, training, tapes=None, outputs=None, watch=None):
        x = self.inputs(batch.X)
        buffers = self._buffers
        params = buffers.params(point)
        mask = None if batch.mask is None else self.backend.put(batch.mask)
        for i, placed in enumerate(self.network.placed):
            watched = None if watch is None else watch[i]
            inner = i > self.network.first_wanted
            step = Step(training, mask, _Rows(batch, i), buffers.work[i], inner, watched)
            forward = placed.layer.forward(self._kernels, params[i], x, step)
            x, tape = (yield from forward) if placed.layer.collective else forward
            if tapes is not None:
                tapes.append((tape, step))
            if outputs is not None:
                outputs.append(x)
        return x

    def inputs(self, X):
        """Rows as the first layer takes them, in the network's dtype.

        Raises
        ------
        ValueError
            If a value is not finite: compiled maxima would turn NaN into zeros unseen.
        """
        rows = np.reshape(X, (len(X), *self.network.in_shape))
        rows = np.ascontiguousarray(self.network.arranged(rows), dtype=self.network.dtype)
        _check_finite(rows, "X")
        return self.backend.put(rows)

    def _statistics(self, tapes):
        statistics = np.empty(self.network.n_statistics, self.network.dtype)
        for placed, (tape, _) in zip(self.network.placed, tapes, strict=True):
            for name, where, _ in placed.statistics:
                statistics[where] = np.ravel(self.backend.get(tape.statistics[name]))
        return statistics


class NotFiniteError(ValueError):
    """Rows that are not finite."""


class _Buffers:
    """What a thread keeps from one batch to the next: buffers, and views of what does not move."""

    def __init__(self, network, backend, xp):
        self._network, self._backend, self._on_host = network, backend, xp is np
        self._seen = (None, None, None)
        self.work = [_Workspace(xp, network.dtype) for _ in network.placed]
        self.gradient = xp.empty(network.n_parameters, dtype=network.dtype)
        self.grads = network.views(self.gradient)

    def params(self, point):
        """Views into the point, made once for the same arrays: solvers change these in place.

        A device gets the arrays anew each time, for the same reason.
        """
        if not self._on_host:
            return self._network.views(*map(self._backend.put, point))
        if self._seen[0] is not point.theta or self._seen[1] is not point.statistics:
            self._seen = (*point, self._network.views(*point))
        return self._seen[2]


class FirstNonFinite(NamedTuple):
    """The first layer whose output is not finite, as a number; that of layers where none is."""

    layer: int

    def __add__(self, other):
        return FirstNonFinite(min(self.layer, other.layer))


class _Rows(NamedTuple):
    """Draws random numbers for a layer: the same for a row, wherever its batch is spread to."""

    batch: Batch
    layer: int

    def __call__(self, draw):
        rng = np.random.default_rng((*self.batch.key, self.layer))
        positions = self.batch.positions
        drawn = draw(rng, self.batch.size if positions is not None else len(self.batch.X))
        return drawn if positions is None else drawn[positions]


class _Workspace:
    """Buffers of one layer; a buffer grows to the largest batch and is cut for smaller ones."""

    def __init__(self, xp, dtype):
        self._xp, self._dtype, self._arrays = xp, dtype, {}

    def __call__(self, name, shape, dtype=None):
        array = self._arrays.get(name)
        if array is not None and array.shape == shape:
            return array
        dtype = self._dtype if dtype is None else np.dtype(dtype)
        size = 1
        for length in shape:
            size *= length
        store = self._arrays.get((name, "store"))
        if store is None or store.size < size or store.dtype != dtype:
            store = self._arrays[name, "store"] = self._xp.empty(size, dtype=dtype)
        self._arrays[name] = array = store[:size].reshape(shape)
        return array


def _sums_by_step(values, w, shape):
    """Sums (2, T) over rows of losses and weights of steps (n T,), ``w`` None for all ones."""
    weights = np.ones(values.size) if w is None else w
    return np.stack([part.reshape(shape[:2]).sum(axis=0) for part in (values, weights)])


def _step_weights(w, mask, shape):
    """Weights (n T,) of the steps of rows, or None for all ones."""
    if w is None and mask is None:
        return None
    weights = np.ones(shape) if mask is None else np.asarray(mask, dtype=np.float64)
    if w is not None:
        weights = weights * (w if w.ndim == 2 else w[:, None])
    return weights.reshape(-1)


def _check_finite(array, name) -> None:
    # The sum of squares tells in one read by BLAS; one that overflows asks for a second look.
    if not np.isfinite(np.vdot(array, array)) and not np.isfinite(array).all():
        raise NotFiniteError(
            f"Input {name} contains NaN or infinity, or a value too large for {array.dtype}. "
            "Impute, scale or drop the rows that hold them."
        )
