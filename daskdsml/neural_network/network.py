"""Layers composed into one function of a flat parameter vector."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from daskdsml.layers._images import told_format
from daskdsml.layers._parameters import with_given


class Point(NamedTuple):
    """Where a network stands: parameters ``theta (d,)`` and the batches' ``statistics (s,)``."""

    theta: np.ndarray
    statistics: np.ndarray


class PlacedLayer(NamedTuple):
    """One layer of a network: its place in the vectors of a `Point`.

    ``parameters`` and ``statistics`` are (name, slice, shape) of each of its arrays.
    """

    name: str
    layer: Any
    in_shape: tuple
    out_shape: tuple
    parameters: tuple
    statistics: tuple

    @property
    def trainable(self) -> bool:
        """Whether training changes the parameters."""
        return getattr(self.layer, "trainable", True)


class Network:
    """Layers, one after the other, and the loss of the last one's output.

    All parameters stand in one vector ``theta (d,)``, layer by layer, so that any solver and any
    sum over workers sees a vector; layers get views into it.

    Parameters
    ----------
    layers : sequence of `daskdsml.network_contracts.Layer`
    in_shape : shape of one row
    loss : `daskdsml.contracts.Loss` or None
        Of raw scores (n, K), or (n, T, K) with a target for each step.
    dtype : float32 or float64

    Raises
    ------
    ValueError
        If a layer cannot take what the one before it gives; the message names both and the shapes.
        If layers tell different formats of the images they are given.
    """

    def __init__(self, layers, in_shape, loss=None, dtype=np.float32):
        self.layers, self.in_shape, self.loss = tuple(layers), tuple(in_shape), loss
        self.dtype = np.dtype(dtype)
        self.channels_last = told_format(layers) == "channels_last" and len(self.in_shape) == 3
        self.placed = tuple(self._place_layers(np.random.default_rng(0)))
        self.out_shape = self.placed[-1].out_shape if self.placed else self.in_shape
        ends = [(0, 0)] + [(_end(each.parameters), _end(each.statistics)) for each in self.placed]
        self.n_parameters, self.n_statistics = (max(end) for end in zip(*ends, strict=True))

    def init(self, rng) -> Point:
        """Parameters as the layers draw them from ``rng``, statistics before the first batch."""
        theta = np.zeros(self.n_parameters, self.dtype)
        statistics = np.zeros(self.n_statistics, self.dtype)
        for placed in self.placed:
            drawn, _ = placed.layer.init(rng, placed.in_shape)
            drawn = with_given(placed.layer, drawn)
            for name, where, shape in placed.parameters:
                theta[where] = np.broadcast_to(drawn[name], shape).ravel()
            if placed.statistics:
                first = placed.layer.statistics(placed.in_shape)
                for name, where, _ in placed.statistics:
                    statistics[where] = np.ravel(first[name])
        return Point(theta, statistics)

    def arranged(self, X):
        """Rows X (n, *in_shape) as the first layer takes them: images with their channels first."""
        return np.moveaxis(X, 3, 1) if self.channels_last else X

    def views(self, theta, statistics=None) -> list[dict]:
        """Each layer's arrays as views into ``theta`` and, where given, the ``statistics``."""
        layers = []
        for placed in self.placed:
            views = {name: theta[where].reshape(shape) for name, where, shape in placed.parameters}
            if statistics is not None:
                for name, where, shape in placed.statistics:
                    views[name] = statistics[where].reshape(shape)
            layers.append(views)
        return layers

    def scale(self) -> np.ndarray:
        """1.0 (d,) where weight decay acts on a parameter, 0.0 where it is not penalised."""
        scale = np.zeros(self.n_parameters, self.dtype)
        for placed in self.placed:
            for name, where, _ in placed.parameters:
                scale[where] = placed.trainable and name in placed.layer.penalised
        return scale

    def hold(self, theta) -> None:
        """Write what is given to layers that are not trained into ``theta``."""
        for placed in self.placed:
            given = {} if placed.trainable else getattr(placed.layer, "given", {})
            for name, where, _ in placed.parameters:
                if name in given:
                    theta[where] = given[name].ravel()

    @property
    def fixed(self) -> list[slice]:
        """Where parameters stand that training does not change."""
        layers = (placed for placed in self.placed if not placed.trainable)
        return [where for placed in layers for _, where, _ in placed.parameters]

    @property
    def learns(self) -> bool:
        """Whether training changes anything: a parameter, or statistics that follow batches."""
        n_fixed = sum(where.stop - where.start for where in self.fixed)
        return n_fixed < self.n_parameters or self.n_statistics > 0

    @property
    def first_wanted(self) -> int:
        """The first layer whose gradient is wanted: behind fixed ones that the network begins with.

        Layers without parameters in front of trained ones are asked for theirs.
        """
        first = 0
        for i, placed in enumerate(self.placed):
            if placed.parameters and placed.trainable:
                break
            first = i + 1 if placed.parameters else first
        return first

    def momentum(self) -> np.ndarray:
        """Share (s,) of the latest batch in the statistics that follow the batches."""
        share = np.zeros(self.n_statistics, self.dtype)
        for placed in self.placed:
            for _, where, _ in placed.statistics:
                share[where] = placed.layer.momentum
        return share

    @property
    def multiplications(self) -> int:
        """Multiplications with parameters on the way forward of a row."""
        return sum(map(_multiplications, self.placed))

    @property
    def layout(self) -> list:
        """What networks have alike that can go on with each other's weights."""
        return [(type(each.layer), each.parameters, each.statistics) for each in self.placed]

    @property
    def collective(self) -> bool:
        """Whether what a row gives depends on the other rows of its batch, which it has to have."""
        return any(layer.collective for layer in self.layers)

    @property
    def multilabel(self) -> bool:
        """Whether each score is of a label of its own; the loss of a row is then their sum."""
        loss = self.loss
        of_classes = loss is not None and loss.targets == "classes" and not loss.coupled
        return of_classes and self.out_shape[-1] > 1

    @property
    def steps(self) -> bool:
        """Whether there are scores for each time step, (n, T, K), rather than for each row."""
        return len(self.out_shape) == 2

    def _place_layers(self, rng):
        shape, d, s = self.in_shape, 0, 0
        if self.channels_last:
            shape = (shape[2], *shape[:2])
        for i, layer in enumerate(self.layers):
            try:
                if i and getattr(layer, "first", False):
                    raise ValueError("it takes codes, not what a layer gives. Let it be the first.")
                parameters, out_shape = layer.init(rng, shape)
                parameters = with_given(layer, parameters)
            except ValueError as error:
                raise ValueError(self._incompatible(i, shape, error)) from error
            statistics = layer.statistics(shape) if layer.collective else {}
            slices, d = _lay_out(parameters, d)
            follow, s = _lay_out(statistics, s)
            name = f"{i} {type(layer).__name__}"
            yield PlacedLayer(name, layer, shape, out_shape, slices, follow)
            shape = out_shape

    def _incompatible(self, i, shape, error) -> str:
        before = "the input" if i == 0 else f"layer {i - 1}, {self.layers[i - 1]}"
        return (
            f"Incompatible layer shapes: {before} gives rows of shape {shape}, which layer {i}, "
            f"{self.layers[i]}, cannot take: {error}"
        )


def _lay_out(arrays: dict, start: int):
    """(name, slice, shape) of arrays laid one after the other from ``start``, and the end."""
    borders = np.cumsum([start, *(array.size for array in arrays.values())]).tolist()
    slices = (slice(*pair) for pair in pairwise(borders))
    named = zip(arrays.items(), slices, strict=True)
    return tuple((name, where, array.shape) for (name, array), where in named), borders[-1]


def _multiplications(placed) -> int:
    """Each parameter is met once at each place of an image, or step of a sequence."""
    if getattr(placed.layer, "first", False):  # rows of a table are looked up
        return 0
    shape = max(placed.out_shape, placed.in_shape, key=len)
    places = math.prod(shape[1:] if len(shape) == 3 else shape[:-1])
    return places * sum(math.prod(own) for _, _, own in placed.parameters)


def _end(slices) -> int:
    return slices[-1][1].stop if slices else 0
