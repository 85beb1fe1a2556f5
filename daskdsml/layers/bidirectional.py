"""Recurrent layers in both directions of time. Found by name."""

from __future__ import annotations

from typing import Any, ClassVar

from daskdsml.layers._recurrent import Recurrent
from daskdsml.layers._settings import layer

DIRECTIONS = ("forward_", "backward_")


@layer
class Bidirectional:
    """A recurrent layer that walks along time in both directions [1]_.

    It gives ``[forward states | backward states]``, of 2 units: (T, 2 units) if ``layer`` returns
    sequences, each step with the states of both walks at that step, or the last states of both
    walks (2 units,), that is, backward the state at the first step. Parameters are those of
    ``layer``, twice, with ``forward_`` and ``backward_`` before their names. Masks are turned
    with time.

    Parameters
    ----------
    layer : RNN, LSTM or GRU

    Raises
    ------
    ValueError
        If ``layer`` is none of these; from ``init`` and ``forward``, as those of ``layer``.

    References
    ----------
    .. [1] Schuster, M. and Paliwal, K. K. (1997). Bidirectional recurrent neural networks. IEEE
       Transactions on Signal Processing 45(11).
    """

    layer: Recurrent

    collective: ClassVar[bool] = False

    def __post_init__(self):
        if not isinstance(self.layer, Recurrent):
            raise ValueError(
                f"layer of Bidirectional must be an RNN, LSTM or GRU, got {self.layer!r}."
            )

    @property
    def penalised(self) -> frozenset[str]:
        return frozenset(way + name for way in DIRECTIONS for name in self.layer.penalised)

    @property
    def trainable(self) -> bool:
        return self.layer.trainable

    @property
    def given(self) -> dict:
        return {way + name: array for way in DIRECTIONS for name, array in self.layer.given.items()}

    def init(self, rng, in_shape):
        """Draw the parameters of both directions; see `Recurrent.init`."""
        params: dict[str, Any] = {}
        for way in DIRECTIONS:
            drawn, shape = self.layer.init(rng, in_shape)
            params |= {way + name: array for name, array in drawn.items()}
        return params, (*shape[:-1], 2 * shape[-1])

    def forward(self, kernels, params, x, step):
        """States of ``x (n, T, p)`` in both directions; see `Recurrent.forward`."""
        outs, tapes = [], []
        for way in DIRECTIONS:
            found = self.layer.forward(
                kernels, _own(params, way), _turned(x, way), _own_step(step, way)
            )
            outs.append(_turned(found[0], way) if self.layer.return_sequences else found[0])
            tapes.append(found[1])
        out = step.work("out", (*outs[0].shape[:-1], 2 * self.layer.units))
        for half, states in zip(_halves(out), outs, strict=True):
            half[...] = states
        return out, tapes

    def backward(self, kernels, params, tape, dout, grads, step):
        """Write gradients of the summed loss into ``grads``; return that in x, or None."""
        dxs, squares = [], 0
        for way, own_tape, own in zip(DIRECTIONS, tape, _halves(dout), strict=True):
            told = _own_step(step, way)
            dx = self.layer.backward(
                kernels,
                _own(params, way),
                own_tape,
                _turned(own, way) if self.layer.return_sequences else own,
                _own(grads, way),
                told,
            )
            dxs.append(dx)
            if told.watch is not None:
                squares = squares + told.watch["steps"][_order(way)] ** 2
        if step.watch is not None:
            step.watch["steps"] = kernels.xp.sqrt(squares)
        return dxs[0] + _turned(dxs[1], DIRECTIONS[1]) if step.inner else None


def _own(arrays, way) -> dict:
    return {name[len(way) :]: array for name, array in arrays.items() if name.startswith(way)}


def _own_step(step, way):
    """What one direction is told: time in its own order, buffers of its own."""
    return step._replace(
        mask=None if step.mask is None else _turned(step.mask, way),
        work=lambda name, shape, dtype=None: step.work(way + name, shape, dtype),
        watch=None if step.watch is None else {},
    )


def _order(way):
    return slice(None, None, -1 if way == "backward_" else 1)


def _turned(array, way):
    """Steps, the second axis, in the order of one direction."""
    return array[:, _order(way)]


def _halves(array):
    """Features of both directions."""
    units = array.shape[-1] // 2
    return array[..., :units], array[..., units:]
