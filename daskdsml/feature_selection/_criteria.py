"""Criteria that say where on a forward path to stop; for the selector.

``n`` is the summed weight, so that an integer weight counts as that many equal rows; a model of m
columns has ``k = m + 1`` parameters with an intercept and ``k = m`` without.
"""

from __future__ import annotations

import numpy as np
from scipy.special import fdtrc


def aic(rss, n, intercept) -> np.ndarray:
    """Akaike's criterion ``n log(RSS / n) + 2 k`` (m + 1,) of models with ``rss (m + 1,)``."""
    return _penalised(rss, n, intercept, 2.0)


def bic(rss, n, intercept) -> np.ndarray:
    """Schwarz's criterion ``n log(RSS / n) + k log n`` (m + 1,) of models with ``rss (m + 1,)``."""
    return _penalised(rss, n, intercept, np.log(n))


def p_values(rss, n, intercept) -> np.ndarray:
    """p-values (m + 1,) of each column at its entry, from the squared t of its coefficient.

    ``F = (RSS_{m-1} - RSS_m) / (RSS_m / (n - k))`` with 1 and n - k degrees of freedom. NaN for the
    model of no columns, and where no degrees of freedom are left.
    """
    free = n - intercept - np.arange(1, len(rss))
    values = np.full(len(rss), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (rss[:-1] - rss[1:]) * free / rss[1:]
        values[1:] = np.where(free > 0, fdtrc(1.0, np.maximum(free, 1e-300), ratio), np.nan)
    return values


def before_larger(values, limit) -> int:
    """How many columns enter before the first whose p-value exceeds ``limit``."""
    stops = ~(values[1:] <= limit)
    return int(np.argmax(stops)) if stops.any() else len(stops)


def _penalised(rss, n, intercept, penalty) -> np.ndarray:
    k = np.arange(len(rss)) + intercept
    with np.errstate(divide="ignore"):
        values = n * np.log(rss / n) + penalty * k
    # A model with as many parameters as rows fits anything, and its criterion says nothing.
    return np.where(k < n, values, np.inf)
