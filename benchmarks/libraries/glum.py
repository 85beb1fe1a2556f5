"""glum.

Penalty: half the mean unit deviance with ``alpha / 2 ||b||**2``. Half the unit deviance is the half
squared error of the normal family and minus the log likelihood of the binomial one, so
``alpha = strength``.
"""

from __future__ import annotations

import warnings

import numpy as np
from glum import GeneralizedLinearRegressor
from sklearn.exceptions import ConvergenceWarning

from libraries import Fitted, Problem, flat, given


def fit(problem: Problem, *, solver=None, tol=None, max_iter=None) -> Fitted:
    """Fit with the defaults, apart from the options given."""
    model = GeneralizedLinearRegressor(
        family="binomial" if problem.kind == "logistic" else "normal",
        alpha=problem.strength,
        l1_ratio=0,
        fit_intercept=problem.fit_intercept,
        **given(solver=solver, gradient_tol=tol, max_iter=max_iter),
    )
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model.fit(problem.X, np.asarray(problem.y, dtype=float), problem.sample_weight)
    failed = any(issubclass(w.category, ConvergenceWarning) for w in seen)
    return Fitted(*flat(model.coef_, model.intercept_), int(model.n_iter_), not failed)
