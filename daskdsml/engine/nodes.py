"""The nodes of a graph: the calls that they are, and what those of many chunks have in common."""

from __future__ import annotations

from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType
from typing import Any, NamedTuple

from dask.array.optimization import Alias, DataNode, GraphNode, Task
from dask.blockwise import Blockwise, TaskRef, blockwise_token
from dask.highlevelgraph import HighLevelGraph

# What stands in patterns for the key of another node, and for a value.
KEY, VALUE = "key", "value"
# Callables of other types may have no hash, or be made anew for each chunk, as partials are.
FUNCTIONS = (FunctionType, BuiltinFunctionType, type)


class Name(int):
    """Stands for a result of an earlier call, numbered 1, 2, ..., or for a value: -1, -2, ..."""


class Call(NamedTuple):
    """A call of a function; it and its arguments may be names, other calls, or as they are."""

    function: Any
    arguments: tuple
    options: dict

    def __call__(self, results: dict):
        """The result, of those by name that it needs."""
        arguments = [_evaluated(a, results) for a in self.arguments]
        options = {k: _evaluated(a, results) for k, a in self.options.items()}
        return _evaluated(self.function, results)(*arguments, **options)

    def renamed(self, parts: dict) -> Call:
        """The call with other parts, by name."""
        return Call(
            _replaced(self.function, parts),
            tuple(_replaced(a, parts) for a in self.arguments),
            {k: _replaced(a, parts) for k, a in self.options.items()},
        )

    def names(self) -> list[Name]:
        """Names of what the call needs."""
        found = []
        for part in (self.function, *self.arguments, *self.options.values()):
            found += part.names() if type(part) is Call else [part] if type(part) is Name else []
        return found


def _evaluated(part, results):
    kind = type(part)
    return results[part] if kind is Name else part(results) if kind is Call else part


def _replaced(part, parts: dict):
    kind = type(part)
    return parts.get(part, part) if kind is Name else part.renamed(parts) if kind is Call else part


class Chunk(NamedTuple):
    """The nodes that make a chunk.

    Chunks of one ``kind`` differ in their ``values`` alone. It has the pattern of each call, the
    names of results it needs and the number of the values before its own, then the names of the
    columns of X, and of y, w and g or None. ``sources`` make the calls, by key.
    """

    kind: tuple[tuple, tuple, Any, Any, Any]
    values: list
    sources: dict[Any, Callable]


class Nodes:
    """The nodes of a graph by key. Blockwise layers are not written out, where that is easy."""

    def __init__(self, graph):
        self._nodes: dict = {}
        self._layers: dict[str, BlockNodes] = {}
        layers: Any = graph.layers if isinstance(graph, HighLevelGraph) else {None: graph}
        for layer in layers.values():
            blocks = BlockNodes.of(layer) if isinstance(layer, Blockwise) else None
            if blocks is None:
                self._nodes.update(layer)
            else:
                self._layers[layer.output] = blocks

    def __contains__(self, key) -> bool:
        try:
            return key in self._nodes or self._layer(key) is not None
        except TypeError:  # it has no hash, as keys have
            return False

    def chunk(self, keys) -> Chunk:
        """What makes a chunk: a list of the columns of X, then y, w and g or None."""
        columns, *others = keys
        stack = [*columns, *(key for key in others if key is not None)]
        names: dict = {None: None}
        known: dict = {}
        calls: list = []
        values: list = []
        sources: dict = {}
        while stack:
            key = stack[-1]
            if key in names:
                stack.pop()
                continue
            if key not in known:
                known[key] = self._parts(key)
            pattern, needs, given, source = known[key]
            missing = [need for need in needs if need not in names]
            if missing:
                stack += missing
                continue
            stack.pop()
            if pattern is KEY:
                names[key] = names[needs[0]]
                continue
            first = len(values)
            values += given
            if pattern is VALUE:
                names[key] = ~first
                continue
            calls.append((pattern, tuple([names[need] for need in needs]), first))
            sources[key] = source
            names[key] = len(calls)
        outputs = [names[key] for key in others]
        return Chunk(
            (tuple(calls), tuple([names[key] for key in columns]), *outputs), values, sources
        )

    def _layer(self, key) -> BlockNodes | None:
        return self._layers.get(key[0]) if isinstance(key, tuple) and key else None

    def _parts(self, key):
        """Pattern, keys of other nodes, values, and what makes a call of names for these."""
        layer = self._layer(key)
        if layer is not None:
            return layer.parts(key[1:])
        node = self._nodes[key]
        if isinstance(node, (tuple, str)) and node in self:
            return KEY, [node], [], None
        needs: list = []
        values: list = []
        pattern = _pattern(node, needs, values)

        def source(needs, values) -> Any:
            needs, values = iter(needs), iter(values)
            return _call(node, lambda _: next(needs), lambda _: next(values))

        return pattern, needs, values, source


