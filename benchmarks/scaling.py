"""What a pass and a step cost on a cluster, against blocks, workers, columns, models and strategy.

Run ``python benchmarks/scaling.py [blocks] [held] [workers] [columns] [models] [steps] [fit]``: the
groups of lines that are named, or all. Scheduler and workers are processes of their own, as many
as a line says, however few cores there are. Each line is measured by a fresh client:

- *open*: seconds until rows are laid out; *first*: those of the first pass, with what is sent once;
- *pass*: median and least milliseconds of the passes after it;
- *MB*: what the scheduler receives and sends in such a pass; *sched.*: its processor time;
- *client*: growth of the client's resident memory since before the collection was made.

``fit`` fits the cost model of docs/scaling.md to all groups of passes, and compares what it
predicts for sizes that were left out with what they take.
"""

from __future__ import annotations

import os

os.environ.update(
    dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
)

import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from concurrent.futures import ProcessPoolExecutor  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from multiprocessing import get_context  # noqa: E402
from typing import NamedTuple  # noqa: E402

import dask.array as da  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402
from distributed import Client  # noqa: E402
from distributed.deploy.subprocess import SubprocessCluster  # noqa: E402
from scipy.optimize import least_squares  # noqa: E402

from daskdsml.backends.numpy import NumPy  # noqa: E402
from daskdsml.data.validation import validate_dataset  # noqa: E402
from daskdsml.engine import memory  # noqa: E402
from daskdsml.engine.full.cluster import LARGE_STATE  # noqa: E402
from daskdsml.engine.full.rows import open_rows  # noqa: E402
from daskdsml.engine.scheduling import FAN_IN  # noqa: E402
from daskdsml.losses.logistic import Logistic  # noqa: E402
from daskdsml.neural_network import MLPClassifier  # noqa: E402
from daskdsml.passes.gradient import GradientRequest, gradient  # noqa: E402
from daskdsml.strategies import Averaging  # noqa: E402
from data import cheap_table, nothing  # noqa: E402
from measure import traffic  # noqa: E402

PASSES, SECONDS = 25, 6.0
MIB = 2**20


class Case(NamedTuple):
    """A table on workers, and the kernel: none (``models=0``), or the gradients of some models."""

    blocks: int
    rows: int = 100
    p: int = 20
    workers: int = 2
    models: int = 0
    cache: str = "none"

    @property
    def entries(self) -> int:
        return self.blocks * self.rows * self.p


class Cost(NamedTuple):
    """What a case took: seconds (of the median pass and the quickest), MB, and its shards."""

    open: float
    first: float
    seconds: float
    least: float
    traffic: float
    scheduler: float
    client: float
    n_shards: int


def held(workers: int) -> Case:
    """1,024 small blocks that workers keep."""
    return Case(1024, workers=workers, cache="memory")


def streamed(workers: int) -> Case:
    """Blocks of 1 MiB that are read in each pass."""
    return Case(256, 6554, 20, workers, 1)


