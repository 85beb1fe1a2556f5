"""Networks on a LocalCluster: against one process, and on images that do not fit in memory."""

from __future__ import annotations

import os
import statistics
import tempfile
import warnings
from functools import partial
from typing import NamedTuple

import dask.array as da
import numpy as np

from daskdsml.neural_network import CNNClassifier, MLPClassifier
from measure import MemoryWatch, cluster, say, timed
from report import Line, judge
from rows.net_data import SIDE, images, scaled

WORKERS, LIMIT, BATCH = 2, "1GB", 128
CLOSE = 1e-6
# Dask holds a worker back above this share of its limit.
RATIO, MEMORY = 1.2, 0.8
ROWS_PER_CHUNK, BYTES = 4000, 4e9
# A part of the rows that stays in the workers' memory, and how often it is gone through.
PART, TURNS = 16, 3
MODELS = {
    "MLP 784-128-10": partial(MLPClassifier, (128,), tol=None),
    "CNN 16-32 filters 3x3, 2x2 pooling": partial(CNNClassifier, (16, 32)),
}


def net_allreduce(setup) -> list[Line]:
    """Loss curves of the same global batches on two workers and in one process."""
    # Chunks of a megabyte and more are not joined: both workers have some.
    X, y = _made(setup.size(6400, 2000), 400)
    common = {"dtype": "float64", "max_iter": 4, "batch_size": BATCH, "backend": "numba"}
    models = {
        "MLP 784-64(bn)-10, dropout": MLPClassifier(
            (64,), tol=None, batch_norm=True, dropout=0.2, **common
        ),
        "CNN 8-16 filters, batch norm": CNNClassifier((8, 16), batch_norm=True, **common),
    }
    alone = {name: _curve(model, X, y) for name, model in models.items()}
    with cluster(WORKERS):
        spread = {name: _curve(model, X, y) for name, model in models.items()}
    return [_compared(name, alone[name], spread[name]) for name in models]


def _curve(model, X, y) -> tuple:
    """Losses of the epochs and, in one vector, all weights at the end."""
    _fit(model, _shaped(model, X), y)
    weights = [array.ravel() for layer in model.weights_ for array in layer.values()]
    return np.array(model.loss_curve_), np.concatenate(weights)


def _compared(name, alone, spread) -> Line:
    loss = float(np.max(np.abs(spread[0] / alone[0] - 1.0)))
    weights = float(np.max(np.abs(spread[1] - alone[1])))
    curve = ", ".join(f"{value:.6f}" for value in alone[0])
    return Line(
        f"loss curve of {name}, float64: {WORKERS} workers against one process, same batches",
        f"{CLOSE:g} relative",
        f"{loss:.1e}",
        judge(loss <= CLOSE),
        f"largest of {len(alone[0])} epochs ({curve}); weights differ by {weights:.1e} at most",
    )


class Epochs(NamedTuple):
    """Seconds of an epoch from disk, from memory, in one process; peak GB; what was learnt."""

    disk: float
    memory: float
    alone: float
    rss: float
    loss: float
    score: float


