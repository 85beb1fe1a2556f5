"""Data in the memory of a LocalCluster: against dask-ml, and a pass over many small blocks."""

from __future__ import annotations

import statistics
import warnings
from functools import partial

import dask
import dask.array as da
import numpy as np
from scipy.special import expit

from daskdsml.backends.numba import Numba
from daskdsml.data.validation import validate_dataset
from daskdsml.engine.full.rows import open_rows
from daskdsml.losses.logistic import Logistic
from daskdsml.passes.gradient import GradientRequest, gradient
from data import dask_table
from libraries import Problem, load
from measure import cluster, gradient_norm, heartbeat, say, timed
from report import INFO, SKIPPED, Line, judge

TARGETS = {"newton": 5.0, "lbfgs": 10.0, "admm": 200.0}
BLOCKS = 32


def dask_ml(setup) -> list[Line]:
    """Ours against dask-ml's newton and lbfgs on the same persisted data."""
    return _against_dask_ml(setup, ("newton", "lbfgs"))


def dask_ml_admm(setup) -> list[Line]:
    """Ours against dask-ml's default solver, which takes minutes."""
    if not setup.slow:
        return [Line("dask-ml admm", "200x faster", "-", SKIPPED, "--skip-slow")]
    return _against_dask_ml(setup, ("admm",))


def _against_dask_ml(setup, solvers) -> list[Line]:
    adapter, reason = load("dask_ml")
    if adapter is None:
        return [Line(f"dask-ml {', '.join(solvers)}", "-", "-", SKIPPED, reason)]
    n, p = setup.size(500_000, 5000), 100
    with cluster() as client:
        X, y = client.persist(list(dask_table(n, p, BLOCKS)))
        say(f"data on the workers: {X.nbytes / 1e6:.0f} MB in {BLOCKS} blocks")
        return [_against(adapter, solver, X, y, setup.repeats) for solver in solvers]


def _against(adapter, solver, X, y, repeats) -> Line:
    n, p = X.shape
    # dask-ml's newton has no penalty, so neither has ours in that comparison.
    problem = Problem(X, y, strength=0.0 if solver == "newton" else 1.0 / n)
    what = f"logistic, {n:,} x {p} on 2 workers, against dask-ml {solver}"
    target = f"{TARGETS[solver]:g}x faster"
    ours, _ = load("ours")
    ours.fit(problem)
    times = [timed(partial(ours.fit, problem)) for _ in range(repeats)]
    seconds = statistics.median(t for t, _ in times)
    mine = f"ours {seconds:.2f} s, gradient {gradient_norm(problem, times[0][1]):.1e}"
    say(mine)
    try:
        with heartbeat(f"dask-ml {solver}"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs, fitted = timed(partial(adapter.fit, problem, solver=solver))
    except Exception as error:
        detail = f"{mine}; dask-ml raised {type(error).__name__}: {str(error)[:200]}"
        return Line(what, target, "dask-ml failed", INFO, detail)
    ratio = theirs / seconds
    detail = f"{mine}; dask-ml {theirs:.2f} s, gradient {gradient_norm(problem, fitted):.1e}"
    return Line(what, target, f"{ratio:.0f}x", judge(ratio >= TARGETS[solver]), detail)


def cluster_1024(setup) -> list[Line]:
    """One gradient pass over 1,024 blocks of 100 x 20 that workers hold."""
    n_blocks, p = setup.size(1024, 16), 20
    at = GradientRequest(Numba(), Logistic(), np.full((1, 1, p), 0.1), np.zeros((1, 1)))
    with cluster() as client:
        X, y = dask_table(100 * n_blocks, p, n_blocks)
        made = _passes(at, X, y)
        X, y = client.persist([X, y])
        persisted = _passes(at, X, y)
        say(f"made by recipe {made * 1e3:.1f} ms, persisted {persisted * 1e3:.1f} ms")
        plain = statistics.median(timed(partial(_one_task_per_block, X, y))[0] for _ in range(3))
    slower = max(made, persisted) * 1e3
    return [
        Line(
            f"one gradient pass over {n_blocks:,} in-memory blocks of 100 x {p}, 2 workers",
            "30 ms median",
            f"{slower:.1f} ms",
            judge(slower <= 30.0),
            f"medians of 30: blocks made by recipe {made * 1e3:.1f} ms, persisted before "
            f"{persisted * 1e3:.1f} ms; one task per block {plain * 1e3:,.0f} ms (median of 3)",
        )
    ]


def _passes(at, X, y) -> float:
    """Median seconds of 30 gradient passes over rows that stay in the workers' memory."""
    rows = open_rows(validate_dataset(X, y, labels=True), cache="memory")
    try:
        for _ in range(2):
            rows.run(gradient, at, "gradient")
        return statistics.median(
            timed(lambda: rows.run(gradient, at, "gradient"))[0] for _ in range(30)
        )
    finally:
        rows.close()


def _one_task_per_block(X, y):
    """The same sum as a Dask user would write it."""
    make = partial(_block_gradient, coef=np.full(X.shape[1], 0.1))
    chunks = ((1,) * X.numblocks[0], (X.shape[1],))
    parts = da.map_blocks(make, X, y[:, None], chunks=chunks, dtype=float, meta=np.empty((0, 0)))
    return dask.compute(parts.sum(axis=0))[0]


def _block_gradient(X, y, coef):
    return ((expit(X @ coef) - y[:, 0]) @ X)[None]
