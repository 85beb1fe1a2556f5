"""Kernels of rounds of mini-batches."""

from __future__ import annotations

from typing import Any, NamedTuple


class Steps(NamedTuple):
    """Kernel: one step after the other, made alike by all who hold rows of the batches."""

    step: Any

    def __call__(self, state, batches):
        told = None
        for batch in batches:
            state, record = self.step(state, batch)
            told = record if told is None else told + record
            if record.failure is not None:
                break
        return state, told
