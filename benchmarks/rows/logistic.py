"""Logistic and multinomial regression: folds, sparse penalties, many classes, wide sparse data."""

from __future__ import annotations

import statistics
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.special import expit, logsumexp
from threadpoolctl import threadpool_limits

from data import labels, logistic_table
from measure import heartbeat, say, timed
from report import SKIPPED, Line, judge

THREADS = 2
HERE = Path(__file__).parents[1]


def logistic_reads(setup) -> list[Line]:
    """Reads of X: one L2 fit, a multinomial one, and 5 folds x 20 penalties."""
    from daskdsml.linear_model import LogisticRegression, LogisticRegressionCV

    X, y = logistic_table(setup.size(500_000, 60_000), 100)
    A, b = classes(setup.size(200_000, 60_000), 64, 10)
    fits = [
        ("L2 logistic", 4, LogisticRegression(), X, y),
        ("multinomial, 10 classes, p = 64", 15, LogisticRegression(), A, b),
        ("5 folds x 20 penalties", 25, LogisticRegressionCV(Cs=20, cv=5, tol=1e-6), X, y),
    ]
    lines = []
    for what, most, model, data, target in fits:
        model.fit(data, target)
        kkt = model.history_[-1].gradient_norm
        lines.append(
            Line(
                f"reads of X, {what}, {len(data):,} rows",
                f"{most} reads",
                f"{model.n_passes_} reads",
                judge(model.n_passes_ <= most and model.converged_),
                f"tol {model.tol:g}, KKT residual of the last pass {kkt:.1e}, {model.solver_}",
            )
        )
    return lines


