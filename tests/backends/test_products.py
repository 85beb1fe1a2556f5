"""Large products have the same bits however many threads share them."""

import multiprocessing
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from daskdsml.backends._layers import _products
from daskdsml.utils import threads

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture
def shared(monkeypatch):
    """Have products shared among so many threads, and call it often enough to see helpers work."""

    def product(a, b, n_threads, times=1):
        monkeypatch.setattr(threads, "_granted", n_threads)
        out = np.full((len(a), b.shape[1]), np.nan, a.dtype)
        for _ in range(times):
            assert _products.product(a, b, out) is out
        return out

    with threads.single_threaded_blas():
        yield product


def matrices(n, k, m, dtype, orders):
    rng = np.random.default_rng(0)
    made = rng.normal(size=(n, k)), rng.normal(size=(k, m))
    return (np.array(x, dtype, order=order) for x, order in zip(made, orders, strict=True))


@DTYPES
@pytest.mark.parametrize("orders", ["CC", "FC", "CF", "FF"])
@pytest.mark.parametrize("shape", [(128, 784, 128), (784, 201, 100), (200, 2000, 90), (1, 9, 4)])
def test_bits_do_not_depend_on_threads(shared, dtype, orders, shape):
    a, b = matrices(*shape, dtype, orders)
    expected = shared(a, b, 1)
    np.testing.assert_allclose(expected, a @ b, rtol=0, atol=2e3 * np.finfo(dtype).eps)
    for n_threads in (2, 3, 8):
        np.testing.assert_array_equal(shared(a, b, n_threads, times=3), expected)


@DTYPES
def test_cuts_of_larger_arrays(shared, dtype):
    a, b = matrices(300, 800, 260, dtype, "CC")
    for left, right in [(a[:, 7:], b[7:, 3:99]), (a[::2], b), (a[::-1], b), (a, b[:, ::2])]:
        expected = np.ascontiguousarray(left) @ np.ascontiguousarray(right)
        np.testing.assert_allclose(
            shared(left, right, 2), expected, rtol=0, atol=2e3 * np.finfo(dtype).eps
        )
    turned = np.empty((260, 300), dtype).T
    np.testing.assert_allclose(
        _products.product(a, b, turned), a @ b, rtol=0, atol=2e3 * np.finfo(dtype).eps
    )
    repeated = np.broadcast_to(a[:1], a.shape), np.broadcast_to(b[:, :1], b.shape)
    windows = np.lib.stride_tricks.sliding_window_view(a.ravel()[:1099], 800)
    for left, right in [(repeated[0], b), (a, repeated[1]), (windows, b), (windows, repeated[1])]:
        np.testing.assert_allclose(
            shared(left, right, 2), left @ right, rtol=0, atol=2e3 * np.finfo(dtype).eps
        )


def test_products_of_several_threads_at_once(shared):
    cases = [tuple(matrices(200 + i, 700, 120, "float32", "CC")) for i in range(6)]
    expected = [shared(a, b, 1) for a, b in cases]
    shared(*cases[0], 2)

    def many(i):
        out = np.empty_like(expected[i])
        for _ in range(20):
            _products.product(*cases[i], out)
            np.testing.assert_array_equal(out, expected[i])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(many, range(6)))


def test_overflow_is_an_answer(shared):
    a = np.full((300, 300), 1e30, "float32")
    for n_threads in (1, 2):
        assert np.isinf(shared(a, np.full((300, 200), 1e30, "float32"), n_threads, 5)).all()


def in_child(connection):
    a, b = matrices(300, 800, 100, "float32", "CC")
    with threads.single_threaded_blas():
        connection.send_bytes(_products.product(a, b, np.empty((300, 100), "float32")).tobytes())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(shared):
    a, b = matrices(300, 800, 100, "float32", "CC")
    expected = shared(a, b, 2, times=3)
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=in_child, args=(there,))
    child.start()
    try:
        assert here.poll(60), "the forked process hangs"
        assert here.recv_bytes() == expected.tobytes()
    finally:
        child.kill()
        child.join()
