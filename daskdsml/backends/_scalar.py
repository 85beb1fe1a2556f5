"""The ``xp`` namespace of compiled loops: the functions a loss may call, for one scalar.

A loss is written once, in the functions of ``xp``; inside Numba ``xp`` is this module. Every
function keeps the precision of its argument, and has neither a branch nor a call into a
mathematical library, so that LLVM turns a loop over rows into vector instructions: the library's
``exp`` costs 14 ns a row and keeps the loop scalar.
"""

from __future__ import annotations

import math
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload

# No "nnan" nor "ninf": NaN and infinity must come out where they belong. No "reassoc": it cancels
# the shift that rounds to the nearest integer. "contract" allows a fused multiply and add. The
# NumPy error model keeps the check for a zero divisor, which is a branch, out of the loops.
OPTIONS: Any = {"fastmath": {"contract"}, "error_model": "numpy", "forceinline": True}


def in_precision(function, real):
    """Return ``function`` with its float literals in the type ``real``.

    NumPy lets ``1.0 + z`` keep the precision of ``z``; Numba would promote float32 to float64.
    Integer literals stay as they are, so a loss has to write ``2.0 * z``.
    """
    code = function.__code__
    literals = tuple(real(c) if isinstance(c, float) else c for c in code.co_consts)
    return FunctionType(code.replace(co_consts=literals), function.__globals__, function.__name__)


class _Format(NamedTuple):
    """Constants of one IEEE 754 format, all in that format, so that no literal promotes it.

    ``shift`` is 1.5 * 2**fraction: a number added to it is rounded to an integer, which stands in
    the low bits. ``ln2_high`` is log(2) to so few bits that its product with an exponent is exact.
    Beyond ``tanh_flat`` tanh is 1 to the last bit.
    """

    fraction: int
    bias: int
    zero: float
    half: float
    one: float
    two: float
    shift: float
    log2_e: float
    ln2_high: float
    ln2_low: float
    root_half: float
    smallest: float
    largest: float
    infinity: float
    tanh_flat: float
    exp_terms: tuple
    log_terms: tuple


def _format_of(real, fraction, bias, exp_order, log_order):
    """Build a `_Format`; the orders are those of the last term that still moves the last bit."""
    ln2 = np.log(np.longdouble(2))
    ln2_high = np.ldexp(np.rint(np.ldexp(ln2, fraction - 12)), 12 - fraction)
    reals = {
        "zero": 0.0,
        "half": 0.5,
        "one": 1.0,
        "two": 2.0,
        "shift": 1.5 * 2.0**fraction,
        "log2_e": 1 / ln2,
        "ln2_high": ln2_high,
        "ln2_low": ln2 - ln2_high,
        "root_half": np.sqrt(0.5),
        "smallest": -ln2 * (bias + fraction + 0.5),
        "largest": ln2 * (bias + 1.5),
        "infinity": np.inf,
        "tanh_flat": ln2 * (fraction + 2) / 2,
    }
    return _Format(
        fraction=fraction,
        bias=bias,
        **{name: real(number) for name, number in reals.items()},
        exp_terms=tuple(real(1 / math.factorial(k)) for k in range(exp_order, 1, -1)),
        log_terms=tuple(real(2 / (2 * k + 1)) for k in range(log_order, 0, -1)),
    )


_DOUBLE = _format_of(np.float64, 52, 1023, exp_order=13, log_order=10)
_SINGLE = _format_of(np.float32, 23, 127, exp_order=7, log_order=6)


def _format(x): ...


@overload(_format, inline="always")
def _format_overload(x):
    constants = _SINGLE if x == types.float32 else _DOUBLE
    return lambda x: constants


def _integer(real):
    return types.int32 if real == types.float32 else types.int64


# Intrinsics, as each compiled function adds 40 ms to the compilation of a kernel.
@intrinsic
def _bits(typingctx, x):
    """The bits of ``x`` as an integer."""

    def codegen(context, builder, signature, arguments):
        integer = _integer(x)
        bits = builder.bitcast(arguments[0], context.get_value_type(integer))
        return context.cast(builder, bits, integer, types.int64)

    return types.int64(x), codegen


@intrinsic
def _real(typingctx, bits, like):
    """The number of the type of ``like`` that has these ``bits``."""

    def codegen(context, builder, signature, arguments):
        narrow = context.cast(builder, arguments[0], bits, _integer(like))
        return builder.bitcast(narrow, context.get_value_type(like))

    return like(bits, like), codegen


@intrinsic
def where(typingctx, condition, x, y):
    """``x`` where ``condition`` holds, else ``y``, as one instruction.

    Python's conditional expression is a branch, into which LLVM may move what follows it (the sum
    of the values), and then the loop stays scalar: 17 ns a row in place of 2.
    """
    result = x if x == y else typingctx.unify_types(x, y)

    def codegen(context, builder, signature, arguments):
        first = context.cast(builder, arguments[1], x, result)
        second = context.cast(builder, arguments[2], y, result)
        return builder.select(arguments[0], first, second)

    return result(types.boolean, x, y), codegen


