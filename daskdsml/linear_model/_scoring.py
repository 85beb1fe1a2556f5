"""What ``scoring`` of a cross-validated model names: a metric that is a sum, or any scorer."""

from __future__ import annotations

import reprlib
import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer, get_scorer_names

from daskdsml.data.folds import Folds
from daskdsml.passes.gathered import Gathered
from daskdsml.utils import registry
from daskdsml.utils.one_standard_error import best_of
from daskdsml.utils.validation import outside

# What make_scorer returns: a score of y and of what one method of the model says of X.
PREDICTION_SCORER = type(get_scorer("accuracy"))
# What Python says of a scorer of make_scorer that multiplies its sign with what is no number.
SIGNED = "unsupported operand type(s) for *: 'int' and "
# Predictions that may be kept (2 GiB).
MOST_KEPT = 2**31


class PredictionScorer(NamedTuple):
    """A scorer of scikit-learn as a metric: raw scores of all rows are kept, and judged in the end.

    ``model`` is an estimator of the kind to be judged; ``classes (K,)`` are the labels that codes
    stand for, or None for a regression. ``weighted`` tells whether the scorer is given weights.
    """

    scorer: Any
    model: Any
    classes: Any = None
    weighted: bool = True

    needs = "scores"

    def count(self, y, predicted, w, n_classes) -> Gathered:
        """The rows of a block as they are."""
        return Gathered((y, predicted.reshape(len(y), -1), w))

    def kept(self, totals) -> np.ndarray:
        """The raw scores (n, models) of all rows."""
        return np.column_stack([total.parts[1] for total in totals])

    def value(self, total) -> float:
        """The score of all rows; ValueError if the scorer cannot have it."""
        if total is None:
            raise ValueError("A score needs at least one row, but there is none.")
        y, z, w = total.parts
        w = w if self.weighted else None
        coef, flat = np.eye(z.shape[1]), y.ndim == 1 and self.classes is None
        judged = fitted_copy(
            self.model, coef[0] if flat else coef, np.zeros(len(coef)), self.classes
        )
        return called(self.scorer, judged, z, y if self.classes is None else self.classes[y], w)


def fitted_copy(model, coef, intercept, classes=None):
    """A model of the kind and with the parameters of ``model`` with these coefficients.

    ``coef`` is (p,), or (K, p) for several outputs or for classes; ``intercept`` (K,).
    """
    copy = clone(model)
    copy.n_features_in_ = coef.shape[-1]
    copy.coef_, copy.intercept_ = coef, intercept[0] if coef.ndim == 1 else intercept
    if classes is not None:
        copy.classes_ = classes
    return copy


def called(scorer, model, X, y, w) -> float:
    """What a scorer says of a model.

    Raises
    ------
    ValueError
        If it takes no weights that it should take, or returns no number.
    """
    weights = {} if w is None else {"sample_weight": w}
    try:
        value = scorer(model, X, y, **weights)
    except TypeError as error:
        if isinstance(scorer, PREDICTION_SCORER) and SIGNED in str(error):
            raise _no_number(scorer, f"a {str(error).split(SIGNED)[1]}") from error
        if not weights or "sample_weight" not in str(error):
            raise
        raise ValueError(
            f"scoring={scorer!r} takes no sample_weight, but rows have weights. Use a score that "
            "does, such as 'neg_log_loss' or 'neg_mean_squared_error', or fit without weights."
        ) from error
    if isinstance(value, str | bytes):
        raise _no_number(scorer, repr(value))
    try:
        return float(value)  # also of a Dask Array of no dimensions, which is computed here
    except (TypeError, ValueError) as error:
        raise _no_number(scorer, f"{reprlib.repr(value)} of type {type(value).__name__}") from error


def _no_number(scorer, returned) -> ValueError:
    return ValueError(
        f"scoring={scorer!r} must return a number, the greater the better, but it returned "
        f"{returned}. End its function with 'return' and one float, or use the name of a score "
        "such as 'neg_mean_squared_error' or 'accuracy'."
    )


def best_by(scoring, means, axis=None):
    """Where the best of the ``means`` of scores is; warns of a callable that returned NaN."""
    if callable(scoring) and np.isnan(means).any():
        warnings.warn(
            f"scoring={scoring!r} returned NaN for {np.isnan(means).sum()} of {np.size(means)} "
            "settings, which are not chosen while others have a score. Have it return a number "
            "for every model.",
            UndefinedMetricWarning,
            stacklevel=outside(),
        )
    return best_of(means, axis)


def scorer_of(scoring, model, weighted=True):
    """A metric of sums, a `PredictionScorer`, or the callable itself where it asks for rows.

    The sums are ``weighted``: predictions are kept for scores that are not to weigh rows.

    Raises
    ------
    ValueError
        If ``scoring`` is neither a name of a score nor callable.
    """
    names = sorted({*registry.available("metrics"), *get_scorer_names()})
    if weighted and isinstance(scoring, str) and scoring in registry.available("metrics"):
        return registry.find("metrics", scoring)()
    if isinstance(scoring, str) and scoring in names:
        return PredictionScorer(get_scorer(scoring), model, weighted=weighted)
    if isinstance(scoring, PREDICTION_SCORER):
        return PredictionScorer(scoring, model, weighted=weighted)
    if callable(scoring):
        return scoring
    raise ValueError(
        f"Unknown scoring {scoring!r}: expected a callable (estimator, X, y), or one of {names}."
    )


def check_kind(scorer, scoring, regression) -> None:
    """Raise ValueError if a metric is one of the other kind of model."""
    if regression != (getattr(scorer, "needs", "") == "predictions") and hasattr(scorer, "count"):
        if isinstance(scorer, PredictionScorer):
            return
        judges, this, instead = (
            ("classes", "a regression", ("r2", "neg_mean_squared_error"))
            if regression
            else ("a regression", "a classifier", ("neg_log_loss", "accuracy", "roc_auc"))
        )
        raise ValueError(
            f"scoring={scoring!r} judges {judges}, but this is {this}. Use a score such as "
            f"{', '.join(map(repr, instead))}."
        )


def check_kept(n_numbers, scoring) -> None:
    """Raise ValueError if so many predictions are too many to be kept."""
    if 8 * n_numbers > MOST_KEPT:
        raise ValueError(
            f"scoring={scoring!r} needs all {n_numbers} predictions in memory, more than 2 GiB. "
            f"Use a score that is a sum over rows, {registry.available('metrics')}, or fewer "
            "penalties; and store_cv_results=False."
        )


def asks_for_rows(scorer) -> bool:
    """Whether a scorer is to be called with a model and the rows themselves."""
    return not hasattr(scorer, "count")


def scores_on_rows(scorer, models, table, cells, folds: Folds) -> np.ndarray:
    """Scores (n_folds, n_settings) by a scorer that is called with each model and its test rows.

    ``models`` are lists of models, one a fold; ``cells (n,)`` those of the rows of ``table``, whose
    y is as users gave it. Of a Dask collection the rows of X are a lazy Dask Array.
    """
    scores = []
    for counts, fold in zip(folds.test, models, strict=True):
        rows = np.repeat(np.arange(len(cells)), counts[cells])
        X = table.X[rows]
        y, w = (None if part is None else np.asarray(part[rows]) for part in (table.y, table.w))
        scores.append([called(scorer, model, X, y, w) for model in fold])
    return np.array(scores)
