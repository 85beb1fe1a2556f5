"""Elastic net."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from daskdsml.linear_model._base import (
    LARGEST_GRAM,
    LinearRegressor,
    dataset_of,
    find_solver,
    publish,
)
from daskdsml.linear_model._gram import check_products, gram_of
from daskdsml.linear_model._least_squares import (
    MOST_PASSES,
    check_one_output,
    n_outputs_of,
    publish_linear,
    solve,
)
from daskdsml.linear_model._routes import suits_working_set
from daskdsml.linear_model._strategy import asked_strategy, first_served
from daskdsml.losses.penalties.l1_l2 import L1L2
from daskdsml.solvers.paths.working_set import MANY_PATHS_GROWTH, SINGLE_PATH_GROWTH
from daskdsml.utils import registry
from daskdsml.utils.validation import check_flag, check_number, set_parameters


class ElasticNet(LinearRegressor):
    """Least squares with an L1 and an L2 penalty, from one read of the data.

    Minimises ``sum_i w_i (y_i - x_i'b - b0)**2 / (2 sum_i w_i) + alpha (l1_ratio ||b||_1 +
    (1 - l1_ratio) / 2 ||b||**2)``, scikit-learn's objective; the intercept ``b0`` is not penalised.

    Parameters
    ----------
    alpha : float
        Strength of the penalty, against half the mean squared error. For 0 take `LinearRegression`.
    l1_ratio : float
        Share of the L1 penalty, from 0 (ridge) to 1 (lasso).
    fit_intercept : bool
        Whether to fit ``b0``.
    precompute : bool, "auto" or array (p, p)
        Cross products are made where they can be held, so every value has the same effect. A Gram
        matrix of the data (see `daskdsml.linear_model._gram.check_products`) saves nothing: it is
        compared with that of the read, and refused if it is another.
    max_iter : int
        Most sweeps over the coordinates.
    copy_X : bool
        X is never written to, so both values have the same effect.
    tol : float
        The fit ends at a duality gap of ``tol`` times the mean square of y (about its mean, with an
        intercept). The gap reached is ``dual_gap_``.
    warm_start : bool
        Whether to begin with the coefficients of the fit before.
    positive : bool
        Whether coefficients are kept at or above zero.
    random_state : None or int
        No solver here draws random numbers, so every value has the same effect.
    selection : {"cyclic", "random"}
        Coordinates are visited in turn; the optimum is the same.
    solver : {"auto", "coordinate_descent", "working_set"}
        "coordinate_descent" takes the p x p moments of one read. "working_set" takes those of a few
        columns, and checks all by a read for the gradient in them, until the duality gap over all
        columns is reached. "auto" turns to it above 4096 columns, and for data in this process's
        memory wherever its reads cost less than p x p moments.
    strategy : {"auto", "all_reduce", "columns"} or a strategy of `daskdsml.strategies`
        How work is spread: over rows, or for "working_set" over columns of all rows, with y and
        residuals in this process. "auto" is "columns" for an X laid out by columns.
    cache, backend, verbose, checkpoint
        As for `LinearRegression`.

    Attributes
    ----------
    coef_ : array (p,) or (K, p), float64
    sparse_coef_ : CSR matrix (1, p) or (K, p)
    intercept_ : float64 or array (K,)
    dual_gap_ : float or array (K,)
        Upper bound on how far the objective is from its minimum.
    n_iter_ : int or list of K int
        Sweeps over the coordinates.
    n_passes_, converged_, history_, solver_
        As for `LinearRegression`.
    n_features_in_ : int
    feature_names_in_ : array (p,) of str, where X has names

    References
    ----------
    Zou, H. and Hastie, T. (2005). Regularization and variable selection via the elastic net.
    J. R. Statist. Soc. B 67(2), 301-320.
    """

    _label = "elastic-net"
    _likelihood = "normal"
    _solvers = ("coordinate_descent", "working_set")
    _multi_output = True

    def __init__(
        self,
        alpha=1.0,
        *,
        l1_ratio=0.5,
        fit_intercept=True,
        precompute=False,
        max_iter=1000,
        copy_X=True,
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

    def fit(self, X, y, sample_weight=None, check_input=True):
        """Fit the coefficients: parameters and errors are those of `LinearRegression.fit`.

        Data are always checked, so both values of ``check_input`` have the same effect.
        """
        check_number(self, "alpha", 0, high=np.finfo(float).max)
        check_number(self, "l1_ratio", 0, high=1)
        check_flag(self, "warm_start")
        check_descent(self)
        penalty = L1L2(float(self.alpha), float(self.l1_ratio))
        check_flag(self, "fit_intercept", "positive")
        table = dataset_of(self, X, y, sample_weight, multi_output=True)
        n_axes, n_outputs = table.y.ndim, n_outputs_of(table)
        gram = gram_of(self.precompute, table.n_features)
        name = route_of_descent(self, table, self.alpha * self.l1_ratio)
        if name == "working_set":
            check_one_output(table, name, "coordinate_descent")
            check_sparse(table, self.alpha * self.l1_ratio)
            table = table if n_axes == 1 else table._replace(y=table.y[:, 0])
        solver = descent_solver(self, name, table)._replace(start=self._last_fit(table))
        result, n_passes, _ = solve(self, table, solver, penalty, MOST_PASSES)
        check_products(gram, None, result, table.X.dtype, self.fit_intercept)
        publish_linear(self, result, n_axes)
        publish(self, result, n_passes, name)
        last = [sets[0][-1] for sets in result.paths.fits]
        n_iters, gaps = [fit.n_iter for fit in last], np.array([fit.gap for fit in last])
        self.n_iter_ = n_iters if n_outputs > 1 else n_iters[0]
        self.dual_gap_ = gaps if n_outputs > 1 else gaps[0]
        return self

    @property
    def sparse_coef_(self):
        """Coefficients as a CSR matrix (1, p) or (K, p)."""
        return sparse.csr_matrix(np.atleast_2d(self.coef_))

    def _last_fit(self, table):
        """The coefficients (K, p) of the last fit, if they are to be used and are as many."""
        if not self.warm_start or not hasattr(self, "coef_"):
            return None
        coef = np.atleast_2d(self.coef_)
        return coef if coef.shape == (n_outputs_of(table), table.n_features) else None


def route_of_descent(estimator, table, strengths, n_fits=1, n_sets=1) -> str:
    """The solver of a lasso-like estimator for paths of ``n_fits`` in all, on ``n_sets`` of rows.

    ``strengths`` are those of the L1 part: without one all columns are in use.
    """
    name = find_solver(estimator, table.n_features, "coordinate_descent", "working_set")
    if estimator.solver != "auto":
        return name
    sparse = np.all(np.greater(strengths, 0))
    name = "working_set" if sparse and suits_working_set(table, n_fits, n_sets) else name
    return first_served(asked_strategy(estimator), name, "working_set")


def descent_solver(estimator, name, table, n_paths=1):
    """The solver of that name with the options of a lasso-like estimator.

    A working set for ``n_paths`` grows in small steps where reads are cheap: few columns serve all.
    """
    kind = registry.find_solver(name)
    solver = kind(estimator.tol, estimator.max_iter, estimator.positive)
    if name != "working_set" or not table.is_local:
        return solver
    return solver._replace(growth=SINGLE_PATH_GROWTH if n_paths == 1 else MANY_PATHS_GROWTH)


def check_sparse(table, strengths) -> None:
    """Raise ValueError if a fit without an L1 part would make a working set of very many columns.

    ``strengths`` are those of the L1 part, which must be above zero.
    """
    if table.n_features > LARGEST_GRAM and not np.all(np.asarray(strengths) > 0.0):
        raise ValueError(
            f"Without an L1 penalty all {table.n_features} coefficients are in use, and more than "
            f"{LARGEST_GRAM} of them would need too large a matrix. Take alpha and l1_ratio above "
            "0, or Ridge or LinearRegression with solver='lbfgs'."
        )


def check_descent(estimator) -> None:
    """Raise ValueError unless the parameters that lasso-like estimators share can be used."""
    check_number(estimator, "tol", 0)
    check_number(estimator, "max_iter", 1, integer=True)
    if estimator.selection not in ("cyclic", "random"):
        raise ValueError(
            f"selection must be 'cyclic' or 'random', got {estimator.selection!r}; both have the "
            "same effect."
        )
    precompute = estimator.precompute
    known = isinstance(precompute, bool) or np.ndim(precompute) == 2
    if not known and not (isinstance(precompute, str) and precompute == "auto"):
        raise ValueError(
            "precompute must be True, False or 'auto', which have the same effect, or the Gram "
            f"matrix of the columns, got {precompute!r}."
        )
