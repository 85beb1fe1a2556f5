"""Compiled loops through which threads share the calls of one function, without a lock.

A mailbox is 48 integers of 64 bits: a ticket, how many calls are done, and the function, each on
cache lines of its own. Of a ticket the lowest byte is the next call to be taken, the second one
the number of calls, and the rest tells one set of calls from the next. A call is the addresses of
its arguments, as Fortran takes them.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

SIZE, ARGUMENTS = 48, 13
DONE, FUNCTION = 16 * 8, 32 * 8
KERNEL: dict[str, Any] = {"nogil": True, "cache": True}

_WORD, _VOID = ir.IntType(64), ir.VoidType()
_PAUSES = {"x86_64": "llvm.x86.sse2.pause", "amd64": "llvm.x86.sse2.pause"}


def _pointer(builder, address):
    return builder.inttoptr(address, _WORD.as_pointer())


@intrinsic
def load(typingctx, address):
    """The integer at an address, with all that was written before it was."""

    def codegen(context, builder, signature, arguments):
        return builder.load_atomic(_pointer(builder, arguments[0]), "acquire", 8)

    return types.int64(types.int64), codegen


@intrinsic
def store(typingctx, address, value):
    """Write an integer after all that was written before."""

    def codegen(context, builder, signature, arguments):
        builder.store_atomic(arguments[1], _pointer(builder, arguments[0]), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def _swap(typingctx, address, old, new):
    """Replace ``old`` by ``new``, and tell whether ``old`` was there."""

    def codegen(context, builder, signature, arguments):
        address, old, new = arguments
        found = builder.cmpxchg(_pointer(builder, address), old, new, "acq_rel", "acquire")
        return builder.extract_value(found, 1)

    return types.boolean(types.int64, types.int64, types.int64), codegen


@intrinsic
def _count(typingctx, address):
    """Add 1."""

    def codegen(context, builder, signature, arguments):
        one = ir.Constant(_WORD, 1)
        builder.atomic_rmw("add", _pointer(builder, arguments[0]), one, "acq_rel")
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def _pause(typingctx):
    """Tell the core that this is a loop that waits."""

    def codegen(context, builder, signature, arguments):
        name = _PAUSES.get(platform.machine().lower())
        if name is not None:
            builder.call(builder.module.declare_intrinsic(name, (), ir.FunctionType(_VOID, ())), ())
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _call(typingctx, function, arguments_at):
    """Call the function at an address with the addresses that stand at another."""

    def codegen(context, builder, signature, arguments):
        function, at = arguments
        kind = ir.FunctionType(_VOID, [_WORD] * ARGUMENTS)
        places = (builder.gep(_pointer(builder, at), [_index(i)]) for i in range(ARGUMENTS))
        values = [builder.load(place) for place in places]
        builder.call(builder.inttoptr(function, kind.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


def _index(i):
    return ir.Constant(_WORD, i)


@njit(**KERNEL)
def _some_left(ticket):
    return ticket & 255 < (ticket >> 8) & 255


@njit(**KERNEL)
def _work(mail, calls):
    """Make calls until none is left to be taken; how many were made."""
    made = 0
    ticket: Any = load(mail)
    while _some_left(ticket):
        if _swap(mail, ticket, ticket + 1):
            _call(load(mail + FUNCTION), calls + (ticket & 255) * ARGUMENTS * 8)
            _count(mail + DONE)
            made += 1
        ticket = load(mail)
    return made


@njit(**KERNEL)
def share(mail, calls, function, ticket):
    """Have calls made, here and by whoever serves the mailbox; how many were made here.

    Others may be at theirs yet.
    """
    store(mail + FUNCTION, function)
    store(mail + DONE, 0)
    store(mail, ticket)
    return _work(mail, calls)


@njit(**KERNEL)
def finished(mail, patience):
    """Whether all calls are done; waits for it ``patience`` rounds, or as long as it takes (0)."""
    waited = 0
    while load(mail + DONE) < (load(mail) >> 8) & 255:
        _pause()
        waited += 1
        if waited == patience:
            return False
    return True


@njit(**KERNEL)
def serve(mail, calls, patience):
    """Make calls, until none came while the loop went round ``patience`` times."""
    waited = 0
    while waited < patience:
        if _some_left(load(mail)):
            _work(mail, calls)
            waited = 0
        _pause()
        waited += 1
