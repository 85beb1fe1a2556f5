"""The fit that models with iterative solvers share: look, sample, solver."""

from __future__ import annotations

import numpy as np

from daskdsml import registry
from daskdsml.linear_model._base import LARGEST_GRAM, LinearModel
from daskdsml.linear_model._start import CHEAP_HESSIAN, sample_size, started
from daskdsml.loop import Progress
from daskdsml.objective import Problem
from daskdsml.passes.targets import Look
from daskdsml.strategies.all_reduce import AllReduce

# Multiplications of a Newton step that take no longer than some tens of passes over small data.
SMALL_HESSIAN = 2**32


class IterativeModel(LinearModel):
    """Base of models fitted by passes at changing parameters.

    A subclass gives ``_loss(found)``, ``_penalty(weight)``, ``_first(problem, found)``, and
    ``_codes(found)`` if its y is to be transformed; ``found`` is what the first look told.
    """

    _solvers = ("newton", "lbfgs", "proximal_newton")
    _labels = False

    def _fit(self, X, y, sample_weight):
        """The result of a fit, its problem and the first look."""
        table = self._admit(X, y, sample_weight, labels=self._labels)
        self._check_solver()
        rows = self._open(table)
        progress = Progress(type(self).__name__, self.verbose)
        try:
            found, rows = self._found(table, rows, progress)
            problem = self._problem(table, found)
            name = self._choose(problem)
            theta, part = self._start(problem, found, name)
            strategy = AllReduce()
            registry.check_needs(part, strategy)
            result = strategy.minimize(
                problem, rows, part, theta, max_iter=self.max_iter, progress=progress
            )
        finally:
            progress.close()
            rows.close()
        self._publish(result, rows, table, found.census.n_rows, name)
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

    def _what_to_look_for(self, table) -> Look:
        n, p = table.n_rows, table.n_features
        size, rate = sample_size(table, self._samples_all(p))
        seed = 0 if self.random_state is None else int(self.random_state)
        backend = self._find_backend(None if n is None else n * p)
        return Look(backend, self._labels, size, rate, seed)

    def _samples_all(self, n_features) -> bool:
        """Whether a sample may be all of the rows: its passes cost less than those it saves."""
        newton = self.solver == "newton" or (self.solver == "auto" and n_features <= CHEAP_HESSIAN)
        return self._is_sparse_penalty() or not newton

    def _problem(self, table, found) -> Problem:
        scales = self._scales(found, table)
        scales["weight"] = self._total_weight(found)
        return Problem(
            self._loss(found),
            self._penalty(scales["weight"]),
            self._find_backend(found.census.n_rows * table.n_features),
            table.n_features,
            bool(self.fit_intercept),
            names=getattr(self, "feature_names_in_", None),
            label=self._label,
            **scales,
        )

    def _choose(self, problem) -> str:
        """The solver's name: as asked, or for "auto" by the penalty and the Hessian's cost."""
        if self.solver != "auto":
            return self.solver
        if problem.penalty.l1:
            return "proximal_newton"
        d = problem.size
        small = d <= LARGEST_GRAM and max(problem.n_rows, d) * d * d <= SMALL_HESSIAN
        return "newton" if d <= CHEAP_HESSIAN or small else "lbfgs"

    def _start(self, problem, found, name):
        """Where to start and the solver that starts there: the last fit, or a sample's optimum."""
        part = registry.find("solvers", name)(tol=self.tol)
        theta = self._warm(problem)
        if theta is not None:
            return theta, part
        theta, sample = self._first(problem, found), found.sample.block()
        codes = self._codes(found)
        if sample is None or not self._can_start_from(sample, found):
            return theta, part
        return started(problem, sample if codes is None else codes(sample), part, name, theta)

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
        return found.census.weight

    def _codes(self, found):
        return None

    def _can_start_from(self, sample, found) -> bool:
        return True

    def _check_found(self, found) -> None:
        """Raise ValueError if the targets found are none for the loss."""
