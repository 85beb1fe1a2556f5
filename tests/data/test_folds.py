"""Cells of cross-validation: which rows are in which, and moments of training sets from them."""

import dask.array as da
import numpy as np
import pytest
from scipy import sparse
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneOut,
    RepeatedKFold,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)
from tables import Source, bootstraps, csr_rows, dask_rows, regression

from daskdsml.backends.numpy import NumPy
from daskdsml.contracts import Block
from daskdsml.data import folds as module
from daskdsml.data.dataset import Dataset
from daskdsml.data.folds import assign_folds, stratify
from daskdsml.data.validation import validate_dataset
from daskdsml.engine.full.rows import open_rows
from daskdsml.linear_model import ElasticNetCV, Lasso, LassoCV, RidgeCV
from daskdsml.passes.moments import group_moments, moments
from daskdsml.passes.summary import SummaryRequest, strata

N = 60
X, Y, W = regression(N, 4)
GROUPS = np.random.default_rng(1).integers(0, 12, size=N)
SPLITTERS = {
    "KFold": KFold(4),
    "uneven": KFold(7),
    "shuffled": KFold(5, shuffle=True, random_state=0),
    "ShuffleSplit": ShuffleSplit(3, test_size=0.2, train_size=0.5, random_state=0),
    "repeated": RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
    "TimeSeriesSplit": TimeSeriesSplit(4, gap=2),
    "pairs": list(GroupKFold(4).split(X, Y, GROUPS)),
    "bootstrap": bootstraps(N, 3),
    "test rows in train": [(np.arange(N), np.arange(40, N)), (np.arange(50), np.r_[9:30, 9:20])],
    "rows left out": [(np.arange(20), np.arange(30, 40)), (np.arange(10, 20), np.arange(35, 50))],
}
every_splitter = pytest.mark.parametrize("cv", SPLITTERS.values(), ids=SPLITTERS)
MODELS = [LassoCV, ElasticNetCV, RidgeCV]


def splits_of(cv):
    return cv if isinstance(cv, list) else list(cv.split(X))


def rows_of(cells, labels):
    """The rows of cells, each as often as its label is named."""
    counts = np.bincount(labels, minlength=cells.max() + 1)
    return np.repeat(np.arange(len(cells)), counts[cells])


def cells_of(table):
    return np.asarray(table.g)


# Cells


@every_splitter
@pytest.mark.parametrize("n_blocks", [None, 1, 7, N])
def test_cells_make_the_splits(cv, n_blocks):
    A = X if n_blocks is None else dask_rows(X, n_blocks)
    table, folds = assign_folds(validate_dataset(A, Y), cv)
    cells = cells_of(table)
    assert cells.shape == (N,)
    assert set(cells) == set(range(folds.train.shape[1]))
    splits = splits_of(cv)
    assert len(folds) == len(splits)
    for (train, test), (trained, tested) in zip(splits, folds, strict=True):
        np.testing.assert_array_equal(rows_of(cells, trained), np.sort(train))
        np.testing.assert_array_equal(rows_of(cells, tested), np.sort(test))
    if n_blocks is not None:
        assert table.g.chunks[0] == table.X.chunks[0]


@pytest.mark.parametrize("k", [2, 5, 7, N])
def test_partitions_have_a_cell_a_fold(k):
    for cv in (k, KFold(k), KFold(k, shuffle=True, random_state=0), iter(KFold(k).split(X))):
        table, folds = assign_folds(validate_dataset(X, Y), cv)
        assert folds.train.shape == folds.test.shape == (k, k)
        sizes = [len(test) for _, test in KFold(k).split(X)]
        assert sorted(np.bincount(cells_of(table)), reverse=True) == sizes
        np.testing.assert_array_equal(folds.train, 1 - folds.test)
        np.testing.assert_array_equal(folds.test.sum(axis=0), 1)


def test_none_is_five():
    for cv in (None, 5):
        table, folds = assign_folds(validate_dataset(X, Y), cv)
        np.testing.assert_array_equal(cells_of(table), np.repeat(np.arange(5), 12))
    assert len(folds) == 5


