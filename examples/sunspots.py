"""How many sunspots next year? Recurrent networks on windows of a long series.

Sunspots of each year from 1700 to 2008, as statsmodels has them. Networks read windows of 16 years
and foretell the next; they learn from the years up to 1920 and are judged by those after it, one
year ahead each time, next to two rivals: "as last year", and a linear autoregression on the same
windows. Spots vary more when there are many, so all learn the square root of their number.

Run it with ``python examples/sunspots.py``; it takes about 40 seconds. The series comes with
statsmodels (extra ``test``), the picture needs matplotlib (extra ``plot``).
"""

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import dask.array as da
import numpy as np

from daskdsml.layers import GRU, LSTM, Dense
from daskdsml.linear_model import LinearRegression
from daskdsml.neural_network import NeuralRegressor, WindowedSequences

WINDOW, LAST, BLOCK = 16, 1920, 64
CELLS = {"LSTM": LSTM, "GRU": GRU}
SCALE = 10.0  # roots of numbers of spots are up to 14
# Those of Okabe and Ito, whom most of the colour-blind can tell apart.
COLORS = ("#56B4E9", "#E69F00", "#0072B2", "#D55E00")


class Series(NamedTuple):
    """Years and numbers of sunspots (n,)."""

    years: np.ndarray
    spots: np.ndarray

    @property
    def roots(self):
        """What is learnt from, between 0 and 1.4."""
        return (np.sqrt(self.spots) / SCALE).astype(np.float32)


def read_sunspots() -> tuple[Series, Series]:
    """The years to learn from; and those to judge by, with the window before the first."""
    try:
        from statsmodels.datasets import sunspots
    except ImportError as error:
        raise SystemExit(
            "The sunspots come with statsmodels, which is not installed. It comes with the extra "
            '"test": python -m pip install -e ".[test]"'
        ) from error
    table = sunspots.load_pandas().data
    years, spots = table["YEAR"].to_numpy(int), table["SUNACTIVITY"].to_numpy()
    cut = int(np.searchsorted(years, LAST, side="right"))
    return Series(years[:cut], spots[:cut]), Series(years[cut - WINDOW :], spots[cut - WINDOW :])


def foretell(past: Series, future: Series, n_epochs, n_starts) -> dict:
    """Numbers of spots of the years after the window, as each way foretells them, by name."""
    known = da.from_array(past.roots, chunks=BLOCK)
    windows = WindowedSequences(known, WINDOW, horizon=1)
    fresh = WindowedSequences(future.roots, WINDOW, horizon=1)
    target = windows.after(past.roots)
    print(f"To learn from: {windows} in {windows.X.numblocks[0]} blocks; to judge by: {fresh}\n")
    linear = LinearRegression().fit(windows.X[:, :, 0], target)
    found = {
        "as last year": fresh.X[:, -1, 0],
        "linear autoregression": linear.predict(fresh.X[:, :, 0]),
    }
    for name, cell in CELLS.items():
        models = [network(cell, n_epochs, seed).fit(windows, target) for seed in range(n_starts)]
        found[name] = np.mean([model.predict(fresh) for model in models], axis=0)
    return {name: (SCALE * np.maximum(roots, 0.0)) ** 2 for name, roots in found.items()}


def network(cell, n_epochs, seed) -> NeuralRegressor:
    """16 recurrent units, and a number made from their last state."""
    return NeuralRegressor(
        [cell(16), Dense(1)],
        learning_rate_init=0.01,
        learning_rate="cosine",
        batch_size=16,
        max_iter=n_epochs,
        random_state=seed,
    )


def judge(found, future: Series) -> None:
    """Errors of what was foretold, in sunspots."""
    spots = future.spots[WINDOW:]
    many = spots > 100
    print("                         root mean square error, in sunspots a year")
    print(f"                         {len(spots)} years   {many.sum()} with more than 100   others")
    for name, foretold in found.items():
        error = foretold - spots
        parts = [np.sqrt(np.mean(part**2)) for part in (error, error[many], error[~many])]
        print(f"  {name:<21}  {parts[0]:8.1f}   {parts[1]:21.1f}   {parts[2]:6.1f}")
    squares = {name: (foretold - spots) ** 2 for name, foretold in found.items()}
    print("\nMean squared error less that of the linear autoregression, and its standard error:")
    for name in CELLS:
        less = squares[name] - squares["linear autoregression"]
        print(f"  {name:<5}{less.mean():5.0f} +- {less.std(ddof=1) / np.sqrt(len(less)):.0f}")
    print("""
All leave "as last year" far behind. From so few years a network learns little that a linear model
does not, and these years were looked at when its size and epochs were chosen: take a difference of
less than two standard errors for none.""")


def draw(found, past: Series, future: Series, path) -> None:
    """What was foretold and what came; and the errors as they add up."""
    try:
        import matplotlib
    except ImportError as error:
        raise SystemExit(
            "The picture needs matplotlib, which is not installed. It comes with the extra "
            '"plot": python -m pip install -e ".[plot]"'
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (top, bottom) = pyplot.subplots(
        2, 1, figsize=(11, 7), sharex=True, height_ratios=(3, 2), layout="constrained"
    )
    years, spots = future.years[WINDOW:], future.spots[WINDOW:]
    top.fill_between(years, spots, color="0.85", ec="0.45", lw=1.2, label="truth")
    for (name, foretold), color in zip(found.items(), COLORS, strict=True):
        squares = np.cumsum((foretold - spots) ** 2)
        bottom.plot(years, squares / 1000.0, color=color, label=name)
        if name != "as last year":
            top.plot(years, foretold, color=color, lw=1.4, label=name)
    top.set(
        ylabel="sunspots, mean of a year",
        title=f"Foretold one year ahead, from the {WINDOW} years before",
    )
    bottom.set(
        xlabel="year", ylabel="thousands of squared sunspots", xlim=(years[0], years[-1]),
        title="Squared errors, added up from the first year on",
    )  # fmt: skip
    top.legend(loc="upper left", ncols=4, framealpha=0.9, edgecolor="none")
    top.set_ylim(0, 1.15 * max(spots.max(), *(part.max() for part in found.values())))
    bottom.legend(loc="upper left", framealpha=0.9, edgecolor="none")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main(out: Path, n_epochs: int, n_starts: int) -> None:
    """Learn, foretell, judge and draw."""
    past, future = read_sunspots()
    print(
        f"Years {past.years[0]} to {past.years[-1]} to learn from, {future.years[WINDOW]} to "
        f"{future.years[-1]} to judge by; networks: mean of {n_starts} fits from other weights"
    )
    found = foretell(past, future, n_epochs, n_starts)
    judge(found, future)
    draw(found, past, future, out / "sunspots.png")
    print(f"\nPicture: {out / 'sunspots.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=120, help="epochs of each fit")
    parser.add_argument("--starts", type=int, default=3, help="fits of each network")
    parser.add_argument("--out", type=Path, help="folder for the picture; default: a temporary one")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="sunspots-"))
    folder.mkdir(parents=True, exist_ok=True)
    main(folder, options.epochs, options.starts)
