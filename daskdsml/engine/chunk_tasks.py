"""Chunk tasks: for each chunk of a Dask collection, what makes it."""

from __future__ import annotations

import gc
import io
import pickle
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import cloudpickle
import numpy as np
from dask.array.optimization import optimize
from dask.blockwise import Blockwise
from dask.core import flatten, istask
from dask.highlevelgraph import HighLevelGraph
from dask.optimization import cull

from daskdsml.engine.recipes import Recipe, Template, recipes_of

if TYPE_CHECKING:  # workers unpack tasks, and can do without what checking data imports
    from daskdsml.data.dataset import Dataset

# A task of more bytes than this share of the chunk it makes carries the data itself.
MAX_EMBEDDED_SHARE = 0.25
# Packages whose open files pickle refuses, and Dask knows how to open again elsewhere.
REOPENED_PACKAGES = ("h5py", "netCDF4")


class HeldChunk(NamedTuple):
    """The culled graph of one chunk of rows of X, y, w and g, of which a cluster holds parts."""

    graph: dict
    keys: tuple[list, Any, Any, Any]


class ChunkTasks(NamedTuple):
    """The chunks of a table.

    ``shared`` means that chunks have upstream work in common (a shuffle, a rechunk), which reading
    them one by one would repeat, some of it ``repeats`` times; ``held`` that the collection is
    persisted on a cluster, so that only Dask can read the chunks.
    """

    chunks: list
    shared: bool = False
    held: bool = False
    repeats: int = 1


@contextmanager
def _uncollected():
    """Keep the garbage collector from going through all nodes over and over, none of them garbage.

    It takes twice as long as what makes them.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_uncollected()
def cut(parts: tuple) -> ChunkTasks:
    """Cut plain Dask Arrays of the same row chunks, X first, or None, into tasks for the chunks."""
    given = [part for part in parts if part is not None]
    merged, keys = HighLevelGraph.merge(*(part.dask for part in given)), _chunk_keys(*parts)
    written = [
        node
        for layer in merged.layers.values()
        if not isinstance(layer, Blockwise)  # these compute, and are not written out
        for node in layer.values()
    ]
    if any(map(_is_future, written)):
        return _held(dict(merged), keys)
    # Tasks of older kinds are for Dask to turn into today's.
    recipes: list = []
    repeats = 2
    if not any(map(_is_older, written)):
        recipes, repeats = recipes_of(merged, keys)
    if repeats > 1:
        # Dask may have what is small made anew for each chunk. All parts in one graph: optimised
        # one by one, each would read a source they share.
        graph = optimize(merged, list(flatten(part.__dask_keys__() for part in given)))
        recipes, repeats = recipes_of(graph, keys)
    return ChunkTasks(recipes, shared=repeats > 1, repeats=repeats)


def _held(graph: dict, keys: list) -> ChunkTasks:
    chunks = [HeldChunk(cull(graph, _present(chunk))[0], chunk) for chunk in keys]
    uses = Counter(key for chunk in chunks for key, node in chunk.graph.items() if _is_work(node))
    repeats = max(uses.values(), default=1)
    return ChunkTasks(chunks, shared=repeats > 1, held=True, repeats=repeats)


def _present(keys) -> list:
    """All keys of a chunk in one list."""
    columns, *others = keys
    return [*columns, *(key for key in others if key is not None)]


def _chunk_keys(X, *others) -> list[tuple[list, Any, Any, Any]]:
    """Keys of each row chunk: those of X's column chunks, of y, w and g."""
    rows: list[Any] = []
    for i in range(X.numblocks[0]):
        columns = [(X.name, i, j, *(0 for _ in X.shape[2:])) for j in range(X.numblocks[1])]
        keys = (None if a is None else (a.name, i, *(0 for _ in a.shape[1:])) for a in others)
        rows.append((columns, *keys))
    return rows


