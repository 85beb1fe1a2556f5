"""What the cross-validated estimators share: all folds and penalties from one read."""

from __future__ import annotations

import numpy as np

from daskdsml.linear_model._least_squares import minimize
from daskdsml.linear_model.paths import MOST_PASSES, intercepts_of
from daskdsml.losses.penalties.l2 import L2
from daskdsml.passes.loop import Progress
from daskdsml.utils.one_standard_error import RULES
from daskdsml.utils.threads import single_threaded_blas
from daskdsml.utils.validation import check_flag


def fit_folds(model, table, folds, solver, part, specs):
    """Solve ``specs`` on all rows and on the training set of each fold.

    Parameters
    ----------
    model : LinearModel, which publishes how the fit went
    table : Dataset whose rows are labelled with their cells
    folds : `daskdsml.data.folds.Folds`
    solver : str, the name of ``part``
    part : solver of paths
    specs : list of PathSpec

    Returns
    -------
    result : Result
    errors : array (n_specs, n_alphas, n_folds) of mean squared test errors
    """
    splits = [(tuple(train), tuple(test)) for train, test in folds]
    specs = tuple(spec._replace(trains=tuple(train for train, _ in splits)) for spec in specs)
    result, _ = run_paths(model, table, solver, part._replace(specs=specs))
    with single_threaded_blas():
        return result, errors_of_folds(result.paths, specs, splits, model.fit_intercept)


def run_paths(model, table, solver, part, then=None):
    """The result of a solver of paths on a table, and of ``then(rows, result, progress)`` or None.

    What is to be done ``then`` may read the rows once more.
    """
    check_flag(model, "fit_intercept")
    rows, progress = model._open(table, solver), Progress(type(model).__name__, model.verbose)
    try:
        problem = model._problem(table, rows, L2(0.0), solver, progress)
        result = minimize(problem, rows, part, MOST_PASSES, progress)
        more = None if then is None else then(rows, result, progress)
    finally:
        progress.close()
        rows.close()
    model._publish(result, rows, table, result.moments.stats.n_rows, solver)
    return result, more


def errors_of_folds(paths, specs, splits, fit_intercept) -> np.ndarray:
    """Mean squared errors (n_specs, n_alphas, n_folds) on the test rows, by algebra on moments."""
    errors = np.empty((len(specs), len(paths.fits[0][0]), len(splits)))
    for f, (train, test) in enumerate(splits):
        mean, tested = paths.groups.mean_of(train), paths.groups.of(test)
        for i, spec in enumerate(specs):
            coefs = np.stack([fit.coef for fit in paths.fits[i][f + 1]])
            intercepts = intercepts_of(mean, coefs, spec.output) * fit_intercept
            errors[i, :, f] = tested.rss(coefs, intercepts, spec.output) / tested.weight
    return errors


def check_rule(model) -> None:
    """Raise ValueError unless ``rule`` is one of those there are."""
    if model.rule not in RULES:
        raise ValueError(f"Unknown rule {model.rule!r}: expected one of {list(RULES)}.")
