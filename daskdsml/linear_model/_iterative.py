"""The fit that models with iterative solvers share: look, sample, solver."""

from __future__ import annotations

import numpy as np

from daskdsml.linear_model._base import LARGEST_GRAM, LinearModel
from daskdsml.linear_model._initial import Cost, Start, started
from daskdsml.linear_model._sample import Sampler, sample_size
from daskdsml.passes.loop import Progress
from daskdsml.passes.objective import Problem
from daskdsml.passes.summary import SummaryRequest
from daskdsml.solvers._newton_after import NewtonAfter
from daskdsml.solvers.newton import Newton
from daskdsml.utils import registry
from daskdsml.utils.threads import single_threaded_blas
from daskdsml.utils.validation import seed_of

# Most Newton parameters whose Hessian costs no more than reading the data from storage, and than
# reading it from memory; the latter also up to the third number if there are so many rows for each
# that a sample's optimum is within a step of theirs.
CHEAP_HESSIAN, CHEAP_IN_MEMORY, CHEAP_IF_TALL, TALL = 256, 32, 128, 2000
# Multiplications of a Newton step that take tens of milliseconds; and, where only Newton's method
# tells which coefficients the data leave open, no longer than tens of passes over small data.
QUICK_HESSIAN, SMALL_HESSIAN = 2**27, 2**32


class IterativeModel(LinearModel):
    """Base of models fitted by passes at changing parameters.

    A subclass gives ``_loss(found)``, ``_penalty(weight)``, ``_first(problem, found)``, and
    ``_codes(found)`` if its y is to be transformed; ``found`` is what the first look told.
    """

    _solvers: tuple[str, ...] = ("newton", "lbfgs", "proximal_newton")
    _labels = False

    def _fit(self, X, y, sample_weight):
        """The result of a fit, its problem and the first look."""
        table = self._dataset(X, y, sample_weight, labels=self._labels)
        self._check_solver()
        rows = self._open(table, None if self.solver == "auto" else self.solver)
        progress = Progress(type(self).__name__, self.verbose)
        try:
            found, rows = self._found(table, rows, progress)
            problem = self._problem(table, found)
            name = self._choose(problem, table)
            theta, solver, known = self._start(problem, table, found, name)
            result = registry.find_strategy(solver).minimize(
                problem, rows, solver, theta, max_iter=self.max_iter, progress=progress, known=known
            )
        finally:
            progress.close()
            rows.close()
        self._publish(result, rows, table, found.stats.n_rows, name)
        return result, problem, found

    def _found(self, table, rows, progress):
        """The first look, and the rows with targets for a loss."""
        found = self._look(rows, self._what_to_look_for(table), progress)
        self._check_found(found)
        codes = self._codes(found)
        if codes is None:
            return found, rows
        coded, rows = rows, rows.map(codes)
        coded.close()
        return found, rows

    def _what_to_look_for(self, table) -> SummaryRequest:
        n, p = table.n_rows, table.n_features
        # Rows in this process's memory are drawn when it is known how many are wanted.
        size, rate = (0, 1.0) if table.is_local else self._sample_size(table)
        backend = self._find_backend(None if n is None else n * p)
        return SummaryRequest(backend, self._labels, size, rate, seed_of(self))

    def _sample_size(self, table) -> tuple[int, float]:
        """Rows to sample and the share of a block's rows to offer.

        A sample may be all of the rows where its passes cost less than those it saves.
        """
        newton = self.solver == "newton" or (
            self.solver == "auto" and table.n_features <= CHEAP_HESSIAN
        )
        return sample_size(table, self._is_sparse_penalty() or not newton)

    def _sampler(self, table, found) -> Sampler:
        size, _ = self._sample_size(table)
        size = min(size, found.stats.n_rows)
        found = found._replace(sample=found.sample.smallest())  # put in order once
        return Sampler(table, found, self._codes(found), seed_of(self), size)

    def _problem(self, table, found) -> Problem:
        scales = self._scales(found, table)
        scales["weight"] = self._total_weight(found)
        return Problem(
            self._loss(found),
            self._penalty(scales["weight"]),
            self._find_backend(found.stats.n_rows * table.n_features),
            table.n_features,
            bool(self.fit_intercept),
            names=getattr(self, "feature_names_in_", None),
            label=self._label,
            **scales,
        )

    def _choose(self, problem, table) -> str:
        """The solver's name: as asked, or for "auto" by the penalty and the Hessian's cost."""
        if self.solver != "auto":
            return self.solver
        if problem.penalty.l1:
            return "proximal_newton"
        d = problem.size
        work = max(problem.n_rows, d) * d * d
        tall = problem.n_rows >= TALL * d
        cheap, small = CHEAP_IF_TALL if tall else CHEAP_IN_MEMORY, QUICK_HESSIAN
        if problem.unbounded or not table.is_local:
            cheap, small = CHEAP_HESSIAN, SMALL_HESSIAN
        return "newton" if d <= cheap or (d <= LARGEST_GRAM and work <= small) else "lbfgs"

    def _start(self, problem, table, found, name) -> Start:
        """Where to start and the solver that starts there: the last fit, or as a sample tells."""
        solver = registry.find("solvers", name)(tol=self.tol)
        null, warm = self._first(problem, found), self._warm(problem)
        if warm is not None and name != "lbfgs":
            return Start(warm, solver)
        sampler = self._sampler(table, found)
        # What a sample tells must not depend on the number of threads.
        with single_threaded_blas():
            start = started(problem, sampler, solver, name, null, table)
        if warm is not None:
            return start._replace(theta=warm, solver=start.solver._replace(first=None))
        if name != "lbfgs":
            return start
        solver = start.solver
        n_passes = Cost.of(problem, table).reads_before_newton(problem, self.max_iter)
        if self.solver == "auto" and n_passes:
            solver = NewtonAfter(solver, Newton(self.tol), n_passes)
        return start._replace(solver=solver, known=self._known(problem, found, null))

    def _known(self, problem, found, theta):
        """The Evaluation at the null model ``theta (size,)``, if the first look tells it."""
        return None

    def _warm(self, problem):
        """The parameters (size,) of the last fit, if they are to be used and fit."""
        coef = getattr(self, "coef_", None)
        if not self.warm_start or coef is None:
            return None
        coef = np.atleast_2d(coef)
        if coef.shape != (problem.n_outputs, problem.n_features):
            return None
        if not self.fit_intercept:
            return coef.ravel().copy()
        intercept = np.broadcast_to(np.ravel(self.intercept_), len(coef))
        return np.column_stack([coef, intercept]).ravel()

    def _check_solver(self) -> None:
        """Raise ValueError if the solver is unknown, or cannot do with the penalty."""
        super()._check_solver()
        if self._is_sparse_penalty() and self.solver not in ("auto", "proximal_newton"):
            raise ValueError(
                f"solver={self.solver!r} cannot minimise an L1 penalty, which has kinks. Use "
                "solver='proximal_newton' or 'auto', or l1_ratio=0."
            )

    def _is_sparse_penalty(self) -> bool:
        return bool(self._penalty(1.0).l1)

    def _total_weight(self, found) -> float:
        return found.stats.weight

    def _codes(self, found):
        return None

    def _check_found(self, found) -> None:
        """Raise ValueError if the targets found are none for the loss."""
