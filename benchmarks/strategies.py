"""Strategies of linear models: rounds and reads of ADMM on unkind data, copies that are averaged.

Run ``python benchmarks/strategies.py`` for all rows, and with a text for those whose name has it:

- ``python benchmarks/strategies.py logistic``: a row is a data set and a penalty. Of "all_reduce"
  with the default ``tol`` reads, what the mean objective is above its minimum, and seconds. Then
  for 2, 4 and 16 parts of ADMM the rounds until the objective is within 1e-4 and 1e-8, and of a fit
  with the default ``tol`` rounds, reads, objective above the minimum and seconds. "poisson",
  "multinomial", "p=200" or "sorted" choose other rows.
- ``python benchmarks/strategies.py workers``: seconds and bits of ADMM on 1, 2 and 3 workers.
- ``python benchmarks/strategies.py sgd``: an epoch of one chain and of copies, and their losses.
"""

from __future__ import annotations

import os

os.environ.update(
    dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
)

import sys  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402

import dask.array as da  # noqa: E402
import numpy as np  # noqa: E402
from distributed import Client, LocalCluster  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402

from daskdsml.engine import memory  # noqa: E402
from daskdsml.linear_model import LogisticRegression, PoissonRegressor, SGDClassifier  # noqa: E402
from daskdsml.strategies import ADMM, Averaging  # noqa: E402

N, CHUNKS = 200_000, 64
PARTS = (2, 4, 16)
# A kind of model, columns, strength of the penalty against the mean loss, share of L1, and data.
ROWS = [
    ("logistic", 50, 5e-6, 0.0, {}),
    ("logistic", 50, 0.0, 0.0, {}),
    ("logistic", 50, 1.0, 0.0, {}),
    ("logistic", 50, 5e-3, 1.0, {}),
    ("logistic", 50, 5e-6, 0.0, {"alike": 0.99}),
    ("logistic", 50, 5e-6, 0.0, {"scales": True}),
    ("logistic", 50, 5e-6, 0.0, {"odds": -6.0}),
    ("logistic", 50, 5e-6, 0.0, {"sorted": True}),
    ("logistic", 50, 5e-6, 0.0, {"alike": 0.99, "scales": True, "sorted": True}),
    ("logistic", 5, 5e-6, 0.0, {}),
    ("logistic", 200, 5e-6, 0.0, {}),
    ("logistic", 200, 5e-3, 1.0, {"alike": 0.9}),
    ("poisson", 50, 0.0, 0.0, {}),
    ("poisson", 50, 0.0, 0.0, {"rate": 5.0}),
    ("poisson", 50, 0.1, 0.0, {"rate": 3.0, "scales": True, "sorted": True}),
    ("multinomial", 20, 5e-6, 0.0, {}),
    ("multinomial", 20, 5e-3, 1.0, {"sorted": True}),
]


def name_of(kind, p, strength, l1_ratio, layout) -> str:
    """How a row is called."""
    penalty = f"{'L1' if l1_ratio else 'L2'} {strength:g}" if strength else "no penalty"
    told = ", ".join(
        name if value is True else f"{name} {value:g}" for name, value in layout.items()
    )
    return f"{kind} p={p} {penalty}" + (f", {told}" if told else "")


def table(kind, p, layout):
    """X (N, p) and y."""
    rng, alike = np.random.default_rng(p), layout.get("alike", 0.0)
    X = np.sqrt(1.0 - alike) * rng.normal(size=(N, p)) + np.sqrt(alike) * rng.normal(size=(N, 1))
    z = X @ rng.normal(size=p) / np.sqrt(p)
    if kind == "logistic":
        y = (rng.random(N) < 1.0 / (1.0 + np.exp(-z - layout.get("odds", 0.0)))).astype(int)
    elif kind == "multinomial":
        y = (np.outer(z, [-1.0, 0.0, 1.0]) + rng.gumbel(size=(N, 3))).argmax(axis=1)
    else:
        y = rng.poisson(np.exp(0.5 * z + layout.get("rate", 0.0))).astype(float)
    X = X * np.geomspace(1e-3, 1e3, p) if layout.get("scales") else X
    order = np.argsort(y, kind="stable") if layout.get("sorted") else slice(None)
    return X[order], y[order]


def chunked(X, y):
    """The same as Dask Arrays of `CHUNKS` chunks."""
    rows = N // CHUNKS
    return da.from_array(X, chunks=(rows, X.shape[1])), da.from_array(y, chunks=rows)


