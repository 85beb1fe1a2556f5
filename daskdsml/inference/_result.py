"""From sums over rows to the numbers of a result; for `infer`."""

from __future__ import annotations

import numpy as np
from scipy import stats

from daskdsml.inference._checks import listed
from daskdsml.inference._model import names_of, panels_of
from daskdsml.inference._wald import WaldTest, wald
from daskdsml.inference.result import LeastSquaresResult, LikelihoodResult

# Belsley, Kuh and Welsch: from here on columns are collinear enough to blur coefficients.
COLLINEAR = 30.0
# Overdispersion is noted from this dispersion on, if it is this many standard deviations above 1.
MIN_DISPERSION, MIN_DEVIATIONS = 1.2, 5.0


def least_squares_result(fitted, sums, cov_type, kind, confidence) -> LeastSquaresResult:
    """The result of least squares, with NaN where a column is constant."""
    first, design, one = sums.first, sums.design, int(fitted.fit_intercept)
    n, k = first.n_used, len(design.R)
    n_clusters = len(first.scores.labels)
    df = kind.df(n, k, n_clusters)
    variance, factor = sums.rss / (n - k), kind.factor(n, k, n_clusters)
    meat = factor * sums.meat if kind.robust else None
    covariance = variance * design.inverse if meat is None else design.root @ meat @ design.root.T
    slopes_test = _slopes_test(fitted.coef[design.columns], meat, sums, df)
    meat = variance * np.eye(k) if meat is None else meat
    about = _about(fitted, sums, cov_type, kind, confidence)
    total = float(first.moments.cross[-1, -1])
    with np.errstate(divide="ignore"):  # an exact fit
        normal = -n * (np.log(2.0 * np.pi * sums.rss / n) + 1.0)
    r_squared = 1.0 - sums.rss / total if total > 0.0 else np.nan  # y is constant
    return LeastSquaresResult(
        **_estimates(fitted, design, covariance, design.inverse, confidence, stats.t, df),
        **_factors(fitted, design, design.root, meat),
        **_criteria(0.5 * (normal + first.log_weight), n, k),
        **about,
        nobs=n,
        df_resid=n - k,
        df_inference=df,
        df_model=k - one,
        f_statistic=slopes_test.statistic,
        f_p_value=slopes_test.p_value,
        f_df=slopes_test.df_num,
        residual_std_error=float(np.sqrt(variance)),
        r_squared=float(r_squared),
        separated=(),
        adj_r_squared=float(1.0 - (n - one) / (n - k) * (1.0 - r_squared)),
        notes=_least_squares_notes(fitted, sums, slopes_test, about["condition_number"]),
    )


def likelihood_result(fitted, sums, cov_type, kind, confidence) -> LikelihoodResult:
    """The result of a likelihood, with NaN where a column is constant or a parameter separated."""
    n, k, null = sums.first.moments.weight, sums.theta.size, sums.null_model
    n = int(n) if n == int(n) else float(n)
    estimated = np.where(sums.separated, np.nan, 1.0)
    pairs, root = np.outer(estimated, estimated), sums.root
    covariance, inverse = root @ sums.meat @ root.T * pairs, root @ root.T * pairs
    estimates = _estimates(fitted, sums.design, covariance, inverse, confidence, stats.norm)
    about = _about(fitted, sums, cov_type, kind, confidence)
    indices = _indices(fitted, sums.design)
    separated = tuple(estimates["names"][j] for j in indices[sums.separated])
    log_likelihood = float(-sums.first.loss - null.constant)
    # Slopes as statsmodels counts them: without an intercept, one of them stands for it.
    df_model, ratio = k - len(fitted.coef), 2.0 * (log_likelihood - null.null)
    classes = fitted.family.classes
    pearson = None if classes is not None else float(sums.first.facts[-1])
    dispersion = None if pearson is None else pearson / (n - k)
    return LikelihoodResult(
        **estimates,
        **_factors(fitted, sums.design, root, sums.meat),
        **_criteria(log_likelihood, n, k),
        **about,
        nobs=n,
        df_resid=n - k,
        df_inference=np.inf,
        df_model=df_model,
        null_log_likelihood=null.null,
        deviance=float(2.0 * (null.saturated - log_likelihood)),
        null_deviance=float(2.0 * (null.saturated - null.null)),
        lr_statistic=float(ratio),
        lr_p_value=float(stats.chi2.sf(ratio, df_model)) if df_model else np.nan,
        pseudo_r_squared=float(1.0 - log_likelihood / null.null),
        pearson_chi2=pearson,
        dispersion=dispersion,
        classes=None if classes is None else tuple(classes.tolist()),
        ratio=fitted.family.ratio,
        separated=separated,
        notes=_likelihood_notes(
            fitted, sums, separated, dispersion, n - k, about["condition_number"]
        ),
    )


