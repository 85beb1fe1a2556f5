"""Kernels of mini-batches that tests run; workers of the test cluster import this file by name."""

from typing import NamedTuple

import numpy as np
from tables import die_once


class Met(NamedTuple):
    """(position in the batch, first entry of X) of each row, and the size as sums tell it."""

    rows: list
    size: float

    def __add__(self, other):
        return Met(self.rows + other.rows, self.size)

    @property
    def numbers(self):
        """First entries of X in the order of the batch."""
        return [number for _, number in sorted(self.rows)]


def met(state, batch):
    """Kernel: which rows are met; the size of the batch is summed over its actors."""
    size = yield np.array([float(len(batch.X))])
    positions = np.arange(batch.size) if batch.positions is None else batch.positions
    first = batch.X.reshape(len(batch.X), -1)[:, 0]
    return Met(list(zip(positions.tolist(), first.tolist(), strict=True)), float(size[0]))


class DeadlyMeeting(NamedTuple):
    """`met`, whose process is killed once, at a step from ``step`` on, after it has yielded."""

    folder: str
    home: int
    step: int

    def __call__(self, state, batch):
        found = yield from met(state, batch)
        if batch.key and batch.key[2] >= self.step:
            die_once(self.folder, self.home)
        return found


class DeadlyPass(NamedTuple):
    """Kernel: column sums; the process is killed once."""

    folder: str
    home: int

    def __call__(self, state, batch):
        die_once(self.folder, self.home)
        return (yield from column_sums(state, batch))


def column_sums(state, batch):
    """Kernel: the sum of each column of X, in the order of the rows."""
    yield from ()
    return batch.X.sum(axis=0, dtype=np.float64)


def weighed(state, batch):
    """Kernel: ``state`` times the sums of X y, weights and masks."""
    total = yield np.array([batch.X.sum(dtype=np.float64)])
    part = np.einsum("nt...,n->t...", batch.X.astype(float), batch.y * batch.w)
    share = len(batch.X) / batch.size
    return state * (part.ravel() + total[0] * share + batch.mask.sum())


def key_of(state, batch):
    """Kernel: the key and size of the batch."""
    yield from ()
    return Keys({batch.key, batch.size})


class Keys(set):
    def __add__(self, other):
        return Keys(self | other)


def failing(state, batch):
    """Kernel: raises."""
    yield from ()
    raise ArithmeticError(f"no step {batch.key}")


class Times(NamedTuple):
    """Kernel: rows, times a number."""

    number: int

    def __call__(self, _, batch):
        return self.number * len(batch.X)
        yield


class Minus(NamedTuple):
    """Kernel: rows, with the sign changed; its number has no effect."""

    number: int

    def __call__(self, _, batch):
        return -len(batch.X)
        yield
