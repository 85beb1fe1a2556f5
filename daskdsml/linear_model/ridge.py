"""Ridge regression."""

from __future__ import annotations

import numpy as np

from daskdsml.engine.full.by_columns import suits_columns
from daskdsml.linear_model._base import LARGEST_GRAM, LinearRegressor, asked_solver, dataset_of
from daskdsml.linear_model._least_squares import (
    SOLVERS,
    find_direct,
    fit_least_squares,
    n_outputs_of,
)
from daskdsml.linear_model._routes import suits_dual, suits_rotation
from daskdsml.losses.penalties.l2 import L2
from daskdsml.utils.validation import check_flag, check_number, set_parameters


class Ridge(LinearRegressor):
    """Least squares with an L2 penalty, from one read of the data.

    Minimises ``sum_i w_i (y_i - x_i'b - b0)**2 + alpha ||b||**2``, scikit-learn's objective; the
    intercept ``b0`` is not penalised.

    Parameters
    ----------
    alpha : float or array (K,)
        Strength of the penalty, against the summed squared error; one per output if an array.
    fit_intercept : bool
        Whether to fit ``b0``.
    copy_X : bool
        X is never written to, so both values have the same effect.
    max_iter : int or None
        Most steps of solver "lbfgs"; None means 1000.
    tol : float
        For solver "lbfgs": largest entry of the gradient of the mean loss, for centred columns of
        unit spread, at which the fit ends. The other solvers are direct and have no use for it.
    solver : {"auto", "cholesky", "qr", "lbfgs", "dual"}
        As for `LinearRegression`: "auto" takes the p x p moments of one read and, where these lose
        digits, goes on to the R factor, as "qr" always does and "cholesky" never. "lbfgs" takes one
        read per step and no p x p matrix; "auto" turns to it above 4096 columns. "dual" solves for
        the rows in two reads; "auto" takes it for arrays in this process's memory with more columns
        than rows, where that is less work, ``alpha`` is above 0 and no digits are lost. Of
        scikit-learn's names, "svd" is "qr", and "lsqr", "sparse_cg", "sag" and "saga" are "auto":
        all minimise the same objective.
    positive : bool
        Whether coefficients are kept at or above zero.
    random_state : None or int
        No solver here draws random numbers, so every value has the same effect.
    cache, backend, verbose, checkpoint
        As for `LinearRegression`.

    Attributes
    ----------
    coef_ : array (p,) or (K, p), float64
    intercept_ : float64 or array (K,)
    n_iter_, n_passes_, converged_, history_, solver_
        As for `LinearRegression`.
    n_features_in_ : int
    feature_names_in_ : array (p,) of str, where X has names

    References
    ----------
    Hoerl, A. E. and Kennard, R. W. (1970). Ridge regression: biased estimation for nonorthogonal
    problems. Technometrics 12(1), 55-67.
    """

    _label = "ridge"
    _likelihood = "normal"
    _solvers = (*SOLVERS, "dual")
    _equivalent_solvers = {"svd": "qr"} | dict.fromkeys(
        ("lsqr", "sparse_cg", "sag", "saga"), "auto"
    )
    _multi_output = True

    def __init__(
        self,
        alpha=1.0,
        *,
        fit_intercept=True,
        copy_X=True,
        max_iter=None,
        tol=1e-4,
        solver="auto",
        positive=False,
        random_state=None,
        cache="auto",
        backend="auto",
        verbose=False,
        checkpoint=None,
    ):
        set_parameters(self, locals())

    def fit(self, X, y, sample_weight=None):
        """Fit the coefficients: parameters and errors are those of `LinearRegression.fit`."""
        check_number(self, "tol", 0)
        if self.max_iter is not None:
            check_number(self, "max_iter", 1, integer=True)
        if np.ndim(self.alpha) == 0:
            check_number(self, "alpha", 0, high=np.finfo(float).max)
            alpha = float(self.alpha)
        else:
            alpha = self._alphas(y)
        check_flag(self, "fit_intercept", "positive")
        table = dataset_of(self, X, y, sample_weight, multi_output=True)
        route = self._route(table)
        result = fit_least_squares(self, table, L2(alpha), route, self.max_iter or 1000)
        self.n_iter_ = result.n_iter
        return self

    def _route(self, table) -> str:
        """The solver's name: as asked, or for "auto" by the table; or "rotated"."""
        asked = asked_solver(self)
        if asked == "dual":
            self._check_dual(table)
        free = asked == "auto" and not self.positive and np.all(np.greater(self.alpha, 0))
        if free and suits_dual(table, LARGEST_GRAM):
            return "dual"
        if free and n_outputs_of(table) > 1 and suits_rotation(table, LARGEST_GRAM):
            return "rotated"
        return find_direct(self, table)

    def _check_dual(self, table) -> None:
        """Raise ValueError if solver "dual" cannot do what is asked."""
        n_outputs = n_outputs_of(table)
        if self.positive or n_outputs > 1 or not np.all(np.greater(self.alpha, 0)):
            raise ValueError(
                "Solver 'dual' needs alpha above 0 and fits one output without bounds, but got "
                f"alpha={self.alpha!r}, {n_outputs} output(s) and positive={self.positive}. Use "
                "solver='auto'."
            )
        if not table.is_local and not suits_columns(table):
            raise ValueError(
                "Solver 'dual' needs X in this process's memory or chunked along columns, but it "
                "is chunked along rows. Use solver='auto', or X.rechunk({0: -1, 1: 'auto'})."
            )

    def _alphas(self, y):
        alphas = np.asarray(self.alpha, dtype=float)
        shape = y.shape if hasattr(y, "shape") else np.shape(y)
        n_outputs = 1 if len(shape) == 1 else shape[1]
        if alphas.shape != (n_outputs,) or not ((alphas >= 0) & (alphas < np.inf)).all():
            raise ValueError(
                f"alpha must be a finite number of at least 0, or one for each of the "
                f"{n_outputs} outputs of y, got {self.alpha!r}."
            )
        return alphas
