"""Coordinate descent on cross products, compiled; for the solvers."""

from __future__ import annotations

from numba import njit


@njit(nogil=True, cache=True)
def descend(G, slope, b, columns, l1, l2, positive, sweeps, tol):
    """Sweep over coordinates until a sweep changes little; returns the number of sweeps.

    Minimises ``b'G b / 2 - c'b + l1 |b|_1 + l2 |b|_2**2 / 2``. ``b (p,)`` and
    ``slope (p,) = c - G b`` are changed in place.

    Parameters
    ----------
    G : array (p, p), symmetric
    columns : array (m,) of int, the coordinates to visit; those with ``G_jj = 0`` are passed over
    l1, l2 : float
    positive : bool
        Whether coefficients are kept at or above zero.
    sweeps : int
        At most this many, over ``columns`` first and then over those of them that are not zero.
    tol : float
        Ends when no coordinate moved by more than ``tol`` in ``sqrt(G_jj) |change|``.
    """
    p = b.size
    full = True
    for sweep in range(sweeps):
        largest = 0.0
        for j in columns:
            diagonal = G[j, j]
            before = b[j]
            if diagonal <= 0.0 or (not full and before == 0.0):
                continue
            pull = slope[j] + diagonal * before
            after = 0.0
            if pull > l1:
                after = (pull - l1) / (diagonal + l2)
            elif pull < -l1 and not positive:
                after = (pull + l1) / (diagonal + l2)
            change = after - before
            if change != 0.0:
                b[j] = after
                row = G[j]
                for k in range(p):
                    slope[k] -= change * row[k]
                largest = max(largest, change * change * diagonal)
        if largest <= tol * tol:
            if full:
                return sweep + 1
            full = True
        else:
            full = False
    return sweeps
