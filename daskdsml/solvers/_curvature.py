"""Approximate inverse Hessians that start a quasi-Newton search, for the solvers beside it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from daskdsml.solvers._symmetric import without_shift

# What is added to the diagonal of a Hessian, relative to itself, so that it can be factorised; and
# the least that counts of an entry of it, relative to their mean.
RIDGE_SHARE = 1e-9
# What more is tried where that was not enough.
MORE_RIDGE_SHARES = (1e-6, 1e-3, 1.0)
# The same for Hessians of few sampled rows, which leave some directions nearly flat.
SAMPLED_RIDGE_SHARE = 1e-6


class Diagonal(NamedTuple):
    """``h`` for the loss and the penalty's own curvature, for centred columns of unit spread.

    Where a column varies little, as a rare word does, the penalty is most of its curvature.
    """

    h: float = 1.0

    @classmethod
    def of(cls, problem, move, change) -> Diagonal:
        """With the ``h`` that maps a step ``move (size,)`` to a ``change`` of gradient best."""
        change = problem.standardized(change - problem.penalty.l2 * problem.penalised * move)
        together = float(problem.standardized_step(move) @ change)
        return cls(float(change @ change) / together if together > 0.0 else 1.0)

    def after(self, problem, pairs) -> Diagonal:
        """What holds where the latest ``pairs`` (step, change of gradient) were seen."""
        return Diagonal.of(problem, *pairs[-1]) if pairs else self

    def times(self, problem, gradient):
        """The step ``B^-1 gradient`` (size,), in the user's parameters."""
        step = problem.standardized(gradient) / (self.h + problem.penalty_curvature)
        return problem.original(step)


class DenseHessian(NamedTuple):
    """A Cholesky factor (size, size) of a Hessian, for centred columns of unit spread."""

    factor: Any

    @classmethod
    def of(cls, problem, hessian, n_rows=np.inf) -> DenseHessian:
        """From the Hessian in the user's parameters, of a sample of ``n_rows``.

        See `_shrinkage` for what is taken from its diagonal.
        """
        K, d = problem.n_outputs, len(hessian)
        # Standardised first: what is added to moves that are alike is as large as means are.
        B = _standardized_rows(problem, _standardized_rows(problem, hessian).T)
        B = B if K == 1 else without_shift(B, K)
        # The same for all outputs, or else all of them moving alike were no longer a thing apart.
        diagonal = np.tile(np.diag(B).reshape(K, -1).mean(axis=0), K)
        share = _shrinkage(d, n_rows)
        B *= 1.0 - share
        least = max(RIDGE_SHARE * diagonal.mean(), 1e-300)
        B[np.diag_indices(d)] += share * diagonal + RIDGE_SHARE * np.maximum(diagonal, least)
        return cls(_cholesky(B, np.maximum(diagonal, least)))

    def after(self, problem, pairs) -> DenseHessian:
        return self

    def times(self, problem, gradient):
        """The step ``B^-1 gradient`` (size,), in the user's parameters."""
        return problem.original(linalg.cho_solve(self.factor, problem.standardized(gradient)))


class Blocks(NamedTuple):
    """A Cholesky factor (d, d) of each output's own Hessian, for centred columns of unit spread.

    For coupled outputs whose parameters are too many for a Hessian of all. Steps sum to zero over
    the outputs, as gradients do.
    """

    factors: tuple

    @classmethod
    def of(cls, problem, hessians, n_rows) -> Blocks:
        """From the Hessians (d, d) of each output, penalty included, of ``n_rows`` sampled rows.

        They are in the user's parameters, and shrunk as for `DenseHessian.of`.
        """
        one = problem._replace(loss=problem.loss._replace(n_outputs=1))
        factors = []
        for hessian in hessians:
            B = _standardized_rows(one, _standardized_rows(one, hessian).T)
            diagonal, share = np.diag(B).copy(), _shrinkage(len(B), n_rows)
            B *= 1.0 - share
            B[np.diag_indices(len(B))] += share * diagonal + SAMPLED_RIDGE_SHARE * max(
                diagonal.mean(), 1e-300
            )
            factors.append(linalg.cho_factor(B, lower=True))
        return cls(tuple(factors))

    def after(self, problem, pairs) -> Blocks:
        return self

    def times(self, problem, gradient):
        """The step ``B^-1 gradient`` (size,), in the user's parameters."""
        G = problem.standardized(gradient).reshape(len(self.factors), -1)
        pairs = zip(self.factors, G, strict=True)
        steps = np.stack([linalg.cho_solve(factor, row) for factor, row in pairs])
        return problem.original((steps - steps.mean(axis=0)).ravel())


