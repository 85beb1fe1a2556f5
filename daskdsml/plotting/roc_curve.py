"""ROC curves of a classifier, from one read of the rows."""

from __future__ import annotations

import numpy as np

from daskdsml.metrics.roc_auc import RocAuc
from daskdsml.plotting._classified import MOST_SCORES, count_estimator, count_predictions
from daskdsml.plotting._curves import Curves, draw_once

METRIC = RocAuc(most=MOST_SCORES)


class RocCurveDisplay(Curves):
    """True positive rate over false positive rate at all thresholds on the score of a class.

    The rows are read once and met by distinct score. Above 65,536 distinct scores neighbouring
    thresholds are left out (see `daskdsml.metrics._ranks.Ranks`): every point drawn is still one of
    the exact curve, and the area is off by ``roc_auc_error`` at the most, about 3e-5.

    For more than two classes there is a curve for each class against the rest, all from the same
    read, unless ``pos_label`` names one; attributes are then lists, in the order of ``classes``.

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

    def __init__(
        self,
        *,
        fpr,
        tpr,
        roc_auc=None,
        thresholds=None,
        roc_auc_error=0.0,
        name=None,
        pos_label=None,
        classes=None,
    ):
        self.fpr = fpr
        self.tpr = tpr
        self.roc_auc = roc_auc
        self.thresholds = thresholds
        self.roc_auc_error = roc_auc_error
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
        drop_intermediate=True,
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
            Passed to matplotlib's ``plot``.
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
        drop_intermediate=True,
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
        y_true : labels (n,): array, series, or Dask collection of them
        y_score : array (n,), series, or Dask collection of them
            Probabilities or other scores of the positive class; or (n, K) of K classes.
        pos_label : label or None
            The positive class; None for 1, where y holds {0, 1} or {-1, 1}. Of scores (n, K), the
            one class to be drawn.
        classes : labels (K,) of the columns of ``y_score (n, K)``, or None for 0 to K - 1
        sample_weight, drop_intermediate, name, ax, curve_kwargs, plot_chance_level
            As for `from_estimator`.

        Returns
        -------
        RocCurveDisplay

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
        fpr, tpr, thresholds = zip(
            *(roc_points(part.total, drop_intermediate) for part in counted), strict=True
        )
        return cls._of(
            counted,
            name,
            fpr=fpr,
            tpr=tpr,
            thresholds=thresholds,
            roc_auc=[METRIC.value(part.total) for part in counted],
            roc_auc_error=[METRIC.error(part.total) for part in counted],
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
        self._draw(ax, self.fpr, self.tpr, self.roc_auc, "AUC", name, curve_kwargs)
        self.chance_level_ = None
        if plot_chance_level:
            self.chance_level_ = draw_once(self.ax_, [0.0, 1.0], [0.0, 1.0], "chance (AUC = 0.50)")
        self._finish("false positive rate", "true positive rate", "lower right")
        return self


def roc_points(total, drop_intermediate):
    """False and true positive rates, and thresholds, all (m,), from the highest threshold down."""
    rest, own = np.cumsum(total.sums[::-1], axis=0).T
    thresholds = total.scores()[::-1]
    if drop_intermediate:
        bends = (np.diff(rest, 2) != 0.0) | (np.diff(own, 2) != 0.0)
        kept = np.r_[True, bends, True][: len(rest)]
        rest, own, thresholds = rest[kept], own[kept], thresholds[kept]
    return np.r_[0.0, rest / rest[-1]], np.r_[0.0, own / own[-1]], np.r_[np.inf, thresholds]


def _count(y, scores, w):
    return METRIC.count(y, scores, w, 2)
