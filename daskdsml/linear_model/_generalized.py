"""What regressions of counts and amounts share: the log link, and deviance in place of squares."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from daskdsml.linear_model._base import evaluate, predict_rows, predictor_of
from daskdsml.linear_model._initial import null_evaluation
from daskdsml.linear_model._iterative import minimize
from daskdsml.losses.penalties.l2 import L2
from daskdsml.passes.deviance import deviance
from daskdsml.utils.validation import check_flag, check_number, set_parameters


class LogLink(NamedTuple):
    """A family with the log link, whose ``loss`` is linear in y.

    ``name`` is the estimator's, for messages.
    """

    loss: Any
    fit_intercept: bool
    name: str

    labels = False
    products = True

    def check(self, summary) -> None:
        """Raise ValueError if y is out of the range of the loss, or zero throughout."""
        self.check_span(summary.span)
        if self.fit_intercept and not summary.span.total > 0.0:
            raise ValueError(
                f"{self.name} expects a positive mean of y, but y is zero in every row of positive "
                "weight, and the logarithm of zero is no intercept. Check how y is made or "
                "filtered."
            )

    def check_span(self, span) -> None:
        """Raise ValueError if the least y is out of the range of the loss."""
        if not self.loss.takes(span.least):
            raise ValueError(
                f"Some value(s) of y are out of the valid range of the loss "
                f"{type(self.loss).__name__!r}: {self.name} expects {self.loss.expects}, but the "
                f"least value of y is {span.least:g}. Drop such rows, or correct them."
            )

    def codes(self, summary) -> None:
        return None

    def weight(self, summary) -> float:
        return summary.stats.weight

    def loss_of(self, summary):
        return self.loss

    def null(self, problem, summary) -> np.ndarray:
        """The optimum of the intercept alone: the logarithm of the mean."""
        theta = np.zeros(problem.size)
        if problem.fit_intercept:
            theta[-1] = np.log(summary.span.total / summary.stats.weight)
        return theta

    def null_evaluation(self, problem, summary, theta):
        # A row of target y counts as y rows of 1 and 1 - y of 0.
        total, weight, (sums,) = summary.span.total, summary.stats.weight, summary.sums
        counts = np.array([weight - total, total])
        sums = np.stack([sums - summary.products, summary.products])
        return null_evaluation(problem, theta, counts, sums)


class GeneralizedRegressor(RegressorMixin, BaseEstimator):
    """Base of generalized linear models with the log link; ``_loss`` is theirs."""

    _solvers = ("newton", "lbfgs")
    _equivalent_solvers = {"newton-cholesky": "newton"}
    _separated = (
        "a linear combination of columns that tells rows of y = 0 apart from all others",
        "alpha above 0",
    )

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
        strategy="auto",
        checkpoint=None,
    ):
        set_parameters(self, locals())

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
        check_penalised(self)
        family = self._family()
        fitted = minimize(self, family, lambda weight: L2(float(self.alpha)), X, y, sample_weight)
        coef, intercept = fitted.problem.by_output(fitted.result.theta)
        self.coef_, self.intercept_ = coef[0].copy(), intercept[0]
        self.n_iter_ = fitted.result.n_iter
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.positive_only = True
        return tags

    def predict(self, X):
        """Expected targets ``exp(x'b + b0)``, shape (n,), in X's precision. Lazy as X is."""
        check_is_fitted(self)
        return predict_rows(self, X, np.exp)

    def score(self, X, y, sample_weight=None) -> float:
        """Share D² of the deviance that is explained, from one pass over X and y.

        ``1 - sum_i w_i d(y_i, m_i) / sum_i w_i d(y_i, mean of y)`` with unit deviances d and
        predictions m; for a y that is constant, 1 if all is predicted exactly and 0 if not.

        References
        ----------
        Hastie, T., Tibshirani, R. and Wainwright, M. (2015). Statistical Learning with Sparsity,
        section 3.2.
        """
        check_is_fitted(self)
        state = (predictor_of(self), self._loss)
        total = evaluate(self, deviance, state, X, y, sample_weight)
        self._family().check_span(total.span)
        return total.explained()

    def _family(self) -> LogLink:
        return LogLink(self._loss, bool(self.fit_intercept), type(self).__name__)


def check_penalised(estimator) -> None:
    """Raise ValueError if a parameter of a regression with an L2 penalty cannot be used."""
    check_number(estimator, "alpha", 0, high=np.finfo(float).max)
    check_number(estimator, "tol", 0)
    check_number(estimator, "max_iter", 1, integer=True)
    check_flag(estimator, "fit_intercept", "warm_start")
