"""Precision-recall curves of a classifier, from one read of the rows."""

from __future__ import annotations

import numpy as np

from daskdsml.metrics.average_precision import AveragePrecision
from daskdsml.plotting._classified import MOST_SCORES, count_estimator, count_predictions
from daskdsml.plotting._curves import Curves, draw_once

METRIC = AveragePrecision(most=MOST_SCORES)


class PrecisionRecallDisplay(Curves):
    """Precision over recall at all thresholds on the score of a class.

    The rows are read once and met by distinct score. Above 65,536 distinct scores neighbouring
    thresholds are left out (see `daskdsml.metrics._ranks.Ranks`): every point drawn is still one of
    the exact curve, and the average precision is off by ``average_precision_error`` at the most,
    about 2e-4.

    For more than two classes there is a curve for each class against the rest, all from the same
    read, unless ``pos_label`` names one; attributes are then lists, in the order of ``classes``.

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
    name : str or None
        The classifier, as the legend calls it.
    pos_label : label or None
        The positive class of a single curve.
    classes : list of labels, or None for a single curve

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

    def __init__(
        self,
        precision,
        recall,
        *,
        average_precision=None,
        thresholds=None,
        average_precision_error=0.0,
        prevalence_pos_label=None,
        name=None,
        pos_label=None,
        classes=None,
    ):
        self.precision = precision
        self.recall = recall
        self.average_precision = average_precision
        self.thresholds = thresholds
        self.average_precision_error = average_precision_error
        self.prevalence_pos_label = prevalence_pos_label
        self.name = name
        self.pos_label = pos_label
        self.classes = classes

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        sample_weight=None,
        drop_intermediate=False,
        response_method="auto",
        pos_label=None,
        name=None,
        ax=None,
        curve_kwargs=None,
        plot_chance_level=True,
    ):
        """Draw the curves of a fitted classifier, of daskdsml or scikit-learn.

        Parameters
        ----------
        drop_intermediate : bool
            Whether to leave out points between others of the same recall.
        plot_chance_level : bool
            Whether to draw the share of the positive class.
        estimator, X, y, sample_weight, response_method, pos_label, name, ax, curve_kwargs
            As for `RocCurveDisplay.from_estimator`.

        Returns
        -------
        PrecisionRecallDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If data or classifier cannot be used; the message names the remedy.
        """
        counted = count_estimator(
            _count, estimator, X, y, sample_weight, response_method, pos_label
        )
        name = type(estimator).__name__ if name is None else name
        shown = cls._from_counted(counted, drop_intermediate, name)
        return shown.plot(ax, curve_kwargs=curve_kwargs, plot_chance_level=plot_chance_level)

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_score,
        *,
        sample_weight=None,
        drop_intermediate=False,
        pos_label=None,
        classes=None,
        name=None,
        ax=None,
        curve_kwargs=None,
        plot_chance_level=True,
    ):
        """Draw the curves of scores that are there already.

        Parameters
        ----------
        y_true, y_score, sample_weight, pos_label, classes, name, ax, curve_kwargs
            As for `RocCurveDisplay.from_predictions`.
        drop_intermediate, plot_chance_level : as for `from_estimator`

        Returns
        -------
        PrecisionRecallDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If labels or scores cannot be used; the message names the remedy.
        """
        counted = count_predictions(
            _count, y_true, y_score, sample_weight, pos_label, classes, "y_score"
        )
        shown = cls._from_counted(counted, drop_intermediate, name)
        return shown.plot(ax, curve_kwargs=curve_kwargs, plot_chance_level=plot_chance_level)

    @classmethod
    def _from_counted(cls, counted, drop_intermediate, name):
        precision, recall, thresholds = zip(
            *(precision_recall_points(part.total, drop_intermediate) for part in counted),
            strict=True,
        )
        weights = [part.total.sums.sum(axis=0) for part in counted]
        return cls._of(
            counted,
            name,
            precision=precision,
            recall=recall,
            thresholds=thresholds,
            average_precision=[METRIC.value(part.total) for part in counted],
            average_precision_error=[METRIC.error(part.total) for part in counted],
            prevalence_pos_label=[float(own / (rest + own)) for rest, own in weights],
        )

    def plot(self, ax=None, *, name=None, curve_kwargs=None, plot_chance_level=True):
        """Draw.

        Parameters
        ----------
        ax, name, curve_kwargs, plot_chance_level : as for `from_estimator`

        Returns
        -------
        self

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        style = {"drawstyle": "steps-post", **(curve_kwargs or {})}
        self._draw(ax, self.recall, self.precision, self.average_precision, "AP", name, style)
        self.chance_level_ = self._draw_chance() if plot_chance_level else None
        self._finish("recall", "precision", "lower left")
        return self

    def _draw_chance(self):
        """A level at the share of each class, in the colour of its curve if there are several."""
        if self.prevalence_pos_label is None:
            return None
        if self.classes is None:
            share = self.prevalence_pos_label
            label = f"chance (share of the class: {share:.2f})"
            return draw_once(self.ax_, [0.0, 1.0], [share, share], label)
        lines = [
            self.ax_.plot([0.0, 1.0], [share, share], ":", lw=1.0, c=line.get_color(), zorder=1)[0]
            for share, line in zip(self.prevalence_pos_label, self.line_, strict=True)
        ]
        lines[0].set_label("chance (share of each class)")
        return lines


def precision_recall_points(total, drop_intermediate):
    """Precision and recall (m,) and thresholds (m - 1,), from the lowest threshold up."""
    rest, own = np.cumsum(total.sums[::-1], axis=0).T
    thresholds = total.scores()[::-1]
    if drop_intermediate:
        moves = np.diff(own) != 0.0
        kept = np.r_[True, moves[:-1] | moves[1:], True][: len(own)]
        rest, own, thresholds = rest[kept], own[kept], thresholds[kept]
    precision, recall = own / (own + rest), own / own[-1]
    return np.r_[precision[::-1], 1.0], np.r_[recall[::-1], 0.0], thresholds[::-1]


def _count(y, scores, w):
    return METRIC.count(y, scores, w, 2)
