"""daskdsml.

Penalty: `LogisticRegression` and `Ridge` minimise the *summed* loss, with ``||b||**2 / (2 C)`` and,
for twice the loss, ``alpha ||b||**2``. So ``C = 1 / (strength * sum w)`` (``np.inf`` for none) and
``alpha = strength * sum w``.
"""

from __future__ import annotations

import numpy as np

from daskdsml.linear_model import LinearRegression, LogisticRegression, Ridge
from libraries import Fitted, Problem, flat, given

N_JOBS = 2


def estimator(problem: Problem, **options):
    """The unfitted estimator of a problem; ``options`` go to its constructor."""
    if problem.kind == "ols":
        return LinearRegression(fit_intercept=problem.fit_intercept, **options)
    if problem.kind == "ridge":
        alpha = problem.strength * problem.weight
        return Ridge(alpha=alpha, fit_intercept=problem.fit_intercept, **options)
    C = 1.0 / (problem.strength * problem.weight) if problem.strength else np.inf
    return LogisticRegression(C=C, fit_intercept=problem.fit_intercept, n_jobs=N_JOBS, **options)


def fit(problem: Problem, *, solver=None, tol=None, max_iter=None, backend=None) -> Fitted:
    """Fit with the defaults, apart from the options given."""
    options = given(solver=solver, tol=tol, max_iter=max_iter, backend=backend)
    model = estimator(problem, **options).fit(problem.X, problem.y, problem.sample_weight)
    return Fitted(*flat(model.coef_, model.intercept_), int(model.n_passes_), model.converged_)
