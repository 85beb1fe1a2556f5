"""Several labels of a row, each of which holds or not: y (n, K) of zeros and ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.data.labels import checked
from daskdsml.losses.logistic import Logistic


class MultiLabel(NamedTuple):
    """``n_outputs`` labels of each row as targets, with a logistic function for each."""

    n_outputs: int

    metric = "accuracy"

    @property
    def tail(self) -> tuple[int]:
        """Shape of what is predicted for a row."""
        return (self.n_outputs,)

    @property
    def dtype(self) -> np.dtype:
        """That of what is predicted."""
        return np.dtype(np.intp)

    def encoded(self, examples, scored=False):
        """The examples as they are; ValueError where y has another shape, or holds other values."""
        if examples.y.shape[1:] != self.tail:
            raise ValueError(
                f"y has rows of shape {examples.y.shape[1:]}, but this fit began with "
                f"{self.n_outputs} labels for each row. Pass y of shape (n, {self.n_outputs})."
            )
        return checked(examples, "y", check_indicators)

    def weighted(self, examples):
        """The examples as they are: labels have no weights of their own."""
        return examples

    def loss(self, out_shape):
        """The logistic loss of each score; a network sums those of a row."""
        return Logistic()

    @staticmethod
    def labels(z):
        """Whether each label holds, 0 or 1."""
        return (z > 0).astype(np.intp)

    @staticmethod
    def probabilities(z):
        """The probability of each label."""
        return Logistic().mean(np, z)

    @staticmethod
    def log_probabilities(z):
        """Logarithms of these, exact where these underflow."""
        return -np.logaddexp(0.0, -z).astype(z.dtype)


def check_indicators(y) -> None:
    """Raise ValueError unless y holds zeros and ones (or booleans) alone."""
    other = ~np.isin(y, (0, 1))
    if other.any():
        raise ValueError(
            f"y has rows of {y.shape[1]} labels, each expected to be 0 or 1, but holds "
            f"{y[other].tolist()[0]!r}. Code a single label of many classes as y (n,); targets "
            "that are numbers are for MLPRegressor."
        )


def named_labels(n_labels, classes) -> np.ndarray:
    """The numbers (K,) that labels of rows go by, 0, 1, ..., as ``classes`` have it, or None."""
    numbers = np.arange(n_labels)
    if classes is not None and not np.array_equal(classes, numbers):
        raise ValueError(
            f"classes={np.asarray(classes)[:10].tolist()} does not go with y of {n_labels} labels "
            f"for each row: expected their numbers, {numbers[:10].tolist()}."
        )
    return numbers