@njit(**OPTIONS)
def _series(terms, x):
    """Polynomial in ``x``, highest power first and an even number of ``terms``.

    Even and odd powers apart: two chains of half the length, as the processor waits for a chain.
    """
    square = x * x
    odd = terms[0]
    even = terms[1]
    for term in terms[2::2]:
        odd = odd * square + term
    for term in terms[3::2]:
        even = even * square + term
    return odd * x + even


@njit(**OPTIONS)
def _exp_parts(x):
    """``t``, ``a`` and ``b``, and 1 / b: e**x is (1 + t) a b, and ``a`` and ``b`` powers of two.

    Two factors, as 2**1024 and 2**-1074 have no normal representation.
    """
    f = _format(x)
    # Comparisons this way round let NaN through.
    bounded: Any = where(x < f.smallest, f.smallest, x)
    bounded = where(bounded > f.largest, f.largest, bounded)
    k = (bounded * f.log2_e + f.shift) - f.shift
    r = (bounded - k * f.ln2_high) - k * f.ln2_low
    series = _series(f.exp_terms, r)
    # Each factor has its exponent in the low bits of a shifted number; what stands above falls off
    # the left end.
    upper = k * f.half + f.shift
    lower = (k - (upper - f.shift)) + f.shift
    first = _real((_bits(upper) + f.bias) << f.fraction, x)
    second = _real((_bits(lower) + f.bias) << f.fraction, x)
    inverse = _real((f.bias - _bits(lower)) << f.fraction, x)
    return r + r * r * series, first, second, inverse


@njit(**OPTIONS)
def exp(x):
    """e**x within 2 units in the last place: 0 below the smallest number, infinite above."""
    tail, first, second, _ = _exp_parts(x)
    return (_format(x).one + tail) * first * second


@njit(**OPTIONS)
def expm1(x):
    """e**x - 1, which keeps its digits near 0; -1 below the smallest number, infinite above."""
    tail, first, second, inverse = _exp_parts(x)
    return (tail * first + (first - inverse)) * second


@njit(**OPTIONS)
def tanh(x):
    """Hyperbolic tangent within 4 units in the last place, also near 0.

    It is m / (m + 2) with m = e**(2 x) - 1. Where tanh is 1 to the last bit x is cut, so one power
    of two is enough: it takes two thirds of the time that `expm1` would.
    """
    f = _format(x)
    bounded: Any = where(x < -f.tanh_flat, -f.tanh_flat, x)
    bounded = f.two * where(bounded > f.tanh_flat, f.tanh_flat, bounded)
    shifted = bounded * f.log2_e + f.shift
    k = shifted - f.shift
    r = (bounded - k * f.ln2_high) - k * f.ln2_low
    scale = _real((_bits(shifted) + f.bias) << f.fraction, x)
    m = scale * (r + r * r * _series(f.exp_terms, r)) + (scale - f.one)
    return m / (m + f.two)


@njit(**OPTIONS)
def _log_of(u, exponent, t):
    """log(u) = exponent log(2) + log(1 + t), by the series of atanh(s), s = t / (2 + t)."""
    f = _format(u)
    k = _real(_bits(f.shift) + exponent, u) - f.shift
    s = t / (t + f.two)
    square = s * s
    near = t - s * (t - square * _series(f.log_terms, square))
    result = k * f.ln2_high + (near + k * f.ln2_low)
    result = where(u < f.infinity, result, u)  # infinity and NaN
    result = where(u == f.zero, -f.infinity, result)
    return where(u < f.zero, f.infinity - f.infinity, result)


@njit(**OPTIONS)
def log(x):
    """log(x) within 2 units in the last place, for ``x`` that is zero or a normal number."""
    f = _format(x)
    exponent = (_bits(x) - _bits(f.root_half)) >> f.fraction
    m = _real(_bits(x) - (exponent << f.fraction), x)
    return _log_of(x, exponent, m - f.one)


@njit(**OPTIONS)
def log1p(x):
    """log(1 + x) within 2 units in the last place, also for ``x`` near 0; NaN below -1."""
    f = _format(x)
    u = f.one + x
    # u = 2**exponent m with m in [sqrt(1/2), sqrt(2)).
    exponent = (_bits(u) - _bits(f.root_half)) >> f.fraction
    m = _real(_bits(u) - (exponent << f.fraction), x)
    # m - 1 from x, not from u, which was rounded; but for the largest x the scale would underflow.
    scale = _real((f.bias - exponent) << f.fraction, x)
    t = where(u > f.shift, m - f.one, x * scale + (scale - f.one))
    return _log_of(u, exponent, t)


@njit(**OPTIONS)
def abs(x):
    return math.fabs(x)


@njit(**OPTIONS)
def sqrt(x):
    return math.sqrt(x)


@njit(**OPTIONS)
def maximum(x, y):
    """The larger of two numbers; NaN if one of them is NaN, as in NumPy."""
    return where((x >= y) | (x != x), x, y)


@njit(**OPTIONS)
def minimum(x, y):
    """The smaller of two numbers; NaN if one of them is NaN, as in NumPy."""
    return where((x <= y) | (x != x), x, y)


@njit(**OPTIONS)
def sign(x):
    """-1, 0 or 1 in the precision of ``x``; NaN where ``x`` is NaN."""
    f = _format(x)
    signed = math.copysign(f.one, x)
    return where((x == f.zero) | (x != x), x, signed)
