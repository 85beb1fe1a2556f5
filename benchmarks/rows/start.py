"""The first fit in a fresh process, with nothing compiled yet."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

from measure import say, timed
from report import INFO, Line, judge

TARGET = 2.0
# Prints the seconds that import and fit take; what the process itself takes is seen from outside.
PROGRAM = """
import time; start = time.perf_counter()
import numpy as np
from daskdsml.linear_model import LinearRegression, LogisticRegression, Ridge
imported = time.perf_counter()
rng = np.random.default_rng(0)
X = rng.standard_normal(({n}, 20)); y = (X[:, 0] + rng.standard_normal({n}) > 0).astype(int)
ready = time.perf_counter()
{model}.fit(X, y)
print(imported - start, time.perf_counter() - ready)
"""


def first_fit(setup) -> list[Line]:
    """Seconds of a fit of 10,000 x 20 in a fresh process, import included and not."""
    n = setup.size(10_000, 1000)
    return [
        _line(n, "LogisticRegression()", judged=True),
        _line(n, "LinearRegression()", judged=True),
        _line(n, "LogisticRegression(backend='numba')", judged=False),
    ]


def _line(n, model, judged) -> Line:
    runs = [_run(n, model) for _ in range(3)]
    whole, imported, fit = (statistics.median(part) for part in zip(*runs, strict=True))
    say(f"{model}: import {imported:.2f} s, fit {fit:.2f} s")
    return Line(
        f"first fit of {n:,} x 20 in a fresh process, `{model}`, Numba's cache empty",
        f"{TARGET:g} s, compilation included" if judged else "-",
        f"{fit:.2f} s fit, {imported + fit:.2f} s with import",
        judge(fit <= TARGET) if judged else INFO,
        f"import {imported:.2f} s; whole process with the interpreter's start {whole:.2f} s",
    )


def _run(n, model) -> tuple[float, float, float]:
    """Seconds of the whole process, of the import and of the fit."""
    with tempfile.TemporaryDirectory(prefix="daskdsml-bench-") as folder:
        command = [sys.executable, "-W", "ignore", "-c", PROGRAM.format(n=n, model=model)]
        options = {"capture_output": True, "text": True, "check": True}
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        seconds, done = timed(lambda: subprocess.run(command, env=environment, **options))
    return seconds, *(float(part) for part in done.stdout.split())
