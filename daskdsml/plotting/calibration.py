"""Calibration curves of a classifier, from one read of the rows."""

from __future__ import annotations

import numbers
from dataclasses import KW_ONLY, dataclass
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np
from sklearn import calibration

from daskdsml.passes.calibration import HISTOGRAM, Calibration
from daskdsml.plotting._axes import axes_for
from daskdsml.plotting._classified import MOST_SCORES, count_estimator, count_predictions
from daskdsml.plotting._curves import ClassifierCurves

STRATEGIES = ("uniform", "quantile")


@dataclass(eq=False, repr=False)
class CalibrationDisplay(ClassifierCurves):
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
    Curves are drawn by `sklearn.calibration.CalibrationDisplay`.

    Parameters
    ----------
    prob_true, prob_pred : arrays (m,), or lists of them
        Share of the class, and mean probability, in each bin that has rows.
    n_effective : array (m,), or list of them, or None
        Rows in each bin; None for no bars.
    histogram : array (20,), or list of them, or None
        Summed weights of rows by probability, in bins of equal width on [0, 1].
    name, pos_label, classes : as for `RocCurveDisplay`

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

    prob_true: Any
    prob_pred: Any
    _: KW_ONLY
    n_effective: Any = None
    histogram: Any = None

    @classmethod
    def from_estimator(
        cls, estimator, X, y, *, n_bins=5, strategy="uniform", sample_weight=None, pos_label=None,
        name=None, ax=None, curve_kwargs=None, ref_line=True, level=0.95,
    ):  # fmt: skip
        """Draw the curves of a fitted classifier with ``predict_proba``.

        Parameters
        ----------
        n_bins : int
        strategy : {"uniform", "quantile"}
            Bins of equal width on [0, 1], or of equal weight.
        ref_line : bool
            Whether to draw the diagonal of a perfect calibration.
        level : float or None
            Confidence level of the intervals; None for no bars.
        estimator, X, y, sample_weight, pos_label, name, ax, curve_kwargs
            These, what is returned, and errors: as for `RocCurveDisplay.from_estimator`.
        """
        bins = _bins(n_bins, strategy)
        totals = count_estimator(bins, estimator, X, y, sample_weight, "predict_proba", pos_label)
        name = type(estimator).__name__ if name is None else name
        display = cls._from_totals(totals, name, partial(_curve, bins))
        return display.plot(ax, curve_kwargs=curve_kwargs, ref_line=ref_line, level=level)

    @classmethod
    def from_predictions(
        cls, y_true, y_prob, *, n_bins=5, strategy="uniform", sample_weight=None, pos_label=None,
        classes=None, name=None, ax=None, curve_kwargs=None, ref_line=True, level=0.95,
    ):  # fmt: skip
        """Draw the curves of probabilities that are there already.

        Parameters
        ----------
        y_prob : array (n,), series, or Dask collection of them
            Probabilities of the positive class; or (n, K) of K classes.
        y_true, sample_weight, pos_label, classes, name, ax, curve_kwargs
            These, what is returned, and errors: as for `RocCurveDisplay.from_predictions`.
        n_bins, strategy, ref_line, level : as for `from_estimator`
        """
        bins = _bins(n_bins, strategy)
        totals = count_predictions(
            bins, y_true, y_prob, sample_weight, pos_label, classes, "y_prob"
        )
        display = cls._from_totals(totals, name, partial(_curve, bins))
        return display.plot(ax, curve_kwargs=curve_kwargs, ref_line=ref_line, level=level)

    def plot(self, ax=None, *, name=None, curve_kwargs=None, ref_line=True, level=0.95):
        """Draw; parameters are as for `from_estimator`.

        Returns
        -------
        self
        """
        self.ax_histogram_: Any = None
        if ax is None and self.histogram is not None:
            grid = {"nrows": 2, "sharex": True, "height_ratios": (4, 1)}
            _, (ax, self.ax_histogram_) = axes_for(None, figsize=(5.4, 6.8), **grid)
        self._open(ax, name)
        before = len(self.ax_.lines)
        curves = [
            calibration.CalibrationDisplay(
                np.asarray(prob_true), np.asarray(prob_pred), None, pos_label=self.pos_label
            ).plot(ax=self.ax_, name=label or "Classifier", ref_line=ref_line, markersize=4.0)
            for label, prob_true, prob_pred in self._each("prob_true", "prob_pred")
        ]
        lines = [curve.line_ for curve in curves]
        others = [line for line in self.ax_.lines[before:] if line not in lines]
        self.ref_line_ = others[0] if others else None
        self._set_lines(lines, curve_kwargs)
        self.ax_.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        self._draw_legend("best")
        known = level is not None and self.n_effective is not None
        self.intervals_ = self._draw_intervals(lines, level) if known else None
        if self.ax_histogram_ is not None:
            self._draw_histogram(lines)
        return self

    def _draw_intervals(self, lines, level):
        drawn = []
        for line, (_, n) in zip(lines, self._each("n_effective"), strict=True):
            x, proportion = line.get_data()
            low, high = wilson_interval(proportion, n, level)
            drawn.append(self.ax_.vlines(x, low, high, color=line.get_color(), lw=1.0))
        return self._one_or_list(drawn)

    def _draw_histogram(self, lines) -> None:
        """The distribution of probabilities on axes below the curves."""
        edges, fill = np.linspace(0.0, 1.0, HISTOGRAM + 1), self.classes is None
        for line, (_, weights) in zip(lines, self._each("histogram"), strict=True):
            self.ax_histogram_.stairs(weights, edges, color=line.get_color(), fill=fill, alpha=0.6)
        self.ax_histogram_.set(xlabel=self.ax_.get_xlabel(), ylabel="weight of rows")
        self.ax_histogram_.set_box_aspect(0.25)  # as wide as the square above, which is 4x as high
        self.ax_.set_xlabel("")


def wilson_interval(proportion, n, confidence):
    """Limits (m,) of a probability, by the ``proportion (m,)`` of ``n (m,)`` trials.

    Raises ValueError unless ``confidence`` is between 0 and 1.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(
            f"level must be a number between 0 and 1, such as 0.95, or None, got {confidence!r}."
        )
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    centre = (proportion + z * z / (2.0 * n)) / (1.0 + z * z / n)
    variance = proportion * (1.0 - proportion) / n + z * z / (4.0 * n * n)
    half = z / (1.0 + z * z / n) * np.sqrt(variance)
    return centre - half, centre + half


def _bins(n_bins, strategy) -> Calibration:
    """What to count; ValueError if there are no such bins."""
    whole = isinstance(n_bins, numbers.Integral) and not isinstance(n_bins, bool)
    if not whole or n_bins < 1:
        raise ValueError(f"n_bins must be an integer of at least 1, got {n_bins!r}.")
    if strategy not in STRATEGIES:
        raise ValueError(f"Unknown strategy {strategy!r}: expected one of {list(STRATEGIES)}.")
    return Calibration(int(n_bins), strategy == "quantile", MOST_SCORES)


def _curve(bins, total) -> dict:
    weight, positive, probability, square = bins.curve(total).T
    return {
        "prob_true": positive / weight,
        "prob_pred": probability / weight,
        "n_effective": weight * weight / square,
        "histogram": total.histogram.values,
    }