class Kronecker(NamedTuple):
    """``W (x) S`` where all rows have the same scores, as at a model of intercepts alone.

    ``S`` is the correlation matrix of the columns, with a 1 for the intercept, and ``W`` the
    curvature of the loss: a number, or for coupled outputs of probabilities ``w (K,)`` the matrix
    ``diag(w) - w w'``, for which steps sum to zero over the outputs. With the penalty's own
    curvature P, the Hessian ``w_k S + P`` of an output is taken to be the ``correlation`` of the
    mean one, whose Cholesky ``factor (d, d)`` serves all outputs, between ``roots (K, d)`` of its
    own diagonal.
    """

    factor: Any
    roots: np.ndarray

    @classmethod
    def of(cls, problem, correlation, weights, n_rows) -> Kronecker:
        """From the ``correlation (p, p)`` of ``n_rows`` sampled rows; as for `DenseHessian.of`."""
        p, one = problem.n_features, int(problem.fit_intercept)
        share = _shrinkage(p, n_rows)
        B = np.zeros((p + one, p + one))
        B[:p, :p] = (1.0 - share) * correlation
        places = np.diag_indices(p + one)
        diagonal = np.append(np.diag(correlation), [1.0] * one)
        B[places] = diagonal
        penalty = np.append(problem.penalty.l2 / problem.scale**2, [0.0] * one)
        B *= weights.mean()
        B[places] += penalty + RIDGE_SHARE * weights.mean() * diagonal
        mean = np.sqrt(np.diag(B))
        roots = np.sqrt(weights[:, None] * diagonal + penalty)
        return cls(linalg.cho_factor(B / np.outer(mean, mean), lower=True), roots)

    def after(self, problem, pairs) -> Kronecker:
        return self

    def times(self, problem, gradient):
        """The step ``B^-1 gradient`` (size,), in the user's parameters."""
        G = problem.standardized(gradient).reshape(len(self.roots), -1)
        steps = linalg.cho_solve(self.factor, (G / self.roots).T).T / self.roots
        if len(steps) > 1:
            steps -= steps.mean(axis=0)
        return problem.original(steps.ravel())


def inverse_hessian_times(problem, gradient, pairs, curvature):
    """The two-loop recursion (Nocedal and Wright, 2006, algorithm 7.4)."""
    q = gradient.copy()
    shares = []
    for move, change in reversed(pairs):
        share = (move @ q) / (move @ change)
        q -= share * change
        shares.append(share)
    if curvature is None:
        curvature = Diagonal()
    q = curvature.after(problem, pairs).times(problem, q)
    for (move, change), share in zip(pairs, reversed(shares), strict=True):
        q += (share - (change @ q) / (move @ change)) * move
    return q


def _cholesky(B, diagonal):
    """A Cholesky factor of B (d, d), with more of its diagonal where rounding left it indefinite.

    So it is with single precision and columns far from zero.
    """
    for share in (0.0, *MORE_RIDGE_SHARES):
        try:
            return linalg.cho_factor(B + np.diag(share * diagonal), lower=True)
        except linalg.LinAlgError:
            continue
    return linalg.cho_factor(np.diag(diagonal), lower=True)


def _shrinkage(d, n_rows) -> float:
    """Share of the diagonal in a matrix (d, d) of so many rows.

    Its relative error is about ``sqrt(d / m)`` in every direction, flat ones too, so m rows of
    several times d need none, for it would bend these; and the matrix is singular for ``m < d``.
    """
    return float((d / (d + n_rows)) ** 2 * min(1.0, 2.0 * d / n_rows if n_rows else 1.0) ** 2)


def _standardized_rows(problem, M):
    """`Problem.standardized` of each row of M (r, size)."""
    K, p = problem.n_outputs, problem.n_features
    out = np.array(M, dtype=float).reshape(len(M), K, -1)
    inner = out[..., :p]
    if problem.fit_intercept:
        inner -= out[..., -1:] * problem.mean
    inner /= problem.scale
    return out.reshape(len(M), -1)
