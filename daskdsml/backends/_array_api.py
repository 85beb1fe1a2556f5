"""Block evaluation in any namespace with NumPy's functions; the backends build on it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.backends._models import ManyModels, weighted


class GradientBlock(NamedTuple):
    """Sums over one block, in float64 on the host.

    ``value = sum w_i loss_i``; ``gradient (p + 1,)`` and ``hessian (p + 1, p + 1)`` or None are its
    derivatives in coefficients and intercept, the intercept last.
    """

    value: float
    gradient: np.ndarray
    hessian: np.ndarray | None


class MomentsBlock(NamedTuple):
    """Weighted moments of the columns of [X y] in one block, in float64 on the host.

    ``weight = sum w_i``; ``mean (q,)``; ``cross (q, q)``, the cross products centred at ``mean``.
    """

    weight: float
    mean: np.ndarray
    cross: np.ndarray


class ArrayBackend(ManyModels):
    """Evaluates blocks with the functions of ``self.xp``, one tile of rows at a time.

    A tile bounds the temporaries; on a device it is as large as its memory likes.
    """

    xp = np
    # Numbers of X in a tile of which nothing is copied but a score a row.
    read_entries = 2**22

    def refuse(self) -> list[str]:
        """Reasons why this backend cannot run here; empty if it can."""
        return []

    def put(self, array):
        """A host array on the device."""
        return self.xp.asarray(array)

    def get(self, array) -> np.ndarray:
        """A device array on the host."""
        return np.asarray(array)

    def gradient(self, loss, block, coef, intercept, hessian=False) -> GradientBlock:
        """Value, gradient and, if asked, Hessian of the summed loss of a block.

        Parameters
        ----------
        loss : Loss
        block : Block with y (n,)
        coef : array (p,), float64
        intercept : float
        hessian : bool
        """
        xp, X = self.xp, self.put(block.X)
        coef = xp.astype(self.put(coef), X.dtype)
        value, gradient = 0.0, np.zeros(X.shape[1] + 1)
        hess = np.zeros((X.shape[1] + 1,) * 2) if hessian else None
        for rows in self._tiles(X.shape[0], X.shape[1], copied=hessian):
            x, y, w = X[rows, :], self._rows(block.y, rows), self._rows(block.w, rows)
            y = xp.astype(y, X.dtype)
            z = x @ coef + intercept
            losses, dz = loss.value_and_derivative(xp, y, z)
            if w is not None:
                w = xp.astype(w, X.dtype)
                losses, dz = weighted(xp, w, losses), weighted(xp, w, dz)
            value += float(xp.sum(losses, dtype=xp.float64))
            gradient[:-1] += self.get(x.T @ dz)
            gradient[-1] += float(xp.sum(dz, dtype=xp.float64))
            if hessian:
                c = loss.second_derivative(xp, y, z)
                self._add_hessian(hess, x, c if w is None else weighted(xp, w, c))
        return GradientBlock(value, gradient, hess)

    def _add_hessian(self, hess, x, c) -> None:
        xp = self.xp
        scaled = xp.sqrt(c)[:, None] * x
        hess[:-1, :-1] += self.get(scaled.T @ scaled)
        border = self.get(x.T @ c)
        hess[-1, :-1] += border
        hess[:-1, -1] += border
        hess[-1, -1] += float(xp.sum(c, dtype=xp.float64))

    def moments(self, block) -> MomentsBlock:
        """Weighted moments of the columns of [X y], computed in float64 whatever X is in."""
        xp, X = self.xp, self.put(block.X)
        y = self._columns(block.y)
        weight, mean = self._means(block, y)
        cross = np.zeros((mean.size, mean.size))
        centre = self.put(mean)
        for rows in self._tiles(X.shape[0], X.shape[1], copied=True):
            tile = xp.concat([xp.astype(X[rows, :], xp.float64), y[rows, :]], axis=1) - centre
            if block.w is not None:
                tile = xp.sqrt(self._rows(block.w, rows))[:, None] * tile
            cross += self.get(tile.T @ tile)
        return MomentsBlock(weight, mean, cross)

    def column_sums(self, block, codes=None, n_codes=1) -> tuple[np.ndarray, np.ndarray]:
        """Weighted sums of the columns of X and of their squares (p,), in float64.

        The sums are (n_codes, p): those of the rows of each of the ``codes (n,)``, integers from 0;
        None stands for zeros.
        """
        xp, X = self.xp, self.put(block.X)
        n, p = X.shape
        sums, squares = np.zeros((n_codes, p)), np.zeros(p)
        for rows in self._tiles(n, p, copied=True):
            x = xp.astype(X[rows, :], xp.float64, copy=False)
            w = xp.ones(x.shape[0], dtype=xp.float64, device=x.device)
            w = w if block.w is None else self._rows(block.w, rows)
            parts = self._tile_sums(x, w, self._rows(codes, rows), n_codes)
            sums, squares = (
                total + self.get(p) for total, p in zip((sums, squares), parts, strict=True)
            )
        return sums, squares

    def _tile_sums(self, x, w, codes, n_codes):
        """`column_sums` of a tile ``x (r, p)`` with weights ``w (r,)``."""
        return member(self.xp, w, codes, n_codes).T @ x, w @ (x * x)

    def _tiles(self, n, p, copied):
        """Tiles of rows (n, p): as many as `read_entries` hold, or `tile_entries` where copied."""
        entries = self.tile_entries if copied else self.read_entries
        step = max(64, min(self.tile_rows, entries // (p + 1)))
        return (slice(i, min(i + step, n)) for i in range(0, n, step))

    def _rows(self, vector, rows):
        return None if vector is None else self.put(vector[rows])

    def _columns(self, y):
        y = self.xp.astype(self.put(y), self.xp.float64)
        return y[:, None] if y.ndim == 1 else y

    def _means(self, block, y) -> tuple[float, np.ndarray]:
        """Summed weight, and weighted means (q,) of the columns of [X y]; zeros without weight."""
        xp, w = self.xp, self._rows(block.w, slice(None))
        weight = float(block.X.shape[0]) if w is None else float(xp.sum(w))
        (sums,), _ = self.column_sums(block)
        y_sums = self.get(xp.sum(y if w is None else w[:, None] * y, axis=0))
        return weight, np.concatenate([sums, y_sums]) / (weight if weight > 0 else 1.0)


def member(xp, w, codes, n_codes):
    """Weights (r, n_codes) of rows in each of the groups that ``codes (r,)`` or None name."""
    if codes is None:
        return w[:, None]
    known = xp.arange(n_codes, dtype=codes.dtype, device=codes.device)
    return xp.where(codes[:, None] == known, w[:, None], xp.zeros_like(w)[:, None])


# Entries of a product of vectors that are made at once: they stay in the second-level cache.
OUTER_ENTRIES = 2**16


def add_outer(matrix, vector, factor) -> np.ndarray:
    """``matrix (q, q) + factor * vector vector'``, in place.

    Made a few rows at a time: where freed memory goes back to the system at once, a temporary as
    large as the matrix takes longer than all the arithmetic.
    """
    scaled = factor * vector
    step = max(OUTER_ENTRIES // max(vector.size, 1), 1)
    for start in range(0, vector.size, step):
        rows = slice(start, start + step)
        matrix[rows] += vector[rows, None] * scaled
    return matrix
