"""Mini-batches: which rows they have, what is in memory meanwhile, lost workers, faults."""

import os
import threading

import dask
import dask.array as da
import numpy as np
import pytest
from batch_kernels import DeadlyMeeting, DeadlyPass, column_sums, failing, key_of, met, weighed
from scipy import sparse
from tables import Source, csr_rows, dask_rows, network_rows, wait_until

from daskdsml.data.windows import WindowedSequences
from daskdsml.engine import memory
from daskdsml.engine.minibatch import actor_pool, shuffle_buffer
from daskdsml.engine.minibatch.batches import LocalBatches, open_batches
from daskdsml.engine.minibatch.cluster import ClusterBatches

N = 1500


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Partitions of 50 rows of `numbered`, so that small data have many of them."""
    monkeypatch.setattr(shuffle_buffer, "PARTITION_BYTES", 50 * 16)


def numbered(n=N):
    """X (n, 4) in float32 whose first column numbers the rows."""
    X = np.zeros((n, 4), dtype=np.float32)
    X[:, 0] = np.arange(n)
    X[:, 1] = np.arange(n) % 7
    return X


KINDS = {
    "numpy": lambda X: X,
    "csr": sparse.csr_matrix,
    "dask": lambda X: dask_rows(X, 23),
    "columns": lambda X: da.from_array(X, chunks=(70, 3)),
    "one row": lambda X: da.from_array(X, chunks=((1,) * 40 + (len(X) - 40,), 4)),
    "dask csr": lambda X: csr_rows(X, 23),
    "rechunked": lambda X: dask_rows(X, 23).rechunk((64, 4)),
    "shuffled": lambda X: dask_rows(X, 23)[np.random.default_rng(0).permutation(len(X))],
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def opened(X, size=64, seed=3, y=None, **options):
    return open_batches(network_rows(X, y), size, seed=seed, **options)


def epoch_of(batches, epoch):
    """The rows of each batch of an epoch, by their numbers."""
    found = [step.run(met, None) for step in batches.epoch(epoch)]
    assert all(len(f.rows) == f.size for f in found)
    return [f.numbers for f in found]


@pytest.mark.parametrize("pool_bytes", [6000, 2**28], ids=["sliding", "whole"])
@pytest.mark.parametrize("cache", ["auto", "none"])
@every_kind
def test_each_row_once_an_epoch(kind, cache, pool_bytes):
    batches = opened(KINDS[kind](numbered()), pool_bytes=pool_bytes, cache=cache)
    first, second = epoch_of(batches, 0), epoch_of(batches, 1)
    again = epoch_of(batches, 0)
    batches.close()
    assert [len(rows) for rows in first] == [64] * 23 + [N - 23 * 64]
    assert batches.steps_per_epoch == len(first) and batches.n_rows == N
    for epoch in (first, second):
        assert sorted(sum(epoch, [])) == list(range(N))
    assert first == again
    assert first != second


@every_kind
def test_rows_in_order_where_they_are_not_shuffled(kind):
    for pool_bytes in (6000, 2**28):
        batches = opened(KINDS[kind](numbered()), pool_bytes=pool_bytes, shuffle=False)
        met_rows = sum(epoch_of(batches, 0), [])
        order = batches.run(in_order, None, "order")
        batches.close()
        assert met_rows == list(order)
        if kind != "shuffled":
            assert met_rows == list(range(N))


def in_order(state, batch):
    yield from ()
    return tuple(batch.X[:, 0].tolist())


def test_arrays_in_memory_and_small_dask_arrays_are_shuffled_alike():
    X = numbered()
    found = []
    for kind in ("numpy", "csr", "dask", "columns", "dask csr"):
        batches = opened(KINDS[kind](X))
        found.append(epoch_of(batches, 5))
        batches.close()
    assert all(rows == found[0] for rows in found)


def test_batches_depend_neither_on_cache_nor_threads():
    X, found = dask_rows(numbered(), 23), []
    for options in ({"cache": "none"}, {"cache": "memory"}, {"n_jobs": 2}):
        batches = opened(X, pool_bytes=6000, **options)
        found.append((epoch_of(batches, 2), batches.run(column_sums, None, "sum").tobytes()))
        batches.close()
    assert found[0] == found[1] == found[2]
    other = opened(X, pool_bytes=6000, seed=4)
    assert epoch_of(other, 2) != found[0][0]
    other.close()


def test_keys_tell_seed_epoch_and_step():
    batches = opened(numbered(), seed=8)
    keys = [step.run(key_of, None) for step in batches.epoch(2)]
    batches.close()
    assert keys[0] == {(8, 2, 0), 64} and keys[-1] == {(8, 2, 23), N - 23 * 64}


@pytest.mark.parametrize("size", [1, N, 10 * N])
def test_batches_of_one_row_and_of_all(size):
    for pool_bytes in (6000, 2**28):
        batches = opened(dask_rows(numbered(), 23), size=size, pool_bytes=pool_bytes)
        found = epoch_of(batches, 0)
        batches.close()
        assert len(found) == (N if size == 1 else 1)
        assert sorted(sum(found, [])) == list(range(N))


def test_all_parts_stay_aligned():
    n, T = 600, 5
    rng = np.random.default_rng(0)
    X = rng.integers(0, 255, size=(n, T, 3), dtype=np.uint8)
    y, w, mask = rng.normal(size=n), rng.uniform(size=n), rng.random((n, T)) > 0.3
    expected = (X * (y * w)[:, None, None]).sum(axis=0).ravel()
    for pool_bytes in (3000, 2**28):
        examples = network_rows(
            da.from_array(X, chunks=(47, 2, 3)), dask_rows(y, 3), w, da.from_array(mask, chunks=100)
        )
        batches = open_batches(examples, 50, seed=0, pool_bytes=pool_bytes)
        total = sum(step.run(aligned, None) for step in batches.epoch(0))
        assert next(batches.epoch(1)).batch.X.dtype == np.uint8
        batches.close()
        np.testing.assert_allclose(total[:-1], expected, rtol=1e-10)
        assert total[-1] == (X * mask[:, :, None]).sum()


def aligned(state, batch):
    yield from ()
    part = (batch.X * (batch.y * batch.w)[:, None, None]).sum(axis=0).ravel()
    return np.append(part, (batch.X * batch.mask[:, :, None]).sum())


def test_batches_of_sorted_labels_mix():
    n, K = 20_000, 10
    X = np.repeat(np.arange(K, dtype=np.float32), n // K)[:, None].repeat(4, axis=1)
    # A quarter of the data fits into the pool.
    batches = opened(dask_rows(X, 200), size=100, pool_bytes=X.nbytes / 4)
    found = [step.run(met, None).numbers for step in batches.epoch(0)]
    batches.close()
    counts = np.array([np.bincount(np.int64(rows), minlength=K) for rows in found[:-20]])
    # One draw from all rows would have a standard deviation of 3 rows a class.
    assert counts.mean(axis=0).max() < 14
    assert counts.std(axis=0).max() < 6
    assert ((counts > 0).sum(axis=1) >= 7).all()


def test_memory_is_bounded_by_the_pool():
    X, pool_bytes = dask_rows(numbered(60_000), 300), 2**17
    batches = opened(X, pool_bytes=pool_bytes, cache="none")
    held = [batches.n_bytes_held for _ in batches.epoch(0)]
    assert max(held) <= pool_bytes
    assert max(held) > pool_bytes / 2
    assert batches.n_rows_read == 60_000
    batches.close()
    assert batches.n_bytes_held == 0


def test_a_pool_holds_two_of_the_largest_pieces():
    layout = shuffle_buffer.lay_out([1000] * 10, 16, 64, pool_bytes=100, in_memory=False)
    assert layout.capacity == 2000 and not layout.whole
    assert shuffle_buffer.lay_out([1000] * 10, 16, 64, 160_000, False).whole


def test_pieces_join_small_chunks():
    groups = shuffle_buffer.joined([10, 0, 20, 30, 500, 0, 7, 0], 16)
    assert groups == [[0, 1, 2, 3], [4], [5, 6, 7]]
    assert shuffle_buffer.joined([0, 50, 0], 16) == [[0, 1, 2]]


def test_the_next_piece_is_read_while_a_batch_is_met():
    readers = set()

    def read(i):
        readers.add(threading.current_thread())
        return numbered(N)[50 * i : 50 * (i + 1)]

    parts = [da.from_delayed(dask.delayed(read)(i), (50, 4), np.float32) for i in range(30)]
    batches = opened(da.concatenate(parts), pool_bytes=4000, cache="none", size=10)
    steps = batches.epoch(0)
    next(steps)
    wait_until(lambda: batches.n_rows_read >= 250)
    # Room for 200 rows, and one more partition.
    assert batches.n_rows_read == 250
    assert threading.main_thread() in readers and len(readers) == 2
    steps.close()
    batches.close()


@pytest.mark.parametrize("cache, pool_bytes, reads", [
    ("auto", 6000, 1), ("auto", 2**28, 1), ("none", 6000, 4), ("none", 2**28, 4),
])  # fmt: skip
def test_how_often_the_source_is_read(tmp_path, cache, pool_bytes, reads):
    source = Source(tmp_path, n_blocks=12, rows=100, p=5)
    batches = opened(source.table()[0], cache=cache, pool_bytes=pool_bytes)
    for epoch in range(3):
        assert len(list(batches.epoch(epoch))) == batches.steps_per_epoch
    batches.run(column_sums, None, "sum")
    assert source.reads() == reads == batches.n_rows_read / batches.n_rows
    batches.close()


@pytest.mark.parametrize("kind", ["windows", "rechunked", "shuffled"])
def test_shared_work_is_made_once_if_it_fits(tmp_path, kind):
    source = Source(tmp_path, n_blocks=12, rows=100, p=5)
    X, _ = source.table()
    X = {
        "windows": lambda: WindowedSequences(X, 20),
        "rechunked": lambda: X.rechunk((90, 5)),
        "shuffled": lambda: X[np.random.default_rng(0).permutation(1200)],
    }[kind]()
    batches = opened(X, cache="memory")
    for epoch in range(2):
        list(batches.epoch(epoch))
    batches.close()
    assert source.reads() <= (1 if kind == "shuffled" else 2.1)


def test_a_pass_is_the_same_whatever_is_in_memory():
    X = np.random.default_rng(0).normal(size=(N, 4))
    found = []
    for cache in ("none", "memory"):
        batches = opened(dask_rows(X, 23), cache=cache)
        found.append(batches.run(column_sums, None, "before"))
        list(batches.epoch(0))
        found.append(batches.run(column_sums, None, "after"))
        batches.close()
    assert len({sums.tobytes() for sums in found}) == 1
    np.testing.assert_allclose(found[0], X.sum(axis=0), rtol=1e-12, atol=1e-9)


def test_errors_of_reads_and_kernels_reach_the_user():
    def broken(i):
        if i == 20:
            raise OSError("disk is gone")
        return numbered(50)

    parts = [da.from_delayed(dask.delayed(broken)(i), (50, 4), np.float32) for i in range(30)]
    for pool_bytes in (4000, 2**28):
        batches = opened(da.concatenate(parts), pool_bytes=pool_bytes)
        with pytest.raises(OSError, match="disk is gone"):
            list(batches.epoch(0))
        with pytest.raises(OSError, match="disk is gone"):
            batches.run(column_sums, None, "sum")
        batches.close()
    batches = opened(numbered())
    with pytest.raises(ArithmeticError, match=r"no step \(3, 0, 0\)"):
        next(batches.epoch(0)).run(failing, None)


def test_chunks_of_other_lengths_than_announced():
    X = da.from_delayed(dask.delayed(numbered)(90), (100, 4), np.float32)
    batches = opened(X)
    with pytest.raises(ValueError, match="90 rows where 100 were announced"):
        next(batches.epoch(0))
    batches.close()


@pytest.mark.parametrize("options, message", [
    ({"size": 0}, "batch_size=0"), ({"size": 2.5}, "batch_size=2.5"),
    ({"pool_bytes": 0}, "pool_bytes=0"), ({"cache": "disk"}, "Unknown cache 'disk'"),
])  # fmt: skip
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        opened(numbered(), **options)


def test_from_zarr(tmp_path):
    pytest.importorskip("zarr", reason="needs the extra 'zarr'")
    da.from_array(numbered(), chunks=(100, 4)).to_zarr(str(tmp_path / "x.zarr"))
    batches = opened(da.from_zarr(str(tmp_path / "x.zarr")), pool_bytes=6000, cache="none")
    assert sorted(sum(epoch_of(batches, 0), [])) == list(range(N))
    batches.close()


# On a cluster.

PLACES = ["sent", "numpy", "made", "rechunked", "shuffled", "persisted", "csr"]


def on_cluster(client, place, monkeypatch, tmp_path, **options):
    """Batches on the workers, and the same data for this process."""
    X = numbered(600)
    if place in ("sent", "numpy"):
        monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)
        here = there = dask_rows(X, 12) if place == "sent" else X
    elif place == "csr":
        monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)
        here = there = csr_rows(X, 12)
    else:
        here = Source(tmp_path, n_blocks=12, rows=50, p=4).table()[0]
        if place == "rechunked":
            here = here.rechunk((44, 4))
        if place == "shuffled":
            here = here[np.random.default_rng(0).permutation(600)]
        there = client.persist(here) if place == "persisted" else here
    batches = opened(there, **options)
    assert isinstance(batches, ClusterBatches)
    with dask.config.set(scheduler="threads"):
        alone = opened(here, **options)
    assert isinstance(alone, LocalBatches)
    return batches, alone


@pytest.fixture
def patient():
    """Keep the cluster from giving up a worker that two tests kill within 15 seconds."""
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"}):
        yield


@pytest.mark.parametrize(
    "place, pool_bytes",
    [(place, 3000) for place in PLACES]
    + [(place, 2**28) for place in ("numpy", "made", "persisted")],
)
def test_the_same_batches_on_workers(client, place, pool_bytes, monkeypatch, tmp_path):
    batches, alone = on_cluster(client, place, monkeypatch, tmp_path, pool_bytes=pool_bytes)
    before = batches.run(column_sums, None, "sum")
    for epoch in (0, 1):
        assert epoch_of(batches, epoch) == epoch_of(alone, epoch)
    after = batches.run(column_sums, None, "sum")
    assert before.tobytes() == after.tobytes() == alone.run(column_sums, None, "sum").tobytes()
    assert batches.n_rows_read > 0
    batches.close()
    alone.close()


@pytest.mark.parametrize("place, cache, pool_bytes", [
    ("made", "none", 3000), ("made", "memory", 2**28), ("persisted", "none", 3000),
    ("shuffled", "memory", 2**28), ("sent", "memory", 3000),
])  # fmt: skip
def test_a_worker_killed_in_a_step(
    client, patient, place, cache, pool_bytes, monkeypatch, tmp_path
):
    options = {"pool_bytes": pool_bytes, "cache": cache}
    batches, alone = on_cluster(client, place, monkeypatch, tmp_path, **options)
    deadly = DeadlyMeeting(str(tmp_path), os.getpid(), 4)
    found = [step.run(deadly, None).numbers for step in batches.epoch(0)]
    assert (tmp_path / "died").exists()
    assert found == epoch_of(alone, 0)
    assert epoch_of(batches, 1) == epoch_of(alone, 1)
    batches.close()
    alone.close()


def test_a_worker_killed_in_a_pass(client, patient, monkeypatch, tmp_path):
    batches, alone = on_cluster(client, "made", monkeypatch, tmp_path)
    found = batches.run(DeadlyPass(str(tmp_path), os.getpid()), None, "sum")
    assert (tmp_path / "died").exists()
    assert found.tobytes() == alone.run(column_sums, None, "sum").tobytes()
    assert epoch_of(batches, 0) == epoch_of(alone, 0)
    batches.close()
    alone.close()


def test_workers_that_are_lost_again_and_again(client, patient, monkeypatch, tmp_path):
    monkeypatch.setattr(actor_pool, "RESENDS", 1)
    batches, alone = on_cluster(client, "made", monkeypatch, tmp_path)
    deadly = DeadlyMeeting(str(tmp_path), os.getpid(), 0)
    with pytest.raises(RuntimeError, match="lost 1 times during a step: .* Look at the logs"):
        next(batches.epoch(0)).run(deadly, None)
    assert epoch_of(batches, 0) == epoch_of(alone, 0)
    batches.close()
    alone.close()


def test_sums_over_places_are_those_of_the_whole_batch(client, monkeypatch):
    monkeypatch.setattr(memory, "MIN_CLUSTER_BYTES", 0)
    rng = np.random.default_rng(0)
    X = da.from_array(rng.normal(size=(600, 5, 3)), chunks=(50, 5, 3))
    examples = network_rows(
        X, rng.normal(size=600), rng.uniform(size=600), rng.random((600, 5)) > 0.5
    )
    found = []
    for scheduler in (None, "threads"):
        with dask.config.set(scheduler=scheduler):
            batches = open_batches(examples, 64, seed=0)
        found.append([step.run(weighed, np.arange(1.0, 16.0)) for step in batches.epoch(0)])
        found[-1][0] *= 2.0  # what comes back can be changed in place
        batches.close()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-10)


def test_errors_of_workers_and_nothing_left_on_them(client, monkeypatch, tmp_path):
    batches, alone = on_cluster(client, "made", monkeypatch, tmp_path)
    with pytest.raises(ArithmeticError, match=r"no step \(3, 0, 0\)"):
        next(batches.epoch(0)).run(failing, None)
    with pytest.raises(ArithmeticError, match="no step"):
        batches.run(failing, None, "fails")
    assert epoch_of(batches, 1) == epoch_of(alone, 1)
    batches.close()
    alone.close()
    wait_until(lambda: not any(client.has_what().values()))


def test_small_data_stay_home(client):
    assert isinstance(opened(numbered()), LocalBatches)
    assert isinstance(opened(dask_rows(numbered(40_000), 3)), LocalBatches)
