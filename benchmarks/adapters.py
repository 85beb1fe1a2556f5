"""What checkers of certified and published results call: our models in their terms.

``fit(X, y, fit_intercept)`` gives an object with ``coef_``, ``intercept_``, ``bse_`` (intercept
first), ``residual_sd_``, ``r2_`` and ``f_statistic_``. ``adapter(case)`` takes a case with ``kind``
("linear", "logistic", "multinomial" or "stepwise"), ``X``, ``y``, ``w``, ``names``, ``classes``,
``base`` and ``fit_intercept``, and gives a dict of what there is.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from scipy import stats

from daskdsml.feature_selection import ForwardStepwiseSelector
from daskdsml.inference import infer
from daskdsml.linear_model import LinearRegression, LogisticRegression


def fit(X, y, fit_intercept):
    """Least squares with standard errors."""
    model = LinearRegression(fit_intercept=fit_intercept).fit(X, y)
    found = infer(model, X, y)
    return SimpleNamespace(
        coef_=model.coef_,
        intercept_=model.intercept_,
        bse_=found.std_error,
        residual_sd_=found.residual_std_error,
        r2_=found.r_squared,
        f_statistic_=found.f_statistic,
    )


def adapter(case):
    """Numbers by their published names, or None where the kind is not offered."""
    kinds = {
        "linear": _linear,
        "logistic": _logistic,
        "multinomial": _multinomial,
        "stepwise": _stepwise,
    }
    return kinds[case.kind](case) if case.kind in kinds else None


def _linear(case):
    model = LinearRegression(fit_intercept=case.fit_intercept)
    model.fit(case.X, case.y, sample_weight=case.w)
    found = infer(model, case.X, case.y, sample_weight=case.w)
    robust = {
        f"{kind.lower()}_se": infer(model, case.X, case.y, case.w, cov_type=kind).std_error
        for kind in ("HC0", "HC1", "HC2", "HC3")
    }
    return {
        "coef": found.coef,
        "se": found.std_error,
        "stat": found.statistic,
        "p": found.p_value,
        "ci95": found.conf_int,
        "residual_sd": found.residual_std_error,
        "r2": found.r_squared,
        "r2_adj": found.adj_r_squared,
        "f": found.f_statistic,
        "f_p": found.f_p_value,
        "llf": found.log_likelihood,
        "aic": found.aic,
        "bic": found.bic,
        **robust,
    }


def _logistic(case):
    model, found = _fit_classes(case)
    return {
        "coef": found.coef,
        "se": found.std_error,
        "stat": found.statistic,
        "p": found.p_value,
        "ci95": found.conf_int,
        "cov": found.covariance,
        "predict_proba_1": model.predict_proba(case.X)[:, 1],
        **_measures(found),
    }


def _multinomial(case):
    """Log-odds against the published baseline, which may be any of the classes."""
    model, found = _fit_classes(case)
    labels = model.classes_.tolist()
    base = labels.index(case.base)
    # Rows of log-odds against the first class, whose own are zero; and their differences to base.
    zero = np.eye(len(labels))[:, 1:]
    against = np.delete(zero - zero[base], base, axis=0)
    size = found.coef.size // (len(labels) - 1)
    contrast = np.kron(against, np.eye(size))
    coef = contrast @ found.coef
    error = np.sqrt(np.diag(contrast @ found.covariance @ contrast.T))
    half = stats.norm.isf(0.025) * error
    shape = (len(labels) - 1, size)
    return {
        "coef": coef.reshape(shape),
        "se": error.reshape(shape),
        "stat": (coef / error).reshape(shape),
        "p": 2.0 * stats.norm.sf(np.abs(coef / error)).reshape(shape),
        "ci95": np.stack([coef - half, coef + half], axis=-1).reshape(*shape, 2),
        **_measures(found),
    }


def _fit_classes(case):
    model = LogisticRegression(C=np.inf, tol=1e-10, fit_intercept=case.fit_intercept)
    model.fit(case.X, case.y, sample_weight=case.w)
    return model, infer(model, case.X, case.y, sample_weight=case.w)


def _measures(found):
    return {
        "llf": found.log_likelihood,
        "llnull": found.null_log_likelihood,
        "llr": found.lr_statistic,
        "llr_pvalue": found.lr_p_value,
        "prsquared": found.pseudo_r_squared,
        "aic": found.aic,
        "bic": found.bic,
        "deviance": found.deviance,
        "null_deviance": found.null_deviance,
    }


def _stepwise(case):
    order = ForwardStepwiseSelector().fit(case.X, case.y).order_
    seven = order[:7]
    model = LinearRegression().fit(case.X[:, seven], case.y)
    named = [case.names[j] for j in seven]
    coef = dict(zip(["(Intercept)", *named], np.r_[model.intercept_, model.coef_], strict=True))
    return {"forward_order": [case.names[j] for j in order], "coef_fwd7": coef}
