"""What the linear estimators share: validation, passes, lazy predictions and warnings."""

from __future__ import annotations

import time
import warnings
from contextlib import contextmanager

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgWarning
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from daskdsml.contracts import Block, Record
from daskdsml.data.blocks import float_dtype
from daskdsml.data.dataset import MATRIX, check_rank, is_dask, meta_of
from daskdsml.data.local import local_rows
from daskdsml.data.validation import target_names, validate_dataset, warn_of_one_row
from daskdsml.engine.full.by_columns import ByColumns
from daskdsml.engine.full.predict import lazily
from daskdsml.engine.full.rows import open_rows
from daskdsml.passes.evaluate import Labels, LinearPredictor, errors
from daskdsml.passes.progress import Progress
from daskdsml.passes.row_stats import raise_invalid, raise_overflow, raise_underflow, row_stats_of
from daskdsml.passes.shift import Shift
from daskdsml.passes.summary import DataSummary, summarize
from daskdsml.utils import registry
from daskdsml.utils.checkpoint import how_to_go_on
from daskdsml.utils.validation import check_running, outside
from daskdsml.utils.variation import DESCENT_ROUNDING, warn_of_far

# Below this many entries of X a fit takes less than compiling kernels would.
COMPILE_FROM = 2**24
# From this many columns on, a p x p matrix (128 MiB) is more than a task should hold.
LARGEST_GRAM = 4096
# What it means that the optimum lies at infinity, and what would bring it back.
CLASSES_SEPARATED = (
    "the classes separated by a linear combination of columns",
    "C to a finite value",
)


class LinearRegressor(RegressorMixin, BaseEstimator):
    """Base of regressions whose predictions are the scores themselves."""

    coef_: np.ndarray
    intercept_: np.ndarray | float

    _multi_output = False

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = self._multi_output
        return tags

    def predict(self, X):
        """Predicted targets ``x'b + b0``, (n,) or (n, K), in X's precision. Lazy as X is."""
        check_is_fitted(self)
        predictor = predictor_of(self)
        return predict_rows(self, X, np.asarray, None if predictor.flat else len(predictor.coef))

    def score(self, X, y, sample_weight=None) -> float:
        """Coefficient of determination R², averaged over outputs, from one pass over X and y.

        NaN of a single row, with a warning.
        """
        check_is_fitted(self)
        kind = {"multi_output": self._multi_output}
        r2 = evaluate(self, errors, predictor_of(self), X, y, sample_weight, **kind).r2()
        warn_of_one_row(r2)
        return r2


class SparseCoefficients:
    """Estimators whose ``coef_`` can be kept as a sparse matrix after a fit."""

    coef_: np.ndarray

    def sparsify(self):
        """Keep ``coef_`` as a CSR matrix (K, p), smaller where more than half is zero; self."""
        check_is_fitted(self)
        self.coef_ = sparse.csr_matrix(dense_coef(self))
        return self

    def densify(self):
        """Keep ``coef_`` as an array again, as fits leave it; returns self."""
        check_is_fitted(self)
        if sparse.issparse(self.coef_):
            coef = dense_coef(self)
            self.coef_ = coef if hasattr(self, "classes_") else coef[0]
        return self


def dense_coef(estimator) -> np.ndarray:
    """Coefficients (K, p), (1, p) of one output, also of an estimator that was sparsified."""
    coef = estimator.coef_
    return coef.toarray() if sparse.issparse(coef) else np.atleast_2d(coef)


class Passes:
    """The rows of a fit, and the progress of passes over them."""

    def __init__(self, rows, progress: Progress):
        self.rows = rows
        self.progress = progress

    def encode(self, codes) -> None:
        """Let ``codes``, unless it is None, change every block from here on."""
        if codes is None:
            return
        rows, self.rows = self.rows, self.rows.map(codes)
        rows.close()

    def summarize(self, estimator, request, kernel=summarize):
        """The first pass of an iterative fit; ValueError if X or y is not finite, or too large."""
        start = time.perf_counter()
        total = self.rows.run(kernel, request, f"{estimator._label}-summary")
        self.progress.add(Record("summary", time.perf_counter() - start))
        summary = total if isinstance(total, DataSummary) else total.summary
        raise_invalid(summary.stats, names_of(estimator))
        raise_overflow(summary.squares)
        variation = summary.variation
        raise_underflow(variation.mean, variation.squares, variation.weight, names_of(estimator))
        return total

    def n_passes(self, n_rows, table):
        """Complete reads of X so far."""
        n = self.rows.n_rows_read / n_rows + table.extra_reads
        return int(n) if n == int(n) else n


