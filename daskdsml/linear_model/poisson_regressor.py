"""Poisson regression."""

from daskdsml.linear_model._generalized import GeneralizedRegressor
from daskdsml.losses.poisson import Poisson


class PoissonRegressor(GeneralizedRegressor):
    """Regression of counts ``y >= 0`` with the log link, in few reads of the data.

    Minimises ``sum_i w_i (m_i - y_i log m_i) / sum_i w_i + alpha / 2 |b|**2`` with the expected
    count ``m_i = exp(x_i'b + b0)``. The first term is half the mean deviance, up to a number: this
    is scikit-learn's objective. The intercept is never penalised.

    The first read checks the data and draws a sample; from the sample's optimum, Newton needs about
    three more reads, whatever the scale of the columns.

    Parameters
    ----------
    alpha : float
        Strength of the penalty, relative to the mean loss; 0 for none.
    fit_intercept : bool
        Whether to fit ``b0``.
    solver : {"auto", "newton", "lbfgs"}
        "newton" holds the Hessian of all p + 1 parameters; "lbfgs" does not: it begins with that of
        a sample, and takes more and cheaper reads. "auto" is as for `LogisticRegression`.
    max_iter : int
        Most steps of the solver. A step takes a read, and another one where it went too far; the
        first read and that of the start are no steps.
    tol : float
        The largest entry of the gradient of the objective, for centred columns of unit spread, at
        which the fit ends. ``history_`` keeps it for each pass. Newton also wants the step that
        remains to be below a twentieth of a standard error, and then takes it.
    warm_start : bool
        Whether to start from the coefficients of the last fit.
    verbose, n_jobs, cache, backend, strategy, checkpoint
        As for `LogisticRegression`.

    Attributes
    ----------
    coef_ : array (p,), float64
    intercept_ : float
    n_iter_, n_passes_, converged_, history_, solver_
        As for `LogisticRegression`.
    n_features_in_ : int
    feature_names_in_ : array (p,) of str, where X has names

    References
    ----------
    McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed., chapter 6.
    """

    _label = "poisson"
    _likelihood = "poisson"
    _loss = Poisson()
