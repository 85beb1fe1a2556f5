"""Logistic, multinomial and Poisson fits over unkind shapes, against scikit-learn in one run."""

from __future__ import annotations

import statistics
import warnings
from functools import partial
from typing import NamedTuple

import dask.array as da
import numpy as np
from scipy import sparse
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression as Theirs
from sklearn.linear_model import PoissonRegressor as TheirPoisson
from threadpoolctl import threadpool_limits

from data import correlated
from measure import say, timed
from report import INFO, Line, judge

THREADS = 2
# Rows, columns, classes.
SIZES = [
    *[(10_000, 50, 2), (100_000, 50, 2), (1_000_000, 50, 2), (20_000, 250, 2), (100_000, 250, 2)],
    *[(10_000, 1000, 2), (50_000, 1000, 2), (10_000, 4000, 2), (20_000, 4000, 2)],
    *[(100_000, 50, 5), (20_000, 250, 5), (10_000, 1000, 5), (50_000, 50, 30), (10_000, 250, 30)],
]
# Standard deviation of the scores that labels are drawn from; separable ones are not drawn.
SIGNALS = {"none": 0.0, "weak": 1.0, "strong": 5.0, "separable": 5.0}
# From so many entries on a fit is to be no slower than scikit-learn's.
TIMED = 2**22
# Newton's method of scikit-learn is tried where its work is at most this many operations.
CHOLESKY = 4e10
DENSITY = 20


class Shape(NamedTuple):
    """One cell of the grid; ``form`` is "dense", "csr" or "streamed"."""

    n: int
    p: int
    K: int = 2
    signal: str = "weak"
    rho: float = 0.0
    decades: int = 0
    form: str = "dense"

    def __str__(self):
        parts = (f"{self.n:,} x {self.p:,} x {self.K}", self.signal, f"rho {self.rho:g}")
        return ", ".join([*parts, f"scales of {self.decades} decades", self.form])


class Found(NamedTuple):
    """What a fit took beside scikit-learn's fastest, and how far its objective is above theirs."""

    what: str
    entries: int
    seconds: float
    theirs: float
    reads: float
    iterations: int
    excess: float
    converged: bool

    @property
    def speed(self) -> float:
        return self.theirs / self.seconds


def starts(setup) -> list[Line]:
    """The shapes that starts from a sample once failed on, and a grid of others."""
    with threadpool_limits(THREADS), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        named = [compare(name, *make(), setup.repeats) for name, make in cases(setup).items()]
        found = [compare(str(shape), *problem(shape), setup.repeats) for shape in grid(setup)]
    return [*map(_line, named), *_summary(found)]


def cases(setup) -> dict:
    """The named shapes: what each is, and how to make its X, y, our model and theirs."""
    size, classes = setup.size, partial(table, setup)
    return {
        "20,000 x 3,000, weak effects": partial(classes, 20_000, 3000, "weak"),
        "40,000 x 1,500, strong effects": partial(classes, 40_000, 1500, "strong"),
        "60,000 x 784 x 10, Gaussians": partial(gaussians, size(60_000), size(784, 20), 10),
        "30,000 x 400 x 30, Gaussians": partial(gaussians, size(30_000), size(400, 40), 30),
        "60,000 x 1,000, strong effects": partial(classes, 60_000, 1000, "strong"),
        "Poisson 20,000 x 1,000, alpha 1e-3": partial(counts, size(20_000), size(1000, 50)),
    }


def grid(setup) -> list[Shape]:
    """All signals and correlations for each size; other scales, CSR and streams for some."""
    cells = []
    for n, p, K in SIZES:
        n, p = setup.size(n, 500), setup.size(p, 20)
        cells += [Shape(n, p, K, signal, rho) for signal in SIGNALS for rho in (0.0, 0.8)]
        cells += [Shape(n, p, K, "weak", 0.0, 8), Shape(n, p, K, "strong", 0.8, 8)]
        cells += [Shape(n, p, K, signal, form="csr") for signal in ("weak", "separable")]
        cells += [Shape(n, p, K, signal, 0.8, form="streamed") for signal in ("weak", "separable")]
    return cells


def problem(shape):
    """X, y, our model and theirs of a shape."""
    rng = np.random.default_rng(0)
    n, p, K = shape[:3]
    if shape.form == "csr":
        draw = {"density": min(DENSITY / p, 1.0), "format": "csr", "random_state": rng}
        X = sparse.random(n, p, data_rvs=rng.standard_normal, **draw)
    else:
        X = correlated(rng, n, p, shape.rho)
    Z = X @ rng.standard_normal((p, K if K > 2 else 1))
    Z *= SIGNALS[shape.signal] / Z.std()
    y = drawn(rng, Z, shape.signal == "separable")
    if shape.decades:
        half = shape.decades / 2.0
        scales = 10.0 ** rng.permutation(np.linspace(-half, half, p))
        X = X.multiply(scales).tocsr() if sparse.issparse(X) else X * scales
    from daskdsml.linear_model import LogisticRegression

    if shape.form == "streamed":
        return X, y, Streamed(LogisticRegression(cache="none")), peers(n, p, K)
    return X, y, LogisticRegression(), peers(n, p, K)


def peers(n, p, K) -> list:
    """scikit-learn's solvers that suit the shape."""
    found = [Theirs()]
    if n * (K * p) ** 2 <= CHOLESKY:
        found.append(Theirs(solver="newton-cholesky"))
    return found


