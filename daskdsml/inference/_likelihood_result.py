"""From sums over rows to the numbers of a result of maximum likelihood; for `infer`."""

from __future__ import annotations

import numpy as np
from scipy import stats

from daskdsml.inference._model import listed, names_of, panels_of
from daskdsml.inference._result import note_condition, note_constant
from daskdsml.inference.result import LikelihoodResult

# Overdispersion is told from this dispersion on, if it is this many standard deviations above 1.
MIN_DISPERSION, MIN_DEVIATIONS = 1.2, 5.0


def tabulate(fitted, sums, cov_type, kind, level) -> LikelihoodResult:
    """The result, with NaN where a column is constant or a parameter separated."""
    n, k = _whole(sums.first.moments.weight), sums.theta.size
    known = _places(fitted, sums)
    names = names_of(fitted)
    coef = np.ravel(_full_theta(fitted))
    covariance = np.full((coef.size, coef.size), np.nan)
    found = np.where(sums.separated, np.nan, 1.0)
    covariance[np.ix_(known, known)] = sums.covariance * np.outer(found, found)
    error = np.sqrt(np.diag(covariance))
    half = stats.norm.isf(0.5 * (1.0 - level)) * error
    with np.errstate(divide="ignore", invalid="ignore"):  # few clusters may leave no variance
        statistic = coef / error
    separated = tuple(names[j] for j in known[sums.separated])
    condition = sums.design.condition_number()
    measures = _fit_of(fitted, sums, n, k)
    return LikelihoodResult(
        names=names,
        coef=coef,
        std_error=error,
        statistic=statistic,
        p_value=2.0 * stats.norm.sf(np.abs(statistic)),
        conf_int=np.column_stack([coef - half, coef + half]),
        covariance=covariance,
        nobs=n,
        n_clusters=len(sums.first.scores.labels) if kind.clustered else None,
        condition_number=condition,
        cov_type=cov_type,
        cov_title=kind.title,
        level=level,
        n_passes=sums.n_passes,
        notes=_notes(fitted, sums, condition, separated, measures),
        model_name=type(fitted.model).__name__,
        classes=None if fitted.family.classes is None else tuple(fitted.family.classes.tolist()),
        ratio=fitted.family.ratio,
        panels=panels_of(fitted),
        separated=separated,
        **measures,
    )


def _whole(n):
    """An integer, where a sum of weights is one."""
    return int(n) if n == int(n) else float(n)


def _places(fitted, sums) -> np.ndarray:
    """Where parameters of columns that vary are among all (d,)."""
    one, E = int(fitted.fit_intercept), len(fitted.coef)
    places = np.concatenate([np.arange(one), one + sums.design.kept])
    return np.ravel(np.arange(E)[:, None] * (one + len(fitted.names)) + places)


def _full_theta(fitted) -> np.ndarray:
    if not fitted.fit_intercept:
        return fitted.coef
    return np.column_stack([fitted.intercept, fitted.coef])


def _fit_of(fitted, sums, n, k) -> dict:
    """Measures of fit."""
    level, E = sums.level, len(fitted.coef)
    log_likelihood = -sums.first.loss - level.constant
    # Slopes as statsmodels counts them: without an intercept, one of them stands for it.
    df_model = k - E
    ratio = 2.0 * (log_likelihood - level.null)
    pearson = None if fitted.family.classes is not None else float(sums.first.facts[-1])
    return {
        "df_resid": n - k,
        "df_model": df_model,
        "log_likelihood": float(log_likelihood),
        "aic": float(2.0 * k - 2.0 * log_likelihood),
        "bic": float(np.log(n) * k - 2.0 * log_likelihood),
        "null_log_likelihood": level.null,
        "deviance": float(2.0 * (level.saturated - log_likelihood)),
        "null_deviance": float(2.0 * (level.saturated - level.null)),
        "lr_statistic": float(ratio),
        "lr_p_value": float(stats.chi2.sf(ratio, df_model)) if df_model else np.nan,
        "pseudo_r_squared": float(1.0 - log_likelihood / level.null),
        "pearson_chi2": pearson,
        "dispersion": None if pearson is None else pearson / (n - k),
    }


def _notes(fitted, sums, condition, separated, measures) -> tuple[str, ...]:
    notes = list(fitted.reasons)
    if separated:
        notes.append(_note_separated(sums, separated))
    notes += note_constant(fitted, sums.design)
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
    dispersion, df = measures["dispersion"], measures["df_resid"]
    if dispersion and dispersion > max(MIN_DISPERSION, 1.0 + MIN_DEVIATIONS * np.sqrt(2.0 / df)):
        notes.append(
            f"variances are about {dispersion:.3g} times the means (overdispersion): errors that "
            "take them as equal are too small. Use cov_type='HC1'."
        )
    return tuple(notes) + tuple(note_condition(condition))


def _note_separated(sums, separated) -> str:
    text = (
        f"separated, and so without a maximum likelihood estimate: {listed(separated)}. The "
        "likelihood rises for ever as these grow, for no row contradicts them. Drop or merge "
        "columns or classes, or use a penalty"
    )
    if sums.separated.all():
        return f"{text}. There is nothing else to estimate."
    return f"{text}. The other rows hold for the model in which these are infinite."