def test_patterns_share_cells():
    # Two repeats of three folds: each row is in one of 3 x 3 cells.
    _, folds = assign_folds(validate_dataset(X, Y), SPLITTERS["repeated"])
    assert folds.train.shape == (6, 9)
    # Every split leaves out what is after it: runs of rows, and gaps before test sets.
    _, folds = assign_folds(validate_dataset(X, Y), SPLITTERS["TimeSeriesSplit"])
    assert folds.train.shape[1] <= 9


def test_a_splitter_sees_labels_that_are_in_memory():
    labels = np.repeat([0, 1], [40, 20])
    cv = StratifiedKFold(4)
    table, folds = assign_folds(validate_dataset(X, labels), cv)
    for (_, test), (_, tested) in zip(cv.split(X, labels), folds, strict=True):
        np.testing.assert_array_equal(np.flatnonzero(np.isin(cells_of(table), tested)), test)


def test_too_many_cells():
    table, most = Dataset(np.zeros((3000, 1))), module.MOST_CELLS
    for cv in (ShuffleSplit(40, random_state=0), RepeatedKFold(n_repeats=9), bootstraps(3000, 9)):
        with pytest.raises(ValueError, match=f"in more than {most} ways.*such as KFold, or few"):
            assign_folds(table, cv)
    _, folds = assign_folds(table, most)
    assert folds.train.shape == (most, most)
    folds.check_moments(100)
    with pytest.raises(ValueError, match="1024 cells .*more than 2 GiB. Use fewer folds"):
        folds.check_moments(600)


@pytest.mark.parametrize("cv", [61, KFold(61), KFold(61, shuffle=True, random_state=0)])
def test_more_folds_than_rows(cv):
    with pytest.raises(ValueError, match="cv=61 folds need at least 61 rows, but X has 60.*Lower"):
        assign_folds(validate_dataset(X, Y), cv)


@pytest.mark.parametrize("cv", [N, LeaveOneOut()])
def test_a_fold_of_one_row(cv):
    table, folds = assign_folds(validate_dataset(X, Y), cv)
    np.testing.assert_array_equal(np.sort(cells_of(table)), np.arange(N))
    mine = RidgeCV([1.0], cv=cv, scoring="neg_mean_squared_error").fit(dask_rows(X, 7), Y)
    # As many folds as rows leave each out in turn.
    loo = RidgeCV([1.0]).fit(dask_rows(X, 7), Y)
    assert mine.best_score_ == pytest.approx(loo.best_score_, rel=1e-9)
    assert mine.mse_path_.shape == (1, N)


# Stratified folds


def numbers_of_folds(state, block):
    """Kernel: the fold of each row, in the order of the rows."""
    return tuple(block.g.tolist())


def stratified(A, y, k, cache="auto"):
    """The fold of each row (n,), and the rows of each class in each fold (K, k)."""
    rows = open_rows(validate_dataset(A, y, labels=True), cache)
    total = rows.run(strata, SummaryRequest(NumPy(), True), "summary")
    label, counts = stratify(total.summary.labels, total.blocks, k)
    mapped = rows.map(label)
    found = mapped.run(numbers_of_folds, None, "folds")
    rows.close()
    mapped.close()
    return np.array(found), counts


def scikit_learn_folds(y, k):
    cells = np.empty(len(y), dtype=int)
    for fold, (_, test) in enumerate(StratifiedKFold(k).split(np.empty((len(y), 0)), y)):
        cells[test] = fold
    return cells


CLASS_CODES = np.random.default_rng(5).choice(4, size=N, p=[0.2, 0.4, 0.1, 0.3])
ORDERS = {
    "shuffled": CLASS_CODES,
    "sorted": np.sort(CLASS_CODES),
    "falling": np.sort(CLASS_CODES)[::-1].copy(),
    "strings": np.array(["d", "a", "c", "b"])[CLASS_CODES],
    "objects": np.array(["d", "a", "c", "b"], dtype=object)[CLASS_CODES],
    "booleans": CLASS_CODES > 1,
    "a late class": np.concatenate([CLASS_CODES[:50], np.full(10, -7)]),
}
CHUNKS = {
    "NumPy": None,
    "one": (N,),
    "equal": (9, 9, 9, 9, 9, 9, 6),
    "uneven": (0, 1, 40, 0, 19),
    "rows": (1,) * N,
}


