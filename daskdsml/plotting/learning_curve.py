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
        parts = history if isinstance(history, dict) else {None: history}
        losses = {name: [record.loss for record in part] for name, part in parts.items()}
        scores = {name: [record.score for record in part] for name, part in parts.items()}
        return cls(losses, scores, score_name=score_name)

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
        """
        self.figure_, self.ax_ = axes_for(ax)
        scored = any(s is not None for s in self.scores)
        self.ax_score_: Any = self.ax_.twinx() if scored else None
        self.loss_lines_, self.score_lines_ = [], []
        self.best_epochs_, self.best_points_ = [], []
        for i, curves in enumerate(zip(self.losses, self.scores, strict=True)):
            self._draw(*curves, f"C{i}", MARKERS[i % len(MARKERS)])
        self.ax_.set(xlabel="epoch", ylabel="training loss")
        count_from_one(self.ax_)
        self._name_lines()
        return self

    def _draw(self, losses, scores, color, marker) -> None:
        """Curves of one model, and a dot at its best epoch."""
        (line,) = self.ax_.plot(_epochs(losses), losses, color=color, lw=1.5)
        self.loss_lines_.append(line)
        where, curve, best = self.ax_, losses, int(np.nanargmin(losses))
        if scores is not None:
            where, curve, best = self.ax_score_, scores, int(np.nanargmax(scores))
            color = "C1" if self._single else color
            (line,) = where.plot(_epochs(scores), scores, color=color, ls="--", lw=1.5)
        self.score_lines_.append(None if scores is None else line)
        self.best_epochs_.append(best + 1)
        self.best_points_ += where.plot(
            best + 1, curve[best], marker, color=color, ms=6.5, mec="white", zorder=4
        )

    def _name_lines(self) -> None:
        """The right axis, and one legend for both."""
        best = [self._best(i) for i in range(len(self.names))]
        if self._single:
            lines = [self.loss_lines_[0], self.score_lines_[0], self.best_points_[0]]
            pairs = zip(lines, ["training loss", self.score_name, best[0]], strict=True)
        else:
            labels = [f"{name} ({told})" for name, told in zip(self.names, best, strict=True)]
            pairs = zip(self._marked_lines(), labels, strict=True)
        named = [(line, label) for line, label in pairs if line is not None]
        if self.ax_score_ is None:
            self.ax_.legend(*zip(*named, strict=True), **LEGEND)
            return
        self.ax_score_.set_ylabel(self.score_name + ("" if self._single else " (dashed)"))
        # Losses fall and scores rise, so the middle is free; the right axis is drawn last.
        self.ax_score_.legend(*zip(*named, strict=True), loc="center right", **LEGEND)

    def _marked_lines(self) -> list:
        """For the legend: the colour of each model and its mark, which both axes have."""
        from matplotlib.lines import Line2D

        return [
            Line2D([], [], color=line.get_color(), lw=1.5, marker=point.get_marker(), ms=6.5)
            for line, point in zip(self.loss_lines_, self.best_points_, strict=True)
        ]

    def _best(self, i) -> str:
        """The value and epoch of the dot."""
        lone = self.scores[i] is None
        curve, word = (self.losses[i], "lowest") if lone else (self.scores[i], "best")
        epoch = self.best_epochs_[i]
        return f"{word} {curve[epoch - 1]:.3g}, epoch {epoch}"

    @property
    def _single(self) -> bool:
        return self.names == [None]

    def _check(self, strangers) -> None:
        """Raise ValueError unless each model has losses and, if any, as many scores."""
        if not self.names:
            raise ValueError("Expected at least one model, got an empty dict.")
        if strangers:
            raise ValueError(
                f"scores name {sorted(map(str, strangers))}, but losses are those of {self.names}."
            )
        for losses, scores in zip(self.losses, self.scores, strict=True):
            shapes = [None if part is None else part.shape for part in (losses, scores)]
            if losses is None or losses.ndim != 1 or shapes[1] not in (None, shapes[0]):
                raise ValueError(
                    "Expected a loss for each of at least one epoch (not all NaN) and, if there "
                    f"are scores, as many of these, got shapes {shapes[0]} and {shapes[1]}."
                )


def _as_array(curve):
    """An array of floats, or None where there is nothing to be drawn."""
    curve = np.asarray([] if curve is None else curve, dtype=float)
    return curve if np.isfinite(curve).any() else None


def _epochs(curve):
    return np.arange(1, len(curve) + 1)


def _loss_curve(model):
    curve = getattr(model, "loss_curve_", None)
    if curve is None:
        raise ValueError(
            f"{type(model).__name__} holds no loss_curve_. Fit an estimator of "
            "daskdsml.neural_network (or an MLP by 'adam' or 'sgd'), or use "
            "LearningCurveDisplay.from_history."
        )
    return curve
