"""Gamma regression."""

from daskdsml.linear_model._generalized import GeneralizedRegressor
from daskdsml.losses.gamma import Gamma


class GammaRegressor(GeneralizedRegressor):
    """Regression of amounts ``y > 0`` with the log link, in few reads of the data.

    Minimises ``sum_i w_i (y_i / m_i + log m_i) / sum_i w_i + alpha / 2 |b|**2`` with the expected
    amount ``m_i = exp(x_i'b + b0)``. The first term is half the mean deviance, up to a number: this
    is scikit-learn's objective. The intercept is never penalised.

    The first read checks the data and draws a sample; from the sample's optimum, Newton needs about
    three more reads, whatever the scale of the columns.

    Parameters
    ----------
    alpha, fit_intercept, solver, max_iter, tol, warm_start
    verbose, n_jobs, cache, backend, strategy, checkpoint
        As for `PoissonRegressor`.

    Attributes
    ----------
    coef_, intercept_, n_iter_, n_passes_, converged_, history_, solver_
        As for `PoissonRegressor`.
    n_features_in_ : int
    feature_names_in_ : array (p,) of str, where X has names

    References
    ----------
    McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed., chapter 8.
    """

    _label = "gamma"
    _loss = Gamma()
