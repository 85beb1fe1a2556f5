"""The fit that least squares and ridge share."""

from __future__ import annotations

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from daskdsml.engine.full.rows import ByColumns
from daskdsml.linear_model._base import LinearModel
from daskdsml.linear_model._rotation import rotated
from daskdsml.losses.penalties.l2 import L2
from daskdsml.losses.squared_error import SquaredError
from daskdsml.passes.evaluate import errors
from daskdsml.passes.loop import Progress
from daskdsml.passes.objective import Problem
from daskdsml.passes.summary import SummaryRequest
from daskdsml.solvers.nnls import NNLS
from daskdsml.solvers.qr import MAX_CONDITION, QR, SMALL_ENTRIES
from daskdsml.utils import registry
from daskdsml.utils.validation import check_flag


class LeastSquares(RegressorMixin, LinearModel):
    """Squared error with a penalty; ``_large`` is the solver without p x p matrices."""

    coef_: np.ndarray
    intercept_: np.ndarray | float

    _solvers: tuple[str, ...] = ("cholesky", "qr", "lbfgs")
    _default, _large = "qr", "lbfgs"

    def _fit(self, X, y, sample_weight, penalty, max_iter):
        """Fit with ``penalty``, an L2 relative to the summed loss or any relative to the mean."""
        check_flag(self, "fit_intercept", "positive")
        table = self._dataset(X, y, sample_weight, multi_output=True)
        return self._fit_by(self._route(table), table, penalty, max_iter)

    def _fit_by(self, solver, table, penalty, max_iter, rotation=None):
        """Fit with the solver of that name, and publish what it found.

        ``rotation`` is that of the table's columns, which have no names then.
        """
        if solver == "rotated":
            return self._fit_rotated(table, penalty, max_iter)
        if solver == self._large:
            self._check_large(table, solver)
        flat, whole = table.y.ndim == 1, table
        if solver in (self._large, "dual") and not flat:
            table = table._replace(y=table.y[:, 0])
        rows = self._open(table, solver)
        progress = Progress(type(self).__name__, self.verbose)
        try:
            problem = self._problem(table, rows, penalty, solver, progress)
            part = self._part(solver, table)
            result = minimize(problem, rows, part, max_iter, progress)
        finally:
            progress.close()
            rows.close()
        if solver == "dual" and result.status == "stalled":
            # Products of rows lose digits here: the other solvers can have them back, at more work.
            whole = whole._replace(extra_reads=rows.n_rows_read // table.n_rows)
            return self._fit_rotated(whole, penalty, max_iter)
        self._publish_linear(result, flat)
        if rotation is not None:
            self._turn_back(rotation)
        n_rows = result.moments.stats.n_rows if result.moments else problem.n_rows
        ran = "nnls" if isinstance(part, NNLS) else solver
        # Columns of a basis have no names, and what rows leave open of it is as good as zero.
        known = result if rotation is None else result._replace(null_space=None)
        self._publish(known, rows, table, n_rows, ran)
        return result

    def _fit_rotated(self, table, penalty, max_iter):
        """Fit on an orthonormal basis of the rows, which are fewer than the columns."""
        turned, rotation = rotated(table, self.fit_intercept)
        route = LeastSquares._route(self, turned)
        return self._fit_by(route, turned, penalty, max_iter, rotation)

    def _turn_back(self, rotation) -> None:
        """Coefficients of the columns of X from those of rotated columns."""
        self.coef_ = rotation.coefficients(self.coef_)
        if self.fit_intercept:
            self.intercept_ = rotation.intercepts(self.intercept_, self.coef_)

    def _route(self, table) -> str:
        """The solver's name: as asked, or for "auto" by the table."""
        return self._find_solver(table.n_features, self._default, self._large)

    def _check_large(self, table, solver) -> None:
        """Raise ValueError if the solver without p x p matrices cannot do what is asked."""
        n_outputs = 1 if table.y.ndim == 1 else table.y.shape[1]
        if self.positive and solver == "lbfgs":
            raise ValueError(
                f"positive=True needs the {table.n_features} x {table.n_features} moments of X, "
                f"which solver {solver!r} does not take. Use solver='{self._solvers[0]}'."
            )
        if n_outputs > 1:
            raise ValueError(
                f"Solver {solver!r} fits one output, but y has {n_outputs}. Use "
                f"solver='{self._solvers[0]}', or sklearn.multioutput.MultiOutputRegressor."
            )

    def _publish_linear(self, result, flat) -> None:
        """Coefficients and intercepts; ``flat`` tells that y was (n,)."""
        theta = np.atleast_2d(result.theta)
        coef = theta[:, : theta.shape[1] - bool(self.fit_intercept)]
        intercept = theta[:, -1] if self.fit_intercept else np.zeros(len(theta))
        self.coef_ = coef[0].copy() if flat else coef.copy()
        self.intercept_ = intercept.copy() if not flat and self.fit_intercept else intercept.item(0)

    def _part(self, solver, table):
        """The solver of that name, with its options."""
        part = registry.find("solvers", "nnls" if self.positive else solver)
        if solver == "lbfgs":
            return part(tol=self.tol)
        if solver == "dual" and self.solver == "auto":
            return part(MAX_CONDITION)
        if part is not QR:
            return part()
        small = table.is_local and table.n_rows * table.n_features <= SMALL_ENTRIES
        return part(0.0 if small or self.solver == "qr" else MAX_CONDITION)

    def _problem(self, table, rows, penalty, solver, progress) -> Problem:
        n, p = table.n_rows, table.n_features
        problem = Problem(
            SquaredError(),
            penalty,
            self._find_backend(None if n is None else n * p),
            p,
            self.fit_intercept,
            names=getattr(self, "feature_names_in_", None),
            label=self._label,
        )
        if solver == "dual":
            return problem._replace(n_rows=n)
        if solver != "lbfgs":
            return problem
        look = self._look(rows, SummaryRequest(problem.backend, labels=False), progress)
        return problem._replace(
            **self._scales(look, table),
            penalty=L2(penalty.strength / look.stats.weight),
            backend=self._find_backend(look.stats.n_rows * p),
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X):
        """Predicted targets.

        Parameters
        ----------
        X : array (n, p), CSR, DataFrame, Dask Array or Dask DataFrame

        Returns
        -------
        array (n,) or (n, K): a lazy Dask Array for a Dask collection, else NumPy; in X's precision.
        """
        check_is_fitted(self)
        columns = None if self._is_flat() else len(self.coef_)
        return self._scores(X, _same, columns=columns)

    def score(self, X, y, sample_weight=None) -> float:
        """Coefficient of determination R², averaged over outputs, from one pass over X and y."""
        check_is_fitted(self)
        total = self._evaluate(errors, self._predictor(), X, y, sample_weight, multi_output=True)
        return total.r2()


def minimize(problem, rows, solver, max_iter, progress):
    """The result of ``solver`` from zero, by the strategy that suits how ``rows`` are laid out."""
    strategy = registry.find_strategy(solver, isinstance(rows, ByColumns))
    start = np.zeros(problem.size)
    return strategy.minimize(problem, rows, solver, start, max_iter=max_iter, progress=progress)


def _same(scores):
    return scores
