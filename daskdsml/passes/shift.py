"""Columns far from zero, taken from points near their means: products then keep their digits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse


class Shift(NamedTuple):
    """What blocks are moved by: ``columns (f,)`` of X by ``centre (f,)``, and y by ``target``.

    The centres are numbers of X's own precision: a difference to one within a factor of two is
    exact (Sterbenz), so nothing is lost by it, not even of single precision.
    """

    columns: np.ndarray = np.empty(0, dtype=int)
    centre: np.ndarray = np.empty(0)
    target: float = 0.0

    def __call__(self, block):
        """The block with its columns moved, in a copy."""
        X, y = block.X, block.y
        if self.columns.size:
            X = (self._sparse if sparse.issparse(X) else self._dense)(X)
        return block._replace(X=X, y=y - self.target if self.target else y)

    def intercepts(self, coef) -> np.ndarray:
        """What ``coef (K, p)`` of moved columns take from the intercepts (K,) of the given ones."""
        return coef[:, self.columns] @ self.centre.astype(float) - self.target

    def of(self, points) -> np.ndarray:
        """Points (..., p) in the space of the rows, moved as these are."""
        out = np.array(points, dtype=float)
        out[..., self.columns] -= self.centre
        return out

    def _dense(self, X):
        X = X.copy()
        X[:, self.columns] -= self.centre
        return X

    def _sparse(self, X):
        """A column far from zero has an entry in every row that counts, so X stays as sparse."""
        n, f = X.shape[0], self.columns.size
        order = np.argsort(self.columns)
        data = np.tile(self.centre[order].astype(X.dtype), n)
        indices = np.tile(self.columns[order].astype(X.indices.dtype), n)
        indptr = np.arange(0, n * f + 1, f, dtype=X.indptr.dtype)
        return (X - sparse.csr_matrix((data, indices, indptr), X.shape)).tocsr()
