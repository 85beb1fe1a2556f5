"""Examples of any rank: how they are checked, labelled and split."""

import dask
import dask.array as da
import numpy as np
import pytest
from scipy import sparse
from tables import Source, dask_rows, network_rows

from daskdsml.data.dataset import plain
from daskdsml.data.folds import split
from daskdsml.data.labels import classes_of, encode


def images(n=60, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 200, size=(n, 4, 3)).astype(dtype)


def frames_of(X):
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame(X)
    return frame, dd.from_pandas(frame, npartitions=4)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32, bool])
def test_x_stays_in_its_dtype(dtype):
    X = images(dtype=dtype)
    for given in (X, da.from_array(X, chunks=(7, 2, 2))):
        examples = network_rows(given)
        assert examples.X.dtype == dtype
        assert examples.n_rows == 60 and examples.in_shape == (4, 3)
        assert examples.stored_bytes == X.nbytes
        assert examples.is_local == isinstance(given, np.ndarray)
        np.testing.assert_array_equal(examples.X, X)


def test_all_kinds_of_tables():
    X = np.random.default_rng(0).normal(size=(40, 3))
    frame, lazy = frames_of(X)
    for given in (X.tolist(), frame, lazy, sparse.csr_matrix(X), sparse.coo_array(X)):
        examples = network_rows(given, X[:, 0], 2.0)
        found = examples.X.toarray() if sparse.issparse(examples.X) else np.asarray(examples.X)
        np.testing.assert_array_equal(found, X)
        np.testing.assert_array_equal(examples.w, np.full(40, 2.0))
        assert examples.extra_reads == int(given is lazy)


def test_parts_get_the_chunks_of_x():
    X, rng = images(), np.random.default_rng(0)
    y, mask = rng.integers(0, 3, (60, 4)), rng.random((60, 4)) > 0.5
    lazy = da.from_array(X, chunks=(7, 2, 3))
    others = da.from_array(y, chunks=(11, 2)), 1.0, dask_rows(mask, 5)
    for parts in ((y, np.ones(60), mask), others):
        examples = network_rows(lazy, *parts, labels=True, y_steps=True, ranks=(3,))
        assert examples.X.chunks == (lazy.chunks[0], (4,), (3,))
        for part in (examples.y, examples.w, examples.mask):
            assert part.chunks[0] == lazy.chunks[0] and part.numblocks[1:] in ((), (1,))
        np.testing.assert_array_equal(examples.y, y)
        np.testing.assert_array_equal(examples.mask, mask)


def test_unknown_lengths_are_counted_in_one_read(tmp_path):
    X, y = Source(tmp_path, n_blocks=6, rows=20, p=3).table()
    known = network_rows(X[X[:, 0] > -99], y)
    assert known.extra_reads == 1 and known.n_rows == 120
    assert known.y.chunks[0] == known.X.chunks[0]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("arguments, options, message", [
    ({"X": images()}, {"ranks": (2,)}, "Expected 2D array, got 3D array"),
    ({"X": np.ones(4)}, {}, "Expected 2D array, got 1D array"),
    ({"X": np.ones((4, 2))}, {"ranks": (3, 4)},
     r"shape \(4, 2\), an array of 2 .* expected 3 or 4"),
    ({"X": images(), "mask": np.ones((60, 5))}, {},
     r"mask.shape == \(60, 5\), expected \(60, 4\): one flag per step"),
    ({"X": images(), "mask": np.ones(60)}, {}, r"mask.shape == \(60,\), expected \(60, 4\)"),
    ({"X": images(), "y": np.ones((60, 3))}, {"y_steps": True}, r"expected \(60, 4\): one target"),
    ({"X": images(), "y": np.ones(60)}, {"y_steps": True}, r"y.shape == \(60,\)"),
    ({"X": images(), "y": np.ones((60, 3))}, {}, "1d array"),
    ({"X": images(), "y": np.ones(59)}, {}, "inconsistent numbers of samples"),
    ({"X": images(), "sample_weight": np.ones((60, 2))}, {}, "must be 1D array or scalar"),
    ({"X": images(0)}, {}, "0 sample"),
    ({"X": images().astype(complex)}, {}, "Complex data not supported"),
])  # fmt: skip
def test_bad_shapes(arguments, options, message, lazy):
    X = arguments["X"]
    given = da.from_array(X, chunks=-1) if lazy else X
    with pytest.raises(ValueError, match=message):
        network_rows(**{**arguments, "X": given}, **options)


def test_classes_and_codes():
    X = images()
    y = np.array(["cat", "ant", "bee"])[np.arange(60) % 3]
    for lazy in (False, True):
        given = (dask_rows(X, 7), dask_rows(y, 4)) if lazy else (X, y)
        examples = network_rows(*given, labels=True)
        classes, counts = classes_of(examples)
        assert classes.tolist() == ["ant", "bee", "cat"] and counts.tolist() == [20, 20, 20]
        coded = encode(examples, classes, [1.0, 2.0, 3.0])
        np.testing.assert_array_equal(coded.y, (np.arange(60) + 2) % 3)
        np.testing.assert_array_equal(coded.w, (np.arange(60) + 2) % 3 + 1.0)
        again = encode(examples._replace(w=coded.w), classes, [1.0, 2.0, 3.0])
        np.testing.assert_array_equal(again.w, np.asarray(coded.w) ** 2)


