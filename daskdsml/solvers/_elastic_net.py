"""Elastic net on moments: descent, exact steps on the active set, the duality gap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg

from daskdsml.contracts import Fit
from daskdsml.solvers._moments import constant_floor, rounded_spread
from daskdsml.solvers._symmetric import solve

# Sweeps between exact steps: one over all columns, and some for the new ones to find their place.
SWEEPS_PER_ROUND = 32
# Sweeps end when no coordinate moves by more than this share of the square root of the gap allowed:
# what is left to gain is about the square of such moves.
MOVE_SHARE = 0.03
# While a round of sweeps leaves less than this share of the gap, sweeps are the cheaper way.
PROGRESS_RATIO = 0.8
# From this tolerance on, every fit ends with an exact step: coefficients are only as right as the
# square root of the gap, and who asks for such a gap wants them right.
TIGHT_TOL = 1e-7
# Share of the mean square of y below which duality gaps are rounding, and rounds made there.
GAP_ROUNDING, MOST_STUCK = 1e-14, 5


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


def extended(quad: Quadratic, cross, mean, weight, n_rows) -> Quadratic:
    """``quad`` in m - k columns with k more.

    ``cross (k, m + 1)`` are the new columns' cross products with all columns and y, and
    ``mean (m + 1)`` the means of these.
    """
    size, before = len(mean) - 1, len(quad.c)
    rows = cross / weight
    spread = np.diag(rows[:, before:])
    dead = spread * weight <= rounded_spread(mean[before:-1], weight, n_rows)
    rows[dead] = 0.0
    rows[:, :-1][:, np.append(np.diag(quad.G) == 0.0, dead)] = 0.0
    G = np.empty((size, size))
    G[:before, :before], G[before:] = quad.G, rows[:, :-1]
    G[:before, before:] = rows[:, :before].T
    return Quadratic(G, np.concatenate([quad.c, rows[:, -1]]), quad.yy)


def fit(quad: Quadratic, l1, l2, options: Options, start=None) -> Fit:
    """Minimise ``(yy - 2 c'b + b'G b) / 2 + l1 |b|_1 + l2 |b|_2**2 / 2``.

    Coordinate descent finds the active set; on it the optimum is that of a linear system, solved
    exactly, so the gap falls to rounding instead of crawling there. A step that would change a sign
    ends where the first coefficient becomes zero, and drops it (Osborne, Presnell and Turlach,
    2000).
    """
    from daskdsml.backends._descent import descend, slope_at, submatrix

    G, c, yy = quad
    b = np.zeros_like(c) if start is None else np.array(start, dtype=float)
    goal, positive = options.tol * yy, options.positive
    still = max(1e-9 * yy**0.5, MOVE_SHARE * goal**0.5)
    slope, n_iter, before, stuck = slope_at(G, c, b), 0, np.inf, 0
    while True:
        n_iter += descend(G, slope, b, l1, l2, positive, 1, still)
        active = np.flatnonzero(b if l1 > 0.0 or positive else np.diag(G))
        values, inner = b[active], submatrix(G, active)
        allowed = min(SWEEPS_PER_ROUND, options.max_iter - n_iter)
        n_iter += descend(inner, slope[active], values, l1, l2, positive, allowed, still)
        b[active] = values
        slope = slope_at(G, c, b)
        gap = duality_gap(quad, b, slope, l1, l2, positive)
        slow = gap > goal and not gap < PROGRESS_RATIO * before
        before = gap
        if slow or options.tol < TIGHT_TOL:
            signs = l1 > 0.0 or positive
            # Without signs to keep, every column that varies takes values.
            nonzero = np.flatnonzero(values if signs else np.diag(inner))
            if nonzero.size < active.size:
                active, inner = active[nonzero], submatrix(inner, nonzero)
            b[active] = exact_step(Quadratic(inner, c[active], yy), b[active], l1, l2, signs)
            slope = slope_at(G, c, b)
            gap = duality_gap(quad, b, slope, l1, l2, positive)
        # Below the rounding of its own terms a gap wanders, and further rounds are for nothing.
        stuck = stuck + 1 if gap <= GAP_ROUNDING * yy else 0
        if gap <= goal or n_iter >= options.max_iter or stuck >= MOST_STUCK:
            return Fit(b, gap, n_iter, gap <= goal)


def exact_step(quad, b, l1, l2, signs):
    """The optimum with the signs of ``b``, of which none is zero, or on the way there.

    If ``signs`` are to be kept, coefficients that would change theirs end at zero, and the next
    step goes on without them.
    """
    from daskdsml.backends._descent import submatrix

    G, c, _ = quad
    b = b.copy()
    active = np.arange(b.size)
    while active.size:
        here = b[active]
        inner = G if active.size == b.size else submatrix(G, active)
        right = c[active] - l1 * np.sign(here)
        there = _solved(inner, l2, right)
        crossed = (there * here < 0.0) & signs
        if not crossed.any():
            b[active] = there
            break
        b[active] = _moved(inner, l2, right, here, there, crossed)
        active = np.flatnonzero(b)
    return b


def _moved(G, l2, right, here, there, crossed):
    """From ``here`` towards ``there``, where ``crossed`` coefficients are stopped at zero.

    At least to the first of them, which is downhill all the way; farther, so that many may be
    dropped for the price of one factorisation, if that is lower still.
    """
    shares = here[crossed] / (here[crossed] - there[crossed])
    first, share = shares.min(), 1.0
    nearest = _stopped(here, there, first)
    nearest[np.flatnonzero(crossed)[shares == first]] = 0.0
    least = _value(G, l2, right, nearest)
    while share > first:
        moved = _stopped(here, there, share)
        if _value(G, l2, right, moved) < least:
            return moved
        share *= 0.25
    return nearest


def _stopped(here, there, share):
    moved = here + share * (there - here)
    return np.where(moved * here > 0.0, moved, 0.0)


def _value(G, l2, right, b):
    return 0.5 * (b @ (G @ b) + l2 * (b @ b)) - right @ b


def _solved(A, ridge, right):
    """``(A + ridge I)^-1 right``; where that is singular, far out in the directions in which it is.

    There the L1 penalty alone decides, and the step ends at the first zero.
    """
    for jitter in (0.0, 1e-10, 1e-6):
        shifted = A.T.copy(order="F")
        shifted[np.diag_indices(len(A))] += ridge + jitter * np.max(np.diag(A))
        factor, failed = linalg.lapack.dpotrf(shifted, lower=True, overwrite_a=True, clean=False)
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
    gradient = slope - l2 * b
    if norm is None:
        norm = float(np.max(gradient if positive else np.abs(gradient), initial=0.0))
    share = l1 / norm if norm > l1 else 1.0
    square = b @ b
    gap = 0.5 * rss * (1.0 + share**2) + l1 * np.abs(b).sum() - share * (quad.yy - quad.c @ b)
    return float(gap + 0.5 * l2 * (1.0 + share**2) * square)
