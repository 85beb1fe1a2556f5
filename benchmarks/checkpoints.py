"""Fits that are killed, by ``kill -9`` at random moments, against fits that nobody ends.

Run ``python benchmarks/checkpoints.py [kills]``. Each line is a model on threads of its process or
on a cluster of two workers: seconds of the whole fit, how often it was killed, the seconds of work
of all its processes together, and whether it ended in the same bits.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CHUNKS, CHUNK, COLUMNS = 48, 4000, 20
# What it takes to read a chunk of a sweep over all rows, and how often checkpoints are written.
READ_SECONDS, SECONDS = 0.03, 0.2
CASES = ("newton", "lbfgs", "sgd", "network", "averaging")
PLACES = ("threads", "cluster")
# Seconds from the begin of a fit to its end by force, at most.
LATEST = 4.0


def chunk(block_info=None):
    """The numbers of a chunk, drawn anew each time it is read."""
    time.sleep(READ_SECONDS)
    number = block_info[None]["chunk-location"][0]
    rng = np.random.default_rng(number)
    X = rng.normal(size=(CHUNK, COLUMNS + 1))
    X[:, -1] = X[:, :-1] @ np.linspace(-1, 1, COLUMNS) + rng.logistic(size=CHUNK) > 0
    return X


def data():
    """X and y whose chunks take a while to be read."""
    import dask.array as da

    sizes = ((CHUNK,) * CHUNKS, (COLUMNS + 1,))
    whole = da.map_blocks(chunk, chunks=sizes, meta=np.empty((0, 0)))
    return whole[:, :-1], whole[:, -1].astype(np.int64)


def model(case: str, **settings):
    """The estimator of a line."""
    from daskdsml.linear_model import LogisticRegression, SGDClassifier
    from daskdsml.neural_network import MLPClassifier
    from daskdsml.strategies import Averaging

    if case in ("newton", "lbfgs"):
        return LogisticRegression(solver=case, tol=1e-9, cache="none", **settings)
    if case == "sgd":
        return SGDClassifier(loss="log_loss", max_iter=6, tol=None, cache="none", **settings)
    strategy = Averaging(2, 8) if case == "averaging" else "auto"
    options = {"max_iter": 5, "tol": None, "batch_size": 1000, "batch_norm": True, "dropout": 0.1}
    return MLPClassifier((32, 16), strategy=strategy, **options, **settings)


def fitted(case: str, address: str, path: str) -> None:
    """Fit, and print what was learned: a digest."""
    from dask.distributed import Client

    from daskdsml import Checkpoint

    client = Client(address) if address != "-" else None
    X, y = data()
    estimator = model(case, checkpoint=None if path == "-" else Checkpoint(path, SECONDS))
    print("begin", flush=True)
    begun = time.perf_counter()
    estimator.fit(X, y)
    print("end", digest(estimator), time.perf_counter() - begun, flush=True)
    if client is not None:
        client.close()


def digest(estimator) -> str:
    """Parameters, counts, and the lengths of histories."""
    arrays = [
        getattr(estimator, name) for name in ("coef_", "intercept_") if name in dir(estimator)
    ]
    arrays += [array for layer in getattr(estimator, "weights_", ()) for array in layer.values()]
    arrays += [estimator.n_iter_, len(estimator.history_), getattr(estimator, "n_passes_", 0)]
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def started(case: str, address: str, path: str):
    """A process that fits, and has begun to."""
    command = [sys.executable, __file__, "fit", case, address, path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("begin"):
            return process
    raise RuntimeError(f"The fit of {case} did not begin: see above.")


def ended(process) -> tuple[str, float]:
    """The digest and seconds that a process prints at its end."""
    words = process.stdout.read().split()
    if process.wait() or words[:1] != ["end"]:
        raise RuntimeError("The fit failed: see above.")
    return words[1], float(words[2])


def killed(case: str, address: str, path: str, rng, most: int) -> tuple[str, int, float]:
    """Digest of a fit that is killed up to ``most`` times, how often it was, and its seconds."""
    kills, seconds = 0, 0.0
    while True:
        process, begun = started(case, address, path), time.perf_counter()
        if kills < most:
            try:
                process.wait(rng.uniform(0.1, LATEST))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills, seconds = kills + 1, seconds + time.perf_counter() - begun
                continue
        found, own = ended(process)
        return found, kills, seconds + own


def main(n_kills: int) -> None:
    from distributed import LocalCluster

    rng, all_kills, wrong = np.random.default_rng(0), 0, 0
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        tempfile.TemporaryDirectory() as folder,
    ):
        print("model      place      whole  kills  in all  same bits", flush=True)
        for case in CASES:
            for place in PLACES:
                address = cluster.scheduler_address if place == "cluster" else "-"
                expected, whole = ended(started(case, address, "-"))
                path, kills, seconds, same = str(Path(folder) / f"{case}-{place}"), 0, 0.0, True
                while kills < n_kills:
                    found, own, took = killed(case, address, path, rng, n_kills - kills)
                    kills, seconds, same = kills + own, seconds + took, same and found == expected
                    if os.path.exists(path):
                        raise RuntimeError(f"{path} is left by a fit that is over.")
                line = f"{case:10} {place:8} {whole:7.1f} {kills:6d} {seconds:7.1f}  {same}"
                print(line, flush=True)
                all_kills, wrong = all_kills + kills, wrong + (not same)
    print(f"{all_kills} kills, {wrong} fits with other bits")


if __name__ == "__main__":
    if sys.argv[1:2] == ["fit"]:
        fitted(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