def test_labels_of_steps_that_do_not_count():
    X = images()
    y, mask = np.tile([3, 5, 3, -1], (60, 1)), np.tile([True, True, True, False], (60, 1))
    for lazy in (False, True):
        given = (dask_rows(X, 7), dask_rows(y, 7)) if lazy else (X, y)
        examples = network_rows(*given, mask=mask, labels=True, y_steps=True)
        classes, counts = classes_of(examples)
        assert classes.tolist() == [3, 5] and counts.tolist() == [120, 60]
        np.testing.assert_array_equal(encode(examples, classes).y, np.tile([0, 1, 0, 0], (60, 1)))
        for w, times in ((None, 1.0), (np.arange(60.0), np.arange(60.0)[:, None])):
            w = plain(dask_rows(w, 7)) if lazy and w is not None else w
            weights = encode(examples._replace(w=w), classes, [1.0, 2.0]).w
            np.testing.assert_array_equal(weights, times * np.tile([1.0, 2.0, 1.0, 1.0], (60, 1)))


@pytest.mark.parametrize(
    "labels, padding",
    [(np.array(["ant", "bee"], object), None), (np.array([3.0, 5.0]), np.nan), (["a", "b"], "~")],
    ids=["objects", "numbers", "text"],
)
def test_labels_that_a_mask_hides_may_be_anything(labels, padding):
    X = images()
    y, mask = np.asarray(labels)[np.arange(240).reshape(60, 4) % 2], images()[:, :, 0] > 60
    codes = np.where(mask, np.arange(240).reshape(60, 4) % 2, 0)
    y[~mask] = padding
    for lazy in (False, True):
        given = (dask_rows(X, 7), dask_rows(y, 5)) if lazy else (X, y)
        examples = network_rows(*given, mask=mask, labels=True, y_steps=True)
        classes, counts = classes_of(examples)
        assert classes.tolist() == list(labels) and counts.sum() == mask.sum()
        np.testing.assert_array_equal(encode(examples, classes).y, codes)
        np.testing.assert_array_equal(encode(examples, np.asarray(labels)).y, codes)


def test_classes_are_found_without_reading_x(tmp_path):
    source = Source(tmp_path, n_blocks=6, rows=20, p=3)
    examples = network_rows(*source.table(), labels=True)
    classes, counts = classes_of(examples)
    encode(examples, classes).y.compute()
    assert classes.tolist() == [0.0, 1.0] and counts.sum() == 120
    assert source.reads() == 0


def test_labels_outside_the_classes_are_named():
    X, y = images(), np.arange(60) % 4
    with pytest.raises(ValueError, match=r"y holds the label .*3.*, which is none .* \[0, 1, 2\]"):
        encode(network_rows(X, y, labels=True), [0, 1, 2])
    lazy = encode(network_rows(dask_rows(X, 3), y, labels=True), [0, 1, 2])
    with pytest.raises(ValueError, match="y holds the label .*3"):
        dask.compute(lazy.y)


def test_a_split_depends_on_positions_and_seed_alone():
    X, y = images(), np.arange(60)
    train, held = split(network_rows(X, y), 0.25, 7)
    assert (train.n_rows, held.n_rows) == (45, 15)
    assert sorted([*train.y, *held.y]) == list(range(60))
    for n_blocks in (1, 4, 60):
        lazy = split(network_rows(dask_rows(X, n_blocks), y), 0.25, 7)
        for mine, expected in zip(lazy, (train, held), strict=True):
            assert mine.X.shape == expected.X.shape
            np.testing.assert_array_equal(mine.y, expected.y)
            np.testing.assert_array_equal(mine.X, expected.X)
    assert not np.array_equal(split(network_rows(X, y), 0.25, 8)[1].y, held.y)


def test_a_stratified_split_has_all_classes_in_proportion(tmp_path):
    y = np.repeat([0, 1, 2], [400, 80, 20])
    X = np.ones((500, 2))
    for given in ((X, y), (dask_rows(X, 7), dask_rows(y, 3))):
        examples = encode(network_rows(*given, labels=True), [0, 1, 2])
        train, held = split(examples, 0.1, 0, stratify=True)
        assert np.bincount(np.asarray(held.y)).tolist() == [40, 8, 2]
        assert np.bincount(np.asarray(train.y)).tolist() == [360, 72, 18]
    source = Source(tmp_path, n_blocks=6, rows=20, p=3)
    split(network_rows(*source.table(), labels=True), 0.1, 0, stratify=True)
    assert source.reads() == 0


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1, 0.999])
def test_splits_that_cannot_be(fraction):
    with pytest.raises(ValueError, match="fraction"):
        split(network_rows(images()), fraction, 0)
