"""What a cross-validated classifier is asked for, how its rows are laid out, and what is chosen."""

from __future__ import annotations

import numbers
import warnings
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedKFold

from daskdsml.contracts import Result
from daskdsml.data.folds import Folds
from daskdsml.data.labels import LabelCodes, codes_of
from daskdsml.metrics._sums import RowMean
from daskdsml.metrics.accuracy import Accuracy
from daskdsml.passes.evaluate import log_probabilities
from daskdsml.passes.row_stats import RowStats, invalid_target
from daskdsml.passes.scores import Scores, scores
from daskdsml.utils.validation import outside


class FoldCells(NamedTuple):
    """The summary of the data, and how often the folds count its cells."""

    summary: Any
    folds: Folds


class GridFits(NamedTuple):
    """Results of all settings on all rows, and of each fold."""

    problem: Any
    whole: list
    folds: list

    def unshifted(self) -> GridFits:
        """With the parameters of the columns as they were given."""
        sets = [
            [result._replace(theta=self.problem.unshifted(result.theta)) for result in results]
            for results in (self.whole, *self.folds)
        ]
        return self._replace(whole=sets[0], folds=sets[1:])


class Prepared(NamedTuple):
    """Labels rows with cells, if ``cells`` is not None, and turns labels into codes."""

    cells: Any
    codes: LabelCodes

    def __call__(self, block):
        return self.codes(block if self.cells is None else self.cells(block))


class Weighted(NamedTuple):
    """Rows whose weights are multiplied by those of the classes (K,) in each pass."""

    rows: Any
    class_weight: np.ndarray

    def run(self, kernel, state, name):
        return self.rows.run(partial(_reweighed, kernel, self.class_weight), state, name)


def _reweighed(kernel, class_weight, state, block):
    w = class_weight[block.y.astype(np.int64)]
    return kernel(state, block._replace(w=w if block.w is None else w * block.w))


class LogLossOfScores(RowMean):
    """Minus the mean log loss of raw scores: what a loss itself says, without any clipping."""

    needs = "scores"

    def score_rows(self, y, predicted, n_classes):
        return log_probabilities(predicted)[np.arange(len(y)), y]


class Coded(NamedTuple):
    """Kernel `scores` of blocks that still have the user's labels.

    One that is none of ``classes`` is never predicted, which is all that the accuracy asks.
    """

    classes: np.ndarray

    def __call__(self, judged, block):
        invalid = invalid_target(block.y, self.classes)
        if invalid is not None:
            stats = RowStats(len(block.y), 1.0, (invalid,))
            return Scores(stats, (None,) * len(judged.coef))
        y = np.ravel(block.y)
        codes = codes_of(y, self.classes)
        if (codes < 0).any() and not isinstance(judged.metric, Accuracy):
            (stranger,) = y[[np.argmin(codes)]].tolist()
            raise ValueError(
                f"y holds the label {stranger!r}, but the model was fitted to the "
                f"classes {self.classes.tolist()}. Leave out such rows, or fit to all labels."
            )
        return scores(judged, block._replace(y=codes))


def stratified_folds(cv) -> int | None:
    """The number of stratified folds in the order of the rows, or None for other splits."""
    if cv is None:
        return 5
    if isinstance(cv, StratifiedKFold):
        return None if cv.shuffle else cv.n_splits
    if not isinstance(cv, numbers.Integral) or isinstance(cv, bool):
        return None
    if cv < 2:
        raise ValueError(f"cv must be at least 2 folds, got {cv}.")
    return int(cv)


def strengths(Cs) -> np.ndarray:
    """Inverse strengths in ascending order."""
    if isinstance(Cs, numbers.Integral) and not isinstance(Cs, bool) and int(Cs) >= 1:
        return np.logspace(-4.0, 4.0, int(Cs))
    values = np.sort(_numbers(Cs))
    if not values.size or not (values > 0.0).all():
        raise ValueError(
            f"Cs must be a number of penalties, at least 1, or a list of positive numbers, got "
            f"{Cs!r}."
        )
    return values


def shares_of(model) -> np.ndarray:
    """Shares of L1, as the deprecated ``penalty`` has them if it is given: a warning."""
    shares = {"l1": (1.0,), "l2": (0.0,)}.get(model.penalty, model.l1_ratios)
    if model.penalty is None:
        raise ValueError(
            "penalty=None leaves nothing to choose. Use LogisticRegression(C=numpy.inf)."
        )
    if model.penalty != "deprecated":
        warnings.warn(
            f"'penalty' of {type(model).__name__} is deprecated, as in scikit-learn since 1.8: use "
            f"l1_ratios={shares!r} in place of penalty={model.penalty!r}.",
            FutureWarning,
            stacklevel=outside(),
        )
    return ratios(shares)


def ratios(l1_ratios) -> np.ndarray:
    values = _numbers(l1_ratios)
    if not values.size or not ((values >= 0.0) & (values <= 1.0)).all():
        raise ValueError(
            f"l1_ratios must be a list of numbers from 0 to 1, such as (0.0, 0.5, 1.0), got "
            f"{l1_ratios!r}."
        )
    return values


def _numbers(values) -> np.ndarray:
    """A list of finite numbers as an array, and nothing if it is none."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        return np.empty(0)
    return array if array.ndim == 1 and np.isfinite(array).all() else np.empty(0)


def counts_of(classes, blocks, n_cells) -> np.ndarray:
    """Rows of each class in each cell (K, n_cells)."""
    total = np.zeros((len(classes), n_cells), dtype=np.int64)
    for block in blocks:
        total[np.searchsorted(classes, block.labels), : block.counts.shape[1]] += block.counts
    return total


def check_every_class(classes, counts) -> None:
    """Raise ValueError unless each fold trains on every class; ``counts`` is (K, n_folds)."""
    missing = np.argwhere(counts == 0)
    if missing.size:
        k, fold = missing[0]
        raise ValueError(
            f"The training set of fold {fold} has no row of class {classes.tolist()[k]!r}. Use "
            "fewer folds, stratified ones (an integer cv), or drop classes of too few rows."
        )


def check_weight(fold, weight) -> None:
    """Raise ValueError unless the training set of a fold has weight."""
    if not weight > 0.0:
        raise ValueError(
            f"The training set of fold {fold} has no row of positive weight. Use fewer folds, "
            "shuffled ones, or drop rows of weight 0 first."
        )


def check_tests(metric, classes, counts) -> None:
    """Raise ValueError unless each fold's test set can be scored; ``counts`` is (K, n_folds).

    A row of each class there is scored in its place, so that no fit is lost on a score that cannot
    be had.
    """
    K = len(classes)
    for fold, present in enumerate(counts.T > 0):
        codes = np.flatnonzero(present)
        blank = {"labels": codes, "scores": np.zeros(len(codes))}
        response = blank.get(metric.needs, np.full((len(codes), K), 1.0 / K))
        with in_fold(fold):
            metric.value(metric.count(codes, response, None, K))


@contextmanager
def in_fold(fold):
    """Tells in a ValueError of a score which fold it is of."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"The test set of fold {fold} cannot be scored. {error}") from error


def summed_up(fitted, progress) -> Result:
    """All fits as one Result: converged if all of them are."""
    every = [*fitted.whole, *(result for fold in fitted.folds for result in fold)]
    bad = [result.status for result in every if result.status != "converged"]
    n_iter = max(result.n_iter for result in every)
    return Result(every[0].theta, n_iter, bad[0] if bad else "converged", progress.history)
