"""Least squares over a grid of unkind shapes, against scikit-learn in the same run."""

from __future__ import annotations

import itertools
import statistics
import warnings
from typing import NamedTuple

import dask.array as da
import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from measure import say, timed
from report import INFO, Line, judge

THREADS = 2
SIZES = [
    *[(300, 50), (300, 280), (300, 301), (300, 2000), (300, 6000)],
    *[(2000, 500), (2000, 2000), (2000, 6000), (5000, 3000)],
    *[(20_000, 50), (20_000, 1500), (100_000, 50), (100_000, 300)],
]
# Fits of whole paths above so many entries take scikit-learn minutes.
MOST_ENTRIES, MOST_ENTRIES_OF_PATHS = 3e7, 6e6
DENSITY = 0.05
MSE = "neg_mean_squared_error"
# Objectives above scikit-learn's by more than this share would not be the same optimum.
AGREE = 1e-6


class Shape(NamedTuple):
    """One cell of the grid."""

    n: int
    p: int
    signal: str = "strong"
    rho: float = 0.0
    decades: int = 0
    form: str = "dense"

    def __str__(self):
        parts = (f"{self.n:,} x {self.p:,}", self.signal, f"rho {self.rho:g}")
        return ", ".join([*parts, f"scales of {self.decades} decades", self.form])


class Found(NamedTuple):
    """What one fit took beside scikit-learn's, and how its objective compares."""

    what: str
    ratio: float
    excess: float


def shapes(setup) -> list[Line]:
    """Each estimator on each shape: seconds, reads and objective beside scikit-learn's."""
    found = []
    with threadpool_limits(THREADS), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for shape in grid(setup):
            X, y, given = table(shape)
            for name, options in estimators(X, y):
                paths = name.endswith("CV")
                largest = MOST_ENTRIES_OF_PATHS if paths else MOST_ENTRIES
                if shape.n * shape.p <= largest and not _is_refused(name, shape):
                    found.append(compare(name, options, shape, X, y, given, setup.repeats))
    return [line for name in (None, *NAMES) for line in summary(name, found)]


NAMES = ("LinearRegression", "Ridge", "Lasso", "ElasticNet", "LassoCV", "RidgeCV")


def _is_refused(name, shape) -> bool:
    """Whether the estimator says that it does not take such data."""
    return name == "RidgeCV" and shape.form == "streamed" and shape.p > 4096


def grid(setup) -> list[Shape]:
    """Every kind of dense table for small sizes, a few kinds for the others, CSR and streams."""
    cells = []
    for n, p in SIZES:
        n, p = setup.size(n, 60), setup.size(p, 20)
        kinds = list(itertools.product(("none", "weak", "strong"), (0.0, 0.8), (0, 8)))
        if n * p > 1e6:
            kinds = [("strong", 0.0, 0), ("weak", 0.8, 0), ("none", 0.0, 8)]
        cells += [Shape(n, p, *kind) for kind in kinds]
        cells += [Shape(n, p, "strong", 0.0, 0, form) for form in ("csr", "streamed")]
    return cells


