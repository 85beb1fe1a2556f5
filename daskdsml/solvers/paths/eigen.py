"""Ridge paths by one eigendecomposition. Found by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.contracts import Fit, Paths, PathSpec
from daskdsml.solvers._symmetric import EPSILON
from daskdsml.solvers.paths._specs import (
    PathState,
    alphas_of,
    finished,
    own_specs,
    row_sets,
    strengths,
)


class Eigen(NamedTuple):
    """Ridge regression for any number of penalties, from the moments of one read.

    With the eigendecomposition ``X'X / n = V diag(s) V'`` of the centred moments the coefficients
    for strength ``alpha`` are ``V diag(1 / (s + alpha)) V'X'y / n``: a product for each alpha. For
    alpha 0 the part of no variance is left out, which gives the coefficients of least norm.

    ``specs`` are paths to solve; without any there is one for each output, that of the problem's
    own penalty.

    References
    ----------
    Hastie, T., Tibshirani, R. and Friedman, J. (2009). The Elements of Statistical Learning, 2nd
    ed., section 3.4.1.
    """

    specs: tuple[PathSpec, ...] | None = None

    needs = frozenset({"moments"})

    def init(self, theta) -> PathState:
        return PathState(theta)

    def step(self, state: PathState, objective) -> PathState:
        problem, p = objective.problem, objective.problem.n_features
        groups = objective.group_moments()
        specs = self.specs or own_specs(problem.penalty, groups, p)
        sets = row_sets(groups, specs, p, not problem.fit_intercept)
        spectra = {train: _spectrum(rows.quads[0].G) for train, rows in sets.items()}
        alphas = [alphas_of(spec, 0.0) for spec in specs]
        fits = [
            [
                _path(
                    spectra[train],
                    sets[train].quads[spec.output].c,
                    strengths(spec, values, sets[train].weight),
                )
                for train in (None, *spec.trains)
            ]
            for spec, values in zip(specs, alphas, strict=True)
        ]
        return finished(Paths(np.arange(p), groups, alphas, fits), specs, problem)


def _spectrum(G):
    """Eigenvalues and vectors, the latter exactly zero in columns that do not vary."""
    values, vectors = np.linalg.eigh(G)
    vectors[np.diag(G) == 0.0] = 0.0
    return values, vectors


def _path(spectrum, c, alphas) -> list[Fit]:
    values, vectors = spectrum
    significant = values > 10.0 * len(values) * EPSILON * max(values[-1], 0.0)
    values, vectors = values[significant], vectors[:, significant]
    inner = vectors.T @ c
    return [Fit(vectors @ (inner / (values + alpha))) for alpha in alphas]
