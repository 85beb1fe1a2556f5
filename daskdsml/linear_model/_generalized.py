"""What regressions of counts and amounts share: the log link, and deviance in place of squares."""

from __future__ import annotations

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from daskdsml.linear_model._initial import null_evaluation
from daskdsml.linear_model._iterative import IterativeModel
from daskdsml.losses.penalties.l2 import L2
from daskdsml.passes.deviance import deviance
from daskdsml.utils.validation import check_flag, check_number


class IterativeRegressor(RegressorMixin, IterativeModel):
    """Base of regressions of one output that are fitted by passes at changing parameters."""

    _solvers = ("newton", "lbfgs")
    # The sample a fit starts from is the same each time.
    random_state = None

    def fit(self, X, y, sample_weight=None):
        """Fit the coefficients.

        Parameters
        ----------
        X : array (n, p), CSR, DataFrame, Dask Array or Dask DataFrame
        y : array (n,), series, or Dask collection of them
        sample_weight : array (n,), series, Dask collection of them, or None
            Weight of each row; an integer weight counts as that many equal rows.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If data or parameters cannot be used; the message names the remedy.

        Warns
        -----
        ConvergenceWarning
            If ``tol`` is not reached in ``max_iter`` passes, or no finite optimum exists.
        scipy.linalg.LinAlgWarning
            If columns depend on each other and ``alpha=0``.
        """
        self._check_parameters()
        result, problem, _ = self._fit(X, y, sample_weight)
        self._publish_coefficients(result.theta, problem)
        self.n_iter_ = result.n_iter
        return self

    def _check_parameters(self) -> None:
        check_number(self, "alpha", 0, high=np.finfo(float).max)
        check_number(self, "tol", 0)
        check_number(self, "max_iter", 1, integer=True)
        check_flag(self, "fit_intercept", "warm_start")

    def _publish_coefficients(self, theta, problem) -> None:
        """Attributes of the parameters found."""
        coef, intercept = problem.by_output(theta)
        self.coef_, self.intercept_ = coef[0].copy(), float(intercept[0])


class GeneralizedRegressor(IterativeRegressor):
    """Base of generalized linear models with the log link; ``_family`` is the loss."""

    def __init__(
        self,
        *,
        alpha=1.0,
        fit_intercept=True,
        solver="auto",
        max_iter=100,
        tol=1e-4,
        warm_start=False,
        verbose=False,
        n_jobs=None,
        cache="auto",
        backend="auto",
    ):
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.cache = cache
        self.backend = backend

    _separated = (
        "a linear combination of columns that tells rows of y = 0 apart from all others",
        "alpha above 0",
    )

    def _loss(self, found):
        return self._family

    def _penalty(self, weight):
        return L2(float(self.alpha))

    def _first(self, problem, found):
        """The optimum of the intercept alone: the logarithm of the mean."""
        theta = np.zeros(problem.size)
        if self.fit_intercept:
            theta[-1] = np.log(found.span.total / found.stats.weight)
        return theta

    def _what_to_look_for(self, table):
        return super()._what_to_look_for(table)._replace(products=True)

    def _known(self, problem, found, theta):
        # These losses are straight in y: a row of target y counts as y rows of 1 and 1 - y of 0.
        total, weight, (sums,) = found.span.total, found.stats.weight, found.sums
        counts = np.array([weight - total, total])
        sums = np.stack([sums - found.products, found.products])
        return null_evaluation(problem, theta, counts, sums)

    def _check_found(self, found) -> None:
        self._check_span(found.span)
        if self.fit_intercept and not found.span.total > 0.0:
            raise ValueError(
                f"{type(self).__name__} expects a positive mean of y, but y is zero in every row "
                "of positive weight, and the logarithm of zero is no intercept. Check how y is "
                "made or filtered."
            )

    def _check_span(self, span) -> None:
        """Raise ValueError if the least y is out of the range of the loss."""
        family = self._family
        if not family.takes(span.least):
            raise ValueError(
                f"{type(self).__name__} expects {family.expects}, but the least value of y is "
                f"{span.least:g}: some value(s) of y are out of the valid range of the loss "
                f"{type(family).__name__!r}. Drop such rows, or correct them."
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags

    def predict(self, X):
        """Expected targets ``exp(x'b + b0)``, shape (n,), in X's precision.

        Parameters
        ----------
        X : array (n, p), CSR, DataFrame, Dask Array or Dask DataFrame

        Returns
        -------
        array (n,): a lazy Dask Array for a Dask collection, else NumPy.
        """
        check_is_fitted(self)
        return self._scores(X, np.exp)

    def score(self, X, y, sample_weight=None) -> float:
        """Share D² of the deviance that is explained, from one pass over X and y.

        ``1 - sum_i w_i d(y_i, m_i) / sum_i w_i d(y_i, mean of y)`` with unit deviances d and
        predictions m; for a y that is constant, 1 if all is predicted exactly and 0 if not.

        Parameters
        ----------
        X : array (n, p), CSR, DataFrame, Dask Array or Dask DataFrame
        y : array (n,), series, or Dask collection of them
        sample_weight : array (n,), series, Dask collection of them, or None

        References
        ----------
        Hastie, T., Tibshirani, R. and Wainwright, M. (2015). Statistical Learning with Sparsity,
        section 3.2.
        """
        check_is_fitted(self)
        state = (self._predictor(), self._family)
        total = self._evaluate(deviance, state, X, y, sample_weight)
        self._check_span(total.span)
        return total.explained()
