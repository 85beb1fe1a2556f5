"""Lasso."""

from __future__ import annotations

from daskdsml.linear_model.elastic_net import ElasticNet
from daskdsml.utils.validation import set_parameters


class Lasso(ElasticNet):
    """Least squares with an L1 penalty, from one read of the data.

    Minimises ``sum_i w_i (y_i - x_i'b - b0)**2 / (2 sum_i w_i) + alpha ||b||_1``, scikit-learn's
    objective; the intercept ``b0`` is not penalised. Parameters and attributes are those of
    `ElasticNet`, whose ``l1_ratio`` is 1 here.

    Parameters
    ----------
    alpha : float
        Strength of the penalty, against half the mean squared error. For 0 take `LinearRegression`.
    fit_intercept, precompute, max_iter, copy_X, tol, warm_start, positive, random_state, selection
        As for `ElasticNet`.
    solver, strategy, cache, backend, verbose, checkpoint
        As for `ElasticNet`.

    References
    ----------
    Tibshirani, R. (1996). Regression shrinkage and selection via the lasso. J. R. Statist. Soc. B
    58(1), 267-288.
    """

    _label = "lasso"

    def __init__(
        self,
        alpha=1.0,
        *,
        fit_intercept=True,
        precompute=False,
        copy_X=True,
        max_iter=1000,
        tol=1e-4,
        warm_start=False,
        positive=False,
        random_state=None,
        selection="cyclic",
        solver="auto",
        cache="auto",
        backend="auto",
        verbose=False,
        strategy="auto",
        checkpoint=None,
    ):
        set_parameters(self, locals())
        self.l1_ratio = 1.0
