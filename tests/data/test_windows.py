"""Windows of a series: each once, across the edges of chunks, and never all in memory."""

import dask
import dask.array as da
import numpy as np
import pytest
from batch_kernels import met
from tables import network_rows

from daskdsml.data.windows import WindowedSequences
from daskdsml.engine.minibatch import partitions, shuffle_buffer
from daskdsml.engine.minibatch.batches import open_batches

N = 53


def series(n=N, p=2):
    return np.arange(n * p, dtype=np.float32).reshape(n, p)


def every_window(X, window, stride, horizon=0):
    """The windows one by one."""
    return np.array([X[i : i + window] for i in range(0, len(X) - window - horizon + 1, stride)])


@pytest.mark.parametrize("chunks", [None, 1, 5, 16, (3, 50), N])
@pytest.mark.parametrize("stride", [1, 3, 7, 60])
@pytest.mark.parametrize("window", [1, 4, 20, N])
def test_each_window_once(window, stride, chunks):
    X = series()
    given = X if chunks is None else da.from_array(X, chunks=(chunks, 1))
    windows = WindowedSequences(given, window, stride)
    expected = every_window(X, window, stride)
    assert len(windows) == len(expected) == (N - window) // stride + 1
    assert windows.X.shape == expected.shape and windows.X.dtype == np.float32
    np.testing.assert_array_equal(windows.X, expected)
    np.testing.assert_array_equal(windows.within(given[:, 0]), expected[:, :, 0])


@pytest.mark.parametrize("chunks", [None, 8, (3, 50)])
@pytest.mark.parametrize("stride", [1, 4])
def test_targets_ahead(stride, chunks):
    X = series()
    given = X if chunks is None else da.from_array(X, chunks=(chunks, 2))
    windows = WindowedSequences(given, 6, stride, horizon=3)
    assert len(windows) == len(every_window(X, 6, stride, horizon=3))
    for steps in (0, 1, 3):
        after = np.asarray(windows.after(given[:, 1], steps))
        np.testing.assert_array_equal(after, np.asarray(windows.X)[:, -1, 1] + 2 * steps)
    assert np.asarray(windows.after(X[:, 1], 3))[-1] <= X[-1, 1]
    examples = network_rows(windows, windows.after(given[:, 1], 3))
    assert examples.n_rows == len(windows) and examples.in_shape == (6, 2)
    if chunks is not None:
        assert examples.y.chunks[0] == examples.X.chunks[0]


def test_series_of_one_column_and_frames():
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    flat = WindowedSequences(np.arange(10.0), 4)
    assert flat.X.shape == (7, 4, 1)
    frame = pd.DataFrame(series(), columns=["a", "b"])
    lazy = WindowedSequences(dd.from_pandas(frame, npartitions=4), 9, horizon=1)
    np.testing.assert_array_equal(lazy.X, WindowedSequences(frame, 9, horizon=1).X)
    np.testing.assert_array_equal(
        lazy.after(dd.from_pandas(frame["a"], npartitions=4)), frame["a"][9:]
    )


def test_windows_are_views():
    X = series(10_000, 8)
    windows = WindowedSequences(X, 100).X
    assert np.shares_memory(windows, X)
    examples = network_rows(windows)
    assert examples.stored_bytes == X.nbytes
    lazy = WindowedSequences(da.from_array(X, chunks=(1000, 8)), 100)
    base = partitions.cut(network_rows(lazy), remote=False).sources[3]().X
    assert base.shape == (1000, 100, 8)
    while base.base is not None:
        base = base.base
    # 1000 windows of 100 rows take the memory of 1099 rows.
    assert base.nbytes == 1099 * 8 * 4


@pytest.mark.parametrize("chunks", [None, 70])
@pytest.mark.parametrize("pool_bytes", [20_000, 2**28])
def test_batches_have_each_window_once(chunks, pool_bytes, monkeypatch):
    monkeypatch.setattr(shuffle_buffer, "PARTITION_BYTES", 1000)
    X = series(1000)
    windows = WindowedSequences(X if chunks is None else da.from_array(X, chunks=(chunks, 2)), 12)
    batches = open_batches(network_rows(windows), 32, seed=0, pool_bytes=pool_bytes)
    found = sum((step.run(met, None).numbers for step in batches.epoch(0)), [])
    batches.close()
    assert sorted(found) == X[: len(windows), 0].tolist() != found


def test_chunks_are_read_as_they_are_needed(monkeypatch):
    monkeypatch.setattr(shuffle_buffer, "PARTITION_BYTES", 1000)
    reads = []

    def read(i):
        reads.append(i)
        return series(50)

    parts = [da.from_delayed(dask.delayed(read)(i), (50, 2), np.float32) for i in range(100)]
    windows = WindowedSequences(da.concatenate(parts), 10)
    row_bytes = 10 * 2 * 4
    options = {"seed": 0, "pool_bytes": 500 * row_bytes, "cache": "none"}
    batches = open_batches(network_rows(windows), 32, **options)
    steps = batches.epoch(0)
    next(steps)
    # A pool of 9 chunks of windows and one read ahead, each of which takes two chunks of rows.
    assert len(reads) <= 22
    assert max(batches.n_bytes_held for _ in steps) <= options["pool_bytes"]
    assert len(reads) == 2 * 100 - 1
    batches.close()


@pytest.mark.parametrize("arguments, message", [
    ((54,), "X has 53 rows, fewer than window=54"),
    ((50, 1, 4), "X has 53 rows, fewer than window=50 and horizon=4 rows after it"),
    ((0,), "window=0 must be an integer of at least 1"),
    ((2.0,), "window=2.0 must be an integer"),
    ((2, 0), "stride=0 must be an integer of at least 1"),
    ((2, 1, -1), "horizon=-1 must be an integer of at least 0"),
])  # fmt: skip
def test_bad_windows(arguments, message):
    for X in (series(), da.from_array(series(), chunks=(20, 2))):
        with pytest.raises(ValueError, match=message):
            WindowedSequences(X, *arguments)


def test_bad_targets():
    windows = WindowedSequences(series(), 5)
    with pytest.raises(ValueError, match=r"Make WindowedSequences\(\.\.\., horizon=1\)"):
        windows.after(np.zeros(N))
    with pytest.raises(ValueError, match="y has 52 rows, but the series of windows has 53"):
        windows.within(np.zeros(N - 1))
    with pytest.raises(ValueError, match="got the single value 3"):
        WindowedSequences(3, 1)
