"""Wald tests; for `result`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg, stats


class WaldTest(NamedTuple):
    """F statistic of linear restrictions, with its p-value and degrees of freedom.

    Where ``df_denom`` is infinite, the statistic is chi-squared with ``df_num`` degrees of freedom.
    """

    statistic: float
    p_value: float
    df_num: int
    df_denom: float


def restrictions(R, r, result) -> tuple[np.ndarray, np.ndarray]:
    """Restrictions ``R beta = r``, by rows or names, of a result: R (J, q) and r (J,).

    Raises ValueError if they cannot be tested.
    """
    R = np.atleast_2d(np.asarray(_rows_of(R, result.names), dtype=np.float64))
    q = result.coef.size
    if R.ndim != 2 or R.shape[1] != q or not len(R) or not np.isfinite(R).all():
        raise ValueError(
            f"R must hold finite numbers and have one column for each of the {q} parameters "
            f"{result.names}, got shape {R.shape}."
        )
    r = np.zeros(len(R)) if r is None else np.asarray(r, dtype=np.float64)
    if r.size != 1 and r.shape != (len(R),):
        raise ValueError(f"r must have {len(R)} entries, one for each row of R, got {r.shape}.")
    unknown = R.any(axis=0) & np.isnan(np.diag(result.covariance))
    if unknown.any():
        name = result.names[int(np.argmax(unknown))]
        kind = "separated" if name in result.separated else "constant"
        raise ValueError(f"R asks about the {kind} column {name!r}, of which nothing is known.")
    length = np.linalg.norm(R, axis=1, keepdims=True)
    if np.linalg.matrix_rank(R / length.clip(1e-300)) < len(R):
        raise ValueError(
            "The rows of R depend on each other: a restriction is told twice, or is empty. "
            "Leave it out."
        )
    return R, r


def _rows_of(R, names):
    """Rows of the identity for parameters given by name; anything else as it is."""
    given = [R] if isinstance(R, str) else R
    if not isinstance(given, list | tuple) or not all(isinstance(name, str) for name in given):
        return R
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ValueError(f"Unknown parameters {unknown}: expected some of {names}.")
    return np.eye(len(names))[[names.index(name) for name in given]]


@np.errstate(divide="ignore", invalid="ignore")  # exact fits have no variance to divide by
def wald(distance, root, meat, df_denom) -> WaldTest:
    """``F = d'V^-1 d / J`` for d (J,) and ``V = root meat root'`` of rank J, with root (J, r);
    chi-squared without the J if ``df_denom`` is infinite.

    The rank is taken where ``root root'`` is the identity: there it does not depend on the units of
    columns, nor on which of their combinations are tested.
    """
    Q, R = np.linalg.qr(root.T)
    distance = linalg.solve_triangular(R, distance, trans="T")
    values, vectors = np.linalg.eigh(Q.T @ meat @ Q)
    known = values > 10.0 * len(meat) * np.finfo(np.float64).eps * np.linalg.norm(meat, 2)
    if not known.any():
        return _wald_test(np.inf if distance.any() else np.nan, len(root), df_denom)
    along = distance @ vectors[:, known]
    return _wald_test(float(np.sum(along**2 / values[known])), int(known.sum()), df_denom)


def _wald_test(chi2, rank, df_denom) -> WaldTest:
    if np.isinf(df_denom):
        return WaldTest(chi2, float(stats.chi2.sf(chi2, rank)), rank, df_denom)
    return WaldTest(chi2 / rank, float(stats.f.sf(chi2 / rank, rank, df_denom)), rank, df_denom)
