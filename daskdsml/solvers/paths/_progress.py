"""How far each path of a working set has come: what to solve next, what holds, what is missing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.contracts import Fit, PathSpec
from daskdsml.solvers._elastic_net import Options, duality_gap, fit
from daskdsml.solvers.paths._specs import alphas_of, strengths

# Alphas of one path, and models in all, that one read checks; their slopes are (p, M) numbers.
MAX_ALPHAS_AHEAD, MAX_MODELS, MAX_SLOPES = 16, 64, 2**25
# What rounding may leave of a duality gap, as a share of the mean square of y.
ROUNDING_GAP = 1e-12
# A single fit is solved to this share of its last gap over all columns.
LOOSE_GAP_SHARE = 0.1


class Growth(NamedTuple):
    """Most columns that join for a path at once: ``least``, or a share of those it uses already."""

    least: int = 100
    share: float = 0.5


class PathProgress(NamedTuple):
    """How far one spec has come on one set of rows.

    ``alphas`` are relative to the mean loss; ``done`` are the fits that hold over all columns;
    ``trial`` the next ones, solved on the working set alone; ``slope (p,)`` is that of the mean
    loss where the path stands; ``ahead`` is how many alphas to try at once. ``loose`` is the gap,
    as a share of the mean square of y, up to which a single fit is solved on the working set while
    its gap over all columns is larger still. ``used`` of the trials held.
    """

    spec: PathSpec
    index: int  # type: ignore[assignment]  # nobody asks a path for a tuple's method
    train: tuple | None
    alphas: np.ndarray
    slope: np.ndarray
    done: tuple[Fit, ...] = ()
    trial: tuple[Fit, ...] = ()
    ahead: int = 4
    loose: float = 0.0
    used: int = 0

    @property
    def open(self) -> bool:
        return len(self.done) < len(self.alphas)

    def penalties(self, k) -> tuple[float, float]:
        """Strengths of the L1 and L2 part for alpha number ``k``."""
        alpha = self.alphas[k]
        return alpha * self.spec.l1_ratio, alpha * (1.0 - self.spec.l1_ratio)


def begin(
    specs, zero_gradient, fit_intercept, positive
) -> tuple[list[np.ndarray], list[PathProgress]]:
    """Alphas of each spec, and the progress at zero coefficients, from a first read."""
    every, progress = [], []
    for i, spec in enumerate(specs):
        for train in (None, *spec.trains):
            moments = zero_gradient.y.of(train)
            labels = sorted(zero_gradient.y.groups) if train is None else list(train)
            slope = zero_gradient.products[:, labels].sum(axis=1)
            if fit_intercept:
                slope -= moments.mean[0] * zero_gradient.sums[:, labels].sum(axis=1)
            slope /= moments.weight
            if train is None:
                largest = np.max(slope if positive else np.abs(slope), initial=0.0)
                every.append(alphas_of(spec, largest))
            alphas = strengths(spec, every[-1], moments.weight)
            progress.append(PathProgress(spec, i, train, alphas, slope))
    return every, progress


def missing(progress, columns, positive, growth) -> np.ndarray:
    """The columns outside the working set that the open paths are likely to need next.

    Those whose slope, where the path stands, is above the last of the next alphas to be tried; of
    many the steepest.
    """
    chosen = [np.empty(0, dtype=int)]
    for path in progress:
        if path.open:
            gradient = np.array(path.slope if positive else np.abs(path.slope))
            gradient[columns] = -np.inf
            used = np.count_nonzero(path.trial[0].coef) if path.trial else 0
            limit = min(max(growth.least, int(growth.share * used)), gradient.size)
            best = np.argpartition(-gradient, limit - 1)[:limit]
            target = min(len(path.done) + path.ahead, len(path.alphas)) - 1
            chosen.append(best[gradient[best] > path.penalties(target)[0]])
    return np.unique(np.concatenate(chosen))


def attempt(progress, sets, size, options: Options, start=None) -> list[PathProgress]:
    """The paths with fits of their next alphas on a working set of ``size`` columns."""
    n_open = sum(path.open for path in progress)
    room = max(min(MAX_MODELS, MAX_SLOPES // len(progress[0].slope)) // max(n_open, 1), 1)
    tried = []
    for path in progress:
        b = np.zeros(size) if start is None else start
        # The first trial that did not hold is of the next penalty: its optimum is close.
        near = (path.trial[path.used :] or path.done[-1:])[:1]
        if near:
            b = _padded(near[0].coef, size)
        trial, first = [], len(path.done)
        goal = options._replace(tol=max(options.tol, path.loose))
        for k in range(first, min(first + min(path.ahead, room), len(path.alphas))):
            l1, l2 = path.penalties(k)
            trial.append(fit(sets[path.train].quads[0], l1, l2, goal, b))
            b = trial[-1].coef
        tried.append(path._replace(trial=tuple(trial)))
    return tried


def judge(path: PathProgress, slopes, quad, columns, options: Options) -> PathProgress:
    """The path after its trials, whose slopes over all columns are ``slopes (p, len(trial))``.

    Trials are kept up to the first whose duality gap over all columns is too large.
    """
    done, used = list(path.done), 0
    for trial, slope in zip(path.trial, slopes.T, strict=True):
        l1, l2 = path.penalties(len(done))
        gradient = slope.copy()
        gradient[columns] -= l2 * trial.coef
        norm = float(np.max(gradient if options.positive else np.abs(gradient), initial=0.0))
        gap = duality_gap(quad, trial.coef, slope[columns], l1, l2, options.positive, norm)
        holds = gap <= options.tol * quad.yy
        path = path._replace(slope=slope)
        outside = np.delete(gradient if options.positive else np.abs(gradient), columns)
        # More columns help only where one pulls from outside and the set itself was solved, if need
        # be to rounding: a tolerance below that would otherwise be tried for ever, or never grow.
        solved = trial.converged or trial.gap <= ROUNDING_GAP * quad.yy
        loose = path.loose > options.tol
        if not holds and (loose or (solved and np.max(outside, initial=0.0) > l1)):
            if len(path.alphas) == 1:
                path = path._replace(loose=_looser(path.loose, gap / (quad.yy or 1.0)))
            break
        done.append(trial._replace(gap=gap, converged=holds))
        used += 1
    ahead = 2 * path.ahead if used == len(path.trial) else max(used, 1)
    return path._replace(done=tuple(done), ahead=min(ahead, MAX_ALPHAS_AHEAD), used=used)


def _looser(before, gap) -> float:
    """The gap up to which a single fit is solved next; none, 0, once that is near rounding."""
    loose = LOOSE_GAP_SHARE * min(gap, before or gap)
    return loose if loose > ROUNDING_GAP else 0.0


def fits_of(progress, n_specs, size) -> list[list[list[Fit]]]:
    """All fits by spec and set of rows, with coefficients on the whole working set."""
    fits: list = [[] for _ in range(n_specs)]
    for path in progress:
        padded = [f._replace(coef=_padded(f.coef, size)) for f in path.done]
        fits[path.index].append(padded)
    return fits


def _padded(coef, size) -> np.ndarray:
    return np.concatenate([coef, np.zeros(size - len(coef))])
