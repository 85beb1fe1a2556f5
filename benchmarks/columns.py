"""Logistic lasso with far more columns than rows, on two workers by columns against one process.

Run ``python benchmarks/columns.py [n [p [C]]]``: seconds, reads, the objective above that of rows
in one process, and what share of X each worker holds.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import sys  # noqa: E402
import time  # noqa: E402

import dask  # noqa: E402
import dask.array as da  # noqa: E402
import numpy as np  # noqa: E402
from distributed import Client, LocalCluster  # noqa: E402

from daskdsml.engine.full import cluster as engine_cluster  # noqa: E402
from daskdsml.linear_model import LogisticRegression  # noqa: E402

WIDTH = 4000


def columns(n, block_info=None):
    """The columns of a chunk."""
    chunk = block_info[None]["chunk-location"][1]
    return np.random.default_rng(chunk).normal(size=(n, WIDTH)).astype(np.float32)


def objective(model, X, y):
    """Of a model, in double precision."""
    used = np.flatnonzero(model.coef_[0])
    z = np.asarray(X[:, used], dtype=float) @ model.coef_[0][used] + model.intercept_[0]
    losses = np.logaddexp(0.0, -(2 * y - 1) * z)
    return losses.mean() + np.abs(model.coef_).sum() / (len(y) * model.C)


def timed(model, X, y):
    """The fitted model and seconds."""
    begun = time.perf_counter()
    return model.fit(X, y), time.perf_counter() - begun


def bytes_held(dask_worker) -> int:
    """Bytes of what a worker keeps."""
    return sum(dask_worker.data.memory.weights.values())


def main(n: int, p: int, C: float) -> None:
    widths = (WIDTH,) * (p // WIDTH)
    meta = np.empty((0, 0), np.float32)
    X = da.map_blocks(columns, n, chunks=((n,), widths), dtype=np.float32, meta=meta)
    signal = np.asarray(X[:, :30]) @ np.linspace(1.0, -1.0, 30)
    y = (np.random.default_rng(1).random(n) < 1.0 / (1.0 + np.exp(-signal))).astype(int)
    options = {"C": C, "l1_ratio": 1.0, "tol": 1e-6, "max_iter": 500}
    held: list[dict] = []
    close = engine_cluster.ClusterRows.close

    def weighed(rows):
        held.append(rows._client.run(bytes_held))
        close(rows)

    engine_cluster.ClusterRows.close = weighed
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster),
    ):
        model, seconds = timed(LogisticRegression(strategy="columns", **options), X, y)
    with dask.config.set(scheduler="threads", num_workers=2):
        here = X.compute()
    alone, seconds_alone = timed(LogisticRegression(strategy="all_reduce", **options), here, y)
    above = objective(model, here, y) - objective(alone, here, y)
    shares = [n_bytes / (4.0 * n * p) for n_bytes in held[-1].values()]
    print(f"n={n} p={p} C={C}: {np.count_nonzero(model.coef_)} coefficients")
    print(f"by columns, 2 workers {seconds:6.1f} s, {model.n_passes_} reads, workers hold ", end="")
    print(" and ".join(f"{share:.2f}" for share in shares), "of X")
    print(f"by rows, one process  {seconds_alone:6.1f} s, {alone.n_passes_} reads, from memory")
    print(f"objective above that of rows {above:.1e}", flush=True)


if __name__ == "__main__":
    given = [kind(text) for kind, text in zip((int, int, float), sys.argv[1:], strict=False)]
    main(*given, *(2000, 200_000, 0.01)[len(given) :])
