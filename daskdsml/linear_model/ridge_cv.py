"""Ridge regression with its penalty chosen by cross-validation."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import get_scorer

from daskdsml.contracts import PathSpec
from daskdsml.data.folds import assign_folds
from daskdsml.linear_model._base import LARGEST_GRAM, LinearRegressor, dataset_of, passes_over
from daskdsml.linear_model._few_rows import has_few_rows, in_memory
from daskdsml.linear_model._folds import fit_folds, scores_of_predictions
from daskdsml.linear_model._least_squares import check_rule, intercepts_of, n_outputs_of
from daskdsml.linear_model._leave_one_out import KeptSquares, leave_rows_out
from daskdsml.linear_model._routes import rotated, suits_rotation
from daskdsml.linear_model._routing import routed, router_of_scores
from daskdsml.linear_model._scoring import (
    PredictionScorer,
    asks_for_rows,
    best_by,
    check_kept,
    check_kind,
    fitted_copy,
    scorer_of,
    scores_on_rows,
)
from daskdsml.linear_model.paths import checked_alphas
from daskdsml.linear_model.ridge import Ridge
from daskdsml.passes.leave_one_out import Judge
from daskdsml.solvers.paths.eigen import Eigen
from daskdsml.utils.one_standard_error import best_and_simplest
from daskdsml.utils.validation import check_flag, set_parameters

MSE, R2 = "neg_mean_squared_error", "r2"


class RidgeCV(LinearRegressor):
    """Ridge regression whose penalty is chosen by cross-validation, in one read or two.

    With folds, one read gives the moments of each; one eigendecomposition for each training set
    then gives the whole path, and the error on a test set is a quadratic form in its moments. With
    ``cv=None`` each row is left out in turn: a second read gives the errors of all rows under all
    penalties. Where rows are at most twice as many as columns, one read takes them into memory, and
    a singular value decomposition gives errors that keep their digits however small a penalty is.

    The objective is that of `Ridge`; ``alpha`` is against the summed squared error of the training
    rows, also within folds.

    Parameters
    ----------
    alphas : array (m,) or float
        Strengths of the penalty to try, or the only one; above 0, or with folds at it.
    fit_intercept : bool
        Whether to fit an intercept, which is not penalised.
    scoring : str, callable (estimator, X, y) or None
        Any score of scikit-learn or `daskdsml.metrics`, by rows' weights; None for the mean squared
        error of rows left out in turn, and R² of folds. "r2" and "neg_mean_squared_error" of folds
        cost no read, others one more. Names that are not in `daskdsml.metrics` and what
        ``make_scorer`` returns keep all predictions in memory. Other callables are called with
        each model and its test rows, of a Dask collection X as a Dask Array and y as a NumPy array;
        where rows are left out in turn, with a model whose ``predict`` returns its argument, the
        predictions.
    cv : int, splitter, iterable of (train, test), or None
        An integer k stands for k runs of consecutive rows, None for leaving out each row in turn.
    gcv_mode : {None, "auto", "svd", "eigen"}
        The decomposition follows the shape of the data, so every value has the same effect.
    store_cv_results : bool
        Whether to keep ``cv_results_`` of rows left out in turn: an array of all rows.
    alpha_per_target : bool
        Whether each column of y has an alpha of its own (``cv=None`` only).
    rule : {"min", "1se"}
        "min" takes the alpha of the best mean score, "1se" the largest whose score is within one
        standard error of that (with folds only).
    cache, backend, verbose
        As for `Ridge`.

    Attributes
    ----------
    alpha_ : float, or array (K,) for ``alpha_per_target``
        The alpha chosen; with folds, ``alpha_min_`` and ``alpha_1se_`` are those of the two rules.
    best_score_ : float, or array (K,) for ``alpha_per_target``
        The score of ``alpha_``: of folds the mean. For ``scoring=None`` and ``cv=None`` it is minus
        the weighted squared error, summed and divided by the number of rows.
    cv_results_ : array (n, m) or (n, K, m), for ``store_cv_results``
        Weighted squared errors of rows left out, or with ``scoring`` their predictions, for
        ``alphas`` in the order given.
    alphas_ : array (m,), in descending order
    mse_path_ : array (m, n_folds), or (m, 1) for ``cv=None``
        Mean squared test errors, averaged over outputs.
    score_path_ : array (m, n_folds), for ``cv=None`` (m, 1), or (m, K) for ``alpha_per_target``
        The scores, the greater the better, whose best mean over folds ``best_score_`` is.
    coef_path_ : array (p, m) or (K, p, m)
        Coefficients on all rows along ``alphas_``.
    coef_ : array (p,) or (K, p), float64
    intercept_ : float64 or array (K,)
    n_passes_ : int
        Complete reads of X, counted where blocks are read.
    converged_ : bool
    solver_ : str
        "eigen", or "svd" of few rows.
    history_ : list of `daskdsml.contracts.Record`, one a pass
    n_features_in_ : int
    feature_names_in_ : array (p,) of str, where X has names

    References
    ----------
    Golub, G. H., Heath, M. and Wahba, G. (1979). Generalized cross-validation as a method for
    choosing a good ridge parameter. Technometrics 21(2), 215-223.
    """

    coef_path_: np.ndarray

    _label = "ridge-cv"
    _likelihood = "normal"
    _multi_output = True

    def __init__(
        self,
        alphas=(0.1, 1.0, 10.0),
        *,
        fit_intercept=True,
        scoring=None,
        cv=None,
        gcv_mode=None,
        store_cv_results=False,
        alpha_per_target=False,
        rule="min",
        cache="auto",
        backend="auto",
        verbose=False,
    ):
        set_parameters(self, locals())

    def fit(self, X, y, sample_weight=None, **params):
        """Fit all paths, choose and keep the chosen model; as `LassoCV.fit`, of one output or more.

        X may have 4096 columns, or more if it has at most as many rows, in memory or of 128 MiB.
        """
        alphas = self._check_parameters()
        route = routed(self, sample_weight, params)
        scorer = self._scorer(route.weighted)
        table = dataset_of(self, X, y, sample_weight, multi_output=True, known_rows=True)
        n_axes = table.y.ndim
        if n_outputs_of(table) == 1 and n_axes == 2:
            table = table._replace(y=table.y[:, 0])
        if self.cv is None:
            self._leave_one_out(table, alphas, scorer, n_axes)
        else:
            self._cross_validate(table, alphas, scorer, n_axes, route)
        return self

    def get_metadata_routing(self):
        """What of a fit goes to the splitter and to the scorer: a MetadataRouter."""
        return router_of_scores(self, self._default_score)

    @property
    def _default_score(self) -> str:
        return MSE if self.cv is None else R2

    def _check_parameters(self):
        """Strengths in descending order."""
        check_rule(self)
        check_flag(self, "fit_intercept", "store_cv_results", "alpha_per_target")
        if self.gcv_mode not in (None, "auto", "svd", "eigen"):
            raise ValueError(
                f"gcv_mode must be None, 'auto', 'svd' or 'eigen', got {self.gcv_mode!r}; all have "
                "the same effect."
            )
        if self.rule == "1se" and self.cv is None:
            raise ValueError(
                "rule='1se' needs the standard error of the mean over folds, but cv=None leaves "
                "out one row at a time. Use cv=5 or more, or rule='min'."
            )
        for name in ("store_cv_results", "alpha_per_target"):
            if self.cv is not None and getattr(self, name):
                raise ValueError(
                    f"cv!=None and {name}=True are incompatible: {name} is for rows left out in "
                    "turn. Set cv=None."
                )
        alphas = np.atleast_1d(self.alphas)
        good = alphas.dtype.kind in "fiu" and (alphas >= 0).all()
        if not good or (self.cv is None and not (alphas > 0).all()):
            raise ValueError(
                "alphas must be an array of strengths above 0 (with folds also 0), for instance "
                f"numpy.geomspace(1e-3, 1e3, 50), got {self.alphas!r}."
            )
        return checked_alphas(alphas)

    def _scorer(self, weighted):
        """A metric or a callable, or the name of a score that errors in memory tell."""
        if self.cv is None and self.scoring is None:
            return self._default_score
        if self.cv is not None and weighted and self.scoring in (None, MSE, R2):
            return self.scoring or self._default_score
        scorer = scorer_of(self.scoring, Ridge(), weighted)
        check_kind(scorer, self.scoring, regression=True)
        if self.cv is None and asks_for_rows(scorer):
            return PredictionScorer(scorer, Ridge(), weighted=weighted)
        return scorer

    def _leave_one_out(self, table, alphas, scorer, n_axes) -> None:
        """Choose by the errors on rows left out in turn."""
        if not has_few_rows(table):
            check_columns(table)
        judge = self._judge(scorer, table, len(alphas))
        found = leave_rows_out(self, table, alphas, judge)
        total, m = found.total, len(alphas)
        by_target = -total.squares / table.n_rows
        if scorer != MSE:
            values = [judge.metric.value(counted) for counted in total.totals]
            by_target = np.reshape(values, (m, -1))
        if self.store_cv_results:
            kept = judge.metric.kept(total.totals).reshape(table.n_rows, m, -1)
            kept = np.moveaxis(kept, 1, 2)[:, :, self._places()]
            self.cv_results_ = kept[:, 0] if n_axes == 1 else kept
        if not self.alpha_per_target:
            by_target = by_target.mean(axis=1, keepdims=True)
        errors = total.squares.mean(axis=1, keepdims=True) / found.weight
        self._publish_best(alphas, found.coefs, found.intercepts, errors, by_target, n_axes)

    def _judge(self, scorer, table, m) -> Judge:
        """What is to be counted of rows left out, beside their squared errors."""
        n_outputs = n_outputs_of(table)
        metric = None if scorer == MSE else scorer
        if self.store_cv_results and metric is None:
            metric = KeptSquares()
        elif self.store_cv_results and not isinstance(metric, PredictionScorer):
            metric = PredictionScorer(get_scorer(self.scoring), Ridge())
        if isinstance(metric, PredictionScorer | KeptSquares):
            check_kept(table.n_rows * m * n_outputs, self.scoring)
        together = isinstance(metric, PredictionScorer) and not self.alpha_per_target
        if together and n_outputs > 1:
            return Judge(metric, (slice(None),))
        return Judge(metric, () if metric is None else tuple(range(n_outputs)))

    def _cross_validate(self, table, alphas, scorer, n_axes, route) -> None:
        """Choose by the scores of folds."""
        if not table.is_local and has_few_rows(table):
            with passes_over(self, table) as passes:
                table = in_memory(self, passes)._replace(extra_reads=1 + table.extra_reads)
        table, folds = assign_folds(table, self.cv, **route.split)
        given, rotation = table if route.weighted else table._replace(w=None), None
        if suits_rotation(table, LARGEST_GRAM):
            table, rotation = rotated(table, self.fit_intercept)
        check_columns(table)
        specs = [PathSpec(alphas, 0.0, output=k, summed=True) for k in range(n_outputs_of(table))]

        def judge(passes, tests, errors):
            if scorer in (MSE, R2):
                return (-errors if scorer == MSE else tests.r2(errors)).mean(axis=0)
            if not asks_for_rows(scorer):
                label = f"{self._label}-scores"
                return scores_of_predictions(passes, tests, folds, scorer, label)
            models = [self._models(*_turned(*fold, rotation)) for fold in tests.models()]
            return scores_on_rows(scorer, models, given, np.asarray(given.g), folds).T

        result, errors, scored = fit_folds(self, table, folds, "eigen", Eigen(), specs, judge)
        means = result.moments.mean
        coefs = np.array([[fit.coef for fit in sets[0]] for sets in result.paths.fits])
        intercepts = np.array([intercepts_of(means, coef, k) for k, coef in enumerate(coefs)])
        coefs, intercepts = _turned(coefs, intercepts * self.fit_intercept, rotation)
        self._publish_best(alphas, coefs, intercepts, errors.mean(axis=0), scored, n_axes)

    def _models(self, coefs, intercepts) -> list:
        """Fitted models of the penalties of ``coefs (K, m, p)``."""
        one = len(coefs) == 1
        ridge = Ridge(fit_intercept=self.fit_intercept)
        return [
            fitted_copy(ridge, coefs[0, i] if one else coefs[:, i], intercepts[:, i])
            for i in range(coefs.shape[1])
        ]

    def _places(self) -> np.ndarray:
        """Where each alpha, in the order given, is among those in descending order."""
        return np.argsort(np.argsort(-np.atleast_1d(self.alphas), kind="stable"), kind="stable")

    def _publish_best(self, alphas, coefs, intercepts, errors, scored, n_axes) -> None:
        """Publish the paths and the chosen models.

        ``coefs (K, m, p)``, ``intercepts (K, m)``; ``scored`` is (m, n_folds), or (m, 1) or (m, K)
        of rows left out.
        """
        self.alphas_, self.mse_path_, self.score_path_ = np.array(alphas), errors, scored
        places = self._places()
        means = scored if self.cv is None else scored.mean(axis=1, keepdims=True)
        chosen = places[best_by(self.scoring, means[places], axis=0)]
        if self.cv is not None:
            minimum, one_se = int(chosen[0]), best_and_simplest(scored)[1]
            self.alpha_min_, self.alpha_1se_ = self.alphas_[minimum], self.alphas_[one_se]
            chosen = np.array([one_se]) if self.rule == "1se" else chosen
        several = self.alpha_per_target and len(coefs) > 1
        best = means[chosen, np.arange(len(chosen))]
        self.alpha_ = self.alphas_[chosen] if several else self.alphas_[chosen[0]]
        self.best_score_ = best if several else best[0]
        of_each = np.broadcast_to(chosen, len(coefs))
        outputs = np.arange(len(coefs))
        path = np.moveaxis(coefs, 1, 2)
        self.coef_path_ = path if len(path) > 1 else path[0]
        self.coef_ = coefs[outputs, of_each] if len(coefs) > 1 else coefs[0, of_each[0]].copy()
        intercept = intercepts[outputs, of_each]
        if not self.fit_intercept:
            self.intercept_ = 0.0
        else:
            self.intercept_ = intercept if n_axes == 2 else intercept[0]


def check_columns(table) -> None:
    """Raise ValueError if a table has too many columns for p x p moments."""
    if table.n_features > LARGEST_GRAM:
        raise ValueError(
            f"RidgeCV takes up to {LARGEST_GRAM} columns, whose p x p moments it needs, or more of "
            f"at most as many rows, in memory or of 128 MiB, but X has {table.n_features} columns. "
            "Use GridSearchCV with Ridge(solver='lbfgs')."
        )


def _turned(coefs, intercepts, rotation):
    """Coefficients (K, m, p) and intercepts (K, m) of the columns of X, from rotated columns."""
    if rotation is None:
        return coefs, intercepts
    coefs = rotation.coefficients(coefs)
    return coefs, rotation.intercepts(intercepts, coefs)
