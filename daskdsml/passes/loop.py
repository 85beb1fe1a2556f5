"""The one iteration loop: steps a solver to its end, keeps the history and shows progress."""

from __future__ import annotations

import time
import warnings
from typing import Any

from daskdsml.contracts import Record, Result

# What only some solvers have to tell.
EXTRAS = ("moments", "singular", "paths", "hessian", "columns", "cells", "gradient_norm")


class Progress:
    """History of a fit's passes and, if ``verbose``, a bar that shows them as they come."""

    def __init__(self, label: str, verbose: bool):
        self.history: list[Record] = []
        self._bar = bar(label, unit="pass") if verbose else None

    def add(self, record: Record) -> None:
        """Keep one pass and show it: objective, criterion, seconds."""
        self.history.append(record)
        if self._bar is not None:
            fields = [
                (record.models > 1, f"{record.models} models"),
                (record.objective == record.objective, f"objective {record.objective:.6g}"),
                (record.gradient_norm == record.gradient_norm, f"KKT {record.gradient_norm:.1e}"),
                (True, f"{record.seconds:.2f} s"),
            ]
            text = ", ".join(field for known, field in fields if known)
            self._bar.set_postfix_str(f"{record.name}: {text}", refresh=False)
            self._bar.update()

    def close(self) -> None:
        """Take the bar away, leaving its last state in view."""
        if self._bar is not None:
            self._bar.close()


def bar(label: str, **options):
    """A tqdm bar, in a notebook or a terminal."""
    with warnings.catch_warnings():
        # In Jupyter without ipywidgets tqdm warns that it will draw with text, which is fine.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    return tqdm(desc=label, **options)


def iterate(solver, objective, theta, max_iter: int, progress: Progress, known=None) -> Result:
    """Step ``solver`` from ``theta`` until it has a status or has made ``max_iter`` steps.

    ``known`` is the Evaluation at ``theta`` if that was made before.
    """
    state = solver.init(theta)
    if known is not None:
        state = solver.tell(state, known, objective.problem)
    n_iter = 0
    while state.status is None and n_iter < max_iter:
        start = time.perf_counter()
        state = solver.step(state, objective)
        n_iter += 1
        seconds = time.perf_counter() - start
        progress.add(Record(state.name, seconds, state.value, state.gradient_norm, state.step))
    return _result(state, max(n_iter, 1), progress)


def iterate_together(
    solvers, objectives, thetas, max_iter: int, progress: Progress
) -> list[Result]:
    """`iterate` for many models at once, each with its solver, in as many passes as the slowest.

    Parameters
    ----------
    solvers : list of M solvers that go from point to point (see `daskdsml.contracts.Solver`)
    objectives : `daskdsml.passes.objective.Objectives`
    thetas : list of M arrays (size,)
    max_iter : int, most passes
    progress : Progress
    """
    states = [solver.init(theta) for solver, theta in zip(solvers, thetas, strict=True)]
    n_iter = [0] * len(states)
    for _ in range(max_iter):
        going = [m for m, state in enumerate(states) if state.status is None]
        if not going:
            break
        start = time.perf_counter()
        evaluations = objectives.evaluate(going, [states[m] for m in going])
        for m, evaluation in zip(going, evaluations, strict=True):
            states[m] = solvers[m].tell(states[m], evaluation, objectives.problems[m])
            n_iter[m] += 1
        seconds = time.perf_counter() - start
        worst = max(states[m].gradient_norm for m in going)
        name = "gradient" if all(each.hessian is None for each in evaluations) else "hessian"
        progress.add(Record(name, seconds, gradient_norm=worst, models=len(going)))
    return [_result(state, n, progress) for state, n in zip(states, n_iter, strict=True)]


def _result(state, n_iter, progress) -> Result:
    status = state.status or "max_iter"
    extras: dict[str, Any] = {name: getattr(state, name, None) for name in EXTRAS}
    return Result(state.theta, n_iter, status, progress.history, state.null_space, **extras)
