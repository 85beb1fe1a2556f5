"""Least squares: paths, folds, stepwise and inference, against scikit-learn and celer."""

from __future__ import annotations

import statistics
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from measure import heartbeat, say, timed
from report import INFO, SKIPPED, Line, judge

THREADS = 2


def regression(n, p, n_effects=20, seed=0, noise=3.0):
    """X (n, p), y (n,): a linear model with ``n_effects`` coefficients that are not zero."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    coef = np.zeros(p)
    coef[:n_effects] = rng.standard_normal(n_effects)
    return X, X @ coef + 2.0 + noise * rng.standard_normal(n)


def tall(setup) -> list[Line]:
    """1,000,000 x 100 in memory: OLS, lasso and ridge with folds, against scikit-learn."""
    from sklearn import linear_model as theirs
    from sklearn.model_selection import GridSearchCV

    from daskdsml import linear_model as ours

    X, y = regression(setup.size(1_000_000, 2000), 100)
    name = f"{len(X):,} x {X.shape[1]} in memory"
    ridges = np.geomspace(1e-3, 1e5, 100)
    few = ridges[::10]
    scored = {"scoring": "neg_mean_squared_error", "cv": 5, "n_jobs": THREADS}
    pairs = [
        ("LinearRegression", 5, ours.LinearRegression(), theirs.LinearRegression(), 1.0),
        ("LassoCV(alphas=100, cv=5)", 8, ours.LassoCV(cv=5), theirs.LassoCV(cv=5, n_jobs=2), 1.0),
        (
            "RidgeCV(100 alphas, cv=5) against GridSearchCV(Ridge)",
            200,
            ours.RidgeCV(ridges, cv=5),
            GridSearchCV(theirs.Ridge(), {"alpha": few}, **scored),
            len(ridges) / len(few),
        ),
    ]
    lines = []
    with threadpool_limits(THREADS):
        for what, target, mine, their, factor in pairs:
            lines.append(_against(name, what, target, mine, their, factor, X, y, setup.repeats))
    return lines


def _against(name, what, target, mine, their, factor, X, y, repeats) -> Line:
    """Median of ours, warm, against one or more runs of theirs; ``factor`` scales theirs."""
    mine.fit(X[:1000], y[:1000])
    times = [timed(partial(mine.fit, X, y))[0] for _ in range(repeats)]
    with heartbeat(f"scikit-learn {what}"):
        runs = [timed(partial(_quietly, their, X, y))[0] for _ in range(1 if factor > 1 else 2)]
    seconds, others = statistics.median(times), factor * statistics.median(runs)
    say(f"{what}: {seconds:.2f} s, {others:.1f} s")
    scaled = f" (10 alphas took {others / factor:.1f} s, times {factor:.0f})" if factor > 1 else ""
    return Line(
        f"{what}, {name}",
        f"{target}x faster than scikit-learn, 1 read of X",
        f"{others / seconds:.1f}x, {mine.n_passes_} read",
        judge(others / seconds >= target and mine.n_passes_ == 1),
        f"ours {seconds:.2f} s (runs {', '.join(f'{t:.2f}' for t in times)}), scikit-learn "
        f"{others:.1f} s{scaled}",
    )


def _quietly(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y)


def moments_single(setup) -> list[Line]:
    """5,000,000 x 100 float32: moments against one ``X.T @ X`` of two BLAS threads."""
    from daskdsml.backends.numpy import NumPy
    from daskdsml.data.dataset import Dataset
    from daskdsml.engine.full.rows import open_rows
    from daskdsml.passes.moments import moments

    n = setup.size(5_000_000, 10_000)
    X = np.random.default_rng(0).standard_normal((n, 100), dtype=np.float32)
    y = X[:, 0].astype(np.float64)
    rows = open_rows(Dataset(X, y), "memory")
    ours, blas = [], []
    for _ in range(setup.repeats + 1):
        ours.append(timed(lambda: rows.run(moments, NumPy(), "moments"))[0])
        with threadpool_limits(THREADS, user_api="blas"):
            blas.append(timed(lambda: X.T @ X)[0])
    mine, theirs = statistics.median(ours[1:]), statistics.median(blas[1:])
    return [
        Line(
            f"moments of {n:,} x 100 float32 in memory, summed in float64",
            "1.5x the time of one X.T @ X (float32, two BLAS threads)",
            f"{mine / theirs:.2f}x",
            judge(mine <= 1.5 * theirs),
            f"ours {mine:.2f} s, X.T @ X {theirs:.2f} s",
        )
    ]


def genes(n=1000, p=100_000, seed=0):
    """X (n, p) centred, in C order, y (n,): 20 effects and noise of half their spread."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    coef = np.zeros(p)
    coef[rng.choice(p, 20, replace=False)] = rng.choice([-1, 1], 20) * rng.uniform(0.5, 1.5, 20)
    y = X @ coef
    y += 0.5 * y.std() * rng.standard_normal(n)
    X -= X.mean(axis=0)
    return X, y - y.mean()


