"""Fits of all estimators and strategies, in each of which a worker is killed at a random moment.

Run ``python benchmarks/kills.py [fits [seed [text]]]``; of the kinds of fits those are made whose
name has the text. Each line is a fit on three workers: its seconds without a kill, when a worker
was killed, how many times as long it took then, and whether its parameters have the same bits. With
staleness these depend on who is faster: then the change of the loss is told.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import itertools  # noqa: E402
import logging  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from typing import Any, NamedTuple  # noqa: E402

import dask.array as da  # noqa: E402
import numpy as np  # noqa: E402
from distributed import Client, LocalCluster  # noqa: E402
from sklearn.base import clone  # noqa: E402

from daskdsml import linear_model as lm  # noqa: E402
from daskdsml.engine import memory  # noqa: E402
from daskdsml.feature_selection import ForwardStepwiseSelector  # noqa: E402
from daskdsml.neural_network import CNNClassifier, MLPClassifier, RNNClassifier  # noqa: E402
from daskdsml.strategies import ADMM, Averaging, ParameterServer  # noqa: E402

N_WORKERS, SIDE = 3, 8
NETS: dict[str, Any] = {"batch_size": 256, "max_iter": 3, "tol": None}
STREAMED = {"cache": "none"}


class Case(NamedTuple):
    """A kind of fit: of a ``table``, tall or wide, ``images`` or ``sequences``."""

    name: str
    model: Any
    data: str = "tall"


def chunk_of(shape, block_info=None):
    """Numbers of a chunk, made where it is read, which takes a moment."""
    time.sleep(0.05)
    chunk = block_info[None]["chunk-location"]
    return np.random.default_rng(chunk).normal(size=shape).astype(np.float32)


def laid_out(shape, n_chunks):
    """X of so many chunks along each axis."""
    chunks = tuple((length // k,) * k for length, k in zip(shape, n_chunks, strict=True))
    meta = np.empty((0,) * len(shape), np.float32)
    one = tuple(lengths[0] for lengths in chunks)
    return da.map_blocks(chunk_of, one, chunks=chunks, dtype=np.float32, meta=meta)


def data() -> dict:
    """X and y of each kind."""
    n, p = 60_000, SIDE * SIDE
    X = {
        "tall": laid_out((n, p), (60, 1)),
        "wide": laid_out((400, 60_000), (1, 60)),
        "images": laid_out((n // 3, 1, SIDE, SIDE), (20, 1, 1, 1)),
        "sequences": laid_out((n // 3, SIDE, SIDE), (20, 1, 1)),
    }
    weights, rng = np.linspace(1.0, -1.0, SIDE), np.random.default_rng(0)
    made = {}
    for kind, part in X.items():
        first = np.asarray(part[(slice(None), *(0,) * (part.ndim - 2), slice(SIDE))])
        y = (first @ weights + rng.logistic(size=len(first)) > 0).astype(int)
        made[kind] = part, da.from_array(y, chunks=part.chunks[0])
    return made


def cases() -> Iterator[Case]:
    """Every estimator, and every strategy that it takes."""
    yield Case("LinearRegression", lm.LinearRegression(**STREAMED))
    yield Case("Ridge, L-BFGS", lm.Ridge(solver="lbfgs", **STREAMED))
    yield Case("RidgeCV", lm.RidgeCV(cv=3))
    yield Case("Lasso", lm.Lasso(0.01, solver="working_set", **STREAMED))
    yield Case("LassoCV", lm.LassoCV())
    yield Case("Lasso, columns", lm.Lasso(0.05), "wide")
    yield Case("LogisticRegression", lm.LogisticRegression(solver="lbfgs", **STREAMED))
    yield Case("LogisticRegression, kept", lm.LogisticRegression())
    yield Case("LogisticRegression, L1", lm.LogisticRegression(C=0.001, l1_ratio=1.0))
    yield Case("LogisticRegression, columns", lm.LogisticRegression(C=0.1, l1_ratio=1.0), "wide")
    yield Case("LogisticRegression, ADMM", lm.LogisticRegression(strategy=ADMM()))
    yield Case("LogisticRegressionCV", lm.LogisticRegressionCV(Cs=4, cv=3))
    yield Case("PoissonRegressor", lm.PoissonRegressor(**STREAMED))
    yield Case("HuberRegressor", lm.HuberRegressor())
    yield Case("SGDClassifier", lm.SGDClassifier(max_iter=3, tol=None))
    averaged = {"max_iter": 3, "tol": None, "strategy": Averaging(3, "auto")}
    yield Case("SGDClassifier, averaging", lm.SGDClassifier(**averaged))
    yield Case("ForwardStepwiseSelector", ForwardStepwiseSelector(n_features_to_select=5))
    for strategy in ("all_reduce", Averaging(3), ParameterServer(), ParameterServer(4, 2)):
        named = {"strategy": strategy, **NETS}
        yield Case(f"MLPClassifier, {strategy}", MLPClassifier(**named))
        yield Case(f"CNNClassifier, {strategy}", CNNClassifier((4, 8), **named), "images")
    small = {"pool_bytes": 2**22, **STREAMED, **NETS}
    yield Case("MLPClassifier, streamed", MLPClassifier(**small))
    yield Case("MLPClassifier, columns", MLPClassifier(strategy="columns", **NETS), "wide")
    yield Case("RNNClassifier", RNNClassifier(units=16, **NETS), "sequences")


def parameters(model) -> np.ndarray:
    """All that a model has learnt, in one vector."""
    if hasattr(model, "weights_"):
        return np.concatenate([np.ravel(a) for layer in model.weights_ for a in layer.values()])
    if hasattr(model, "support_"):
        return model.support_
    return np.append(np.ravel(model.coef_), np.ravel(model.intercept_))


def fitted(case: Case, X, y) -> tuple[Any, float]:
    """A fit of a case, and its seconds."""
    model, begun = clone(case.model), time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)
    return model, time.perf_counter() - begun


@contextmanager
def workers():
    """A cluster for one fit: one that has lost a worker before may be short of it."""
    with (
        LocalCluster(
            n_workers=N_WORKERS, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(__import__, "daskdsml.neural_network")
        yield cluster


def alone(case: Case, X, y) -> tuple[Any, float]:
    """A fit without a kill, made after one that has compiled what is to be."""
    with workers():
        fitted(case, X, y)
        return fitted(case, X, y)


def killed(case: Case, X, y, seconds: float, rng) -> tuple[Any, float, float]:
    """A fit in which a worker is killed at a random moment of its ``seconds``."""
    while True:
        moment, victim = rng.uniform(0.0, seconds), rng.integers(N_WORKERS)
        with workers() as cluster:
            pid = list(cluster.workers.values())[victim].pid
            timer = threading.Timer(moment, os.kill, (pid, signal.SIGKILL))
            timer.start()
            model, slower = fitted(case, X, y)
            if slower > moment:
                return model, slower, moment
            timer.cancel()


def told(case: Case, model, reference) -> tuple[bool, str]:
    """Whether the result is right, and how it is told."""
    if not getattr(model, "reproducible_", True):
        change = model.loss_ - reference.loss_
        return abs(change) < 0.05 * reference.loss_, f"loss {change:+.1e}"
    mine, theirs = parameters(model), parameters(reference)
    if mine.tobytes() == theirs.tobytes():
        return True, "same bits"
    return False, f"off by {np.abs(mine - theirs).max():.1e}"


def main(n_fits: int, seed: int, text: str) -> None:
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    memory.MIN_CLUSTER_BYTES = 0
    rng, kinds, tables = np.random.default_rng(seed), [*cases()], data()
    kinds = [case for case in kinds if text in case.name]
    references: dict[str, tuple] = {}
    right, ratios = 0, []
    for case in itertools.islice(itertools.cycle(kinds), n_fits):
        X, y = tables[case.data]
        if case.name not in references:
            references[case.name] = alone(case, X, y)
        reference, seconds = references[case.name]
        model, slower, moment = killed(case, X, y, seconds, rng)
        good, how = told(case, model, reference)
        right, ratios = right + good, [*ratios, slower / seconds]
        print(f"{case.name:45.45} {seconds:6.2f} s  killed at {moment:5.2f} s ", end="")
        print(f"{slower / seconds:5.2f}x {slower - seconds:+6.2f} s  {how}", flush=True)
    print(f"{right} of {len(ratios)} right; slower by {np.median(ratios):.2f}x, at most ", end="")
    print(f"{max(ratios):.2f}x")


if __name__ == "__main__":
    given = [kind(text) for kind, text in zip((int, int, str), sys.argv[1:], strict=False)]
    main(*given, *(50, 0, "")[len(given) :])
