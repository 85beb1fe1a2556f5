"""Loss and validation score, epoch by epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from daskdsml.plotting._axes import LEGEND, MARKERS, axes_for, count_from_one


class LearningCurveDisplay:
    """Loss of each epoch and, where there is one, the validation score on an axis of its own.

    A dot marks the best epoch: the highest score or, without scores, the lowest loss. Of several
    models each has a colour and a mark of its own; losses are full lines, scores dashed ones.

    Parameters
    ----------
    losses : array (n_epochs,), or dict of them by name of the model
    scores : array (n_epochs,) or None, or dict of them by name of the model
        Of the rows for validation, the higher the better; models without may be left out.
    score_name : str
        What the right axis shows.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    ax_score_ : matplotlib Axes of the scores, or None where there are none
    loss_lines_ : list of Line2D, in the order of the models
    score_lines_ : list of Line2D or None, in the same order
    best_epochs_ : list of int, from 1 on, in the same order
    best_points_ : list of Line2D, the dots, in the same order
    """

    def __init__(self, losses, scores=None, *, score_name="validation score"):
        if not isinstance(losses, dict):
            losses, scores = {None: losses}, {None: scores}
        scores = {} if scores is None else scores
        if not isinstance(scores, dict):
            raise ValueError(
                "scores must be a dict by name, as losses are, or None, got "
                f"{type(scores).__name__}."
            )
        self.names = list(losses)
        self.losses = [_as_array(losses[name]) for name in losses]
        self.scores = [_as_array(scores.get(name)) for name in losses]
        self.score_name = score_name
        self._single = self.names == [None]
        self._check(set(scores) - set(losses))

    @classmethod
    def from_estimator(cls, estimator, *, score_name="validation score"):
        """From a fitted estimator, or from several to be compared.

        Reads ``loss_curve_`` and, where there is one, ``validation_scores_``: of the estimators of
        daskdsml.neural_network, SGDRegressor and (of two classes) SGDClassifier, and scikit-learn's
        MLPClassifier and MLPRegressor.

        Parameters
        ----------
        estimator : estimator, or dict of them by name
        score_name : str

        Raises
        ------
        ValueError
            If an estimator holds no loss_curve_.
        """
        models = estimator if isinstance(estimator, dict) else {None: estimator}
        losses = {name: _loss_curve(model) for name, model in models.items()}
        scores = {name: getattr(m, "validation_scores_", None) for name, m in models.items()}
        return cls(losses, scores, score_name=score_name)

    @classmethod
    def from_history(cls, history, *, score_name="validation score"):
        """From a ``history_``, or a dict of them by name.

        Parameters
        ----------
        history : list of records with ``loss`` and ``score`` (NaN for none), or dict of such lists
        score_name : str
        """
        histories = history if isinstance(history, dict) else {None: history}
        losses = {name: [record.loss for record in records] for name, records in histories.items()}
        scores = {name: [record.score for record in records] for name, records in histories.items()}
        return cls(losses, scores, score_name=score_name)

    def plot(self, ax=None):
        """Draw on ``ax``, or on new axes; returns self. ValueError if shapes do not fit."""
        self.figure_, self.ax_ = axes_for(ax)
        scored = any(s is not None for s in self.scores)
        self.ax_score_: Any = self.ax_.twinx() if scored else None
        self.loss_lines_, self.score_lines_ = [], []
        self.best_epochs_, self.best_points_ = [], []
        for i in range(len(self.names)):
            self._draw(i)
        self.ax_.set(xlabel="epoch", ylabel="training loss")
        count_from_one(self.ax_)
        handles = self.ax_.get_legend_handles_labels()[0]
        if self.ax_score_ is None:
            self.ax_.legend(**LEGEND)
            return self
        self.ax_score_.set_ylabel(self.score_name + ("" if self._single else " (dashed)"))
        handles += self.ax_score_.get_legend_handles_labels()[0]
        # Losses fall and scores rise, so the middle is free; the right axis is drawn last.
        self.ax_score_.legend(handles=handles, loc="center right", **LEGEND)
        return self

    def _draw(self, i) -> None:
        """Curves of one model, and a dot at its best epoch."""
        losses, scores = self.losses[i], self.scores[i]
        color, marker, score_line = f"C{i}", MARKERS[i % len(MARKERS)], None
        epochs = np.arange(1, len(losses) + 1)
        (loss_line,) = self.ax_.plot(epochs, losses, color=color, lw=1.5)
        axes, curve, best, word = self.ax_, losses, int(np.nanargmin(losses)), "lowest"
        if scores is not None:
            axes, curve, best, word = self.ax_score_, scores, int(np.nanargmax(scores)), "best"
            color = "C1" if self._single else color
            (score_line,) = axes.plot(epochs, scores, color=color, ls="--", lw=1.5)
        (point,) = axes.plot(
            best + 1, curve[best], marker, color=color, ms=6.5, mec="white", zorder=4
        )
        text = f"{word} {curve[best]:.3g}, epoch {best + 1}"
        if self._single:
            loss_line.set_label("training loss")
            point.set_label(text)
            if score_line is not None:
                score_line.set_label(self.score_name)
        else:  # the legend shows the mark that the line has at its best epoch alone
            loss_line.set(label=f"{self.names[i]} ({text})", marker=marker, ms=6.5, markevery=[])
        self.loss_lines_.append(loss_line)
        self.score_lines_.append(score_line)
        self.best_epochs_.append(best + 1)
        self.best_points_.append(point)

    def _check(self, unknown) -> None:
        """Raise ValueError unless each model has losses and, if any, as many scores."""
        if not self.names:
            raise ValueError("Expected at least one model, got an empty dict.")
        if unknown:
            raise ValueError(
                f"scores name {sorted(map(str, unknown))}, but losses are those of {self.names}."
            )
        for losses, scores in zip(self.losses, self.scores, strict=True):
            shapes = [None if curve is None else curve.shape for curve in (losses, scores)]
            if losses is None or losses.ndim != 1 or shapes[1] not in (None, shapes[0]):
                raise ValueError(
                    "Expected a loss for each of at least one epoch (not all NaN) and, if there "
                    f"are scores, as many of these, got shapes {shapes[0]} and {shapes[1]}."
                )


def _as_array(curve):
    """An array of floats, or None where there is nothing to be drawn."""
    curve = np.asarray([] if curve is None else curve, dtype=float)
    return curve if np.isfinite(curve).any() else None


def _loss_curve(model):
    curve = getattr(model, "loss_curve_", None)
    if curve is None:
        raise ValueError(
            f"{type(model).__name__} holds no loss_curve_. Fit an estimator of "
            "daskdsml.neural_network (or an MLP by 'adam' or 'sgd'), or use "
            "LearningCurveDisplay.from_history."
        )
    return curve
