"""Linear regression by stochastic, mini-batch or batch gradient descent."""

from __future__ import annotations

from daskdsml.linear_model._base import LinearRegressor, SparseCoefficients
from daskdsml.linear_model._sgd import descend, descend_once
from daskdsml.linear_model._sgd_parameters import losses_of
from daskdsml.passes.evaluate import Errors
from daskdsml.passes.stochastic import Targets, held_out_errors
from daskdsml.utils.validation import set_parameters

LOSSES = losses_of("real")


class RealTargets:
    """Any finite y, as it is, for one model."""

    labels = False

    def checked(self, summary):
        return summary

    def codes(self, summary) -> None:
        return None

    def targets(self, summary) -> Targets:
        return Targets()

    def scorer(self, targets, hold_out):
        return held_out_errors, (hold_out,), Errors.r2


class SGDRegressor(SparseCoefficients, LinearRegressor):
    """Linear regression by gradient descent whose updates use one row, k rows, or all of them.

    Minimises ``sum_i w_i loss(y_i, x_i'b + b0) / n + alpha penalty(b)`` as scikit-learn does;
    ``b0`` is not penalised. See `SGDClassifier` for how blocks are gone through, for step sizes and
    for penalties; columns should be scaled.

    Parameters
    ----------
    loss : {"squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"}
        ``r**2 / 2``; its tangent beyond ``epsilon``; ``max(0, |r| - epsilon)``; its square; of the
        residual ``r``.
    penalty, alpha, l1_ratio, fit_intercept, max_iter, tol, shuffle
        As for `SGDClassifier`.
    verbose : bool
        Whether to show a progress bar.
    epsilon : float
        The residual, in units of y, from which on losses change.
    random_state : int, RandomState or None
        As for `SGDClassifier`.
    learning_rate : {"constant", "optimal", "invscaling", "adaptive", "pa1", "pa2"}
    eta0, power_t : float
        Step sizes: see `SGDClassifier`; here ``eta0 / t**power_t``. "pa1" and "pa2" are for loss
        "epsilon_insensitive".
    early_stopping, validation_fraction, n_iter_no_change, warm_start, average
        As for `SGDClassifier`; the score of validation is the coefficient of determination.
    batch_size : int or "full"
        Rows of an update: 1, k, or all rows of an epoch.
    cache : {"auto", "memory", "none"}
        Whether blocks are kept in (workers') memory after the first read: "auto" if they fit.
    strategy : {"auto", "all_reduce", "averaging"} or a strategy of `daskdsml.strategies`
        How work is spread: "all_reduce", which is "auto", is one chain of updates over all rows;
        "averaging" trains copies on parts of the rows at the same time, and averages them.
    checkpoint : str, path-like, `daskdsml.Checkpoint` or None
        File or URL where `fit` keeps what it has come to, for the same call to go on from after it
        was ended. It is removed when the fit is over.

    Attributes
    ----------
    coef_ : array (p,), float64
    intercept_ : array (1,)
    t_ : float
        1 plus the number of updates made.
    n_iter_, n_passes_, converged_, history_, loss_curve_, validation_scores_
        As for `SGDClassifier`.
    n_features_in_ : int
    feature_names_in_ : array (p,) of str, where X has names

    References
    ----------
    Robbins, H. and Monro, S. (1951). A stochastic approximation method. Ann. Math. Statist. 22(3),
    400-407.
    """

    _label = "sgd-regressor"
    _losses = LOSSES

    def __init__(
        self,
        loss="squared_error",
        *,
        penalty="l2",
        alpha=0.0001,
        l1_ratio=0.15,
        fit_intercept=True,
        max_iter=1000,
        tol=1e-3,
        shuffle=True,
        verbose=False,
        epsilon=0.1,
        random_state=None,
        learning_rate="invscaling",
        eta0=0.01,
        power_t=0.25,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        warm_start=False,
        average=False,
        batch_size=1,
        cache="auto",
        strategy="auto",
        checkpoint=None,
    ):
        set_parameters(self, locals())

    def fit(
        self, X, y, coef_init=None, intercept_init=None, sample_weight=None, X_val=None, y_val=None
    ):
        """Fit the coefficients, from zero or, with ``warm_start``, from those of the last fit.

        Parameters, result, errors and warnings are those of `SGDClassifier.fit`, but for y (n,)
        of numbers.
        """
        start = (coef_init, intercept_init)
        descend(self, RealTargets(), X, y, sample_weight, X_val, y_val, start)
        self.coef_ = self.coef_[0]
        return self

    def partial_fit(self, X, y, sample_weight=None):
        """One epoch over the rows given, from where the last call (or a fit) ended.

        Parameters and errors are those of `fit`; the last batch of a call may be short.
        """
        descend_once(self, RealTargets(), X, y, sample_weight)
        self.coef_ = self.coef_[0]
        return self
