"""Logistic and multinomial regression with penalties chosen by cross-validation."""

from __future__ import annotations

import time

import numpy as np
from sklearn.utils.validation import check_is_fitted

from daskdsml.contracts import Record
from daskdsml.data.dataset import is_dask
from daskdsml.data.folds import assign_folds, partition, stratify
from daskdsml.data.labels import LabelCodes
from daskdsml.linear_model._base import (
    Passes,
    asked_solver,
    dataset_of,
    evaluate,
    predictor_of,
    publish,
)
from daskdsml.linear_model._batched_fits import Search, fit_all, fit_folds, starts_of
from daskdsml.linear_model._classifier import (
    LinearClassifier,
    check_classifier,
    penalty_of,
    publish_classes,
)
from daskdsml.linear_model._grid import (
    Coded,
    FoldCells,
    GridFits,
    LogLossOfScores,
    Prepared,
    Weighted,
    check_every_class,
    check_tests,
    check_weight,
    counts_of,
    in_fold,
    shares_of,
    stratified_folds,
    strengths,
    summed_up,
)
from daskdsml.linear_model._iterative import problem_of, sampler_of, summary_request
from daskdsml.linear_model._kept import kept_passes
from daskdsml.linear_model._least_squares import check_rule
from daskdsml.linear_model._routing import routed, router_of_scores
from daskdsml.linear_model._sample import sample_size
from daskdsml.linear_model._scoring import (
    PredictionScorer,
    asks_for_rows,
    best_by,
    called,
    check_kept,
    check_kind,
    fitted_copy,
    scorer_of,
    scores_on_rows,
)
from daskdsml.linear_model.logistic_regression import LogisticRegression
from daskdsml.losses.penalties.l2 import L2
from daskdsml.metrics._sums import Sums
from daskdsml.metrics.neg_log_loss import NegLogLoss
from daskdsml.passes.evaluate import probabilities
from daskdsml.passes.gathered import group_labels
from daskdsml.passes.scores import Judged, scores
from daskdsml.passes.summary import strata
from daskdsml.utils.one_standard_error import best_and_simplest, best_of
from daskdsml.utils.validation import check_flag, set_parameters

LOG_LOSS = "neg_log_loss"


