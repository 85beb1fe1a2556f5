"""Ridge regression with its penalty chosen by cross-validation."""

from __future__ import annotations

import time

import numpy as np

from daskdsml.contracts import PathSpec
from daskdsml.data.folds import assign_folds
from daskdsml.linear_model._base import LARGEST_GRAM, LinearRegressor, dataset_of, publish
from daskdsml.linear_model._least_squares import (
    MOST_PASSES,
    check_rule,
    fit_folds,
    intercepts_of,
    n_outputs_of,
    solve,
)
from daskdsml.linear_model._routes import rotated, suits_rotation
from daskdsml.linear_model.paths import checked_alphas
from daskdsml.losses.penalties.l2 import L2
from daskdsml.passes.leave_one_out import RidgeModels, leave_one_out
from daskdsml.solvers.paths.eigen import Eigen
from daskdsml.utils.one_standard_error import best_and_simplest
from daskdsml.utils.threads import single_threaded_blas
from daskdsml.utils.validation import check_flag, set_parameters


class RidgeCV(LinearRegressor):
    """Ridge regression whose penalty is chosen by cross-validation, in one read or two.

    With folds, one read gives the moments of each; one eigendecomposition for each training set
    then gives the whole path, and the error on a test set is a quadratic form in its moments. With
    ``cv=None`` each row is left out in turn: a second read gives the errors of all rows under all
    penalties.

    The objective is that of `Ridge`; ``alpha`` is against the summed squared error of the training
    rows, also within folds.

    Parameters
    ----------
    alphas : array (m,) or float
        Strengths of the penalty to try, or the only one.
    fit_intercept : bool
        Whether to fit an intercept, which is not penalised.
    scoring : None or "neg_mean_squared_error"
        The mean squared error is what the sums of one read can tell. For other scores use
        ``sklearn.model_selection.GridSearchCV``.
    cv : int, splitter, iterable of (train, test), or None
        An integer k stands for k runs of consecutive rows, None for leaving out each row in turn.
    rule : {"min", "1se"}
        "min" takes the alpha of the least mean error, "1se" the largest whose error is within one
        standard error of that (with folds only).
    cache, backend, verbose
        As for `Ridge`.

    Attributes
    ----------
    alpha_ : float
        The alpha chosen; with folds, ``alpha_min_`` and ``alpha_1se_`` are those of the two rules.
    best_score_ : float
        Minus the mean squared error of ``alpha_``.
    alphas_ : array (m,), in descending order
    mse_path_ : array (m, n_folds), or (m, 1) for ``cv=None``
        Mean squared test errors, averaged over outputs.
    coef_path_ : array (p, m) or (K, p, m)
        Coefficients on all rows along ``alphas_``.
    coef_ : array (p,) or (K, p), float64
    intercept_ : float64 or array (K,)
    n_passes_ : int
        Complete reads of X, counted where blocks are read.
    converged_ : bool
    solver_ : str
        "eigen".
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
        rule="min",
        cache="auto",
        backend="auto",
        verbose=False,
    ):
        set_parameters(self, locals())

    def fit(self, X, y, sample_weight=None):
        """Fit all paths, choose and keep the chosen model; as `LassoCV.fit`, of one output or more.

        X may have 4096 columns, or as many rows if it is an array in memory with more columns.
        """
        alphas = self._check_parameters()
        table = dataset_of(self, X, y, sample_weight, multi_output=True, known_rows=True)
        rotation = None
        if suits_rotation(table, LARGEST_GRAM):
            table, rotation = rotated(table, self.fit_intercept)
        if table.n_features > LARGEST_GRAM:
            raise ValueError(
                f"RidgeCV takes up to {LARGEST_GRAM} columns, whose p x p moments it needs, or so "
                "many rows of an array in memory with more columns than rows, but X has "
                f"{table.n_features} columns. Use GridSearchCV with Ridge(solver='lbfgs')."
            )
        n_axes = table.y.ndim
        outputs = range(n_outputs_of(table))
        specs = [PathSpec(alphas, 0.0, output=k, summed=True) for k in outputs]
        if self.cv is None:
            result, errors = self._leave_one_out(table, specs)
        else:
            table, folds = assign_folds(table, self.cv)
            result, by_output = fit_folds(self, table, folds, "eigen", Eigen(), specs)
            errors = by_output.mean(axis=0)
        self._publish_best(result, errors, n_axes)
        if rotation is not None:
            self._rotate_back(rotation)
        return self

    def _rotate_back(self, rotation) -> None:
        """Coefficients of the columns of X from those of rotated columns."""
        path = rotation.coefficients(np.moveaxis(self.coef_path_, -2, -1))
        self.coef_path_ = np.moveaxis(path, -1, -2)
        chosen = int(np.flatnonzero(self.alphas_ == self.alpha_)[0])
        self.coef_ = self.coef_path_[..., chosen].copy()
        if self.fit_intercept:
            self.intercept_ = rotation.intercepts(self.intercept_, self.coef_)

    def _check_parameters(self):
        check_rule(self)
        if self.rule == "1se" and self.cv is None:
            raise ValueError(
                "rule='1se' needs the standard error of the mean over folds, but cv=None leaves "
                "out one row at a time. Use cv=5 or more, or rule='min'."
            )
        if self.scoring not in (None, "neg_mean_squared_error"):
            raise ValueError(
                f"scoring={self.scoring!r} is not taken: the sums of one read tell the mean "
                "squared error alone. Use scoring=None, or GridSearchCV with Ridge."
            )
        alphas = np.atleast_1d(self.alphas)
        if alphas.dtype.kind not in "fiu" or not (alphas > 0).all():
            raise ValueError(
                "alphas must be an array of strengths above 0, for instance numpy.geomspace(1e-3, "
                f"1e3, 50), got {self.alphas!r}."
            )
        return checked_alphas(alphas)

    def _leave_one_out(self, table, specs):
        def errors_of(passes, result):
            start = time.perf_counter()
            models = self._models(result, specs)
            with single_threaded_blas():
                total = passes.rows.run(leave_one_out, models, f"{self._label}-loo")
            seconds = time.perf_counter() - start
            passes.progress.add(result.history[-1]._replace(name="leave-one-out", seconds=seconds))
            return total.squares / result.moments.weight / len(specs)

        check_flag(self, "fit_intercept")
        solver, penalty = Eigen(tuple(specs)), L2(0.0)
        solved = solve(self, table, solver, penalty, MOST_PASSES, then=errors_of)
        publish(self, solved[0], solved[1], "eigen")
        return solved[0], solved[2][:, None]

    def _models(self, result, specs) -> RidgeModels:
        """All models on all rows, in the basis in which leverages are sums of squares."""
        moments = result.moments
        p = moments.mean.size - len(specs)
        values, vectors = np.linalg.eigh(moments.cross[:p, :p])
        coefs = np.array([[fit.coef for fit in sets[0]] for sets in result.paths.fits])
        intercepts = [intercepts_of(moments.mean, coef, k) for k, coef in enumerate(coefs)]
        return RidgeModels(
            np.moveaxis(coefs, 0, 1),
            np.array(intercepts).T * self.fit_intercept,
            moments.mean[:p],
            vectors,
            1.0 / (np.maximum(values, 0.0) + np.array(specs[0].alphas)[:, None]),
            float(self.fit_intercept) / moments.weight,
        )

    def _publish_best(self, result, errors, n_axes) -> None:
        """Publish the paths and the chosen model."""
        paths, moments = result.paths, result.moments
        self.alphas_, self.mse_path_ = paths.alphas[0], errors
        minimum, one_se = best_and_simplest(-errors)
        chosen = one_se if self.rule == "1se" else minimum
        if self.cv is not None:
            self.alpha_min_, self.alpha_1se_ = self.alphas_[minimum], self.alphas_[one_se]
        self.alpha_, self.best_score_ = self.alphas_[chosen], -errors[chosen].mean()
        coefs = np.array([[fit.coef for fit in sets[0]] for sets in paths.fits])
        path = np.moveaxis(coefs, 1, 2)
        intercepts = np.array(
            [
                intercepts_of(moments.mean, coef[chosen : chosen + 1], k)[0]
                for k, coef in enumerate(coefs)
            ]
        )
        self.coef_path_ = path if len(path) > 1 else path[0]
        self.coef_ = self.coef_path_[..., chosen].copy()
        if not self.fit_intercept:
            self.intercept_ = 0.0
        else:
            self.intercept_ = intercepts if n_axes == 2 else intercepts[0]
