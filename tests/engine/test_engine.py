"""The engine in this process: tasks, reads that are counted, and the same bits however."""

import pickle

import dask
import dask.array as da
import numpy as np
import pytest
from tables import Source, dask_rows, in_turn, row_sum

from daskdsml.data.dataset import Dataset
from daskdsml.data.validation import validate_dataset
from daskdsml.engine import chunk_tasks
from daskdsml.engine.full.rows import open_rows
from daskdsml.engine.full.shards import Stream
from daskdsml.linear_model import LinearRegression, LogisticRegression, Ridge

MODELS = {"ols": LinearRegression, "ridge": Ridge, "logistic": LogisticRegression}
every_model = pytest.mark.parametrize("name", MODELS)


def table_of(X, y=None, w=None):
    return validate_dataset(X, y, w)


def test_recipes_make_the_chunks():
    X = np.arange(24.0).reshape(8, 3)
    table = table_of(da.from_array(X, chunks=(3, 2)) + 1, dask_rows(X[:, 0], 2))
    cut = chunk_tasks.cut(table.row_parts)
    assert (cut.shared, cut.held) == (False, False)
    streams = [Stream(0, cut.chunks[:1]), Stream(1, cut.chunks[1:])]
    sent = pickle.loads(pickle.dumps(chunk_tasks.SentRecipes(streams)))
    blocks = [read() for i in (0, 1) for read in sent.reader(i, Stream(i, ())).chunks]
    rows = [np.concatenate(columns, axis=1) for columns, *_ in blocks]
    np.testing.assert_array_equal(np.concatenate(rows), X + 1)
    np.testing.assert_array_equal(np.concatenate([y for _, y, *_ in blocks]), X[:, 0])
    assert [others for _, _, *others in blocks] == [[None, None]] * 3


def test_recipes_know_shared_work():
    X = da.ones((40, 2), chunks=(10, 2))
    assert not chunk_tasks.cut(table_of(X * 2).row_parts).shared
    assert chunk_tasks.cut(table_of(X.map_blocks(np.cumsum).rechunk((4, 2))).row_parts).shared
    assert chunk_tasks.cut(table_of(X - X.mean(axis=0)).row_parts).shared


def test_recipes_know_what_carries_the_data(tmp_path):
    held = table_of(dask_rows(np.random.default_rng(0).normal(size=(20_000, 10)), 4))
    made = table_of(Source(tmp_path, 4, 5000, 10).table()[0])
    for table, carries in ((held, True), (made, False)):
        cut = chunk_tasks.cut(table.row_parts)
        assert chunk_tasks.only_here(cut, chunk_tasks.chunk_bytes(table)) == carries


def test_small_blocks_are_joined_before_kernels_see_them():
    X = dask_rows(np.ones((1000, 4)), 100)
    sizes = []

    def kernel(state, block):
        sizes.append(block.X.shape[0])
        return block.X.sum(axis=0)

    open_rows(table_of(X), "none").run(kernel, None, "test")
    assert sizes == [1000]


@pytest.mark.parametrize("cache", ["none", "memory", "auto"])
@every_model
def test_reads_are_as_often_as_told(name, cache, tmp_path):
    source = Source(tmp_path, 6, 2000, 5)
    X, y = source.table()
    mine = MODELS[name](cache=cache).fit(X, y)
    assert source.reads() == (mine.n_passes_ if cache == "none" else 1)
    passes = len(mine.history_)
    assert mine.n_passes_ == (1 if name != "logistic" else passes)
    assert source.reads() == 1 or name == "logistic"


@every_model
def test_x_and_y_cut_from_one_source_are_read_once(name, tmp_path):
    source = Source(tmp_path, 6, 500, 5)
    X, y = source.joint()
    mine = MODELS[name](cache="none").fit(X, y)
    assert source.reads() == mine.n_passes_


@pytest.mark.parametrize("name", ["ols", "ridge"])
def test_least_squares_reads_once(name, tmp_path):
    source = Source(tmp_path, 6, 500, 5)
    mine = MODELS[name](cache="none").fit(*source.table())
    assert source.reads() == mine.n_passes_ == 1


def test_logistic_reads_four_times_with_a_sample_to_start_from(tmp_path):
    source = Source(tmp_path, 30, 4000, 5)
    mine = LogisticRegression(cache="none").fit(*source.table())
    assert source.reads() == mine.n_passes_
    assert mine.n_passes_ <= 4


def test_unknown_lengths_are_counted_as_a_read(tmp_path):
    source = Source(tmp_path, 6, 500, 5)
    X, y = source.table()
    X = X[da.ones(3000, chunks=500, dtype=bool)]
    mine = Ridge(cache="none").fit(X, np.zeros(3000))
    assert source.reads() == mine.n_passes_ == 2


