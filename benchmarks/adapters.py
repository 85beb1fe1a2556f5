"""What checkers of certified and published results call: our models in their terms.

``fit(X, y, fit_intercept)`` gives an object with ``coef_``, ``intercept_``, ``bse_`` (intercept
first), ``residual_sd_``, ``r2_`` and ``f_statistic_``. ``adapter(case)`` takes a case with ``kind``
("linear" or "stepwise"), ``X``, ``y``, ``w``, ``names`` and ``fit_intercept``, and gives a dict of
what there is.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from daskdsml.feature_selection import ForwardStepwiseSelector
from daskdsml.inference import infer
from daskdsml.linear_model import LinearRegression


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
    if case.kind == "linear":
        return _linear(case)
    if case.kind == "stepwise":
        return _stepwise(case)
    return None


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


def _stepwise(case):
    order = ForwardStepwiseSelector().fit(case.X, case.y).order_
    seven = order[:7]
    model = LinearRegression().fit(case.X[:, seven], case.y)
    named = [case.names[j] for j in seven]
    coef = dict(zip(["(Intercept)", *named], np.r_[model.intercept_, model.coef_], strict=True))
    return {"forward_order": [case.names[j] for j in order], "coef_fwd7": coef}
