"""Data on disk, eight times the workers' memory: time against bare reads, peak memory, passes."""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import warnings
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import dask
import dask.array as da
import numpy as np
import psutil

from daskdsml.data.validation import validate_dataset
from daskdsml.engine.full.rows import open_rows
from daskdsml.linear_model import LinearRegression, LogisticRegression, Ridge
from data import dask_table, labels_of
from measure import MemoryWatch, cluster, say, timed
from report import INFO, Line, judge

MODELS = {
    "OLS": (partial(LinearRegression), 1),
    "ridge": (partial(Ridge), 1),
    "logistic": (partial(LogisticRegression), 4),
}
WORKERS, LIMIT, RATIO, MEMORY = 2, "1GB", 1.3, 0.6
ROWS_PER_BLOCK = 40_000


class Count(NamedTuple):
    """Number of rows: what a pass that does nothing adds up."""

    n_rows: int

    def __add__(self, other: Count) -> Count:
        return Count(self.n_rows + other.n_rows)


class Fit(NamedTuple):
    """One fit: its seconds, the peaks of a worker in GB, passes, GB read from the disk itself."""

    seconds: float
    rss: float
    uss: float
    n_passes: float
    from_disk: float


def count_rows(state, block) -> Count:
    """Kernel: the number of rows, reading nothing."""
    return Count(block.X.shape[0])


