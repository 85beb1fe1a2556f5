"""Fits by passes at changing parameters: summary, start from a sample, solver."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from daskdsml.contracts import Evaluation, Result
from daskdsml.engine.full.by_columns import ByColumns
from daskdsml.linear_model._base import (
    LARGEST_GRAM,
    asked_solver,
    dataset_of,
    find_backend,
    named_solver,
    names_of,
    publish,
    scales_of,
    shift_of,
    warn_of_alike,
)
from daskdsml.linear_model._initial import Cost, Start, started
from daskdsml.linear_model._kept import kept_passes
from daskdsml.linear_model._least_norm import least_norm
from daskdsml.linear_model._sample import Sampler, sample_size
from daskdsml.linear_model._strategy import asked_or_wide, first_served, strategy_for
from daskdsml.passes.features import FeatureRequest, summarize_features
from daskdsml.passes.objective import Problem
from daskdsml.passes.summary import DataSummary, SummaryRequest
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
# Solvers of smooth objectives.
SMOOTH = ("newton", "lbfgs")


class Family(Protocol):
    """What a model says of its targets; a ``summary`` is that of the first pass.

    ``labels`` tells whether y holds class labels, ``products`` whether the first pass is to sum the
    columns with y as their weight too.
    """

    @property
    def labels(self) -> bool: ...

    @property
    def products(self) -> bool: ...

    def check(self, summary: DataSummary) -> None:
        """Raise ValueError if the targets are none for the loss."""

    def codes(self, summary: DataSummary) -> Any:
        """What turns the targets of a block into those of the loss, or None."""

    def weight(self, summary: DataSummary) -> float:
        """Summed weight of the rows."""

    def loss_of(self, summary: DataSummary) -> Any:
        """The loss of one row, which may depend on the number of classes."""

    def null(self, problem: Problem, summary: DataSummary) -> np.ndarray:
        """Parameters (size,) of the best model of intercepts alone."""

    def null_evaluation(self, problem: Problem, summary: DataSummary, theta) -> Evaluation:
        """The objective at the null model ``theta (size,)``, without a pass."""


class IterativeFit(NamedTuple):
    """What `minimize` returns: the solver's result, its problem and the summary of the data."""

    result: Result
    problem: Problem
    summary: DataSummary


def minimize(estimator, family: Family, penalty, X, y, sample_weight) -> IterativeFit:
    """Fit the parameters of an estimator, and publish how that went.

    ``penalty`` is a function of the summed weight of the rows, for its strength is relative to the
    mean loss.
    """
    table = dataset_of(estimator, X, y, sample_weight, labels=family.labels)
    has_l1 = bool(penalty(1.0).l1)
    named = _named_solver(estimator, has_l1)
    asked = asked_or_wide(estimator, named, table)
    automatic = first_served(asked, *(("proximal_newton",) if has_l1 else SMOOTH))
    strategy = strategy_for(estimator, named or registry.find("solvers", automatic), table, asked)
    with kept_passes(estimator, table, named, strategy=strategy) as passes:
        by_columns = isinstance(passes.rows, ByColumns)
        sample = (0, 1.0) if by_columns else _sample_size(estimator, table, has_l1)
        request = summary_request(estimator, table, sample, family.labels, family.products)
        summary = _summary(estimator, passes, request)
        family.check(summary)
        codes = family.codes(summary)
        passes.encode(codes)
        weight = family.weight(summary)
        loss = family.loss_of(summary)
        problem = problem_of(estimator, loss, penalty(weight), weight, table, summary)
        name = choose_solver(estimator, problem, table, asked)
        sampler = sampler_of(estimator, table, summary, codes, sample)
        start = _start(estimator, family, problem, table, sampler, name, strategy)
        result = run_solver(estimator, problem, passes, start, strategy)
    publish(estimator, result, passes.n_passes(summary.stats.n_rows, table), name)
    if name == "lbfgs":
        result = least_norm(estimator, problem, sampler, result)
    result = result._replace(theta=problem.unshifted(result.theta))
    return IterativeFit(result, problem, summary)


def run_solver(estimator, problem, passes, start: Start, strategy=None) -> Result:
    """The result of the solver from its start."""
    strategy = registry.find_strategy(start.solver) if strategy is None else strategy
    return strategy.minimize(
        problem,
        passes.rows,
        start.solver,
        start.theta,
        max_iter=estimator.max_iter,
        progress=passes.progress,
        known=start.known,
    )


def _summary(estimator, passes, request) -> DataSummary:
    """What the first pass tells, be it over rows or over columns."""
    rows = passes.rows
    if not isinstance(rows, ByColumns):
        return passes.summarize(estimator, request)
    state = FeatureRequest(request, rows.y, rows.w)
    return passes.summarize(estimator, state, summarize_features).summary


