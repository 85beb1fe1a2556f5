"""Recipes: how chunks are made, of which what many have in common is written down once."""

from __future__ import annotations

from collections import Counter
from functools import partial, reduce
from numbers import Integral
from typing import Any, NamedTuple

from dask.array.chunk import getitem
from dask.array.core import getter, getter_inline, getter_nofancy
from dask.array.optimization import fuse_slice

from daskdsml.engine.nodes import Call, Name, Nodes

GETTERS = (getter, getter_nofancy, getter_inline)


class Template(NamedTuple):
    """What chunks of one kind have in common.

    ``names`` are those of the values that a chunk brings, ``steps`` triples of a name, the call
    that gives its result, and the names that no later one needs, ``outputs`` the names of the
    columns of X, and of y, w and g or None.
    """

    names: tuple[int, ...]
    steps: tuple[tuple[int, Call, list[Name]], ...]
    outputs: tuple[tuple, Any, Any, Any]


class Recipe(NamedTuple):
    """How one chunk is made: a template, and the values that are the chunk's own."""

    template: Template
    values: tuple

    def __call__(self):
        """Read the chunk: a list of the column chunks of X, then y, w and g or None."""
        names, steps, (columns, *others) = self.template
        results: dict[Any, Any] = dict(zip(names, self.values, strict=True))
        for name, call, done in steps:
            results[name] = call(results)
            for needless in done:
                del results[needless]
        return [results[name] for name in columns], *(
            None if name is None else results[name] for name in others
        )


def recipes_of(graph, chunk_keys) -> tuple[list[Recipe], int]:
    """Recipes of chunks, and how often work is repeated if each is made by itself.

    Parameters
    ----------
    graph : HighLevelGraph or dict
    chunk_keys : list
        Of each chunk, a list of the keys of the columns of X, and the keys of y, w and g or None.
    """
    nodes, uses = Nodes(graph), Counter[Any]()
    kinds: dict[tuple, tuple[list, list]] = {}
    drafts = []
    for keys in chunk_keys:
        kind, values, sources = nodes.chunk(keys)
        uses.update(sources.keys())
        _, alike = kinds.setdefault(kind, (list(sources.values()), []))
        alike.append(values)
        drafts.append((alike, values))
    templates = {id(found[1]): _template(kind, *found) for kind, found in kinds.items()}
    return [
        Recipe(template, tuple([values[~name] for name in template.names]))
        for template, values in ((templates[id(alike)], values) for alike, values in drafts)
    ], max(uses.values(), default=1)


def _template(kind, sources, values) -> Template:
    """The template of a kind, from what makes its calls, and the values of all its chunks."""
    patterns, *outputs = kind
    kept = {*outputs[0], *outputs[1:]}
    # Most values are one object in all chunks, as dtypes and open files are.
    parts = {
        ~k: column[0] if all(value is column[0] for value in column) else Name(~k)
        for k, column in enumerate(zip(*values, strict=True))
    }
    calls: dict[int, Call] = {}
    for number, ((_, needs, first), source) in enumerate(zip(patterns, sources, strict=True), 1):
        given = [parts[~k] for k in range(first, len(parts))]
        calls[number] = source([parts.get(n, Name(n)) for n in needs], given)
    calls = _sliced_at_once(calls, kept)
    last = {name: number for number, call in calls.items() for name in call.names()}
    return Template(
        tuple(name for name, part in parts.items() if type(part) is Name or name in kept),
        tuple(
            (number, call, [n for n in last if last[n] == number and n not in kept])
            for number, call in calls.items()
        ),
        tuple(outputs),
    )


def _sliced_at_once(calls: dict[int, Call], kept: set) -> dict[int, Call]:
    """The calls, with slices of what is read taken in the reading, as Dask's optimisation does."""
    uses = Counter(name for call in calls.values() for name in call.names())
    found: dict[int, Call] = {}
    for number, call in calls.items():
        name: Any = call.arguments[0] if call.function is getitem else None
        source = found.get(name) if type(name) is Name else None
        if source is not None and uses[name] == 1 and name not in kept:
            if source.function in GETTERS and len(source.arguments) == 2:
                get = partial(source.function, **source.options)
                source = Call(_sliced, (get, *source.arguments), {})
            if source.function is _sliced:
                call = Call(_sliced, (*source.arguments, call.arguments[1]), {})
                del found[name]
        found[number] = call
    return found


def _sliced(get, array, *indices):
    """``array[a][b]...`` of indices a, b, ...: read at once where they are tuples of slices."""
    first, *rest = indices
    while rest and all(isinstance(i, (slice, Integral)) for i in (*first, *rest[0])):
        try:
            first = fuse_slice(first, rest[0])
        except NotImplementedError:
            break
        del rest[0]
    return reduce(getitem, rest, get(array, first))
