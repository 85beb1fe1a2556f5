"""Coefficients with their confidence intervals."""

from __future__ import annotations

import numpy as np

from daskdsml.plotting._axes import axes_for

INTERCEPT = "(Intercept)"


class EffectDisplay:
    """Coefficients with their confidence intervals, one a row, beside a line at zero.

    Parameters
    ----------
    names : list of str (q,), from the top to the bottom
    coef : array (q,)
        NaN where there is none: its row stays empty.
    conf_int : array (q, 2)
        Lower and upper limits.
    level : float
        The level of the intervals, such as 0.95.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    points_ : Line2D, the coefficients
    intervals_ : matplotlib LineCollection, the intervals
    zero_line_ : Line2D
    """

    def __init__(self, names, coef, conf_int, level=0.95):
        self.names = names
        self.coef = np.asarray(coef, dtype=float)
        self.conf_int = np.asarray(conf_int, dtype=float)
        self.level = level

    @classmethod
    def from_result(cls, result, *, include_intercept=False):
        """From an `InferenceResult` of daskdsml.inference.

        Parameters
        ----------
        result : object with ``names``, ``coef (q,)``, ``conf_int (q, 2)`` and ``level``
        include_intercept : bool
            Whether to draw the intercept, whose units are often not those of the others.
        """
        names = list(result.names)
        start = 1 if not include_intercept and names and names[0] == INTERCEPT else 0
        coef, limits = np.asarray(result.coef)[start:], np.asarray(result.conf_int)[start:]
        return cls(names[start:], coef, limits, result.level)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None for new ones, as high as there are rows

        Returns
        -------
        self

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If shapes do not fit each other.
        """
        q = len(self.names)
        if q == 0 or self.coef.shape != (q,) or self.conf_int.shape != (q, 2):
            raise ValueError(
                f"Expected at least one name, coef (q,) and conf_int (q, 2) for q names, got {q} "
                f"names and shapes {self.coef.shape} and {self.conf_int.shape}."
            )
        self.figure_, self.ax_ = axes_for(ax, figsize=(6.4, max(2.0, 0.28 * q + 1.0)))
        rows = np.arange(q)
        self.zero_line_ = self.ax_.axvline(0.0, color="0.4", linewidth=0.8, zorder=1)
        self.intervals_ = self.ax_.hlines(
            rows, *self.conf_int.T, color="C0", linewidth=1.5, zorder=2
        )
        (self.points_,) = self.ax_.plot(self.coef, rows, "o", color="C0", markersize=3.5, zorder=3)
        self.ax_.set_yticks(rows, [str(name) for name in self.names])
        self.ax_.set_ylim(q - 0.4, -0.6)
        self.ax_.set_xlabel(f"coefficient, with {100 * self.level:g} % confidence interval")
        return self
