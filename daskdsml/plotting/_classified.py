"""Sums over a classifier's scores by class, from one read of the rows; for its displays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted, validate_data

from daskdsml.data.dataset import check_in_memory, is_dask, is_dask_frame, meta_of
from daskdsml.data.validation import validate_dataset
from daskdsml.engine.full.rows import open_rows
from daskdsml.passes.classified import Question, classified
from daskdsml.passes.row_stats import raise_invalid
from daskdsml.plotting._axes import load_pyplot

# Most distinct scores that are kept: curves of up to as many points, 1.5 MiB for each class.
MOST_SCORES = 2**16
RESPONSE_METHODS = ("predict_proba", "decision_function")


class Response(NamedTuple):
    """A fitted classifier applied to a block: scores (n, K), one column for each class."""

    estimator: Any
    method: str
    n_classes: int

    def __call__(self, X):
        names = getattr(self.estimator, "feature_names_in_", None)
        if names is not None and not sparse.issparse(X):
            from pandas import DataFrame  # scikit-learn warns where names it knows are missing

            X = DataFrame(X, columns=names)
        scores = np.asarray(getattr(self.estimator, self.method)(X))
        if scores.ndim == 1 and self.n_classes == 2:
            scores = np.column_stack([-scores, scores])
        if scores.shape != (X.shape[0], self.n_classes):
            raise TypeError(
                f"{type(self.estimator).__name__}.{self.method} must give a column for each of "
                f"{self.n_classes} classes, but {X.shape[0]} rows gave shape {scores.shape}. Use "
                "response_method='predict_proba', or decision_function_shape='ovr' for an SVC."
            )
        return scores


def count_estimator(
    count, estimator, X, y, sample_weight, response_method, pos_label
) -> dict[Any, Any]:
    """Sums over a fitted classifier's scores by class: one of two classes, or each of more.

    ``count(y, scores, w)`` is what a block adds; the others are what the user passed, as for
    `RocCurveDisplay.from_estimator`. Raises ValueError, naming the remedy, if they cannot be used.
    """
    check_is_fitted(estimator)
    name = type(estimator).__name__
    if getattr(estimator, "classes_", None) is None:
        raise ValueError(
            f"{name} has no classes_: expected a fitted classifier. Draw a regression's residuals "
            "instead, or fit a classifier."
        )
    classes = np.asarray(estimator.classes_).tolist()
    response = Response(estimator, _method_of(estimator, response_method), len(classes))
    validate_data(estimator, meta_of(X), skip_check_array=True, reset=False)
    question = Question(response, _columns(classes, pos_label), frozenset(classes), count)
    return _count(question, X, y, sample_weight, getattr(estimator, "feature_names_in_", None))


def count_predictions(count, y, scores, sample_weight, pos_label, classes, argument) -> dict:
    """Sums over given scores by class: scores (n,) of one of two classes, or (n, K) of all.

    As `count_estimator`; ``argument`` is the name of the parameter that holds the scores.
    """
    scores = _as_matrix(scores, argument)
    width = scores.shape[1]
    if width > 1:
        classes = list(range(width)) if classes is None else np.asarray(classes).tolist()
        if len(classes) != width:
            raise ValueError(
                f"classes must name each of the {width} columns of {argument}, got {classes}."
            )
        question = Question(np.asarray, _columns(classes, pos_label), frozenset(classes), count)
    else:
        if classes is not None:
            raise ValueError(
                f"classes={classes!r} names columns, but {argument} has one. Use pos_label to say "
                "which label it is the score of."
            )
        positive = 1 if pos_label is None else pos_label
        question = Question(np.asarray, ((positive, 0),), None, count)
    return _count(question, scores, y, sample_weight, argument=argument, guess=pos_label is None)


def _count(question, X, y, sample_weight, names=None, argument="X", guess=False) -> dict:
    load_pyplot()  # or the rows would be read in vain
    rows = open_rows(validate_dataset(X, y, sample_weight, labels=True), "none")
    try:
        sums = rows.run(classified, question, "classified")
    finally:
        rows.close()
    invalid = tuple(f._replace(part=argument) if f.part == "X" else f for f in sums.stats.invalid)
    raise_invalid(sums.stats._replace(invalid=invalid), names)
    if question.known is None:
        _check_two(sums.labels, guess)
    labels = [label for label, _ in question.drawn]
    for label, (rest, positive) in zip(labels, sums.weights, strict=True):
        _check_both(label, rest, positive)
    return dict(zip(labels, sums.totals, strict=True))


def _method_of(estimator, response_method) -> str:
    """Name of the classifier's method that gives the scores."""
    options = ["auto", *RESPONSE_METHODS]
    if response_method not in options:
        raise ValueError(f"Unknown response_method {response_method!r}: expected one of {options}.")
    methods = [m for m in RESPONSE_METHODS if hasattr(estimator, m)]
    if response_method == "auto" and methods:
        return methods[0]
    if response_method in methods:
        return response_method
    missing = " or ".join(RESPONSE_METHODS) if response_method == "auto" else response_method
    mend = (
        f"Pass response_method={methods[0]!r} for a curve of ranks, or wrap" if methods else "Wrap"
    )
    raise ValueError(
        f"{type(estimator).__name__} has no {missing}, which this picture needs. {mend} it in "
        "sklearn.calibration.CalibratedClassifierCV to have probabilities."
    )


def _columns(classes, pos_label) -> tuple[tuple[Any, int], ...]:
    """The classes to count, with the columns of their scores."""
    if pos_label is not None:
        if pos_label not in classes:
            raise ValueError(f"pos_label={pos_label!r} is not a class: expected one of {classes}.")
        return ((pos_label, classes.index(pos_label)),)
    pairs = tuple((label, column) for column, label in enumerate(classes))
    return pairs[1:] if len(classes) == 2 else pairs


def _as_matrix(scores, argument):
    """Scores (n, K), still an array, frame or Dask collection."""
    if is_dask_frame(scores):
        return scores.to_frame() if scores.ndim == 1 else scores
    if not is_dask(scores):
        check_in_memory(scores, argument)
        scores = np.asarray(scores)
    if scores.ndim not in (1, 2):
        raise ValueError(
            f"{argument} must be (n,) or (n, K), got an array of shape {scores.shape}. Pass what "
            "predict_proba or decision_function gave."
        )
    return scores[:, None] if scores.ndim == 1 else scores


def _check_two(labels, guess) -> None:
    if len(labels) > 2:
        raise ValueError(
            f"y holds more than two labels ({', '.join(map(repr, labels))}, ...), but there is one "
            "score for each row. Pass scores (n, K) of all classes."
        )
    if guess and not ({*labels} <= {0, 1} or {*labels} <= {-1, 1}):
        raise ValueError(
            f"y holds the labels {list(labels)}, and pos_label is not given: it can be left out "
            "for {0, 1} and {-1, 1} alone. Pass pos_label, the label that high scores speak for."
        )


def _check_both(label, rest, positive) -> None:
    if not (rest > 0.0 and positive > 0.0):
        what = f"no row of positive weight has the label {label!r}"
        if positive > 0.0:
            what = f"all rows of positive weight have the label {label!r}"
        raise ValueError(
            f"A curve needs rows of the class {label!r} and others, but {what}. Pass rows of both, "
            "or another pos_label."
        )
