"""Lasso and elastic net without p x p matrices. Found by name."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Paths, PathSpec
from daskdsml.solvers._elastic_net import Options
from daskdsml.solvers.paths import _progress
from daskdsml.solvers.paths._specs import PathState, extended_sets, finished, own_spec, row_sets

NO_COLUMNS = np.empty(0, dtype=int)
# Where a read costs little: for one path, and for many, whose sets are one.
SINGLE_PATH_GROWTH, MANY_PATHS_GROWTH = (_progress.Growth(100, 1.0), _progress.Growth(20, 0.2))


class _State(NamedTuple):
    """Where the search stands.

    ``known`` are the moments of the working set and ``fresh`` the columns that join it at the next
    read; ``sets`` are the rows of each training set in these moments; ``sums (p, n_labels)`` are
    those of all columns, ``alphas`` those of each spec.
    """

    theta: np.ndarray
    value: float = float("nan")
    gradient_norm: float = float("nan")
    step: float = float("nan")
    moments: Any = None
    paths: Paths | None = None
    null_space: np.ndarray | None = None
    status: str | None = None
    name: str = "summary"
    known: Any = None
    fresh: Any = None
    sets: Any = None
    sums: Any = None
    alphas: list | None = None
    progress: list | None = None


class WorkingSet(NamedTuple):
    """Lasso and elastic net where p x p moments are too large, exact to the same duality gap.

    A first read gives the gradient in all columns at zero. Those of its largest entries make the
    working set, whose moments take a read; on these the next few alphas of each path are solved.
    Another read gives the gradient in *all* columns at all these solutions, and with it the duality
    gaps: fits within ``tol`` are kept, and where one is not, the columns of the largest entries
    join the working set. Objective, options and specs are as of `CoordinateDescent`; y has one
    output. A penalty without an L1 part has no small working set: all columns join.

    References
    ----------
    Tibshirani, R. et al. (2012). Strong rules for discarding predictors in lasso-type problems.
    J. R. Statist. Soc. B 74(2), 245-266.
    Massias, M., Gramfort, A. and Salmon, J. (2018). Celer: a fast solver for the lasso with dual
    extrapolation. ICML, PMLR 80, 3315-3324.
    """

    tol: float = 1e-4
    max_iter: int = 1000
    positive: bool = False
    specs: tuple[PathSpec, ...] | None = None
    start: np.ndarray | None = None
    growth: _progress.Growth = _progress.Growth()

    needs = frozenset({"column gradient"})

    def init(self, theta) -> _State:
        return _State(theta)

    def step(self, state: _State, objective) -> _State | PathState:
        specs = self.specs or (own_spec(objective.problem.penalty),)
        if state.known is None:
            return self._looked(state, objective, specs)
        if state.fresh.size:
            weight = sum(part.weight for part in state.known.y.groups.values())
            centre = state.sums[state.fresh].sum(axis=1) / weight * objective.problem.fit_intercept
            known = objective.column_moments(state.known, state.fresh, centre)
            sets = extended_sets(state.sets, known)
            return self._tried(
                state._replace(known=known, sets=sets, fresh=NO_COLUMNS, name="columns")
            )
        return self._checked(state, objective, specs)

    def _options(self) -> Options:
        return Options(self.tol, self.max_iter, self.positive)

    def _looked(self, state, objective, specs) -> _State:
        """Progress at zero coefficients, and the first working set."""
        zero_gradient, problem = objective.zero_gradient(), objective.problem
        alphas, progress = _progress.begin(
            specs, zero_gradient, problem.fit_intercept, self.positive
        )
        columns = np.arange(problem.n_features)
        if all(path.penalties(k)[0] for path in progress for k in range(len(path.alphas))):
            columns = _progress.missing(progress, NO_COLUMNS, self.positive, self.growth)
            if self.start is not None:
                columns = np.union1d(columns, np.flatnonzero(self.start[0]))
        known = objective.no_columns(zero_gradient)
        state = state._replace(
            known=known,
            fresh=columns,
            sets=row_sets(known, specs, 0),
            sums=zero_gradient.sums,
            alphas=alphas,
            progress=progress,
        )
        return state if columns.size else self._tried(state)

    def _tried(self, state) -> _State:
        """Fits of the next alphas of each path, on the working set."""
        size = len(state.known.columns)
        start = None if self.start is None else self.start[0][state.known.columns]
        return state._replace(
            progress=_progress.attempt(state.progress, state.sets, size, self._options(), start)
        )

    def _checked(self, state, objective, specs) -> _State | PathState:
        """What holds over all columns; the next working set or the end."""
        columns = state.known.columns
        products = self._products(state, objective)
        progress, first = [], 0
        for path in state.progress:
            last, rows = first + len(path.trial), state.sets[path.train]
            mean = products[:, first:last] / rows.weight
            progress.append(
                _progress.judge(path, mean, rows.quads[0], columns, self._options())
                if path.trial
                else path
            )
            first = last
        state = state._replace(progress=progress, name="gradient")
        if not any(path.open for path in progress):
            fits = _progress.fits_of(progress, len(specs), len(columns))
            paths = Paths(columns, state.known, state.alphas, fits)
            return finished(paths, specs, objective.problem, name="gradient")
        fresh = _progress.missing(progress, columns, self.positive, self.growth)
        state = state._replace(fresh=fresh)
        return state if state.fresh.size else self._tried(state)

    def _products(self, state, objective) -> np.ndarray:
        """Sums ``sum_i w_i x_i r_i`` (p, M) about the means, at the trials of all progress."""
        columns, labels = state.known.columns, sorted(state.known.y.groups)
        size, one = len(columns), objective.problem.fit_intercept
        coefs, intercepts, member, centres = [], [], [], []
        for path in state.progress:
            rows = state.sets[path.train]
            named = labels if path.train is None else path.train
            on = np.bincount(named, minlength=labels[-1] + 1).astype(float)
            centre = state.sums @ on[: state.sums.shape[1]] / rows.weight if one else 0.0
            for trial in path.trial:
                coefs.append(trial.coef)
                intercepts.append((rows.mean[size] - rows.mean[:size] @ trial.coef) * one)
                member.append(on)
                centres.append(centre)
        B = np.array(coefs).T
        used = np.flatnonzero(B.any(axis=1))
        total = objective.column_gradient(
            columns[used], B[used], np.array(intercepts), np.array(member).T
        )
        # Residuals sum to zero but for rounding, which far from zero a column would magnify.
        return total.products - np.array(centres).T * total.residuals if one else total.products
