"""From sums over rows to the numbers of a result; for `infer`."""

from __future__ import annotations

import numpy as np
from scipy import stats

from daskdsml.inference._model import listed, names_of
from daskdsml.inference._wald import WaldTest, wald
from daskdsml.inference.result import LeastSquaresResult

# Belsley, Kuh and Welsch: from here on columns are collinear enough to blur coefficients.
COLLINEAR = 30.0


@np.errstate(divide="ignore", invalid="ignore")  # exact fits have no variance to divide by
def tabulate(fitted, sums, cov_type, kind, level) -> LeastSquaresResult:
    """The result, with NaN where a column is constant."""
    first, design, one = sums.first, sums.design, int(fitted.fit_intercept)
    n, k = first.n_used, len(design.R)
    n_clusters = len(first.scores.labels) if kind.clustered else None
    df_resid, df = n - k, kind.df(n, k, n_clusters)
    variance = sums.rss / df_resid
    factor = kind.factor(n, k, n_clusters)
    meat = factor * sums.meat if kind.robust else None
    covariance = variance * design.inverse if meat is None else design.root @ meat @ design.root.T
    places = np.concatenate([np.arange(one), one + design.kept])
    coef = np.append(fitted.intercept, fitted.coef)[1 - one :]
    full = np.full((coef.size, coef.size), np.nan)
    full[np.ix_(places, places)] = covariance
    error = np.sqrt(np.diag(full))
    half = stats.t.isf(0.5 * (1.0 - level), df) * error
    tested, condition = _slopes_test(coef[places][one:], meat, sums, df), design.condition_number()
    return LeastSquaresResult(
        names=names_of(fitted),
        coef=coef,
        std_error=error,
        statistic=coef / error,
        p_value=2.0 * stats.t.sf(np.abs(coef / error), df),
        conf_int=np.column_stack([coef - half, coef + half]),
        covariance=full,
        df_resid=df_resid,
        df_inference=df,
        df_model=k - one,
        f_statistic=tested.statistic,
        f_p_value=tested.p_value,
        residual_std_error=float(np.sqrt(variance)),
        nobs=n,
        n_clusters=n_clusters,
        condition_number=condition,
        cov_type=cov_type,
        cov_title=kind.title,
        level=level,
        n_passes=sums.n_passes,
        notes=_notes(fitted, sums, condition, tested),
        model_name=type(fitted.model).__name__,
        **_fit_of(sums, n, k, one),
    )


@np.errstate(divide="ignore", invalid="ignore")
def _fit_of(sums, n, k, one) -> dict:
    """Measures of fit; R² is NaN where y is constant."""
    total = float(sums.first.moments.cross[-1, -1])
    r_squared = 1.0 - sums.rss / total if total > 0.0 else np.nan
    normal = -n * (np.log(2.0 * np.pi * sums.rss / n) + 1.0)
    log_likelihood = 0.5 * (normal + sums.first.log_weight)
    return {
        "r_squared": float(r_squared),
        "adj_r_squared": float(1.0 - (n - one) / (n - k) * (1.0 - r_squared)),
        "log_likelihood": float(log_likelihood),
        "aic": float(2.0 * k - 2.0 * log_likelihood),
        "bic": float(np.log(n) * k - 2.0 * log_likelihood),
    }


@np.errstate(divide="ignore", invalid="ignore")
def _slopes_test(slopes, meat, sums, df) -> WaldTest:
    """F that all slopes are zero.

    A robust one is taken in the frame of R, where the covariance is well conditioned: the slopes'
    is ``R1^-1 M1 R1^-T`` there, with R1 and M1 less the row and column of the intercept.
    """
    if not slopes.size:
        return WaldTest(np.nan, np.nan, 0, df)
    if meat is not None:
        one = len(meat) - slopes.size
        distance = sums.design.R[one:, one:] @ (slopes * sums.design.frame.scale)
        return wald(distance, meat[one:, one:], df)
    total = sums.first.moments.cross[-1, -1]
    statistic = float(np.float64(total - sums.rss) / slopes.size / (np.float64(sums.rss) / df))
    return WaldTest(statistic, float(stats.f.sf(statistic, slopes.size, df)), slopes.size, df)


def _notes(fitted, sums, condition, tested) -> tuple[str, ...]:
    notes = list(fitted.reasons)
    notes += note_constant(fitted, sums.design)
    if sums.rss == 0.0:
        notes.append("the fit is exact: there are no errors to estimate a variance from.")
    notes += note_condition(condition)
    slopes = len(sums.design.R) - fitted.fit_intercept
    if tested.df_num < slopes:
        notes.append(
            f"the covariance has rank {tested.df_num} for {slopes} slopes, as too few clusters "
            "give: F tests the directions that it tells of."
        )
    return tuple(notes)


def note_constant(fitted, design) -> list[str]:
    """What to say of columns that do not vary."""
    constant = np.delete(np.array(fitted.names, dtype=object), design.kept)
    if not constant.size:
        return []
    return [f"constant columns, kept with coefficient 0 and no standard error: {listed(constant)}."]


def note_condition(condition) -> list[str]:
    """What to say of columns that nearly depend on each other."""
    if not condition > COLLINEAR:
        return []
    return [
        f"the condition number is above {COLLINEAR:g}: columns are nearly dependent, or "
        "far from zero for their spread, and some coefficients may be known poorly."
    ]
