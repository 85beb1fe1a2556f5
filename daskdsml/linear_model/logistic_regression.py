"""Logistic and multinomial regression."""

from __future__ import annotations

import numpy as np

from daskdsml.linear_model._classifier import (
    LinearClassifier,
    check_classifier,
    penalty_of,
    publish_classes,
    strength_of,
)
from daskdsml.linear_model._iterative import minimize
from daskdsml.utils.validation import check_flag, check_number, set_parameters


class LogisticRegression(LinearClassifier):
    """Logistic regression of two classes, and multinomial regression of more, in few reads of data.

    Two classes: minimises ``sum_i w_i log(1 + exp(-s_i (x_i'b + b0))) + P(b) / C`` with ``s_i = 1``
    for the second class and ``-1`` for the first. K classes: ``sum_i w_i (log sum_k exp(z_ik) -
    z_i,y_i) + sum_k P(b_k) / C`` with ``z_ik = x_i'b_k + b0_k`` (softmax). The penalty is ``P(b) =
    l1_ratio |b|_1 + (1 - l1_ratio) |b|_2**2 / 2``. This is scikit-learn's objective; intercepts are
    never penalised. Of K classes, intercepts (and coefficients without a penalty) are determined up
    to a number added to all of them: they sum to zero over the classes. With ``l1_ratio=1`` and an
    even K above 2, the same holds of a column's coefficients, within limits: one optimum is given.

    The first read checks the data, tells the gradient at the null model and draws a sample; from
    the sample's optimum, Newton needs about three more reads, whatever the scale of the columns.

    Parameters
    ----------
    penalty : {"deprecated", "l1", "l2", "elasticnet", None}
        Deprecated as in scikit-learn 1.9: use ``C`` and ``l1_ratio``; ``C=np.inf`` means no
        penalty. If given, it goes before ``l1_ratio``, and None before ``C``.
    C : float
        Inverse strength of the penalty, relative to the summed loss, above 0; ``np.inf`` for none.
    l1_ratio : float
        Share of the L1 penalty, from 0 (only squares) to 1 (only absolute values).
    dual : bool
        Only False: there is no dual solver.
    tol : float
        The KKT residual at which the fit ends: the largest entry of the gradient of the mean
        objective, for centred columns of unit spread, or with an L1 penalty its distance from the
        penalty's subdifferential. ``history_`` keeps it for each pass. What a further step promises
        is then also small beside the objective (a fifth of ``tol`` of it where classes are all but
        separated, less elsewhere), and the step that remains below a twentieth of a standard error
        (of "lbfgs" a fiftieth); it is then taken, by "lbfgs" if the last one went as predicted.
    fit_intercept : bool
        Whether to fit intercepts.
    intercept_scaling : float
        Only 1: the intercept is never penalised, so scaling it would change nothing.
    class_weight : dict, "balanced" or None
        Weight of each class, multiplied with ``sample_weight``; "balanced" weighs classes by
        ``n / (K n_class)``, counted with ``sample_weight``.
    random_state : int, RandomState or None
        Seed of the sample that the first read draws; None means 0, so that fits can be repeated.
    solver : {"auto", "newton", "lbfgs", "proximal_newton"}
        "newton" holds the Hessian of all K (p + 1) parameters (K is 1 for two classes); "lbfgs"
        does not: it takes more and cheaper reads, and uses the curvature of sampled rows where that
        saves some. "proximal_newton", the only one for an L1 penalty, holds the Hessian of the
        coefficients in use. "auto" is "proximal_newton" with an L1 penalty; else "newton" up to 256
        parameters (32 for data in this process's memory with a penalty, 128 if rows are 2000 times
        as many), and where its work is small; "lbfgs" beyond, which Newton's method takes over
        where it has not ended after as many reads as its Hessians cost. Of scikit-learn's names,
        "newton-cholesky" is "newton", and "newton-cg", "sag" and "saga" are "auto"; "liblinear"
        penalises the intercept, which none of these does.
    max_iter : int
        Most steps of the solver. A step takes a read, and another one where it went too far; the
        first read and that of the start are no steps.
    verbose : bool
        Whether to show a progress bar with objective and gradient norm of each pass.
    warm_start : bool
        Whether to start from the coefficients of the last fit.
    n_jobs : int or None
        Threads for data in this process; None means all, or what ``dask.config`` says. On a cluster
        its workers' threads are used.
    cache : {"auto", "memory", "none"}
        Whether blocks are kept in (workers') memory after the first read: "auto" if they fit.
    backend : {"auto", "numpy", "numba", "cupy"}
        What evaluates a block; "auto" is "numba", or "numpy" for data below 2**24 entries.
    strategy : {"auto", "all_reduce", "columns", "admm"} or a strategy of `daskdsml.strategies`
        How work is spread: "all_reduce" sums over all rows in each step; with "columns" each task
        has some columns of all rows, and scores travel; with "admm" parts of the rows minimise by
        themselves between messages, and ``max_iter`` counts their rounds. "auto" is "columns" for
        Dask Arrays of more columns than rows, in more chunks of columns than of rows, else
        "all_reduce".
    checkpoint : str, path-like, `daskdsml.Checkpoint` or None
        File or URL where the fit keeps what it has come to, for the same call to go on from after
        it was ended. It is removed when the fit is over.

    Attributes
    ----------
    classes_ : array (K,), the labels, sorted
    coef_ : array (1, p) of two classes, (K, p) of more, float64
    intercept_ : array (1,) or (K,)
    n_iter_ : array (1,)
        Steps of the solver.
    n_passes_ : int
        Complete reads of X, counted where blocks are read.
    converged_ : bool
    history_ : list of `daskdsml.contracts.Record`, one a pass
    solver_ : str
        The solver that ran.
    n_features_in_ : int
    feature_names_in_ : array (p,) of str, where X has names

    References
    ----------
    McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed., chapters 4 and 5.
    """

    _label = "logistic"
    _likelihood = "categorical"
    _solvers = ("newton", "lbfgs", "proximal_newton")
    _equivalent_solvers = {"newton-cholesky": "newton"} | dict.fromkeys(
        ("newton-cg", "sag", "saga"), "auto"
    )

    def __init__(
        self,
        penalty="deprecated",
        *,
        C=1.0,
        l1_ratio=0.0,
        dual=False,
        tol=1e-4,
        fit_intercept=True,
        intercept_scaling=1,
        class_weight=None,
        random_state=None,
        solver="auto",
        max_iter=100,
        verbose=False,
        warm_start=False,
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
            Labels: numbers, strings or booleans, of two kinds or more.
        sample_weight : array (n,), series, Dask collection of them, or None
            Weight of each row; an integer weight counts as that many equal rows.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If data or parameters cannot be used, among them a class whose rows have no weight; the
            message names the remedy.

        Warns
        -----
        ConvergenceWarning
            If ``tol`` is not reached in ``max_iter`` passes, or if the classes are separated and
            nothing keeps the coefficients finite.
        scipy.linalg.LinAlgWarning
            If columns depend on each other and ``C=np.inf``, as "newton" finds out; other solvers
            end at one of the optima.
        """
        check_number(self, "C", 0, strict=True)
        check_number(self, "l1_ratio", 0, high=1)
        check_flag(self, "warm_start")
        check_classifier(self)
        C, l1_ratio = strength_of(self)

        def penalty(weight):
            return penalty_of(1.0 / (C * weight), l1_ratio)

        fitted = minimize(self, self._family(), penalty, X, y, sample_weight)
        thetas = fitted.result.theta.reshape(fitted.problem.n_outputs, -1)
        publish_classes(self, fitted.summary.labels, thetas)
        self.n_iter_ = np.array([fitted.result.n_iter], dtype=np.int32)
        return self