def table(shape):
    """X and y for scikit-learn, and X for ours: the same, or as a Dask Array."""
    rng = np.random.default_rng([shape.n, shape.p])
    X = rng.standard_normal((shape.n, shape.p))
    if shape.rho:
        X *= np.sqrt(1.0 - shape.rho)
        X += np.sqrt(shape.rho) * rng.standard_normal((shape.n, 1))
    if shape.form == "csr":
        X *= rng.random(X.shape) < DENSITY
    coef = np.zeros(shape.p)
    coef[rng.choice(shape.p, min(20, shape.p), replace=False)] = rng.standard_normal(
        min(20, shape.p)
    )
    y = {"none": 0.0, "weak": 0.2, "strong": 2.0}[shape.signal] * (X @ coef)
    y += rng.standard_normal(shape.n)
    X *= np.logspace(-shape.decades / 2, shape.decades / 2, shape.p)
    if shape.form == "csr":
        X = sparse.csr_matrix(X)
        return X, y, (X, y)
    if shape.form == "streamed":
        chunk = -(-shape.n // 8)
        return X, y, (da.from_array(X, chunks=(chunk, shape.p)), da.from_array(y, chunks=chunk))
    return X, y, (X, y)


def estimators(X, y):
    """Names and options: the L1 penalties are a tenth of what would leave no coefficient."""
    largest = np.max(np.abs(X.T @ (y - y.mean()))) / len(y)
    return [
        ("LinearRegression", {}),
        ("Ridge", {}),
        ("Lasso", {"alpha": 0.1 * largest}),
        ("ElasticNet", {"alpha": 0.2 * largest}),
        ("LassoCV", {"cv": 5}),
        ("RidgeCV", {"cv": 5, "alphas": (0.1, 1.0, 10.0, 100.0), "scoring": MSE}),
    ]


def compare(name, options, shape, X, y, given, repeats) -> Found:
    """Fit both in turn, the least time of each; prints what came of it."""
    from sklearn import linear_model as theirs

    from daskdsml import linear_model as ours

    streamed = {"cache": "none"} if shape.form == "streamed" else {}
    mine, their = getattr(ours, name)(**options, **streamed), getattr(theirs, name)(**options)
    seconds, others = [], []
    for _ in range(max(min(repeats, 3), 2)):
        seconds.append(timed(lambda: mine.fit(*given))[0])
        others.append(timed(lambda: their.fit(X, y))[0])
        if seconds[-1] + others[-1] > 20.0:
            break
    ratio = min(seconds) / min(others)
    here, there = objective(name, mine, X, y), objective(name, their, X, y)
    excess = (here - there) / max(abs(there), 1e-9 * float(y @ y))
    say(
        f"{name}, {shape}: {min(seconds):.4f} s, {mine.n_passes_} reads, {ratio:.2f} x "
        f"scikit-learn's time, objective {excess:+.1e}" + ("" if mine.converged_ else ", SHORT")
    )
    return Found(f"{name}, {shape}", ratio, excess)


def objective(name, model, X, y) -> float:
    """What the fit minimises, or the least mean test error of a path."""
    if name == "RidgeCV":
        return -float(model.best_score_)
    if name == "LassoCV":
        return float(model.mse_path_.mean(axis=1).min())
    rest = y - X @ model.coef_ - model.intercept_
    coef, n = model.coef_, len(y)
    if name in ("LinearRegression", "Ridge"):
        return float(rest @ rest + (model.alpha * coef @ coef if name == "Ridge" else 0.0))
    share = 1.0 if name == "Lasso" else model.l1_ratio
    penalty = share * np.abs(coef).sum() + 0.5 * (1.0 - share) * coef @ coef
    return float(0.5 * rest @ rest / n + model.alpha * penalty)


def summary(name, found) -> list[Line]:
    """Worst and median time and the worst objective, of one estimator or of all."""
    own = [one for one in found if name is None or one.what.startswith(f"{name},")]
    if not own:
        return []
    ratios = [one.ratio for one in own]
    slower = sorted((one for one in own if one.ratio > 1.0), key=lambda one: -one.ratio)
    # Of paths the alphas differ where grids end in rounding; their errors are told, not judged.
    judged = [one for one in own if "CV," not in one.what] or own
    above = max(judged, key=lambda one: one.excess)
    worst = max(own, key=lambda one: one.ratio)
    title = f"{name or 'Least squares'} on {len(own)} shapes"
    return [
        Line(
            f"{title}: time beside scikit-learn's",
            "at most 1 on every shape",
            f"median {statistics.median(ratios):.2f}, worst {worst.ratio:.2f}, "
            f"{len(slower)} slower",
            judge(not slower),
            "; ".join(f"{one.what} {one.ratio:.2f}" for one in slower[:8]),
        ),
        Line(
            f"{title}: objective above scikit-learn's",
            f"at most {AGREE:g} of it",
            f"{above.excess:+.1e}",
            INFO if name in ("LassoCV", "RidgeCV") else judge(above.excess <= AGREE),
            above.what,
        ),
    ]
