"""Epochs of networks on two workers against one process with one core, by strategy.

Run ``python benchmarks/training.py [rows]``. Each line is a network, a batch size and a strategy:
median seconds of an epoch after the first (which compiles), how many times faster than one process,
milliseconds of a step beside its arithmetic (half of one process's), and accuracy on rows held out.
Copies that are averaged take a learning rate as many times larger as there are parts. "two apart"
are two processes that train on half of the rows each and tell each other nothing: the most that two
workers of this machine can do.
"""

from __future__ import annotations

import os

os.environ.update(
    dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
)

import sys  # noqa: E402
import warnings  # noqa: E402

import dask  # noqa: E402
import dask.array as da  # noqa: E402
import numpy as np  # noqa: E402
from distributed import Client, LocalCluster  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402

from daskdsml.engine import memory  # noqa: E402
from daskdsml.neural_network import CNNClassifier, MLPClassifier  # noqa: E402
from daskdsml.strategies import Averaging, ParameterServer  # noqa: E402

N_TEST, EPOCHS = 10_000, 7
CASES = (("MLP 784-128-10", 128), ("MLP 784-128-10", 1024), ("CNN 16-32", 128))
STRATEGIES = ("all_reduce", ParameterServer(), ParameterServer(4), Averaging(2, steps=16))


def digits(n: int, seed: int):
    """Digits of 28 x 28 pixels, each moved and with noise of its own."""
    rng, (images, labels) = np.random.default_rng(seed), load_digits(return_X_y=True)
    drawn = rng.integers(0, len(images), n)
    large = images.reshape(-1, 8, 8).repeat(3, 1).repeat(3, 2)[drawn] / 16.0
    X = rng.normal(scale=0.4, size=(n, 28, 28))
    for k, (i, j) in enumerate(rng.integers(0, 5, (n, 2))):
        X[k, i : i + 24, j : j + 24] += large[k]
    return X.astype(np.float32), labels[drawn]


def network(name: str, batch_size: int, strategy):
    """The network of a line."""
    rate = 1e-3 * getattr(strategy, "n_parts", 1)
    options = {"max_iter": EPOCHS, "tol": None, "backend": "numba", "strategy": strategy}
    if name.startswith("MLP"):
        return MLPClassifier((128,), batch_size=batch_size, learning_rate_init=rate, **options)
    return CNNClassifier((16, 32), batch_size=batch_size, learning_rate_init=rate, **options)


def line(name, batch_size, strategy, data, test, n, alone=None):
    """Fit, print a line, and give the seconds of an epoch."""
    flat = name.startswith("MLP")
    X, X_test = (
        part.reshape(len(part), 784 if flat else 1, *(() if flat else (28, 28)))
        for part in (data[0], test[0])
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = network(name, batch_size, strategy).fit(X, data[1])
    seconds = float(np.median([record.seconds for record in model.history_[1:]]))
    with dask.config.set(scheduler="threads"):
        score = model.score(X_test, test[1])
    who = "one process" if alone is None else str(strategy)
    faster = "" if alone is None else f"{alone / seconds:.2f}x"
    steps = -(-n // batch_size)
    beside = "" if alone is None else f"{1e3 * (seconds - alone / 2) / steps:.2f} ms"
    print(f"{name:15} {batch_size:5} {who:33.33}", end="")
    print(f"{seconds:7.3f} s {faster:>6} {beside:>9} {score:.4f}", flush=True)
    return seconds


def seconds_apart(case, X, y) -> float:
    """Task: the median seconds of an epoch on rows that this worker trains on for itself."""
    flat = case[0].startswith("MLP")
    X = X.reshape(len(X), 784) if flat else X[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = network(*case, "auto").fit(X, y)
    return float(np.median([record.seconds for record in model.history_[1:]]))


def apart(client, case, X, y, alone) -> None:
    """Print how much faster two processes are that train on a half of the rows each."""
    halves = np.array_split(np.arange(len(X)), 2)
    futures = [
        client.submit(seconds_apart, case, X[half], y[half], workers=[worker], pure=False)
        for half, worker in zip(halves, sorted(client.nthreads()), strict=True)
    ]
    seconds = max(client.gather(futures))
    faster = f"{alone / seconds:.2f}x"
    print(f"{case[0]:15} {case[1]:5} {'two apart':33}{seconds:7.3f} s {faster:>6}", flush=True)


def main(n: int) -> None:
    X, y = digits(n + N_TEST, 0)
    data = da.from_array(X[:n], chunks=(2000, 28, 28)), da.from_array(y[:n], chunks=2000)
    test = X[n:], y[n:]
    memory.MIN_CLUSTER_BYTES = 0
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[:1])
    with dask.config.set(scheduler="threads", num_workers=1):
        alone = {case: line(*case, "auto", data, test, n) for case in CASES}
    os.sched_setaffinity(0, cores)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        for case, seconds in alone.items():
            apart(client, case, X[:n], y[:n], seconds)
            for strategy in STRATEGIES:
                line(*case, strategy, data, test, n, seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
