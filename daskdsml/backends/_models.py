"""Many models evaluated on one block: each tile of rows meets all of them in one matrix product.

Parameters of M models with K outputs stand as ``theta (K M, p)``, output by output. Scores and
slopes of a tile of r rows are (r, M) or, of a coupled loss, (r, M, K); ``flat`` they are (r, K M),
which is a view where the memory goes as (K, M, r). Sums over tiles are float64 on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class ModelsBlock(NamedTuple):
    """Sums over one block for M models of K outputs, in float64 on the host.

    ``value (G, M)``: ``sum w_i loss_i`` over the rows of each group, whether or not they count for
    a model; ``gradient (M, K, p + 1)``: derivatives in coefficients and intercept, the intercept
    last, over the rows that count; ``hessians``: one ``(K (q + 1), K (q + 1))`` for each that was
    asked for, its parameters output by output, q coefficients and then that output's intercept.
    """

    value: np.ndarray
    gradient: np.ndarray
    hessians: tuple


class ModelRows(NamedTuple):
    """A tile of r rows on the device: ``x (r, p)``, ``y``, ``w``, ``g`` (r,); w, g may be None."""

    x: Any
    y: Any
    w: Any
    g: Any


class ManyModels:
    """How a backend evaluates many models; it brings ``xp``, ``put``, ``get`` and ``gradient``."""

    xp: Any
    put: Callable
    get: Callable
    gradient: Callable

    tile_rows = 8192
    # Numbers in a tile: its rows of X, their scores, slopes and what comes between these.
    tile_entries = 2**20

    def models(self, loss, block, coef, intercept, member=None, curved=()) -> ModelsBlock:
        """Values, gradients and wanted Hessians of the summed loss, for many models in one read.

        Rows of weight zero, and rows that do not count for a model, add nothing even where their
        loss is infinite.

        Parameters
        ----------
        loss : Loss
        block : Block with y (n,); with g (n,), integers 0 .. G - 1, if ``member`` is given
        coef : array (M, K, p), float64
            K is 1, or ``loss.n_outputs`` for coupled outputs.
        intercept : array (M, K), float64
        member : array (G, M), float64, or None for all ones and one group
            How much the rows of each group count in gradient and Hessian of each model, times w.
        curved : tuple of (m, columns)
            Models whose Hessian is wanted, in sorted ``columns (q,)`` of X, or in all if None.
        """
        plain = member is None and not loss.coupled and all(c is None for _, c in curved)
        # A loss may overflow to infinity: that is an answer, which solvers reject.
        with np.errstate(over="ignore", invalid="ignore"):
            if plain and len(coef) == 1:
                shift = float(intercept[0, 0])
                part = self.gradient(loss, block, coef[0, 0], shift, bool(curved))
                value, gradient = np.array([[part.value]]), part.gradient[None, None, :]
                return ModelsBlock(value, gradient, (part.hessian,) * len(curved))
            return self._models(loss, block, coef, intercept, member, curved)

    def _models(self, loss, block, coef, intercept, member, curved) -> ModelsBlock:
        xp, X = self.xp, self._matrix(block.X)
        M, K, p = coef.shape
        theta = self._cast(coef.transpose(1, 0, 2).reshape(K * M, p), X.dtype)
        shift = self._cast(intercept.T.reshape(K * M), X.dtype)
        member = self._cast(member, X.dtype)
        value = np.zeros((1 if member is None else member.shape[0], M))
        gradient = np.zeros((K * M, p + 1))
        sizes = [K * (1 + (p if columns is None else len(columns))) for _, columns in curved]
        hessians = tuple(np.zeros((size, size)) for size in sizes)
        for rows in self._tiles_of(block, X, member, self._step(X, K * M, max(sizes, default=0))):
            flat = self._scores(rows.x, theta) + shift
            z = _by_model(xp, flat, K) if loss.coupled else flat
            for (m, columns), hess in zip(curved, hessians, strict=True):
                share = None if member is None else member[:, m : m + 1]
                self._add_hessian_at(loss, rows, z[:, m, ...], share, columns, hess)
            losses, slopes = self._link(loss, rows, z, member)
            value += losses
            slopes = _flat(xp, slopes) if loss.coupled else slopes
            gradient[:, :-1] += self.get(slopes.T @ rows.x)
            gradient[:, -1] += self.get(xp.sum(slopes, axis=0, dtype=xp.float64))
        gradient = np.ascontiguousarray(gradient.reshape(K, M, p + 1).transpose(1, 0, 2))
        return ModelsBlock(value, gradient, tuple(np.triu(h) + np.triu(h, 1).T for h in hessians))

    def _matrix(self, X):
        """X on the device, in the precision of its products."""
        return self.put(X)

    def _cast(self, array, real):
        if array is None:
            return None
        return self.xp.astype(self.put(np.ascontiguousarray(array)), real, copy=False)

    def _step(self, X, outputs, curved) -> int:
        """Rows of a tile, for so many scores a row and numbers in a row's scaled copies."""
        # Rows of X are read twice, in order, which the cache hardly speeds up; products of scaled
        # copies are large, so that the more rows add to one, the better.
        rows = self.tile_entries // (X.shape[1] // 4 + 4 * outputs)
        rows = 16 * self.tile_entries // curved if curved else rows
        return max(64, min(self.tile_rows, rows))

    def _tiles_of(self, block, X, member, step):
        """Tiles of ``step`` rows; ``g`` is None where rows of all groups count alike."""
        n = X.shape[0]
        for start in range(0, n, step):
            rows = slice(start, min(start + step, n))
            x = X if step >= n else X[rows, :]
            y, w = (None if a is None else self._cast(a[rows], X.dtype) for a in (block.y, block.w))
            yield ModelRows(x, y, w, None if member is None else self.put(block.g[rows]))

    def _scores(self, x, theta):
        """Scores (r, m) of a tile (r, p) for ``theta (m, p)``; in memory they lie as (m, r)."""
        return (theta @ x.T).T

    def _link(self, loss, rows, z, member):
        """Sums (G, M) of the weighted loss, on the host, and weighted slopes, maybe in ``z``."""
        xp = self.xp
        losses, slopes = loss.value_and_derivative(xp, rows.y[:, None], z)
        factor = _factor(xp, rows, member)
        if rows.w is not None:
            losses = weighted(xp, rows.w[:, None], losses)
        if factor is not None:
            slopes = weighted(xp, factor[..., None] if loss.coupled else factor, slopes)
        return self._sums(losses, rows.g, member), slopes

    def _sums(self, losses, g, member) -> np.ndarray:
        """Sums (G, M) of losses (r, M) over the rows of each group."""
        xp = self.xp
        if member is None:
            return self.get(xp.sum(losses, axis=0, dtype=xp.float64))[None, :]
        total = np.zeros(member.shape)
        for group in np.unique(self.get(g)):
            some = xp.take(losses.T, xp.nonzero(g == int(group))[0], axis=1)
            total[group] = self.get(xp.sum(some, axis=1, dtype=xp.float64))
        return total

    def _add_hessian_at(self, loss, rows, z, share, columns, hess) -> None:
        """Add to the upper triangle of ``hess`` what one model has at its scores ``z``.

        ``share (G, 1)`` is the model's column of ``member``, or None.
        """
        c, factor = loss.second_derivative(self.xp, rows.y, z), _factor(self.xp, rows, share)
        if factor is not None:
            c = weighted(self.xp, factor[..., None] if loss.coupled else factor[:, 0], c)
        self._add_curvature(hess, self._design(rows.x, columns), c)

    def _design(self, x, columns):
        """``[x_columns, 1]`` (r, q + 1)."""
        xp = self.xp
        x = x if columns is None else xp.take(x, self.put(columns), axis=1)
        return xp.concat([x, xp.ones((x.shape[0], 1), dtype=x.dtype, device=x.device)], axis=1)

    def _add_curvature(self, hess, A, c) -> None:
        """Add ``sum_i c_i a_i a_i'`` to the upper triangle of ``hess``, for ``A (r, q + 1)``.

        Of coupled outputs, ``c (r, K, K)``: for each output one product with the scaled copies
        that belong to it and to those after it.
        """
        xp, size = self.xp, A.shape[1]
        if c.ndim == 1:
            root = xp.sqrt(c)[:, None] * A
            hess += self.get(root.T @ root)
            return
        for k in range(c.shape[1]):
            stacked = c[:, k, k:, None] * A[:, None, :]
            stacked = xp.reshape(stacked, (A.shape[0], stacked.shape[1] * size))
            hess[k * size : (k + 1) * size, k * size :] += self.get(A.T @ stacked)


def _by_model(xp, flat, K):
    """(r, K M) as (r, M, K)."""
    r, outputs = flat.shape
    return xp.permute_dims(xp.reshape(flat, (r, K, outputs // K)), (0, 2, 1))


def _flat(xp, z):
    """(r, M, K) as (r, K M)."""
    r, M, K = z.shape
    return xp.reshape(xp.permute_dims(z, (0, 2, 1)), (r, K * M))


def _factor(xp, rows, member):
    """What each row counts in each model, (r, M) or (r, 1); None if one in all."""
    w = None if rows.w is None else rows.w[:, None]
    if member is None:
        return w
    share = xp.take(member.T, rows.g, axis=1).T
    return share if w is None else w * share


def weighted(xp, factor, array):
    """``factor * array``, and zero where the factor is, for there a loss may be infinite."""
    return xp.where(factor != 0.0, factor * array, xp.zeros_like(array))
