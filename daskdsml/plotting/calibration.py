"""Calibration curves of a classifier, from one read of the rows."""

from __future__ import annotations

import numbers
from statistics import NormalDist

import numpy as np

from daskdsml.passes.calibration import HISTOGRAM, Calibration
from daskdsml.plotting._axes import axes_for
from daskdsml.plotting._classified import MOST_SCORES, count_estimator, count_predictions
from daskdsml.plotting._curves import Curves, as_list, draw_once

STRATEGIES = ("uniform", "quantile")
PROBABILITY = "mean predicted probability"


class CalibrationDisplay(Curves):
    """Observed frequency of a class over its predicted probability, by bin.

    Bars are Wilson intervals of these shares, for ``sum(w)**2 / sum(w**2)`` rows (Kish's effective
    size, the number of rows if all weigh the same). Below stands the distribution of the
    probabilities, where the display makes its own axes.

    The rows are read once. Bins "uniform" are exact for any number of rows. Bins "quantile" hold
    equal weights, up to ties; above 65,536 distinct probabilities neighbours count as tied (see
    `daskdsml.metrics._ranks.Ranks`), so a border may be off by the rows of one of more than
    32,768 cells, while the means in the bins are those of their rows.

    For more than two classes there is a curve for each class against the rest, all from the same
    read, unless ``pos_label`` names one; attributes are then lists, in the order of ``classes``.

    Parameters
    ----------
    prob_true, prob_pred : arrays (m,), or lists of them
        Share of the class, and mean probability, in each bin that has rows.
    n_effective : array (m,), or list of them, or None
        Rows in each bin; None for no bars.
    histogram : array (20,), or list of them, or None
        Summed weights of rows by probability, in bins of equal width on [0, 1].
    name : str or None
        The classifier, as the legend calls it.
    pos_label : label or None
        The positive class of a single curve.
    classes : list of labels, or None for a single curve

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    ax_histogram_ : matplotlib Axes, or None where the user gave ``ax``
    line_ : Line2D, or list of them
    intervals_ : LineCollection, or list of them, or None
    ref_line_ : Line2D or None

    References
    ----------
    Niculescu-Mizil, A. and Caruana, R. (2005). Predicting good probabilities with supervised
    learning. ICML. Wilson, E. B. (1927). Probable inference, the law of succession, and statistical
    inference. J. Am. Stat. Assoc. 22, 209-212. Kish, L. (1965). Survey Sampling, section 11.7.
    """

    def __init__(
        self,
        prob_true,
        prob_pred,
        *,
        n_effective=None,
        histogram=None,
        name=None,
        pos_label=None,
        classes=None,
    ):
        self.prob_true = prob_true
        self.prob_pred = prob_pred
        self.n_effective = n_effective
        self.histogram = histogram
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
        n_bins=5,
        strategy="uniform",
        sample_weight=None,
        pos_label=None,
        name=None,
        ax=None,
        curve_kwargs=None,
        ref_line=True,
        level=0.95,
    ):
        """Draw the curves of a fitted classifier with ``predict_proba``.

        Parameters
        ----------
        n_bins : int
        strategy : {"uniform", "quantile"}
            Bins of equal width on [0, 1], or of equal weight.
        ref_line : bool
            Whether to draw the diagonal of a perfect calibration.
        level : float or None
            Level of the intervals; None for no bars.
        estimator, X, y, sample_weight, pos_label, name, ax, curve_kwargs
            As for `RocCurveDisplay.from_estimator`.

        Returns
        -------
        CalibrationDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If data or classifier cannot be used; the message names the remedy.
        """
        count = _calibration(n_bins, strategy)
        counted = count_estimator(count, estimator, X, y, sample_weight, "predict_proba", pos_label)
        name = type(estimator).__name__ if name is None else name
        shown = cls._from_counted(counted, count, name)
        return shown.plot(ax, curve_kwargs=curve_kwargs, ref_line=ref_line, level=level)

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_prob,
        *,
        n_bins=5,
        strategy="uniform",
        sample_weight=None,
        pos_label=None,
        classes=None,
        name=None,
        ax=None,
        curve_kwargs=None,
        ref_line=True,
        level=0.95,
    ):
        """Draw the curves of probabilities that are there already.

        Parameters
        ----------
        y_true, sample_weight, pos_label, classes, name, ax, curve_kwargs
            As for `RocCurveDisplay.from_predictions`.
        y_prob : array (n,), series, or Dask collection of them
            Probabilities of the positive class; or (n, K) of K classes.
        n_bins, strategy, ref_line, level : as for `from_estimator`

        Returns
        -------
        CalibrationDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If labels or probabilities cannot be used; the message names the remedy.
        """
        count = _calibration(n_bins, strategy)
        counted = count_predictions(
            count, y_true, y_prob, sample_weight, pos_label, classes, "y_prob"
        )
        shown = cls._from_counted(counted, count, name)
        return shown.plot(ax, curve_kwargs=curve_kwargs, ref_line=ref_line, level=level)

    @classmethod
    def _from_counted(cls, counted, count, name):
        bins = [count.curve(part.total).T for part in counted]
        return cls._of(
            counted,
            name,
            prob_true=[own / w for w, own, _, _ in bins],
            prob_pred=[p / w for w, _, p, _ in bins],
            n_effective=[w * w / square for w, _, _, square in bins],
            histogram=[part.total.histogram.values for part in counted],
        )

    def plot(self, ax=None, *, name=None, curve_kwargs=None, ref_line=True, level=0.95):
        """Draw.

        Parameters
        ----------
        ax, name, curve_kwargs, ref_line, level : as for `from_estimator`

        Returns
        -------
        self

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        below = None
        if ax is None and self.histogram is not None:
            grid = {"nrows": 2, "sharex": True, "height_ratios": (4, 1)}
            _, (ax, below) = axes_for(None, figsize=(5.4, 6.8), **grid)
        style = {"marker": "o", "ms": 4.0, **(curve_kwargs or {})}
        self._draw(ax, self.prob_pred, self.prob_true, None, "", name, style)
        known = level is not None and self.n_effective is not None
        self.intervals_ = self._draw_intervals(level) if known else None
        self.ref_line_ = None
        if ref_line:
            self.ref_line_ = draw_once(self.ax_, [0.0, 1.0], [0.0, 1.0], "perfectly calibrated")
        self._finish(PROBABILITY, "share of the class", "best")
        self.ax_histogram_ = below
        if below is not None:
            self._draw_histogram(below)
        return self

    def _draw_intervals(self, level):
        several = self.classes is not None
        drawn = []
        for line, share, n in zip(
            as_list(self.line_),
            self.prob_true if several else [self.prob_true],
            self.n_effective if several else [self.n_effective],
            strict=True,
        ):
            low, high = wilson_interval(share, n, level)
            drawn.append(
                self.ax_.vlines(line.get_xdata(), low, high, color=line.get_color(), lw=1.0)
            )
        return drawn if several else drawn[0]

    def _draw_histogram(self, below) -> None:
        """The distribution of probabilities on the axes ``below`` the curves."""
        edges = np.linspace(0.0, 1.0, HISTOGRAM + 1)
        several = self.classes is not None
        weights = self.histogram if several else [self.histogram]
        for line, heights in zip(as_list(self.line_), weights, strict=True):
            below.stairs(heights, edges, color=line.get_color(), fill=not several, alpha=0.6)
        below.set(xlabel=self._of_class(PROBABILITY), ylabel="weight of rows")
        below.set_box_aspect(0.25)  # as wide as the square above, which is four times as high


def wilson_interval(share, n, level):
    """Limits (m,) of probabilities of which ``share (m,)`` was seen in ``n (m,)`` trials.

    Raises ValueError unless ``level`` is between 0 and 1.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(
            f"level must be a number between 0 and 1, such as 0.95, or None, got {level!r}."
        )
    z = NormalDist().inv_cdf(0.5 + level / 2.0)
    centre = (share + z * z / (2.0 * n)) / (1.0 + z * z / n)
    half = z / (1.0 + z * z / n) * np.sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n))
    return centre - half, centre + half


def _calibration(n_bins, strategy) -> Calibration:
    """What to count; ValueError if there are no such bins."""
    whole = isinstance(n_bins, numbers.Integral) and not isinstance(n_bins, bool)
    if not whole or n_bins < 1:
        raise ValueError(f"n_bins must be an integer of at least 1, got {n_bins!r}.")
    if strategy not in STRATEGIES:
        raise ValueError(f"Unknown strategy {strategy!r}: expected one of {list(STRATEGIES)}.")
    return Calibration(int(n_bins), strategy == "quantile", MOST_SCORES)