class Streamed:
    """A model that is given its rows as a Dask Array of 16 chunks, and keeps none of them."""

    def __init__(self, model):
        self.model = model

    def fit(self, X, y):
        rows = -(-len(X) // 16)
        self.model.fit(da.from_array(X, chunks=(rows, -1)), da.from_array(y, chunks=rows))
        return self

    def __getattr__(self, name):
        return getattr(self.model, name)


def drawn(rng, Z, separable):
    """Labels (n,) from scores (n, 1) of two classes or (n, K) of more."""
    if Z.shape[1] == 1:
        z = Z[:, 0]
        return (z > 0.0 if separable else rng.random(len(z)) < 1.0 / (1.0 + np.exp(-z))).astype(int)
    return np.argmax(Z if separable else Z + rng.gumbel(size=Z.shape), axis=1)


def table(setup, n, p, signal):
    """`problem` of independent columns in this process's memory."""
    return problem(Shape(setup.size(n, 500), setup.size(p, 20), 2, signal))


def gaussians(n, p, K):
    """K classes of unit covariance whose means are some three standard deviations apart."""
    from daskdsml.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    means = rng.standard_normal((K, p))
    means *= 3.0 / np.sqrt(2.0) / np.linalg.norm(means, axis=1)[:, None]
    y = rng.integers(0, K, n)
    return rng.standard_normal((n, p)) + means[y], y, LogisticRegression(), [Theirs()]


def counts(n, p):
    """Counts whose logarithms have a standard deviation of 0.5."""
    from daskdsml.linear_model import PoissonRegressor

    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    y = rng.poisson(np.exp(X @ (0.5 * rng.standard_normal(p) / np.sqrt(p))))
    return X, y, PoissonRegressor(alpha=1e-3), [TheirPoisson(alpha=1e-3)]


def compare(what, X, y, mine, theirs, repeats) -> Found:
    """Ours and theirs in turn, at default settings; the first of theirs tells the iterations."""
    mine.fit(X, y)  # a kernel that is compiled anew is not timed
    times = [[] for _ in range(1 + len(theirs))]
    for _ in range(max(1, min(repeats, int(2e8 // X.shape[0] // X.shape[1])))):
        for seconds, model in zip(times, (mine, *theirs), strict=True):
            seconds.append(timed(partial(model.fit, X, y))[0])
    reached, goal = objective(X, y, mine), min(objective(X, y, model) for model in theirs[:1])
    found = Found(
        what,
        X.shape[0] * X.shape[1],
        min(times[0]),
        min(min(seconds) for seconds in times[1:]),
        mine.n_passes_,
        int(np.ravel(theirs[0].n_iter_)[0]),
        (reached - goal) / abs(goal),
        mine.converged_,
    )
    say(_told(found))
    return found


def objective(X, y, model) -> float:
    """Mean objective with C = 1, or of a Poisson model."""
    coef, size = np.atleast_2d(model.coef_), np.sum(model.coef_**2)
    Z = X @ coef.T + model.intercept_
    if not hasattr(model, "classes_"):
        z = Z[:, 0]
        return float(np.mean(np.exp(z) - y * z) + 0.5 * model.alpha * size)
    Z = np.column_stack([np.zeros(len(y)), Z]) if Z.shape[1] == 1 else Z
    codes = np.searchsorted(model.classes_, y)
    losses = logsumexp(Z, axis=1) - Z[np.arange(len(y)), codes]
    return float(np.mean(losses) + 0.5 * size / len(y))


def _told(f) -> str:
    state = "converged" if f.converged else "NOT converged"
    return (
        f"{f.what}: {f.speed:.2f}x, ours {f.seconds:.3f} s in {f.reads:g} reads, {state}; "
        f"scikit-learn {f.theirs:.3f} s, lbfgs {f.iterations} iterations; objective {f.excess:+.1e}"
    )


def _line(f) -> Line:
    good = f.converged and f.excess <= 1e-6 and f.reads <= f.iterations + 2 and f.speed >= 1.0
    target = "converged, as fast as scikit-learn, objective and reads no more (1e-6, + 2)"
    return Line(f"starts: {f.what}", target, f"{f.speed:.2f}x", judge(good), _told(f))


def _summary(found) -> list[Line]:
    """How the whole grid went, and the shapes that fell short."""
    large = [f for f in found if f.entries >= TIMED and "streamed" not in f.what]
    slow = sorted((f for f in large if f.speed < 1.0), key=lambda f: f.speed)
    median = statistics.median(f.speed for f in large) if large else float("nan")
    checks = [
        ("converged", [f for f in found if not f.converged]),
        ("objective at most 1e-6 above lbfgs's", [f for f in found if f.excess > 1e-6]),
        ("reads at most lbfgs's iterations + 2", [f for f in found if f.reads > f.iterations + 2]),
    ]
    lines = [
        Line(
            f"starts, grid of {len(found)} shapes: {name}",
            "each",
            f"{len(found) - len(bad)} of {len(found)}",
            judge(not bad),
            "; ".join(_told(f) for f in bad[:8]),
        )
        for name, bad in checks
    ]
    lines.append(
        Line(
            f"starts, {len(large)} shapes in memory of 2^22 entries and more: seconds",
            "1x in each, 2x in the median, of scikit-learn's fastest",
            f"{len(large) - len(slow)} of {len(large)}, median {median:.2f}x",
            judge(not slow and median >= 2.0) if large else INFO,
            "; ".join(_told(f) for f in slow[:8]),
        )
    )
    return lines
