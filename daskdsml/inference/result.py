"""What `infer` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from daskdsml.inference._summary import Summary, coefficient_frame, html_table, text_table


class WaldTest(NamedTuple):
    """F statistic of linear restrictions, with its p-value and degrees of freedom."""

    statistic: float
    p_value: float
    df_num: int
    df_denom: int


@dataclass(frozen=True, repr=False)
class InferenceResult:
    """Standard errors, tests and measures of fit of a linear model with q parameters.

    Attributes
    ----------
    names : list of str (q,)
        "(Intercept)" first, if the model has one, then the columns of X.
    coef, std_error, statistic, p_value : array (q,)
        Estimates in the user's units, their standard errors, ``coef / std_error`` and its two-sided
        p-value by Student's t; NaN for columns that are constant.
    conf_int : array (q, 2)
        Limits that hold each parameter with probability ``level``.
    covariance : array (q, q)
    df_resid : int
        Rows of non-zero weight less parameters.
    df_inference : int
        Degrees of freedom of t and F: ``df_resid``, or clusters less one.
    df_model : int
        Slopes: parameters less the intercept.
    r_squared, adj_r_squared : float
        About the mean with an intercept, about zero without.
    f_statistic, f_p_value : float
        Wald test that all slopes are zero; NaN without slopes.
    residual_std_error : float
        ``sqrt(sum_i w_i r_i**2 / df_resid)``.
    log_likelihood, aic, bic : float
        Of normal errors of variance ``sigma**2 / w_i``, with ``sigma`` at its maximum;
        ``-2 log_likelihood`` plus ``2 k`` or ``log(n) k`` for k parameters, sigma not among them.
    nobs : int
        Rows of non-zero weight.
    n_clusters : int or None
    condition_number : float
        Of the (weighted) design with its intercept and columns of unit length.
    cov_type : str
    level : float
    n_passes : int or float
        Complete reads of X.
    notes : tuple of str
    """

    names: list[str]
    coef: np.ndarray
    std_error: np.ndarray
    statistic: np.ndarray
    p_value: np.ndarray
    conf_int: np.ndarray
    covariance: np.ndarray
    df_resid: int
    df_inference: int
    df_model: int
    r_squared: float
    adj_r_squared: float
    f_statistic: float
    f_p_value: float
    residual_std_error: float
    log_likelihood: float
    aic: float
    bic: float
    nobs: int
    n_clusters: int | None
    condition_number: float
    cov_type: str
    level: float
    n_passes: float
    notes: tuple[str, ...]
    model_name: str

    def wald_test(self, R, r=None) -> WaldTest:
        """Test that ``R beta = r`` for the parameters beta, intercept first.

        ``F = d' (R V R')^-1 d / J`` with ``d = R beta - r`` and covariance V; where V leaves
        fewer than J directions, which few clusters do, only these are tested.

        Parameters
        ----------
        R : array (q,) or (J, q), or str or list of J str
            A restriction a row; names stand for "this parameter", each of them.
        r : float or array (J,), or None for zeros

        Returns
        -------
        WaldTest : statistic, p_value, df_num, df_denom

        Raises
        ------
        ValueError
            If shapes do not fit, a name is unknown, restrictions depend on each other, or ask about
            a constant column.
        """
        R = np.atleast_2d(np.asarray(self._rows_of(R), dtype=np.float64))
        q = self.coef.size
        if R.ndim != 2 or R.shape[1] != q or not len(R) or not np.isfinite(R).all():
            raise ValueError(
                f"R must hold finite numbers and have one column for each of the {q} parameters "
                f"{self.names}, got shape {R.shape}."
            )
        r = np.zeros(len(R)) if r is None else np.asarray(r, dtype=np.float64)
        if r.size != 1 and r.shape != (len(R),):
            raise ValueError(f"r must have {len(R)} entries, one for each row of R, got {r.shape}.")
        asked = R.any(axis=0)
        unknown = asked & np.isnan(np.diag(self.covariance))
        if unknown.any():
            name = self.names[int(np.argmax(unknown))]
            raise ValueError(
                f"R asks about the constant column {name!r}, of which nothing is known."
            )
        length = np.linalg.norm(R, axis=1, keepdims=True)
        if np.linalg.matrix_rank(R / length.clip(1e-300)) < len(R):
            raise ValueError(
                "The rows of R depend on each other: a restriction is told twice, or is empty. "
                "Leave it out."
            )
        R = R[:, asked]
        V = R @ self.covariance[np.ix_(asked, asked)] @ R.T
        return wald(R @ self.coef[asked] - r, V, self.df_inference)

    def _rows_of(self, R):
        """Rows of the identity for parameters given by name; anything else as it is."""
        asked = [R] if isinstance(R, str) else R
        if not isinstance(asked, list | tuple) or not all(isinstance(name, str) for name in asked):
            return R
        strangers = [name for name in asked if name not in self.names]
        if strangers:
            raise ValueError(f"Unknown parameters {strangers}: expected some of {self.names}.")
        return np.eye(len(self.names))[[self.names.index(name) for name in asked]]

    def summary(self) -> Summary:
        """The table as text, as of R's ``summary(lm)``; a notebook shows it as HTML."""
        return Summary(text_table(self), html_table(self))

    def to_frame(self):
        """Coefficients with standard error, statistic, p-value and limits, a row a parameter.

        Returns
        -------
        pandas.DataFrame, indexed by ``names``
        """
        return coefficient_frame(self)

    def __str__(self) -> str:
        return text_table(self)

    def __repr__(self) -> str:
        return (
            f"<InferenceResult of {self.model_name}: {len(self.names)} parameters, "
            f"{self.nobs} rows, cov_type={self.cov_type!r}, R²={self.r_squared:.4g}; "
            "print it for the table>"
        )

    def _repr_html_(self) -> str:
        return html_table(self)


@np.errstate(divide="ignore", invalid="ignore")  # exact fits have no variance to divide by
def wald(distance, V, df_denom) -> WaldTest:
    """``F = d'V^-1 d / J`` for d (J,), with J the rank of V (J, J)."""
    spread = np.sqrt(np.diag(V))
    if not np.all(spread > 0.0):
        statistic = np.inf if np.any(distance[~(spread > 0.0)]) else np.nan
        return WaldTest(statistic, float(stats.f.sf(statistic, len(V), df_denom)), len(V), df_denom)
    values, vectors = np.linalg.eigh(V / np.outer(spread, spread))
    kept = values > 10.0 * len(V) * np.finfo(np.float64).eps * values[-1]
    parts = (distance / spread) @ vectors[:, kept]
    rank = int(kept.sum())
    statistic = float(np.sum(parts**2 / values[kept]) / rank)
    return WaldTest(statistic, float(stats.f.sf(statistic, rank, df_denom)), rank, df_denom)
