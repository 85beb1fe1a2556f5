"""Scores and predictions of networks: kernels for the engine, and what a prediction ships."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from daskdsml.data.dataset import Dataset, checked_rows, is_dask
from daskdsml.data.validation import warn_of_one_row
from daskdsml.engine.full.predict import lazily
from daskdsml.neural_network._rows import open_examples, told_of_shape
from daskdsml.neural_network._validation import (
    check_mask,
    count_features,
    read_examples,
    unwrapped,
    validated,
)
from daskdsml.neural_network.backprop import Backprop, NotFiniteError
from daskdsml.neural_network.network import Network, Point
from daskdsml.passes.evaluate import likeliest
from daskdsml.passes.row_stats import raise_missing
from daskdsml.utils import registry
from daskdsml.utils.threads import single_threaded_blas

# Rows that are predicted at once: enough for matrix products, few enough for convolutions' columns.
PREDICTED_ROWS = 256
# Rows of a batch of predictions while a model is scored.
SCORED_ROWS = 1024


class Predictor:
    """Raw scores (n, K) or (n, T, K) of rows, at a point of a network; ``backend`` is its name."""

    def __init__(self, network: Network, point: Point, backend: str):
        self.network, self.point, self.backend = network, point, backend
        self._backprop = Backprop(network, registry.find("backends", backend)())

    def __reduce__(self):
        return Predictor, (self.network, self.point, self.backend)

    def __dask_tokenize__(self):
        layers = [repr(layer) for layer in self.network.layers]
        return layers, self.network.in_shape, str(self.network.dtype), self.point, self.backend

    def __call__(self, X, mask=None):
        return self.scores(self.point, X, mask)

    def scores(self, point: Point, X, mask=None):
        """Raw scores of rows at another point."""
        out = np.empty((X.shape[0], *self.network.out_shape), self.network.dtype)
        for start in range(0, X.shape[0], PREDICTED_ROWS):
            rows = slice(start, start + PREDICTED_ROWS)
            some = X[rows].toarray() if hasattr(X, "toarray") else np.asarray(X[rows])
            some_mask = None if mask is None else np.asarray(mask[rows])
            out[rows] = self._backprop.scores(point, some, some_mask)
        return out


class Tally(NamedTuple):
    """Sums of a metric, one for each output."""

    sums: tuple

    def __add__(self, other):
        return Tally(tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)))

    def value(self, metric) -> float:
        """The mean over outputs of the metric of all rows."""
        return float(np.mean([metric.value(total) for total in self.sums]))


class Scorer(NamedTuple):
    """Kernel: what a batch adds to a metric, of labels or of predictions, at a point."""

    predictor: Predictor
    metric: Any

    def __call__(self, point: Point, batch):
        z = self.predictor.scores(point, batch.X, batch.mask)
        yield from ()
        y, w = batch.y, batch.w
        if self.predictor.network.steps:
            counted = np.ones(z.shape[:2], dtype=bool) if batch.mask is None else batch.mask
            counted = np.asarray(counted, dtype=bool)
            if w is not None:
                w = np.broadcast_to(w if w.ndim == 2 else w[:, None], counted.shape)[counted]
            z, y = z[counted], y[counted]
        if self.predictor.network.multilabel:  # a row is right if all of its labels are
            wrong = (np.asarray(y, dtype=bool) != (z > 0)).any(axis=1)
            return Tally((self.metric.count(np.zeros(len(z)), wrong, w, 2),))
        if self.metric.needs == "labels":
            return Tally((self.metric.count(y, likeliest(z), w, max(z.shape[-1], 2)),))
        y, z = np.reshape(y, z.shape), self.predictor.network.loss.mean(np, z)
        return Tally(tuple(self.metric.count(a, b, w, 0) for a, b in zip(y.T, z.T, strict=True)))


class Mean:
    """Turns raw scores into predictions (n, K), or (n,), by the inverse link of a loss."""

    def __init__(self, loss, flat):
        self.loss, self.flat = loss, flat

    def __dask_tokenize__(self):
        return repr(self.loss), self.flat

    def __call__(self, z):
        mean = self.loss.mean(np, z)
        return (mean[:, 0] if self.flat else mean).astype(np.float64)


def predict(model, X, mask, finish, last, dtype=None):
    """``finish`` of the raw scores of X: lazily for a Dask collection, at once otherwise.

    ``last`` are the lengths that the result has in place of the last axis of the scores, ``dtype``
    is its dtype, None for the network's.
    """
    X, mask = unwrapped(X), unwrapped(mask)
    if is_dask(X) and mask is None:
        examples = Dataset(checked_rows(X, model._ranks))
    else:
        examples = validated(model, X, mask, known_rows=False)
    count_features(model, X, examples, reset=False)
    network, point = network_for(model, examples.in_shape), model._train_state.point
    check_mask(network, examples.mask)
    if not is_dask(X):
        with single_threaded_blas():
            names = getattr(model, "feature_names_in_", None)
            predictor = Predictor(network, point, model._backend)
            return finish(_scores_here(predictor, examples, names))
    # Solvers change the arrays in place: what is computed later has the weights of now.
    predictor = Predictor(network, Point(*map(np.copy, point)), model._backend)
    of_classes = bool(last) and hasattr(model, "classes_") and not network.multilabel
    return lazily(
        examples.X,
        predictor,
        finish,
        name=f"{model._label}-predict",
        mask=examples.mask,
        ranks=model._ranks,
        tail=(*network.out_shape[:-1], *last),
        columns=model.classes_ if of_classes else getattr(model, "_target_names", None),
        dtype=network.dtype if dtype is None else dtype,
    )


def _scores_here(predictor, examples, names):
    """Raw scores of rows in memory; ValueError names one that is not finite."""
    try:
        return predictor(examples.X, examples.mask)
    except NotFiniteError:
        with told_of_shape(examples.in_shape):
            raise_missing(examples.X, names=names, whole=True)
        raise


def score(model, X, y, sample_weight=None, mask=None) -> float:
    """The metric of a fitted model on examples."""
    check_is_fitted(model)
    examples = read_examples(model, X, y, sample_weight, mask, reset=False)
    examples = model._targets.encoded(examples, scored=True)
    check_mask(model._network, examples.mask)
    with open_examples(model, examples, rows=SCORED_ROWS) as batches, single_threaded_blas():
        value = score_at(model, batches, model._train_state.point)
    warn_of_one_row(value)
    return value


def score_at(model, batches, point) -> float:
    """The metric of all rows of ``batches`` at a point."""
    metric = registry.find("metrics", model._targets.metric)()
    network = network_for(model, batches.in_shape)
    scorer = Scorer(Predictor(network, point, model._backend), metric)
    return batches.run(scorer, point, f"{model._label}-score").value(metric)


def network_for(model, in_shape=None) -> Network:
    """The fitted network for rows of ``in_shape``; sequences may be longer or shorter than learnt.

    ValueError if it cannot take such rows, or would have other parameters.
    """
    network = model._network
    if in_shape is None or tuple(in_shape) == network.in_shape:
        return network
    other = None
    if len(in_shape) == len(network.in_shape):
        with suppress(ValueError):
            other = Network(network.layers, in_shape, network.loss, network.dtype)
    if other is None or other.n_parameters != network.n_parameters:
        raise ValueError(
            f"X has rows of shape {tuple(in_shape)}, but {type(model).__name__} was fitted "
            f"to rows of shape {network.in_shape}. Reshape X."
        )
    return other