def net_images(setup) -> list[Line]:
    """An epoch over 4 GB of images on disk, on two workers of 1 GB."""
    n = setup.size(int(BYTES / (4 * SIDE * SIDE)), 4000)
    with tempfile.TemporaryDirectory(prefix="daskdsml-bench-") as folder:
        with cluster(WORKERS, LIMIT):
            seconds, _ = timed(partial(_write, folder, n, min(ROWS_PER_CHUNK, n // 16)))
        say(f"wrote {n:,} images in {seconds:.0f} s")
        with cluster(WORKERS, LIMIT) as client:
            X, y = (da.from_zarr(f"{folder}/{part}") for part in "Xy")
            read = statistics.median(timed(partial(_read, X))[0] for _ in range(3))
            say(f"reading takes {read:.1f} s")
            pids = list(client.run(os.getpid).values())
            lines = []
            for name, make in MODELS.items():
                lines += _judged(name, _epochs(make, X, y, pids), read, X.nbytes)
    return lines


def _made(n, rows):
    """Images (n, 1, 28, 28) float32 and labels (n,) as Dask Arrays."""
    chunks = da.core.normalize_chunks((rows,), (n,))
    shape = (*chunks, (1,), (SIDE,), (SIDE,))
    X = da.map_blocks(_block, 0, chunks=shape, dtype=np.float32, meta=np.empty((0,) * 4, "f4"))
    y = da.map_blocks(_block, 1, chunks=chunks, dtype=np.int64, meta=np.empty(0, np.int64))
    return X, y


def _block(part, block_info=None):
    place = block_info[None]
    X, y = images(place["chunk-shape"][0], place["chunk-location"][0])
    return y if part else scaled(X)[:, None]


def _write(folder, n, rows) -> None:
    """As Zarr, not compressed: the files have as many bytes as the arrays."""
    import zarr

    for part, array in zip("Xy", _made(n, rows), strict=True):
        store = zarr.create_array(
            f"{folder}/{part}",
            shape=array.shape,
            chunks=array.chunksize,
            dtype=array.dtype,
            compressors=None,
        )
        da.store(array, store, lock=False)
    os.sync()


def _read(X) -> None:
    """Read each chunk as a Dask task of its own and do nothing with it."""
    X.map_blocks(
        _count, drop_axis=(1, 2, 3), dtype=np.int64, meta=np.empty(0, np.int64)
    ).sum().compute()


def _count(block):
    return np.array([len(block)])


def _epochs(make, X, y, pids) -> Epochs:
    X = _shaped(make(), X)
    common = {"batch_size": BATCH, "backend": "numba"}
    part = len(X) // PART // X.chunksize[0] * X.chunksize[0] or X.chunksize[0]
    # What this compiles is there for the epoch from disk.
    model = make(cache="memory", max_iter=TURNS, **common)
    memory = _extrapolated(model, X[:part], y[:part], len(X))
    few = (array[: part // 4].compute() for array in (X, y))
    alone = _extrapolated(make(max_iter=TURNS, **common), *few, len(X))
    cache = "auto" if X.nbytes > 2e9 else "none"
    model = make(cache=cache, max_iter=1, pool_bytes=min(2**28, X.nbytes // 8), **common)
    with MemoryWatch(pids) as watch:
        _fit(model, X, y)
    unseen, labels = images(10_000, 0, unseen=True)
    score = model.score(_shaped(model, scaled(unseen)), labels)
    say(f"{model}: {model.history_}, from memory {memory:.1f} s, accuracy {score:.4f}")
    return Epochs(model.history_[0].seconds, memory, alone, watch.rss, model.loss_, score)


def _extrapolated(model, X, y, n) -> float:
    """Seconds of an epoch over n rows like these, which stay in memory after the first."""
    _fit(model, X, y)
    return statistics.median(record.seconds for record in model.history_[1:]) * n / len(X)


def _judged(name, found, read, n_bytes) -> list[Line]:
    what = f"{n_bytes / 1e9:.2g} GB of 28x28 images on disk, {WORKERS} workers of {LIMIT}: {name}"
    ratio = found.disk / max(found.memory, read)
    return [
        Line(
            f"{what}, seconds of an epoch",
            f"{RATIO:g} x the larger of reading and an epoch from memory",
            f"{ratio:.2f}x",
            judge(ratio <= RATIO),
            f"{found.disk:.1f} s; from memory {found.memory:.1f} s (a {PART}th of the rows, times "
            f"{PART}), in one process {found.alone:.1f} s; reading by plain Dask tasks "
            f"{read:.1f} s, the page cache warm; mean loss {found.loss:.4f}, accuracy on "
            f"10,000 images of other digits {found.score:.4f}",
        ),
        Line(
            f"{what}, peak memory of a worker",
            f"{MEMORY:g} GB",
            f"{found.rss:.2f} GB",
            judge(found.rss <= MEMORY),
            "resident memory of the largest worker, sampled every 50 ms",
        ),
    ]


def _shaped(model, X):
    """Images as rows that the model takes."""
    shape = (SIDE * SIDE,) if isinstance(model, MLPClassifier) else (1, SIDE, SIDE)
    return X.reshape(len(X), *shape)


def _fit(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y)
