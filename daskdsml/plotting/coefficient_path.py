"""Coefficients along a path of penalties."""

from __future__ import annotations

from typing import Any

import numpy as np

from daskdsml.plotting._axes import (
    LEGEND,
    alpha_of,
    axes_for,
    best_ratio,
    draw_penalty_axis,
    keep_apart,
    label_gap,
    mark_penalty,
    one_output,
    strongest_first,
)

# As many lines as have colours of their own.
MOST_LABELS = 10


class CoefficientPathDisplay:
    """Coefficients along a path of penalties, a line for each feature.

    Strong penalties stand at the left, so features enter one after another towards the right. The
    ten features with the largest coefficients at the weakest penalty are coloured and named, the
    others grey. An alpha of 0 has no place on the logarithmic axis and is left out.

    Parameters
    ----------
    alphas : array (n_alphas,)
    coefs : array (p, n_alphas)
    feature_names : list of str (p,), or None for x0, x1, ...
    chosen : float or None
        The alpha that a vertical line marks.
    strength : {"alpha", "C"}
        What ``alphas`` and ``chosen`` are: strengths of the penalty, or inverse ones.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    lines_ : list of Line2D (p,), in the order of the features; None for those always zero
    texts_ : list of Text, the names of features, from the lowest to the highest
    chosen_line_ : Line2D or None
    """

    def __init__(self, alphas, coefs, feature_names=None, chosen=None, strength="alpha"):
        self.alphas = np.asarray(alphas, dtype=float)
        self.coefs = np.asarray(coefs, dtype=float)
        self.feature_names = feature_names
        self.chosen = chosen
        self.strength = strength

    @classmethod
    def from_path(cls, path, *, output=None, feature_names=None, chosen=None):
        """From what `lasso_path`, `enet_path` or `ridge_path` return, here or in scikit-learn.

        Parameters
        ----------
        path : tuple (alphas, coefs, ...)
        output : int or None
            Which output to draw where coefs are (K, p, n_alphas).
        feature_names, chosen : as for the class
        """
        return cls(path[0], _one_output(path[1], output), feature_names, chosen)

    @classmethod
    def from_estimator(cls, estimator, *, output=None, feature_names=None):
        """From a fitted LassoCV, ElasticNetCV, RidgeCV or LogisticRegressionCV.

        The penalty chosen is marked, and columns are named as X was. Of several l1_ratio the one
        chosen is drawn. Coefficients of a LogisticRegressionCV are means over folds, of more than
        two classes those of class number ``output``.

        Raises
        ------
        ValueError
            If the estimator holds no path.
        """
        if feature_names is None:
            feature_names = getattr(estimator, "feature_names_in_", None)
        paths: Any = getattr(estimator, "coefs_paths_", None)
        if np.ndim(paths) == 5:
            p = estimator.n_features_in_
            mean = estimator.coefs_paths_[:, best_ratio(estimator), ..., :p].mean(axis=0)
            coefs = np.moveaxis(mean, 0, -1)
            coefs = coefs[0] if len(coefs) == 1 else _one_output(coefs, output)
            return cls(estimator.Cs_, coefs, feature_names, estimator.C_, "C")
        if not hasattr(estimator, "coef_path_"):
            raise ValueError(
                f"{type(estimator).__name__} holds no coef_path_. Fit a LassoCV, ElasticNetCV, "
                "RidgeCV or LogisticRegressionCV of daskdsml.linear_model, or use "
                "CoefficientPathDisplay.from_path."
            )
        alphas = np.asarray(estimator.alphas_)
        if alphas.ndim == 2:
            alphas = alphas[list(estimator.l1_ratio).index(estimator.l1_ratio_)]
        coefs = _one_output(estimator.coef_path_, output)
        return cls(alphas, coefs, feature_names, alpha_of(estimator, output))

    def plot(self, ax=None, *, n_labels=MOST_LABELS):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None for new ones
        n_labels : int
            Most features to name, up to 10.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If shapes do not fit each other.
        """
        names = self._names()
        alphas, coefs = strongest_first(self.strength, self.alphas, self.coefs.T)
        self.figure_, self.ax_ = axes_for(ax)
        self.ax_.axhline(0.0, color="0.4", linewidth=0.8, zorder=1)
        # Of thousands of columns a lasso uses few: those that stay at zero are not drawn.
        style = {"color": "0.8", "linewidth": 0.8, "zorder": 1}
        self.lines_ = [
            self.ax_.plot(alphas, coef, **style)[0] if coef.any() else None for coef in coefs.T
        ]
        draw_penalty_axis(self.ax_, self.strength, alphas)
        self.ax_.set_ylabel("coefficient")
        is_marked = self.chosen is not None and self.chosen > 0.0
        where = int(np.argmin(np.abs(np.log(alphas / self.chosen)))) if is_marked else -1
        self._name_largest(coefs[where], coefs[-1], names, min(n_labels, MOST_LABELS))
        self.chosen_line_ = mark_penalty(self.ax_, self.strength, self.chosen, "chosen")
        if self.chosen_line_ is not None:
            self.ax_.legend(handles=[self.chosen_line_], loc="upper left", **LEGEND)
        return self

    def _names(self) -> list[str]:
        if self.coefs.ndim != 2:
            raise ValueError(
                f"coefs must be (p, n_alphas), got an array of shape {self.coefs.shape}. Draw one "
                "output at a time."
            )
        p = len(self.coefs)
        if self.feature_names is None:
            return [f"x{j}" for j in range(p)]
        if len(self.feature_names) != p:
            raise ValueError(
                f"feature_names holds {len(self.feature_names)} names, but coefs has {p} features."
            )
        return [str(name) for name in self.feature_names]

    def _name_largest(self, size, last, names, n_labels) -> None:
        """Colour and name the features with the largest coefficients.

        ``size (p,)`` are those at the alpha chosen; the ``last (p,)`` decide among equal ones.
        """
        largest = np.lexsort((-np.abs(last), -np.abs(size)))[:n_labels]
        largest = largest[last[largest] != 0.0]
        largest = largest[np.argsort(last[largest], kind="stable")]
        ax, size = self.ax_, 9.0
        heights = keep_apart(last[largest], label_gap(ax, size), *ax.get_ylim())
        beside = ax.get_yaxis_transform()  # x in shares of the axes, y in data
        self.texts_ = []
        for rank, (j, height) in enumerate(zip(largest, heights, strict=True)):
            line, color = self.lines_[j], f"C{rank}"
            line.set(color=color, linewidth=1.5, zorder=2)
            ax.plot(
                [1.0, 1.025], [last[j], height], transform=beside, clip_on=False,
                color=color, linewidth=0.8, scalex=False, scaley=False,
            )  # fmt: skip
            self.texts_.append(
                ax.text(1.03, height, names[j], transform=beside, va="center", size=size, c=color)
            )


def _one_output(coefs, output) -> np.ndarray:
    """``coefs (p, n_alphas)`` of one output."""
    coefs = np.asarray(coefs)
    return one_output(coefs, output) if coefs.ndim == 3 else coefs
