"""What the linear estimators share: the way in, the way out, lazy predictions and warnings."""

from __future__ import annotations

import time
import warnings

import numpy as np
from scipy.linalg import LinAlgWarning
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from daskdsml.contracts import Record
from daskdsml.data.blocks import float_dtype
from daskdsml.data.dataset import is_dask, meta_of, score_dtype
from daskdsml.data.validation import validate_dataset
from daskdsml.engine.full.predict import lazily
from daskdsml.engine.full.rows import ByColumns, open_rows, suits_columns
from daskdsml.passes.evaluate import LinearPredictor
from daskdsml.passes.row_stats import raise_invalid, raise_overflow
from daskdsml.passes.summary import summarize
from daskdsml.utils import registry
from daskdsml.utils.validation import outside

# Below this many entries of X a fit takes less than compiling kernels would.
COMPILE_FROM = 2**24
# From this many columns on, a p x p matrix (128 MiB) is more than a task should hold.
LARGEST_GRAM = 4096


class LinearModel(BaseEstimator):
    """Base of the linear estimators; ``_solvers`` names those a subclass takes."""

    _solvers: tuple[str, ...] = ()
    _label = "linear"
    # What it means that the optimum lies at infinity, and what would bring it back.
    _separated = "the classes separated by a linear combination of columns", "C to a finite value"

    def _dataset(
        self, X, y, sample_weight, *, labels=False, multi_output=False, known_rows=False, reset=True
    ):
        """The table of a fit (``reset``) or a score, with features counted and named."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None. Call fit(X, y)."
            )
        table = validate_dataset(
            X,
            y,
            sample_weight,
            labels=labels,
            multi_output=multi_output,
            known_rows=known_rows,
            estimator=self,
        )
        validate_data(self, meta_of(X), skip_check_array=True, reset=reset)
        return table

    def _open(self, table, solver=None):
        n_jobs = getattr(self, "n_jobs", None)
        by_columns = solver == "working_set" and suits_columns(table)
        if by_columns or solver == "dual":
            return ByColumns(table, self.cache, n_jobs, square=solver == "dual")
        needs = registry.find("solvers", solver).needs if solver else frozenset()
        square = not needs.isdisjoint({"moments", "hessian"})
        return open_rows(table, self.cache, n_jobs, square)

    def _find_backend(self, n_entries):
        """The backend asked for, or, for "auto", one that suits ``n_entries`` (None if unknown)."""
        small = n_entries is None or n_entries < COMPILE_FROM
        return registry.find_backend(self.backend, "numpy" if small else "numba")

    def _check_solver(self) -> None:
        """Raise ValueError if the solver is unknown."""
        if self.solver not in ("auto", *self._solvers):
            known = ["auto", *self._solvers]
            raise ValueError(
                f"Unknown solver {self.solver!r} of {type(self).__name__}: expected one of {known}."
            )

    def _find_solver(self, n_features, default, large):
        """The solver's name: as asked, or for "auto" by the number of columns."""
        self._check_solver()
        if self.solver != "auto":
            return self.solver
        return default if n_features <= LARGEST_GRAM else large

    def _look(self, rows, look, progress):
        """The first pass of an iterative fit; raises ValueError if the rows cannot be used."""
        start = time.perf_counter()
        found = rows.run(summarize, look, f"{self._label}-look")
        progress.add(Record("look", time.perf_counter() - start))
        raise_invalid(found.stats, getattr(self, "feature_names_in_", None))
        raise_overflow(found.squares)
        return found

    def _scales(self, found, table) -> dict:
        """What a Problem wants to know of the data, from a first look."""
        return {
            "n_rows": found.stats.n_rows,
            "weight": found.stats.weight,
            "centre": found.mean() if self.fit_intercept else np.zeros(table.n_features),
            "spread": found.spread(centred=self.fit_intercept),
            "epsilon": float(np.finfo(float_dtype(table.X.dtype)).eps),
        }

    def _evaluate(self, kernel, state, X, y, sample_weight, **kind):
        """Sum of ``kernel`` over the rows of a score, after the rows are found usable."""
        table = self._dataset(X, y, sample_weight, reset=False, **kind)
        rows = open_rows(table, "none", getattr(self, "n_jobs", None))
        try:
            total = rows.run(kernel, state, f"{self._label}-score")
        finally:
            rows.close()
        raise_invalid(total.stats, getattr(self, "feature_names_in_", None))
        return total

    def _publish(self, result, rows, table, n_rows, solver) -> None:
        """Attributes that tell how the fit went, and a warning if it did not go well."""
        self.n_passes_ = _whole(rows.n_rows_read / n_rows + table.extra_reads)
        self.converged_ = result.status == "converged"
        self.history_ = result.history
        self.solver_ = solver
        warn_of(result, self)
        names = getattr(self, "feature_names_in_", None)
        if result.null_space is not None:
            # Of one output or of K coupled ones, with a row for each intercept or without.
            p, r = self.n_features_in_, result.null_space.shape[1]
            n_outputs = max(len(result.null_space) // (p + bool(self.fit_intercept)), 1)
            relations = result.null_space.reshape(n_outputs, -1, r)
            warn_of_dependence(relations[:, : self.n_features_in_], names)

    def _scores(self, X, finish, *, columns=None, dtype=None):
        """``finish`` of the raw scores of X: lazily for a Dask collection, at once otherwise.

        ``columns`` is the number of columns of what ``finish`` returns, None for a vector.
        """
        check_is_fitted(self)
        predictor = self._predictor()
        if not is_dask(X):
            X = validate_data(
                self, X, reset=False, accept_sparse="csr", dtype=(np.float64, np.float32)
            )
            return finish(predictor(X))
        validate_data(self, meta_of(X), skip_check_array=True, reset=False)
        return lazily(
            X,
            predictor,
            finish,
            columns=columns,
            dtype=score_dtype(X) if dtype is None else dtype,
            name=f"{self._label}-predict",
        )

    def _predictor(self) -> LinearPredictor:
        coef = np.atleast_2d(self.coef_)
        intercept = np.broadcast_to(np.atleast_1d(self.intercept_), len(coef))
        return LinearPredictor(coef, intercept, self._is_flat())

    def _is_flat(self) -> bool:
        """Whether raw scores are (n,) rather than (n, K)."""
        return self.coef_.ndim == 1

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def warn_of(result, estimator) -> None:
    """Turn the status of a result into scikit-learn's ConvergenceWarning."""
    last = result.history[-1]
    if result.status == "max_iter" and result.paths is not None:
        every = (fit for sets in result.paths.fits for fits in sets for fit in fits)
        short = [fit for fit in every if not fit.converged]
        worst = max(fit.gap for fit in short)
        text = (
            f"stopped after max_iter={estimator.max_iter} sweeps with a duality gap of up to "
            f"{worst:.2e} in {len(short)} fit(s), above tol={estimator.tol:g} times the mean "
            "square of y. Raise max_iter or tol"
        )
    elif result.status == "max_iter" and last.gradient_norm <= estimator.tol:
        text = (
            f"stopped after max_iter={result.n_iter} iterations while steps still promised to "
            f"lower the objective by more than tol={estimator.tol:g} of it, as where classes are "
            "all but separated. Raise max_iter, or the penalty"
        )
    elif result.status == "max_iter":
        text = (
            f"stopped after max_iter={result.n_iter} iterations with a gradient norm of "
            f"{last.gradient_norm:.2e}, above the limit tol={estimator.tol:g}. Raise max_iter"
        )
    elif result.status == "separated":
        found, remedy = estimator._separated
        text = (
            f"found {found}: coefficients grow without limit, the objective stays at "
            f"{last.objective:.2e}, no finite optimum exists. The coefficients are those of the "
            f"last iteration. Set {remedy}"
        )
    elif result.status == "stalled":
        text = (
            f"could not lower the objective further, its gradient norm {last.gradient_norm:.1e} is "
            f"above the limit tol={estimator.tol:g}. Scale the columns, or raise tol"
        )
    else:
        return
    warnings.warn(f"{type(estimator).__name__} {text}.", ConvergenceWarning, stacklevel=outside())


def warn_of_dependence(null_space, names) -> None:
    """Warn that columns depend on each other, naming those that take part.

    ``null_space`` is (1, p, r), or (K, p, (K - 1) r) for K coupled outputs.
    """
    part = np.abs(null_space).max(axis=(0, 2)) > 1e-8
    n_relations = -(-null_space.shape[2] // max(len(null_space) - 1, 1))
    labels = [str(j) if names is None else str(names[j]) for j in np.flatnonzero(part)]
    shown = ", ".join(labels[:10]) + (", ..." if len(labels) > 10 else "")
    warnings.warn(
        f"X is rank-deficient: {n_relations} linear relation(s) among the columns {shown} "
        "(constant columns count with an intercept). Of all coefficients that fit equally well, "
        "those of least norm are given. Drop a column of each relation to have unique ones.",
        LinAlgWarning,
        stacklevel=outside(),
    )


def warn_of_few_rows(n, p) -> None:
    """Warn that ``n`` rows leave some of ``p`` coefficients open."""
    warnings.warn(
        f"X is rank-deficient: it has fewer rows ({n}) than columns ({p}). Of all coefficients "
        "that fit equally well, those of least norm are given. Use Ridge or Lasso to choose "
        "others.",
        LinAlgWarning,
        stacklevel=outside(),
    )


def _whole(n: float):
    return int(n) if n == int(n) else n
