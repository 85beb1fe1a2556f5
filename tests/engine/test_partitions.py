"""Partitions of examples and the slots their rows come into: dtypes, sources and what they take."""

import tracemalloc
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from batch_kernels import column_sums, met
from scipy import sparse
from tables import Source, dask_rows, network_rows, peak_bytes, wait_until

import daskdsml
from daskdsml.engine import memory
from daskdsml.engine.minibatch import shuffle_buffer, transfer
from daskdsml.engine.minibatch.actor_pool import ActorPool
from daskdsml.engine.minibatch.batches import open_batches
from daskdsml.engine.minibatch.row_buffer import RowBlock, RowBuffer, row_bytes
from daskdsml.linear_model import LinearRegression


def filled(*chunks, capacity=0, **parts):
    """RowBuffer with rows of X, or of another part, one chunk after the other."""
    slots, start = RowBuffer(capacity), 0
    for chunk in chunks:
        rows = RowBlock(**{"X": np.zeros((chunk.shape[0], 1)), **{parts.get("name", "X"): chunk}})
        slots.put(np.arange(start, start + rows.n_rows), rows)
        start += rows.n_rows
    return slots


@pytest.mark.parametrize("kind", [np.array, sparse.csr_matrix])
@pytest.mark.parametrize("dtypes", [("f4", "f8"), ("f8", "f4"), ("i4", "f4"), ("u1", "i8")])
def test_slots_hold_every_dtype_that_comes(kind, dtypes):
    X = np.random.default_rng(0).normal(size=(6, 3)) * 40
    first, second = X[:4].astype(dtypes[0]), X[4:].astype(dtypes[1])
    found = filled(kind(first), kind(second)).take(np.arange(6)).X
    assert found.dtype == np.promote_types(*dtypes)
    np.testing.assert_array_equal(found, np.concatenate([first, second]))


@pytest.mark.parametrize("places", [np.array([3, 1, 2]), slice(1, 4)])
def test_rows_that_start_anywhere_are_not_copied_as_a_whole(places):
    X = np.arange(400_000, dtype=np.float32).reshape(-1, 4)
    odd = np.frombuffer(b"!" + X.tobytes(), np.float32, X.size, offset=1).reshape(X.shape)
    assert not odd.flags.aligned
    assert peak_bytes(lambda: RowBlock(odd).take(places)) < X.nbytes / 10
    found = RowBlock(odd).take(places).X
    assert found.flags.aligned
    np.testing.assert_array_equal(found, X[places])


def test_slots_never_cut_text():
    chunks = [np.array(["cat", "dog"]), np.array(["elephant"]), np.array(["ox", None], object)]
    found = filled(*chunks, name="y").take(np.arange(5)).y
    assert found.tolist() == ["cat", "dog", "elephant", "ox", None]


@pytest.mark.parametrize("odd", [np.array(["cat"]), np.array(["2020-01-01"], "M8[D]")])
def test_slots_refuse_parts_without_a_dtype_in_common(odd):
    with pytest.raises(ValueError, match="chunks of y must be of one kind, but one holds"):
        filled(np.array([1.5]), odd, name="y")


@pytest.mark.parametrize("n_entries", [0, 3, 60])
def test_bytes_of_sparse_slots_are_what_they_take(n_entries):
    X = sparse.random(4000, 500, n_entries / 500, format="csr", random_state=0)
    slots = RowBuffer(4000)
    # Other threads of the test run allocate as well: only what this package's lines hold counts.
    ours = tracemalloc.Filter(True, str(Path(daskdsml.__file__).parent / "*"), all_frames=True)
    tracemalloc.start(50)
    slots.put(np.arange(4000), RowBlock(X))
    snapshot = tracemalloc.take_snapshot().filter_traces([ours])
    tracemalloc.stop()
    taken = sum(trace.size for trace in snapshot.traces)
    assert slots.n_bytes == pytest.approx(taken, rel=0.05)
    assert row_bytes(RowBlock(X)) == slots.n_bytes / 4000
    assert slots.n_bytes <= 1.05 * (X.data.nbytes + X.indices.nbytes) + 48 * 4000
    places = np.random.default_rng(0).permutation(4000)[:50]
    np.testing.assert_array_equal(slots.take(places).X, X[places].toarray())
    np.testing.assert_array_equal(slots.take(slice(7, 9)).X, X[7:9].toarray())


def table(n=600):
    """X (n, 4) in float32 whose first column numbers the rows."""
    X = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    X[:, 0] = np.arange(n)
    return X


def opened(X, **options):
    return open_batches(network_rows(X), 64, seed=3, **options)


def numbers_of(batches, epoch):
    return [step.run(met, None).numbers for step in batches.epoch(epoch)]


@pytest.fixture
def small_pieces(monkeypatch):
    """Partitions of 50 rows of `table`, and data that go to a cluster however few they are."""
    monkeypatch.setattr(shuffle_buffer, "PARTITION_BYTES", 50 * 16)
    monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)