@contextmanager
def passes_over(estimator, table, solver=None, label=None, strategy=None, journal=None):
    """`Passes` over a table, laid out as solver and strategy need it, and closed in the end.

    They are kept in ``journal``, unless that is None.
    """
    needs = frozenset() if solver is None else solver.needs
    rows = _rows_for(estimator, table, needs, strategy, journal)
    passes = Passes(rows, Progress(label or type(estimator).__name__, estimator.verbose, journal))
    try:
        yield passes
    finally:
        passes.progress.close()
        passes.rows.close()


def _rows_for(estimator, table, needs, strategy, journal):
    n_jobs = getattr(estimator, "n_jobs", None)
    square = not needs.isdisjoint({"moments", "hessian", "row products"})
    options = (table, estimator.cache, n_jobs, square, journal)
    if getattr(strategy, "by_columns", False):
        return ByColumns(*options)
    return open_rows(*options, getattr(strategy, "n_parts", None))


def dataset_of(estimator, X, y, sample_weight, *, reset=True, **kind):
    """The table of a fit (``reset``) or a score, with features counted and named.

    ``kind`` are options of `validate_dataset`.
    """
    check_running(estimator)
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y "
            "is None. Call fit(X, y)."
        )
    table = validate_dataset(X, y, sample_weight, estimator=estimator, **kind)
    validate_data(estimator, meta_of(X), skip_check_array=True, reset=reset)
    if reset:
        estimator._target_names = target_names(y)
    return table


def names_of(estimator):
    """Names (p,) of the columns, or None."""
    return getattr(estimator, "feature_names_in_", None)


def find_backend(estimator, n_entries):
    """The backend asked for, or, for "auto", one that suits ``n_entries`` (None if unknown)."""
    small = n_entries is None or n_entries < COMPILE_FROM
    return registry.find_backend(estimator.backend, "numpy" if small else "numba")


def asked_solver(estimator) -> str:
    """Our name of the solver asked for, or "auto"; ValueError if there is none."""
    equivalent = getattr(estimator, "_equivalent_solvers", {})
    known = ["auto", *estimator._solvers]
    name = estimator.solver
    if not isinstance(name, str) or name not in (*known, *equivalent):
        told = f", or scikit-learn's names {list(equivalent)}" if equivalent else ""
        raise ValueError(
            f"Unknown solver {name!r} of {type(estimator).__name__}: expected one of {known}{told}."
        )
    return equivalent.get(name, name)


def named_solver(estimator):
    """The class of the solver asked for, or None for "auto"; ValueError if there is none."""
    name = asked_solver(estimator)
    return None if name == "auto" else registry.find_solver(name)


def find_solver(estimator, n_features, default, large) -> str:
    """The solver's name: as asked, or for "auto" by the number of columns."""
    name = asked_solver(estimator)
    if name != "auto":
        return name
    return default if n_features <= LARGEST_GRAM else large


def scales_of(estimator, summary, table) -> dict:
    """What a Problem wants to know of the data, from a summary."""
    one, mean = bool(estimator.fit_intercept), summary.mean()
    shift, constant = shift_of(estimator, summary, table), np.flatnonzero(~summary.varies & one)
    mean = mean * one if shift is None else shift.of(mean)
    mean[constant] = 0.0
    return {
        "n_rows": summary.stats.n_rows,
        "weight": summary.stats.weight,
        "mean": mean,
        "scale": summary.scale(centred=one),
        "shift": shift,
        "constant": constant,
        "epsilon": rounding_of(table),
    }


def rounding_of(table) -> float:
    """The rounding unit of X."""
    return float(np.finfo(float_dtype(table.X.dtype)).eps)


def shift_of(estimator, summary, table, constant=False) -> Shift | None:
    """What moves columns far from zero, if there are any and an intercept makes up for it.

    And ``constant`` ones, if they are to be zero.
    """
    moved = summary.variation.far(rounding_of(table))
    if constant:
        moved |= ~summary.varies & (summary.mean() != 0.0)
    if not (moved.any() and estimator.fit_intercept):
        return None
    return Shift(np.flatnonzero(moved), summary.mean()[moved].astype(float_dtype(table.X.dtype)))


