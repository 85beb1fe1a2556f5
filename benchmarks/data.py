"""The data sets of the benchmarks, each made from a seed; imported by rows and by workers."""

from __future__ import annotations

from functools import partial

import dask.array as da
import numpy as np


def correlated(rng, n: int, p: int, rho: float) -> np.ndarray:
    """Rows (n, p) of unit spread whose neighbouring columns have correlation ``rho``."""
    X = rng.standard_normal((n, p))
    if rho:
        fresh = np.sqrt(1.0 - rho * rho)
        for j in range(1, p):
            X[:, j] *= fresh
            X[:, j] += rho * X[:, j - 1]
    return X


def coefficients(p: int, rho: float = 0.0, seed: int = 1) -> np.ndarray:
    """Coefficients (p,) that give scores a standard deviation of 1.5."""
    b = np.random.default_rng(seed).standard_normal(p)
    lag = np.abs(np.subtract.outer(np.arange(p), np.arange(p)))
    return 1.5 * b / np.sqrt(b @ (rho**lag if rho else np.eye(p)) @ b)


def labels(rng, X, coef, intercept: float = -0.5) -> np.ndarray:
    """Labels (n,) 0 or 1, drawn from the logistic model."""
    chance = 1.0 / (1.0 + np.exp(-(X @ coef + intercept)))
    return (rng.random(X.shape[0]) < chance).astype(np.int64)


def logistic_table(n: int, p: int, rho: float = 0.0, seed: int = 0):
    """X (n, p) float64 and y (n,) of a logistic model, in this process's memory."""
    rng = np.random.default_rng(seed)
    X = correlated(rng, n, p, rho)
    return X, labels(rng, X, coefficients(p, rho))


def dask_table(n: int, p: int, n_blocks: int, rho: float = 0.0):
    """The same as Dask Arrays of ``n_blocks`` equal blocks, each made from a seed of its own."""
    sizes = np.diff(np.linspace(0, n, n_blocks + 1).astype(int))
    chunks = (tuple(int(size) for size in sizes), (p,))
    X = da.map_blocks(partial(_rows, rho=rho), chunks=chunks, dtype=float, meta=np.empty((0, 0)))
    return X, labels_of(X, rho)


def labels_of(X, rho: float = 0.0):
    """Labels (n,) for a Dask Array of rows."""
    coef = coefficients(X.shape[1], rho)
    make = partial(_block_labels, coef=coef)
    return da.map_blocks(make, X, drop_axis=1, dtype=np.int64, meta=np.empty(0, np.int64))


def cheap_table(rows: int, p: int, n_blocks: int):
    """A Dask Array of ``n_blocks`` blocks (rows, p) that cost next to nothing to make."""
    chunks = ((rows,) * n_blocks, (p,))
    return da.map_blocks(_cheap_rows, chunks=chunks, dtype=float, meta=np.empty((0, 0)))


def nothing(state, block):
    """Kernel of a pass that only reads."""
    return 0.0


def _cheap_rows(block_info=None):
    place = block_info[None]
    made = np.full(place["chunk-shape"], 0.5)
    made[:, 0] = place["chunk-location"][0] % 2
    return made


def _rows(block_info=None, *, rho):
    place = block_info[None]
    rng = np.random.default_rng([0, place["chunk-location"][0]])
    return correlated(rng, *place["chunk-shape"], rho)


def _block_labels(X, block_info=None, *, coef):
    rng = np.random.default_rng([1, block_info[0]["chunk-location"][0]])
    return labels(rng, X, coef)
