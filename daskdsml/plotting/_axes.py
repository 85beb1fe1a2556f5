"""What the pictures share: axes to draw on, the penalty's axis, labels that keep their distance."""

from __future__ import annotations

import numpy as np

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

    ``grid`` asks for several new axes, as matplotlib's ``subplots`` does.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    pyplot = load_pyplot()
    if ax is None:
        # This layout makes room for what stands beside the axes.
        return pyplot.subplots(figsize=figsize, layout="constrained", **grid)
    return ax.figure, ax


def strongest_first(strength, values, *others) -> tuple[np.ndarray, ...]:
    """Penalties above 0 (m,), the strongest first, and ``others (m, ...)`` in the same order.

    ``strength`` is "alpha", or "C" for its inverse. A 0 has no place on a logarithmic axis.

    Raises
    ------
    ValueError
        If a length differs, or no value is above 0.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or any(len(part) != len(values) for part in others):
        lengths = [len(part) for part in others]
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
    return values[order], *(np.asarray(part)[order] for part in others)


def best_ratio(estimator) -> int:
    """Which l1_ratio of a fitted LogisticRegressionCV has the best mean score."""
    mean = np.mean(estimator.scores_, axis=0)
    return int(np.unravel_index(np.argmax(mean), mean.shape)[0])


def draw_penalty_axis(ax, strength, values) -> None:
    """Penalties (m,), strongest first, on a logarithmic axis that ends with the data."""
    ax.set_xscale("log")
    first, last = values[0], values[-1]
    if first == last:
        factor = 0.5 if strength == "C" else 2.0
        first, last = first * factor, last / factor
    ax.set_xlim(first, last)
    if values.max() < 30.0 * values.min():
        # Powers of ten are too few there, and a label at each digit is too many.
        from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(f"{strength} (log scale; weaker penalty to the right)")


def count_from_one(ax) -> None:
    """An x axis of epochs or time steps: labels at whole numbers, of which the first is 1."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    ax.set_xlim(left=max(0.5, ax.get_xlim()[0]), auto=None)


def draw_choice(ax, strength, value, label, **style):
    """A vertical line at ``value``, named in the legend; None where there is no place for it."""
    if value is None or not value > 0.0:
        return None
    return ax.axvline(value, label=f"{label}: {strength} = {value:.3g}", **style)


def label_gap(ax, font_size) -> float:
    """Height of a line of text of ``font_size`` points, in units of the y axis."""
    low, high = ax.get_ylim()
    points = ax.get_window_extent().height * 72.0 / ax.figure.dpi
    return 1.25 * font_size * abs(high - low) / points


def keep_apart(heights, gap, low, high) -> np.ndarray:
    """Heights (m,) in rising order, moved as little as may be to stand ``gap`` apart.

    They stay between ``low`` and ``high`` if they fit. Heights that are too close are placed
    around their mean, as are then groups of them (pool adjacent violators).
    """
    groups: list[tuple[float, int]] = []  # mean height of a group, and its size
    for height in heights:
        groups.append((float(height), 1))
        while len(groups) > 1:
            (below, m), (above, k) = groups[-2:]
            if above - below >= gap * (m + k) / 2.0:
                break
            groups[-2:] = [((m * below + k * above) / (m + k), m + k)]
    parts = [mean + gap * (np.arange(size) - (size - 1) / 2.0) for mean, size in groups]
    placed = np.concatenate([np.zeros(0), *parts])
    steps = gap * np.arange(len(placed))
    placed = np.minimum(placed, high - steps[::-1])
    return np.maximum(placed, low + steps)
