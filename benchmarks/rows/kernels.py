"""Bandwidth of the fused gradient kernel; measured by kernel_bandwidth.py."""

from __future__ import annotations

from measure import say
from report import INFO, Line, judge

TARGET = 0.6


def kernel_bandwidth(setup) -> list[Line]:
    """Fused gradient against a plain Numba sum over the same array, one thread."""
    import kernel_bandwidth as bench

    n, p = setup.size(1_000_000, 20_000), 100
    say(f"{n:,} x {p}")
    return [_line(n, p, found) for found in bench.measure(n, p)]


def _line(n, p, found) -> Line:
    ratio, plain = found["ratio"], found["kernel"] == "plain sum"
    return Line(
        f"{found['kernel']} kernel, {n:,} x {p}, {found['dtype']}, one thread",
        "-" if plain else f"{TARGET:.0%} of a plain Numba sum",
        f"{found['gb_s']:.1f} GB/s" if plain else f"{ratio:.0%}",
        INFO if plain else judge(ratio >= TARGET),
        "" if plain else f"{found['gb_s']:.1f} GB/s, one read of X",
    )
