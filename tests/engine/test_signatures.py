"""Data that change between reads: found, and named by their chunk; the same data never."""

import shutil

import dask.array as da
import numpy as np
import pytest
from scipy import sparse
from tables import classes, dask_rows

from daskdsml.engine.signatures import Unchanged, signature
from daskdsml.linear_model import (
    ElasticNet,
    HuberRegressor,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    SGDClassifier,
    SGDRegressor,
)
from daskdsml.neural_network import MLPClassifier

X, Y, W = classes(600, 5)
STREAMED = [
    LogisticRegression(cache="none", solver="lbfgs"),
    LogisticRegression(cache="none", solver="newton", C=np.inf),
    LogisticRegressionCV(Cs=2, cv=2, cache="none"),
    PoissonRegressor(cache="none"),
    HuberRegressor(cache="none"),
    ElasticNet(0.01, solver="working_set", cache="none"),
    SGDClassifier(cache="none", max_iter=5, tol=None),
    SGDRegressor(cache="none", max_iter=5, tol=None),
    MLPClassifier((4,), cache="none", max_iter=3, tol=None, pool_bytes=1000, batch_size=20),
]
every_model = pytest.mark.parametrize("model", STREAMED, ids=lambda model: type(model).__name__)


def same(first, second):
    """Whether two reads of one chunk pass for the same."""
    unchanged = Unchanged()
    unchanged.check({0: signature(*first)})
    try:
        unchanged.check({0: signature(*second)})
    except ValueError:
        return False
    return True


def redrawn(array):
    """The array, to which noise of a hundredth is added anew at each read of its third chunk."""

    def noisy(block, block_info=None):
        draw = np.random.default_rng().normal(size=block.shape) / 100.0
        return block + draw * (block_info[0]["chunk-location"][0] == 2)

    return array.map_blocks(noisy, dtype=array.dtype, meta=array._meta)


@every_model
def test_data_drawn_anew_are_found_at_the_second_read(model):
    A, y = dask_rows(X, 6), dask_rows(Y, 6)
    with pytest.raises(ValueError, match="X has other numbers in (chunk 2|partition 0)"):
        model.fit(redrawn(A), y)
    model.fit(A, y)


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_targets_and_weights(cache):
    for part in ("y", "sample_weight"):
        y, w = dask_rows(Y.astype(float), 6), dask_rows(W, 6)
        y, w = (abs(redrawn(y)), w) if part == "y" else (y, abs(redrawn(w)))
        model = PoissonRegressor(cache=cache)
        if cache == "memory":  # one read serves all passes
            model.fit(dask_rows(X, 6), y, w)
            continue
        with pytest.raises(ValueError, match=f"{part} has other numbers in chunk 2"):
            model.fit(dask_rows(X, 6), y, w)


def test_a_chunk_that_is_lost_between_reads(tmp_path):
    pytest.importorskip("zarr")
    dask_rows(X, 6).to_zarr(tmp_path / "X.zarr")
    stored = da.from_zarr(tmp_path / "X.zarr")
    reads = []

    def losing(block):
        reads.append(block)
        if len(reads) == 8:
            for chunk in (*tmp_path.glob("X.zarr/c/3*"), *tmp_path.glob("X.zarr/3.*")):
                shutil.rmtree(chunk) if chunk.is_dir() else chunk.unlink()
        return block

    A = stored.map_blocks(losing, dtype=X.dtype, meta=np.empty((0, 0)))
    with pytest.raises(ValueError, match="X has other numbers in chunk 3"):
        LogisticRegression(cache="none", n_jobs=1).fit(A, dask_rows(Y, 6))


@pytest.mark.parametrize("real", [np.float64, np.float32])
def test_what_makes_a_difference(real):
    rng = np.random.default_rng(0)
    A = rng.normal(size=(1000, 6)) * 10.0 ** np.arange(0, -12, -2) + [5, 0, 0, 1e-6, 0, 0]
    A = A.astype(real)
    eps = np.finfo(real).eps
    rounded = (A * (1.0 + eps * rng.choice([-1, 0, 1], size=A.shape))).astype(real)
    assert same([A], [A.copy()]) and same([A], [rounded])
    assert same([np.asfortranarray(A)], [A])
    for j in range(A.shape[1]):
        other = A.copy()
        other[:, j] = rng.permutation(other[:, j])
        assert not same([A], [other])
        other[:, j] = 0.0
        assert not same([A], [other])
    one = A.copy()
    one[17, 3] *= 1.5
    assert not same([A], [one])
    assert not same([A], [A[:, [0, 1, 2, 3, 5, 4]]])
    assert not same([A], [A[:-1]])
    assert not same([A], [np.where(np.arange(1000)[:, None] == 5, np.nan, A)])
    assert same([A * np.nan], [A * np.nan]) and same([A * 0], [A * 0])


