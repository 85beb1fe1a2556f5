"""Pieces of examples and the slots their rows come into: dtypes, sources and what they take."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from daskdsml.engine.slots import Rows, Slots, row_bytes


def filled(*chunks, capacity=0, **parts):
    """Slots with rows of X, or of another part, one chunk after the other."""
    slots, start = Slots(capacity), 0
    for chunk in chunks:
        rows = Rows(**{"X": np.zeros((chunk.shape[0], 1)), **{parts.get("name", "X"): chunk}})
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
    slots = Slots(4000)
    tracemalloc.start()
    slots.put(np.arange(4000), Rows(X))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert slots.n_bytes == pytest.approx(taken, rel=0.05)
    assert row_bytes(Rows(X)) == slots.n_bytes / 4000
    assert slots.n_bytes <= 1.05 * (X.data.nbytes + X.indices.nbytes) + 48 * 4000
    places = np.random.default_rng(0).permutation(4000)[:50]
    np.testing.assert_array_equal(slots.take(places).X, X[places].toarray())
    np.testing.assert_array_equal(slots.take(slice(7, 9)).X, X[7:9].toarray())
