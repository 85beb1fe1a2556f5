"""Elastic net on moments: descent, exact steps on the active set, the duality gap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg

from daskdsml.contracts import Fit
from daskdsml.solvers._moments import constant_floor
from daskdsml.solvers._symmetric import solve

# Sweeps between exact steps: one over all columns, and some for the new ones to find their place.
SWEEPS = 16


class Quadratic(NamedTuple):
    """Mean squared error of one output as ``(yy - 2 c'b + b'G b) / 2``, about the means.

    ``G (p, p)`` and ``c (p,)`` are mean cross products; columns that do not vary are zero in both.
    """

    G: np.ndarray
    c: np.ndarray
    yy: float


class Options(NamedTuple):
    """``tol`` is relative to ``yy``: the fit ends at a gap of ``tol * yy``, as scikit-learn's."""

    tol: float = 1e-4
    max_iter: int = 1000
    positive: bool = False


def quadratics(moments, n_features) -> list[Quadratic]:
    """One Quadratic per output, from moments of [X y] (about zero if there is no intercept)."""
    p = n_features
    G = moments.cross[:p, :p] / moments.weight
    dead = np.diag(moments.cross)[:p] <= constant_floor(moments, p)
    if dead.any():
        G[dead] = G[:, dead] = 0.0
    C = np.where(dead[:, None], 0.0, moments.cross[:p, p:] / moments.weight)
    yy = np.diag(moments.cross)[p:] / moments.weight
    return [Quadratic(G, C[:, k].copy(), float(yy[k])) for k in range(len(yy))]


def fit(quad: Quadratic, l1, l2, options: Options, start=None) -> Fit:
    """Minimise ``(yy - 2 c'b + b'G b) / 2 + l1 |b|_1 + l2 |b|_2**2 / 2``.

    Coordinate descent finds the active set; on it the optimum is that of a linear system, solved
    exactly, so the gap falls to rounding instead of crawling there. A step that would change a sign
    ends where the first coefficient becomes zero, and drops it (Osborne, Presnell and Turlach,
    2000).
    """
    from daskdsml.backends._descent import descend

    G, c, yy = quad
    b = np.zeros_like(c) if start is None else np.array(start, dtype=float)
    columns = np.arange(c.size)
    slope = c - G @ b
    n_iter = 0
    goal = options.tol * yy
    while True:
        allowed = min(SWEEPS, options.max_iter - n_iter)
        n_iter += descend(G, slope, b, columns, l1, l2, options.positive, allowed, 1e-9 * yy**0.5)
        gap = duality_gap(quad, b, slope, l1, l2, options.positive)
        if gap > goal:
            b, slope = exact_step(quad, b, l1, l2, options.positive)
            gap = duality_gap(quad, b, slope, l1, l2, options.positive)
        if gap <= goal or n_iter >= options.max_iter:
            return Fit(b, gap, n_iter, gap <= goal)


def exact_step(quad, b, l1, l2, positive):
    """The optimum with the signs of ``b``, or on the way there; ``b`` and its slope."""
    G, c, _ = quad
    b = b.copy()
    while True:
        # With no L1 penalty signs do not matter, and every column that varies takes part.
        active = np.flatnonzero(np.diag(G) > 0.0 if l1 == 0.0 and not positive else b)
        if not active.size:
            return b, c.copy()
        here = b[active]
        inner = G[np.ix_(active, active)]
        inner[np.diag_indices(len(inner))] += l2
        there = _solved(inner, c[active] - l1 * np.sign(here))
        crossed = (there * here < 0.0) & (l1 > 0.0 or positive)
        if not crossed.any():
            b[active] = there
            return b, c - G[:, active] @ there
        shares = here[crossed] / (here[crossed] - there[crossed])
        share = shares.min()
        moved = here + share * (there - here)
        moved[np.flatnonzero(crossed)[shares == share]] = 0.0
        b[active] = np.where(moved * here > 0.0, moved, 0.0)


def _solved(A, right):
    """``A^-1 right``; where A is singular, far out along the directions in which it is.

    There the penalty alone decides, and the step ends at the first zero.
    """
    for jitter in (0.0, 1e-10, 1e-6):
        shifted = A + np.diag(np.full(len(A), jitter * np.max(np.diag(A))))
        factor, failed = linalg.lapack.dpotrf(shifted, lower=True)
        if not failed:
            return linalg.lapack.dpotrs(factor, right, lower=True)[0]
    return right


def duality_gap(quad, b, slope, l1, l2, positive, norm=None) -> float:
    """Objective less that of a feasible point of the dual problem: what may be left to gain.

    ``slope (p,) = c - G b``; ``norm`` is the largest slope of the smooth part, over all columns
    where these here are but some. Never below 0 by more than rounding. The dual point is the
    residual, scaled until it is feasible (Kim, Koh, Lustig, Boyd and Gorinevsky, 2007).
    """
    if l1 == 0.0:
        # A quadratic: what is left to gain is known exactly.
        rest = slope - l2 * b
        if positive:
            rest = np.where((b > 0.0) | (rest > 0.0), rest, 0.0)
        return float(0.5 * rest @ solve(quad.G + l2 * np.eye(b.size), rest).x)
    rss = max(quad.yy - quad.c @ b - slope @ b, 0.0)
    pull = slope - l2 * b
    if norm is None:
        norm = float(np.max(pull if positive else np.abs(pull), initial=0.0))
    share = l1 / norm if norm > l1 else 1.0
    square = b @ b
    gap = 0.5 * rss * (1.0 + share**2) + l1 * np.abs(b).sum() - share * (quad.yy - quad.c @ b)
    return float(gap + 0.5 * l2 * (1.0 + share**2) * square)
