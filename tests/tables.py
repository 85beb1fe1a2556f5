"""Data that tests fit, and sources that tell how often they were read.

Workers of the test cluster import this file by name, so what they are to run lives here.
"""

import os
import signal
import time
import tracemalloc
import uuid
from pathlib import Path

import dask
import dask.array as da
import numpy as np
from dask.array import core
from scipy import sparse

from daskdsml.data.dataset import plain
from daskdsml.data.validation import validate_dataset


def network_rows(X, y=None, sample_weight=None, mask=None, *, ranks=None, **options):
    """The Dataset that neural estimators make of what the user passes."""
    options |= {"ranks": ranks, "any_dtype": True, "known_rows": True}
    return validate_dataset(X, y, sample_weight, mask=mask, **options)


def regression(n, p, n_outputs=None, seed=0):
    """X (n, p), y (n,) or (n, K), weights (n,): a linear model with noise and an intercept."""
    rng = np.random.default_rng(seed)
    X = _matrix(rng, n, p)
    coef = rng.normal(size=(p, n_outputs or 1))
    y = X @ coef + 1.5 + 0.3 * rng.normal(size=(n, coef.shape[1]))
    return X, y if n_outputs else y[:, 0], rng.uniform(0.2, 3.0, size=n)


def classes(n, p, seed=0):
    """X (n, p), y (n,) of 0 and 1 drawn from a logistic model, weights (n,)."""
    rng = np.random.default_rng(seed)
    X = _matrix(rng, n, p)
    z = (X - X.mean(axis=0)) @ rng.normal(size=p) / np.sqrt(p) + 0.4
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-z))).astype(int)
    return X, y, rng.uniform(0.2, 3.0, size=n)


def counts(n, p, seed=0):
    """X (n, p), y (n,) drawn from a Poisson model, weights (n,)."""
    rng = np.random.default_rng(seed)
    X = _matrix(rng, n, p)
    z = (X - X.mean(axis=0)) @ rng.normal(size=p) / np.sqrt(2 * p) + 0.4
    return X, rng.poisson(np.exp(z)).astype(float), rng.uniform(0.2, 3.0, size=n)


def outlying(n, p, seed=0):
    """X (n, p), y (n,) of `regression` with a tenth of the rows far off, weights (n,)."""
    X, y, w = regression(n, p, seed=seed)
    rng = np.random.default_rng(seed)
    far = rng.random(n) < 0.1
    return X, y + far * (5.0 + 10.0 * rng.standard_cauchy(n)), w


def _matrix(rng, n, p):
    # A third of the entries are zero, so that the same table serves as CSR.
    X = rng.normal(size=(n, p)) + np.linspace(-2.0, 2.0, p)
    return X * (rng.random((n, p)) > 1 / 3)


def bootstraps(n, n_splits, seed=0):
    """Splits that train on as many rows as there are, drawn with repeats, and test on the rest."""
    drawn = np.random.default_rng(seed).integers(0, n, size=(n_splits, n))
    return [(train, np.setdiff1d(np.arange(n), train)) for train in drawn]


def dask_rows(array, n_blocks):
    """A Dask Array of ``n_blocks`` blocks of rows, as equal as they can be."""
    return da.from_array(array, chunks=(chunks_of(len(array), n_blocks), *array.shape[1:]))


def unknown(array):
    """The same Dask Array with the lengths of its row chunks forgotten."""
    array = plain(array)
    lengths = (np.nan,) * array.numblocks[0]
    return core.Array(array.dask, array.name, (lengths, *array.chunks[1:]), meta=array._meta)


def chunks_of(n, n_blocks):
    """Lengths of ``n_blocks`` blocks of n rows, as equal as they can be."""
    borders = np.linspace(0, n, n_blocks + 1).round().astype(int)
    return tuple(int(length) for length in np.diff(borders))


def csr_rows(array, n_blocks, kind=sparse.csr_matrix):
    """A Dask Array whose blocks of rows are SciPy CSR."""
    meta = kind((0, 0), dtype=array.dtype)
    return dask_rows(array, n_blocks).map_blocks(kind, dtype=array.dtype, meta=meta)


class Source:
    """Blocks made anew at each read, each of which is written down as a file in ``folder``.

    With ``deadly`` k, the process that reads block 3 for the k-th time is killed, once.
    """

    def __init__(self, folder, n_blocks, rows, p, deadly=None):
        self.folder, self.deadly, self.home = str(folder), deadly, os.getpid()
        self.n_blocks, self.rows, self.p = n_blocks, rows, p

    def table(self):
        """X, whose reads are counted, and y of 0 and 1, with blocks that nobody holds."""
        return self._array(self.counted, self.p), self._array(self.block, self.p + 1)[:, -1]

    def joint(self):
        """X and y cut from the same counted blocks."""
        both = self._array(self.counted, self.p + 1)
        return both[:, :-1], both[:, -1]

    def _array(self, make, p):
        blocks = [
            dask.delayed(make, pure=True)(
                i, p, dask_key_name=f"{make.__name__}-{i}-{p}-{self.folder}"
            )
            for i in range(self.n_blocks)
        ]
        return core.concatenate([core.from_delayed(b, (self.rows, p), float) for b in blocks])

    def block(self, i, p):
        X, y, _ = classes(self.rows, self.p, seed=i)
        return np.column_stack([X, y])[:, :p]

    def counted(self, i, p):
        folder = Path(self.folder)
        if self.deadly and i == 3 and len(list(folder.glob("read-3-*"))) >= self.deadly - 1:
            die_once(self.folder, self.home)
        (folder / f"read-{i}-{uuid.uuid4().hex}").touch()
        return self.block(i, p)

    def reads(self):
        """How often the average block was read."""
        return len(list(Path(self.folder).glob("read-*"))) / self.n_blocks


def die_once(folder, home):
    """Kill this process the first time anyone calls, unless it is ``home``, the test's own."""
    if os.getpid() == home:
        return
    try:
        (Path(folder) / "died").touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def wait_until(happens, seconds=60):
    """Wait for what other threads or processes do, on a machine that may be busy with much else."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, f"it did not happen within {seconds} seconds"
        time.sleep(0.02)


def peak_bytes(run):
    """Most bytes that ``run`` holds at once: other threads allocate too, so the least of three."""
    peaks = []
    for _ in range(3):
        tracemalloc.start()
        run()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return min(peaks)


class Text(str):
    """A Summable that shows how it was added up."""

    def __add__(self, other):
        return Text(f"({str(self)}{str(other)})")


def row_sum(state, block):
    """Kernel: the sum of each column of X."""
    return block.X.sum(axis=0)


def deadly_row_sum(state, block):
    """Kernel: as `row_sum`; ``state`` is (folder, home) of `die_once`."""
    die_once(*state)
    return block.X.sum(axis=0)


def in_turn(state, block):
    """Kernel of a fold: it matters which block comes after which."""
    return 0.5 * state + block.X.sum(axis=0)


class DeadlyTurn:
    """`in_turn`, whose process is killed once, at the block after the first."""

    def __init__(self, folder, home):
        self.folder, self.home = folder, home

    def __call__(self, state, block):
        if np.ndim(state):
            die_once(self.folder, self.home)
        return in_turn(state, block)


def task_name(state, block):
    """Kernel: the key of the task that runs it."""
    from distributed import get_worker

    return (str(get_worker().get_current_task()),)


def fit_in_task(estimator, X, y):
    """Fit inside a task of a worker."""
    return estimator.fit(X, y).coef_
