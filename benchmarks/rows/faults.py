"""A worker process killed at a random moment of a fit, again and again."""

from __future__ import annotations

import os
import signal
import statistics
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

import numpy as np

from daskdsml.linear_model import LogisticRegression
from data import dask_table, logistic_table
from measure import cluster, say, timed
from report import Line, judge

KILLS, SLOWEST = 10, 3.0
BLOCKS, COLUMNS = 64, 100


class Scene(NamedTuple):
    """Where the data of a fit lie: how to make X and y and what the estimator is told."""

    name: str
    make: Callable
    kills: int
    options: dict


class Trial(NamedTuple):
    """What came of a kill: after how many seconds, how long the fit took, what it gave."""

    moment: float
    seconds: float
    bits: bytes | None
    error: str


def killed_worker(setup) -> list[Line]:
    """20 kills: 10 with data in memory (5 made by recipe, 5 sent by the client), 10 streamed."""
    kills = KILLS if setup.scale >= 0.1 else 4
    n = setup.size(1_000_000, 20_000)
    # Reads are slowed so that a fit lasts long enough to be hit anywhere; data in memory are read
    # once and then passed over many times, streamed data are read in each of a few passes.
    read_once, read_often = (0.15, 0.05) if setup.scale >= 0.1 else (0.02, 0.02)
    many = {"solver": "lbfgs", "max_iter": max(int(60 * min(setup.scale, 1.0)), 15), "tol": 0.0}
    scenes = (
        Scene("in memory, by recipe", partial(_slow_table, n, read_once), kills - kills // 2,
              {**many, "cache": "memory"}),
        Scene("in memory, sent by the client", partial(logistic_table, max(n, 200_000), COLUMNS),
              kills // 2, {**many, "cache": "memory"}),
        Scene("streamed", partial(_slow_table, n, read_often), kills, {"cache": "none"}),
    )  # fmt: skip
    return [_play(scene, np.random.default_rng(i)) for i, scene in enumerate(scenes)]


def _slow_table(n, pause):
    X, y = dask_table(n, COLUMNS, BLOCKS, rho=0.9)
    return X.map_blocks(partial(_paused, pause=pause), dtype=float, meta=np.empty((0, 0))), y


def _paused(block, pause):
    time.sleep(pause)
    return block


def _play(scene, rng) -> Line:
    """Fit undisturbed three times, then once per kill."""
    trials = []
    with ExitStack() as stack:
        client = stack.enter_context(cluster(2, "4GB"))
        X, y = scene.make()
        fit = partial(_fit, scene.options)
        fit(X, y)
        usual = [timed(partial(fit, X, y)) for _ in range(3)]
        median = statistics.median(seconds for seconds, _ in usual)
        say(f"{scene.name}: undisturbed {median:.1f} s")
        for k in range(scene.kills):
            trial = _one(client, partial(fit, X, y), rng.uniform(0.02, 0.95) * median, median)
            say(f"{scene.name}: kill {k + 1} of {scene.kills}: {_story(trial, usual, median)}")
            trials.append(trial)
            if trial.error == HANG or not _recovered(client):
                stack.close()
                client = stack.enter_context(cluster(2, "4GB"))
    return _line(scene, trials, usual, median)


def _fit(options, X, y) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(backend="numba", **options).fit(X, y)
    return model.coef_.tobytes() + model.intercept_.tobytes()


def _recovered(client) -> bool:
    """Whether the cluster has two workers again, settled enough to be killed.

    A worker killed while Dask's nanny is still starting it is not started again.
    """
    try:
        client.wait_for_workers(2, timeout=30)
    except TimeoutError:
        say("Dask did not start the worker again: taking a new cluster")
        return False
    time.sleep(2.0)
    return True


HANG = "hung"


def _one(client, fit, moment, median) -> Trial:
    """Start a fit, kill a worker after ``moment`` seconds, wait for what comes."""
    pids = sorted(client.run(os.getpid).values())
    out = {}
    thread = threading.Thread(target=_into, args=(out, fit), daemon=True)
    start = time.perf_counter()
    thread.start()
    thread.join(moment)
    os.kill(pids[int(moment * 1e6) % len(pids)], signal.SIGKILL)
    thread.join(10.0 * median + 60.0)
    seconds = out.get("end", time.perf_counter()) - start
    error = out.get("error", "") if "end" in out else HANG
    return Trial(moment, seconds, out.get("bits"), error)


def _into(out, fit) -> None:
    try:
        out["bits"] = fit()
    except BaseException as error:
        out["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    out["end"] = time.perf_counter()


def _story(trial, usual, median) -> str:
    if trial.error:
        return f"after {trial.moment:.1f} s: {trial.error}"
    same = "same bits" if trial.bits == usual[0][1] else "OTHER BITS"
    times = f"{trial.seconds:.1f} s ({trial.seconds / median:.2f}x)"
    return f"after {trial.moment:.1f} s: {same}, {times}"


def _line(scene, trials, usual, median) -> Line:
    bits = {value for _, value in usual}
    finished = [t for t in trials if not t.error]
    same = sum(t.bits in bits for t in finished) if len(bits) == 1 else 0
    hung = sum(t.error == HANG for t in trials)
    slowest = max((t.seconds for t in finished), default=np.inf) / median
    good = len(finished) == same == len(trials) and slowest <= SLOWEST
    errors = sorted({t.error for t in trials if t.error})
    n = len(trials)
    return Line(
        f"a worker killed at a random moment, data {scene.name}, {n} times",
        f"{n} finish, same bits, none hangs, none slower than {SLOWEST:g}x",
        f"{len(finished)} finish, {same} same bits, {hung} hang, slowest {slowest:.2f}x",
        judge(good),
        f"undisturbed {median:.1f} s; moments "
        + ", ".join(f"{t.moment:.1f}" for t in trials)
        + f" s{'; ' + '; '.join(errors) if errors else ''}",
    )
