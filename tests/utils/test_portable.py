"""Values that go through bytes without pickle come back as they were, layouts included."""

import numpy as np
import pytest
from scipy import sparse

from daskdsml.contracts import Record
from daskdsml.strategies import Averaging
from daskdsml.utils.portable import pack, unpack


def through_bytes(value):
    return unpack(b"".join(map(bytes, pack(value))))


A = np.arange(24.0).reshape(4, 6)
ARRAYS = {
    "whole": A,
    "columns first": np.asfortranarray(A),
    "turned": A.T,
    "part": A[1:3, ::2],
    "column": A[:, 1],
    "backwards": A[::-1],
    "empty": np.empty((0, 3)),
    "number": np.array(2.5),
    "single": A.astype(np.float32),
    "codes": np.arange(3, dtype=np.uint32),
    "flags": A > 3,
    "text": np.array(["a", "bcd"]),
    "dates": np.array(["2020-01-01"], dtype="M8[s]"),
    "labels": np.array(["x", 1, None, True], dtype=object),
    "record": np.zeros(1, np.dtype([("t", np.float64), ("eta", np.float64)])),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name):
    array = ARRAYS[name]
    (again,) = through_bytes((array,))
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(again, array)
    if name != "backwards":
        assert again.strides == array.strides
    again[...] = again  # it can be changed


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, -0.0, 1e-310, float("inf"), "text", [1, (2, [3])], {(0, 1): 2.0, "a": None},
        Record("gradient", 0.1, 1.0), Averaging(3, None), (Record("a", 1.0), [Averaging()]),
    ],
)  # fmt: skip
def test_other_values(value):
    again = through_bytes(value)
    assert repr(again) == repr(value) and type(again) is type(value)


def test_scalars_of_numpy_stay_such():
    for value in (np.float32(0.1), np.int64(3), np.bool_(True), np.float64("nan")):
        again = through_bytes(value)
        assert type(again) is type(value) and repr(again) == repr(value)


def test_an_array_that_is_met_again_is_the_same_one():
    twice = through_bytes([A, (A, A.copy())])
    assert twice[0] is twice[1][0] and twice[0] is not twice[1][1]


def test_sparse_matrices():
    matrix = sparse.random_array((5, 4), density=0.5, rng=0, format="csr")
    again = through_bytes(sparse.csr_matrix(matrix))
    assert (again != matrix).nnz == 0


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), print, np.array([object()])], ids=lambda value: type(value).__name__
)
def test_what_would_need_pickle_is_refused(value):
    with pytest.raises(TypeError, match="without pickle"):
        pack(value)


def test_nothing_but_values_of_the_package_is_made():
    for name in ("os:system", "daskdsml.utils.portable:pack", "daskdsml.utils:nothing"):
        text = b'{"made": "%s", "of": []}' % name.encode()
        with pytest.raises(ValueError, match="cannot make|is no value of daskdsml"):
            unpack(len(text).to_bytes(8, "little") + text)