@every_model
def test_a_score_is_one_read_and_predictions_are_none(name, tmp_path):
    source = Source(tmp_path, 6, 500, 5)
    X, y = source.table()
    mine = MODELS[name](cache="memory").fit(X, y)
    assert source.reads() == 1
    mine.score(X, y)
    assert source.reads() == 2
    predicted = mine.predict(X)
    assert source.reads() == 2
    predicted.compute()
    assert source.reads() == 3


PLACES = [
    {"scheduler": "synchronous"},
    {"scheduler": "threads", "num_workers": 1},
    {"scheduler": "threads", "num_workers": 2},
    {"scheduler": "threads", "num_workers": 5},
]


def big_table():
    """X, y in 23 uneven chunks, some of them empty: 5 MB, which makes several shards."""
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(16_000, 40)), rng.uniform(size=16_000)
    y = (X[:, 0] + rng.logistic(size=16_000) > 0).astype(int)
    borders = np.sort(rng.integers(0, 16_000, size=22))
    chunks = tuple(int(n) for n in np.diff([0, *borders, borders[-1], 16_000]))
    return (
        da.from_array(X, chunks=(chunks, 40)),
        da.from_array(y, chunks=(chunks,)),
        da.from_array(weights, chunks=(chunks,)),
    )


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@every_model
def test_same_bits_on_every_local_scheduler(name, backend):
    X, y, w = big_table()
    found = set()
    for place in PLACES:
        for cache in ("none", "memory"):
            with dask.config.set(**place):
                mine = MODELS[name](cache=cache, backend=backend).fit(X, y, w)
            found.add(mine.coef_.tobytes() + np.asarray(mine.intercept_).tobytes())
    assert len(found) == 1


@every_model
def test_same_bits_in_other_processes(name):
    X, y, w = big_table()
    here = MODELS[name](cache="none").fit(X, y, w)
    with dask.config.set(scheduler="processes", num_workers=2):
        there = MODELS[name](cache="none").fit(X, y, w)
        with pytest.raises(ValueError, match="cache='memory' keeps blocks in this process"):
            MODELS[name](cache="memory").fit(X, y, w)
    assert here.coef_.tobytes() == there.coef_.tobytes()


def test_same_bits_of_an_array_in_memory_with_any_number_of_threads():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150_000, 16))  # 19 MB: three blocks
    y = X @ np.ones(16) + rng.normal(size=150_000)
    found = {LinearRegression(n_jobs=n).fit(X, y).coef_.tobytes() for n in (None, 1, 2, 3)}
    assert len(found) == 1


def test_rows_count_what_they_read():
    X = np.ones((100, 3))
    rows = open_rows(Dataset(X, None, None), "none")
    for passes in (1, 2):
        np.testing.assert_array_equal(rows.run(row_sum, None, "test"), [100.0] * 3)
        assert (rows.n_rows_read, rows.read.n_bytes) == (100 * passes, X.nbytes * passes)
    doubled = rows.map(double)
    np.testing.assert_array_equal(doubled.run(row_sum, None, "test"), [200.0] * 3)
    assert doubled.n_rows_read == 300


def double(block):
    return block._replace(X=2 * block.X)


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_a_fold_meets_shards_in_the_order_given(cache):
    X, y, _ = big_table()
    tables = [table_of(X, y), table_of(X.rechunk((3000, 40)), y)]  # streams; shared work upstream
    for table in tables:
        rows = open_rows(table, cache)
        order = [*range(rows.n_shards)][::-1]
        assert len(order) > 2
        parts = [rows.fold(in_turn, 0.0, [i], "test") for i in range(rows.n_shards)]
        one_by_one = 0.0
        for i in order:
            one_by_one = rows.fold(in_turn, one_by_one, [i], "test")
        read = rows.n_rows_read
        found = rows.fold(in_turn, 0.0, order, "test")
        assert found.tobytes() == one_by_one.tobytes() != parts[0].tobytes()
        assert rows.n_rows_read == read + 16_000


@pytest.mark.parametrize("place", [*PLACES, {"scheduler": "processes", "num_workers": 2}])
def test_a_fold_has_the_same_bits_on_every_local_scheduler(place):
    X, y, _ = big_table()
    with dask.config.set(**place):
        rows = open_rows(table_of(X, y), "none")
        found = rows.fold(in_turn, 0.0, range(rows.n_shards), "test")
        rows.close()
    here = 0.0
    for block in _blocks_of(table_of(X, y)):
        here = in_turn(here, block)
    assert found.tobytes() == here.tobytes()


def _blocks_of(table):
    return open_rows(table, "none").run(lambda state, block: [block], None, "test")