def classes(n, p, n_classes, seed=0):
    """X (n, p) and y (n,) of a multinomial model whose scores have a standard deviation of 1.5."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    Z = X @ (1.5 * rng.standard_normal((p, n_classes)) / np.sqrt(p))
    return X, np.argmax(Z + rng.gumbel(size=Z.shape), axis=1)


def logistic_cv(setup) -> list[Line]:
    """LogisticRegressionCV(Cs=20, cv=5) on 200,000 x 100 against scikit-learn's.

    Independent columns let its L-BFGS end within a few steps; neighbours correlated at 0.9 do not.
    """
    return [_folds(setup, rho) for rho in (0.0, 0.9)]


def _folds(setup, rho) -> Line:
    from sklearn.linear_model import LogisticRegressionCV as Theirs

    from daskdsml.linear_model import LogisticRegressionCV

    X, y = logistic_table(setup.size(200_000, 4000), 100, rho)
    mine = LogisticRegressionCV(Cs=20, cv=5, tol=1e-6)
    mine.fit(X[:2000], y[:2000])
    theirs = Theirs(
        Cs=20, cv=5, l1_ratios=(0.0,), scoring="neg_log_loss", max_iter=1000,
        use_legacy_attributes=False,
    )  # fmt: skip
    with threadpool_limits(THREADS):
        times = [timed(partial(mine.fit, X, y))[0] for _ in range(setup.repeats)]
        with heartbeat("scikit-learn LogisticRegressionCV"):
            slow = timed(partial(_quietly, theirs, X, y))[0]
    seconds, worst = statistics.median(times), float(mine.residuals_.max())
    return Line(
        f"LogisticRegressionCV(Cs=20, cv=5), {len(X):,} x 100, neighbouring columns correlate at "
        f"{rho:g}",
        "10x faster than scikit-learn, all 100 models to a KKT residual of 1e-6",
        f"{slow / seconds:.1f}x, worst residual {worst:.1e}",
        judge(slow >= 10.0 * seconds and worst <= 1e-6),
        f"ours {seconds:.2f} s in {mine.n_passes_} reads (runs "
        f"{', '.join(f'{t:.2f}' for t in times)}), scikit-learn {slow:.1f} s at its tol 1e-4; C "
        f"{mine.C_:.3g} and {theirs.C_:.3g}, largest difference of scores "
        f"{np.abs(mine.scores_ - theirs.scores_).max():.1e}",
    )


def logistic_l1(setup) -> list[Line]:
    """L1 logistic, 100,000 x 1,000, 5 % true effects, against saga and skglm."""
    from sklearn.linear_model import LogisticRegression as Theirs

    from daskdsml.linear_model import LogisticRegression

    n, p = setup.size(100_000, 4000), setup.size(1000, 200)
    rng = np.random.default_rng(0)
    X, coef = rng.standard_normal((n, p)), np.zeros(p)
    effects = rng.choice(p, p // 20, replace=False)
    coef[effects] = 2.0 * rng.standard_normal(p // 20) / np.sqrt(p // 20)
    y = labels(rng, X, coef)
    strength = 0.05 * np.abs(X.T @ (y - y.mean())).max() / n
    objective = partial(_objective, X, y, strength)
    C = 1.0 / (n * strength)
    mine = LogisticRegression(C=C, l1_ratio=1.0)
    mine.fit(X[:3000], y[:3000])
    with threadpool_limits(THREADS):
        seconds = statistics.median(timed(partial(mine.fit, X, y))[0] for _ in range(setup.repeats))
        reached = objective(mine)
        say(f"ours: {seconds:.2f} s")
        saga = partial(Theirs, C=C, l1_ratio=1.0, solver="saga", max_iter=2000)
        lines = [_equal("saga", 10.0, seconds, reached, saga, objective, X, y, mine)]
        try:
            from skglm import SparseLogisticRegression
        except ImportError as error:
            return [*lines, Line("L1 logistic against skglm", "as fast", "-", SKIPPED, str(error))]
        skglm, F = partial(SparseLogisticRegression, alpha=strength), np.asfortranarray(X)
        skglm().fit(np.asfortranarray(X[:3000]), y[:3000])  # compiles
        lines.append(_equal("skglm", 1.0, seconds, reached, skglm, objective, F, y, mine))
    return lines


def _objective(X, y, strength, model):
    """Mean loss and L1 penalty of a binary model."""
    z = X @ np.ravel(model.coef_) + float(np.ravel(model.intercept_)[0])
    return float(np.mean(np.logaddexp(0.0, z) - y * z) + strength * np.abs(model.coef_).sum())


def _equal(name, target, seconds, reached, make, objective, X, y, mine) -> Line:
    """Ours against the loosest tolerance that brings theirs as low, to 1e-6 of the objective."""
    for tol in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
        with heartbeat(f"{name}, tol {tol:g}"):
            slow, theirs = timed(partial(_quietly, make(tol=tol), X, y))
        found = objective(theirs)
        say(f"{name}, tol {tol:g}: {slow:.2f} s, objective {found:.9f}, ours {reached:.9f}")
        if found <= reached + 1e-6 * reached:
            break
    return Line(
        f"L1 logistic, {X.shape[0]:,} x {X.shape[1]:,}, 5 % effects, against {name}",
        f"{target:g}x at equal objective",
        f"{slow / seconds:.1f}x",
        judge(slow >= target * seconds),
        f"ours {seconds:.2f} s in {mine.n_passes_} reads, objective {reached:.9f}, KKT "
        f"{mine.history_[-1].gradient_norm:.1e}, {np.count_nonzero(mine.coef_)} columns; {name} "
        f"{slow:.2f} s at tol {tol:g}, objective {found:.9f}, "
        f"{np.count_nonzero(theirs.coef_)} columns",
    )


def digits(n=60_000, n_classes=10, seed=0):
    """X (n, 784) of grey values from 0 to 1, most of them 0, and y (n,): blurred class shapes."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    shapes = gaussian_filter(rng.standard_normal((n_classes, 28, 28)), (0, 3, 3))
    shapes = shapes.reshape(n_classes, -1) / shapes.std()
    frame = np.ones((28, 28))
    frame[4:-4, 4:-4] = 0.0
    y = rng.integers(0, n_classes, n)
    X = 0.5 * shapes[y]
    for start in range(0, n, 10_000):
        rows = slice(start, start + 10_000)
        noise = rng.standard_normal((len(X[rows]), 28, 28))
        noise = gaussian_filter(noise, (0, 1.5, 1.5)).reshape(-1, 784)
        X[rows] += noise / noise.std() - 2.0 * frame.ravel()
    return np.clip(0.5 * X, 0.0, 1.0), y


