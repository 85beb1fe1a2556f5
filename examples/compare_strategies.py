"""One table, every way to spread the work: what each costs in seconds and in bytes.

100,000 rows of 64 columns lie on the workers of a local cluster. A network learns them with each
strategy of mini-batches, and logistic regression with each of linear models. Tables and a picture
show the loss of held-out rows, seconds, and megabytes that moved between processes of this machine.

Run it with ``python examples/compare_strategies.py``; it takes about two minutes. The picture needs
matplotlib: the extra ``plot``.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import dask.array as da
import numpy as np
import pandas as pd
import psutil
from dask.distributed import Client, LocalCluster

from daskdsml.linear_model import LogisticRegression, SGDClassifier
from daskdsml.neural_network import MLPClassifier
from daskdsml.strategies import ADMM, AllReduce, Averaging, Columns, ParameterServer

N_COLUMNS, N_CHUNKS, N_TEST = 64, 20, 5_000
# Those of Okabe and Ito, whom most of the colour-blind can tell apart.
COLORS = ("#000000", "#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#009E73")
# Copies that are averaged make fewer steps in sequence, and take longer ones.
NETWORKS = {
    "all_reduce": (AllReduce(), 1),
    "parameter_server": (ParameterServer(), 1),
    "parameter_server, staleness 4": (ParameterServer(staleness=4), 1),
    "averaging": (Averaging(n_parts=2, steps=16), 2),
    "averaging, outer momentum": (Averaging(2, 16, outer_momentum=0.5), 1),
    "columns": (Columns(), 1),
}
LINEAR = {
    "all_reduce, Newton": LogisticRegression(),
    "all_reduce, L-BFGS": LogisticRegression(solver="lbfgs"),
    "ADMM": LogisticRegression(strategy=ADMM(n_parts=2)),
    "SGD, one chain": SGDClassifier("log_loss", max_iter=5, tol=None),
    "SGD, averaging": SGDClassifier(
        "log_loss", max_iter=5, tol=None, strategy=Averaging(2, "auto")
    ),
}


class Table(NamedTuple):
    """Rows on the workers, laid out by rows and by columns, and held-out rows in this process."""

    X: da.Array
    by_columns: da.Array
    y: da.Array
    X_test: np.ndarray
    y_test: np.ndarray


class Epoch(NamedTuple):
    """Where a network stands after an epoch: seconds and bytes so far, and loss held out."""

    strategy: str
    epoch: int
    seconds: float
    megabytes: float
    loss: float


def made(seed, n) -> np.ndarray:
    """Rows of a chunk, and labels in a last column: a few columns count, also in pairs."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, N_COLUMNS))
    score = X[:, :8] @ np.linspace(1.0, -1.0, 8) + X[:, 8] * X[:, 9] - X[:, 10] * X[:, 11]
    return np.column_stack([X, score + rng.logistic(size=n) > 0]).astype(np.float32)


def chunk(n, block_info=None) -> np.ndarray:
    """`made` for the place of a chunk."""
    return made(block_info[None]["chunk-location"][0], n)


def make_table(client, n_rows) -> Table:
    """All rows, kept on the workers."""
    n = n_rows // N_CHUNKS
    chunks = ((n,) * N_CHUNKS, (N_COLUMNS + 1,))
    rows = da.map_blocks(chunk, n, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0)))
    X, y = client.persist([rows[:, :-1], rows[:, -1].astype(int)])
    by_columns = client.persist(X.rechunk({1: N_COLUMNS // 4}))
    test = made(N_CHUNKS, N_TEST)
    return Table(X, by_columns, y, test[:, :-1], test[:, -1].astype(int))


def moved() -> int:
    """Bytes that processes of this machine have sent each other so far."""
    cards = psutil.net_io_counters(pernic=True)
    return sum(card.bytes_sent for name, card in cards.items() if name.startswith("lo"))


def loss_of(model, table: Table) -> float:
    """Log loss of the held-out rows."""
    probabilities = model.predict_proba(table.X_test)
    return -float(np.log(probabilities[np.arange(N_TEST), table.y_test]).mean())


def learning(name, table: Table, n_epochs) -> list[Epoch]:
    """A network trained with the strategy of that name, after each epoch."""
    strategy, factor = NETWORKS[name]
    told: list[Epoch] = []

    def tell(model, record):
        megabytes = (moved() - begun) / 1e6
        seconds = sum(record.seconds for record in model.history_)
        told.append(Epoch(name, record.epoch, seconds, megabytes, loss_of(model, table)))

    X = table.by_columns if isinstance(strategy, Columns) else table.X
    model = MLPClassifier(
        (64,),
        batch_size=256,
        learning_rate_init=0.001 * factor,
        max_iter=n_epochs,
        tol=None,
        strategy=strategy,
        callbacks=[tell],
    )
    begun = moved()
    model.fit(X, table.y)
    return told


def fitted(name, table: Table) -> dict:
    """A linear model, and what it took."""
    model, begun, before = LINEAR[name], time.perf_counter(), moved()
    model.fit(table.X, table.y)
    seconds, megabytes = time.perf_counter() - begun, (moved() - before) / 1e6
    told = seconds, model.n_passes_, megabytes, loss_of(model, table)
    return dict(zip(("seconds", "reads", "megabytes moved", "loss held out"), told, strict=True))


def compare_networks(table: Table, n_epochs) -> pd.DataFrame:
    """All epochs of all networks; each is trained once before, for workers compile at first."""
    told = []
    for name in NETWORKS:
        learning(name, table, 1)
        told += learning(name, table, n_epochs)
    return pd.DataFrame(told)


def last_epochs(epochs: pd.DataFrame) -> pd.DataFrame:
    """Where each network ends, and what an epoch took."""
    last = epochs.groupby("strategy", sort=False).last()
    return pd.DataFrame(
        {
            "seconds an epoch": last.seconds / last.epoch,
            "megabytes an epoch": last.megabytes / last.epoch,
            "loss held out": last.loss,
        }
    )


def compare_linear(table: Table) -> pd.DataFrame:
    """All linear models; each is fitted once before."""
    rows = {}
    for name in LINEAR:
        fitted(name, table)
        rows[name] = fitted(name, table)
    return pd.DataFrame(rows).T


def draw(epochs: pd.DataFrame):
    """Loss against seconds and against bytes."""
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained", sharey=True)
    for ax, cost, label in zip(
        axes, ("seconds", "megabytes"), ("seconds of training", "megabytes moved"), strict=True
    ):
        for color, (name, part) in zip(COLORS, epochs.groupby("strategy", sort=False), strict=True):
            ax.plot(part[cost], part.loss, marker="o", ms=3, color=color, label=name)
        ax.set(xlabel=label, xscale="log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("log loss of held-out rows")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8
    )
    figure.suptitle("A network of 64 units on two workers, epoch by epoch")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the table")
    parser.add_argument("--epochs", type=int, default=8, help="epochs of each network")
    parser.add_argument("--out", type=Path, help="folder for the picture; none is drawn without")
    options = parser.parse_args()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        table = make_table(client, options.rows)
        linear = compare_linear(table)
        epochs = compare_networks(table, options.epochs)
    print("Logistic regression\n", linear.round(4).to_string(), sep="")
    print("\nA network of 64 units\n", last_epochs(epochs).round(4).to_string(), sep="")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        file = options.out / "strategies.png"
        draw(epochs).savefig(file, dpi=150)
        print(f"\nPicture: {file}")


if __name__ == "__main__":
    main()
