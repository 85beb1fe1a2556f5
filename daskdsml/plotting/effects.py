"""Coefficients with their confidence intervals."""

from __future__ import annotations

import numpy as np

from daskdsml.inference.result import INTERCEPT
from daskdsml.plotting._axes import axes_for, label_plainly


class EffectDisplay:
    """Coefficients, or their ratios, with confidence intervals, one a row.

    A line marks no effect: zero, or, on a logarithmic axis, a ratio of one.

    Parameters
    ----------
    names : list of str (q,), from the top to the bottom
    coef : array (q,)
        NaN where there is none: its row stays empty.
    conf_int : array (q, 2)
        Lower and upper limits.
    level : float
        The confidence level of the intervals, such as 0.95.
    ratio : str or None
        What numbers are called that are ratios, such as "odds ratio", and None for coefficients.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    points_ : Line2D, the coefficients
    intervals_ : matplotlib LineCollection, the intervals
    zero_line_ : Line2D, where there is no effect
    """

    def __init__(self, names, coef, conf_int, level=0.95, ratio=None):
        self.names = names
        self.coef = np.asarray(coef, dtype=float)
        self.conf_int = np.asarray(conf_int, dtype=float)
        self.level = level
        self.ratio = ratio

    @classmethod
    def from_result(cls, result, *, include_intercept=False, ratios=False):
        """From an `InferenceResult` of daskdsml.inference.

        Parameters
        ----------
        result : object with ``names``, ``coef (q,)``, ``conf_int (q, 2)`` and ``level``
        include_intercept : bool
            Whether to draw intercepts, whose units are often not those of the others.
        ratios : bool
            Whether to draw ``result.odds_ratios()``, which results of logistic, multinomial and
            Poisson regression have, instead of coefficients.

        Raises
        ------
        ValueError
            If there are no ratios.
        """
        names, coef, limits, ratio = result.names, result.coef, result.conf_int, None
        if ratios:
            if not hasattr(result, "odds_ratios"):
                raise ValueError(
                    "ratios=True needs a result of logistic, multinomial or Poisson regression, "
                    f"got {result!r}. Use ratios=False."
                )
            frame, ratio = result.odds_ratios(), result.ratio
            coef, limits = frame["ratio"], frame[["lower", "upper"]]
        # The intercept of one equation, or those of classes.
        shown = [include_intercept or str(name).split(": ")[-1] != INTERCEPT for name in names]
        names = [name for name, show in zip(names, shown, strict=True) if show]
        return cls(names, np.asarray(coef)[shown], np.asarray(limits)[shown], result.level, ratio)

    def plot(self, ax=None):
        """Draw on ``ax``, or on new axes; returns self."""
        q = len(self.names)
        if q == 0 or self.coef.shape != (q,) or self.conf_int.shape != (q, 2):
            raise ValueError(
                f"Expected at least one name, coef (q,) and conf_int (q, 2) for q names, got {q} "
                f"names and shapes {self.coef.shape} and {self.conf_int.shape}."
            )
        self.figure_, self.ax_ = axes_for(ax, figsize=(6.4, max(2.0, 0.28 * q + 1.0)))
        rows = np.arange(q)
        no_effect = 0.0 if self.ratio is None else 1.0
        self.zero_line_ = self.ax_.axvline(no_effect, color="0.4", linewidth=0.8, zorder=1)
        self.intervals_ = self.ax_.hlines(
            rows, *self.conf_int.T, color="C0", linewidth=1.5, zorder=2
        )
        (self.points_,) = self.ax_.plot(self.coef, rows, "o", color="C0", markersize=3.5, zorder=3)
        self.ax_.set_yticks(rows, [str(name) for name in self.names])
        self.ax_.set_ylim(q - 0.4, -0.6)
        if self.ratio is not None:
            self.ax_.set_xscale("log")
            low, high = self.ax_.get_xlim()
            if high <= 1e3 * low:
                label_plainly(self.ax_.xaxis, evenly=high < 10.0 * low)
                self.ax_.minorticks_off()
        what = self.ratio or "coefficient"
        self.ax_.set_xlabel(f"{what}, with {100 * self.level:g} % confidence interval")
        return self