def objective(model, kind, X, y, strength, l1_ratio) -> float:
    """The mean objective at the coefficients of a model."""
    coef = np.atleast_2d(model.coef_)
    z = X @ coef.T + model.intercept_
    if kind == "logistic":
        losses = np.logaddexp(0.0, z[:, 0]) - y * z[:, 0]
    elif kind == "multinomial":
        losses = np.logaddexp.reduce(z, axis=1) - z[np.arange(N), y]
    else:
        losses = np.exp(z[:, 0]) - y * z[:, 0]
    penalty = l1_ratio * np.abs(coef).sum() + (1.0 - l1_ratio) * 0.5 * (coef**2).sum()
    return float(losses.mean() + strength * penalty)


def made(kind, strength, l1_ratio, **options):
    """The model of a row."""
    if kind == "poisson":
        return PoissonRegressor(alpha=strength, **options)
    C = 1.0 / (N * strength) if strength else np.inf
    return LogisticRegression(C=C, l1_ratio=l1_ratio, **options)


def timed(model, *data):
    """The fitted model and seconds."""
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(*data)
    return model, time.perf_counter() - begun


def rounds_to(model, best, limit) -> int:
    """Rounds after which the objective is no more than ``limit`` above the best."""
    values = np.array([r.objective for r in model.history_ if r.name != "summary"])
    return int(np.argmax(values - best <= limit)) + 1


def line(row) -> None:
    """Fit the models of a row, and print it."""
    kind, p, strength, l1_ratio, layout = row
    local = table(kind, p, layout)
    data, penalty = chunked(*local), (strength, l1_ratio)
    plain, seconds = timed(made(kind, *penalty), *data)
    sure = [
        timed(made(kind, *penalty, tol=1e-11, max_iter=500, strategy=strategy), *data)[0]
        for strategy in ("all_reduce", *map(ADMM, PARTS))
    ]
    best = min(objective(model, kind, *local, *penalty) for model in sure)
    above = objective(plain, kind, *local, *penalty) - best
    print(f"{name_of(*row):50} {plain.n_passes_:3.0f} {above:5.0e} {seconds:5.2f} s", end="")
    for n_parts, exact in zip(PARTS, sure[1:], strict=True):
        model, seconds = timed(made(kind, *penalty, strategy=ADMM(n_parts)), *data)
        near = [rounds_to(exact, best, limit) for limit in (1e-4, 1e-8)]
        n_rounds, above = len(model.history_) - 1, objective(model, kind, *local, *penalty) - best
        print(f" | {near[0]:2} {near[1]:2} {n_rounds:2} {model.n_passes_:4.1f}", end="")
        print(f" {above:5.0e} {seconds:5.2f} s", end="")
    print(flush=True)


def on_workers() -> None:
    """ADMM and all_reduce on workers: seconds of a second fit, and whether bits are the same."""
    memory.MIN_CLUSTER_BYTES = 0
    data, bits = chunked(*table("logistic", 50, {})), set()
    for n_workers in (1, 2, 3):
        with (
            LocalCluster(n_workers, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster),
        ):
            for strategy in ("all_reduce", ADMM(6)):
                model = made("logistic", 5e-6, 0.0, strategy=strategy)
                seconds = [timed(model, *data)[1] for _ in range(4)][1:]
                told = f"{np.median(seconds):5.2f} s, {len(model.history_) - 1} rounds or steps"
                print(f"{n_workers} workers {strategy!s:40} {told}", flush=True)
            bits.add(model.coef_.tobytes())
    print("ADMM has", "the same bits" if len(bits) == 1 else "OTHER BITS", "on all of them")


def descents() -> None:
    """Epochs of one chain, and of copies on threads."""
    for layout in ({}, {"sorted": True}):
        X, y = table("logistic", 50, layout)
        for strategy in ("auto", Averaging(2), Averaging(8), Averaging(8, np.inf)):
            options = {"loss": "log_loss", "alpha": 1e-4, "max_iter": 10, "tol": None}
            model, _ = timed(SGDClassifier(strategy=strategy, **options), *chunked(X, y))
            seconds = np.median([record.seconds for record in model.history_[2:]])
            loss = objective(model, "logistic", X, y, 0.0, 0.0)
            told = "" if strategy == "auto" else f"copies {strategy.n_parts} steps {strategy.steps}"
            name = "sorted labels" if layout else "mixed rows"
            print(f"{name:14} {told or 'one chain':24} {seconds:.3f} s an epoch, loss {loss:.4f}")


def main(text: str) -> None:
    for row in ROWS:
        if text in name_of(*row):
            line(row)
    if text in "workers":
        on_workers()
    if text in "sgd":
        descents()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
