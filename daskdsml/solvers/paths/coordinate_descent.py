"""Lasso and elastic net on moments. Found by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.contracts import Paths, PathSpec
from daskdsml.solvers._elastic_net import Options, fit
from daskdsml.solvers.paths._specs import (
    PathState,
    alphas_of,
    finished,
    own_specs,
    row_sets,
    strengths,
)


class CoordinateDescent(NamedTuple):
    """Least squares with an L1 and an L2 penalty, from the moments of one read.

    Minimises ``sum_i w_i (y_i - x_i'b - b0)**2 / (2 sum_i w_i) + l1 |b|_1 + l2 |b|_2**2 / 2``, to a
    duality gap of at most ``tol`` times the mean square of y about its mean, in at most
    ``max_iter`` sweeps. Between sweeps the optimum on the active set is solved for exactly.

    ``specs`` are paths to solve; without any there is one for each output, that of the problem's
    own penalty. ``start (K, p)`` are coefficients to begin with.

    References
    ----------
    Friedman, J., Hastie, T. and Tibshirani, R. (2010). Regularization paths for generalized linear
    models via coordinate descent. J. Statist. Software 33(1).
    Osborne, M. R., Presnell, B. and Turlach, B. A. (2000). On the LASSO and its dual. J. Comput.
    Graph. Statist. 9(2), 319-337.
    """

    tol: float = 1e-4
    max_iter: int = 1000
    positive: bool = False
    specs: tuple[PathSpec, ...] | None = None
    start: np.ndarray | None = None

    needs = frozenset({"moments"})

    def init(self, theta) -> PathState:
        return PathState(theta)

    def step(self, state: PathState, objective) -> PathState:
        problem, p = objective.problem, objective.problem.n_features
        groups = objective.group_moments()
        specs = self.specs or own_specs(problem.penalty, groups, p)
        options = Options(self.tol, self.max_iter, self.positive)
        sets = row_sets(groups, specs, p, not problem.fit_intercept)
        alphas, fits = [], []
        for spec in specs:
            gradient = sets[None].quads[spec.output].c
            alphas.append(alphas_of(spec, np.max(gradient if self.positive else np.abs(gradient))))
            start = None if self.start is None else self.start[spec.output]
            fits.append(
                [_path(sets[t], spec, alphas[-1], options, start) for t in (None, *spec.trains)]
            )
        return finished(Paths(np.arange(p), groups, alphas, fits), specs, problem)


def _path(rows, spec, alphas, options, start) -> list:
    """Fits in descending order of alpha, each from the one before."""
    fits = []
    for alpha in strengths(spec, alphas, rows.weight):
        l1, l2 = alpha * spec.l1_ratio, alpha * (1.0 - spec.l1_ratio)
        fits.append(fit(rows.quads[spec.output], l1, l2, options, start))
        start = fits[-1].coef
    return fits
