"""Fixtures that more than one test module uses."""

import pytest
from tables import classes, regression


@pytest.fixture(scope="session")
def cluster():
    """The one cluster of the test run: two worker processes of one thread each."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


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