def count_pages(state, block) -> Count:
    """Kernel: the same, touching every page of X, for files that are mapped and not read."""
    X = block.X.reshape(-1)
    return Count(block.X.shape[0] + 0 * int(np.isnan(X[:: 4096 // X.itemsize].sum())))


def out_of_core(setup) -> list[Line]:
    """8 GB on disk, 2 workers of 1 GB."""
    n, p = setup.size(10_000_000, 100_000), 100
    rows_per_block = min(ROWS_PER_BLOCK, n // 8)
    with tempfile.TemporaryDirectory(prefix="daskdsml-bench-") as folder:
        with cluster(WORKERS, LIMIT):
            seconds, _ = timed(partial(_write, folder, n, p, rows_per_block))
        say(f"wrote {8e-9 * n * p:.2f} GB in {seconds:.0f} s")
        lines = []
        for cold in (False, True):
            lines += _measured(folder, cold, mapped=False, repeats=min(setup.repeats, 3))
        lines += _measured(folder, cold=False, mapped=True, repeats=min(setup.repeats, 3))
    return lines


def _write(folder, n, p, rows_per_block) -> None:
    X, _ = dask_table(n, p, -(-n // rows_per_block))
    da.to_npy_stack(f"{folder}/X", X)
    da.to_npy_stack(f"{folder}/y", labels_of(da.from_npy_stack(f"{folder}/X")))
    os.sync()


def _measured(folder, cold, mapped, repeats) -> list[Line]:
    """Lines of all models with the page cache cold or warm, files mapped or read into memory."""
    with cluster(WORKERS, LIMIT) as client, _page_cache(folder, cold):
        mode = "r" if mapped else None
        X, y = (da.from_npy_stack(f"{folder}/{part}", mmap_mode=mode) for part in "Xy")
        # Compiled kernels and imports are paid once per worker, not once per pass.
        for make, _ in MODELS.values():
            _quiet_fit(make, X[: 4 * X.chunks[0][0]], y[: 4 * X.chunks[0][0]], "none")
        pids = list(client.run(os.getpid).values())
        cache = "auto" if X.nbytes > 2e9 else "none"
        kernel = count_pages if mapped else count_rows
        engine, plain = [], []
        for _ in range(repeats):
            engine.append(timed(partial(_empty_pass, X, y, kernel))[0])
            plain.append(timed(partial(_plain_read, folder, mapped))[0])
        fits = {name: _fit(make, X, y, cache, pids) for name, (make, _) in MODELS.items()}
        engine.append(timed(partial(_empty_pass, X, y, kernel))[0])
        reads = statistics.median(engine), statistics.median(plain)
    say(f"{'cold' if cold else 'warm'}{', mapped' if mapped else ''}: {reads}, {fits}")
    case = f"page cache {'cold' if cold else 'warm'}, files {'mapped' if mapped else 'read'}"
    return _lines(case, X.nbytes, fits, reads, judged=not mapped, counts=not (cold or mapped))


def _lines(case, n_bytes, fits, reads, judged, counts) -> list[Line]:
    size = f"{n_bytes / 1e9:.2g} GB on disk, {WORKERS} workers of {LIMIT}"
    state = _cache_state(n_bytes)
    lines = []
    for name, fit in fits.items():
        ratio, plain = (fit.seconds / (fit.n_passes * read) for read in reads)
        lines.append(
            Line(
                f"{size}: wall time of {name}, {case}",
                f"{RATIO:g} x (passes x time to read and do nothing)" if judged else "-",
                f"{ratio:.2f}x",
                judge(ratio <= RATIO) if judged else INFO,
                f"{fit.seconds:.1f} s, {fit.n_passes} passes, {fit.from_disk:.1f} GB off the disk; "
                f"a pass that does nothing {reads[0]:.2f} s; plain Dask tasks that np.load each "
                f"block {reads[1]:.2f} s ({plain:.2f}x); {state}",
            )
        )
    rss, uss = max(f.rss for f in fits.values()), max(f.uss for f in fits.values())
    each = ", ".join(f"{name} {fit.rss:.2f}" for name, fit in fits.items())
    lines.append(
        Line(
            f"{size}: peak worker memory, {case}",
            f"{MEMORY:g} GB" if judged else "-",
            f"{rss:.2f} GB",
            judge(rss <= MEMORY) if judged else INFO,
            f"largest worker's resident memory, sampled every 50 ms: {each}; unshared {uss:.2f}",
        )
    )
    return lines + ([_reads(name, fits[name], MODELS[name][1]) for name in fits] if counts else [])


def _reads(name, fit, most) -> Line:
    return Line(f"reads of X: {name}", str(most), str(fit.n_passes), judge(fit.n_passes <= most))


def _cache_state(n_bytes) -> str:
    memory = psutil.virtual_memory().total
    return f"the files are {n_bytes / memory:.2f} of this machine's memory"


def _fit(make, X, y, cache, pids) -> Fit:
    before = _disk_reads(pids)
    with MemoryWatch(pids) as watch:
        seconds, model = timed(partial(_quiet_fit, make, X, y, cache))
    say(f"{type(model).__name__}: {seconds:.1f} s, {model.n_passes_} passes")
    read = (_disk_reads(pids) - before) / 1e9
    return Fit(seconds, watch.rss, watch.uss, model.n_passes_, read)


def _quiet_fit(make, X, y, cache):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(cache=cache).fit(X, y)


def _disk_reads(pids) -> int:
    """Bytes these processes had read from the device, not from the page cache."""
    return sum(psutil.Process(pid).io_counters().read_bytes for pid in pids)


def _empty_pass(X, y, kernel) -> None:
    rows = open_rows(validate_dataset(X, y, labels=True), cache="none")
    try:
        rows.run(kernel, None, "nothing")
    finally:
        rows.close()


def _plain_read(folder, mapped) -> None:
    """Read each file as a Dask task of its own and do nothing with it."""
    read = dask.delayed(_load, pure=False)
    dask.compute([read(str(path), mapped) for path in _files(folder)])


def _load(path, mapped) -> int:
    part = np.load(path, mmap_mode="r" if mapped else None)
    if mapped:
        part.reshape(-1)[:: 4096 // part.itemsize].sum()
    return part.shape[0]


def _files(folder) -> list[Path]:
    return sorted(Path(folder).glob("[Xy]/*.npy"))


@contextmanager
def _page_cache(folder, cold):
    """While cold, have the kernel forget the files' pages again and again.

    Passes inside a fit cannot be waited for from here, so a thread drops pages four times a second;
    what that costs, fits and bare reads pay alike. ``from_disk`` shows whether it works.
    """
    if not cold:
        yield
        return
    handles, done = [os.open(path, os.O_RDONLY) for path in _files(folder)], threading.Event()
    thread = threading.Thread(target=_forget, args=(handles, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        for handle in handles:
            os.close(handle)


def _forget(handles, done) -> None:
    while True:
        for handle in handles:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        if done.wait(0.25):
            return
