"""Kernels of rounds of mini-batches."""

from __future__ import annotations

from typing import Any, NamedTuple


class Steps(NamedTuple):
    """Kernel: one step after the other, made alike by all who hold rows of the batches.

    Records are given one by one: their sum is not to depend on how many steps are told of at once.
    """

    step: Any

    def __call__(self, state, batches):
        records: list[Any] = []
        for batch in batches:
            state, record = self.step(state, batch)
            records.append(record)
            if record.failure is not None:
                break
        return state, records
