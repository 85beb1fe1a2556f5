"""Networks whose first layer is spread by columns of X: tensor parallelism."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from daskdsml.layers._activations import activation_of
from daskdsml.layers._settings import layer
from daskdsml.layers._views import rows_of
from daskdsml.layers.dense import Dense
from daskdsml.neural_network.backprop import Backprop
from daskdsml.neural_network.network import Network
from daskdsml.utils.variation import Variation


def splits(network) -> bool:
    """Whether the first layer is dense, and takes rows of a table."""
    return type(network.layers[0]) is Dense and len(network.in_shape) == 1


class _Tape(NamedTuple):
    view: Any
    rows: Any
    out: Any


@layer
class SplitDense(Dense):
    """A `Dense` layer of which some features are here: ``y = f(sum_k x_k W_k + b)``.

    The products ``x_k W_k`` are summed over all who have features; what follows is the same
    everywhere.
    """

    collective = True

    def statistics(self, in_shape):
        """No running statistics."""
        return {}

    def forward(self, kernels, params, x, step):
        view = rows_of(x)
        rows = view.flat(x)
        own = kernels.product(rows, params["W"], step.work("out", (len(rows), self.units)))
        out = yield own
        kernels.bias_activation(out, params.get("b"), activation_of(self))
        return view.back(out), _Tape(view, rows, out)

    def backward(self, kernels, params, tape, dout, grads, step):
        return super().backward(kernels, params, tape, dout, grads, step)
        yield  # a collective layer's is a generator


class ColumnsOfStep:
    """A step of training made by one of those who share the columns of X.

    Each has the weights of its features and all of the later layers, which all train alike.
    ``step`` is a `TrainStep` of these parameters, the first ``n_own`` of which nobody else has.
    """

    def __init__(self, step, n_own: int):
        self._step, self._n_own = step, n_own

    def __call__(self, train_state, batch):
        return self._step(train_state, batch, partial(self._completed, batch))

    def _completed(self, batch, gradient, theta, share):
        """`TrainStep.complete` with the sums over all parameters, wherever they are."""
        own, rest = slice(self._n_own), slice(self._n_own, None)
        here = np.array(self._step.complete(gradient, theta, share, own))
        return batch.total(here) + self._step.complete(gradient, theta, share, rest)


class SplitStep(NamedTuple):
    """A step of training cut by columns: the ``parts``, and the places of their parameters."""

    parts: list
    places: list[np.ndarray]

    @classmethod
    def of(cls, step, columns: list[slice]) -> SplitStep:
        """A `TrainStep` of a network that `splits`, cut at ``columns`` of X."""
        backprop, parts, places = step.backprop, [], []
        whole = backprop.network
        first, units = whole.layers[0], whole.layers[0].units
        split = SplitDense(units, first.activation, bias=first.bias, trainable=first.trainable)
        n_first = whole.in_shape[0] * units
        for where in columns:
            n_own = (where.stop - where.start) * units
            shape = (where.stop - where.start,)
            network = Network((split, *whole.layers[1:]), shape, whole.loss, whole.dtype)
            part = step.with_backprop(Backprop(network, backprop.backend))
            own = np.arange(where.start * units, where.stop * units)
            parts.append(ColumnsOfStep(part, n_own))
            places.append(np.concatenate([own, np.arange(n_first, whole.n_parameters)]))
        return cls(parts, places)

    def joined(self, train_state, replies):
        """The train state of the whole and records of its steps, from those of the parts.

        Of what all have the first one's is taken.
        """
        states, records = zip(*replies, strict=True)
        told = [
            own[0]._replace(variation=_side_by_side([record.variation for record in own]))
            for own in zip(*records, strict=True)
        ]
        return train_state.joined(states, self.places), told


def _side_by_side(parts) -> Variation | None:
    """How columns vary, of which each of the parts has some."""
    if parts[0] is None:
        return None
    arrays = zip(*(part[1:] for part in parts), strict=True)
    return Variation(parts[0].weight, *map(np.concatenate, arrays))
