"""Sums along a fixed tree, shards of chunks, and the work of a task."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import Text, row_sum

from daskdsml.data.blocks import split
from daskdsml.engine import tree
from daskdsml.engine.full import shards


def bracketed(n):
    """How ``n`` leaves are to be added up: halves of the next power of two."""
    letters = [chr(0x100 + i) for i in range(n)]

    def join(start, stop):
        if stop - start == 1:
            return letters[start] if start < n else ""
        middle = (start + stop) // 2
        left, right = join(start, middle), join(middle, stop)
        return f"({left}{right})" if right else left

    return join(0, 1 << max(n - 1, 0).bit_length())


def parts_of(n, groups):
    """The node table of each group of leaves."""
    parts = []
    for group in groups:
        nodes = {}
        for leaf in group:
            tree.insert(nodes, (0, leaf), Text(chr(0x100 + leaf)), n)
        parts.append(nodes)
    return parts


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 13, 64, 100])
def test_tree_adds_by_halves(n):
    (nodes,) = parts_of(n, [range(n)])
    assert tree.root(nodes, n) == bracketed(n)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(n=st.integers(1, 70), draw=st.data())
def test_any_partition_gives_the_same_sum(n, draw):
    owners = draw.draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
    order = draw.draw(st.permutations(range(n)))
    groups = [[leaf for leaf in order if owners[leaf] == owner] for owner in range(5)]
    parts = draw.draw(st.permutations(parts_of(n, groups)))
    assert tree.root(tree.merge(parts, n), n) == bracketed(n)
    # Tasks may add up some of the parts beforehand.
    half = tree.merge(parts[:2], n)
    assert tree.root(tree.merge([half, *parts[2:]], n), n) == bracketed(n)


def test_a_missing_leaf_is_noticed():
    (nodes,) = parts_of(5, [[0, 1, 2, 4]])
    with pytest.raises(RuntimeError, match="sum over 5 shards is incomplete"):
        tree.root(nodes, 5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.one_of(st.floats(0, 2.0**28), st.just(float("nan"))), min_size=1, max_size=300))
def test_plan_covers_all_chunks_in_order(sizes):
    plan = shards.plan(sizes)
    assert [i for shard in plan for i in shard] == list(range(len(sizes)))
    assert all(len(shard) for shard in plan)


def test_plan_bounds_the_bytes_of_a_shard():
    assert shards.plan([2.0**18] * 16) == [list(range(i, i + 4)) for i in range(0, 16, 4)]
    assert shards.plan([2.0**27] * 3) == [[0], [1], [2]]
    assert len(shards.plan([2.0**19] * 6400)) == 64
    assert len(shards.plan([float("nan")] * 6400)) == 64


@pytest.mark.parametrize("n, tasks", [(1, 1), (1, 8), (7, 3), (64, 5), (10, 0), (10, 10)])
def test_split_covers_all_in_nearly_equal_runs(n, tasks):
    pieces = split(n, tasks)
    assert [i for piece in pieces for i in piece] == list(range(n))
    assert len(pieces) == min(n, max(tasks, 1))
    lengths = [len(piece) for piece in pieces]
    assert max(lengths) - min(lengths) <= 1


def test_a_stream_is_never_more_than_one_block_ahead():
    made, ahead = [], []

    def chunk(i):
        def read():
            made.append(i)
            return [np.full((2**17, 1), float(i))], None, None, None  # 1 MiB: a block of its own

        return read

    def kernel(state, block):
        ahead.append(len(made) - 1 - int(block.X[0, 0]))
        return block.X.sum()

    stream = shards.Stream(0, tuple(chunk(i) for i in range(6)))
    part = shards.run_shards(kernel, None, [(0, stream)], 1)
    assert made == list(range(6))
    assert max(ahead) <= 1
    assert (part.n_rows, part.nodes[0, 0]) == (6 * 2**17, 15.0 * 2**17)


def test_an_error_while_reading_reaches_the_caller():
    def broken():
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        shards.run_shards(row_sum, None, [(0, shards.Stream(0, (broken,)))], 1)
