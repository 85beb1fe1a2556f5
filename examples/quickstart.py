"""Two fits in one script: a table that fits in memory, and one twice the workers' memory.

Run it with ``python examples/quickstart.py``; it takes about a minute on two cores, writes 2 GB to
a temporary folder and removes them.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

# The workers import this file too: what they do not need is imported where it is used.

BLOCK_ROWS, COLUMNS = 15_625, 100  # 12.5 MB of float64


def real_data() -> None:
    """Fit scikit-learn's breast-cancer table as a Dask array and show what matters in it."""
    from sklearn.datasets import load_breast_cancer

    from daskdsml.linear_model import LogisticRegression

    data = load_breast_cancer()
    scaled = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    X = da.from_array(scaled, chunks=(100, 30))
    y = da.from_array(data.target_names[data.target], chunks=100)

    model = LogisticRegression(C=1.0).fit(X, y)

    first, second = model.classes_
    print(f"Breast cancer: {X.shape[0]} rows, {X.shape[1]} columns, classes {first} and {second}")
    print(f"  accuracy {model.score(X, y):.3f} after {model.n_passes_} reads of the data")
    print(
        f"  columns that speak most for {second} (+) or {first} (-), by standardised coefficient:"
    )
    for j in np.argsort(-np.abs(model.coef_[0]))[:5]:
        print(f"    {data.feature_names[j]:<24} {model.coef_[0, j]:+.2f}")


def write_table(folder: Path, n_rows: int) -> tuple[da.Array, da.Array]:
    """Write X (n_rows, 100) and y to ``folder``, a file a block, and open them lazily."""
    rng = np.random.default_rng(0)
    effects = rng.normal(size=COLUMNS) / 5
    random = da.random.default_rng(0)
    da.to_npy_stack(
        folder / "X", random.normal(size=(n_rows, COLUMNS), chunks=(BLOCK_ROWS, COLUMNS))
    )
    X = da.from_npy_stack(folder / "X", mmap_mode=None)
    noise = random.logistic(size=n_rows, chunks=BLOCK_ROWS)
    da.to_npy_stack(folder / "y", (X @ effects + 0.5 + noise > 0).astype(np.int8))
    return X, da.from_npy_stack(folder / "y", mmap_mode=None)


def bare_read(X: da.Array) -> float:
    """Seconds that the same workers take to read the same blocks and do nothing with them."""
    start = time.perf_counter()
    dask.compute(*(dask.delayed(len)(block) for block in X.to_delayed().ravel()))
    return time.perf_counter() - start


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def large_data(n_bytes: float) -> None:
    """Fit a table on disk that is larger than the memory of all workers together."""
    from daskdsml.linear_model import LogisticRegression

    n_rows = max(1, round(n_bytes / (8 * COLUMNS * BLOCK_ROWS))) * BLOCK_ROWS
    with tempfile.TemporaryDirectory() as folder:
        print(f"\nWriting {8e-9 * n_rows * COLUMNS:.1f} GB to a temporary folder ...")
        X, y = write_table(Path(folder), n_rows)
        with (
            LocalCluster(
                n_workers=2, threads_per_worker=1, memory_limit="512MB", dashboard_address=None
            ) as cluster,
            Client(cluster) as client,
        ):
            read = bare_read(X)
            start = time.perf_counter()
            model = LogisticRegression(verbose=True).fit(X, y)
            seconds = time.perf_counter() - start
            peak = max(client.run(peak_memory).values())
    print(f"  {n_rows:,} rows in {model.n_passes_} reads, {seconds:.1f} s in all")
    print(
        f"  {seconds / model.n_passes_:.2f} s a read; a bare read of the same blocks: {read:.2f} s"
    )
    print(f"  largest memory of a worker: {peak / 1e6:.0f} MB of 512 MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the large table")
    real_data()
    large_data(1e9 * parser.parse_args().gigabytes)
