"""Fixtures that more than one test module uses."""

import os
import re
import traceback
from contextlib import contextmanager
from pathlib import Path

import dask
import dask.array as da
import pytest
from dask.tokenize import TokenizationError
from tables import classes, regression
from threadpoolctl import threadpool_limits

import daskdsml
from daskdsml.utils import threads


def pytest_configure(config):
    """Share the processors among the processes of the run.

    Threads of BLAS that wait for a processor keep turning: two processes of two threads on two
    processors took a hundred times as long for some fits of scikit-learn.
    """
    n_processes = config.getoption("numprocesses", None)
    if n_processes:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, os.cpu_count() // n_processes)))


def pytest_collection_modifyitems(items):
    """Mark the tests that start a cluster, and those that run examples as users do.

    They come first: the queue of tests is cut in two, and a process that has nothing left to do
    takes tests from the end of another's. So one process alone starts a cluster, and no test that
    takes long is left to the end.
    """
    for item in items:
        if "clusters" in getattr(item, "fixturenames", ()):
            item.add_marker("cluster")
        if item.path.name == "test_examples.py":
            item.add_marker("examples")
    first = ("cluster", "examples")
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in first])


@pytest.fixture(autouse=True)
def blas_threads(request):
    """Two threads of BLAS, as users have them, in all tests of bits and of threads."""
    if not re.search("bits|threads", request.node.nodeid):
        yield
        return
    with threadpool_limits(2, user_api="blas"):
        threads._give_up_ownership(force=True)  # as if nobody had set a limit
        yield


@contextmanager
def what_expressions_lack():
    """Skip a test that asks Dask's array expressions for what they lack.

    With ``DASK_ARRAY__QUERY_PLANNING=True`` Dask makes its arrays of them. What fails in code of
    the package is no such lack.
    """
    try:
        yield
    except (NotImplementedError, AttributeError, TypeError, TokenizationError) as error:
        if not da.array_expr_enabled() or through_the_package(error):
            raise
        pytest.skip(f"Dask's array expressions: {error!r}")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call():
    with what_expressions_lack():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup():
    with what_expressions_lack():
        return (yield)


def through_the_package(error):
    """Whether code of the package was being run when an error came."""
    root = str(Path(daskdsml.__file__).parent)
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.filename.startswith(root) for frame in frames)


WORKERS_IMPORT = ["distributed", "daskdsml.linear_model", "daskdsml.neural_network"]


class Clusters:
    """The cluster of a test run, made anew where a worker that was killed does not come back."""

    def __init__(self):
        self._cluster = None

    def whole(self):
        """A cluster with two worker processes of one thread each."""
        from distributed import LocalCluster
        from distributed.utils import get_mp_context

        if self._cluster is not None:
            try:
                self._cluster.wait_for_workers(2, timeout=30)
                return self._cluster
            except TimeoutError:
                self.close()
        # Workers, also those that follow killed ones, are forked from one process that has imported
        # what they need: it takes each of them two seconds of a processor.
        dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
        get_mp_context().set_forkserver_preload(WORKERS_IMPORT)
        self._cluster = LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        )
        return self._cluster

    def close(self):
        if self._cluster is not None:
            self._cluster.close()


@pytest.fixture(scope="session")
def clusters():
    """What hands out the one cluster of the test run."""
    clusters = Clusters()
    yield clusters
    clusters.close()


@pytest.fixture
def cluster(clusters):
    """The one cluster of the test run, with both its workers."""
    return clusters.whole()


@pytest.fixture
def client(cluster):
    """A client that is current during this test alone, so that tests without it run locally."""
    from distributed import Client

    with Client(cluster, set_as_default=False) as client, client.as_current():
        client.wait_for_workers(2)
        yield client


@pytest.fixture(scope="session")
def regression_data():
    """X (400, 6) with columns off zero, y (400,), weights (400,)."""
    return regression(400, 6)


@pytest.fixture(scope="session")
def class_data():
    """X (400, 6) with columns off zero, y (400,) of 0 and 1 that overlap, weights (400,)."""
    return classes(400, 6)