@pytest.mark.parametrize("shape", [(4000, 1), (4000, 5), (500, 200)])
def test_sums_that_cancel_are_not_changed_by_rounding(shape):
    rng, eps = np.random.default_rng(0), np.finfo(np.float32).eps
    for _ in range(60):
        A = rng.normal(size=shape).astype(np.float32)
        assert same([A], [A * (1 + eps * rng.choice([-1, 1], size=shape)).astype(np.float32)])


@pytest.mark.parametrize("n", [1, 23, 24, 25, 1000])
@pytest.mark.parametrize("p", [1, 5, 24, 60])
def test_each_number_of_a_chunk_counts(n, p):
    A = np.random.default_rng(n).normal(size=(n, p)) + 2.0
    rows = [0, n // 2, n - 1]
    for i in rows:
        other = A.copy()
        other[i, -1] *= 1.001
        assert not same([A], [other])
        others = [i, (i + 1) % n, (i + 24 // p) % n, n - 1 - i]
        for k in others:
            other = A.copy()
            other[[i, k]] = other[[k, i]]
            assert same([A], [other]) == (i == k)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("real", [np.float64, np.float32])
def test_chunks_that_are_joined_are_signed_one_by_one(kind, real):
    rng, lengths = np.random.default_rng(0), [30, 0, 1, 400, 7]
    A = (rng.normal(size=(sum(lengths), 5)) * (rng.random((sum(lengths), 5)) > 0.3)).astype(real)
    y = rng.integers(0, 3, len(A))
    before = signature(kind(A), y, None, lengths)
    assert [None if codes is None else codes.shape for codes in before] == [(5,), (5,), None]
    for place, row in enumerate([29, None, 30, 31, 437]):
        if row is None:
            continue
        for part in ("X", "y"):
            other, labels = A.copy(), y.copy()
            other[row] += part == "X"
            labels[row] += part == "y"
            unchanged = Unchanged()
            unchanged.check({3: before})
            with pytest.raises(ValueError, match=f"{part} has other numbers in chunk {place} "):
                unchanged.check({3: signature(kind(other), labels, None, lengths)})
    noise = (1.0 + np.finfo(real).eps * rng.choice([-1, 0, 1], A.shape)).astype(real)
    unchanged.check({3: signature(kind(A * noise), y, None, lengths)})


def test_other_kinds_of_numbers_and_labels():
    A = sparse.random(200, 30, 0.1, format="csr", random_state=0)
    other = sparse.csr_matrix((A.data, np.roll(A.indices, 1), A.indptr), shape=A.shape)
    images = np.random.default_rng(0).integers(0, 255, (50, 3, 8, 8)).astype(np.uint8)
    words = np.array(["ham", "spam", "eggs"])[np.arange(200) % 3]
    assert same([A], [A.copy()]) and not same([A], [other])
    assert same([images], [images]) and not same([images], [images[::-1]])
    for labels in (words, words.astype(object)):
        assert same([A, labels], [A, labels.copy()])
        assert not same([A, labels], [A, np.roll(labels, 1)])
    assert same([A[:0], words[:0]], [A[:0], words[:0]])


def test_on_a_cluster(client):
    A, y = dask_rows(X, 6), dask_rows(Y, 6)
    # Not made of an array here, whose blocks would be sent, and so read once.
    made = da.map_blocks(
        lambda block, block_info=None: np.random.default_rng().normal(size=(100, 5)),
        da.zeros((600, 5), chunks=(100, 5)),
        dtype=float,
        meta=np.empty((0, 0)),
    )
    with pytest.raises(ValueError, match="X has other numbers in chunk 0"):
        LogisticRegression(cache="none").fit(made, y)
    LogisticRegression(cache="none").fit(A, y)
