"""ROC curves of a classifier, from one read of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import metrics

from daskdsml.metrics.roc_auc import RocAuc
from daskdsml.plotting._classified import MOST_SCORES
from daskdsml.plotting._curves import RankCurves


@dataclass(kw_only=True, eq=False, repr=False)
class RocCurveDisplay(RankCurves):
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

    _metric = RocAuc(most=MOST_SCORES)

    @classmethod
    def _curve(cls, ranks, **data) -> dict:
        fpr, tpr, thresholds = metrics.roc_curve(**data)
        area, error = cls._metric.value(ranks), cls._metric.error(ranks)
        return {
            "fpr": fpr, "tpr": tpr, "thresholds": thresholds, "roc_auc": area,
            "roc_auc_error": error,
        }  # fmt: skip

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
