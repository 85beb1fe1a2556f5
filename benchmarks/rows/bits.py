"""The same bits, wherever and however the blocks of one collection are worked on."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import dask
import dask.array as da
import numpy as np

from daskdsml.linear_model import LinearRegression, LogisticRegression, Ridge
from data import dask_table
from measure import cluster, say
from report import INFO, Line, judge

BLOCKS = 23


def same_bits(setup) -> list[Line]:
    """Fits of one table on every kind of scheduler, compared byte by byte."""
    n, p = setup.size(400_000, 5000), 50
    found: dict[str, dict[str, bytes]] = {}
    with tempfile.TemporaryDirectory(prefix="daskdsml-bench-") as folder:
        X, y = dask_table(n, p, BLOCKS, rho=0.5)
        with dask.config.set(scheduler="threads"):
            da.to_npy_stack(f"{folder}/X", X)
            da.to_npy_stack(f"{folder}/y", y)
        X, y = da.from_npy_stack(f"{folder}/X"), da.from_npy_stack(f"{folder}/y")
        for place, bits in _everywhere(X, y):
            say(place)
            for model, value in bits.items():
                found.setdefault(model, {})[place] = value
    lines = [_line(model, places, n, p) for model, places in found.items()]
    places = "; ".join(next(iter(found.values())))
    return [*lines, Line("... the places", "-", "see detail", INFO, places)]


def _line(model, places, n, p) -> Line:
    kinds = {}
    for place, value in places.items():
        kinds.setdefault(value, []).append(place)
    groups = " / ".join("; ".join(group) for group in kinds.values()) if len(kinds) > 1 else ""
    return Line(
        f"same bits of {model}, {n:,} x {p} in {BLOCKS} blocks, over {len(places)} places",
        "identical `coef_.tobytes()`",
        "identical" if len(kinds) == 1 else f"{len(kinds)} different",
        judge(len(kinds) == 1),
        groups,
    )


def _everywhere(X, y) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Name of each place and the bits of each model there."""
    for scheduler in ("synchronous", "threads"):
        for cache in ("none", "memory"):
            with dask.config.set(scheduler=scheduler, num_workers=3):
                yield f"{scheduler}, {_word(cache)}", _bits(X, y, cache)
    # Dask would start new processes at each pass; with a pool of our own they are started once.
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        with dask.config.set(scheduler="processes", pool=pool):
            yield "processes, streamed", _bits(X, y, "none")
    for n_workers in (1, 2, 3):
        with cluster(n_workers, memory_limit="4GB") as client:
            where = f"{n_workers} worker process{'es' * (n_workers > 1)}"
            for cache in ("none", "memory"):
                yield f"{where}, {_word(cache)}", _bits(X, y, cache)
            yield f"{where}, persisted", _bits(*client.persist([X, y]), "auto")
    with cluster(1, processes=False, memory_limit="4GB"):
        yield "1 worker in this process, streamed", _bits(X, y, "none")


def _word(cache) -> str:
    return {"none": "streamed", "memory": "in memory"}[cache]


def _bits(X, y, cache) -> dict[str, bytes]:
    """Bytes of coefficients and intercept of each model."""
    out = {}
    for backend in ("numpy", "numba"):
        for make in MODELS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = make(cache=cache, backend=backend).fit(X, y)
            name = f"{type(model).__name__} {model.solver_}, {backend}"
            out[name] = model.coef_.tobytes() + np.asarray(model.intercept_).tobytes()
    return out


def _lbfgs(**options):
    return LogisticRegression(solver="lbfgs", max_iter=15, **options)


MODELS: tuple[Callable, ...] = (LinearRegression, Ridge, LogisticRegression, _lbfgs)
