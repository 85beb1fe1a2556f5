"""Coefficients against scikit-learn's over the whole grid of the issue."""

from __future__ import annotations

import itertools
import warnings

import dask
import dask.array as da
import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from data import labels
from libraries import Problem, ours, scikit_learn
from measure import say
from report import Line, judge

TARGET = 1e-7
TIGHT = 1e-12
# What each scikit-learn estimator needs to come closest to the optimum at tol=1e-12.
SOLVERS = {"ols": None, "ridge": "cholesky", "logistic": "newton-cholesky"}

LAYOUTS = tuple(itertools.product((1, 7, 50), ("dense", "CSR"), ("numpy", "numba")))


def parity(setup) -> list[Line]:
    """Largest relative difference of any coefficient, per model."""
    lines = []
    with dask.config.set(scheduler="threads", num_workers=2), threadpool_limits(2):
        for kind in SOLVERS:
            cases = list(_cases(kind, setup))
            say(f"{kind}: {len(cases)} fits compared")
            lines.append(_line(kind, cases))
    return lines


def _line(kind, cases) -> Line:
    value, _, where = max(cases)
    loose = max(case[1] for case in cases)
    return Line(
        f"coefficients of {kind} against scikit-learn at tol=1e-12",
        f"{TARGET:g} relative, each coefficient",
        f"{value:.1e}",
        judge(value <= TARGET),
        f"worst of {len(cases)} fits (intercept, weights, 1/7/50 blocks, dense/CSR, numpy/numba): "
        f"{where}; at our default tol {loose:.1e}",
    )


def _cases(kind, setup):
    """For each case the differences at tol=1e-12 and at our default tol, and its name."""
    X, y, w = _table(kind, setup.size(20_000, 500))
    for intercept, weights in itertools.product((True, False), (None, w)):
        problem = Problem(X, y, kind, _strength(kind, X), intercept, weights)
        theirs = scikit_learn.fit(problem, solver=SOLVERS[kind], tol=TIGHT, max_iter=1000)
        model = f"{'' if intercept else 'no '}intercept, {'no ' if weights is None else ''}weights"
        for n_blocks, form, backend in LAYOUTS:
            some = _blocked(problem, n_blocks, form == "CSR")
            tight, loose = (_difference(theirs, some, tol, backend) for tol in (TIGHT, None))
            yield tight, loose, f"{model}, {n_blocks} blocks, {form}, {backend}"


def _strength(kind, X) -> float:
    return 0.0 if kind == "ols" else 1.0 / X.shape[0]


def _difference(theirs, problem, tol, backend) -> float:
    # At 1e-12 rounding may end a fit just above tol; the coefficients tell whether that matters.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine = ours.fit(problem, tol=tol, backend=backend)
    p = problem.X.shape[1] + problem.fit_intercept
    a, b = (np.append(f.coef, f.intercept)[:p] for f in (mine, theirs))
    return float(np.max(np.abs(a - b) / np.abs(b)))


def _blocked(problem, n_blocks, csr) -> Problem:
    """The problem with X as ``n_blocks`` Dask blocks; y and weights with chunks of their own."""
    n, p = problem.X.shape
    X = da.from_array(problem.X, chunks=(-(-n // n_blocks), p))
    if csr:
        X = X.map_blocks(sparse.csr_matrix, meta=sparse.csr_matrix((0, 0)))
    w = problem.sample_weight
    return problem._replace(X=X, sample_weight=None if w is None else da.from_array(w, chunks=n))


def _table(kind, n, p=12, density=0.5):
    """X (n, p) half of zeros, so that CSR is not for show; y (n,); weights (n,) from 0 to 3."""
    rng = np.random.default_rng(7)
    X = rng.standard_normal((n, p)) * (rng.random((n, p)) < density)
    X += 0.0  # no negative zeros
    coef = rng.uniform(0.2, 1.0, p) * rng.choice([-1.0, 1.0], p)
    w = rng.integers(0, 4, n).astype(float)
    if kind == "logistic":
        return X, labels(rng, X, coef, 0.3), w
    return X, X @ coef + 0.3 + rng.standard_normal(n), w
