"""Recipes of chunks: they make what Dask makes, and what they have in common is written once."""

import weakref
from functools import partial

import dask
import dask.array as da
import numpy as np
import pytest
from dask.array import core
from dask.highlevelgraph import HighLevelGraph

from daskdsml.data.dataset import plain
from daskdsml.engine import chunk_tasks

A = np.arange(60.0).reshape(12, 5)


class Stored:
    """An array that only slices read, and that knows what was read."""

    def __init__(self, array):
        self.array, self.read = array, []
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index):
        self.read.append(index)
        return self.array[index]


def stored(**options):
    return da.from_array(Stored(A), chunks=(4, 5), **options)


def numbered(block, block_info=None, block_id=None):
    return block + block_info[0]["array-location"][0][0] + 10 * block_id[0]


def dropped():
    first = stored().map_blocks(lambda x: x[:, 0], drop_axis=1, dtype=float, meta=A[:0, 0])
    return plain(first)[:, None]


def delayed_blocks(function=None):
    """Blocks made by calls of partials, or by a function with arguments of all kinds."""
    calls = [
        dask.delayed(partial(np.full, (3, 2)))(i)
        if function is None
        else dask.delayed(function)([i, {"b": (i, dask.delayed(np.negative)(i))}], by=i + 1)
        for i in range(4)
    ]
    return core.concatenate([core.from_delayed(call, (3, 2), float) for call in calls])


def nested(parts, by):
    i, table = parts
    return np.full((3, 2), i + 10.0 * table["b"][1] + 100 * by)


def legacy():
    """A graph of tuples, aliases and bare values, as older collections have."""
    graph = {"three": 3, ("x", 2, 0): ("x", 0, 0)}
    graph |= {("x", i, 0): (np.full, (2, 2), (sum, ["three", i])) for i in range(2)}
    return core.Array(HighLevelGraph.from_collections("x", graph), "x", ((2,) * 3, (2,)), float)


COLLECTIONS = {
    "random": (lambda: da.random.default_rng(0).normal(size=(12, 3), chunks=(4, 3)), 1),
    "stored": (stored, 1),
    "columns": (lambda: stored(lock=True)[:, :2], 1),
    "inlined": (lambda: stored(inline_array=True, asarray=False)[2:, ::2] * 2, 1),
    "reversed": (lambda: stored()[::-1], 1),
    "picked": (lambda: stored()[:, [3, 1]], 1),
    "axes": (lambda: stored()[:, 1, None], 1),
    "numbered": (lambda: stored().map_blocks(numbered, dtype=float), 1),
    "dropped": (dropped, 1),
    "columns in chunks": (lambda: da.ones((12, 4), chunks=(4, 2)) * 3.0, 1),
    "edge": (lambda: da.random.default_rng(0).normal(size=(10, 3), chunks=(4, 3)).T.T, 1),
    "partials": (delayed_blocks, 1),
    "arguments": (lambda: delayed_blocks(nested), 1),
    "legacy": (legacy, 1),
    "joined": (lambda: da.concatenate([stored(), stored() + 1]), 2),
}


@pytest.mark.parametrize("name", COLLECTIONS)
def test_recipes_make_what_dask_makes(name):
    make, n_templates = COLLECTIONS[name]
    X = plain(make())
    cut = chunk_tasks.cut((X, X[:, 0], None, None))
    found = [recipe() for recipe in cut.chunks]
    rows = np.concatenate([np.concatenate(columns, axis=1) for columns, *_ in found])
    expected = X.compute(scheduler="synchronous")
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(np.concatenate([y for _, y, *_ in found]), expected[:, 0])
    assert len({id(recipe.template) for recipe in cut.chunks}) == n_templates


@pytest.mark.parametrize("cut, read", [
    (lambda X: X[1:][:, 1:3], [(1, 4, 1, 3), (4, 8, 1, 3), (8, 12, 1, 3)]),
    (lambda X: X[:, 1:3][:, ::-1], [(0, 4, 1, 3), (4, 8, 1, 3), (8, 12, 1, 3)]),
    (lambda X: X[:, 1:3][:, [1, 0]], [(0, 4, 1, 3), (4, 8, 1, 3), (8, 12, 1, 3)]),
])  # fmt: skip
def test_no_more_is_read_than_slices_ask_for(cut, read):
    source = Stored(A)
    X = cut(plain(da.from_array(source, chunks=(4, 5), meta=A[:0])))
    expected, source.read = X.compute(scheduler="synchronous"), []
    chunks = chunk_tasks.cut((X, None, None, None)).chunks
    np.testing.assert_array_equal(np.concatenate([recipe()[0][0] for recipe in chunks]), expected)
    assert [(i.start, i.stop, j.start, j.stop) for i, j in source.read] == read


def test_what_no_later_call_needs_is_let_go():
    alive = []

    def counted(block, block_info=None):
        alive.append(sum(ref() is not None for ref in refs))
        made = block + 1.0
        refs.append(weakref.ref(made))
        return made

    refs: list = []
    X = da.zeros((4, 2), chunks=(2, 2))
    for _ in range(5):
        X = X.map_blocks(counted, dtype=float, meta=np.empty((0, 0)))
    chunk_tasks.cut((plain(X), None, None, None)).chunks[0]()
    assert max(alive) == 1
