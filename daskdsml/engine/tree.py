"""Addition along a fixed binary tree, so that a sum has the same bits wherever it is made.

Node ``(depth, i)`` stands for the leaves ``[i 2**depth, (i + 1) 2**depth)`` that exist. Which
numbers are added to which depends on the number of leaves alone: a task may add any two siblings
it holds, and what it could not add is added later by whoever holds both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

Node = tuple[int, int]


class PartialSums(NamedTuple):
    """What a task returns: the nodes of the tree it could add up, and what it read.

    ``signatures`` are those of the chunks it read, by their shard.
    """

    nodes: dict
    n_rows: int
    n_bytes: int
    signatures: dict


def insert(nodes: dict, node: Node, value, n_leaves: int) -> None:
    """Put ``value`` at ``node`` and add siblings upwards as far as ``nodes`` allows, in place."""
    depth, index = node
    while depth < height(n_leaves):
        if index % 2 == 0 and (index + 1) << depth >= n_leaves:
            depth, index = depth + 1, index // 2  # no sibling exists: the value moves up alone
            continue
        sibling = nodes.pop((depth, index ^ 1), None)
        if sibling is None:
            break
        value = sibling + value if index % 2 else value + sibling
        depth, index = depth + 1, index // 2
    nodes[depth, index] = value


def collect(values: Iterable, n_leaves: int) -> dict:
    """Nodes of pairs (leaf, value) in ascending order: values of one leaf are added in turn."""
    nodes: dict = {}
    current, total = None, None
    for leaf, value in values:
        if leaf == current:
            total = total + value
            continue
        if current is not None:
            insert(nodes, (0, current), total, n_leaves)
        current, total = leaf, value
    if current is not None:
        insert(nodes, (0, current), total, n_leaves)
    return nodes


def merge(tables, n_leaves: int) -> dict:
    """Add the node tables of several tasks into one."""
    nodes: dict = {}
    for table in tables:
        for node, value in table.items():
            insert(nodes, node, value, n_leaves)
    return nodes


def missing(nodes: dict, n_leaves: int) -> list[int]:
    """Leaves that no node stands for."""
    found = np.zeros(n_leaves, dtype=bool)
    for depth, index in nodes:
        found[index << depth : (index + 1) << depth] = True
    return np.flatnonzero(~found).tolist()


def root(nodes: dict, n_leaves: int):
    """The sum of all leaves."""
    if list(nodes) != [(height(n_leaves), 0)]:
        raise RuntimeError(f"A sum over {n_leaves} shards is incomplete: it holds {sorted(nodes)}.")
    return nodes[height(n_leaves), 0]


def height(n_leaves: int) -> int:
    return max(n_leaves - 1, 0).bit_length()


def add_sums(sums: list[PartialSums], n_leaves: int) -> PartialSums:
    """Add what several tasks returned."""
    nodes = merge((s.nodes for s in sums), n_leaves)
    signatures = {index: chunks for s in sums for index, chunks in s.signatures.items()}
    return PartialSums(nodes, sum(s.n_rows for s in sums), sum(s.n_bytes for s in sums), signatures)
