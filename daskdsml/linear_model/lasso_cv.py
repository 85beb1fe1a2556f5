"""Lasso with its penalty chosen by cross-validation."""

from __future__ import annotations

from daskdsml.linear_model.elastic_net_cv import ElasticNetCV
from daskdsml.utils.validation import set_parameters


class LassoCV(ElasticNetCV):
    """Lasso whose penalty is chosen by cross-validation, all from one read of the data.

    Parameters, attributes and errors are those of `ElasticNetCV`, whose ``l1_ratio`` is 1 here.

    Parameters
    ----------
    eps, alphas, fit_intercept, precompute, max_iter, tol, copy_X, cv, verbose, n_jobs, positive
        As for `ElasticNetCV`.
    random_state, selection, rule, solver, strategy, cache, backend, checkpoint
        As for `ElasticNetCV`.

    References
    ----------
    Tibshirani, R. (1996). Regression shrinkage and selection via the lasso. J. R. Statist. Soc. B
    58(1), 267-288.
    """

    _label = "lasso-cv"

    def __init__(
        self,
        *,
        eps=1e-3,
        alphas=100,
        fit_intercept=True,
        precompute="auto",
        max_iter=1000,
        tol=1e-4,
        copy_X=True,
        cv=None,
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
        self.l1_ratio = 1.0