@np.errstate(divide="ignore", invalid="ignore")  # exact fits, few clusters: no variance
def _estimates(fitted, design, covariance, inverse, confidence, distribution, *shape) -> dict:
    """Estimates with errors, tests and limits, NaN for columns that are not in the design."""
    coef = np.atleast_2d(fitted.coef)
    if fitted.fit_intercept:
        coef = np.column_stack([np.atleast_1d(fitted.intercept), coef])
    coef, indices = np.ravel(coef), _indices(fitted, design)
    full, information = np.full((2, coef.size, coef.size), np.nan)
    full[np.ix_(indices, indices)] = covariance
    information[np.ix_(indices, indices)] = inverse
    error = np.sqrt(np.diag(full))
    half = distribution.isf(0.5 * (1.0 - confidence), *shape) * error
    return {
        "names": names_of(fitted),
        "coef": coef,
        "std_error": error,
        "statistic": coef / error,
        "p_value": 2.0 * distribution.sf(np.abs(coef / error), *shape),
        "conf_int": np.column_stack([coef - half, coef + half]),
        "covariance": full,
        "inverse_information": information,
    }


def _factors(fitted, design, root, meat) -> dict:
    """Factors of the covariance of all parameters, NaN for columns that are not in the design."""
    one, E = int(fitted.fit_intercept), len(np.atleast_2d(fitted.coef))
    full = np.full((E * (one + len(fitted.names)), len(meat)), np.nan)
    full[_indices(fitted, design)] = root
    return {"root": full, "meat": meat}


def _indices(fitted, design) -> np.ndarray:
    """Where the parameters of columns in the design are among all (q,)."""
    one, E = int(fitted.fit_intercept), len(np.atleast_2d(fitted.coef))
    indices = np.concatenate([np.arange(one), one + design.columns])
    return np.ravel(np.arange(E)[:, None] * (one + len(fitted.names)) + indices)


def _criteria(log_likelihood, n, k) -> dict:
    return {
        "log_likelihood": float(log_likelihood),
        "aic": float(2.0 * k - 2.0 * log_likelihood),
        "bic": float(np.log(n) * k - 2.0 * log_likelihood),
    }


def _about(fitted, sums, cov_type, kind, confidence) -> dict:
    """What the result says of model, data and covariance."""
    return {
        "model_name": type(fitted.model).__name__,
        "panels": panels_of(fitted),
        "n_clusters": len(sums.first.scores.labels) if kind.clustered else None,
        "condition_number": sums.design.condition_number(),
        "cov_type": cov_type,
        "cov_title": kind.title,
        "level": confidence,
        "n_passes": sums.n_passes,
    }


@np.errstate(divide="ignore", invalid="ignore")
def _slopes_test(slopes, meat, sums, df) -> WaldTest:
    """F that all slopes are zero.

    Without ``meat`` it is told by sums of squares.
    """
    if not slopes.size:
        return WaldTest(np.nan, np.nan, 0, df)
    if meat is not None:
        return wald(slopes, sums.design.root[len(meat) - slopes.size :], meat, df)
    total = sums.first.moments.cross[-1, -1]
    statistic = float(np.float64(total - sums.rss) / slopes.size / (np.float64(sums.rss) / df))
    return WaldTest(statistic, float(stats.f.sf(statistic, slopes.size, df)), slopes.size, df)


def _least_squares_notes(fitted, sums, slopes_test, condition) -> tuple[str, ...]:
    notes = [*fitted.reasons, *_note_constant(fitted, sums.design)]
    if sums.rss == 0.0:
        notes.append("the fit is exact: there are no errors to estimate a variance from.")
    notes += _note_condition(condition)
    slopes = len(sums.design.R) - fitted.fit_intercept
    if slopes_test.df_num < slopes:
        notes.append(
            f"the covariance has rank {slopes_test.df_num} for {slopes} slopes, as too few "
            "clusters give: F tests the directions that it tells of."
        )
    return tuple(notes)


def _likelihood_notes(fitted, sums, separated, dispersion, df, condition) -> tuple[str, ...]:
    notes = list(fitted.reasons)
    if separated:
        rest = "The other rows hold for the model in which these are infinite."
        if sums.separated.all():
            rest = "There is nothing else to estimate."
        notes.append(
            f"separated, and so without a maximum likelihood estimate: {listed(separated)}. The "
            "likelihood rises for ever as these grow, for no row contradicts them. Drop or merge "
            f"columns or classes, or use a penalty. {rest}"
        )
    notes += _note_constant(fitted, sums.design)
    if not sums.first.whole:
        notes.append(
            "weights count rows, but some are no whole numbers. If they tell how rows were "
            "sampled, use cov_type='cluster' with another label for each row."
        )
    if not fitted.fit_intercept:
        notes.append(
            "the model has no intercept, so the null model, of an intercept alone, is not a part "
            "of it: the likelihood ratio is a comparison and no test."
        )
    if dispersion and dispersion > max(MIN_DISPERSION, 1.0 + MIN_DEVIATIONS * np.sqrt(2.0 / df)):
        notes.append(
            f"variances are about {dispersion:.3g} times the means (overdispersion): errors that "
            "take them as equal are too small. Use cov_type='HC1'."
        )
    return tuple(notes + _note_condition(condition))


def _note_constant(fitted, design) -> list[str]:
    constant = np.delete(np.array(fitted.names, dtype=object), design.columns)
    if not constant.size:
        return []
    return [f"constant columns, kept with coefficient 0 and no standard error: {listed(constant)}."]


def _note_condition(condition) -> list[str]:
    if not condition > COLLINEAR:
        return []
    return [
        f"the condition number is above {COLLINEAR:g}: columns are nearly dependent, or "
        "far from zero for their spread, and some coefficients may be known poorly."
    ]