def wide(setup) -> list[Line]:
    """Lasso path of p = 100,000, n = 1,000 against scikit-learn and celer; peak memory."""
    from sklearn.linear_model import lasso_path as theirs

    from daskdsml.linear_model import lasso_path as ours

    n, p = setup.size(1000, 100), setup.size(100_000, 5000)
    X, y = genes(n, p)
    options = {"eps": 0.01, "tol": 1e-6}
    ours(X[:50], y[:50], **options)
    with threadpool_limits(THREADS):
        runs = [timed(partial(ours, X, y, **options)) for _ in range(2)]
        seconds, path = min(runs, key=lambda run: run[0])
        with heartbeat("scikit-learn lasso_path"):
            slow, other = timed(partial(theirs, X, y, **options))
        product = timed(lambda: X.T @ y)[0]
    name = f"lasso path to lambda_max / 100, n = {n:,}, p = {p:,}, tol 1e-6"
    gap = float(np.max(path.dual_gaps)) / float(y @ y / n)
    lines = [
        Line(
            name,
            "3x faster than scikit-learn's lasso_path",
            f"{slow / seconds:.1f}x",
            judge(slow >= 3 * seconds and gap <= 1e-6),
            f"ours {seconds:.1f} s in {path.n_passes} reads, largest gap {gap:.1e} of the mean "
            f"square of y, {np.count_nonzero(path.coefs[:, -1])} columns at the end; scikit-learn "
            f"{slow:.1f} s; one X.T @ r {product:.3f} s; largest difference of coefficients "
            f"{np.max(np.abs(path.coefs - other[1])):.1e}",
        )
    ]
    lines.append(_celer(name, X, y, path.alphas, seconds))
    peak = _peak_in_process(n, p)
    lines.append(
        Line(
            f"{name}: peak memory",
            "3x the size of X",
            f"{peak / X.nbytes:.2f}x",
            judge(peak <= 3 * X.nbytes),
            f"{peak / 1e9:.2f} GB above the process before X was made; X {X.nbytes / 1e9:.2f} GB",
        )
    )
    return lines


def _celer(name, X, y, alphas, seconds) -> Line:
    try:
        from celer import celer_path
    except ImportError as error:
        return Line(f"{name}, against celer", "as fast", "-", SKIPPED, str(error))
    X = np.asfortranarray(X)
    call = partial(celer_path, X, y, pb="lasso", alphas=alphas, tol=1e-6)
    with heartbeat("celer_path"), threadpool_limits(THREADS):
        other = timed(call)[0]
    return Line(
        f"{name}, against celer",
        "as fast as celer",
        f"{other / seconds:.1f}x",
        judge(seconds <= other),
        f"celer {other:.1f} s on X in Fortran order, its own stopping rule at tol 1e-6",
    )


def _peak_in_process(n, p) -> float:
    """Bytes that making X and fitting the path add to a fresh process at their peak."""
    code = (
        "from peak import peak_mb; from rows.least_squares import genes;"
        "from daskdsml.linear_model import lasso_path;"
        "lasso_path(*genes(50, 5000), eps=0.01, tol=1e-6); before = peak_mb();"
        f"X, y = genes({n}, {p}); lasso_path(X, y, eps=0.01, tol=1e-6);"
        "print(1e6 * (peak_mb() - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    return float(done.stdout.split()[-1])


def stepwise(setup) -> list[Line]:
    """Forward stepwise over 100,000 x 1,000, all steps: one read, and the algebra after it."""
    import dask.array as da

    from daskdsml.feature_selection import ForwardStepwiseSelector

    n, p = setup.size(100_000, 4000), setup.size(1000, 50)
    X, y = regression(n, p, min(200, p))
    A, b = da.from_array(X, chunks=(n // 20, p)), da.from_array(y, chunks=n // 20)
    seconds, model = timed(partial(ForwardStepwiseSelector().fit, A, b))
    read = model.history_[0].seconds
    return [
        Line(
            f"forward stepwise, {n:,} x {p:,}, all {len(model.order_):,} steps",
            "1 read, under 20 s after it",
            f"{model.n_passes_} read, {seconds - read:.2f} s after it",
            judge(model.n_passes_ == 1 and seconds - read < 20.0),
            f"read {read:.1f} s; BIC takes {model.n_features_to_select_} columns",
        )
    ]


def inference(setup) -> list[Line]:
    """Fit and standard errors of 1,000,000 x 100 in memory, by kind of covariance."""
    from daskdsml.inference import infer
    from daskdsml.linear_model import LinearRegression

    X, y = regression(setup.size(1_000_000, 2000), 100)
    groups = np.arange(len(y)) % 1000
    model = LinearRegression().fit(X, y)
    lines = []
    for kind in ("nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster"):
        clusters = groups if kind == "cluster" else None
        seconds, found = timed(partial(infer, model, X, y, cov_type=kind, groups=clusters))
        lines.append(
            Line(
                f"infer, {len(y):,} x 100 in memory, {kind}",
                "-",
                f"{seconds:.2f} s, {found.n_passes} read(s)",
                INFO,
            )
        )
    return lines