def multinomial(setup) -> list[Line]:
    """60,000 x 784 x 10 made data of the shape of MNIST, against lbfgs at equal gradient norm."""
    from sklearn.linear_model import LogisticRegression as Theirs

    from daskdsml.linear_model import LogisticRegression

    X, y = digits(setup.size(60_000, 4000))
    norm = partial(_softmax_gradient, X, y)
    LogisticRegression().fit(X[:2000], y[:2000])
    with threadpool_limits(THREADS):
        with heartbeat("scikit-learn lbfgs"):
            slow, theirs = timed(partial(_quietly, Theirs(max_iter=5000), X, y))
        goal = norm(theirs)
        for tol in (1e-3, 1e-4, 1e-5):
            mine = LogisticRegression(tol=tol)
            seconds = min(timed(partial(mine.fit, X, y))[0] for _ in range(2))
            reached = norm(mine)
            say(f"ours, tol {tol:g}: {seconds:.1f} s, gradient {reached:.1e}, theirs {goal:.1e}")
            if reached <= goal:
                break
    return [
        Line(
            f"multinomial, {len(X):,} x 784 x 10 in memory",
            "1.5x faster than scikit-learn's lbfgs at equal gradient norm",
            f"{slow / seconds:.1f}x",
            judge(slow >= 1.5 * seconds and reached <= goal),
            f"ours {seconds:.2f} s in {mine.n_passes_} reads ({mine.solver_}, tol {tol:g}), "
            f"gradient {reached:.1e}; lbfgs {slow:.2f} s in {theirs.n_iter_[0]} iterations, "
            f"gradient {goal:.1e}",
        )
    ]


def _softmax_gradient(X, y, model) -> float:
    """Largest entry of the gradient of the mean objective with C = 1."""
    Z = X @ model.coef_.T + model.intercept_
    P = np.exp(Z - logsumexp(Z, axis=1, keepdims=True))
    P[np.arange(len(y)), y] -= 1.0
    slope = (P.T @ X + model.coef_) / len(y)
    return float(max(np.abs(slope).max(), np.abs(P.mean(axis=0)).max()))


