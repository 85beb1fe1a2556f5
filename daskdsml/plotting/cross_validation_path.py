"""Errors of a cross-validation along a path of penalties."""

from __future__ import annotations

import numpy as np

from daskdsml.plotting._axes import (
    LEGEND,
    axes_for,
    draw_choice,
    draw_penalty_axis,
    positive_alphas,
)


class CrossValidationPathDisplay:
    """Mean squared test error along a path of penalties, with one standard error to each side.

    The standard error is that of the mean over folds, ``s / sqrt(K)`` with the standard deviation s
    (of K - 1 degrees of freedom) of the errors of K folds; a single fold has none. An alpha of 0
    has no place on the logarithmic axis and is left out.

    Parameters
    ----------
    alphas : array (n_alphas,)
    mse_path : array (n_alphas, n_folds)
    chosen : float or None
        The alpha that a dashed line marks.
    chosen_1se : float or None
        The alpha of the one-standard-error rule, which a dotted line marks.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    line_ : Line2D, the mean error
    band_ : matplotlib collection, or None for a single fold
    chosen_line_, chosen_1se_line_ : Line2D or None

    References
    ----------
    Hastie, T., Tibshirani, R. and Friedman, J. (2009). The Elements of Statistical Learning,
    2nd ed., section 7.10.
    """

    def __init__(self, alphas, mse_path, chosen=None, chosen_1se=None):
        self.alphas = np.asarray(alphas, dtype=float)
        self.mse_path = np.asarray(mse_path, dtype=float)
        self.chosen = chosen
        self.chosen_1se = chosen_1se

    @classmethod
    def from_estimator(cls, estimator):
        """From a fitted LassoCV, ElasticNetCV or RidgeCV, also scikit-learn's where it has a path.

        Reads ``alphas_``, ``mse_path_`` and ``alpha_``, for several l1_ratio those of the chosen
        one; ``alpha_1se_``, or else the strongest penalty with a mean error within one standard
        error of the lowest.

        Raises
        ------
        ValueError
            If the estimator holds no path of errors.
        """
        if not hasattr(estimator, "mse_path_") or not hasattr(estimator, "alphas_"):
            raise ValueError(
                f"{type(estimator).__name__} holds no alphas_ and mse_path_. Fit a LassoCV, "
                "ElasticNetCV or RidgeCV of daskdsml.linear_model."
            )
        alphas, errors = np.asarray(estimator.alphas_), np.asarray(estimator.mse_path_)
        if errors.ndim == 3:
            best = list(estimator.l1_ratio).index(estimator.l1_ratio_)
            errors = errors[best]
            alphas = alphas[best] if alphas.ndim == 2 else alphas
        one_error = getattr(estimator, "alpha_1se_", None)
        if one_error is None and errors.shape[1] > 1:
            one_error = strongest_within_one_error(alphas, errors)
        return cls(alphas, errors, estimator.alpha_, one_error)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None for new ones

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
        if self.mse_path.ndim != 2:
            raise ValueError(
                f"mse_path must be (n_alphas, n_folds), got an array of shape "
                f"{self.mse_path.shape}. Pass the errors of one l1_ratio."
            )
        alphas, errors = positive_alphas(self.alphas, self.mse_path)
        mean, spread = mean_and_error(errors)
        self.figure_, self.ax_ = axes_for(ax)
        n_folds = errors.shape[1]
        label = f"mean of {n_folds} folds" if n_folds > 1 else "mean squared error"
        (self.line_,) = self.ax_.plot(alphas, mean, color="C0", label=label)
        self.band_ = None
        if n_folds > 1:
            self.band_ = self.ax_.fill_between(
                alphas, mean - spread, mean + spread, color="C0", alpha=0.2, linewidth=0.0,
                label="± 1 standard error",
            )  # fmt: skip
        draw_penalty_axis(self.ax_, alphas)
        self.ax_.set_ylabel("mean squared error on left-out rows")
        self._mark_choices()
        self.ax_.legend(**LEGEND)
        return self

    def _mark_choices(self) -> None:
        """Vertical lines at the alphas chosen; one line where both rules agree."""
        same = self.chosen is not None and self.chosen == self.chosen_1se
        label = "chosen, one standard error" if same else "chosen"
        self.chosen_line_ = draw_choice(
            self.ax_, self.chosen, label, color="0.2", linestyle="--", linewidth=1.0
        )
        self.chosen_1se_line_ = None
        if not same:
            self.chosen_1se_line_ = draw_choice(
                self.ax_, self.chosen_1se, "one standard error", color="0.2", linestyle=":"
            )


def mean_and_error(errors) -> tuple[np.ndarray, np.ndarray]:
    """Mean (m,) over folds of ``errors (m, K)``, and its standard error (m,), 0 for one fold."""
    n_folds = errors.shape[1]
    if n_folds == 1:
        return errors[:, 0], np.zeros(len(errors))
    return errors.mean(axis=1), errors.std(axis=1, ddof=1) / np.sqrt(n_folds)


def strongest_within_one_error(alphas, errors) -> float:
    """The largest alpha whose mean error is within one standard error of the lowest."""
    mean, spread = mean_and_error(errors)
    best = int(np.argmin(mean))
    return float(alphas[mean <= mean[best] + spread[best]].max())
