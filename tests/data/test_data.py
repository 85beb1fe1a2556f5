"""Every kind of input, however it is cut, gives the coefficients of the plain table."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from tables import chunks_of, classes, csr_rows, dask_rows, regression, unknown

from daskdsml.linear_model import LinearRegression, LogisticRegression, Ridge

MODELS = {
    "ols": (LinearRegression, {}),
    "ridge": (Ridge, {"alpha": 2.0}),
    "logistic": (LogisticRegression, {"tol": 1e-12}),
}
every_model = pytest.mark.parametrize("name", MODELS)
X, Y, W = classes(120, 4)
FIRST = pd.DataFrame(X, columns=list("abcd"))
FRAME = dd.from_pandas(FIRST, npartitions=5, sort=False)


def model_of(name):
    kind, parameters = MODELS[name]
    return kind(**parameters)


def with_wide_indices(block):
    block = sparse.csr_matrix(block)
    wide = sparse.csr_matrix(block.shape, dtype=block.dtype)
    wide.data, wide.indices = block.data, block.indices.astype(np.int64)
    wide.indptr = block.indptr.astype(np.int64)
    return wide


def series(array, like=FRAME):
    """A Dask Series with the partitions of ``like``."""
    return dd.from_pandas(pd.Series(array), npartitions=like.npartitions, sort=False)


def uneven(array, chunks=(1, 0, 60, 0, 19, 39, 1)):
    return da.from_array(array, chunks=(chunks, *array.shape[1:]))


KINDS = {
    "pandas": lambda: (FIRST, pd.Series(Y), pd.Series(W)),
    "lists": lambda: (X.tolist(), Y.tolist(), W.tolist()),
    "Fortran order": lambda: (np.asfortranarray(X), Y, W),
    "every other row": lambda: (np.repeat(X, 2, axis=0)[::2], Y, W),
    "CSR matrix": lambda: (sparse.csr_matrix(X), Y, W),
    "CSR array": lambda: (sparse.csr_array(X), Y, W),
    "CSC": lambda: (sparse.csc_matrix(X), Y, W),
    "CSR with 64-bit indices": lambda: (with_wide_indices(X), Y, W),
    "Dask": lambda: (dask_rows(X, 6), dask_rows(Y, 6), dask_rows(W, 6)),
    "Dask X, NumPy y": lambda: (dask_rows(X, 6), Y, W),
    "Dask X, pandas y": lambda: (dask_rows(X, 6), pd.Series(Y), pd.Series(W)),
    "NumPy X, Dask y": lambda: (X, dask_rows(Y, 6), dask_rows(W, 3)),
    "chunked differently": lambda: (dask_rows(X, 6), dask_rows(Y, 4), dask_rows(W, 1)),
    "columns chunked": lambda: (dask_rows(X, 6).rechunk((20, (1, 2, 1))), dask_rows(Y, 6), W),
    "columns chunked, one row chunk": lambda: (da.from_array(X, chunks=(120, 3)), Y, W),
    "empty and one-row chunks": lambda: (uneven(X), uneven(Y), uneven(W)),
    "a row per chunk": lambda: (dask_rows(X, 120), dask_rows(Y, 120), None),
    "unknown": lambda: (unknown(dask_rows(X, 6)), unknown(dask_rows(Y, 6)), None),
    "unknown, all three": lambda: tuple(unknown(dask_rows(a, 6)) for a in (X, Y, W)),
    "unknown and known": lambda: (unknown(dask_rows(X, 6)), dask_rows(Y, 4), W),
    "known and unknown": lambda: (dask_rows(X, 6), unknown(dask_rows(Y, 4)), W),
    "unknown X, NumPy y": lambda: (unknown(dask_rows(X, 6)), Y, W),
    "unknown, chunked differently": lambda: (
        unknown(dask_rows(X, 6)),
        unknown(dask_rows(Y, 4)),
        unknown(dask_rows(W, 3)),
    ),
    "unknown with empty chunks": lambda: (unknown(uneven(X)), unknown(uneven(Y)), None),
    "CSR blocks": lambda: (csr_rows(X, 6), dask_rows(Y, 6), dask_rows(W, 6)),
    "CSR array blocks": lambda: (csr_rows(X, 6, sparse.csr_array), dask_rows(Y, 6), W),
    "CSR blocks with 64-bit indices": lambda: (
        dask_rows(X, 6).map_blocks(with_wide_indices, dtype=float, meta=sparse.csr_matrix((0, 0))),
        dask_rows(Y, 6),
        W,
    ),
    "CSR blocks, columns chunked": lambda: (
        dask_rows(X, 6).rechunk((20, 2)).map_blocks(sparse.csr_matrix),
        Y,
        W,
    ),
    "CSR blocks, empty ones too": lambda: (uneven(X).map_blocks(sparse.csr_matrix), Y, W),
    "CSR blocks of unknown length": lambda: (unknown(csr_rows(X, 6)), unknown(dask_rows(Y, 6)), W),
    "Dask frame": lambda: (FRAME, series(Y), series(W)),
    "Dask frame, NumPy y": lambda: (FRAME, Y, W),
    "Dask frame, array y": lambda: (FRAME, dask_rows(Y, 4), dask_rows(W, 6)),
    "column of a Dask frame": lambda: (lambda both: (both[list("abcd")], both["y"], both["w"]))(
        dd.from_pandas(FIRST.assign(y=Y, w=W), npartitions=5, sort=False)
    ),
    "Dask frame filtered": lambda: (
        lambda both: (both[both["keep"]][list("abcd")], both[both["keep"]]["y"], None)
    )(
        dd.from_pandas(
            pd.concat([FIRST.assign(y=Y, keep=True), (9 * FIRST).assign(y=Y, keep=False)]),
            npartitions=7,
            sort=False,
        )
    ),
    "y as a column": lambda: (dask_rows(X, 6), dask_rows(Y[:, None], 6), None),
    "a rechunk upstream": lambda: (dask_rows(X, 4).rechunk((17, 4)), dask_rows(Y, 5), W),
    "a slice upstream": lambda: (dask_rows(np.vstack([X, 7 * X]), 9)[:120], dask_rows(Y, 5), W),
}


@every_model
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same(name, kind):
    A, y, w = KINDS[kind]()
    reference = model_of(name).fit(X, Y, None if w is None else W)
    mine = model_of(name).fit(A, y, sample_weight=w)
    np.testing.assert_allclose(np.ravel(mine.coef_), np.ravel(reference.coef_), rtol=1e-9)
    np.testing.assert_allclose(mine.intercept_, reference.intercept_, rtol=1e-9)
    assert mine.n_features_in_ == 4
    assert mine.score(A, y, w) == pytest.approx(
        reference.score(X, Y, None if w is None else W), rel=1e-12
    )
    predicted = np.ravel(mine.predict(A))
    np.testing.assert_allclose(predicted, reference.predict(X), rtol=1e-9)


DTYPES = ["float32", "float16", "int64", "int8", "uint8", "bool"]


@every_model
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_blocks", [None, 6])
def test_dtypes(name, dtype, n_blocks):
    A = np.abs(np.round(3 * X)).astype(dtype)
    reference = model_of(name).fit(A.astype(float), Y)
    mine = model_of(name).set_params(**({"tol": 1e-4} if name == "logistic" else {}))
    mine.fit(dask_rows(A, n_blocks) if n_blocks else A, Y)
    np.testing.assert_allclose(mine.coef_, reference.coef_, rtol=1e-4)
    assert mine.coef_.dtype == np.float64


@pytest.mark.parametrize("name", ["ols", "ridge"])
@pytest.mark.parametrize("lengths", ["known", "unknown"])
def test_many_outputs_with_empty_chunks(name, lengths):
    outputs = np.column_stack([Y, X[:, 0] - Y, W])
    A, y = uneven(X), uneven(outputs)
    if lengths == "unknown":
        A, y = unknown(A), unknown(y)
    mine, reference = model_of(name).fit(A, y), model_of(name).fit(X, outputs)
    np.testing.assert_allclose(mine.coef_, reference.coef_, rtol=1e-9, atol=1e-12)
    assert mine.score(A, y) == pytest.approx(reference.score(X, outputs), rel=1e-12)


@every_model
@pytest.mark.parametrize("csr", [False, True])
def test_float32_blocks_stay_float32(name, csr, monkeypatch):
    from daskdsml.engine.full import shards

    seen = set()
    as_block = shards.as_block

    def spy(*arguments):
        block = as_block(*arguments)
        seen.add((block.X.dtype, sparse.issparse(block.X)))
        return block

    monkeypatch.setattr(shards, "as_block", spy)
    A = X.astype(np.float32)
    model_of(name).set_params(backend="numpy").fit(
        csr_rows(A, 6) if csr else dask_rows(A, 6), dask_rows(Y, 6)
    )
    assert seen == {(np.dtype(np.float32), csr)}


def test_nullable_and_mixed_columns_of_frames():
    whole = np.round(4 * X)
    frame = pd.DataFrame(
        {
            "a": pd.array(whole[:, 0].astype(int), dtype="Int64"),
            "b": whole[:, 1].astype(np.float32),
            "c": whole[:, 2] > 0,
            "d": whole[:, 3].astype(np.int16),
        }
    )
    plain = frame.astype(float)
    reference = LinearRegression().fit(plain, Y)
    mine = LinearRegression().fit(dd.from_pandas(frame, npartitions=3), Y)
    np.testing.assert_allclose(mine.coef_, reference.coef_, rtol=1e-9)
    np.testing.assert_array_equal(mine.feature_names_in_, list("abcd"))


@pytest.mark.parametrize("dtype", ["category", "str", "string", "object", "boolean", "Int64"])
def test_labels_in_series(dtype):
    words = np.array(["no", "yes"], dtype=object)[Y]
    if dtype in ("boolean", "Int64"):
        words = Y.astype(bool)
    target = dd.from_pandas(pd.Series(words).astype(dtype), npartitions=5)
    mine = LogisticRegression(tol=1e-12).fit(FRAME, target)
    reference = LogisticRegression(tol=1e-12).fit(X, Y)
    np.testing.assert_allclose(mine.coef_, reference.coef_, rtol=1e-9)
    assert mine.classes_.tolist() == sorted(set(words.tolist()))
    assert set(np.asarray(mine.predict(FRAME)).tolist()) <= set(words.tolist())


@pytest.mark.parametrize("order", ["sorted by class", "a single class per block"])
def test_blocks_of_one_class(order):
    rows = np.argsort(Y, kind="stable")
    zeros = int((Y == 0).sum())
    chunks = (zeros, 120 - zeros) if order.startswith("a single") else chunks_of(120, 8)
    A = da.from_array(X[rows], chunks=(chunks, 4))
    mine = LogisticRegression(tol=1e-12).fit(A, da.from_array(Y[rows], chunks=(chunks,)))
    np.testing.assert_allclose(mine.coef_, model_of("logistic").fit(X, Y).coef_, rtol=1e-9)


@every_model
def test_weights_count_as_repeated_rows(name):
    w = np.random.default_rng(0).integers(0, 4, size=120)
    rows = np.repeat(np.arange(120), w)
    weighted = model_of(name).fit(dask_rows(X, 6), Y, w)
    repeated = model_of(name).fit(dask_rows(X[rows], 5), Y[rows])
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-8)
    np.testing.assert_allclose(weighted.intercept_, repeated.intercept_, rtol=1e-8)


@every_model
def test_a_single_weight_stands_for_all_rows(name):
    reference = model_of(name).fit(X, Y, np.full(120, 2.5))
    for A in (X, dask_rows(X, 6)):
        np.testing.assert_allclose(model_of(name).fit(A, Y, 2.5).coef_, reference.coef_, rtol=1e-9)


borders = st.lists(st.integers(0, 120), max_size=8)


@pytest.mark.parametrize("name", ["ridge", "logistic"])
@settings(max_examples=12, deadline=None, derandomize=True)
@given(rows=borders, others=borders, columns=st.sampled_from([(4,), (1, 3), (2, 1, 1)]))
def test_random_chunks(name, rows, others, columns):
    A = da.from_array(X, chunks=(_lengths(rows), columns))
    y = da.from_array(Y, chunks=(_lengths(others),))
    mine, reference = model_of(name).fit(A, y), model_of(name).fit(X, Y)
    np.testing.assert_allclose(mine.coef_, reference.coef_, rtol=1e-9)
    np.testing.assert_allclose(mine.intercept_, reference.intercept_, rtol=1e-9)


def _lengths(borders):
    return tuple(int(length) for length in np.diff([0, *sorted(borders), 120]))


@every_model
def test_names_come_from_frames(name):
    for frame in (FIRST, FRAME):
        mine = model_of(name).fit(frame, Y)
        np.testing.assert_array_equal(mine.feature_names_in_, list("abcd"))
    assert not hasattr(model_of(name).fit(dask_rows(X, 6), Y), "feature_names_in_")


def test_input_is_left_alone():
    for array in (X, Y, W):
        array.flags.writeable = False
    try:
        for name in MODELS:
            model_of(name).fit(X, Y, W)
            model_of(name).fit(dask_rows(X, 6), dask_rows(Y, 6), dask_rows(W, 6))
    finally:
        for array in (X, Y, W):
            array.flags.writeable = True


def test_a_collection_keeps_its_unknown_chunks():
    A, y = unknown(dask_rows(X, 6)), dask_rows(Y, 4)
    Ridge().fit(A, y)
    assert np.isnan(A.shape[0])


def test_csr_blocks_are_never_made_dense(monkeypatch):
    tall = sparse.random(3000, 400, density=0.01, format="csr", rng=np.random.default_rng(0))
    y = regression(3000, 1)[1]

    def refuse(*_, **__):
        raise AssertionError("a block was made dense")

    wide = da.from_array(tall, chunks=(500, -1), asarray=False)
    reference = Ridge().fit(tall, y).coef_
    real = sparse.csr_matrix.toarray

    def toarray(self, *arguments, **options):
        return real(self, *arguments, **options) if self.shape == (400, 400) else refuse()

    monkeypatch.setattr(sparse.csr_matrix, "toarray", toarray)
    monkeypatch.setattr(sparse.csr_matrix, "todense", refuse)
    np.testing.assert_allclose(Ridge().fit(wide, y).coef_, reference, rtol=1e-9)
    LogisticRegression().fit(wide, y > y.mean())
