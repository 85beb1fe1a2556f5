"""What recurrent layers share: states through time, masks, first states, random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from daskdsml.layers._parameters import ParameterLayer
from daskdsml.layers._settings import layer
from daskdsml.utils.validation import check_flag, check_number


class Tape(NamedTuple):
    """What `Recurrent.backward` needs: time comes first in all arrays.

    ``joined (T + 1, n, p + u)`` holds [x_t | h_{t-1}], ``weights`` are input weights above those of
    the state, ``memory`` is what the layer's own forward kernel wrote.
    """

    joined: Any
    weights: tuple
    mask: Any
    memory: tuple


@layer
class Recurrent(ParameterLayer):
    """A layer that walks along time steps; see its children for their equations.

    A child says how many ``gates`` it has, in which ``blocks`` of gates with the same input, which
    ``states`` it begins with, and calls its kernels in ``_run`` and ``_run_back``.
    """

    units: int
    return_sequences: bool = False
    initial_state: str = "zeros"

    penalised: ClassVar[frozenset[str]] = frozenset({"Wx", "Wh"})
    collective: ClassVar[bool] = False
    blocks: ClassVar[tuple[int, ...]]
    states: ClassVar[tuple[str, ...]] = ("h0",)
    _memory: ClassVar[Callable]
    _run: ClassVar[Callable]
    _run_back: ClassVar[Callable]

    def __post_init__(self):
        super().__post_init__()
        check_number(self, "units", 1, integer=True)
        check_flag(self, "return_sequences")
        if self.initial_state not in ("zeros", "learned"):
            raise ValueError(
                f"initial_state of {type(self).__name__} must be 'zeros' or 'learned', got "
                f"{self.initial_state!r}."
            )

    def init(self, rng, in_shape):
        """Draw the parameters of a layer for rows of ``in_shape (T, p)``; T may be None.

        Raises
        ------
        ValueError
            If rows are not sequences of at least one step and feature.
        """
        if len(in_shape) != 2 or in_shape[0] == 0 or not in_shape[1]:
            raise ValueError(
                f"{type(self).__name__} takes rows of shape (steps, features), at least one "
                f"of each, but got {tuple(in_shape)}. Set return_sequences=True in a recurrent "
                "layer before it, or reshape X to (n, steps, features)."
            )
        steps, p = in_shape
        gates = range(sum(self.blocks))
        limit = np.sqrt(6 / (p + self.units))
        params = {
            "Wx": np.hstack([rng.uniform(-limit, limit, (p, self.units)) for _ in gates]),
            "Wh": np.hstack([_orthogonal(rng, self.units) for _ in gates]),
            "b": self._first_bias(),
        }
        if self.initial_state == "learned":
            params |= {name: np.zeros(self.units) for name in self.states}
        return params, (steps, self.units) if self.return_sequences else (self.units,)

    def forward(self, kernels, params, x, step):
        """States of ``x (n, T, p)`` after each step, or after the last.

        Returns (n, T, units), a view whose first stride is not the largest, or (n, units).

        Raises
        ------
        ValueError
            If there is no step, or the shape of the mask is not (n, T).
        """
        n, steps, p = x.shape
        mask = _mask_in_time(kernels.xp, x, step)
        joined = step.work("joined", (steps + 1, n, p + self.units))
        joined[:-1, :, :p] = x.transpose(1, 0, 2)
        weights = tuple(self._weights(params, step.work))
        memory = self._memory(step.work, joined, p)
        for name, first in zip(self.states, self._first_states(joined, memory), strict=True):
            first[...] = params.get(name, 0)
        if n:
            self._run(kernels, joined, weights, _split(params["b"], self.blocks), mask, memory)
        states = joined[1:, :, p:]
        if self.return_sequences:
            out = states.transpose(1, 0, 2)
        else:
            out = step.work("last", (n, self.units))
            out[...] = states[-1]
        return out, Tape(joined, weights, mask, memory)

    def backward(self, kernels, params, tape, dout, grads, step):
        """Write gradients of the summed loss into ``grads``; return that in x, or None."""
        steps, n = tape.mask.shape
        p = len(params["Wx"])
        dsteps = step.work("dsteps", (steps if self.return_sequences else 1, n, self.units))
        dsteps[...] = dout.transpose(1, 0, 2) if self.return_sequences else dout
        dstates = [step.work(f"d{name}", (n, self.units)) for name in self.states]
        for dstate in dstates:
            dstate[...] = 0
        dweights = [step.work(f"dweights{k}", w.shape) for k, w in enumerate(tape.weights)]
        dbiases = _split(grads["b"], self.blocks)
        dx = step.work("dx", (steps, n, p)) if step.inner else None
        norms = None if step.watch is None else step.work("norms", (steps,))
        if n:
            self._run_back(kernels, tape, dsteps, dstates, dweights, dbiases, dx, norms, step.work)
        else:
            for array in (*dweights, *dbiases, *(() if norms is None else (norms,))):
                array[...] = 0
        self._hand_in(params, grads, dweights, dstates)
        if norms is not None:
            step.watch["steps"] = norms.copy()
        return None if dx is None else dx.transpose(1, 0, 2)

    def _first_bias(self):
        return np.zeros(sum(self.blocks) * self.units)

    def _weights(self, params, work):
        """[Wx; Wh] of each block of gates, as arrays of their own."""
        parts = (_split(params[name], self.blocks) for name in ("Wx", "Wh"))
        for k, (Wx, Wh) in enumerate(zip(*parts, strict=True)):
            joint = work(f"weights{k}", (len(Wx) + len(Wh), Wh.shape[1]))
            joint[: len(Wx)], joint[len(Wx) :] = Wx, Wh
            yield joint

    def _first_states(self, joined, memory):
        return (joined[0, :, -self.units :],)

    def _hand_in(self, params, grads, dweights, dstates) -> None:
        p = len(params["Wx"])
        targets = (_split(grads[name], self.blocks) for name in ("Wx", "Wh"))
        for dWx, dWh, joint in zip(*targets, dweights, strict=True):
            dWx[...], dWh[...] = joint[:p], joint[p:]
        for name, dstate in zip(self.states, dstates, strict=True):
            if name in grads:
                grads[name][...] = dstate.sum(0) if grads[name].ndim == 1 else dstate


def _split(array, blocks) -> list:
    """Views of the columns of each block of gates."""
    unit = array.shape[-1] // sum(blocks)
    ends = np.cumsum((0, *blocks)) * unit
    return [array[..., ends[k] : ends[k + 1]] for k in range(len(blocks))]


def _orthogonal(rng, units):
    """A random orthogonal matrix, uniform over all of them."""
    Q, R = np.linalg.qr(rng.normal(size=(units, units)))
    return Q * np.sign(np.diag(R))


def _mask_in_time(xp, x, step):
    """Which steps count, as (T, n), True for all where there is no mask."""
    n, steps = x.shape[:2]
    if not steps:
        raise ValueError(f"Sequences must have at least one step, but x has shape {x.shape}.")
    mask = step.work("mask", (steps, n), dtype=xp.bool_)
    if step.mask is not None and step.mask.shape != (n, steps):
        raise ValueError(
            f"The mask of x {x.shape} must have shape {(n, steps)}, one entry for each step, but "
            f"has {step.mask.shape}."
        )
    mask[...] = True if step.mask is None else xp.asarray(step.mask).T
    return mask
