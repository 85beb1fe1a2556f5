"""Approximate inverse Hessians that start a quasi-Newton search, for the solvers beside it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from daskdsml.solvers._symmetric import without_shift

# What is added to the diagonal of a Hessian, relative to its mean, so that it can be factorised.
RIDGE = 1e-9


class Diagonal(NamedTuple):
    """``h`` for the loss and the penalty's own curvature, for centred columns of unit spread.

    Where a column varies little, as a rare word does, the penalty is most of its curvature.
    """

    h: float = 1.0

    @classmethod
    def of(cls, problem, move, change) -> Diagonal:
        """With the ``h`` that maps a step ``move (size,)`` to a ``change`` of gradient best."""
        change = problem.standardized(change - problem.penalty.l2 * problem.scale * move)
        p = problem.n_features
        move = np.array(move).reshape(problem.n_outputs, -1)
        if problem.fit_intercept:
            move[:, p] += move[:, :p] @ problem.centre
        move[:, :p] *= problem.spread
        together = float(move.ravel() @ change)
        return cls(float(change @ change) / together if together > 0.0 else 1.0)

    def times(self, problem, gradient):
        """The step ``B^-1 gradient`` (size,), in the user's parameters."""
        own = np.zeros(problem.size // problem.n_outputs)
        own[: problem.n_features] = problem.penalty.l2 / problem.spread**2
        step = problem.standardized(gradient) / (self.h + np.tile(own, problem.n_outputs))
        return problem.original(step)


class Dense(NamedTuple):
    """A Cholesky factor (size, size) of a Hessian, for centred columns of unit spread."""

    factor: Any

    @classmethod
    def of(cls, problem, hessian, n_rows=np.inf) -> Dense:
        """From the Hessian in the user's parameters, of a sample of ``n_rows``.

        That of m rows for d parameters is off by about ``sqrt(d / m)``, and singular for ``m < d``:
        the square of ``d / (d + m)`` of it is taken from its diagonal.
        """
        K, d = problem.n_outputs, len(hessian)
        B = hessian if K == 1 else without_shift(hessian, K)
        B = _standardized_rows(problem, _standardized_rows(problem, B).T)
        # The same for all outputs, or else all of them moving alike were no longer a thing apart.
        diagonal = np.tile(np.diag(B).reshape(K, -1).mean(axis=0), K)
        share = (d / (d + n_rows)) ** 2
        B *= 1.0 - share
        B[np.diag_indices(d)] += share * diagonal + RIDGE * max(diagonal.mean(), 1e-300)
        return cls(linalg.cho_factor(B, lower=True))

    def times(self, problem, gradient):
        """The step ``B^-1 gradient`` (size,), in the user's parameters."""
        return problem.original(linalg.cho_solve(self.factor, problem.standardized(gradient)))


class Kronecker(NamedTuple):
    """``A (x) S + I (x) P``: covariances of outputs and columns, and the penalty.

    For coupled outputs too many for a Hessian: that of multinomial regression is the mean of
    ``(diag(p_i) - p_i p_i') (x) x_i x_i'``, taken apart as if its factors were independent. In the
    bases where ``A = U diag(values) U'``, ``W' S W = 1`` and ``W' P W = diag(strengths)`` it is
    diagonal.

    References
    ----------
    Martens, J. and Grosse, R. (2015). Optimizing neural networks with Kronecker-factored
    approximate curvature. ICML, PMLR 37, 2408-2417.
    """

    U: np.ndarray
    W: np.ndarray
    values: np.ndarray
    strengths: np.ndarray

    @classmethod
    def of(cls, problem, outputs, columns) -> Kronecker:
        """From the mean covariance ``outputs (K, K)``, and ``columns (d, d)`` of the user's X.

        Both are of the loss alone; ``columns`` ends with the intercept's row, if there is one.
        """
        K, d = len(outputs), len(columns)
        one = problem._replace(loss=problem.loss._replace(n_outputs=1))
        S = _standardized_rows(one, _standardized_rows(one, columns).T)
        S[np.diag_indices(d)] += RIDGE * max(np.trace(S) / d, 1e-300)
        A = outputs + np.trace(outputs) / K**2
        penalty = np.full(d, 0.0)
        penalty[: problem.n_features] = problem.penalty.l2 / problem.spread**2
        values, U = np.linalg.eigh(A)
        strengths, W = linalg.eigh(np.diag(penalty), S)
        return cls(U, W, np.maximum(values, RIDGE * values[-1]), np.maximum(strengths, 0.0))

    def times(self, problem, gradient):
        """The step ``B^-1 gradient`` (size,), in the user's parameters."""
        G = problem.standardized(gradient).reshape(len(self.U), -1)
        inner = (self.U.T @ G @ self.W) / (self.values[:, None] + self.strengths)
        return problem.original((self.U @ inner @ self.W.T).ravel())


def _standardized_rows(problem, M):
    """`Problem.standardized` of each row of M (r, size)."""
    K, p = problem.n_outputs, problem.n_features
    out = np.array(M, dtype=float).reshape(len(M), K, -1)
    inner = out[..., :p]
    if problem.fit_intercept:
        inner -= out[..., -1:] * problem.centre
    inner /= problem.spread
    return out.reshape(len(M), -1)
