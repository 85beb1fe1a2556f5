"""Maximum likelihood: the reads of the data, and whether the model is the optimum on them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from daskdsml.data.labels import class_weights
from daskdsml.inference._checks import (
    check_degrees,
    check_rows,
    check_step,
    count_reads,
    raise_dependent,
)
from daskdsml.inference._covariance import without_noise
from daskdsml.inference._design import Design, from_moments
from daskdsml.inference._families import Classes, NullModel
from daskdsml.inference._model import FittedModel
from daskdsml.inference._separation import (
    MAX_LOGLIK_FALL,
    suspected,
    taking_part,
    unknown,
    vanished,
)
from daskdsml.passes.score_sums import ScoreRequest, score_sums
from daskdsml.passes.summary import SummaryRequest, summarize
from daskdsml.solvers._moments import constant_floor
from daskdsml.solvers._symmetric import solve
from daskdsml.utils import registry


class LikelihoodSums(NamedTuple):
    """Sums of all reads, in d parameters of columns that vary, equation by equation.

    ``first`` the sums, ``design`` of X, ``null_model`` of all rows, ``theta (d,)``;
    ``root (d, r)`` and ``meat (r, r)`` of the covariance ``root meat root'`` and the inverse
    information ``root root'``; ``distance`` of the optimum in the metric of the information;
    ``separated (d,)`` marks parameters without an estimate, of which nothing else is known.
    """

    first: Any
    design: Design
    null_model: NullModel
    theta: np.ndarray
    root: np.ndarray
    meat: np.ndarray
    distance: float
    separated: np.ndarray
    n_passes: float


class Standard(NamedTuple):
    """Coordinates u of parameters ``root u`` in which the null model's information is 1.

    ``root = W' (x) T`` for ``W curvature W' = I`` (E, E) and the root T of the design's inverse.
    """

    design: Design
    mix: np.ndarray
    centre: np.ndarray

    @property
    def root(self) -> np.ndarray:
        return np.kron(self.mix.T, self.design.root)

    def rows(self, sums) -> np.ndarray:
        """Sums ``s (x) [1, x - centre]`` (m, E (1 + p)) as gradients (m, d)."""
        equations = np.moveaxis(sums.reshape(len(sums), len(self.mix), -1), 1, 0)
        whitened = [self.design.whiten(self.design.framed(s, self.centre)) for s in equations]
        mixed = np.einsum("fe,ems->mfs", self.mix, np.stack(whitened))
        return mixed.reshape(len(sums), -1)

    def form(self, sums) -> np.ndarray:
        """A quadratic form (E (1 + p), E (1 + p)) of the same as (d, d)."""
        return self.rows(self.rows(sums).T)

    def parameters(self, theta) -> np.ndarray:
        """u (d,) of the user's parameters ``theta (E, size)``."""
        inner = np.linalg.solve(self.design.root, theta.T).T
        return np.ravel(np.linalg.solve(self.mix.T, inner))


def read(rows, table, fitted: FittedModel, cov_type, kind) -> LikelihoodSums:
    """Read X once, or twice where directions are suspected to be separated."""
    backend = registry.find("backends", "numpy")()
    family = _weighted(rows, fitted, backend)
    robust = kind.robust and not kind.clustered
    at = ScoreRequest(backend, family, fitted.coef, fitted.intercept, robust)
    first = rows.run(score_sums, at, "infer-scores")
    check_rows(first, fitted, kind)
    if not np.isfinite(first.hessian).all():
        raise ValueError(
            "The model predicts values beyond the range of numbers for some rows of X. Pass the X "
            "that the model was fitted to."
        )
    null_model = family.null_model(first.facts)
    design = _design(first.moments, fitted)
    mix = np.linalg.inv(np.linalg.cholesky(null_model.curvature))
    standard = Standard(design, mix, first.centre)
    curvature = standard.form(first.hessian)
    score = standard.rows(first.scores.sums.sum(axis=0, keepdims=True))[0]
    theta = fitted.coef[:, design.columns]
    if fitted.fit_intercept:
        theta = np.column_stack([fitted.intercept, theta])
    separated = _separated(rows, at, fitted, standard, first, curvature, score, theta)
    basis = _basis(curvature, separated)
    distance = float(np.linalg.norm(basis.T @ score))
    return LikelihoodSums(
        first, design, null_model, np.ravel(theta), standard.root @ basis,
        _meat(first, standard, kind, basis, distance), distance,
        taking_part(standard.root, separated),
        count_reads(rows, table, first.moments.stats.n_rows),
    )  # fmt: skip


