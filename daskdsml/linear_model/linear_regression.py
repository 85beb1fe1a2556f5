"""Ordinary least squares."""

from __future__ import annotations

import numpy as np

from daskdsml.linear_model._base import LARGEST_GRAM, LinearRegressor, dataset_of, warn_of_few_rows
from daskdsml.linear_model._least_squares import SOLVERS, find_direct, fit_least_squares
from daskdsml.linear_model._routes import suits_rotation
from daskdsml.losses.penalties.l2 import L2
from daskdsml.utils.validation import check_flag, check_number, set_parameters


class LinearRegression(LinearRegressor):
    """Ordinary least squares from one read of the data.

    Minimises ``sum_i w_i (y_i - x_i'b - b0)**2 / 2`` exactly. If columns depend on each other, the
    coefficients of least norm are given, with a warning that names them.

    Accuracy: centred moments, summed in float64 whatever X is in, give coefficients with a relative
    error of about 2e-16 times the condition number of X'X for columns of unit spread. Up to 1e6
    they are the answer, with ten right digits or more. Above it, and for tables up to 1 MiB in this
    process's memory, a second read gives the R factor of [1 X y], and further ones residuals in
    twice the working precision (one, rarely up to three), which end at the last bit of float64.

    Parameters
    ----------
    fit_intercept : bool
        Whether to fit ``b0``.
    copy_X : bool
        X is never written to, so both values have the same effect.
    tol : float
        For solver "lbfgs": largest entry of the gradient of the mean loss, for centred columns of
        unit spread, at which the fit ends. The other solvers are direct and have no use for it.
    n_jobs : int or None
        Threads for data in this process; None means all, or what ``dask.config`` says. On a cluster
        its workers' threads are used.
    positive : bool
        Whether coefficients are kept at or above zero.
    solver : {"auto", "cholesky", "qr", "lbfgs"}
        "cholesky" takes the p x p moments of one read, "qr" always goes on to the R factor. "lbfgs"
        takes one read per step and no p x p matrix. "auto" begins with moments and goes on as told
        above; it turns to "lbfgs" above 4096 columns. X in this process's memory with clearly more
        columns than rows is taken to an orthonormal basis of its rows first.
    max_iter : int
        Most steps of solver "lbfgs".
    cache : {"auto", "memory", "none"}
        Whether blocks are kept in (workers') memory after the first read: "auto" if they fit.
    backend : {"auto", "numpy", "numba", "cupy"}
        What evaluates a block; "auto" is "numba", or "numpy" for data below 2**24 entries.
    verbose : bool
        Whether to show a progress bar with objective and gradient norm of each pass.
    checkpoint : str, path-like, `daskdsml.Checkpoint` or None
        File or URL where the fit keeps what it has come to, for the same call to go on from after
        it was ended. It is removed when the fit is over.

    Attributes
    ----------
    coef_ : array (p,) or (K, p), float64
    intercept_ : float64 or array (K,)
    rank_ : int
        Number of independent columns (after centring with an intercept); not by "lbfgs".
    singular_ : array (min(n, p),)
        Singular values of the (centred, weighted) X; not by "lbfgs".
    n_iter_, n_passes_ : int
        Steps, and complete reads of X, counted where blocks are read.
    converged_ : bool
    history_ : list of `daskdsml.contracts.Record`, one a pass
    solver_ : str
        The solver that ran.
    n_features_in_ : int
    feature_names_in_ : array (p,) of str, where X has names

    References
    ----------
    Golub, G. H. and Van Loan, C. F. (2013). Matrix Computations, 4th ed., chapter 5.
    """

    _label = "ols"
    _likelihood = "normal"
    _solvers = SOLVERS
    _multi_output = True

    def __init__(
        self,
        *,
        fit_intercept=True,
        copy_X=True,
        tol=1e-6,
        n_jobs=None,
        positive=False,
        solver="auto",
        max_iter=1000,
        cache="auto",
        backend="auto",
        verbose=False,
        checkpoint=None,
    ):
        set_parameters(self, locals())

    def fit(self, X, y, sample_weight=None):
        """Fit the coefficients.

        Parameters
        ----------
        X : array (n, p), CSR, DataFrame, Dask Array or Dask DataFrame
        y : array (n,) or (n, K), series, or Dask collection of them
        sample_weight : array (n,), series, Dask collection of them, or None
            Weight of each row; an integer weight counts as that many equal rows.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If data or parameters cannot be used; the message names the remedy.
        """
        check_number(self, "tol", 0)
        check_number(self, "max_iter", 1, integer=True)
        check_flag(self, "fit_intercept", "positive")
        table = dataset_of(self, X, y, sample_weight, multi_output=True)
        route = find_direct(self, table)
        free = self.solver == "auto" and not self.positive
        if free and suits_rotation(table, LARGEST_GRAM):
            route = "rotated"
        result = fit_least_squares(self, table, L2(0.0), route, self.max_iter, column=True)
        if route == "rotated":
            warn_of_few_rows(*table.X.shape)
        self.n_iter_ = result.n_iter
        if result.moments is not None:
            size = min(result.moments.stats.n_rows, self.n_features_in_)
            self.singular_ = self._singular_values(result)[:size]
            lost = 0 if result.null_space is None else result.null_space.shape[1]
            self.rank_ = result.theta.shape[-1] - bool(self.fit_intercept) - lost
        return self

    def _singular_values(self, result):
        if result.singular is not None:
            return result.singular
        p = self.n_features_in_
        values = np.linalg.eigvalsh(result.moments.cross[:p, :p])[::-1]
        return np.sqrt(np.maximum(values, 0.0))