def chunk_bytes(table: Dataset) -> list[float]:
    """Bytes of each row chunk of X, NaN where unknown."""
    n_rows = np.asarray(table.X.chunks[0], dtype=float)
    if table.n_bytes is None:
        return [np.nan] * len(n_rows)
    return list(n_rows * (table.n_bytes / max(table.n_rows or 0, 1)))


def only_here(tasks: ChunkTasks, sizes: list[float]) -> bool:
    """Find out, by packing the largest chunk's task, whether this process had better read all.

    So it is if tasks hold the data themselves, as those of ``da.from_array(numpy_array)`` do,
    or cannot be pickled.
    """
    if tasks.held:
        return False
    probe = int(np.nanargmax(sizes)) if not np.isnan(sizes).all() else 0
    try:
        n_bytes = len(_pickled(tasks.chunks[probe]))
    except TypeError:
        return True
    return n_bytes > max(MAX_EMBEDDED_SHARE * float(np.nan_to_num(sizes[probe])), 2**16)


class SentRecipes:
    """The recipes of the chunks of some readers, as they are sent to another process.

    They travel as bytes, unpacked where they are read: Dask would take the graphs that they hold
    for dependencies of a task that has them. A template goes once, however many chunks it serves.

    Parameters
    ----------
    readers : list
        NamedTuples with ``chunks``, each a `Recipe`.
    """

    def __init__(self, readers):
        numbers: dict[int, int] = {}
        templates: list[Template] = []
        self._values: list[bytes] = []
        for reader in readers:
            values: list[tuple[int, tuple]] = []
            for template, own in reader.chunks:
                number = numbers.setdefault(id(template), len(templates))
                if number == len(templates):
                    templates.append(template)
                values.append((number, own))
            self._values.append(_pickled(values))
        self._templates = [_pickled(template) for template in templates]
        self._unpacked: dict[int, Template] = {}

    def __getstate__(self):
        return self.__dict__ | {"_unpacked": {}}

    def reader(self, i: int, reader):
        """The i-th reader, whose chunks are unpacked each time it reads them."""
        return reader._replace(chunks=_SentChunks(self, i))

    def unpacked(self, i: int) -> Iterator[Recipe]:
        """The recipes of the chunks of the i-th reader."""
        for number, values in pickle.loads(self._values[i]):
            if number not in self._unpacked:
                self._unpacked[number] = pickle.loads(self._templates[number])
            yield Recipe(self._unpacked[number], values)


class _SentChunks:
    def __init__(self, recipes: SentRecipes, index: int):
        self._recipes, self._index = recipes, index

    def __iter__(self):
        return self._recipes.unpacked(self._index)


def _pickled(task) -> bytes:
    """A task as bytes, or TypeError, whatever its source raises.

    Open files of `REOPENED_PACKAGES` are opened again where it is read.
    """
    file = io.BytesIO()
    try:
        _Pickler(file).dump(task)
    except Exception as error:
        raise TypeError(
            "Workers are to read chunks of the data, so what makes these must pickle, but does "
            f"not: {error!r}. Have chunks made by a function that opens their source itself, as "
            "dask.delayed and da.map_blocks allow."
        ) from error
    return file.getvalue()


class _Pickler(cloudpickle.Pickler):
    def reducer_override(self, obj):
        if type(obj).__module__.partition(".")[0] not in REOPENED_PACKAGES:
            return super().reducer_override(obj)
        from distributed.protocol.serialize import dask_deserialize, dask_serialize

        kind = type(obj)
        return dask_deserialize.dispatch(kind), dask_serialize.dispatch(kind)(obj)


def _is_future(node) -> bool:
    value = getattr(node, "value", node)
    return type(value).__module__ == "distributed.client" and type(value).__name__ == "Future"


def _is_older(node) -> bool:
    """Whether a node of tuples, lists and dicts may call something."""
    return type(node) in (list, dict) or type(node) is tuple and istask(node)


def _is_work(node) -> bool:
    """Whether a graph node computes something, rather than naming or holding it."""
    return hasattr(node, "func") or (isinstance(node, tuple) and bool(node) and callable(node[0]))
