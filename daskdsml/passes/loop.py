"""The one iteration loop: steps a solver to its end."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Record, Result
from daskdsml.passes.progress import Progress

# Reads that steps may take in all, as a multiple of their number and beyond that.
READS_PER_STEP, MORE_READS = 2, 20
# What only some solvers have to tell.
EXTRAS = ("moments", "singular", "paths", "hessian", "columns", "cells", "gradient_norm")


def iterate(solver, objective, theta, max_iter: int, progress: Progress, known=None) -> Result:
    """Step ``solver`` from ``theta`` until it has a status or has moved ``max_iter`` times.

    What only tells of a point, such as the start or a trial too far away, is a read but no step: so
    a search that goes on from where another one ended gets on. ``known`` is the Evaluation at
    ``theta`` if that was made before.

    Ctrl-C ends it at the last ``theta`` whose gradient is known, where there is such.
    """
    state = solver.init(theta)
    if known is not None:
        state = solver.tell(state, known, objective.problem)
    steps = _Steps()
    if objective.stateless:
        state, steps = progress.resumed((state, steps))
    while state.status is None and steps.go_on(max_iter):
        start, before = time.perf_counter(), state
        try:
            state = solver.step(state, objective)
        except KeyboardInterrupt:
            known = steps.reads and np.isfinite(state.gradient_norm)
            if not (known and progress.ends_early):
                raise
            progress.interrupted = True
            return _result(state, steps, progress, "interrupted")
        steps = steps.after(before, state)
        seconds = time.perf_counter() - start
        progress.add(Record(state.name, seconds, state.value, state.gradient_norm, state.step))
        if objective.stateless:
            progress.keep((state, steps))
    return _result(state, steps, progress)


class _Steps(NamedTuple):
    """How often a search has moved, and read."""

    moved: int = 0
    reads: int = 0

    def go_on(self, max_iter) -> bool:
        return self.moved < max_iter and self.reads < READS_PER_STEP * max_iter + MORE_READS

    def after(self, before, state) -> _Steps:
        moved = state.status is not None or not np.array_equal(before.theta, state.theta)
        return _Steps(self.moved + moved, self.reads + 1)


def iterate_together(
    solvers, objectives, thetas, max_iter: int, progress: Progress
) -> list[Result]:
    """`iterate` for many models at once, each with its solver, in as many passes as the slowest.

    Parameters
    ----------
    solvers : list of M solvers that go from point to point (see `daskdsml.contracts.Solver`)
    objectives : `daskdsml.passes.objective.Objectives`
    thetas : list of M arrays (size,)
    max_iter : int, most steps of each
    progress : Progress
    """
    states = [solver.init(theta) for solver, theta in zip(solvers, thetas, strict=True)]
    states, steps = progress.resumed((states, [_Steps() for _ in states]))
    while True:
        going = [
            m for m, state in enumerate(states) if state.status is None and steps[m].go_on(max_iter)
        ]
        if not going:
            break
        start = time.perf_counter()
        evaluations = objectives.evaluate(going, [states[m] for m in going])
        for m, evaluation in zip(going, evaluations, strict=True):
            before = states[m]
            states[m] = solvers[m].tell(before, evaluation, objectives.problems[m])
            steps[m] = steps[m].after(before, states[m])
        seconds = time.perf_counter() - start
        worst = max(states[m].gradient_norm for m in going)
        name = "gradient" if all(each.hessian is None for each in evaluations) else "hessian"
        progress.add(Record(name, seconds, gradient_norm=worst, models=len(going)))
        progress.keep((list(states), list(steps)))
    return [_result(state, own, progress) for state, own in zip(states, steps, strict=True)]


def _result(state, steps, progress, status=None) -> Result:
    status = status or state.status or "max_iter"
    extras: dict[str, Any] = {name: getattr(state, name, None) for name in EXTRAS}
    return Result(
        state.theta, max(steps.moved, 1), status, progress.history, state.null_space, **extras
    )
