"""How kernels are compiled: Numba's options, and its disk cache.

Machine code is kept for the source it was made from: that of the kernel's module, of the losses in
its signature, and of what these import of this package or of their own.
"""

from __future__ import annotations

import dis
import inspect
import sys
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from importlib.util import resolve_name
from typing import Any
from uuid import uuid4

from numba import njit
from numba.core.caching import FunctionCache

# "reassoc" lets LLVM sum in vector lanes; NaN and infinity keep their meaning.
FAST: Any = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}


def kernel(function):
    """Compile ``function`` once per signature and machine; it runs without the GIL."""
    dispatcher = njit(nogil=True, **FAST)(function)
    dispatcher._cache = _KernelCache(function)
    return dispatcher


class _KernelCache(FunctionCache):
    """Numba's disk cache, for signatures that hold a loss.

    By itself it would go on with the old code of an edited loss. And its index would hold the
    classes, and fail to load for everyone who cannot import one of them; so it holds their names.
    """

    def __init__(self, function):
        super().__init__(function)
        # Numba numbers the files of a function: of two processes that save at once, one would find
        # the other's code under its own number.
        name = f"{self._impl.filename_base}.{uuid4().hex}-{{number}}.nbc"
        self._cache_file._data_name_pattern = name

    def _digests(self, sig):
        classes = [t.instance_class for t in sig if hasattr(t, "instance_class")]
        return [source_digest(part) for part in (self._py_func, *classes)]

    def _index_key(self, sig, codegen):
        return (str(sig), *super()._index_key(sig, codegen)[1:], *self._digests(sig))

    def load_overload(self, sig, target_context):
        return super().load_overload(sig, target_context) if all(self._digests(sig)) else None

    def save_overload(self, sig, data):
        if all(self._digests(sig)):
            # Rarely Numba has not kept the object code that it made: it runs, unsaved.
            with suppress(RuntimeError):
                super().save_overload(sig, data)


@lru_cache
def source_digest(part):
    """Digest of what ``part``, a kernel or the class of a loss, is compiled from.

    None if other processes cannot look that up, as for a class of ``__main__``.
    """
    packages = {__name__.partition(".")[0], part.__module__.partition(".")[0]}
    sources = {}
    names = [origin.__module__ for origin in getattr(part, "__mro__", [part])]
    while names:
        name = names.pop()
        if name.partition(".")[0] in packages and name not in sources:
            sources[name] = _source_of(name)
            names += _imports_of(name, sources[name])
    if part.__module__ == "__main__" or not sources[part.__module__]:
        return None
    content = (part.__module__, part.__qualname__, sorted(sources.items()))
    return sha256(repr(content).encode()).hexdigest()


def _source_of(name):
    """Source of a module; empty if it has none, or if ``name`` is not that of a module."""
    try:
        return inspect.getsource(sys.modules[name])
    except (KeyError, OSError, TypeError):
        return ""


def _imports_of(name, source):
    """Full names that a module imports at its top: modules, or names within modules."""
    # Of its byte code, for threads that make syntax trees at once fail in Python 3.11.
    code = list(dis.get_instructions(compile(source, name, "exec", dont_inherit=True)))
    for level, names, module in zip(code, code[1:], code[2:], strict=False):
        if module.opname == "IMPORT_NAME":
            package = sys.modules[name].__package__
            origin = resolve_name("." * level.argval + module.argval, package)
            yield from (origin, *(f"{origin}.{part}" for part in names.argval or ()))