def summary_request(estimator, table, sample, labels=False, products=False) -> SummaryRequest:
    """What the first pass is to sum; ``sample`` is what `sample_size` gives."""
    n, p = table.n_rows, table.n_features
    # Rows in this process's memory are drawn when it is known how many are wanted.
    size, rate = (0, 1.0) if table.is_local else sample
    backend = find_backend(estimator, None if n is None else n * p)
    return SummaryRequest(backend, labels, size, rate, seed_of(estimator), products)


def sampler_of(estimator, table, summary, codes, sample) -> Sampler:
    """What draws rows of the table; ``sample`` is what `sample_size` gives."""
    size = min(sample[0], summary.stats.n_rows)
    summary = summary._replace(sample=summary.sample.smallest())  # put in order once
    shift = shift_of(estimator, summary, table, constant=True)
    return Sampler(table, summary, codes, seed_of(estimator), size, shift)


def problem_of(estimator, loss, penalty, weight, table, summary) -> Problem:
    """The problem that a solver is given; ``weight`` is the summed weight of the rows."""
    scales = scales_of(estimator, summary, table) | {"weight": weight}
    warn_of_alike(estimator, summary, scales["epsilon"])
    return Problem(
        loss,
        penalty,
        find_backend(estimator, summary.stats.n_rows * table.n_features),
        table.n_features,
        bool(estimator.fit_intercept),
        names=names_of(estimator),
        label=estimator._label,
        **scales,
    )


def choose_solver(estimator, problem, table, strategy="auto") -> str:
    """The solver's name: as asked, or for "auto" by the penalty and the Hessian's cost."""
    asked = asked_solver(estimator)
    if asked != "auto":
        return asked
    if problem.penalty.l1:
        return "proximal_newton"
    d = problem.size
    work = max(problem.n_rows, d) * d * d
    tall = problem.n_rows >= TALL * d
    cheap, small = CHEAP_IF_TALL if tall else CHEAP_IN_MEMORY, QUICK_HESSIAN
    if problem.unbounded or not table.is_local:
        cheap, small = CHEAP_HESSIAN, SMALL_HESSIAN
    name = "newton" if d <= cheap or (d <= LARGEST_GRAM and work <= small) else "lbfgs"
    return first_served(strategy, name, *SMOOTH)


def _start(estimator, family, problem, table, sampler, name, strategy) -> Start:
    """Where to start and the solver that starts there: the last fit, or as a sample tells."""
    solver = registry.find("solvers", name)(tol=estimator.tol)
    null, warm = family.null(problem, sampler.found), _last_fit(estimator, problem)
    if warm is not None and name != "lbfgs":
        return Start(warm, solver)
    # What a sample tells must not depend on the number of threads.
    with single_threaded_blas():
        start = started(problem, sampler, solver, name, null, table)
    if warm is not None:
        return start._replace(theta=warm, solver=start.solver._replace(first=None))
    if name != "lbfgs":
        return start
    solver = start.solver
    n_passes = Cost.of(problem, table).reads_before_newton(problem, estimator.max_iter)
    if asked_solver(estimator) == "auto" and n_passes and Newton.needs <= strategy.provides:
        solver = NewtonAfter(solver, Newton(estimator.tol), n_passes)
    # Sums about zero tell little of columns far from there.
    known = None if problem.shift else family.null_evaluation(problem, sampler.found, null)
    return start._replace(solver=solver, known=known)


def _last_fit(estimator, problem):
    """The parameters (size,) of the last fit, if they are to be used and are as many."""
    coef = getattr(estimator, "coef_", None)
    if not estimator.warm_start or coef is None:
        return None
    theta = np.atleast_2d(coef)
    if theta.shape != (problem.n_outputs, problem.n_features):
        return None
    if estimator.fit_intercept:
        intercept = np.broadcast_to(np.ravel(estimator.intercept_), len(theta))
        theta = np.column_stack([theta, intercept])
    if problem.loss.coupled and not problem.penalty.l1:
        # Classes may all be moved alike without any effect: the penalty wants them to sum to zero.
        theta = theta - theta.mean(axis=0)
    return problem.shifted(theta.flatten())


def _sample_size(estimator, table, has_l1) -> tuple[int, float]:
    """Rows to sample and the share of a block's rows to offer.

    A sample may be all of the rows where its passes cost less than those it saves.
    """
    asked = asked_solver(estimator)
    newton = asked == "newton" or (asked == "auto" and table.n_features <= CHEAP_HESSIAN)
    return sample_size(table, has_l1 or not newton)


def _named_solver(estimator, has_l1):
    """`named_solver`, which must do with the penalty."""
    solver = named_solver(estimator)
    if has_l1 and estimator.solver not in ("auto", "proximal_newton", "saga"):
        raise ValueError(
            f"solver={estimator.solver!r} cannot minimise an L1 penalty, which has kinks. Use "
            "solver='proximal_newton' or 'auto', or l1_ratio=0."
        )
    return solver
