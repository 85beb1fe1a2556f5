"""Least squares: the reads of the data, and whether the model is their fit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.inference._checks import check_degrees, check_rows, check_step, count_reads
from daskdsml.inference._covariance import (
    meat_of_first_read,
    meat_of_whitened,
    whitening,
    without_noise,
)
from daskdsml.inference._design import frame_of, from_factor, from_moments, refined
from daskdsml.inference._model import FittedModel
from daskdsml.inference.result import INTERCEPT
from daskdsml.passes.fit_sums import FitRequest, fit_sums
from daskdsml.passes.gram import Exactly, exact_sums
from daskdsml.passes.normal_residual import Solution
from daskdsml.passes.whitened import whitened
from daskdsml.solvers._moments import constant_floor
from daskdsml.solvers._symmetric import solve
from daskdsml.solvers.qr import MAX_CONDITION, SMALL_ENTRIES
from daskdsml.utils import registry
from daskdsml.utils.double_double import Double, double

# From this condition of X'X on, the inverse of a small table is corrected: below it, the R factor
# leaves 13 digits or more, and p**3 operations in twice the precision are not worth one more.
PLAIN = 1e3
# What a fit may leave by rounding, and by the tolerance of an iterative solver, of y's deviations.
TOLERANCE = 1e-6


class LeastSquaresSums(NamedTuple):
    """Sums of all reads: `FitSums`, `Design`, ``meat`` or None, ``rss`` and reads of X.

    ``gap`` is the length of ``A (b - optimum)``.
    """

    first: Any
    design: Any
    meat: np.ndarray | None
    rss: float
    gap: float
    n_passes: float


def read(rows, table, fitted: FittedModel, cov_type, kind) -> LeastSquaresSums:
    """Read X once, or as often as the covariance and the digits of the sums ask for."""
    first = _first_read(rows, fitted, kind)
    moments, p = first.moments, table.n_features
    columns = np.flatnonzero(np.diag(moments.cross)[:p] > constant_floor(moments, p))
    check_degrees(first.n_used, columns.size + fitted.fit_intercept)
    condition = 1.0
    if columns.size:
        cross = moments.cross[np.ix_(columns, columns)]
        condition = solve(cross, np.zeros(columns.size)).condition
    small = table.is_local and table.n_rows * p <= SMALL_ENTRIES
    if small or condition > MAX_CONDITION:
        exactly = small and condition > PLAIN
        design, rss, score = _exactly(rows, fitted, moments, columns, exactly)
        check_degrees(first.n_used, len(design.R))
    else:
        design, rss = from_moments(moments, columns, fitted.fit_intercept), first.rss
        score = design.framed(first.scores.sums.sum(axis=0, keepdims=True), first.centre)
    gap = float(np.linalg.norm(design.whiten(score)))
    meat = None
    if kind.power or (kind.robust and condition > MAX_CONDITION):
        sums = rows.run(whitened, whitening(fitted, design, kind), "infer-leverage")
        meat = meat_of_whitened(sums, cov_type, kind)
    elif kind.robust:
        meat = meat_of_first_read(first, design, kind)
    meat = None if meat is None else without_noise(meat, gap)
    n_passes = count_reads(rows, table, moments.stats.n_rows)
    return LeastSquaresSums(first, design, meat, rss, gap, n_passes)


def _first_read(rows, fitted: FittedModel, kind):
    backend = registry.find("backends", "numpy")()
    at = FitRequest(backend, fitted.coef, fitted.intercept, kind.robust and not kind.clustered)
    first = rows.run(fit_sums, at._replace(meat=at.meat and not kind.power), "infer-moments")
    check_rows(first, fitted, kind)
    return first if fitted.fit_intercept else first._replace(moments=first.moments.about_zero())


def _exactly(rows, fitted: FittedModel, moments, columns, gram):
    """Design, residual sum of squares and framed score from a read in twice the precision."""
    one, p = fitted.fit_intercept, fitted.coef.size
    theta = np.append(fitted.intercept, fitted.coef) if one else fitted.coef
    frame = frame_of(moments, np.arange(p + 1), one)
    state = Exactly(frame, Solution(double(theta[:, None]), one), gram)
    sums = rows.run(exact_sums, state, "infer-r-factor")
    names = [INTERCEPT] * one + fitted.names
    design = from_factor(sums.factor.R, moments, columns, one, names)
    if gram:
        design = refined(design, sums.gram)
    exact = Double(*(half[:, 0] for half in sums.residual.score))
    slopes = Double(exact.high[one:], exact.low[one:])
    if one:
        intercept = Double(*(np.broadcast_to(half[0], (p,)) for half in exact))
        slopes = slopes + -intercept.times(frame.centre[:p])
    score = slopes.high[design.columns] / design.frame.scale
    score = np.append(exact.high[:1], score) if one else score
    return design, float(sums.residual.rss.high[0]), score[None, :]


def check_optimum(sums: LeastSquaresSums) -> None:
    """Raise ValueError if the model is not the least squares fit to these data."""
    first, design = sums.first, sums.design
    moments = first.moments
    total, mean = moments.cross[-1, -1], moments.mean[-1]
    # Rounding leaves a step too: that of scores summed over rows of this size.
    size = np.sqrt(total) + 1e-6 * np.sqrt(moments.weight) * abs(mean)
    if sums.gap <= TOLERANCE * size:
        return
    variance = sums.rss / (first.n_used - len(design.R))
    distance = sums.gap / np.sqrt(variance) if variance > 0.0 else np.inf
    check_step(distance, len(design.R), "the least squares fit to")
