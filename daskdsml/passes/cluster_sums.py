"""Sums of rows by label: what a covariance that allows for clusters asks of a pass."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

# The one label of rows that have none: the whole table is then one cluster.
ALL = np.zeros(1, dtype=np.int64)


class ClusterSums(NamedTuple):
    """``sums (G, m)`` of the rows of each of the ``labels (G,)``, in order of appearance.

    Labels are any hashable values, told apart as Python does; G x m is all that is held.
    """

    labels: np.ndarray
    sums: np.ndarray

    def __add__(self, other: ClusterSums) -> ClusterSums:
        if self.labels is other.labels or (
            len(self.labels) == 1 == len(other.labels) and self.labels[0] == other.labels[0]
        ):
            return ClusterSums(self.labels, self.sums + other.sums)
        labels = _joined(self.labels, other.labels)
        return cluster_sums(*codes_of(labels), np.concatenate([self.sums, other.sums]))

    def moved(self, shift) -> ClusterSums:
        """Sums of ``s [1, x]`` (G, 1 + p) as those of ``s [1, x + shift]``."""
        sums = self.sums.copy()
        sums[:, 1:] += np.outer(sums[:, 0], shift)
        return self._replace(sums=sums)


def cluster_sums(codes, labels, rows) -> ClusterSums:
    """Sums of ``rows (n, m)`` by ``codes (n,)``, places in ``labels (G,)``."""
    n = len(codes)
    members = sparse.csr_array((np.ones(n), (codes, np.arange(n))), shape=(len(labels), n))
    return ClusterSums(labels, members @ rows)


def codes_of(labels) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n,), -1 where a label is missing, and the labels (G,) in order of appearance."""
    from pandas import factorize  # slow to import, and only clusters need it

    if labels.dtype.kind in "US":
        labels = labels.astype(object)
    try:
        return factorize(labels)
    except TypeError as error:
        raise TypeError(
            f"groups must be labels that can be hashed, such as numbers, strings or tuples: {error}"
        ) from error


def _joined(first, second) -> np.ndarray:
    """Both arrays of labels, neither changed: NumPy would make text of numbers beside text."""
    if first.dtype != second.dtype:
        first, second = first.astype(object), second.astype(object)
    return np.concatenate([first, second])
