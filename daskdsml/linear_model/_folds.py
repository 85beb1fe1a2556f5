"""Paths of squared error on the training sets of folds, and how they do on the test sets."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from daskdsml.contracts import Paths, Record
from daskdsml.data.validation import warn_of_one_row
from daskdsml.linear_model._base import publish
from daskdsml.linear_model._least_squares import MOST_PASSES, intercepts_of, n_outputs_of, solve
from daskdsml.linear_model._scoring import PredictionScorer, check_kept
from daskdsml.losses.penalties.l2 import L2
from daskdsml.passes.scores import Judged, scores
from daskdsml.solvers._moments import rounded_spread
from daskdsml.utils.threads import single_threaded_blas
from daskdsml.utils.validation import check_flag


def fit_folds(estimator, table, folds, name, solver, specs, judge=None):
    """The result of ``specs`` on all rows and on the training set of each of ``folds``, published.

    Also mean squared test errors (n_specs, n_alphas, n_folds), and what ``judge(passes, tests)``
    says of a `FoldTests`; it may read the rows once more. Rows of the table are labelled with their
    cells.
    """
    check_flag(estimator, "fit_intercept")
    if name != "working_set":
        folds.check_moments(table.n_features + n_outputs_of(table))
    splits = [(tuple(train), tuple(test)) for train, test in folds]
    specs = tuple(spec._replace(trains=tuple(train for train, _ in splits)) for spec in specs)
    solver = solver._replace(specs=specs)

    def tested(passes, result):
        tests = FoldTests(result.paths, specs, splits, estimator.fit_intercept)
        with single_threaded_blas():
            errors = tests.errors()
        return errors, None if judge is None else judge(passes, tests, errors)

    result, n_passes, told = solve(estimator, table, solver, L2(0.0), MOST_PASSES, then=tested)
    publish(estimator, result, n_passes, name)
    return result, *told


class FoldTests(NamedTuple):
    """The paths of ``specs`` on training sets, and how they do on the test sets of ``splits``.

    A split is a pair (labels of the training rows, labels of the test rows).
    """

    paths: Paths
    specs: tuple
    splits: list
    fit_intercept: bool

    def models(self):
        """Coefficients (n_specs, n_alphas, p) and intercepts (n_specs, n_alphas) of each fold."""
        for f, (train, _) in enumerate(self.splits):
            mean = self.paths.groups.mean_of(train)
            coefs = np.array([[fit.coef for fit in sets[f + 1]] for sets in self.paths.fits])
            pairs = zip(coefs, self.specs, strict=True)
            intercepts = np.array([intercepts_of(mean, own, spec.output) for own, spec in pairs])
            yield coefs, intercepts * self.fit_intercept

    def errors(self) -> np.ndarray:
        """Mean squared errors (n_specs, n_alphas, n_folds) by algebra on moments."""
        errors = np.empty((len(self.specs), len(self.paths.fits[0][0]), len(self.splits)))
        for f, (coefs, intercepts) in enumerate(self.models()):
            tested = self.paths.groups.of(self.splits[f][1])
            for i, spec in enumerate(self.specs):
                rss = tested.rss(coefs[i], intercepts[i], spec.output)
                errors[i, :, f] = rss / tested.weight
        return errors

    def r2(self, errors) -> np.ndarray:
        """Coefficients of determination of these ``errors``, of their shape.

        Of a test set in which y does not vary it is 1 if nothing is missed, and else 0; of one row
        it is NaN, with a warning, as scikit-learn's.
        """
        scores = np.empty_like(errors)
        for f, (_, test) in enumerate(self.splits):
            tested = self.paths.groups.of(test)
            if tested.stats.n_rows < 2:
                scores[:, :, f] = np.nan
                continue
            for i, spec in enumerate(self.specs):
                k = len(tested.mean) - len(self.specs) + spec.output
                floor = rounded_spread(tested.mean[k], 1.0, tested.stats.n_rows)
                varies = tested.cross[k, k] / tested.weight > floor
                share = errors[i, :, f] * tested.weight / (tested.cross[k, k] if varies else 1.0)
                exact = np.where(errors[i, :, f] <= floor, 1.0, 0.0)
                scores[i, :, f] = 1.0 - share if varies else exact
        warn_of_one_row(
            scores,
            "No mean over folds is greater than the first, so the first alpha is taken. Use "
            "scoring='neg_mean_squared_error', or fewer folds.",
        )
        return scores


def scores_of_predictions(passes, tests: FoldTests, folds, scorer, label) -> np.ndarray:
    """Scores (n_alphas, n_folds) by a metric of predictions, averaged over outputs; one read."""
    start = time.perf_counter()
    models = list(tests.models())
    coefs = np.stack([coef for coef, _ in models])
    intercepts = np.stack([intercept for _, intercept in models])
    n_folds, n_outputs, m, p = coefs.shape
    coefs, intercepts = coefs.swapaxes(1, 2), intercepts.swapaxes(1, 2)
    outputs = None
    if isinstance(scorer, PredictionScorer):
        groups = tests.paths.groups.groups
        n_tested = sum(groups[k].stats.n_rows for _, test in tests.splits for k in test)
        check_kept(n_tested * m * n_outputs, scorer.scorer)
    elif n_outputs > 1:
        outputs = np.tile(np.arange(n_outputs), n_folds * m)
    width = n_outputs if outputs is None else 1
    coefs, intercepts = coefs.reshape(-1, width, p), intercepts.reshape(-1, width)
    test = np.repeat(folds.test, len(coefs) // n_folds, axis=0).T
    judged = Judged(scorer, None, 0, coefs, intercepts, test, outputs)
    total = passes.rows.run(scores, judged, label)
    values = np.array([scorer.value(counted) for counted in total.totals])
    passes.progress.add(Record("scores", time.perf_counter() - start, models=len(coefs)))
    return values.reshape(n_folds, m, -1).mean(axis=2).T
