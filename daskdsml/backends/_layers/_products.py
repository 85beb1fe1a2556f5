"""Large matrix products in parts, which threads of this process share.

A thread that sleeps takes 0.1 ms and more to wake, half of what its part of a product takes. So
helpers wait for the next product in a compiled loop, and sleep where none comes soon.
"""

from __future__ import annotations

import os
import threading
import time
from functools import lru_cache

import numpy as np
from numba import njit
from numba.extending import get_cython_function_address

from daskdsml.backends._layers import _mailbox
from daskdsml.utils.threads import granted_threads

# Multiply-adds of a part: some 0.2 ms of a core.
PART = 6_000_000
# Of fewer rows a part would take longer to copy b, as BLAS does for each, than to compute.
FEWEST_ROWS, MOST_PARTS = 96, 16
# Rounds in which a helper waits, about a millisecond: more than passes between two products.
PATIENCE = 50_000
# Rounds between looks at the clock, and seconds beyond one's own time after which helpers are late.
ROUNDS, SLACK = 2_000, 2e-4
# After so many products in a row without help others want the cores, and helpers that wait are in
# the way: the next so many are made alone.
UNHELPED, ALONE = 3, 60


def product(a, b, out):
    """``out <- a b`` for a (n, k) and b (k, m); returns ``out``.

    Large products are cut by rows into parts, by shapes alone, so that bits are the same however
    many threads there are.
    """
    (n, k), m = a.shape, b.shape[1]
    n_parts = min(n * k * m // PART, n // FEWEST_ROWS, MOST_PARTS)
    if n_parts < 2 or not (
        out.flags.c_contiguous
        and _is_matrix(out, out.dtype)
        and _is_matrix(a, out.dtype)
        and _is_matrix(b, out.dtype)
    ):
        return np.matmul(a, b, out=out)
    _helpers().share(a, b, out, n_parts)
    return out


def _is_matrix(x, dtype) -> bool:
    """Whether BLAS takes an array as it is: lines without gaps, none over another one."""
    inner, outer = (1, 0) if x.strides[1] == x.itemsize else (0, 1)
    return (
        x.dtype == dtype
        and dtype.char in _NAMES
        and x.flags.aligned
        and x.strides[inner] == x.itemsize
        and x.strides[outer] >= x.itemsize * x.shape[inner]
        and x.strides[outer] % x.itemsize == 0
    )


class _Calls:
    """A mailbox, and the arguments of the calls in it."""

    def __init__(self):
        self._mail = np.zeros(_mailbox.SIZE, np.int64)
        self._calls = np.zeros((MOST_PARTS, _mailbox.ARGUMENTS), np.int64)
        # Read from there, integers of 32 bits have the same value.
        self._lengths = np.zeros(5 + MOST_PARTS, np.int64)
        self._count = 0
        self.places = _address(self._mail), _address(self._calls)

    def share(self, a, b, out, n_parts) -> bool:
        """Make the product; whether somebody who serves ``places`` was of help."""
        mail, calls = self.places
        _mailbox.finished(mail, 0)  # an interrupt may have left a helper at its part
        function, one, zero = _gemm(out.dtype.char)
        _divide(
            self._calls,
            self._lengths,
            (one, zero),
            (*_order(a), _address(a), a.strides[0]),
            (*_order(b), _address(b)),
            (_order(out)[1], _address(out), out.strides[0]),
            (*a.shape, out.shape[1]),
            n_parts,
        )
        self._count += 1
        begun = time.perf_counter()
        n_here = _mailbox.share(mail, calls, function, self._count << 16 | n_parts << 8)
        due = 2 * time.perf_counter() - begun + SLACK
        late = False
        try:
            while not _mailbox.finished(mail, ROUNDS):
                late = time.perf_counter() > due
                if late:
                    time.sleep(0)  # the helper may need this core to go on
        finally:
            _mailbox.finished(mail, 0)
        return n_here < n_parts and not late


@njit(nogil=True, cache=True)
def _divide(calls, lengths, numbers, left, right, out, shape, n_parts):
    """Write the arguments of BLAS's product of each part of the rows.

    To BLAS, which counts by columns, rows are columns: it makes ``out' <- b' a'``.
    """
    (one, zero), (n, k, m) = numbers, shape
    order_a, step_a, where_a, row_a = left
    order_b, step_b, where_b = right
    step, where, row = out
    at = lengths.ctypes.data
    lengths[0], lengths[1], lengths[2], lengths[3], lengths[4] = m, k, step_b, step_a, step
    for i in range(n_parts):
        start, stop = n * i // n_parts, n * (i + 1) // n_parts
        lengths[5 + i] = stop - start
        call = calls[i]
        call[0], call[1] = order_b, order_a
        call[2], call[3], call[4] = at, at + 8 * (5 + i), at + 8
        call[5], call[6], call[7] = one, where_b, at + 16
        call[8], call[9] = where_a + start * row_a, at + 24
        call[10], call[11], call[12] = zero, where + start * row, at + 32


class _Helpers:
    """Threads that take parts of products, one product at a time."""

    def __init__(self):
        self._lock = threading.Lock()
        self._calls, self._own_calls = _Calls(), _Calls()
        self._awake: list[threading.Event] = []
        self._unhelped = self._alone = 0

    def share(self, a, b, out, n_parts) -> None:
        """Make a product with the helpers; alone, if they are at that of another thread."""
        if not self._lock.acquire(blocking=False):
            _Calls().share(a, b, out, n_parts)
            return
        try:
            n_helpers = min(n_parts, granted_threads()) - 1
            if n_helpers == 0 or self._alone > 0:
                self._alone = max(self._alone - 1, 0)
                self._own_calls.share(a, b, out, n_parts)
                return
            self._wake(n_helpers)
            helped = self._calls.share(a, b, out, n_parts)
            self._unhelped = 0 if helped else self._unhelped + 1
            if self._unhelped == UNHELPED:
                self._unhelped, self._alone = 0, ALONE
        finally:
            self._lock.release()

    def _wake(self, n_helpers) -> None:
        while len(self._awake) < n_helpers:
            self._awake.append(threading.Event())
            # A daemon: one that waits must not keep the process from ending.
            threading.Thread(
                target=_help,
                args=(self._calls, self._awake[-1]),
                name=f"daskdsml-product-{len(self._awake)}",
                daemon=True,
            ).start()
        for awake in self._awake[:n_helpers]:
            if not awake.is_set():
                awake.set()


def _help(calls: _Calls, awake: threading.Event) -> None:
    while awake.wait():
        _mailbox.serve(*calls.places, PATIENCE)
        awake.clear()


def _order(x) -> tuple[int, int]:
    """Address of the letter that tells BLAS the order of a matrix, and the step between lines."""
    outer = 0 if x.strides[1] == x.itemsize else 1
    return _ORDERS[outer], x.strides[outer] // x.itemsize


def _address(array) -> int:
    return array.__array_interface__["data"][0]


_LETTERS = np.frombuffer(b"NT", np.uint8)
_ORDERS = _address(_LETTERS), _address(_LETTERS) + 1
_NUMBERS: dict[str, np.ndarray] = {
    "f": np.array([1, 0], np.float32),
    "d": np.array([1, 0], np.float64),
}
_NAMES = {"f": "sgemm", "d": "dgemm"}


@lru_cache
def _gemm(char: str) -> tuple[int, int, int]:
    """Addresses of BLAS's product for a dtype, and of its numbers 1 and 0."""
    one = _address(_NUMBERS[char])
    function = get_cython_function_address("scipy.linalg.cython_blas", _NAMES[char])
    return function, one, one + _NUMBERS[char].itemsize


@lru_cache(maxsize=1)
def _helpers() -> _Helpers:
    return _Helpers()


# Threads do not come along into a forked process.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.cache_clear)
