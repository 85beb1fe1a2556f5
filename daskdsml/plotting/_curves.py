"""What displays of classifiers share: one curve or one a class, each drawn by scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskdsml.plotting._axes import LEGEND, axes_for


@dataclass(kw_only=True, eq=False, repr=False)
class ClassifierCurves:
    """Base of displays that show a curve of one class, or of each of several against the rest."""

    name: str | None = None
    pos_label: Any = None
    classes: list | None = None

    @classmethod
    def _from_totals(cls, totals, name, curve_of):
        """A display of sums by class: ``curve_of(total)`` is a dict of a curve's attributes."""
        curves = [curve_of(total) for total in totals.values()]
        labels = list(totals)
        if len(curves) == 1:
            return cls(**curves[0], name=name, pos_label=labels[0])
        lists = {key: [curve[key] for curve in curves] for key in curves[0]}
        return cls(**lists, name=name, classes=labels)

    def _each(self, *attributes) -> list[tuple]:
        """For each curve its name in the legend, and what each of the attributes holds for it."""
        values = [getattr(self, attribute) for attribute in attributes]
        if self.classes is None:
            return [(self.name, *values)]
        names = [str(label) for label in self.classes]
        lists = [[None] * len(names) if value is None else value for value in values]
        return list(zip(names, *lists, strict=True))

    def _one_or_list(self, artists):
        return artists[0] if self.classes is None else artists

    def _open(self, ax, name) -> None:
        self.figure_, self.ax_ = axes_for(ax, figsize=(5.4, 5.4))
        self.name = self.name if name is None else name

    def _set_lines(self, lines, curve_kwargs) -> None:
        for line in lines:
            line.set(**(curve_kwargs or {}))
        self.line_ = self._one_or_list(lines)

    def _draw_legend(self, corner) -> None:
        title = None
        if self.classes is not None:
            title = "class against the rest" if self.name is None else f"{self.name}, each class"
        if self.ax_.get_legend_handles_labels()[0]:
            self.ax_.legend(loc=corner, title=title, **LEGEND)

    def _without_repeat(self, line):
        """A line for comparison; None, and removed, if the axes held it already."""
        labels = [other.get_label() for other in self.ax_.lines]
        if line is None or labels.count(line.get_label()) == 1:
            return line
        line.remove()
        return None


def rows_of(ranks) -> dict[str, np.ndarray]:
    """`Ranks` as data for scikit-learn: two rows for each score, one of each class (2 m,)."""
    return {
        "y_true": np.repeat([0, 1], len(ranks.keys)),
        "y_score": np.tile(ranks.scores(), 2),
        "sample_weight": ranks.sums.T.ravel(),
    }
