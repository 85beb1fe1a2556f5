"""Errors of a cross-validation along a path of penalties."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import sem

from daskdsml.plotting._axes import (
    LEGEND,
    alpha_of,
    axes_for,
    best_ratio,
    draw_penalty_axis,
    mark_penalty,
    strongest_first,
)
from daskdsml.utils.one_standard_error import best_and_simplest


class CrossValidationPathDisplay:
    """Mean test error or score along a path of penalties, with one standard error to each side.

    The standard error is that of the mean over folds, ``s / sqrt(K)`` with the standard deviation s
    (of K - 1 degrees of freedom) of the values of K folds; a single fold has none. Strong penalties
    stand at the left. A penalty of 0 has no place on the logarithmic axis and is left out.

    Parameters
    ----------
    alphas : array (n_alphas,)
    mse_path : array (n_alphas, n_folds)
        Mean squared errors, or whatever ``criterion`` says.
    chosen : float or None
        The alpha that a dashed line marks.
    chosen_1se : float or None
        The alpha of the one-standard-error rule, which a dotted line marks.
    strength : {"alpha", "C"}
        What alphas are: strengths of the penalty, or inverse ones.
    criterion : str
        What the vertical axis shows.
    ratio : float or None
        The l1_ratio that these are errors of, for the legend.
    others : dict
        Means over folds (n_alphas,) by other l1_ratio, each a line without a band.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    line_ : Line2D, the mean
    band_ : matplotlib collection, or None for a single fold
    other_lines_ : list of Line2D, in the order of ``others``
    chosen_line_, chosen_1se_line_ : Line2D or None

    References
    ----------
    Hastie, T., Tibshirani, R. and Friedman, J. (2009). The Elements of Statistical Learning,
    2nd ed., section 7.10.
    """

    def __init__(
        self, alphas, mse_path, chosen=None, chosen_1se=None, *, strength="alpha",
        criterion="mean squared error", ratio=None, others=(),
    ):  # fmt: skip
        self.alphas = np.asarray(alphas, dtype=float)
        self.mse_path = np.asarray(mse_path, dtype=float)
        self.chosen = chosen
        self.chosen_1se = chosen_1se
        self.strength = strength
        self.criterion = criterion
        self.ratio = ratio
        self.others = dict(others)

    @classmethod
    def from_estimator(cls, estimator, *, output=None):
        """From a fitted LassoCV, ElasticNetCV, RidgeCV or LogisticRegressionCV.

        Also scikit-learn's, where it has a path (a LogisticRegressionCV with
        ``use_legacy_attributes=False``). Draws what the penalty was chosen by: ``mse_path_`` along
        ``alphas_``, for several l1_ratio those of the chosen one; for a RidgeCV with another score
        ``score_path_``; or ``scores_`` along ``Cs_``, with the mean score of every l1_ratio.
        Marks ``alpha_`` or ``C_``, and ``alpha_1se_`` or ``C_1se_``, or else the strongest penalty
        with a mean within one standard error of the best. Where each column of y has an alpha of
        its own, those of number ``output`` are drawn.

        Raises
        ------
        ValueError
            If the estimator holds no path of errors or scores, or there is no such output.
        """
        scores: Any = getattr(estimator, "scores_", None)
        if np.ndim(scores) == 3 and hasattr(estimator, "Cs_"):
            return cls._of_scores(estimator)
        if not hasattr(estimator, "mse_path_") or not hasattr(estimator, "alphas_"):
            raise ValueError(
                f"{type(estimator).__name__} holds no alphas_ and mse_path_, nor Cs_ and scores_. "
                "Fit a LassoCV, ElasticNetCV, RidgeCV or LogisticRegressionCV of "
                "daskdsml.linear_model."
            )
        if hasattr(estimator, "score_path_"):
            return cls._of_ridge(estimator, output)
        alphas, errors = np.asarray(estimator.alphas_), np.asarray(estimator.mse_path_)
        if errors.ndim == 3:
            best = list(estimator.l1_ratio).index(estimator.l1_ratio_)
            errors = errors[best]
            alphas = alphas[best] if alphas.ndim == 2 else alphas
        chosen_1se = getattr(estimator, "alpha_1se_", None)
        if chosen_1se is None and errors.shape[1] > 1:
            chosen_1se = _strongest_within_one_error(alphas, errors)
        return cls(alphas, errors, estimator.alpha_, chosen_1se)

    @classmethod
    def _of_ridge(cls, estimator, output):
        """Of a RidgeCV: the score, or the error where that is the score with its sign changed."""
        alpha, path = alpha_of(estimator, output), estimator.score_path_
        name = _name_of(estimator.scoring, estimator._default_score)
        several = np.ndim(estimator.alpha_) > 0
        if name == "neg_mean_squared_error" and not several:
            path, name = estimator.mse_path_, "mean squared error"
        path = path[:, [output]] if several else path
        chosen_1se = getattr(estimator, "alpha_1se_", None)
        return cls(estimator.alphas_, path, alpha, chosen_1se, criterion=name)

    @classmethod
    def _of_scores(cls, estimator):
        """Of a LogisticRegressionCV: the higher the better, over C."""
        Cs, ratios = np.asarray(estimator.Cs_), np.asarray(estimator.l1_ratios_)
        best = best_ratio(estimator)
        scores = estimator.scores_[:, best].T
        chosen_1se = getattr(estimator, "C_1se_", None)
        if chosen_1se is None and scores.shape[1] > 1:
            chosen_1se = -_strongest_within_one_error(-Cs, -scores)
        others = dict(zip(ratios.tolist(), estimator.scores_.mean(axis=0), strict=True))
        ratio = float(ratios[best])
        del others[ratio]
        return cls(
            Cs, scores, estimator.C_, chosen_1se, strength="C",
            criterion=_name_of(estimator.scoring, "accuracy"),
            ratio=ratio if others else None, others=others,
        )  # fmt: skip

    def plot(self, ax=None):
        """Draw on ``ax``, or on new axes; returns self. ValueError if shapes do not fit."""
        if self.mse_path.ndim != 2:
            raise ValueError(
                f"mse_path must be (n_alphas, n_folds), got an array of shape "
                f"{self.mse_path.shape}. Pass the errors of one l1_ratio."
            )
        values, errors, *others = strongest_first(
            self.strength, self.alphas, self.mse_path, *self.others.values()
        )
        self.figure_, self.ax_ = axes_for(ax)
        self._draw_mean(values, errors)
        self.other_lines_ = [
            self.ax_.plot(
                values, mean, color=f"C{i}", linewidth=1.0, label=f"l1_ratio = {ratio:g}"
            )[0]
            for i, (ratio, mean) in enumerate(zip(self.others, others, strict=True), 1)
        ]
        draw_penalty_axis(self.ax_, self.strength, values)
        self.ax_.set_ylabel(f"{self.criterion} on left-out rows")
        self._mark_choices()
        self.ax_.legend(**LEGEND)
        return self

    def _draw_mean(self, values, errors) -> None:
        """The mean over folds and, of several, the band of a standard error to each side."""
        mean, n_folds = errors.mean(axis=1), errors.shape[1]
        label = f"mean of {n_folds} folds" if n_folds > 1 else self.criterion
        if self.ratio is not None:
            label = f"l1_ratio = {self.ratio:g}, {label}"
        (self.line_,) = self.ax_.plot(values, mean, color="C0", label=label)
        self.band_ = None
        if n_folds > 1:
            spread = sem(errors, axis=1)
            self.band_ = self.ax_.fill_between(
                values, mean - spread, mean + spread, color="C0", alpha=0.2, linewidth=0.0,
                label="± 1 standard error",
            )  # fmt: skip

    def _mark_choices(self) -> None:
        """Vertical lines at the penalties chosen; one line where both rules agree."""
        same = self.chosen is not None and self.chosen == self.chosen_1se
        label = "chosen, one standard error" if same else "chosen"
        self.chosen_line_ = mark_penalty(self.ax_, self.strength, self.chosen, label)
        chosen_1se = None if same else self.chosen_1se
        self.chosen_1se_line_ = mark_penalty(
            self.ax_, self.strength, chosen_1se, "one standard error", linestyle=":", linewidth=1.5
        )


def _name_of(scoring, default) -> str:
    """What an axis calls a score; ``default`` is that of ``scoring=None``."""
    if scoring is None or isinstance(scoring, str):
        return scoring or default
    return getattr(scoring, "__name__", "score")


def _strongest_within_one_error(alphas, errors) -> float:
    """The largest alpha whose mean error is within one standard error of the lowest."""
    order = np.argsort(-alphas)
    return float(alphas[order][best_and_simplest(-errors[order])[1]])
