"""Elastic net with its penalty chosen by cross-validation."""

from __future__ import annotations

import numpy as np

from daskdsml.contracts import PathSpec
from daskdsml.data.folds import assign_folds
from daskdsml.linear_model._base import LinearRegressor, dataset_of
from daskdsml.linear_model._folds import fit_folds
from daskdsml.linear_model._gram import check_products, gram_of
from daskdsml.linear_model._least_squares import check_rule
from daskdsml.linear_model._routing import routed, router_of_splits
from daskdsml.linear_model.elastic_net import (
    ElasticNet,
    check_descent,
    check_sparse,
    descent_solver,
    route_of_descent,
)
from daskdsml.linear_model.paths import checked_alphas
from daskdsml.utils.one_standard_error import best_and_simplest
from daskdsml.utils.validation import check_flag, check_number, set_parameters


class ElasticNetCV(LinearRegressor):
    """Elastic net whose penalty is chosen by cross-validation, all from one read of the data.

    One read gives the moments of each fold; the moments of a training set are sums of those, and
    the error on a test set is a quadratic form in its moments. So the whole path of ``alphas``, for
    every ``l1_ratio``, on every training set and on all rows, costs no further read.

    The objective is that of `ElasticNet`. The alpha (and l1_ratio) of the least mean squared test
    error, averaged over folds, is taken, or by ``rule="1se"`` the strongest alpha whose error is
    within one standard error of that.

    Parameters
    ----------
    l1_ratio : float or list of float
        Share of the L1 penalty, above 0 and up to 1; of several the best is chosen.
    eps : float
        The smallest alpha of a grid, as a share of the largest.
    alphas : int or array (m,)
        Strengths of the penalty, against half the mean squared error; an integer stands for a
        geometric grid of that many from the smallest alpha that leaves no coefficient.
    fit_intercept, precompute, max_iter, tol
        As for `ElasticNet`.
    cv : int, splitter, iterable of (train, test), or None
        An integer k, or None for 5, stands for k runs of consecutive rows. Splits whose test sets
        partition the rows are the cheapest: the read keeps one matrix of moments for each. Of
        others it keeps one for each pattern of counts that rows show; rows may be in train and
        test, and as often as a split names them.
    copy_X, verbose : as for `ElasticNet`
    n_jobs : int or None
        Threads for data in this process; None means all, or what ``dask.config`` says. On a cluster
        its workers' threads are used.
    positive, random_state, selection : as for `ElasticNet`
    rule : {"min", "1se"}
        How alpha is chosen.
    solver, strategy, cache, backend, checkpoint
        As for `ElasticNet`.

    Attributes
    ----------
    alpha_ : float
        The alpha chosen; ``alpha_min_`` and ``alpha_1se_`` are those of the two rules.
    l1_ratio_ : float
    alphas_ : array (m,), or (n_l1_ratio, m) for a grid made for each of several l1_ratio
    mse_path_ : array (m, n_folds) or (n_l1_ratio, m, n_folds)
        Mean squared test errors, as scikit-learn's.
    coef_path_ : array (p, m)
        Coefficients on all rows along ``alphas_``, for the chosen l1_ratio.
    coef_, intercept_, dual_gap_, n_iter_, n_passes_, converged_, history_, solver_
        As for `ElasticNet`, of the model chosen.
    n_features_in_ : int
    feature_names_in_ : array (p,) of str, where X has names

    References
    ----------
    Friedman, J., Hastie, T. and Tibshirani, R. (2010). Regularization paths for generalized linear
    models via coordinate descent. J. Statist. Software 33(1).
    Hastie, T., Tibshirani, R. and Friedman, J. (2009). The Elements of Statistical Learning, 2nd
    ed., section 7.10.
    """

    _label = "elastic-net-cv"
    _likelihood = "normal"
    _solvers = ElasticNet._solvers

    sparse_coef_ = ElasticNet.sparse_coef_

    def __init__(
        self,
        *,
        l1_ratio=0.5,
        eps=1e-3,
        alphas=100,
        fit_intercept=True,
        precompute="auto",
        max_iter=1000,
        tol=1e-4,
        cv=None,
        copy_X=True,
        verbose=False,
        n_jobs=None,
        positive=False,
        random_state=None,
        selection="cyclic",
        rule="min",
        solver="auto",
        cache="auto",
        backend="auto",
        strategy="auto",
        checkpoint=None,
    ):
        set_parameters(self, locals())

    def fit(self, X, y, sample_weight=None, **params):
        """Fit all paths, choose and keep the chosen model.

        Parameters
        ----------
        X : array (n, p), CSR, DataFrame, Dask Array or Dask DataFrame
            If the number of its rows is unknown, a read is spent on counting them.
        y : array (n,), series, or Dask collection of them
        sample_weight : array (n,), series, Dask collection of them, or None
            Weight of each row, in the fits and in the errors; an integer weight counts as that many
            equal rows of the same fold.
        **params
            With scikit-learn's metadata routing, what the splitter asks for, such as ``groups``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If data, folds or parameters cannot be used; the message names the remedy.
        """
        split = routed(self, sample_weight, params).split
        ratios = self._ratios()
        check_descent(self)
        check_rule(self)
        check_flag(self, "positive")
        check_number(self, "eps", 0, strict=True, high=1)
        alphas = checked_alphas(self.alphas)
        table = dataset_of(self, X, y, sample_weight, known_rows=True)
        table, folds = assign_folds(table, self.cv, **split)
        n_sets, n_alphas = 1 + len(folds), alphas if isinstance(alphas, int) else len(alphas)
        n_paths, strengths = len(ratios) * n_sets, 1.0 if isinstance(alphas, int) else alphas
        name = route_of_descent(self, table, strengths, n_paths * n_alphas, n_sets)
        if name == "working_set":
            check_sparse(table, strengths)
        specs = [PathSpec(alphas, ratio, eps=self.eps) for ratio in ratios]
        solver = descent_solver(self, name, table, n_paths)
        gram = gram_of(self.precompute, table.n_features)
        result, errors, _ = fit_folds(self, table, folds, name, solver, specs)
        check_products(gram, None, result, table.X.dtype, self.fit_intercept)
        self._publish_best(result, errors, ratios)
        return self

    def get_metadata_routing(self):
        """What of a fit goes to the splitter: a MetadataRouter of scikit-learn."""
        return router_of_splits(self)

    def _ratios(self) -> list[float]:
        """The l1_ratio to try."""
        ratios = np.atleast_1d(getattr(self, "l1_ratio", 1.0))
        good = ratios.ndim == 1 and ratios.size and ratios.dtype.kind in "fiu"
        if not good or not ((ratios > 0) & (ratios <= 1)).all():
            raise ValueError(
                f"l1_ratio must be a number above 0 and up to 1, or a list of them, got "
                f"{self.l1_ratio!r}. For a penalty without an L1 part use RidgeCV."
            )
        return ratios.astype(float).tolist()

    def _publish_best(self, result, errors, ratios) -> None:
        """Publish the paths and the chosen model."""
        paths = result.paths
        best = int(np.argmin(errors.mean(axis=2).min(axis=1)))
        minimum, one_se = best_and_simplest(-errors[best])
        alphas, fits = paths.alphas[best], paths.fits[best][0]
        self.alphas_ = alphas
        if len(ratios) > 1 and isinstance(self.alphas, int | np.integer):
            self.alphas_ = np.stack(paths.alphas)
        self.mse_path_ = errors[0] if len(ratios) == 1 else errors
        self.alpha_min_, self.alpha_1se_ = alphas[minimum], alphas[one_se]
        chosen = minimum if self.rule == "min" else one_se
        self.alpha_, self.l1_ratio_ = alphas[chosen], ratios[best]
        self.coef_path_ = np.zeros((self.n_features_in_, len(fits)))
        self.coef_path_[paths.columns] = np.column_stack([fit.coef for fit in fits])
        self.coef_ = self.coef_path_[:, chosen].copy()
        moments, coef = result.moments, fits[chosen].coef
        intercept = moments.mean[coef.size] - moments.mean[: coef.size] @ coef
        self.intercept_ = intercept if self.fit_intercept else 0.0
        self.n_iter_, self.dual_gap_ = fits[chosen].n_iter, np.float64(fits[chosen].gap)
