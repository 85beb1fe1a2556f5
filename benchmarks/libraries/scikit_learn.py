"""scikit-learn.

Penalty: the summed loss with ``||b||**2 / (2 C)`` (`LogisticRegression`), twice the summed loss
with ``alpha ||b||**2`` (`Ridge`). So ``C = 1 / (strength * sum w)`` and
``alpha = strength * sum w``. Its ``tol`` bounds the largest gradient entry of the mean objective,
as ours does for columns of unit spread.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from libraries import Fitted, Problem, flat, given

# sag, saga and liblinear are left out: they visit rows one by one and take far longer on this data.
SOLVERS = ("lbfgs", "newton-cg", "newton-cholesky")


def estimator(problem: Problem, **options):
    """The unfitted estimator of a problem; ``options`` go to its constructor."""
    if problem.kind == "ols":
        return LinearRegression(fit_intercept=problem.fit_intercept)
    if problem.kind == "ridge":
        alpha = problem.strength * problem.weight
        return Ridge(alpha=alpha, fit_intercept=problem.fit_intercept, **options)
    C = 1.0 / (problem.strength * problem.weight) if problem.strength else np.inf
    return LogisticRegression(C=C, fit_intercept=problem.fit_intercept, **options)


def fit(problem: Problem, *, solver=None, tol=None, max_iter=None) -> Fitted:
    """Fit with the defaults, apart from the options given."""
    model = estimator(problem, **given(solver=solver, tol=tol, max_iter=max_iter))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model.fit(problem.X, problem.y, problem.sample_weight)
    failed = any(issubclass(w.category, ConvergenceWarning) for w in seen)
    n_iter = getattr(model, "n_iter_", None)
    n_iter = None if n_iter is None else int(np.max(n_iter))
    return Fitted(*flat(model.coef_, model.intercept_), n_iter, not failed)
