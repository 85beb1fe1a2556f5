"""What curves of classifiers share: one curve or one a class, their legend, their square axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daskdsml.plotting._axes import LEGEND, axes_for


class Curves:
    """Base of displays that draw a curve for one class, or for each of several."""

    _figsize = (5.4, 5.4)  # inches, of axes that the display makes
    name: str | None
    classes: list | None
    pos_label: Any

    if TYPE_CHECKING:  # displays have one of their own

        def __init__(self, **settings: Any) -> None: ...

    @classmethod
    def _of(cls, counted, name, **lists):
        """A display of what was counted: of lists, or, for a single curve, of what these hold."""
        labels = [part.label for part in counted]
        if len(counted) == 1:
            single = {key: part[0] for key, part in lists.items()}
            return cls(**single, name=name, pos_label=labels[0])
        return cls(**{key: list(part) for key, part in lists.items()}, name=name, classes=labels)

    def _draw(self, ax, x, y, scores, score_name, name, style) -> None:
        """Curves of y over x, named with their score, on square axes."""
        self.figure_, self.ax_ = axes_for(ax, figsize=self._figsize)
        self.name = self.name if name is None else name
        labels = self._labels(scores, score_name)
        several = self.classes is not None
        curves = zip(x if several else [x], y if several else [y], labels, strict=True)
        lines = [
            self.ax_.plot(a, b, **{"label": label, "lw": 1.5, **(style or {})})[0]
            for a, b, label in curves
        ]
        self.line_ = lines if several else lines[0]

    def _labels(self, scores, score_name) -> list[str | None]:
        """A line of the legend for each curve, such as ``LassoCV (AUC = 0.93)``."""
        names = [self.name] if self.classes is None else [str(label) for label in self.classes]
        scores = [None] * len(names) if scores is None else as_list(scores)
        return [_label(*pair, score_name) for pair in zip(names, scores, strict=True)]

    def _of_class(self, what) -> str:
        """Name of an axis, with the positive class."""
        return what if self.pos_label is None else f"{what} (positive class: {self.pos_label})"

    def _finish(self, x_label, y_label, corner) -> None:
        """Names of the axes, a legend in its corner, and the unit square."""
        # Above a histogram the x axis is named below it.
        if self.ax_.xaxis.get_tick_params()["labelbottom"]:
            self.ax_.set_xlabel(self._of_class(x_label))
        self.ax_.set(
            ylabel=self._of_class(y_label), xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal"
        )
        title = None
        if self.classes is not None:
            title = "class against the rest" if self.name is None else f"{self.name}, each class"
        if self.ax_.get_legend_handles_labels()[0]:
            self.ax_.legend(loc=corner, title=title, **LEGEND)


def as_list(part) -> list:
    """Several things as they are, a single one as a list."""
    return list(part) if isinstance(part, list | tuple) else [part]


def draw_once(ax, x, y, label):
    """A dashed grey line for comparison; None on axes that hold it already."""
    if any(line.get_label() == label for line in ax.lines):
        return None
    return ax.plot(x, y, "--", color="0.45", lw=1.0, zorder=1, label=label)[0]


def _label(name, score, score_name) -> str | None:
    if score is None:
        return name
    value = f"{score_name} = {score:.2f}"
    return value if name is None else f"{name} ({value})"
