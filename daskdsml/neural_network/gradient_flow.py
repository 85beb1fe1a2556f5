"""How strong gradients arrive at each layer and at each time step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.base import clone

from daskdsml.neural_network._describe import aligned
from daskdsml.neural_network._model import NeuralModel, build_network, find_backend, starting_point
from daskdsml.neural_network._predictor import network_for
from daskdsml.neural_network._rows import open_examples
from daskdsml.neural_network._validation import check_parameters, check_weight, training_examples
from daskdsml.neural_network.backprop import Backprop
from daskdsml.neural_network.network import Network, Point
from daskdsml.utils import registry
from daskdsml.utils.threads import single_threaded_blas


class GradientFlow(NamedTuple):
    """Norms of gradients of a mean loss ``L``, all Euclidean; prints as a table.

    Attributes
    ----------
    layers : tuple of str (m,)
        The layers that have parameters, from the first to the last, such as "0 GRU".
    norms : array (m,)
        Of the gradient of ``L`` in all parameters of a layer.
    weights : array (m,)
        Of these parameters themselves.
    steps : dict of arrays (T,), one for each recurrent layer
        Of the gradient of ``L`` in the states of all rows after step t; of a bidirectional layer,
        in those of both directions at step t.
    """

    layers: tuple[str, ...]
    norms: np.ndarray
    weights: np.ndarray
    steps: dict[str, np.ndarray]

    @property
    def ratios(self) -> np.ndarray:
        """``norms / weights`` (m,): how much a gradient step of rate 1 changes a layer."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.norms / self.weights

    def __str__(self) -> str:
        """A table of the layers; of recurrent ones also the first and the last of their steps."""
        rows = [["layer", "gradient", "weights", "ratio"]]
        for name, *norms in zip(self.layers, self.norms, self.weights, self.ratios, strict=True):
            rows.append([name, *(f"{norm:.3g}" for norm in norms)])
        if self.steps:
            rows[0] += ["at first step", "at last step"]
            for row in rows[1:]:
                steps = self.steps.get(row[0])
                row += ["", ""] if steps is None else [f"{steps[t]:.3g}" for t in (0, -1)]
        head, *lines = aligned(rows, 1)
        return "\n".join([head, "-" * len(head), *lines])


class _Sums(NamedTuple):
    """Weight, gradient of the summed loss (d,), and squares of its norms by layer and step."""

    weight: float
    gradient: np.ndarray
    squares: dict[str, np.ndarray]

    def __add__(self, other):
        squares = {name: own + other.squares[name] for name, own in self.squares.items()}
        return _Sums(self.weight + other.weight, self.gradient + other.gradient, squares)


class _Flow(NamedTuple):
    """Kernel: the sums of a batch at a point."""

    backprop: Backprop

    def __call__(self, point: Point, batch):
        layers = self.backprop.network.placed
        watch: list[dict] = [{} for _ in layers]
        total = yield from self.backprop.gradient(point, batch, watch)
        get = self.backprop.backend.get
        squares = {
            placed.name: get(watched["steps"]) ** 2
            for placed, watched in zip(layers, watch, strict=True)
            if "steps" in watched
        }
        return _Sums(total.weight, np.array(get(total.gradient)), squares)


def gradient_flow(model, X, y, mask=None, sample_weight=None) -> GradientFlow:
    """Norms of the mean loss's gradient, by layer and by time step: do they vanish or explode?

    The loss is what training minimises, without penalties: weighted by ``sample_weight`` and
    ``class_weight``, with dropout, and with batch statistics of batches of ``batch_size`` rows in
    the order of X. Gradients are computed in float64, whatever the dtype of the model, so that
    they can be followed below 1e-38. One read of X.

    A model that is not fitted is looked at with the weights that `fit` would begin with; it stays
    unfitted. Callbacks may call this to follow a model while it learns.

    Parameters
    ----------
    model : neural estimator
    X, y, mask, sample_weight : as for the model's `fit`

    Returns
    -------
    GradientFlow

    Raises
    ------
    TypeError
        If ``model`` is no neural estimator.
    ValueError
        If data or parameters cannot be used, or all weights are zero.

    References
    ----------
    Bengio, Y., Simard, P. and Frasconi, P. (1994). Learning long-term dependencies with gradient
    descent is difficult. IEEE Transactions on Neural Networks 5(2), 157-166.
    """
    if not isinstance(model, NeuralModel):
        raise TypeError(
            "gradient_flow needs an estimator of daskdsml.neural_network, got "
            f"{type(model).__name__}."
        )
    fresh = not hasattr(model, "_train_state")
    if fresh:
        check_parameters(model)
        model = clone(model)
    examples = training_examples(model, X, y, sample_weight, mask, first=fresh)
    if fresh:
        network = build_network(model, examples.in_shape, examples.mask)
        backend, point = (
            find_backend(model, network, examples.n_rows),
            starting_point(model, network, warm=False),
        )
    else:
        network, point = network_for(model, examples.in_shape), model._train_state.point
        backend = registry.find("backends", model._backend)()
    network = Network(network.layers, network.in_shape, network.loss, np.float64)
    point = Point(*(array.astype(np.float64) for array in point))
    with open_examples(model, examples) as batches, single_threaded_blas():
        flow = _Flow(Backprop(network, backend))
        total = batches.run(flow, point, f"{model._label}-gradient-flow")
    check_weight(total.weight)
    return _flow_of(network, point, total)


def _flow_of(network, point, total) -> GradientFlow:
    gradient = total.gradient / total.weight
    layers = [placed for placed in network.placed if placed.parameters]
    where = [slice(p.parameters[0][1].start, p.parameters[-1][1].stop) for p in layers]
    return GradientFlow(
        tuple(placed.name for placed in layers),
        np.array([np.linalg.norm(gradient[w]) for w in where]),
        np.array([np.linalg.norm(point.theta[w]) for w in where]),
        {name: np.sqrt(squares) / total.weight for name, squares in total.squares.items()},
    )