@pytest.mark.filterwarnings("ignore:The least populated class")  # of the reference
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("cache", ["memory", "none"])
def test_stratified_folds_are_those_of_scikit_learn(order, chunks, cache):
    y, lengths = ORDERS[order], CHUNKS[chunks]
    A, labels = X, y
    if lengths:
        A, labels = da.from_array(X, chunks=(lengths, 4)), da.from_array(y, chunks=(lengths,))
    for k in (2, 3, 5):
        exact = scikit_learn_folds(y, k)
        cells, counts = stratified(A, labels, k, cache)
        np.testing.assert_array_equal(cells, exact)
        there = [np.bincount(exact[y == label], minlength=k) for label in np.unique(y)]
        np.testing.assert_array_equal(counts, there)


def test_stratified_folds_of_many_shards():
    rng = np.random.default_rng(0)
    n = 150_000
    y = rng.choice(["a", "b", "c"], size=n, p=[0.9, 0.09, 0.01])
    wide = da.zeros((n, 100), chunks=(1000, 100))
    assert open_rows(validate_dataset(wide, y, labels=True), "none").n_shards > 1
    cells, _ = stratified(wide, da.from_array(y, chunks=1000), 7, "none")
    np.testing.assert_array_equal(cells, scikit_learn_folds(y, 7))


def test_stratified_folds_need_a_class_with_as_many_rows():
    most = np.bincount(CLASS_CODES).max()
    stratified(X, CLASS_CODES, most)
    with pytest.raises(ValueError, match=f"at least {most + 1} rows.* largest has {most}. Lower"):
        stratified(X, CLASS_CODES, most + 1)


# Splits that cannot be


def test_splits_that_cannot_be():
    table = validate_dataset(X, Y)
    with pytest.raises(ValueError, match="cv holds no splits: expected pairs"):
        assign_folds(table, [])
    with pytest.raises(ValueError, match="rows that there are not: X has 60 rows.*index 60 "):
        assign_folds(table, [([0, 1], [60])])
    far = validate_dataset(dask_rows(X, 7), dask_rows(CLASS_CODES, 7))
    with pytest.raises(ValueError, match="StratifiedKFold.* need y in this process's memory"):
        assign_folds(far, StratifiedKFold(3))
    _, folds = assign_folds(far, StratifiedKFold(3), CLASS_CODES)
    assert len(folds) == 3


# Moments of training sets


def assert_moments(found, A, y, w):
    V = np.column_stack([A, y])
    mean = np.average(V, axis=0, weights=w)
    size = np.sqrt(np.average((V - mean) ** 2, axis=0, weights=w))
    assert found.weight == pytest.approx(w.sum(), rel=1e-13)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12, atol=1e-12)
    exact = (V - mean).T @ (w[:, None] * (V - mean))
    scale = w.sum() * np.outer(size, size)
    np.testing.assert_array_less(np.abs(found.cross - exact), 1e-12 * scale + 1e-300)


@every_splitter
@pytest.mark.parametrize("kind", ["NumPy", "Dask 7", "Dask 60", "CSR", "uneven"])
def test_moments_of_training_sets(cv, kind):
    far = X + [0.0, 100.0, -5.0, 1.0]
    A = {
        "NumPy": lambda: far,
        "Dask 7": lambda: dask_rows(far, 7),
        "Dask 60": lambda: dask_rows(far, 60),
        "CSR": lambda: csr_rows(far, 7),
        "uneven": lambda: da.from_array(far, chunks=((0, 1, 40, 0, 19), (3, 1))),
    }[kind]()
    table, folds = assign_folds(validate_dataset(A, Y, W), cv)
    rows = open_rows(table)
    found = rows.run(group_moments, NumPy(), "moments")
    rows.close()
    assert_moments(found.of(), far, Y, W)
    assert found.stats.n_rows == N
    for (train, test), (trained, tested) in zip(splits_of(cv), folds, strict=True):
        assert_moments(found.of(trained), far[train], Y[train], W[train])
        assert_moments(found.of(tested), far[test], Y[test], W[test])


