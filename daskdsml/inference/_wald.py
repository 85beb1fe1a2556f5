"""Wald tests; for `result`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats


class WaldTest(NamedTuple):
    """F statistic of linear restrictions, with its p-value and degrees of freedom.

    Where ``df_denom`` is infinite, the statistic is chi-squared with ``df_num`` degrees of freedom.
    """

    statistic: float
    p_value: float
    df_num: int
    df_denom: float


@np.errstate(divide="ignore", invalid="ignore")  # exact fits have no variance to divide by
def wald(distance, V, df_denom) -> WaldTest:
    """``F = d'V^-1 d / J`` for d (J,), with J the rank of V (J, J); chi-squared without the J if
    ``df_denom`` is infinite."""
    spread = np.sqrt(np.diag(V))
    if not np.all(spread > 0.0):
        statistic = np.inf if np.any(distance[~(spread > 0.0)]) else np.nan
        return _wald_test(statistic, len(V), df_denom)
    values, vectors = np.linalg.eigh(V / np.outer(spread, spread))
    kept = values > 10.0 * len(V) * np.finfo(np.float64).eps * values[-1]
    parts = (distance / spread) @ vectors[:, kept]
    return _wald_test(float(np.sum(parts**2 / values[kept])), int(kept.sum()), df_denom)


def _wald_test(chi2, rank, df_denom) -> WaldTest:
    if np.isinf(df_denom):
        return WaldTest(chi2, float(stats.chi2.sf(chi2, rank)), rank, df_denom)
    return WaldTest(chi2 / rank, float(stats.f.sf(chi2 / rank, rank, df_denom)), rank, df_denom)
