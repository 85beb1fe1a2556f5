"""Parameter servers, without a cluster: what they make of pushes that come in any order."""

import queue
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskdsml.engine.minibatch.post import InterruptedRoundError, Post
from daskdsml.engine.minibatch.served import Push, Server, roles


class Record(NamedTuple):
    total: str
    failure: object = None


def update(state, total):
    """States are the sums applied so far; "bad" ones cannot be."""
    failure = "bad" if "bad" in total else None
    return state if failure else [*state, total], Record(total, failure)


def server(n_workers, staleness=0):
    return Server(update, [], n_workers, staleness)


@given(st.integers(1, 4), st.integers(0, 3), st.integers(1, 8), st.randoms())
def test_steps_are_sums_in_the_order_of_workers_whoever_is_first(n_workers, staleness, n, random):
    served, clocks = server(n_workers, staleness), [0] * n_workers
    while served.version < n:
        # Those who may go on: with parameters that are known they are not too far ahead.
        able = [k for k in range(n_workers) if clocks[k] - served.version <= staleness]
        k = random.choice([k for k in able if clocks[k] < n])
        before = served.version
        made = served.push(k, Push(clocks[k], served.version, f"{clocks[k]}{chr(97 + k)} "))
        assert made == (served.version == before + 1)
        clocks[k] += 1
        assert max(clocks) - min(clocks) <= staleness + 1
    expected = ["".join(f"{t}{chr(97 + k)} " for k in range(n_workers)) for t in range(n)]
    assert served.state == expected
    assert [record.total for record in served.records] == expected


@pytest.mark.parametrize("clock, version", [(3, 0), (0, 1), (7, 1)])
def test_gradients_that_are_too_old_or_of_the_future_are_refused(clock, version):
    with pytest.raises(ValueError, match=f"batch {clock} at .* version {version}.*staleness=2"):
        server(2, 2).push(0, Push(clock, version, "a"))


def test_a_batch_is_pushed_once():
    served = server(2, 2)
    served.push(0, Push(0, 0, "a"))
    with pytest.raises(ValueError, match="batch 0 twice"):
        served.push(0, Push(0, 0, "a"))
    served.push(1, Push(0, 0, "b"))
    with pytest.raises(ValueError, match="batch 0 twice"):
        served.push(1, Push(0, 0, "b"))


def test_workers_without_rows_of_a_batch_add_nothing():
    served = server(3)
    assert not served.push(2, Push(0, 0, "c"))
    assert not served.push(0, Push(0, 0, None))
    assert served.push(1, Push(0, 0, None))
    assert served.state == ["c"]


def test_nothing_is_made_after_a_step_that_failed():
    served = server(1, 2)
    served.push(0, Push(0, 0, "a"))
    assert served.push(0, Push(1, 0, "bad")) and served.failed
    assert not served.push(0, Push(2, 1, "c"))
    assert served.state == ["a"] and served.version == 1


@pytest.mark.parametrize("n_actors, d, n_servers, expected", [
    (2, 10, None, [10]), (2, 10, 2, [5, 5]), (2, 10, 5, [5, 5]), (4, 3, 4, [1, 1, 1]),
    (4, 3 * 2**20, None, [2**20] * 3), (2, 3 * 2**20, None, [3 * 2**19] * 2),
])  # fmt: skip
def test_parameters_are_cut_into_slices(n_actors, d, n_servers, expected):
    actors = [(f"tcp://{k}", f"actor {k}") for k in range(n_actors)]
    parts = roles(actors, d, n_servers)
    assert [where.stop - where.start for where in parts.slices] == expected
    assert np.array_equal(np.concatenate([np.arange(d)[w] for w in parts.slices]), np.arange(d))
    assert [worker for worker, _ in parts.servers] == [w for w, _ in actors[: len(expected)]]


@pytest.mark.parametrize("content, kind", [
    (None, InterruptedRoundError), (OSError("gone"), InterruptedRoundError),
    (LookupError("moved"), InterruptedRoundError), (ZeroDivisionError("fault"), ZeroDivisionError),
])  # fmt: skip
def test_interrupted_rounds(content, kind):
    inbox = queue.SimpleQueue()
    inbox.put(("an older round", None, None))
    post = Post(inbox, None, "this round", 0)
    post.interrupt(content)
    with pytest.raises(kind):
        post.take()
    with pytest.raises(queue.Empty):
        post.take(block=False)
