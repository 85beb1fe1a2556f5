"""Forward stepwise selection of columns by least squares."""

from __future__ import annotations

import numbers
import time

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from daskdsml.contracts import Record
from daskdsml.data.dataset import meta_of
from daskdsml.data.folds import assign_folds
from daskdsml.data.validation import validate_dataset
from daskdsml.feature_selection import _criteria as criteria
from daskdsml.feature_selection._lazy import LazySelection
from daskdsml.feature_selection._path import forward_path, test_errors
from daskdsml.linear_model._base import LARGEST_GRAM, find_backend, names_of, passes_over
from daskdsml.passes.moments import group_moments, moments
from daskdsml.passes.row_stats import raise_invalid, raise_overflow
from daskdsml.utils.one_standard_error import RULES, best_and_simplest
from daskdsml.utils.threads import single_threaded_blas
from daskdsml.utils.validation import check_flag, check_number, set_parameters

VALUES = {"bic": criteria.bic, "aic": criteria.aic, "p_value": criteria.p_values}
CRITERIA = (*VALUES, "cv")


class ForwardStepwiseSelector(LazySelection, SelectorMixin, BaseEstimator):
    """Forward stepwise selection of columns, with its whole path, from one read of the data.

    Begins with no column (and an intercept) and takes, at each step, the column that lowers the
    weighted residual sum of squares ``RSS = sum_i w_i (y_i - x_i'b - b0)**2`` most; of columns that
    tie, the first. After the one read each step is algebra on the cross products of [X y]: a
    pivoted Cholesky factorisation, O(k p) for the k-th column. Columns that are constant (with an
    intercept) or depend on those that entered never enter, and a perfect fit ends the path.

    The criterion decides where on the path to stop. With ``n = sum_i w_i`` and ``k`` parameters,
    the intercept among them::

        "bic"      lowest n log(RSS / n) + k log n
        "aic"      lowest n log(RSS / n) + 2 k
        "p_value"  before the first column whose p-value at entry, of its squared t with n - k
                   degrees of freedom, exceeds ``p_enter``
        "cv"       lowest mean squared error on left-out rows; the path is made anew on each
                   training set, from the same one read

    ``n`` being the summed weight, an integer weight counts as that many equal rows; weights that
    mean something else should be scaled to sum to the number of observations. "bic" and "aic" pay
    for columns, not for the search among many: with nearly as many columns as rows use "cv".

    Parameters
    ----------
    n_features_to_select : int, float or "auto"
        Number of columns, their share of all columns in (0, 1], or "auto": as the criterion says.
    criterion : {"bic", "aic", "p_value", "cv"}
    p_enter : float in (0, 1]
        For "p_value": the largest p-value with which a column enters.
    cv : int, splitter, iterable of (train, test), or None
        For "cv": an integer stands for so many runs of consecutive rows; None for 5.
    rule : {"min", "1se"}
        For "cv": the lowest mean error, or the fewest columns within one standard error of it.
    fit_intercept : bool
        Whether the models have an intercept.
    cache : {"auto", "memory", "none"}
        Whether blocks are kept in (workers') memory; the one read has no use for it.
    backend : {"auto", "numpy", "numba", "cupy"}
        What evaluates a block.
    n_jobs : int or None
        Threads for data in this process; None means all, or what ``dask.config`` says.
    verbose : bool
        Whether to show a progress bar.

    Attributes
    ----------
    order_ : array (K,) of int
        Columns in their order of entry: the whole path, as far as columns are independent.
    rss_path_ : array (K + 1,)
        Weighted residual sum of squares of the models of 0, 1, ..., K columns.
    criterion_path_ : array (K + 1,)
        Criterion of each model: BIC, AIC (infinite without degrees of freedom), p-value of the
        column that entered last (NaN for no column), or mean squared error on left-out rows.
    mse_path_ : array (K + 1, n_folds)
        For "cv": mean squared error on each test set. A training set whose own path ends early
        keeps its last model.
    n_features_to_select_ : int
        Number of columns selected.
    support_ : array (p,) of bool
    coef_ : array (n_features_to_select_,)
        Coefficients of the selected model, in the order of the columns that `transform` returns.
    intercept_ : float
    n_passes_ : int
        Complete reads of X, counted where blocks are read.
    history_ : list of `daskdsml.contracts.Record`, one a pass
    n_features_in_ : int
    feature_names_in_ : array (p,) of str, where X has names

    References
    ----------
    Miller, A. J. (2002). Subset Selection in Regression, 2nd ed. Chapman and Hall.
    Hastie, T., Tibshirani, R. and Friedman, J. (2009). The Elements of Statistical Learning,
    2nd ed., section 3.3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from daskdsml.feature_selection import ForwardStepwiseSelector
    >>> X = np.random.default_rng(0).normal(size=(100, 5))
    >>> selector = ForwardStepwiseSelector().fit(X, 3 * X[:, 4] - X[:, 1])
    >>> selector.order_.tolist(), selector.get_support(indices=True).tolist()
    ([4, 1], [1, 4])
    """

    _label = "stepwise"

    def __init__(
        self,
        n_features_to_select="auto",
        *,
        criterion="bic",
        p_enter=0.05,
        cv=5,
        rule="min",
        fit_intercept=True,
        cache="auto",
        backend="auto",
        n_jobs=None,
        verbose=False,
    ):
        set_parameters(self, locals())

    def fit(self, X, y, sample_weight=None):
        """Find the path and select.

        Parameters
        ----------
        X : array (n, p), CSR, DataFrame, Dask Array or Dask DataFrame; p up to 4096
        y : array (n,), series, or Dask collection of them
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
        self._check_parameters()
        table, folds = self._validate(X, y, sample_weight)
        n_requested = self._n_requested(table.n_features)
        total = self._read(table, folds)
        # What is computed must not depend on the number of threads.
        with single_threaded_blas():
            all_rows = self._centred(total if folds is None else total.of())
            path = forward_path(all_rows)
            self._check_target(total.stats, all_rows, path)
            values, n_selected = self._apply_criterion(path, total, folds)
            if n_requested is not None:
                self._check_length(path, n_requested)
                n_selected = n_requested
            self._publish_path(path, all_rows, values, n_selected)
        return self

    def _check_parameters(self) -> None:
        check_flag(self, "fit_intercept", "verbose")
        for name, known in (("criterion", CRITERIA), ("rule", RULES)):
            value = getattr(self, name)
            if not (isinstance(value, str) and value in known):
                raise ValueError(
                    f"Unknown {name} {value!r} of {type(self).__name__}: expected one of "
                    f"{list(known)}."
                )
        check_number(self, "p_enter", 0, strict=True, high=1)

    def _validate(self, X, y, sample_weight):
        """The dataset, with its rows labelled by the cells of folds if they are asked for."""
        columns = getattr(y, "shape", ())[1:]
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None. Call fit(X, y)."
            )
        if columns and columns[0] > 1:
            raise ValueError(
                f"{type(self).__name__} selects columns for one target, but y has {columns[0]}. "
                "Fit one selector for each column of y."
            )
        split = self.criterion == "cv"
        table = validate_dataset(X, y, sample_weight, known_rows=split, estimator=self)
        validate_data(self, meta_of(X), skip_check_array=True, reset=True)
        p = table.n_features
        if p > LARGEST_GRAM:
            raise ValueError(
                f"{type(self).__name__} works on the {p} x {p} cross products of X, and takes at "
                f"most {LARGEST_GRAM} columns. Screen them first, for instance with "
                "sklearn.feature_selection.SelectKBest on a sample of the rows."
            )
        if not split:
            return table, None
        table, folds = assign_folds(table, self.cv)
        folds.check_moments(p + 1)
        if self.rule == "1se" and len(folds) == 1:
            raise ValueError(
                "rule='1se' needs the spread of the errors over folds, but cv makes one split. "
                "Use more splits, or rule='min'."
            )
        return table, folds

    def _n_requested(self, p) -> int | None:
        """The number of columns to select, or None for as many as the criterion says."""
        n = self.n_features_to_select
        if isinstance(n, str) and n == "auto":
            return None
        is_number = isinstance(n, numbers.Real) and not isinstance(n, bool)
        is_count = isinstance(n, numbers.Integral)
        if is_number and is_count and 1 <= n <= p:
            return int(n)
        if is_number and not is_count and 0.0 < n <= 1.0:
            return max(1, int(n * p))
        raise ValueError(
            f"n_features_to_select of {type(self).__name__} must be 'auto', an integer from 1 to "
            f"the {p} columns of X, or a share of them above 0.0 and up to 1.0, got {n!r}."
        )

    def _read(self, table, folds):
        """Moments of [X y] from the one read: of all rows, or of each cell of folds."""
        n, p = table.n_rows, table.n_features
        backend = find_backend(self, None if n is None else n * p)
        kernel = moments if folds is None else group_moments
        start = time.perf_counter()
        with passes_over(self, table) as passes:
            total = passes.rows.run(kernel, backend, f"{self._label}-moments")
            passes.progress.add(Record("moments", time.perf_counter() - start))
        raise_invalid(total.stats, names_of(self))
        raise_overflow(*(cell.cross for cell in getattr(total, "groups", {0: total}).values()))
        self.n_passes_ = passes.n_passes(total.stats.n_rows, table)
        self.history_ = passes.progress.history
        return total

    def _centred(self, moments):
        """Moments about the mean with an intercept, else about zero."""
        return moments if self.fit_intercept else moments.about_zero()

    def _check_target(self, stats, all_rows, path) -> None:
        """Raise ValueError if there is nothing that columns could explain."""
        what = "constant" if self.fit_intercept else "zero"
        if self.fit_intercept and stats.n_rows == 1:
            raise ValueError(
                f"Found array with 1 sample(s) while a minimum of 2 is required by "
                f"{type(self).__name__} with an intercept."
            )
        if path.rss[0] == 0.0:
            raise ValueError(
                f"y is {what} over all rows that have weight, so no column can lower the residual "
                f"sum of squares. Check that y is the target of {type(self).__name__}."
            )
        needed = 1 + self.fit_intercept
        automatic = self.criterion != "cv" and isinstance(self.n_features_to_select, str)
        if automatic and all_rows.weight <= needed < stats.n_rows:
            raise ValueError(
                f"sample_weight sums to {all_rows.weight:g}, which criterion "
                f"{self.criterion!r} takes for the number of observations. Scale the weights to "
                "sum to the number of rows, or use criterion='cv'."
            )

    def _apply_criterion(self, path, total, folds):
        """The criterion of each model of the path, and how many columns are best by it."""
        if self.criterion != "cv":
            n = total.stats.weight
            values = VALUES[self.criterion](path.rss, n, int(self.fit_intercept))
            if self.criterion == "p_value":
                return values, criteria.before_larger(values, self.p_enter)
            return values, int(np.argmin(values))  # of those that tie, the fewest columns
        self.mse_path_ = np.column_stack(
            [self._fold_errors(total, cells, len(path.rss)) for cells in folds]
        )
        best, simplest = best_and_simplest(-self.mse_path_)
        return self.mse_path_.mean(axis=1), simplest if self.rule == "1se" else best

    def _fold_errors(self, total, cells, size) -> np.ndarray:
        """Errors (size,) on the test cells of a split, of the path made on its training cells."""
        train, test = (self._centred(total.of(labels)) for labels in cells)
        path = forward_path(train)
        errors = test_errors(path, train, test)
        return np.pad(errors, (0, size), mode="edge")[:size]

    def _check_length(self, path, n_requested) -> None:
        """Raise ValueError unless the path has the number of columns asked for."""
        if n_requested > len(path.order):
            end = "fit y exactly" if path.rss[-1] == 0.0 else "are independent of each other"
            raise ValueError(
                f"n_features_to_select={self.n_features_to_select!r} asks for {n_requested} "
                f"columns, but the path ends with {len(path.order)}, which {end}. Ask for fewer, "
                "or 'auto'."
            )

    def _publish_path(self, path, all_rows, values, n_selected) -> None:
        p = self.n_features_in_
        if self.criterion != "cv" and hasattr(self, "mse_path_"):
            del self.mse_path_
        self.order_, self.rss_path_, self.criterion_path_ = path.order, path.rss, values
        self.n_features_to_select_ = n_selected
        coef = np.zeros(p)
        coef[path.order[:n_selected]] = path.coefficients(n_selected)
        self.support_ = np.zeros(p, dtype=bool)
        self.support_[path.order[:n_selected]] = True
        self.coef_ = coef[self.support_]
        mean = all_rows.mean
        self.intercept_ = float(mean[p] - mean[:p] @ coef) if self.fit_intercept else 0.0

    def _get_support_mask(self) -> np.ndarray:
        check_is_fitted(self)
        return self.support_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