class BlockNodes:
    """The nodes of a blockwise layer.

    ``needs`` and ``reads`` are, by what stands for them in the task, names of other arrays and
    sources of values, with the axes of the block that they go along.
    """

    def __init__(self, layer: Blockwise, needs: dict, reads: dict, constants: dict):
        self._name, self._task, self._constants = layer.output, layer.task, constants
        self._needs, self._reads = needs, reads

    @classmethod
    def of(cls, layer: Blockwise) -> BlockNodes | None:
        """The nodes, or None for a layer that adds up blocks, or makes tasks block by block."""
        needs: dict = {}
        reads: dict = {}
        constants: dict = {}
        arg: Any
        for i, (arg, index) in enumerate(layer.indices):
            token = blockwise_token(i)
            if token not in layer.task.dependencies:
                continue
            if index is None:
                if isinstance(arg, (TaskRef, Alias)):
                    needs[token] = (getattr(arg, "target", arg.key), None)
                elif isinstance(arg, GraphNode):
                    return None
                else:
                    constants[token] = arg
                continue
            if not set(index) <= set(layer.output_indices):
                return None
            axes = [
                None if n == 1 else layer.output_indices.index(axis)
                for axis, n in zip(index, layer.numblocks[arg], strict=True)
            ]
            if arg not in layer.io_deps:
                needs[token] = (arg, axes)
                continue
            source = layer.io_deps[arg]
            if source.produces_tasks or source.produces_keys:
                return None
            reads[token] = (source, axes)
        return cls(layer, needs, reads, constants)

    def parts(self, block: tuple):
        """Pattern, keys of other nodes, values, and what makes a call of names for these."""
        needs = [
            name if axes is None else (name, *_coordinates(block, axes))
            for name, axes in self._needs.values()
        ]
        values = []
        for source, axes in self._reads.values():
            at = _coordinates(block, axes)
            values.append(source.get(at, at))
        return self._name, needs, values, self._source

    def _source(self, needs, values) -> Call:
        parts = dict(zip(self._needs, needs, strict=True)) | self._constants
        parts |= dict(zip(self._reads, values, strict=False))
        return _call(self._task, parts.__getitem__, lambda value: value)


def _coordinates(block, axes) -> tuple:
    return tuple([0 if axis is None else block[axis] for axis in axes])


def _pattern(part, needs: list, values: list):
    """What is left of a node without keys and values, which are put into lists."""
    if isinstance(part, (Alias, TaskRef)):
        needs.append(_key(part))
        return KEY
    if not isinstance(part, Task):
        values.append(_value(part))
        return VALUE
    function: Any = part.func
    if not isinstance(function, FUNCTIONS):
        values.append(function)
        function = VALUE
    arguments = [_pattern(a, needs, values) for a in part.args]
    options = [(k, _pattern(a, needs, values)) for k, a in part.kwargs.items()]
    return function, *arguments, *options


def _call(part, refer: Callable, give: Callable) -> Any:
    """The call that a node is; keys and values are met in the same order as by `_pattern`."""
    if isinstance(part, (Alias, TaskRef)):
        return refer(_key(part))
    if not isinstance(part, Task):
        return give(_value(part))
    function = part.func if isinstance(part.func, FUNCTIONS) else give(part.func)
    arguments = tuple([_call(a, refer, give) for a in part.args])
    options = {k: _call(a, refer, give) for k, a in part.kwargs.items()}
    return Call(function, arguments, options)


def _key(part):
    return part.target if isinstance(part, Alias) else part.key


def _value(part):
    return part.value if isinstance(part, DataNode) else part
