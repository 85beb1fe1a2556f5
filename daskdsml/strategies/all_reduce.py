"""Synchronous data parallelism. Found by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from daskdsml.contracts import Result
from daskdsml.passes.loop import iterate, iterate_together
from daskdsml.passes.objective import Objective, Objectives
from daskdsml.passes.progress import Progress
from daskdsml.strategies._steps import Steps
from daskdsml.utils.threads import single_threaded_blas


@dataclass(frozen=True)
class AllReduce:
    """Every pass sums over all rows and every step is taken on the whole sum.

    Nothing but sums travels, so the result does not depend on how many workers there are.
    """

    provides: ClassVar = frozenset(
        {
            "gradient",
            "hessian",
            "column hessian",
            "moments",
            "column gradient",
            "epochs",
            "batches",
            "batch sums",
            "whole rows",
            "full batch",
        }
    )
    reproducible: ClassVar = True

    def check(self) -> None:
        """There is nothing to set."""

    def minimize(
        self, problem, rows, solver, theta, *, max_iter, progress=None, known=None
    ) -> Result:
        """Minimise ``problem`` over ``rows`` (anything with ``run(kernel, state, name)``).

        ``known`` is the Evaluation at ``theta``, where that is no more to be read.
        """
        progress = Progress(problem.label, verbose=False) if progress is None else progress
        # Also between passes: what a solver computes must not depend on the number of threads.
        with single_threaded_blas():
            objective = Objective(rows.run, problem)
            return iterate(solver, objective, theta, max_iter, progress, known)

    def minimize_together(
        self, problems, rows, solvers, thetas, *, max_iter, progress=None
    ) -> list[Result]:
        """`minimize` for many models in the same reads: see `iterate_together`."""
        progress = Progress(problems[0].label, verbose=False) if progress is None else progress
        with single_threaded_blas():
            objectives = Objectives(rows.run, problems)
            return iterate_together(solvers, objectives, thetas, max_iter, progress)

    def epoch(self, kernel, state, rows, order, name):
        """The state after every row once: ``state = kernel(state, block)``, block after block.

        ``order`` has the number of each shard of ``rows``.
        """
        return rows.fold(kernel, state, order, name)

    def train(self, step, state, batches, epoch: int):
        """The mini-batches of an epoch one after the other, each summed over all who hold its rows.

        They are told of one by one, or some at a time where workers make them.

        Parameters
        ----------
        step : callable, ``step(state, batch)`` gives the next state and what to tell of it
        state : where training stands
        batches : `daskdsml.network_contracts.Batches`

        Yields
        ------
        state and a list of what was told, after some steps
        """
        for steps in batches.rounds(epoch):
            state, told = steps.run(Steps(step), state)
            yield state, told
