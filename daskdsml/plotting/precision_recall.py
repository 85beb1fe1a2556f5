"""Precision-recall curves of a classifier, from one read of the rows."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from sklearn import metrics

from daskdsml.metrics.average_precision import AveragePrecision
from daskdsml.plotting._classified import MOST_SCORES
from daskdsml.plotting._curves import RankCurves


@dataclass(eq=False, repr=False)
class PrecisionRecallDisplay(RankCurves):
    """Precision over recall at all thresholds on the score of a class.

    The rows are read once and summed by distinct score. Above 65,536 distinct scores neighbouring
    thresholds are left out (see `daskdsml.metrics._ranks.Ranks`): every point drawn is still one of
    the exact curve, and the average precision is off by ``average_precision_error`` at the most,
    about 2e-4.

    For more than two classes there is a curve for each class against the rest, all from the same
    read, unless ``pos_label`` names one; attributes are then lists, in the order of ``classes``.
    Curves are drawn by `sklearn.metrics.PrecisionRecallDisplay`.

    Parameters
    ----------
    precision, recall : arrays (m,), or lists of them
        As scikit-learn gives them: recall falls to 0, where precision is 1.
    average_precision : float, or list of them, or None
    thresholds : array (m - 1,), or list of them, or None
        A row is positive if its score is at least this.
    average_precision_error : float, or list of them
        How far ``average_precision`` may be off.
    prevalence_pos_label : float, or list of them, or None
        Share of the positive class: the precision of chance.
    name, pos_label, classes : as for `RocCurveDisplay`

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    line_ : Line2D, or list of them
    chance_level_ : Line2D, or list of them, or None

    References
    ----------
    Davis, J. and Goadrich, M. (2006). The relationship between precision-recall and ROC curves.
    ICML.
    """

    precision: Any
    recall: Any
    _: KW_ONLY
    average_precision: Any = None
    thresholds: Any = None
    average_precision_error: Any = 0.0
    prevalence_pos_label: Any = None

    _metric = AveragePrecision(most=MOST_SCORES)

    @classmethod
    def _curve(cls, ranks, **data) -> dict:
        precision, recall, thresholds = metrics.precision_recall_curve(**data)
        negative, positive = ranks.sums.sum(axis=0)
        return {
            "precision": precision,
            "recall": recall,
            "thresholds": thresholds,
            "average_precision": cls._metric.value(ranks),
            "average_precision_error": cls._metric.error(ranks),
            "prevalence_pos_label": float(positive / (negative + positive)),
        }

    def plot(self, ax=None, *, name=None, curve_kwargs=None, plot_chance_level=True):
        """Draw; parameters are as for `from_estimator`.

        Returns
        -------
        self
        """
        self._open(ax, name)
        attributes = ("precision", "recall", "average_precision", "prevalence_pos_label")
        curves = [
            metrics.PrecisionRecallDisplay(
                np.asarray(precision), np.asarray(recall), average_precision=average, name=label,
                prevalence_pos_label=prevalence, pos_label=self.pos_label,
            )
            for label, precision, recall, average, prevalence in self._each(*attributes)
        ]  # fmt: skip
        chance = plot_chance_level and self.prevalence_pos_label is not None
        for curve in curves:
            curve.plot(self.ax_, plot_chance_level=chance)
        self._set_lines([curve.line_ for curve in curves], curve_kwargs)
        self.chance_level_ = self._finish_chance(curves) if chance else None
        self._draw_legend("lower left")
        return self

    def _finish_chance(self, curves):
        """The line of chance, or those of several classes in the colours of their curves."""
        if self.classes is None:
            return self._without_repeat(curves[0].chance_level_)
        for curve in curves:
            curve.chance_level_.set(color=curve.line_.get_color(), linestyle=":", label=None)
        curves[-1].chance_level_.set_label("Chance levels (AP = share of the class)")
        return [curve.chance_level_ for curve in curves]
