"""BLAS has one thread inside a task, whichever thread came first."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.linalg  # noqa: F401, loads a BLAS of its own
from threadpoolctl import threadpool_info, threadpool_limits

from daskdsml.utils.threads import single_threaded_blas


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def limited_threads():
    with single_threaded_blas():
        return blas_threads()


def test_every_thread_gets_the_limit():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(limited_threads).result() == {1}
        assert limited_threads() == {1}
        assert pool.submit(limited_threads).result() == {1}


def test_the_limit_stays_until_the_last_one_is_out():
    before = blas_threads()
    with single_threaded_blas():
        assert limited_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == before


def test_others_may_set_their_limits_afterwards():
    limited_threads()
    before = blas_threads()
    with threadpool_limits(1, user_api="blas"):
        assert blas_threads() == {1}
    assert blas_threads() == before


def test_a_limit_of_the_caller_is_overruled_and_given_back():
    before = blas_threads()
    with threadpool_limits(2, user_api="blas"):
        inside = blas_threads()
        assert limited_threads() == {1}
        assert blas_threads() == inside
    assert blas_threads() == before


def test_a_product_has_the_same_bits_in_every_thread():
    A = np.random.default_rng(0).normal(size=(2048, 101))

    def product(_):
        with single_threaded_blas():
            return (A.T @ A).tobytes()

    with ThreadPoolExecutor(3) as pool:
        assert len({product(0), *pool.map(product, range(12))}) == 1
