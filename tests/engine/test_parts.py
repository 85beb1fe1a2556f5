"""Parts of the rows: which rows they have, what they keep, and the same bits wherever they are."""

import os

import dask
import dask.array as da
import numpy as np
import pytest
from tables import Source, dask_rows, deadly_row_sum, in_turn, row_sum, wait_until

from daskdsml.data.validation import validate_dataset
from daskdsml.engine import memory
from daskdsml.engine.full import shards
from daskdsml.engine.full.cluster import ClusterRows
from daskdsml.engine.full.parts import dealt
from daskdsml.engine.full.rows import LocalRows, open_rows

# 12 blocks of 80 kB, each a shard.
SHAPE = {"n_blocks": 12, "rows": 400, "p": 25}


def total(common, state, kept, rows):
    """Kernel of parts: twice the sum of all rows, beside what the part kept, and its state."""
    kernel, arguments = common
    twice = rows.run(kernel, arguments) + rows.run(row_sum, None)
    return twice + state, kept


def begin(common, state, kept, rows):
    """Kernel of parts: what each of them keeps."""
    return common + rows.run(row_sum, None)


def turn(common, state, kept, rows):
    """Kernel of parts: a fold in an order of all shards."""
    return rows.fold(in_turn, state, common)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """A shard for each chunk."""
    monkeypatch.setattr(shards, "SMALLEST", 1)


def test_shards_are_dealt_out():
    assert dealt(7, 3, 2) == [[0, 2, 3, 5, 6], [1, 4]]
    assert dealt(2, 5, 9) == [[0], [1]]


def test_workers_need_room_for_whole_parts(monkeypatch):
    workers = {name: {"memory_limit": 100.0} for name in "abcd"}
    monkeypatch.setattr(memory, "worker_info", lambda client: workers)
    room = {n: [memory.fits(x, "client", n) for x in (99.0, 101.0, 149.0, 151.0)] for n in (1, 2)}
    assert room == {1: [False] * 4, 2: [True, False, False, False]}
    assert memory.fits(50.0, "client", 1)
    assert memory.fits(149.0, "client", 6) and not memory.fits(151.0, "client", 6)
    assert memory.fits(200.0, "client") and memory.fits(200.0, "client", 8)


def test_parts_have_shards_in_turn(tmp_path):
    source = Source(tmp_path, **SHAPE)
    rows = open_rows(validate_dataset(source.table()[0]), "none")
    states = np.arange(5.0)
    found = rows.parts(total, (row_sum, None), list(states), "parts")
    blocks = [source.block(i, 25).sum(axis=0) for i in range(12)]
    for k, (value, kept) in enumerate(found):
        np.testing.assert_allclose(value, 2.0 * np.sum(blocks[k::5], axis=0) + states[k])
        assert kept is None
    assert rows.n_rows_read == 2 * 12 * 400
    order = np.random.default_rng(0).permutation(12).tolist()
    for k, state in enumerate(rows.parts(turn, order, [0.0] * 5, "turn")):
        expected = 0.0
        for i in order:
            expected = 0.5 * expected + blocks[i] if i % 5 == k else expected
        np.testing.assert_allclose(state, expected)


def test_what_is_kept_is_made_again_where_it_is_missing(tmp_path):
    table = validate_dataset(Source(tmp_path, **SHAPE).table()[0])
    rows = open_rows(table, "none")
    told = rows.parts(begin, np.ones(25), [None] * 3, "begin", keep=True)
    assert rows.n_rows_read == 12 * 400
    asked = total, (row_sum, None), [0.0] * 3, "parts"
    first = rows.parts(*asked, kept=(begin, np.ones(25)))
    assert rows.n_rows_read == 3 * 12 * 400
    other = open_rows(table, "none")  # as after a checkpoint: these reads do not count
    again = other.parts(*asked, kept=(begin, np.ones(25)))
    assert other.n_rows_read == 2 * 12 * 400
    for mine, theirs, kept in zip(first, again, told, strict=True):
        assert mine[1].tobytes() == theirs[1].tobytes() == kept.tobytes()


def test_chunks_that_share_work_are_to_be_kept():
    X = da.random.default_rng(0).normal(size=(600, 4), chunks=(100, 4))
    rows = open_rows(validate_dataset(X - X.mean(axis=0)), "none")
    with pytest.raises(ValueError, match=r"share work.*cache='memory'.*all_reduce"):
        rows.parts(total, (row_sum, None), [0.0], "parts")


@pytest.mark.cluster
@pytest.mark.parametrize("place", ["none", "memory", "sent", "persisted"])
@pytest.mark.parametrize("deadly", [False, True])
def test_parts_have_the_same_bits(client, place, deadly, tmp_path, monkeypatch):
    X, _ = Source(tmp_path, **SHAPE).table()
    X = dask_rows(X.compute(), 12) if place == "sent" else X
    states = [1.0, 2.0, 3.0]

    def run(rows, kernel):
        rows.run(row_sum, None, "before")
        rows.parts(begin, np.ones(25), [None] * 3, "begin", keep=True)
        values = rows.parts(total, kernel, states, "parts", kept=(begin, np.ones(25)))
        again = rows.parts(total, (row_sum, None), states, "parts", kept=(begin, np.ones(25)))
        bits = [[part.tobytes() for part in value] for value in values]
        assert bits == [[part.tobytes() for part in value] for value in again]
        assert rows.n_rows_read == 6 * 12 * 400
        rows.close()
        return bits

    with dask.config.set(scheduler="synchronous"):
        rows = open_rows(validate_dataset(X), "none", n_parts=3)
        assert isinstance(rows, LocalRows)
        expected = run(rows, (row_sum, None))
    if place == "sent":
        monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)
    there = client.persist(X) if place == "persisted" else X
    cache = "none" if place == "none" else "memory"
    rows = open_rows(validate_dataset(there), cache, n_parts=3)
    assert isinstance(rows, ClusterRows)
    kernel = (deadly_row_sum, (str(tmp_path), os.getpid())) if deadly else (row_sum, None)
    assert run(rows, kernel) == expected
    assert (tmp_path / "died").exists() == deadly
    del there, X
    wait_until(lambda: not any(client.has_what().values()))
