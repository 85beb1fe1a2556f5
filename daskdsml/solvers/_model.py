"""Quadratic models of an objective on some of its parameters, and their optimum with an L1 part."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.solvers._elastic_net import Quadratic, exact_step

# Sweeps between exact steps: at least 8, and a sixteenth of the k coefficients in use, for which a
# Cholesky factor costs as much as some k / 60 sweeps.
MIN_SWEEPS, SWEEPS_PER_COEFFICIENT = 8, 16
# Rounding of the entries of a Hessian, in units of the data's, relative to its diagonal.
ROUNDING_UNITS = 8.0


class Model(NamedTuple):
    """``g'd + d'B d / 2`` for steps d of the parameters ``indices (m,)``, intercepts eliminated.

    ``free (b,)`` are the indices of the intercepts, which follow a step d of the others by
    ``start - lead @ d``.
    """

    indices: np.ndarray
    free: np.ndarray
    B: np.ndarray
    g: np.ndarray
    start: np.ndarray
    lead: np.ndarray

    @classmethod
    def of(cls, indices, free, hessian, gradient, epsilon) -> Model:
        """From the Hessian of the parameters ``[indices, free]`` and a gradient (size,).

        ``epsilon`` is the rounding unit of the data. Of columns far from zero, what is left without
        the intercepts is mostly rounding, which could make the model fall without end: its diagonal
        is raised by as much.
        """
        m = len(indices)
        B, g = hessian[:m, :m], gradient[indices]
        B = B + np.diag(ROUNDING_UNITS * epsilon * np.diag(B))
        if not free.size:
            return cls(indices, free, B, g, np.empty(0), np.empty((0, m)))
        corner = hessian[m:, m:]
        if len(free) > 1:
            # Coupled intercepts may all move alike without any effect: they shall not.
            corner = corner + np.trace(corner) / len(free) ** 2
        right = np.column_stack([hessian[m:, :m], -gradient[free]])
        moves = np.linalg.lstsq(corner, right, rcond=1e-10)[0]
        if len(free) > 1:
            moves -= moves.mean(axis=0)
        lead, start = moves[:, :-1], moves[:, -1]
        border = hessian[m:, :m]
        return cls(indices, free, B - border.T @ lead, g + border.T @ start, start, lead)

    def step(self, theta, l1, tol) -> np.ndarray:
        """The step (size,) to the least of the model with ``l1 sum_j |theta_j|``."""
        here = theta[self.indices]
        there = minimum(self.B, self.g, here, l1, tol)
        out = np.zeros_like(theta)
        out[self.indices] = there - here
        out[self.free] = self.start - self.lead @ (there - here)
        return out


def minimum(B, g, start, l1, tol, most=1000) -> np.ndarray:
    """Minimise ``g'd + d'B d / 2 + l1 |start + d|_1``; returns ``start + d``.

    Descent finds the signs, and the optimum with these is solved for exactly. Ends where no
    subgradient, in units of ``sqrt(B_jj)``, is above ``tol``, or where the signs stay: then what is
    left is rounding.
    """
    from daskdsml.backends._descent import descend, slope_at

    B = np.ascontiguousarray(B)
    diagonal = np.diag(B)
    unit = np.sqrt(np.where(diagonal > 0.0, diagonal, np.inf))
    c = B @ start - g
    b = np.array(start)
    signs: Any = None
    for _ in range(most):
        slope = slope_at(B, c, b)
        descend(B, slope, b, l1, 0.0, False, 1, 0.0)
        active = np.flatnonzero(b if l1 else diagonal)
        inner, part = B[np.ix_(active, active)], b[active]
        sweeps = max(MIN_SWEEPS, active.size // SWEEPS_PER_COEFFICIENT)
        descend(inner, slope[active], part, l1, 0.0, False, sweeps, tol)
        kept = np.flatnonzero(part if l1 else np.diag(inner))
        active, part = active[kept], part[kept]
        b = np.zeros_like(b) if l1 else b
        quad = Quadratic(B[np.ix_(active, active)], c[active], 0.0)
        b[active] = exact_step(quad, part, l1, 0.0, l1 > 0.0)
        slope = slope_at(B, c, b)
        off = np.where(b != 0.0, np.abs(slope - l1 * np.sign(b)), np.abs(slope) - l1)
        if np.max(off / unit, initial=0.0) <= tol or np.array_equal(np.sign(b), signs):
            break
        signs = np.sign(b)
    return b


def updated(B, pairs) -> np.ndarray:
    """``B (m, m)`` changed to map each step (m,) of ``pairs`` to its change of gradient (BFGS).

    Nocedal and Wright (2006), formula 6.19; pairs that show no curvature are passed over.
    """
    for move, change in pairs:
        image = B @ move
        old, new = move @ image, move @ change
        if new > 1e-8 * old and old > 0.0:
            B = B - np.outer(image, image / old) + np.outer(change, change / new)
    return B