class LogisticRegressionCV(LinearClassifier):
    """Logistic regression whose penalty is chosen by cross-validation, all models in one go.

    The objective is that of `LogisticRegression`. K folds, all penalties and all shares of L1 are
    trained together: a read of the data evaluates every model that has not converged. Penalties
    start from the optima of a sample, whose Hessians also precondition all fits. With ten rows for
    each parameter, of classes that are not separated, folds start from the fits to all rows:
    typically 10 to 20 reads, whatever the number of models. Otherwise that start would let test
    rows be known, so folds start from nothing: some 50 to 200 reads, most of them for weak
    penalties that leave classes separated, which a smaller largest C saves. The best penalty's fit
    to all rows is one of them: there is no refit.

    Parameters
    ----------
    Cs : int or list of floats
        Inverse strengths of the penalty; an integer stands for that many from 1e-4 to 1e4, on a
        logarithmic scale.
    l1_ratios : list of floats
        Shares of the L1 penalty to try, each from 0 to 1.
    fit_intercept : bool
    cv : int, splitter, iterable of (train, test), or None
        An integer k, or None for 5, stands for k stratified folds, as scikit-learn's
        StratifiedKFold without shuffling makes them, from the labels of any collection. A splitter
        sees the number of rows and, if y is in this process's memory, y.
    dual, intercept_scaling : False, 1
        As for `LogisticRegression`.
    penalty : {"deprecated", "l1", "l2", "elasticnet"}
        Deprecated: "l1" and "l2" stand for ``l1_ratios`` of 1 and 0.
    scoring : str, callable (estimator, X, y) or None
        Any score of classes of scikit-learn or `daskdsml.metrics`, the greater the better, weighted
        by ``sample_weight``; None for "accuracy". All but the log loss cost one read more. Names
        that are not in `daskdsml.metrics` and what ``make_scorer`` returns keep the raw scores of
        all test rows in memory. Other callables are called with each model and its test rows,
        those of a Dask collection as Dask Arrays.
    solver : {"auto"}
        L-BFGS with the Hessian of a sample for squares alone, proximal Newton with L1.
        scikit-learn's names stand for "auto": the optimum is the same. "liblinear" penalises the
        intercept, and is refused.
    tol : float
        KKT residual at which each model is done, as for `LogisticRegression`.
    max_iter : int
        Most steps of each model: see `LogisticRegression`.
    class_weight : dict, "balanced" or None
        As for `LogisticRegression`; "balanced" counts all rows.
    n_jobs, verbose, random_state, cache, backend, checkpoint
        As for `LogisticRegression`.
    refit : bool
        True: the coefficients are those of the fit to all rows with the best mean score; False:
        the mean over folds of the coefficients that are best in each.
    rule : {"min", "1se"}
        Whether the best mean score chooses, or the strongest penalty whose mean score is within one
        standard error of the best, which needs ``refit``.
    use_legacy_attributes : False
        Attributes have the shapes that scikit-learn 1.10 will give them by default.

    Attributes
    ----------
    classes_ : array (K,)
    coef_ : array (1, p) of two classes, (K, p) of more
    intercept_ : array (1,) or (K,)
    C_, l1_ratio_ : float, those chosen (means over folds without ``refit``)
    C_1se_ : float
        The strongest penalty within one standard error of the best score, of the same l1_ratio.
    Cs_ : array (n_cs,), ascending; l1_ratios_ : array (n_l1_ratios,), as given
    scores_ : array (n_folds, n_l1_ratios, n_cs)
    coefs_paths_ : array (n_folds, n_l1_ratios, n_cs, 1 or K, p + 1)
        Parameters of all models, the intercept last (left out if there is none).
    residuals_ : array (n_folds, n_l1_ratios, n_cs)
        KKT residual of each model.
    n_iter_ : array (n_folds, n_l1_ratios, n_cs)
    n_passes_, converged_, history_, solver_, n_features_in_, feature_names_in_
        As for `LogisticRegression`.

    References
    ----------
    Hastie, T., Tibshirani, R. and Friedman, J. (2009). The Elements of Statistical Learning, 2nd
    ed., section 7.10.
    """

    _label = "logistic-cv"
    _likelihood = "categorical"
    _solvers = ()
    _equivalent_solvers = dict.fromkeys(
        ("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga"), "auto"
    )
    warm_start = False

    def __init__(
        self,
        *,
        Cs=10,
        l1_ratios=(0.0,),
        fit_intercept=True,
        cv=None,
        dual=False,
        penalty="deprecated",
        scoring=LOG_LOSS,
        solver="auto",
        tol=1e-4,
        max_iter=100,
        class_weight=None,
        n_jobs=None,
        verbose=False,
        refit=True,
        intercept_scaling=1,
        random_state=None,
        use_legacy_attributes=False,
        rule="min",
        cache="auto",
        backend="auto",
        checkpoint=None,
    ):
        set_parameters(self, locals())

    def fit(self, X, y, sample_weight=None, **params):
        """Fit all models, and keep the best.

        Parameters and warnings are those of `LogisticRegression.fit`, and with scikit-learn's
        metadata routing what the splitter asks for. A ValueError also tells of a class without a
        row in the training set of a fold, and of a test set without a score.
        """
        Cs, shares = self._check_parameters()
        route = routed(self, sample_weight, params)
        scorer = self._scorer(route.weighted)
        n_folds = stratified_folds(self.cv)
        known = n_folds is None or asks_for_rows(scorer)
        table = dataset_of(self, X, y, sample_weight, labels=True, known_rows=known)
        folds = None
        if n_folds is None:
            here = None if is_dask(y) else np.ravel(y)
            table, folds = assign_folds(table, self.cv, here, **route.split)
        with kept_passes(self, table) as passes:
            n_settings = len(Cs) * len(shares)
            cells = self._cells(table, passes, n_folds, folds, scorer, n_settings)
            fitted = self._fits(table, passes, cells, Cs, shares)
            judged = table if route.weighted else table._replace(w=None)
            test_scores = self._test_scores(passes, judged, cells, fitted, scorer)
        self.Cs_, self.l1_ratios_ = Cs, shares
        self._publish_all(cells, fitted, test_scores)
        n_passes = passes.n_passes(cells.summary.stats.n_rows, table)
        solver = "proximal_newton" if shares.any() else "lbfgs"
        publish(self, summed_up(fitted, passes.progress), n_passes, solver)
        return self

    def get_metadata_routing(self):
        """What of a fit goes to the splitter and to the scorer: a MetadataRouter."""
        return router_of_scores(self, "accuracy", ("fit", "score"), classifier=True)

    def _cells(self, table, passes, n_folds, folds, scorer, n_settings) -> FoldCells:
        """The first pass, after which rows have class codes and cells of folds."""
        request = summary_request(self, table, sample_size(table, all_rows=True), labels=True)
        summary, blocks = passes.summarize(self, request, strata)
        self._family().check(summary)
        labels = summary.labels
        if n_folds is None:
            cell_of, counts = None, counts_of(labels, blocks, folds.train.shape[1])
        else:
            cell_of, counts = stratify(labels, blocks, n_folds)
            folds = partition(n_folds)
        check_every_class(labels, counts @ folds.train.T)
        tested = counts @ folds.test.T
        if isinstance(scorer, PredictionScorer):
            check_kept(int(tested.sum()) * n_settings * len(labels), self.scoring)
        elif not asks_for_rows(scorer):
            check_tests(scorer, labels, tested)
        passes.encode(Prepared(cell_of, LabelCodes(labels)))
        return FoldCells(summary, folds)

    def _fits(self, table, passes: Passes, cells, Cs, shares) -> GridFits:
        """The results of all rows and of folds, for each share of L1 and each C."""
        family, summary = self._family(), cells.summary
        loss, weight = family.loss_of(summary), family.weight(summary)
        problem = problem_of(self, loss, L2(0.0), weight, table, summary)
        problem = problem._replace(train=np.ones(cells.folds.train.shape[1]))
        theta = family.null(problem, summary)
        size, codes = sample_size(table, all_rows=True), family.codes(summary)
        sampler = sampler_of(self, table, summary, codes, size)
        sample = sampler()
        sample = sample if sample is not None and sampler.covers(sample) else None
        weights = family.weights(summary)
        rows = passes.rows if weights is None else Weighted(passes.rows, np.asarray(weights))
        starts = []
        for ratio in shares:
            penalties = [penalty_of(1.0 / (C * weight), ratio) for C in Cs]
            starts += starts_of(problem, sample, penalties, theta)
        settings = [(r, C) for r in shares for C in Cs]
        penalties = [penalty_of(1.0 / (C * weight), r) for r, C in settings]
        n_models = len(penalties) * len(cells.folds.train)
        search = Search.of(problem, table, sample, theta, n_models, self.tol, self.max_iter)
        whole, solvers = fit_all(search, rows, penalties, starts, passes.progress)
        cell_weights = whole[0].cells[1]
        folds = []
        for fold, train in enumerate(cells.folds.train.astype(float)):
            weight = float(train @ cell_weights)
            check_weight(fold, weight)
            penalties = [penalty_of(1.0 / (C * weight), r) for r, C in settings]
            folds.append((train, weight, penalties))
        by_fold = fit_folds(search, rows, folds, starts, whole, solvers, passes.progress)
        return GridFits(problem, whole, by_fold).unshifted()

    def _test_scores(self, passes, table, cells, fitted, scorer):
        """Scores (n_folds, L) on the test sets: from the last pass of each model, or one more."""
        labels = cells.summary.labels
        if asks_for_rows(scorer):
            (of_rows,) = passes.rows.run(group_labels, None, f"{self._label}-folds").parts
            models = [[self._model(fitted, r, labels) for r in fold] for fold in fitted.folds]
            return scores_on_rows(scorer, models, table, of_rows, cells.folds)
        metric = scorer
        if isinstance(scorer, PredictionScorer):
            metric = scorer._replace(classes=labels)
        if isinstance(scorer, NegLogLoss) and self.class_weight is not None:
            metric = LogLossOfScores()
        if isinstance(scorer, NegLogLoss) and self.class_weight is None:
            sums = np.array([[result.cells for result in fold] for fold in fitted.folds])
            losses = np.einsum("flcg,fg->flc", sums, cells.folds.test) * [-1.0, 1.0]
            totals = [Sums(pair) for pair in losses.reshape(-1, 2)]
        else:
            totals = self._counts(passes, cells, fitted, metric)
        values = np.empty((len(fitted.folds), len(fitted.whole)))
        for (fold, setting), total in zip(np.ndindex(values.shape), totals, strict=True):
            with in_fold(fold):
                values[fold, setting] = metric.value(total)
        return values

    def _model(self, fitted, result, labels):
        """The classifier with the parameters of a result."""
        coef, intercept = fitted.problem.by_output(result.theta)
        return fitted_copy(LogisticRegression(), coef, intercept, labels)

    def _counts(self, passes, cells, fitted, metric):
        """What the metric counts for each model of each fold on its test set, in one read."""
        start = time.perf_counter()
        thetas = [result.theta for fold in fitted.folds for result in fold]
        by_output = [fitted.problem.by_output(theta) for theta in thetas]
        judged = Judged(
            metric,
            probabilities,
            len(cells.summary.labels),
            np.stack([coef for coef, _ in by_output]),
            np.stack([intercept for _, intercept in by_output]),
            np.repeat(cells.folds.test, len(fitted.whole), axis=0).T,
        )
        total = passes.rows.run(scores, judged, f"{self._label}-scores")
        seconds = time.perf_counter() - start
        passes.progress.add(Record("scores", seconds, models=len(thetas)))
        return total.totals

    def _publish_all(self, cells, fitted, test_scores) -> None:
        """Scores, paths, and the model that is chosen."""
        grid = (len(test_scores), len(self.l1_ratios_), len(self.Cs_))
        every = [result for fold in fitted.folds for result in fold]
        K = fitted.problem.n_outputs
        self.scores_ = test_scores.reshape(grid)
        self.coefs_paths_ = np.array([r.theta for r in every]).reshape(*grid, K, -1)
        self.residuals_ = np.array([r.gradient_norm for r in every]).reshape(grid)
        self.n_iter_ = np.array([r.n_iter for r in every], dtype=np.int32).reshape(grid)
        mean = self.scores_.mean(axis=0)
        ratio, best = np.unravel_index(best_by(self.scoring, mean), mean.shape)
        _, near = best_and_simplest(self.scores_[:, ratio].T)
        self.C_1se_ = float(self.Cs_[near])
        chosen = near if self.rule == "1se" else best
        if self.refit:
            self.C_, self.l1_ratio_ = float(self.Cs_[chosen]), float(self.l1_ratios_[ratio])
            thetas = fitted.whole[ratio * len(self.Cs_) + chosen].theta.reshape(K, -1)
        else:
            winners = [np.unravel_index(best_of(s), s.shape) for s in self.scores_]
            self.C_ = float(np.mean([self.Cs_[c] for _, c in winners]))
            self.l1_ratio_ = float(np.mean([self.l1_ratios_[r] for r, _ in winners]))
            thetas = np.mean(
                [self.coefs_paths_[f, r, c] for f, (r, c) in enumerate(winners)], axis=0
            )
        publish_classes(self, cells.summary.labels, thetas)

    def score(self, X, y, sample_weight=None) -> float:
        """The score named by ``scoring``, by weight; one pass over X and y.

        A label that is none of ``classes_`` is wrong for "accuracy"; other scores refuse it.
        """
        check_is_fitted(self)
        predictor = predictor_of(self)
        metric = self._scorer()
        if asks_for_rows(metric):
            w = None if sample_weight is None else np.asarray(sample_weight)
            return called(metric, self, X, np.asarray(y), w)
        if isinstance(metric, PredictionScorer):
            metric = metric._replace(classes=self.classes_)
        judged = Judged(
            metric,
            probabilities,
            len(self.classes_),
            predictor.coef[None],
            predictor.intercept[None],
            np.ones((1, 1)),
        )
        total = evaluate(self, Coded(self.classes_), judged, X, y, sample_weight, labels=True)
        return metric.value(total.totals[0])

    def _check_parameters(self):
        """Penalties and shares of L1."""
        check_classifier(self)
        check_flag(self, "refit")
        check_rule(self)
        if self.rule == "1se" and not self.refit:
            raise ValueError(
                "rule='1se' needs refit=True: without it each fold has a penalty of its own, and "
                "the score of one fold has no standard error. Set refit=True or rule='min'."
            )
        asked_solver(self)
        if self.use_legacy_attributes is not False:
            raise ValueError(
                f"use_legacy_attributes must be False, got {self.use_legacy_attributes!r}: scores_ "
                "and coefs_paths_ are arrays, with folds first, as scikit-learn 1.10 will have "
                "them."
            )
        self._scorer()
        return strengths(self.Cs), shares_of(self)

    def _scorer(self, weighted=True):
        """What scores models: a metric, or a callable that asks for rows."""
        name = "accuracy" if self.scoring is None else self.scoring
        scorer = scorer_of(name, LogisticRegression(), weighted)
        check_kind(scorer, name, regression=False)
        return scorer
