"""Sequences cut from a long series as they are needed; for users and for networks."""

from __future__ import annotations

import dask
import numpy as np
from dask.array import core as da
from numpy.lib.stride_tricks import sliding_window_view

from daskdsml.data.dataset import check_in_memory, dask_rows, is_dask, is_dask_frame, plain


class WindowedSequences:
    r"""All windows of consecutive rows of a long series, as rows (window, p) of an array.

    Window i holds the times ``i stride, ..., i stride + window - 1``, and there are
    ``(n_time - window - horizon) // stride + 1`` of them, each exactly once. They are views of the
    series: windows of a Dask Array are made chunk by chunk, and those that run across the edge of a
    chunk take rows of the chunks that follow.

    Parameters
    ----------
    X : array (n_time, p) or (n_time,), Dask Array or DataFrame
        In the order of time.
    window : int
        Rows of a window.
    stride : int
        Rows from the start of a window to that of the next.
    horizon : int
        Rows left after the end of the last window, for targets that lie ahead (see `after`).

    Attributes
    ----------
    X : array or Dask Array (n_windows, window, p)
        What estimators take; they take the object itself too.

    Raises
    ------
    ValueError
        If ``window`` or ``stride`` is below 1, ``horizon`` below 0, or the series is shorter than a
        window and what is to lie ahead of it.

    Examples
    --------
    >>> import numpy as np
    >>> series = np.arange(6.0)
    >>> windows = WindowedSequences(series, window=3, horizon=1)
    >>> windows.X[:, :, 0].tolist()
    [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]
    >>> windows.after(series).tolist()
    [3.0, 4.0, 5.0]
    """

    def __init__(self, X, window, stride=1, horizon=0):
        _check_count("window", window, 1)
        _check_count("stride", stride, 1)
        _check_count("horizon", horizon, 0)
        self.window, self.stride, self.horizon = int(window), int(stride), int(horizon)
        series = _series(X)
        if series.ndim == 1:
            series = series[:, None]
        self.n_time = int(series.shape[0])
        if self.window + self.horizon > self.n_time:
            ahead = f" and horizon={horizon} rows after it" if horizon else ""
            raise ValueError(
                f"X has {self.n_time} rows, fewer than window={window}{ahead}. Shorten the window, "
                "or pass a longer series."
            )
        self.X = self._cut(series)

    def __len__(self) -> int:
        """Number of windows."""
        return (self.n_time - self.window - self.horizon) // self.stride + 1

    def __repr__(self) -> str:
        return (
            f"WindowedSequences({len(self)} windows of {self.window} rows, stride={self.stride}, "
            f"horizon={self.horizon})"
        )

    def after(self, y, steps=1):
        """The value ``steps`` rows after each window's last one: (n_windows,) or (n_windows, K).

        Parameters
        ----------
        y : array (n_time,) or (n_time, K), in memory or a Dask collection
        steps : int
            From 0, the last row of the window itself, to ``horizon``.

        Raises
        ------
        ValueError
            If ``steps`` is more than ``horizon``: the last windows would have no target.
        """
        _check_count("steps", steps, 0)
        if steps > self.horizon:
            raise ValueError(
                f"steps={steps} looks further ahead than horizon={self.horizon}, so the last "
                f"windows have no target. Make WindowedSequences(..., horizon={steps})."
            )
        y = self._same_times(y)
        first = self.window - 1 + int(steps)
        return y[first : first + (len(self) - 1) * self.stride + 1 : self.stride]

    def within(self, y):
        """The value at each row of each window: (n_windows, window) or (n_windows, window, K)."""
        return self._cut(self._same_times(y))

    def _same_times(self, y):
        y = _series(y)
        if y.shape[0] != self.n_time:
            raise ValueError(
                f"y has {y.shape[0]} rows, but the series of windows has {self.n_time}: expected "
                "a value for each row."
            )
        return y

    def _cut(self, series):
        """The windows of a series (n_time, ...), time next to the number of the window."""
        if not isinstance(series, da.Array):
            return _views([series], 0, len(self), self.window, self.stride)
        series = series.rechunk({axis: -1 for axis in range(1, series.ndim)})
        chunks = series.to_delayed().ravel()
        ends = np.cumsum(series.chunks[0])
        # Windows that begin before the end of each chunk.
        begun = np.minimum(-(-ends // self.stride), len(self))
        cut = dask.delayed(_views, pure=True)
        shape = (self.window, *series.shape[1:])
        blocks, done = [], 0
        for i, until in enumerate(begun):
            if until == done:
                continue
            start, stop = done * self.stride, (until - 1) * self.stride + self.window
            last = int(np.searchsorted(ends, stop))
            offset = start - int(ends[i - 1] if i else 0)
            count = int(until - done)
            block = cut(list(chunks[i : last + 1]), offset, count, self.window, self.stride)
            meta = np.empty((0,) * (series.ndim + 1), dtype=series.dtype)
            blocks.append(da.from_delayed(block, (count, *shape), meta=meta))
            done = until
        return da.concatenate(blocks)


def _views(chunks, offset, count, window, stride):
    """``count`` windows (count, window, ...), the first of which begins at row ``offset``.

    Only the rows they need are put together; the windows are views of them.
    """
    rows, needed = [], offset + (count - 1) * stride + window
    for chunk in chunks:
        rows.append(chunk[max(offset, 0) : max(needed, 0)])
        offset, needed = offset - len(chunk), needed - len(chunk)
    together = rows[0] if len(rows) == 1 else np.concatenate(rows)
    views = sliding_window_view(together, window, axis=0)[::stride]
    return np.moveaxis(views, -1, 1)


def _series(X):
    """A series (n_time, ...) as a NumPy array, or as a Dask Array of known chunks."""
    if not is_dask(X):
        check_in_memory(X, "X")
        X = np.asarray(X)
    else:
        X = dask_rows(X) if is_dask_frame(X) and X.ndim == 2 else plain(X)
    if X.ndim == 0:
        raise ValueError(
            f"Expected a series of rows in the order of time, got the single value {X}."
        )
    if np.isnan(X.shape[0]):
        X = X.copy().compute_chunk_sizes()
    return X


def _check_count(name, value, least) -> None:
    """Raise ValueError unless ``value`` is an integer from ``least`` on."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r} must be an integer of at least {least}.")
