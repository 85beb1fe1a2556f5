"""dask-ml (its solvers are dask-glm's).

Penalty: the summed loss with ``||b||**2 / (2 C)``, so ``C = 1 / (strength * n)``; but ``b`` are the
coefficients of standardised columns, the intercept is penalised with them, and "newton" has no
penalty at all. So figures compare on columns of unit spread, where this shifts the optimum little;
gradient norms on our objective show by how much. It takes no weights and reports no convergence.
"""

from __future__ import annotations

import numpy as np
from dask_ml.linear_model import LinearRegression, LogisticRegression

from libraries import Fitted, Problem, flat, given

SOLVERS = ("newton", "lbfgs", "admm")


def fit(problem: Problem, *, solver=None, tol=None, max_iter=None) -> Fitted:
    """Fit with the defaults (solver "admm"), apart from the options given."""
    if problem.sample_weight is not None:
        raise ValueError("dask-ml takes no sample_weight. Leave it None.")
    Model = LogisticRegression if problem.kind == "logistic" else LinearRegression
    model = Model(
        C=1.0 / (problem.strength * problem.weight) if problem.strength else np.inf,
        fit_intercept=problem.fit_intercept,
        **given(solver=solver, tol=tol, max_iter=max_iter),
    )
    model.fit(problem.X, problem.y)
    return Fitted(*flat(model.coef_, model.intercept_), None, None)