@pytest.mark.parametrize("csr", [True, False])
def test_labels_in_any_order(csr):
    labels = np.random.default_rng(3).integers(0, 5, size=N)
    A = sparse.csr_matrix(X) if csr else X
    found = group_moments(NumPy(), Block(A, Y, W, labels))
    assert set(found.groups) == set(labels)
    for label, part in found.groups.items():
        mine = labels == label
        assert_moments(part, X[mine], Y[mine], W[mine])
    order = np.argsort(labels, kind="stable")
    tidy = group_moments(NumPy(), Block(A[order], Y[order], W[order], labels[order]))
    for label, part in found.groups.items():
        assert part.cross.tobytes() == tidy.groups[label].cross.tobytes()


def test_without_labels_all_rows_are_one_group():
    found = group_moments(NumPy(), Block(X, Y, W))
    assert list(found.groups) == [0]
    assert found.of().cross.tobytes() == moments(NumPy(), Block(X, Y, W)).cross.tobytes()


def test_sums_of_groups_know_labels_of_either_side():
    labels = np.repeat([0, 1, 2], [20, 30, 10])
    parts = [
        group_moments(NumPy(), Block(X[s], Y[s], W[s], labels[s]))
        for s in (slice(10), slice(10, 10), slice(10, 35), slice(35, 60))
    ]
    left = (parts[0] + parts[1]) + (parts[2] + parts[3])
    right = parts[0] + (parts[1] + (parts[2] + parts[3]))
    for total in (left, right):
        assert total.stats.n_rows == N
        for label in range(3):
            mine = labels == label
            assert_moments(total.of([label]), X[mine], Y[mine], W[mine])
        assert_moments(total.of([2, 0]), X[labels != 1], Y[labels != 1], W[labels != 1])


def test_a_set_without_weight_is_refused():
    labels = np.repeat([0, 1], 30)
    found = group_moments(NumPy(), Block(X, Y, W * (labels == 0), labels))
    assert found.of([0, 1]).weight > 0.0
    for empty in ([1], [7], []):
        with pytest.raises(ValueError, match="no row of positive weight.*Use fewer folds"):
            found.of(empty)


# Rows of unknown number


@pytest.mark.parametrize("model", MODELS)
def test_unknown_lengths_are_counted_by_a_read(model, tmp_path):
    source = Source(tmp_path, 6, 40, 4)
    A, y = source.joint()
    keep = A[:, 0] > -2.0
    here, target, known = (np.asarray(part) for part in (A, y, keep))
    before = source.reads()
    mine = model(cv=4, cache="none").fit(A[keep], target[known])
    assert mine.n_passes_ == 2 == source.reads() - before
    other = model(cv=4).fit(here[known], target[known])
    np.testing.assert_allclose(mine.mse_path_, other.mse_path_, rtol=1e-10)
    np.testing.assert_allclose(mine.coef_, other.coef_, rtol=1e-9, atol=1e-12)
    assert other.n_passes_ == 1


@pytest.mark.parametrize("weighted", [False, True])
def test_lengths_of_one_source_are_counted_once(weighted, tmp_path):
    source = Source(tmp_path, 6, 40, 4)
    A, y = source.joint()
    keep = A[:, 0] > -2.0
    w = (1.0 + y)[keep] if weighted else None
    mine = LassoCV(cv=4, cache="none").fit(A[keep], y[keep], w)
    assert mine.n_passes_ == 2 == source.reads()


def test_lengths_that_differ_are_found():
    keep = dask_rows(X[:, 0], 6) > -2.0
    for other in (keep & (dask_rows(np.arange(N), 6) > 0), ~keep):
        with pytest.raises(
            ValueError, match="must have the same rows in each partition|numbers of"
        ):
            LassoCV().fit(dask_rows(X, 6)[keep], dask_rows(Y, 6)[other])


def test_unknown_lengths_need_no_count_without_folds(tmp_path):
    source = Source(tmp_path, 6, 40, 4)
    A, y = source.joint()
    keep = A[:, 0] > -2.0
    assert Lasso(0.01, cache="none").fit(A[keep], y[keep]).n_passes_ == 1 == source.reads()