def warn_of_alike(estimator, summary, epsilon) -> None:
    """Warn of columns that are all but alike, for they hardly vary and no intercept stands by."""
    variation = summary.variation
    far = variation.far(max(epsilon, DESCENT_ROUNDING))
    still = ~variation.varies & (summary.mean() != 0.0)
    if not estimator.fit_intercept and far.any() and far.sum() + still.sum() > 1:
        why = "Without an intercept they are all but the same column, and digits are lost."
        warn_of_far(estimator, far, why)


def evaluate(estimator, kernel, state, X, y, sample_weight, **kind):
    """Sum of ``kernel`` over the rows of a score, after the rows are found usable."""
    table = dataset_of(estimator, X, y, sample_weight, reset=False, **kind)
    rows = open_rows(table, "none", getattr(estimator, "n_jobs", None))
    try:
        total = rows.run(kernel, state, f"{estimator._label}-score")
    finally:
        rows.close()
    raise_invalid(total.stats, names_of(estimator))
    return total


def publish(estimator, result, n_passes, solver) -> None:
    """Attributes that say how the fit went, and a warning if it did not go well."""
    estimator.n_passes_ = n_passes
    estimator.converged_ = result.status == "converged"
    estimator.history_ = result.history
    estimator.solver_ = solver
    warn_of(result, estimator)
    # Where no optimum exists there is none of least norm.
    if result.null_space is not None and result.status != "separated":
        # Of one output or of K coupled ones, with a row for each intercept or without.
        p, r = estimator.n_features_in_, result.null_space.shape[1]
        n_outputs = max(len(result.null_space) // (p + bool(estimator.fit_intercept)), 1)
        relations = result.null_space.reshape(n_outputs, -1, r)
        warn_of_dependence(relations[:, :p], names_of(estimator))


def predict_rows(estimator, X, finish, columns=None, dtype=None):
    """``finish`` of the raw scores of X: lazily for a Dask collection, at once otherwise.

    ``columns`` is the number of columns of what ``finish`` returns, None for a vector.
    """
    check_is_fitted(estimator)
    predictor = predictor_of(estimator)
    if not is_dask(X):
        rows = local_rows(X, estimator=estimator)
        validate_data(estimator, X, skip_check_array=True, reset=False)
        with np.errstate(invalid="ignore"):  # told of below, with the row
            scores = predictor(rows)
        if not np.isfinite(scores).all():
            raise_invalid(row_stats_of(Block(rows), suspect_X=True), names_of(estimator))
        return finish(scores)
    check_rank(X, MATRIX)
    validate_data(estimator, meta_of(X), skip_check_array=True, reset=False)
    of_classes = hasattr(estimator, "classes_") and not isinstance(finish, Labels)
    return lazily(
        X,
        predictor,
        finish,
        name=f"{estimator._label}-predict",
        tail=() if columns is None else (columns,),
        columns=estimator.classes_ if of_classes else getattr(estimator, "_target_names", None),
        dtype=dtype,
    )


def predictor_of(estimator) -> LinearPredictor:
    """What gives raw scores: (n,) of one output or of two classes, (n, K) of more."""
    coef, classes = dense_coef(estimator), getattr(estimator, "classes_", None)
    intercept = np.broadcast_to(np.atleast_1d(estimator.intercept_), len(coef))
    vector = estimator.coef_.ndim == 1 or sparse.issparse(estimator.coef_)
    return LinearPredictor(coef, intercept, vector if classes is None else len(classes) == 2)


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
        what, remedy = getattr(estimator, "_separated", CLASSES_SEPARATED)
        text = (
            f"found {what}: coefficients grow without limit, the objective stays at "
            f"{last.objective:.2e}, no finite optimum exists. The coefficients are those of the "
            f"last iteration. Set {remedy}"
        )
    elif result.status == "stalled":
        text = (
            f"could not lower the objective further, its gradient norm {last.gradient_norm:.1e} is "
            f"above the limit tol={estimator.tol:g}. Scale the columns, or raise tol"
        )
    elif result.status == "interrupted":
        text = f"was interrupted after {result.n_iter} iterations. {how_to_go_on(estimator)}"
    else:
        return
    warnings.warn(f"{type(estimator).__name__} {text}.", ConvergenceWarning, stacklevel=outside())


def warn_of_dependence(null_space, names) -> None:
    """Warn that columns depend on each other, naming those that take involved.

    ``null_space`` is (1, p, r), or (K, p, (K - 1) r) for K coupled outputs.
    """
    involved = np.abs(null_space).max(axis=(0, 2)) > 1e-8
    n_relations = -(-null_space.shape[2] // max(len(null_space) - 1, 1))
    labels = [str(j) if names is None else str(names[j]) for j in np.flatnonzero(involved)]
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
