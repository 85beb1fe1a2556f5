"""What inference for a model of maximum likelihood asks of its read: scores and information."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Block
from daskdsml.passes.cluster_sums import ALL, ClusterSums, cluster_sums, codes_of
from daskdsml.passes.fit_sums import of_used, tiles
from daskdsml.passes.moments import Moments
from daskdsml.passes.row_stats import row_stats_of


class ScoreRequest(NamedTuple):
    """A fitted model with E equations: ``coef (E, p)``, ``intercept (E,)``.

    ``family`` has the ``loss``; ``target(y)`` (n,), what the loss calls y, for the user's y;
    ``scores(z)``, what it calls z, for (n, E); ``facts(y, z)`` (n, m), whose weighted sums are
    wanted; and ``class_weight``, a weight for each value of the target, or None. ``meat`` tells if
    robust sums are wanted.
    """

    backend: Any
    family: Any
    coef: np.ndarray
    intercept: np.ndarray
    meat: bool = False


class ScoreSums(NamedTuple):
    """Sums over rows ``a_i = [1, x_i - centre]`` of weight ``w_i = f_i c_i``, a count of rows
    times the weight of a class.

    ``moments`` of X with weights f; ``n_used`` rows of non-zero weight, ``whole`` if all f are
    whole numbers; ``loss = sum w_i loss_i``; ``facts (m,)``; and, with derivatives in the E scores,
    ``scores`` the sums of ``w_i dz_i (x) a_i`` (E (1 + p),) by cluster, ``hessian`` of
    ``w_i d2z_i (x) a_i a_i'`` and ``meat``, or None, of ``f_i c_i**2 dz_i dz_i' (x) a_i a_i'``.
    ``unlabelled`` is the first row whose cluster is missing, or -1.
    """

    moments: Moments
    n_used: int
    whole: bool
    loss: float
    facts: np.ndarray
    centre: np.ndarray
    scores: ClusterSums
    hessian: np.ndarray
    meat: np.ndarray | None
    unlabelled: int

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is told after the pass
    def __add__(self, other: ScoreSums) -> ScoreSums:
        # The first centre is kept: sums about one point can be added as they are.
        centre = self.centre if self.n_used else other.centre
        mine, their = self._about(centre), other._about(centre)
        n = self.moments.stats.n_rows
        later = n + other.unlabelled if other.unlabelled >= 0 else -1
        return ScoreSums(
            self.moments + other.moments,
            self.n_used + other.n_used,
            self.whole and other.whole,
            self.loss + other.loss,
            self.facts + other.facts,
            centre,
            mine.scores + their.scores,
            mine.hessian + their.hessian,
            None if mine.meat is None else mine.meat + their.meat,
            self.unlabelled if self.unlabelled >= 0 else later,
        )

    def _about(self, centre) -> ScoreSums:
        shift = self.centre - centre
        if not shift.any():
            return self
        return self._replace(
            centre=centre,
            scores=self.scores._replace(sums=moved(self.scores.sums, shift)),
            hessian=moved(moved(self.hessian, shift).T, shift).T,
            meat=None if self.meat is None else moved(moved(self.meat, shift).T, shift).T,
        )


def moved(sums, shift) -> np.ndarray:
    """Sums of ``s (x) [1, x]`` (m, E (1 + p)) as those of ``s (x) [1, x + shift]``."""
    parts = sums.reshape(len(sums), -1, 1 + shift.size).copy()
    parts[:, :, 1:] += parts[:, :, :1] * shift
    return parts.reshape(sums.shape)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def score_sums(state: ScoreRequest, block) -> ScoreSums:
    """Kernel: what one block adds."""
    block_moments = _moments(state.backend, block)
    n, p = block.X.shape
    y: Any = None if block_moments.stats.invalid else state.family.target(np.ravel(block.y))
    f = np.ones(n) if block.w is None else block.w
    codes, labels = (np.zeros(n, int), ALL) if block.g is None else codes_of(block.g)
    # Rows without a label are refused after the pass; until then they go with the first one.
    members = None if block.g is None else np.maximum(codes, 0)
    size = len(state.coef) * (1 + p)
    loss = 0.0
    facts: Any = 0.0
    scores, hessian = np.zeros((len(labels), size)), np.zeros((size, size))
    meat = np.zeros((size, size)) if state.meat else None
    shift = state.intercept + state.coef @ block_moments.mean
    for rows, X in () if y is None else tiles(block.X, block_moments.mean):
        z = shift + X @ state.coef.T
        c = _weights(state.family, y[rows])
        value, dz, curvature = _derivatives(state.family, y[rows], z)
        w = f[rows] * c
        loss += float(w @ value)
        facts = facts + w @ state.family.facts(y[rows], z)
        A = np.column_stack([np.ones(len(X)), X])
        s = w[:, None] * dz
        if members is None:
            scores += np.ravel(s.T @ A)
        else:
            tile = np.einsum("ne,na->nea", s, A).reshape(len(A), -1)
            scores += cluster_sums(members[rows], labels, tile).sums
        hessian += weighted_cross(A, w[:, None, None] * curvature)
        if state.meat:
            meat += weighted_cross(A, (c[:, None] * s)[:, :, None] * dz[:, None, :])
    used = f > 0.0
    missing = np.flatnonzero(codes < 0)
    return ScoreSums(
        block_moments, int(used.sum()), bool((f == np.rint(f)).all()), loss, facts,
        block_moments.mean,
        of_used(ClusterSums(labels, scores), codes[used]), hessian, meat,
        int(missing[0]) if missing.size else -1,
    )  # fmt: skip


def weighted_cross(A, weights) -> np.ndarray:
    """``sum_i weights_i (x) a_i a_i'`` (E a, E a) for symmetric ``weights (n, E, E)``, A (n, a)."""
    E, size = weights.shape[1], A.shape[1]
    total = np.empty((E, size, E, size))
    for e in range(E):
        for k in range(e, E):
            total[e, :, k] = A.T @ (weights[:, e, k, None] * A)
            total[k, :, e] = total[e, :, k].T
    return total.reshape(E * size, E * size)


def _derivatives(family, y, z):
    """Loss (n,), first (n, E) and second (n, E, E) derivatives in the scores of E equations."""
    scores = family.scores(z)
    value, dz = family.loss.value_and_derivative(np, y, scores)
    curvature = family.loss.second_derivative(np, y, scores)
    if dz.ndim == 1:
        return value, dz[:, None], curvature[:, None, None]
    return value, dz[:, -z.shape[1] :], curvature[:, -z.shape[1] :, -z.shape[1] :]


def _weights(family, y) -> np.ndarray:
    """Weights (n,) of the classes of rows."""
    if family.class_weight is None:
        return np.ones(len(y))
    return np.asarray(family.class_weight)[y.astype(int)]


def _moments(backend, block) -> Moments:
    """Moments of X alone, for y may hold labels of any kind; the row stats look at both."""
    part = backend.moments(Block(block.X, np.empty((block.X.shape[0], 0)), block.w))
    clean = np.isfinite(part.cross).all() and np.isfinite(part.mean).all()
    return Moments(row_stats_of(block, suspect_X=not clean), *part)
