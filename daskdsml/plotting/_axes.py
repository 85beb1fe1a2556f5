"""What displays share: axes to draw on, axes of penalties and epochs, distances of labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression

from daskdsml.utils.one_standard_error import best_of

# A legend without a border, which vertical lines do not cross.
LEGEND = {"framealpha": 0.9, "edgecolor": "none"}
# Models differ in these as well as in colours, which not everyone tells apart.
MARKERS = "osD^v<>"


def load_pyplot():
    """matplotlib's pyplot; ImportError if it is not installed."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "Pictures need matplotlib, which is not installed. Install it with "
            "pip install 'daskdsml[plot]'."
        ) from error
    return pyplot


def axes_for(ax, figsize=None, **grid):
    """The figure and axes to draw on: the user's ``ax``, or new ones of ``figsize`` inches.

    ``grid`` asks for several new axes, as matplotlib's ``subplots`` does. Raises ImportError
    without matplotlib.
    """
    pyplot = load_pyplot()
    if ax is None:  # this layout makes room for what stands beside the axes
        return pyplot.subplots(figsize=figsize, layout="constrained", **grid)
    return ax.figure, ax


def strongest_first(strength, values, *others) -> tuple[np.ndarray, ...]:
    """Penalties above 0 (m,), the strongest first, and ``others (m, ...)`` in the same order.

    ``strength`` is "alpha", or "C" for its inverse. A 0 has no place on a logarithmic axis. Raises
    ValueError if a length differs, or no value is above 0.
    """
    values, lengths = np.asarray(values, dtype=float), [len(other) for other in others]
    if values.ndim != 1 or any(length != len(values) for length in lengths):
        raise ValueError(
            f"{strength}s must be (n_{strength}s,), with as many values beside it, but it has "
            f"shape {values.shape} and there are {lengths}. Pass what one path or estimator gave."
        )
    order = np.argsort(values if strength == "C" else -values, kind="stable")
    order = order[values[order] > 0.0]
    if not len(order):
        raise ValueError(
            f"No {strength} is above 0, so there is nothing to draw on a logarithmic axis. Fit a "
            f"path with several {strength}s above 0."
        )
    return values[order], *(np.asarray(other)[order] for other in others)


def best_ratio(estimator) -> int:
    """Which l1_ratio of a fitted LogisticRegressionCV has the best mean score."""
    mean = np.mean(estimator.scores_, axis=0)
    return int(np.unravel_index(best_of(mean), mean.shape)[0])


def alpha_of(estimator, output):
    """The alpha that a fitted estimator chose: that of ``output``, where each has its own.

    ValueError unless ``output`` is one of them.
    """
    alpha: Any = getattr(estimator, "alpha_", None)
    return alpha if np.ndim(alpha) == 0 else one_output(alpha, output)


def one_output(of_each, output):
    """The entry of ``of_each (K, ...)`` that is of one output; ValueError if there is none."""
    if output is None or not 0 <= output < len(of_each):
        raise ValueError(
            f"The path is one of {len(of_each)} outputs: expected output from 0 to "
            f"{len(of_each) - 1}, got {output!r}."
        )
    return of_each[output]


def draw_penalty_axis(ax, strength, values) -> None:
    """Penalties (m,), strongest first, on a logarithmic axis that ends with the data."""
    ax.set_xscale("log")
    first, last = values[0], values[-1]
    if first == last:
        factor = 0.5 if strength == "C" else 2.0
        first, last = first * factor, last / factor
    ax.set_xlim(first, last)
    if values.max() < 30.0 * values.min():
        label_plainly(ax.xaxis)
    ax.set_xlabel(f"{strength} (log scale; weaker penalty to the right)")


def label_plainly(axis, evenly=False) -> None:
    """Plain numbers on a short logarithmic axis: 1, 2 and 5 times powers of ten, or equidistant."""
    from matplotlib.ticker import AutoLocator, FormatStrFormatter, LogLocator, NullFormatter

    axis.set_major_locator(AutoLocator() if evenly else LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_formatter(NullFormatter())


def count_from_one(ax) -> None:
    """An x axis of epochs or time steps: labels at whole numbers, of which the first is 1."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    ax.set_xlim(left=max(0.5, ax.get_xlim()[0]), auto=None)


def mark_penalty(ax, strength, value, label, linestyle="--", linewidth=1.0):
    """A vertical line at ``value``, named in the legend; None where there is no place for it."""
    if value is None or not value > 0.0:
        return None
    label = f"{label}: {strength} = {value:.3g}"
    return ax.axvline(value, label=label, color="0.2", linestyle=linestyle, linewidth=linewidth)


def label_gap(ax, font_size) -> float:
    """Height of a line of text of ``font_size`` points, in units of the y axis."""
    low, high = ax.get_ylim()
    points = ax.get_window_extent().height * 72.0 / ax.figure.dpi
    return 1.25 * font_size * abs(high - low) / points


def keep_apart(heights, gap, low, high) -> np.ndarray:
    """Heights (m,) in rising order, moved as little as possible to stand ``gap`` apart.

    They stay between ``low`` and ``high`` if they fit.
    """
    steps = gap * np.arange(len(heights))
    placed = isotonic_regression(heights - steps).x + steps
    return np.maximum(np.minimum(placed, high - steps[::-1]), low + steps)
