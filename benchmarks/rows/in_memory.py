"""Logistic regression on arrays in this process's memory, against scikit-learn and glum."""

from __future__ import annotations

import statistics
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from data import logistic_table
from libraries import Fitted, Problem, load
from libraries.scikit_learn import SOLVERS
from measure import gradient_norm, heartbeat, peak_memory, say, timed
from report import INFO, SKIPPED, Line, judge

THREADS = 2
PEERS = [("scikit_learn", {"solver": solver}) for solver in SOLVERS]
OTHERS = [("glum", {}), ("nothing", {})]


class Entrant(NamedTuple):
    """A library with options, its times in seconds, and what it reached."""

    library: str
    options: dict
    times: tuple = ()
    fitted: Fitted | None = None
    gradient: float = float("nan")

    @property
    def name(self) -> str:
        """As the table shows it."""
        return " ".join([self.library.replace("_", "-"), *map(str, self.options.values())])

    @property
    def seconds(self) -> float:
        """Median of the times."""
        return statistics.median(self.times)


def logistic_memory(setup) -> list[Line]:
    """500,000 x 100 in memory: ours against scikit-learn's fastest solver, at its gradient norm."""
    n, p = setup.size(500_000, 2000), 100
    lines = []
    for kind, rho in (("independent columns", 0.0), ("AR(1) columns, rho 0.9", 0.9)):
        X, y = logistic_table(n, p, rho)
        problem = Problem(X, y, strength=1.0 / n)
        with threadpool_limits(THREADS):
            ours, others, missing = _race(problem, setup.repeats)
        memory = _memory(problem, [ours, *others])
        del problem, X, y
        lines += [_summary(kind, n, p, ours, others), *_details(kind, ours, others, memory)]
        lines += missing
    return lines


def _race(problem, repeats):
    """Ours and the others, each with its times of alternated runs."""
    entrants, missing = [], []
    for library, options in PEERS + OTHERS:
        reason = load(library)[1]
        if reason:
            missing.append(Line(f"{library} {options}", "-", "-", SKIPPED, reason))
        else:
            entrants.append(_warm(problem, Entrant(library, options)))
    fastest = min((e for e in entrants if e.library == "scikit_learn"), key=lambda e: e.times[0])
    ours = _as_exact(problem, fastest.gradient)
    entrants = [e._replace(times=()) for e in (ours, *entrants)]
    for turn in range(repeats):
        say(f"timed run {turn + 1} of {repeats}")
        for i, entrant in enumerate(entrants):
            seconds, _ = timed(partial(_fit, problem, entrant))
            entrants[i] = entrant._replace(times=(*entrant.times, seconds))
    return entrants[0], entrants[1:], missing


def _warm(problem, entrant) -> Entrant:
    """The entrant with the time of its second run, the fit and its gradient norm."""
    first, _ = timed(partial(_fit, problem, entrant))
    seconds, fitted = timed(partial(_fit, problem, entrant))
    norm = gradient_norm(problem, fitted)
    say(f"{entrant.name}: {first:.2f} s, then {seconds:.2f} s, gradient {norm:.1e}")
    return entrant._replace(times=(seconds,), fitted=fitted, gradient=norm)


def _as_exact(problem, norm) -> Entrant:
    """Ours with the loosest tolerance, its default first, that ends at or below ``norm``."""
    ours = _warm(problem, Entrant("ours", {}))
    tol = 1e-4
    while ours.gradient > norm and tol > 1e-12:
        tol /= 10.0
        ours = _warm(problem, Entrant("ours", {"tol": tol}))
    return ours


def _fit(problem, entrant) -> Fitted:
    adapter, _ = load(entrant.library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return adapter.fit(problem, **entrant.options)


def _memory(problem, entrants) -> list[float]:
    """Peak MB of each entrant in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="daskdsml-bench-") as folder:
        np.save(Path(folder) / "X.npy", problem.X)
        np.save(Path(folder) / "y.npy", problem.y)
        return [peak_memory(folder, e.library, **e.options) for e in entrants]


def _summary(kind, n, p, ours, others) -> Line:
    peers = [e for e in others if e.library == "scikit_learn"]
    fastest = min(peers, key=lambda e: e.seconds)
    ratio = fastest.seconds / ours.seconds
    return Line(
        f"logistic, {n:,} x {p} in memory, {kind}, at scikit-learn's gradient norm",
        "2x faster than its fastest solver",
        f"{ratio:.1f}x",
        judge(ratio >= 2.0 and ours.gradient <= fastest.gradient),
        f"{ours.name} {ours.seconds:.2f} s, gradient {ours.gradient:.1e}; fastest is "
        f"{fastest.name} {fastest.seconds:.2f} s, gradient {fastest.gradient:.1e}",
    )


def _details(kind, ours, others, memory) -> list[Line]:
    lines = []
    for entrant, peak in zip([ours, *others], memory, strict=True):
        times = ", ".join(f"{t:.2f}" for t in entrant.times)
        figure = f"{entrant.seconds:.2f} s, {peak:,.0f} MB peak, gradient {entrant.gradient:.1e}"
        if entrant.library == "nothing":
            figure = f"{entrant.seconds:.2f} s, {peak:,.0f} MB peak"
        detail = f"runs {times} s; iterations {entrant.fitted.n_iter}"
        lines.append(Line(f"... {entrant.name}, {kind}", "-", figure, INFO, detail))
    return lines


def logistic_scaled(setup) -> list[Line]:
    """Columns scaled over 8 orders of magnitude: converged, and 20x faster than lbfgs."""
    n, p = setup.size(500_000, 2000), 100
    X, y = logistic_table(n, p)
    X *= np.logspace(-4, 4, p)
    problem, spread = Problem(X, y, strength=1.0 / n), np.logspace(-4, 4, p)
    with threadpool_limits(THREADS):
        ours = Entrant("ours", {})
        _fit(problem, ours)
        runs = [timed(partial(_fit, problem, ours)) for _ in range(3)]
        ours = ours._replace(times=tuple(run[0] for run in runs), fitted=runs[0][1])
        with heartbeat("scikit-learn newton-cholesky"):
            cholesky = _once(problem, {"solver": "newton-cholesky"})
        with heartbeat("scikit-learn lbfgs, 1000 iterations"):
            lbfgs = _once(problem, {"solver": "lbfgs", "max_iter": 1000})
    ratio = lbfgs.seconds / ours.seconds
    texts = [_ending(problem, spread, e) for e in (ours, lbfgs, cholesky)]
    return [
        Line(
            f"logistic, {n:,} x {p} in memory, columns scaled over 8 orders of magnitude",
            "converged, and 20x faster than scikit-learn's lbfgs of at most 1000 iterations",
            f"{'' if ours.fitted.converged else 'not '}converged, {ratio:.0f}x",
            judge(bool(ours.fitted.converged) and ratio >= 20.0),
            "; ".join(texts) + " (gradients for columns of unit spread)",
        )
    ]


def _once(problem, options) -> Entrant:
    seconds, fitted = timed(partial(_fit, problem, Entrant("scikit_learn", options)))
    return Entrant("scikit_learn", options, (seconds,), fitted)


def _ending(problem, spread, entrant) -> str:
    state = "converged" if entrant.fitted.converged else "not converged"
    norm = gradient_norm(problem, entrant.fitted, spread)
    return f"{entrant.name} {entrant.seconds:.2f} s, {state}, gradient {norm:.1e}"
