"""What rows measure with: time, memory, gradient norm; clusters, progress and pinned threads."""

from __future__ import annotations

import json
import logging
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
from scipy.special import expit

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
HERE = Path(__file__).parent


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(f"  [{time.strftime('%H:%M:%S')}] {text}", flush=True)


def pin_threads(n: int) -> None:
    """Hold this process, and those it starts, to ``n`` threads and cores.

    Variables count for libraries loaded later, so call this before importing NumPy where you can.
    """
    os.environ.update(dict.fromkeys((*THREAD_VARIABLES, "NUMBA_NUM_THREADS"), str(n)))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n])


def timed(call):
    """Seconds that ``call()`` takes, and what it returns."""
    start = time.perf_counter()
    value = call()
    return time.perf_counter() - start, value


@contextmanager
def heartbeat(label: str, every: float = 30.0):
    """Print, from time to time, that a long piece of work still goes on."""
    done, start = threading.Event(), time.perf_counter()

    def beat():
        while not done.wait(every):
            say(f"{label}: {time.perf_counter() - start:.0f} s so far")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def cluster(n_workers: int = 2, memory_limit="8GB", **options):
    """A client of a fresh LocalCluster of single-threaded workers, closed at the end."""
    from distributed import Client, LocalCluster

    made = LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        memory_limit=memory_limit,
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
        **options,
    )
    with made, Client(made) as client:
        client.wait_for_workers(n_workers)
        yield client


def traffic(dask_scheduler=None) -> tuple[float, float]:
    """Bytes that the connections of the scheduler have carried, and its processor time."""
    total = 0
    for connection in psutil.Process().net_connections("tcp"):
        if connection.status == "ESTABLISHED" and connection.fd >= 0:
            with socket.socket(fileno=os.dup(connection.fd)) as copy:
                info = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
            total += sum(struct.unpack_from("QQ", info, 120))  # acknowledged, received
    times = psutil.Process().cpu_times()
    return float(total), times.user + times.system


def gradient_norm(problem, fitted, spread=1.0) -> float:
    """Largest entry of the gradient of the mean objective of a logistic ``problem``.

    ``spread`` (p,) or number: with the columns' spread, the gradient is that of scaled columns.
    """
    X, y = problem.X, problem.y
    residual = expit(X @ fitted.coef + fitted.intercept) - y
    slope = residual @ X / problem.weight
    slope, level = (np.asarray(a) for a in _computed(slope, residual.mean()))
    slope = slope + problem.strength * fitted.coef
    return max(float(np.max(np.abs(slope / spread))), abs(float(level)) * problem.fit_intercept)


def _computed(*parts):
    if hasattr(parts[0], "dask"):
        import dask

        return dask.compute(*parts)
    return parts


def peak_memory(folder, library: str, **options) -> float:
    """Peak resident MB of a fresh process that loads ``folder/X.npy`` and fits it."""
    command = [sys.executable, str(HERE / "peak.py"), str(folder), library, json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    return float(done.stdout.split()[-1])


class MemoryWatch:
    """Samples the memory of processes from a thread of this one while its block runs.

    ``rss`` and ``uss`` are the peaks over all samples of the largest process, in GB: all resident
    pages, and those that no other process shares (pages of files that two map count in ``rss``
    alone). ``uss`` is sampled less often: to count it, the system holds the process's memory map.
    """

    USS_EVERY = 20

    def __init__(self, pids, every: float = 0.05):
        self._processes = [psutil.Process(pid) for pid in pids]
        self._every = every
        self._done = threading.Event()
        self.rss = self.uss = 0.0

    def __enter__(self):
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()

    def _watch(self):
        turn = 0
        while not self._done.wait(self._every):
            turn += 1
            for process in self._processes:
                try:
                    self.rss = max(self.rss, process.memory_info().rss / 1e9)
                    if turn % self.USS_EVERY == 0:
                        self.uss = max(self.uss, process.memory_full_info().uss / 1e9)
                except psutil.NoSuchProcess:
                    continue