@pytest.mark.parametrize("density", [np.full(20, 0.02), np.linspace(0.01, 0.4, 20)])
def test_memory_of_sparse_rows_is_bounded_by_the_pool(small_pieces, density):
    chunks = [sparse.random(500, 100, d, format="csr", random_state=0) for d in density]
    parts = [
        da.from_array(c, chunks=(500, 100), asarray=False, name=f"c{i}-{density[i]}")
        for i, c in enumerate(chunks)
    ]
    pool_bytes = 0.5 * 10_000 * row_bytes(RowBlock(chunks[-1]))
    batches = opened(da.concatenate(parts), pool_bytes=pool_bytes, cache="none")
    held = [batches.n_bytes_held for _ in batches.epoch(0)]
    batches.close()
    assert max(held) <= pool_bytes
    assert max(held) > pool_bytes / 3


# Sources that pickle refuses.


class Stubborn:
    """An array-like source that only this process can read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim

    def __getitem__(self, index):
        return self.array[index]

    def __reduce__(self):
        raise RuntimeError("not for you")


@pytest.fixture(params=["hdf5", "stubborn"])
def unpicklable(request, tmp_path):
    """A Dask Array of 12 chunks of `table`."""
    if request.param == "stubborn":
        yield da.from_array(Stubborn(table()), chunks=(50, 4))
        return
    h5py = pytest.importorskip("h5py", reason="needs the extra 'io'")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["X"] = table()
    with h5py.File(tmp_path / "x.h5", "r") as file:
        yield da.from_array(file["X"], chunks=(50, 4))


@pytest.mark.parametrize("cache", ["auto", "none"])
@pytest.mark.parametrize("scheduler", ["threads", "processes", "cluster"])
def test_sources_that_do_not_pickle(small_pieces, unpicklable, cache, scheduler, request):
    if scheduler == "cluster":
        request.getfixturevalue("client")
        scheduler = None
    found = []
    for X, name in ((unpicklable, scheduler), (dask_rows(table(), 12), "threads")):
        with dask.config.set(scheduler=name):
            batches = opened(X, pool_bytes=3000, cache=cache)
            found.append((numbers_of(batches, 0), batches.run(column_sums, None, "sum").tobytes()))
            batches.close()
    assert found[0] == found[1]


def test_shuffled_sources_that_do_not_pickle(small_pieces, client):
    X = da.from_array(Stubborn(table()), chunks=(50, 4))[np.random.default_rng(0).permutation(600)]
    batches = opened(X, pool_bytes=3000, cache="memory")
    assert sorted(np.concatenate(numbers_of(batches, 0)).tolist()) == list(range(600))
    batches.close()


def test_some_chunks_that_do_not_pickle(small_pieces, client):
    parts = [da.from_array(Stubborn(table()), chunks=(50, 4)), da.ones((100, 4), chunks=(100, 4))]
    batches = opened(da.concatenate(parts).astype(np.float32))
    with pytest.raises(TypeError, match="must pickle, but does not: .*not for you.*dask.delayed"):
        numbers_of(batches, 0)
    batches.close()


def test_linear_models_of_sources_that_do_not_pickle(small_pieces, unpicklable, client):
    y = table() @ np.arange(4.0)
    model = LinearRegression().fit(unpicklable, dask_rows(y, 12))
    np.testing.assert_allclose(model.coef_, np.arange(4.0), atol=1e-6)


# Partitions that Dask makes.


@pytest.mark.parametrize("cache, reads", [("memory", 1), ("none", 4)])
def test_how_often_shared_work_is_made_on_workers(small_pieces, client, tmp_path, cache, reads):
    source = Source(tmp_path, n_blocks=12, rows=50, p=4)
    X = source.table()[0][np.random.default_rng(0).permutation(600)]
    batches = opened(X, pool_bytes=6000, cache=cache)
    for epoch in range(3):
        assert len(numbers_of(batches, epoch)) == 10
    batches.run(column_sums, None, "sum")
    assert source.reads() == reads
    assert batches.n_rows_read == reads * 600
    wait_until(lambda: not pieces_held(client))
    batches.close()


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_dask_holds_no_pieces_of_persisted_data(small_pieces, client, cache):
    X = client.persist(da.random.random((600, 4), chunks=(50, 4)))
    batches = opened(X, pool_bytes=6000, cache=cache)
    for _ in range(2):
        batches.run(column_sums, None, "sum")
        numbers_of(batches, 0)
    wait_until(lambda: not pieces_held(client))
    batches.close()
    del batches
    assert len(client.who_has(X)) == 12


def pieces_held(client):
    """Keys of partitions that workers hold for Dask."""
    return [key for keys in client.has_what().values() for key in keys if "as_rows" in str(key)]


@pytest.mark.parametrize("passes_first", [True, False])
def test_rows_are_sent_a_few_at_a_time(small_pieces, client, monkeypatch, passes_first):
    monkeypatch.setattr(transfer, "RUN_BYTES", 100 * 16)
    sizes = []
    ask = ActorPool.ask

    def spy(self, method, requests, token=None):
        for sources, *_ in requests.values():
            sizes.append(sum(source.rows.n_rows for source in sources.values()))
        return ask(self, method, requests, token)

    monkeypatch.setattr(ActorPool, "ask", spy)
    batches = opened(table(), pool_bytes=2**20)
    if passes_first:
        batches.run(column_sums, None, "sum")
    assert sorted(sum(numbers_of(batches, 0), [])) == list(range(600))
    batches.close()
    assert sum(sizes) == 600 and max(sizes) == 100
