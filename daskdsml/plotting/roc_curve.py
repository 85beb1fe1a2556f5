"""ROC curves of a classifier, from one read of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn import metrics

from daskdsml.metrics.roc_auc import RocAuc
from daskdsml.plotting._classified import MOST_SCORES, count_estimator, count_predictions
from daskdsml.plotting._curves import ClassifierCurves, rows_of

METRIC = RocAuc(most=MOST_SCORES)
COUNT = partial(METRIC.count, n_classes=2)


@dataclass(kw_only=True, eq=False, repr=False)
class RocCurveDisplay(ClassifierCurves):
    """True positive rate over false positive rate at all thresholds on the score of a class.

    The rows are read once and summed by distinct score. Above 65,536 distinct scores neighbouring
    thresholds are left out (see `daskdsml.metrics._ranks.Ranks`): every point drawn is still one of
    the exact curve, and the area is off by ``roc_auc_error`` at the most, about 3e-5.

    For more than two classes there is a curve for each class against the rest, all from the same
    read, unless ``pos_label`` names one; attributes are then lists, in the order of ``classes``.
    Curves are drawn by `sklearn.metrics.RocCurveDisplay`.

    Parameters
    ----------
    fpr, tpr : arrays (m,), or lists of them
    roc_auc : float, or list of them, or None
    thresholds : array (m,), or list of them, or None
        A row is positive if its score is at least this; the first is infinite.
    roc_auc_error : float, or list of them
        How far ``roc_auc`` may be off.
    name : str or None
        The classifier, as the legend calls it.
    pos_label : label or None
        The positive class of a single curve.
    classes : list of labels, or None for a single curve

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    line_ : Line2D, or list of them
    chance_level_ : Line2D or None

    References
    ----------
    Fawcett, T. (2006). An introduction to ROC analysis. Pattern Recognition Letters 27, 861-874.
    """

    fpr: Any
    tpr: Any
    roc_auc: Any = None
    thresholds: Any = None
    roc_auc_error: Any = 0.0

    @classmethod
    def from_estimator(
        cls, estimator, X, y, *, sample_weight=None, drop_intermediate=True, response_method="auto",
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
        drop_intermediate : bool
            Whether to leave out points on the straight line between their neighbours.
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
            Whether to draw the diagonal.

        Returns
        -------
        RocCurveDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If data or classifier cannot be used; the message names the remedy.
        """
        totals = count_estimator(COUNT, estimator, X, y, sample_weight, response_method, pos_label)
        name = type(estimator).__name__ if name is None else name
        curve_of = partial(_curve, drop_intermediate=drop_intermediate)
        display = cls._from_totals(totals, name, curve_of)
        return display.plot(ax, curve_kwargs=curve_kwargs, plot_chance_level=plot_chance_level)

    @classmethod
    def from_predictions(
        cls, y_true, y_score, *, sample_weight=None, drop_intermediate=True, pos_label=None,
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
        totals = count_predictions(
            COUNT, y_true, y_score, sample_weight, pos_label, classes, "y_score"
        )
        curve_of = partial(_curve, drop_intermediate=drop_intermediate)
        display = cls._from_totals(totals, name, curve_of)
        return display.plot(ax, curve_kwargs=curve_kwargs, plot_chance_level=plot_chance_level)

    def plot(self, ax=None, *, name=None, curve_kwargs=None, plot_chance_level=True):
        """Draw; parameters are as for `from_estimator`.

        Returns
        -------
        self
        """
        self._open(ax, name)
        curves = [
            metrics.RocCurveDisplay(
                fpr=np.asarray(fpr), tpr=np.asarray(tpr), roc_auc=area, name=label,
                pos_label=self.pos_label,
            )
            for label, fpr, tpr, area in self._each("fpr", "tpr", "roc_auc")
        ]  # fmt: skip
        for curve in curves:
            curve.plot(self.ax_, plot_chance_level=plot_chance_level and curve is curves[-1])
        self.chance_level_ = self._without_repeat(curves[-1].chance_level_)
        self._set_lines([curve.line_ for curve in curves], curve_kwargs)
        self._draw_legend("lower right")
        return self


def _curve(ranks, drop_intermediate) -> dict:
    fpr, tpr, thresholds = metrics.roc_curve(**rows_of(ranks), drop_intermediate=drop_intermediate)
    area, error = METRIC.value(ranks), METRIC.error(ranks)
    return {
        "fpr": fpr, "tpr": tpr, "thresholds": thresholds, "roc_auc": area, "roc_auc_error": error
    }  # fmt: skip