def logistic_tall(setup) -> list[Line]:
    """8,000,000 x 15, the size of dask-glm's published table, against scikit-learn and dask-ml."""
    from sklearn.linear_model import LogisticRegression as Theirs

    from daskdsml.linear_model import LogisticRegression

    X, y = logistic_table(setup.size(8_000_000, 80_000), 15)
    mine = LogisticRegression()
    mine.fit(X[: len(X) // 100], y[: len(X) // 100])
    name = f"L2 logistic, {len(X):,} x 15 in memory"
    with threadpool_limits(THREADS):
        times = [timed(partial(mine.fit, X, y))[0] for _ in range(setup.repeats)]
        with heartbeat("scikit-learn lbfgs"):
            slow, theirs = timed(partial(_quietly, Theirs(), X, y))
    seconds = statistics.median(times)
    far = np.abs(mine.coef_ - theirs.coef_).max()
    lines = [
        Line(
            name,
            "5x faster than scikit-learn",
            f"{slow / seconds:.1f}x",
            judge(slow >= 5.0 * seconds),
            f"ours {seconds:.2f} s in {mine.n_passes_} reads, scikit-learn {slow:.1f} s (lbfgs, "
            f"{theirs.n_iter_[0]} iterations), largest difference of coefficients {far:.1e}",
        )
    ]
    try:
        import dask_ml  # noqa: F401
    except ImportError as error:
        return [*lines, Line(f"{name}, against dask-ml", "20x", "-", SKIPPED, str(error))]
    limit = max(30.0, 40.0 * seconds)
    slow = _dask_ml(len(X), limit)
    lines.append(
        Line(
            f"{name}, against dask-ml",
            "20x faster than dask-ml's default (admm)",
            f"{'over ' * (slow is None)}{(slow or limit) / seconds:.0f}x",
            judge((slow or limit) >= 20.0 * seconds),
            f"ours {seconds:.2f} s, dask-ml on 32 blocks "
            + (f"{slow:.1f} s" if slow else f"was stopped after {limit:.0f} s"),
        )
    )
    return lines


def _dask_ml(n, limit):
    """Seconds of dask-ml's fit in a fresh process, or None if it takes longer than ``limit``."""
    code = (
        "import sys, time, warnings; warnings.simplefilter('ignore');"
        "import dask.array as da; from dask_ml.linear_model import LogisticRegression;"
        f"from data import logistic_table; X, y = logistic_table({n}, 15); k = {n} // 32;"
        "A, b = da.from_array(X, chunks=(k, -1)), da.from_array(y, chunks=k);"
        "print('made', flush=True); start = time.perf_counter(); LogisticRegression().fit(A, b);"
        "print(time.perf_counter() - start, flush=True)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE) as process:
        process.stdout.readline()
        try:
            return float(process.communicate(timeout=limit)[0])
        except subprocess.TimeoutExpired:
            process.kill()
            return None


def text(n=500_000, p=100_000, draws=72, seed=0):
    """X (n, p) CSR of some 50 words a row, scaled to unit length, and y (n,); words as Zipf has."""
    rng = np.random.default_rng(seed)
    words = np.minimum((rng.pareto(1.1, (n, draws)) * 20).astype(np.int64), p * 50) % p
    X = sparse.csr_array(
        (rng.random(n * draws) + 0.5, words.ravel(), np.arange(n + 1) * draws), shape=(n, p)
    )
    X.sum_duplicates()
    norms = np.sqrt(np.add.reduceat(X.data**2, X.indptr[:-1]))
    X.data /= np.repeat(norms, np.diff(X.indptr))
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    coef = rng.standard_normal(p) * (rng.random(p) < 0.1) * 5.0
    return X, (rng.random(n) < expit(X @ coef)).astype(np.int64)


def logistic_text(setup) -> list[Line]:
    """CSR, 500,000 x 100,000, 50 non-zeros a row: memory, and time against saga."""
    from sklearn.linear_model import LogisticRegression as Theirs

    from daskdsml.linear_model import LogisticRegression

    n, p = setup.size(500_000, 10_000), setup.size(100_000, 5000)
    X, y = text(n, p)
    mine = LogisticRegression()
    with threadpool_limits(THREADS):
        times = [timed(partial(mine.fit, X, y))[0] for _ in range(3)]
        reached = _ridge_objective(X, y, mine)
        for tol in (1e-2, 1e-3, 1e-4, 1e-5):
            model = Theirs(solver="saga", tol=tol, max_iter=1000)
            with heartbeat(f"saga, tol {tol:g}"):
                slow, theirs = timed(partial(_quietly, model, X, y))
            found = _ridge_objective(X, y, theirs)
            say(f"saga, tol {tol:g}: {slow:.1f} s, objective {found:.9f}, ours {reached:.9f}")
            if found <= reached + 1e-6 * reached:
                break
    seconds, peak = statistics.median(times), _peak(n, p)
    name = f"L2 logistic on CSR, {n:,} x {p:,}, 50 a row"
    return [
        Line(
            name,
            "faster than saga at equal objective",
            f"{slow / seconds:.1f}x",
            judge(slow >= seconds),
            f"ours {seconds:.2f} s in {mine.n_passes_} reads ({mine.solver_}), objective "
            f"{reached:.9f}; saga {slow:.1f} s at tol {tol:g}, objective {found:.9f}",
        ),
        Line(
            f"{name}: peak memory",
            "4 GB",
            f"{peak / 1e9:.2f} GB",
            judge(peak <= 4e9),
            "resident memory of a fresh process that makes the data and fits",
        ),
    ]


def _ridge_objective(X, y, model):
    """Mean objective with C = 1."""
    z = X @ np.ravel(model.coef_) + float(np.ravel(model.intercept_)[0])
    loss = np.mean(np.logaddexp(0.0, z) - y * z)
    return float(loss + 0.5 * np.sum(model.coef_**2) / len(y))


def _peak(n, p) -> float:
    """Peak resident bytes of a fresh process that makes the data and fits."""
    code = (
        "from peak import peak_mb; from rows.logistic import text;"
        "from daskdsml.linear_model import LogisticRegression;"
        f"X, y = text({n}, {p}); LogisticRegression().fit(X, y); print(1e6 * peak_mb())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=HERE,
    )  # fmt: skip
    return float(done.stdout.split()[-1])


def _quietly(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y)