def wide(p: int, models: int = 1) -> Case:
    """Blocks of 1 MiB that workers keep, of p columns."""
    return Case(64, MIB // 8 // p, p, 2, models, "memory")


GROUPS = {
    "blocks": [Case(n) for n in (1_000, 10_000, 100_000)],
    "held": [held(n) for n in (1, 2, 4, 8, 16)],
    "workers": [streamed(n) for n in (1, 2, 4, 8, 16)],
    "columns": [wide(p) for p in (16, 128, 1024, 8192)],
    "models": [wide(128, models) for models in (8, 64, 256)],
}
LEFT_OUT = [Case(30_000), held(6), held(12), streamed(6), wide(2048), wide(128, 24)]


def rss() -> float:
    return psutil.Process().memory_info().rss / 1e6


def measured(address: str, case: Case) -> Cost:
    """What a case costs; called in a fresh process."""
    with Client(address) as client:
        client.run_on_scheduler(traffic)
        before = rss()
        X = cheap_table(case.rows, case.p, case.blocks)
        table = validate_dataset(X, X[:, 0])
        start = time.perf_counter()
        rows = open_rows(table, case.cache)
        opened = time.perf_counter() - start
        kernel, state = nothing, None
        if case.models:
            coef = np.full((case.models, 1, case.p), 0.1)
            kernel = gradient
            state = GradientRequest(NumPy(), Logistic(), coef, np.zeros((case.models, 1)))
        times = []
        while len(times) < 4 or (len(times) < PASSES and sum(times[1:]) < SECONDS):
            if len(times) == 1:
                began = client.run_on_scheduler(traffic)
            start = time.perf_counter()
            rows.run(kernel, state, "pass")
            times.append(time.perf_counter() - start)
        ended = client.run_on_scheduler(traffic)
        passes = len(times) - 1
        moved, busy = ((b - a) / passes for a, b in zip(began, ended, strict=True))
        memory, n_shards = rss() - before, rows.n_shards
        rows.close()
    seconds = statistics.median(times[1:])
    return Cost(opened, times[0], seconds, min(times[1:]), moved / 1e6, busy, memory, n_shards)


@contextmanager
def workers(n: int):
    """The address of a cluster whose scheduler and n workers are processes of their own."""
    with (
        SubprocessCluster(n_workers=n, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(n)
        yield cluster.scheduler_address


def in_fresh_process(function, *arguments):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def costs(cases, title: str) -> dict[Case, Cost]:
    """Measure cases, and print a line of each."""
    print(f"\n{title}\n blocks   rows     p workers models cache  |", end="")
    print("  open s  first s   pass ms    least      MB  sched. ms  client MB")
    found = {}
    for n in sorted({case.workers for case in cases}):
        with workers(n) as address:
            for case in (case for case in cases if case.workers == n):
                cost = found[case] = in_fresh_process(measured, address, case)
                print(f"{case.blocks:7} {case.rows:6} {case.p:5} {n:7} {case.models:6}", end=" ")
                print(f"{case.cache:6} | {cost.open:7.2f} {cost.first:8.2f}", end=" ")
                print(
                    f"{1e3 * cost.seconds:9.1f} {1e3 * cost.least:8.1f} {cost.traffic:7.2f}",
                    end=" ",
                )
                print(f"{1e3 * cost.scheduler:10.1f} {cost.client:10.0f}", flush=True)
    return found


def step_seconds(address: str, strategy, batch_size: int) -> float:
    """Median seconds of a step of a small network; called in a fresh process."""
    memory.MIN_CLUSTER_BYTES = 0
    n, epochs = 8192, 5
    X = np.random.default_rng(0).normal(size=(n, 64)).astype(np.float32)
    data = [da.from_array(part, chunks=512) for part in (X, (X[:, 0] > 0).astype(int))]
    model = MLPClassifier((64,), batch_size=batch_size, max_iter=epochs, tol=None, backend="numpy")
    with warnings.catch_warnings(), Client(address):
        warnings.simplefilter("ignore")
        history = model.set_params(strategy=strategy).fit(*data).history_
    return statistics.median(record.seconds for record in history[1:]) / -(-n // batch_size)


def steps() -> None:
    """Print what a step costs, by strategy."""
    print(
        "\nsteps of a network 64-64-2\nworkers  batch  ms of a step: all_reduce  averaged every 16"
    )
    for n in (1, 2, 4, 8):
        with workers(n) as address:
            for size in (64, 1024):
                ways = ["all_reduce", Averaging(n_parts=max(n, 2), steps=16)]
                took = [in_fresh_process(step_seconds, address, way, size) for way in ways]
                print(f"{n:7} {size:6} {1e3 * took[0]:25.2f} {1e3 * took[1]:18.2f}", flush=True)


TERMS = {
    "round trip, ms": 1e3,
    "a task, ms": 1e3,
    "a level of the tree, ms": 1e3,
    "a MB of states and sums, ms": 1e3,
    "reading a chunk, us": 1e6,
    "reading 10**6 numbers, ms": 1e3,
    "10**6 numbers of a kernel, ms": 1e3,
    "10**6 scores, ms": 1e3,
    "10**9 products, ms": 1e3,
}


def terms(case: Case, n_shards: int) -> list[float]:
    """How often a pass pays each of `TERMS`, where as many workers compute as there are cores."""
    streams = case.cache == "none"
    at_work = min(case.workers, len(os.sched_getaffinity(0)))
    n_tasks = min(max(2 * case.workers, 32) if streams else case.workers, n_shards)
    levels, level = 0, n_tasks
    while level > FAN_IN:
        levels, level = levels + 1, -(-level // FAN_IN)
    state = 8e-6 * case.models * case.p
    return [
        1.0,
        n_tasks,
        levels,
        state * n_tasks + state * (n_tasks if 1e6 * state <= LARGE_STATE else case.workers),
        streams * case.blocks / at_work,
        streams * case.entries / 1e6 / at_work,
        (case.models > 0) * case.entries / 1e6 / at_work,
        case.models * case.blocks * case.rows / 1e6 / at_work,
        2e-9 * case.models * case.entries / at_work,
    ]


def prices_of(design, measured) -> np.ndarray:
    """What each column of a design costs, at least nothing.

    Errors count by their share of what was measured, and large ones for no more than their size.
    """
    shares = np.asarray(design) / np.asarray(measured)[:, None]
    start = 0.1 / shares.max(axis=0)
    options = {"bounds": (0.0, np.inf), "loss": "soft_l1", "f_scale": 0.1, "x_scale": start}
    return least_squares(lambda prices: shares @ prices - 1.0, start, **options).x


def fit(found: dict[Case, Cost]) -> None:
    """Fit the prices of `TERMS` to the quickest passes, and print what they predict.

    Other passes wait for whatever else the machine does.
    """
    design = np.array([terms(case, cost.n_shards) for case, cost in found.items()])
    seconds = np.array([cost.least for cost in found.values()])
    prices = prices_of(design, seconds)
    print("\ncost model")
    for (name, unit), price in zip(TERMS.items(), prices, strict=True):
        print(f"  {name:29} {unit * price:9.3f}")
    errors = design @ prices / seconds
    print(f"  predicted / measured of the fit: {np.median(errors):.2f}, ", end="")
    print(f"{errors.min():.2f} to {errors.max():.2f}")
    once, each = prices_of(design[:, :2], [cost.scheduler for cost in found.values()])
    print(f"  scheduler's processor time: {1e3 * once:.2f} ms, {1e3 * each:.2f} ms a task")
    for case, cost in costs(LEFT_OUT, "sizes left out").items():
        predicted = 1e3 * float(np.dot(terms(case, cost.n_shards), prices))
        print(f"  {case}: predicted {predicted:.1f} ms, measured {1e3 * cost.least:.1f}")


def main(asked: list[str]) -> None:
    names = asked or [*GROUPS, "steps", "fit"]
    unknown = set(names).difference(GROUPS, ["steps", "fit"])
    if unknown:
        raise SystemExit(f"Unknown {sorted(unknown)}: expected some of {[*GROUPS, 'steps', 'fit']}")
    here = os.path.dirname(os.path.abspath(__file__))
    path = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(path)  # for the workers
    found: dict[Case, Cost] = {}
    for name, cases in GROUPS.items():
        if name in names or "fit" in names:
            found |= costs(cases, name)
    if "steps" in names:
        steps()
    if "fit" in names:
        fit(found)


if __name__ == "__main__":
    main(sys.argv[1:])