def check_optimum(sums: LikelihoodSums) -> None:
    """Raise ValueError if the model is not the optimum on these data."""
    check_step(sums.distance, len(sums.theta), "the optimum on", " with a smaller tol")


def _weighted(rows, fitted: FittedModel, backend):
    """The family with the weights of classes that the model was fitted with."""
    family, class_weight = fitted.family, getattr(fitted.model, "class_weight", None)
    if class_weight is None:
        return family
    counts = None
    if isinstance(class_weight, str):
        summary = rows.run(summarize, SummaryRequest(backend, True), "infer-labels")
        counts = np.array([summary.counts[summary.labels == c].sum() for c in family.classes])
    return Classes(family.classes, class_weights(class_weight, family.classes, counts))


def _design(moments, fitted: FittedModel) -> Design:
    """The design of the columns that vary.

    Raises ValueError if there are no more rows than parameters, and LinAlgError if columns depend
    on each other, naming them.
    """
    p, one = moments.mean.size, fitted.fit_intercept
    moments = moments if one else moments.about_zero()
    columns = np.flatnonzero(np.diag(moments.cross) > constant_floor(moments, p))
    check_degrees(moments.weight, len(fitted.coef) * (columns.size + one))
    cross = moments.cross[np.ix_(columns, columns)]
    relations = solve(cross, np.zeros(columns.size)).null_space if columns.size else None
    if relations is not None:
        size = np.abs(relations) * np.sqrt(np.diag(cross))[:, None]
        involved = (size > 1e-6 * size.max(axis=0)).any(axis=1)
        raise_dependent(relations.shape[1], [fitted.names[j] for j in columns[involved]])
    return from_moments(moments, columns, one)


def _separated(rows, at, fitted, standard, first, curvature, score, theta) -> np.ndarray:
    """Separated directions (d, r) in standard coordinates."""
    for way in suspected(curvature, score, standard.parameters(theta)):
        there = _moved(at, fitted, standard, way)
        second = rows.run(score_sums, there, "infer-separation")
        if second.loss <= first.loss + MAX_LOGLIK_FALL and np.isfinite(second.hessian).all():
            return vanished(curvature, standard._replace(centre=second.centre).form(second.hessian))
    return unknown(curvature)


def _moved(at, fitted, standard, way) -> ScoreRequest:
    """The model moved by ``way (d,)`` in standard coordinates."""
    step = (standard.root @ way).reshape(len(at.coef), -1)
    coef, intercept = at.coef.copy(), at.intercept
    if fitted.fit_intercept:
        intercept, step = intercept + step[:, 0], step[:, 1:]
    coef[:, standard.design.columns] += step
    return at._replace(coef=coef, intercept=intercept, meat=False)


def _basis(curvature, separated) -> np.ndarray:
    """``B (d, r)`` with ``B B'`` the inverse of the curvature in all directions but some."""
    if not separated.shape[1]:
        return linalg.solve_triangular(linalg.cholesky(curvature), np.eye(len(curvature)))
    rest = linalg.null_space(separated.T)
    if not rest.shape[1]:
        return rest
    R = linalg.cholesky(rest.T @ curvature @ rest)
    return linalg.solve_triangular(R, rest.T, trans="T").T


def _meat(first, standard, kind, basis, distance) -> np.ndarray:
    if kind.clustered:
        scores = standard.rows(first.scores.sums) @ basis
        # They sum to zero at the optimum: what the fit's tol leaves of that is no evidence.
        scores -= scores.mean(axis=0)
        meat = scores.T @ scores
    elif kind.robust:
        meat = basis.T @ standard.form(first.meat) @ basis
    else:
        return np.eye(basis.shape[1])
    n, k, G = first.moments.weight, len(basis), len(first.scores.labels)
    return kind.factor(n, k, G) * without_noise(meat, distance)
