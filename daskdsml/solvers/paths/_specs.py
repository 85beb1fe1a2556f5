"""What the solvers of paths (paths of penalties, on all rows or on folds) share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Paths, PathSpec
from daskdsml.solvers._elastic_net import extended, quadratics


class PathState(NamedTuple):
    """``theta (K, size)`` of the K specs on all rows, at their last alpha; ``paths`` of all."""

    theta: np.ndarray
    value: float = np.inf
    gradient_norm: float = float("nan")
    step: float = float("nan")
    moments: Any = None
    paths: Paths | None = None
    null_space: np.ndarray | None = None
    status: str | None = None
    name: str = "moments"


def own_spec(penalty, output=0) -> PathSpec:
    """The spec that a penalty alone stands for."""
    total = penalty.l1 + penalty.l2
    return PathSpec((total,), penalty.l1 / total if total else 1.0, output=output)


def own_specs(penalty, groups, n_features) -> tuple[PathSpec, ...]:
    """`own_spec` for each output of [X y] whose moments ``groups`` holds."""
    n_outputs = next(iter(groups.groups.values())).mean.size - n_features
    return tuple(own_spec(penalty, output) for output in range(n_outputs))


class RowSet(NamedTuple):
    """A set of rows: its weight, the means (q,) of [X y], and a Quadratic for each output."""

    weight: float
    mean: np.ndarray
    quads: list


def row_sets(groups, specs, n_features, about_zero=False) -> dict:
    """All rows (None), and each training set of ``specs``, as RowSet.

    Products are ``about_zero`` for models that have no intercept.
    """
    sets = {}
    for train in (None, *(train for spec in specs for train in spec.trains)):
        if train not in sets:
            moments = groups.of(train)
            moments = moments.about_zero() if about_zero else moments
            sets[train] = RowSet(moments.weight, moments.mean, quadratics(moments, n_features))
    return sets


def extended_sets(sets, known) -> dict:
    """`row_sets` with the columns that joined ``known``, a `ColumnMoments`, last.

    What is known of the others is kept: each product is summed over labels once.
    """
    n_rows = {train: known.y.of(train).stats.n_rows for train in sets}
    extended_by_train = {}
    for train, rows in sets.items():
        cross, mean = known.last_joined(train)
        quad = extended(rows.quads[0], cross, mean, rows.weight, n_rows[train])
        extended_by_train[train] = RowSet(rows.weight, mean, [quad])
    return extended_by_train


def alphas_of(spec, largest) -> np.ndarray:
    """The alphas of a spec; ``largest`` is the largest slope of the mean loss at zero."""
    if isinstance(spec.alphas, int):
        return grid(largest / spec.l1_ratio, spec.eps, spec.alphas)
    return np.asarray(spec.alphas, dtype=float)


def strengths(spec, alphas, weight) -> np.ndarray:
    """``alphas`` relative to the mean loss over rows of total ``weight``."""
    return alphas / weight if spec.summed else alphas


def grid(largest, eps, n_alphas) -> np.ndarray:
    """``n_alphas`` values from ``largest`` down to ``eps * largest``, in geometric progression."""
    resolution = np.finfo(np.float64).resolution
    if largest <= resolution:
        return np.full(n_alphas, resolution)
    return np.geomspace(largest, largest * eps, num=n_alphas)


def finished(paths, specs, problem, name="moments") -> PathState:
    """The state after the last pass: parameters, objective and status."""
    moments = paths.groups.of()
    theta, value = np.zeros((len(specs), problem.size)), 0.0
    for i, (spec, row) in enumerate(zip(specs, theta, strict=True)):
        coef = paths.fits[i][0][-1].coef
        row[paths.columns] = coef
        intercept = moments.mean[coef.size + spec.output] - moments.mean[: coef.size] @ coef
        if problem.fit_intercept:
            row[-1] = intercept
        rss = moments.rss(coef[None], np.array([intercept * problem.fit_intercept]), spec.output)
        alpha = strengths(spec, paths.alphas[i], moments.weight)[-1]
        penalty = spec.l1_ratio * np.abs(coef).sum() + 0.5 * (1.0 - spec.l1_ratio) * coef @ coef
        value += float(0.5 * rss[0] / moments.weight + alpha * penalty)
    every = (fit for sets in paths.fits for fits in sets for fit in fits)
    status = "converged" if all(fit.converged for fit in every) else "max_iter"
    return PathState(theta, value, moments=moments, paths=paths, status=status, name=name)
