"""Scores and predictions of a network: kernels for the engine, and what a prediction ships."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.neural_network.backprop import Backprop
from daskdsml.neural_network.network import Network, Point
from daskdsml.utils import registry

# Rows that are predicted at once: enough for matrix products, few enough for convolutions' columns.
PREDICTED_ROWS = 256


class Tally(NamedTuple):
    """Sums of a metric, one for each output."""

    sums: tuple

    def __add__(self, other):
        return Tally(tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)))

    def value(self, metric) -> float:
        """The mean over outputs of the metric of all rows."""
        return float(np.mean([metric.value(total) for total in self.sums]))


class Scorer(NamedTuple):
    """Kernel: what a batch adds to a metric.

    Attributes
    ----------
    predictor : Predictor, whose point is not used
    metric : `daskdsml.contracts.Metric`, of labels or of predictions
    """

    predictor: Predictor
    metric: Any

    def __call__(self, point: Point, batch):
        z = self.predictor.at(point)(batch.X, batch.mask)
        yield from ()
        y, w = batch.y, batch.w
        if self.predictor.network.steps:
            kept = np.ones(z.shape[:2], dtype=bool) if batch.mask is None else batch.mask
            kept = np.asarray(kept, dtype=bool)
            if w is not None:
                w = np.broadcast_to(w if w.ndim == 2 else w[:, None], kept.shape)[kept]
            z, y = z[kept], y[kept]
        if self.metric.needs == "labels":
            return Tally((self.metric.count(y, likeliest(z), w, max(z.shape[-1], 2)),))
        y, z = np.reshape(y, z.shape), self.predictor.network.loss.mean(np, z)
        return Tally(tuple(self.metric.count(a, b, w, 0) for a, b in zip(y.T, z.T, strict=True)))


class Predictor:
    """Raw scores (n, K) or (n, T, K) of rows, at a point of a network.

    Parameters
    ----------
    network : Network
    point : Point
    backend : str
    """

    def __init__(self, network: Network, point: Point, backend: str):
        self.network, self.point, self.backend = network, point, backend
        self._backprop = Backprop(network, registry.find("backends", backend)())

    def __reduce__(self):
        return Predictor, (self.network, self.point, self.backend)

    def __dask_tokenize__(self):
        layers = [repr(layer) for layer in self.network.layers]
        return layers, self.network.in_shape, str(self.network.dtype), self.point, self.backend

    def at(self, point: Point) -> Predictor:
        """The predictor at another point, with its buffers."""
        self.point = point
        return self

    def __call__(self, X, mask=None):
        out = np.empty((X.shape[0], *self.network.out_shape), self.network.dtype)
        for start in range(0, X.shape[0], PREDICTED_ROWS):
            rows = slice(start, start + PREDICTED_ROWS)
            some = X[rows].toarray() if hasattr(X, "toarray") else np.asarray(X[rows])
            some_mask = None if mask is None else np.asarray(mask[rows])
            out[rows] = self._backprop.scores(self.point, some, some_mask)
        return out


def likeliest(z):
    """Codes (...) of the classes with the largest score, of scores (..., K), or (..., 1) of two."""
    return (z[..., 0] > 0).astype(np.intp) if z.shape[-1] == 1 else np.argmax(z, axis=-1)
