"""Layers composed into one function of a flat parameter vector."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np


class Point(NamedTuple):
    """Where a network stands: parameters ``theta (d,)`` and the batches' ``statistics (s,)``."""

    theta: np.ndarray
    statistics: np.ndarray


class PlacedLayer(NamedTuple):
    """One layer in its place: ``arrays`` and ``followed`` are (name, slice, shape) of its views."""

    name: str
    layer: Any
    in_shape: tuple
    out_shape: tuple
    arrays: tuple
    followed: tuple


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
    """

    def __init__(self, layers, in_shape, loss=None, dtype=np.float32):
        self.layers, self.in_shape, self.loss = tuple(layers), tuple(in_shape), loss
        self.dtype = np.dtype(dtype)
        self.parts = tuple(self._composed(np.random.default_rng(0), lambda array: array.shape))
        last = self.parts[-1] if self.parts else None
        self.out_shape = last.out_shape if last else self.in_shape
        ends = [(0, 0)] + [(_end(p.arrays), _end(p.followed)) for p in self.parts]
        self.n_parameters, self.n_statistics = (max(end) for end in zip(*ends, strict=True))

    def init(self, rng) -> Point:
        """Parameters as the layers draw them from ``rng``, statistics before the first batch."""
        theta = np.zeros(self.n_parameters, self.dtype)
        statistics = np.zeros(self.n_statistics, self.dtype)
        for part in self.parts:
            drawn, _ = part.layer.init(rng, part.in_shape)
            for name, where, shape in part.arrays:
                theta[where] = np.broadcast_to(drawn[name], shape).ravel()
            if part.followed:
                first = part.layer.statistics(part.in_shape)
                for name, where, _ in part.followed:
                    statistics[where] = np.ravel(first[name])
        return Point(theta, statistics)

    def views(self, theta, statistics=None) -> list[dict]:
        """Each layer's arrays as views into ``theta`` and, where given, the ``statistics``."""
        found = []
        for part in self.parts:
            views = {name: theta[where].reshape(shape) for name, where, shape in part.arrays}
            if statistics is not None:
                for name, where, shape in part.followed:
                    views[name] = statistics[where].reshape(shape)
            found.append(views)
        return found

    def scale(self) -> np.ndarray:
        """1.0 (d,) where weight decay acts on a parameter, 0.0 where it is not penalised."""
        scale = np.zeros(self.n_parameters, self.dtype)
        for part in self.parts:
            for name, where, _ in part.arrays:
                scale[where] = name in part.layer.penalised
        return scale

    def momentum(self) -> np.ndarray:
        """Share (s,) of the latest batch in the statistics that follow the batches."""
        share = np.zeros(self.n_statistics, self.dtype)
        for part in self.parts:
            for _, where, _ in part.followed:
                share[where] = part.layer.momentum
        return share

    @property
    def steps(self) -> bool:
        """Whether there are scores for each time step, (n, T, K), rather than for each row."""
        return len(self.out_shape) == 2

    def _composed(self, rng, shape_of):
        shape, d, s = self.in_shape, 0, 0
        for i, layer in enumerate(self.layers):
            try:
                if i and getattr(layer, "first", False):
                    raise ValueError("it takes codes, not what a layer gives. Let it be the first.")
                params, out_shape = layer.init(rng, shape)
            except ValueError as error:
                raise ValueError(self._unmet(i, shape, error)) from error
            arrays, d = _placed({name: shape_of(array) for name, array in params.items()}, d)
            followed = {}
            if layer.collective:
                followed = {k: shape_of(a) for k, a in layer.statistics(shape).items()}
            followed, s = _placed(followed, s)
            yield PlacedLayer(
                f"{i} {type(layer).__name__}", layer, shape, out_shape, arrays, followed
            )
            shape = out_shape

    def _unmet(self, i, shape, error) -> str:
        before = "the input" if i == 0 else f"layer {i - 1}, {self.layers[i - 1]}"
        return (
            f"Incompatible layer shapes: {before} gives rows of shape {shape}, which layer {i}, "
            f"{self.layers[i]}, cannot take: {error}"
        )


def _placed(shapes: dict, start: int):
    """(name, slice, shape) of arrays laid one after the other from ``start``, and the end."""
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    borders = np.cumsum([start, *sizes]).tolist()
    slices = (slice(*pair) for pair in pairwise(borders))
    named = zip(shapes.items(), slices, strict=True)
    return tuple((name, where, shape) for (name, shape), where in named), borders[-1]


def _end(arrays) -> int:
    return arrays[-1][1].stop if arrays else 0
