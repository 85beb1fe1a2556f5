"""What displays of classifiers share: one curve or one a class, each drawn by scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from daskdsml.plotting._axes import LEGEND, axes_for
from daskdsml.plotting._classified import count_estimator, count_predictions


@dataclass(kw_only=True, eq=False, repr=False)
class ClassifierCurves:
    """Base of displays that show a curve of one class, or of each of several against the rest."""

    name: str | None = None
    pos_label: Any = None
    classes: list | None = None

    @classmethod
    def _from_totals(cls, totals, name, curve_of):
        """A display of sums by class: ``curve_of(total)`` is a dict of a curve's attributes."""
        curves = [curve_of(total) for total in totals.values()]
        labels = list(totals)
        if len(curves) == 1:
            return cls(**curves[0], name=name, pos_label=labels[0])
        lists = {key: [curve[key] for curve in curves] for key in curves[0]}
        return cls(**lists, name=name, classes=labels)

    def _each(self, *attributes) -> list[tuple]:
        """For each curve its name in the legend, and what each of the attributes holds for it."""
        values = [getattr(self, attribute) for attribute in attributes]
        if self.classes is None:
            return [(self.name, *values)]
        names = [str(label) for label in self.classes]
        lists = [[None] * len(names) if value is None else value for value in values]
        return list(zip(names, *lists, strict=True))

    def _one_or_list(self, artists):
        return artists[0] if self.classes is None else artists

    def _open(self, ax, name) -> None:
        self.figure_, self.ax_ = axes_for(ax, figsize=(5.4, 5.4))
        self.name = self.name if name is None else name

    def _set_lines(self, lines, curve_kwargs) -> None:
        for line in lines:
            line.set(**(curve_kwargs or {}))
        self.line_ = self._one_or_list(lines)

    def _draw_legend(self, corner) -> None:
        title = None
        if self.classes is not None:
            title = "class against the rest" if self.name is None else f"{self.name}, each class"
        if self.ax_.get_legend_handles_labels()[0]:
            self.ax_.legend(loc=corner, title=title, **LEGEND)

    def _without_repeat(self, line):
        """A line for comparison; None, and removed, if the axes held it already."""
        labels = [other.get_label() for other in self.ax_.lines]
        if line is None or labels.count(line.get_label()) == 1:
            return line
        line.remove()
        return None


class RankCurves(ClassifierCurves):
    """Base of displays of curves over all thresholds on a score.

    ``_metric`` counts and summarizes; ``_curve(ranks, **data)`` is a dict of a curve's attributes,
    of which scikit-learn's function for the curve makes some from ``data``.
    """

    _metric: ClassVar[Any]
    _curve: ClassVar[Callable]

    @classmethod
    def _from_ranks(cls, totals, name, drop_intermediate):
        options = {} if drop_intermediate is None else {"drop_intermediate": drop_intermediate}
        return cls._from_totals(
            totals, name, lambda ranks: cls._curve(ranks, **rows_of(ranks), **options)
        )

    @classmethod
    def from_estimator(
        cls, estimator, X, y, *, sample_weight=None, drop_intermediate=None, response_method="auto",
        pos_label=None, name=None, ax=None, curve_kwargs=None, plot_chance_level=True,
    ):  # fmt: skip
        """Draw the curves of a fitted classifier, of daskdsml or scikit-learn.

        Parameters
        ----------
        estimator : fitted classifier
            Applied to one block of rows at a time.
        X : array (n, p), CSR, DataFrame, Dask Array or Dask DataFrame
        y : labels (n,): array, series, or Dask collection of them
        sample_weight : array (n,), series, Dask collection of them, or None
        drop_intermediate : bool or None
            Whether to leave out points of ROC curves on the straight line between their neighbours,
            which is the default, or points of precision-recall curves between others of the same
            recall, which is not.
        response_method : {"auto", "predict_proba", "decision_function"}
            What gives the scores; "auto" is the first that the classifier has. Of a softmax model
            of many classes only probabilities rank rows: each row's raw scores have a zero of
            their own.
        pos_label : label or None
            The positive class; None for the second of two classes, or each of more.
        name : str or None
            What the legend calls the classifier; None for the name of its class.
        ax : matplotlib Axes or None for new ones
        curve_kwargs : dict or None
            Properties of the curves, as for matplotlib's ``plot``.
        plot_chance_level : bool
            Whether to draw the curve of chance: the diagonal, or the share of the positive class.

        Returns
        -------
        RocCurveDisplay or PrecisionRecallDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If data or classifier cannot be used; the message names the remedy.
        """
        count = partial(cls._metric.count, n_classes=2)
        totals = count_estimator(count, estimator, X, y, sample_weight, response_method, pos_label)
        name = type(estimator).__name__ if name is None else name
        display = cls._from_ranks(totals, name, drop_intermediate)
        return display.plot(ax, curve_kwargs=curve_kwargs, plot_chance_level=plot_chance_level)

    @classmethod
    def from_predictions(
        cls, y_true, y_score, *, sample_weight=None, drop_intermediate=None, pos_label=None,
        classes=None, name=None, ax=None, curve_kwargs=None, plot_chance_level=True,
    ):  # fmt: skip
        """Draw the curves of scores that are there already.

        Parameters
        ----------
        y_true : labels (n,): array, series, or Dask collection of them
        y_score : array (n,), series, or Dask collection of them
            Probabilities or other scores of the positive class; or (n, K) of K classes.
        pos_label : label or None
            The positive class; None for 1, where y holds {0, 1} or {-1, 1}. Of scores (n, K), the
            one class to be drawn.
        classes : labels (K,) of the columns of ``y_score (n, K)``, or None for 0 to K - 1
        sample_weight, drop_intermediate, name, ax, curve_kwargs, plot_chance_level
            These, what is returned, and errors: as for `from_estimator`.
        """
        count = partial(cls._metric.count, n_classes=2)
        totals = count_predictions(
            count, y_true, y_score, sample_weight, pos_label, classes, "y_score"
        )
        display = cls._from_ranks(totals, name, drop_intermediate)
        return display.plot(ax, curve_kwargs=curve_kwargs, plot_chance_level=plot_chance_level)


def rows_of(ranks) -> dict[str, np.ndarray]:
    """`Ranks` as data for scikit-learn: two rows for each score, one of each class (2 m,)."""
    return {
        "y_true": np.repeat([0, 1], len(ranks.keys)),
        "y_score": np.tile(ranks.scores(), 2),
        "sample_weight": ranks.sums.T.ravel(),
    }
