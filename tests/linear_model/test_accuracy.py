"""Least squares to the last digits: certified and exact rational solutions, and what makes them."""

import warnings
from fractions import Fraction

import dask
import dask.array as da
import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import LinAlgWarning
from tables import Source, chunks_of, csr_rows, dask_rows, regression

from daskdsml.backends.numpy import NumPy
from daskdsml.contracts import Block
from daskdsml.engine.full import shards
from daskdsml.linear_model import LinearRegression, Ridge
from daskdsml.passes.moments import moments
from daskdsml.passes.normal_residual import Solution, normal_residual
from daskdsml.passes.r_factor import ColumnScaling, power_of_two, r_factor
from daskdsml.utils.double_double import Double, double, two_product, two_sum

LAYOUTS = {
    "NumPy": np.array,
    "Dask": lambda A: dask_rows(A, 4),
    "CSR": sparse.csr_matrix,
    "Dask CSR": lambda A: csr_rows(A, 4),
}
every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def both(*parts):
    """Pairs (or more) from parts of equal lengths."""
    return zip(*parts, strict=True)


def parameters(model):
    """Intercept (where there is one) and coefficients."""
    coef = np.ravel(model.coef_)
    return np.append(model.intercept_, coef) if model.fit_intercept else coef


def digits(found, exact):
    """Right digits of the worst parameter, at most 16."""
    error = np.max(np.abs(found - exact) / np.abs(exact))
    return 16.0 if error == 0.0 else min(16.0, -np.log10(error))


def fractions(array):
    return [[Fraction(float(value)) for value in row] for row in np.atleast_2d(array)]


def solved(A, right):
    """The exact solution of a system of fractions, by elimination; float at the end."""
    rows = [[*left, value] for left, value in both(A, right)]
    size = len(rows)
    for i in range(size):
        pivot = next(k for k in range(i, size) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(size):
            if k != i and rows[k][i]:
                factor = rows[k][i]
                rows[k] = [a - factor * b for a, b in both(rows[k], rows[i])]
    return np.array([float(row[-1]) for row in rows])


def rational(X, y, w=None, intercept=True, ridge=0):
    """Exact least squares or ridge of the float64 numbers given: intercept first."""
    rows = fractions(np.column_stack([np.ones(len(X)), X]) if intercept else X)
    target = [Fraction(float(value)) for value in y]
    weights = [Fraction(1)] * len(rows) if w is None else [Fraction(float(v)) for v in w]
    size = len(rows[0])
    # Sums row by row keep the fractions' powers of two small.
    A = [[Fraction(0)] * size for _ in range(size)]
    right = [Fraction(0)] * size
    for row, value, weight in both(rows, target, weights):
        for i in range(size):
            part = weight * row[i]
            right[i] += part * value
            for j in range(i + 1):
                A[i][j] += part * row[j]
    for i in range(size):
        A[i][i] += Fraction(ridge) if i >= intercept else 0
        for j in range(i):
            A[j][i] = A[i][j]
    return solved(A, right)


# Certified values of the Statistical Reference Datasets

HALF = [759, -2048, 2048, -2048, 2523, -2048, 2048, -2048, 1838, -2048]
ERRORS = np.array([*HALF, 2048, *HALF[::-1]], dtype=float)
WAMPLER = {1: (1.0, 0.0), 2: (0.1, 0.0), 3: (1.0, 1.0), 4: (1.0, 100.0), 5: (1.0, 10_000.0)}


def wampler(number):
    """X (21, 5), y and the certified parameters: powers of a base, errors orthogonal to X."""
    base, size = WAMPLER[number]
    x = np.arange(21.0)
    X = np.column_stack([x**k for k in range(1, 6)])
    # 1e5 y of Wampler2 is an integer, so that y is the float nearest to the certified decimal.
    scaled = [sum((10 if base == 0.1 else 1) ** (5 - k) * int(v) ** k for k in range(6)) for v in x]
    y = np.array([Fraction(v, 10**5 if base == 0.1 else 1) for v in scaled], dtype=float)
    return X, y + size * ERRORS, base ** np.arange(6)


def test_errors_of_wampler_are_orthogonal():
    x = [int(v) for v in range(21)]
    for k in range(6):
        assert sum(int(e) * v**k for e, v in both(ERRORS, x)) == 0


@pytest.mark.parametrize("number", WAMPLER)
@every_layout
def test_wampler(number, layout):
    X, y, certified = wampler(number)
    mine = LinearRegression(solver="qr").fit(layout(X), y)
    # Powers of 0.1 are what the certified decimals of y say; their nearest floats say it less well.
    assert digits(parameters(mine), certified) >= (15 if number != 2 else 13)
    assert digits(parameters(mine), rational(X, y)) >= 15


@every_layout
def test_longley(layout):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of others' imports
        datasets = pytest.importorskip("statsmodels.datasets")
    data = datasets.longley.load_pandas()
    X, y = data.exog.to_numpy(float), data.endog.to_numpy(float)
    certified = [
        -3482258.63459582, 15.0618722713733, -0.358191792925910e-01, -2.02022980381683,
        -1.03322686717359, -0.511041056535807e-01, 1829.15146461355,
    ]  # fmt: skip
    mine = LinearRegression(solver="qr").fit(layout(X), y)
    assert digits(parameters(mine), np.array(certified)) >= 13.9  # all that is certified
    assert digits(parameters(mine), rational(X, y)) >= 15
    # Moments alone, which may be all that is read of data on Dask.
    mine = LinearRegression(solver="cholesky").fit(layout(X), y)
    assert digits(parameters(mine), np.array(certified)) >= 10


# Exact rational solutions


def ill(seed, n=30, p=5, closeness=2**20):
    """Integers X (n, p), whose columns nearly depend on each other, and y (n,)."""
    rng = np.random.default_rng(seed)
    base = rng.integers(-100, 100, size=(n, 1)) * closeness
    X = base * rng.integers(1, 4, size=p) + rng.integers(-100, 100, size=(n, p))
    return X.astype(float), rng.integers(-1000, 1000, size=n).astype(float)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layout", [np.array, LAYOUTS["Dask"]], ids=["NumPy", "Dask"])
def test_ill_conditioned_integers(seed, intercept, weighted, layout):
    X, y = ill(seed)
    w = np.random.default_rng(seed).integers(1, 9, size=30).astype(float) if weighted else None
    mine = LinearRegression(fit_intercept=intercept).fit(layout(X), y, w)
    assert digits(parameters(mine), rational(X, y, w, intercept)) >= 14
    assert mine.converged_ is True
    assert mine.n_passes_ >= 2


@pytest.mark.parametrize("closeness", [1, 2**10, 2**20, 2**30])
def test_digits_whatever_the_condition(closeness):
    X, y = ill(9, closeness=closeness)
    mine = LinearRegression(solver="qr").fit(dask_rows(X, 3), y)
    assert digits(parameters(mine), rational(X, y)) >= 14


@pytest.mark.parametrize("ridge", [2.0**-20, 1.0, 1024.0])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("layout", [np.array, LAYOUTS["Dask"]], ids=["NumPy", "Dask"])
def test_ridge(ridge, intercept, layout):
    X, y = ill(2)
    mine = Ridge(ridge, fit_intercept=intercept, solver="qr").fit(layout(X), y)
    assert digits(parameters(mine), rational(X, y, None, intercept, ridge)) >= 14


def test_many_outputs_and_an_alpha_for_each():
    X, y = ill(3)
    Y = np.column_stack([y, y[::-1], X[:, 0]])
    mine = LinearRegression().fit(dask_rows(X, 3), dask_rows(Y, 3))
    for k in (0, 1):
        found = np.append(mine.intercept_[k], mine.coef_[k])
        assert digits(found, rational(X, Y[:, k])) >= 14
    # An exact fit leaves nothing but the last bit of the largest.
    np.testing.assert_allclose(mine.coef_[2], [1, 0, 0, 0, 0], atol=1e-15)
    alphas = np.array([0.0, 1.0, 64.0])
    mine = Ridge(alphas, solver="qr").fit(dask_rows(X, 3), dask_rows(Y, 3))
    for k, alpha in enumerate(alphas[:2]):
        found = np.append(mine.intercept_[k], mine.coef_[k])
        assert digits(found, rational(X, Y[:, k], None, True, alpha)) >= 14


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("intercept", [True, False])
def test_zero_coefficients_stop_no_others(seed, intercept):
    X, y = ill(seed)
    Y = np.column_stack([y, X[:, 0], X[:, 1] - X[:, 2], 0.0 * y])
    mine = LinearRegression(fit_intercept=intercept, solver="qr").fit(dask_rows(X, 3), Y)
    levels = [mine.intercept_] if intercept else []
    found = np.vstack([*levels, mine.coef_.T]).T
    assert digits(found[0], rational(X, y, None, intercept)) >= 14
    exact = np.zeros((3, 5))
    exact[0, 0], exact[1, 1:3] = 1.0, [1.0, -1.0]
    np.testing.assert_allclose(mine.coef_[1:], exact, atol=1e-15)


def test_weights_over_many_orders():
    X, y = ill(5)
    w = 2.0 ** np.random.default_rng(5).integers(-12, 12, size=30)
    mine = LinearRegression().fit(dask_rows(X, 5), y, w)
    assert digits(parameters(mine), rational(X, y, w)) >= 14


@pytest.mark.parametrize("n_blocks", [1, 7, 30])
def test_any_chunking(n_blocks):
    X, y = ill(6)
    mine, one = (LinearRegression().fit(A, y) for A in (dask_rows(X, n_blocks), X))
    assert digits(parameters(mine), parameters(one)) >= 15


def test_hilbert():
    X = 1.0 / (np.arange(12)[:, None] + np.arange(7) + 1.0)
    y = np.arange(12.0)
    mine = LinearRegression(fit_intercept=False).fit(X, y)
    assert digits(parameters(mine), rational(X, y, None, False)) >= 14


@pytest.mark.parametrize("n_blocks", [None, 9])
def test_float32_far_from_zero(n_blocks):
    # As scikit-learn's issue 33032: float32 columns whose mean is many spreads from zero.
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(1_000_000, 3), scale=0.5) + 1000.0).astype(np.float32)
    y = (X.astype(float) @ [1.0, -2.0, 3.0] + rng.normal(size=len(X))).astype(np.float32)
    rows = X if n_blocks is None else dask_rows(X, n_blocks)
    mine = LinearRegression().fit(rows, y)
    V = np.column_stack([X, y]).astype(float)
    mean = V.mean(axis=0)
    V -= mean
    V -= V.mean(axis=0)
    cross = V.T @ V
    exact = np.linalg.solve(cross[:3, :3], cross[:3, 3])
    np.testing.assert_allclose(mine.coef_, exact, rtol=1e-10)
    assert mine.intercept_ == pytest.approx(mean[3] - mean[:3] @ exact, rel=1e-10)
    assert mine.n_passes_ == 1


# How many reads it takes


@pytest.mark.parametrize("model", [LinearRegression, Ridge])
def test_good_condition_takes_one_read(model, tmp_path):
    source = Source(tmp_path, 6, 400, 5)
    mine = model(cache="none").fit(*source.table())
    assert mine.n_passes_ == 1 == source.reads()
    assert [record.name for record in mine.history_] == ["moments"]


def test_bad_condition_takes_two(tmp_path):
    source = Source(tmp_path, 6, 400, 5)
    A, y = source.table()
    near = A @ np.eye(5, 6, k=0) + 1e-4 * da.sin(1e3 * A[:, :1]) * np.eye(1, 6, k=5)
    near = near + A[:, :1] * np.eye(1, 6, k=5)
    mine = LinearRegression(cache="none").fit(near, y)
    assert mine.n_passes_ == 2 == source.reads()
    assert [record.name for record in mine.history_] == ["moments", "r-factor"]
    assert mine.converged_ is True
    assert mine.rank_ == 6
    here = LinearRegression(solver="qr").fit(near.compute(), y.compute())
    assert digits(parameters(mine), parameters(here)) >= 14
    one = LinearRegression(cache="none", solver="cholesky").fit(near, y)
    assert one.n_passes_ == 1


@pytest.mark.parametrize("solver, passes", [("cholesky", 1), ("qr", 2), ("auto", 2)])
def test_small_tables_at_home_are_always_refined(solver, passes):
    X, y, w = regression(300, 4)
    mine = LinearRegression(solver=solver).fit(X, y, w)
    assert mine.n_passes_ == passes
    assert mine.solver_ == ("qr" if solver == "auto" else solver)
    assert digits(parameters(mine), rational(X, y, w)) >= (12 if solver == "cholesky" else 15)


def test_qr_by_name_reads_twice_on_dask(tmp_path):
    source = Source(tmp_path, 6, 400, 5)
    mine = LinearRegression(cache="none", solver="qr").fit(*source.table())
    assert mine.n_passes_ == 2 == source.reads()


# Dependent columns


@pytest.mark.parametrize("intercept", [True, False])
@every_layout
def test_least_norm_of_dependent_columns(intercept, layout):
    X, y, w = regression(200, 5)
    X = np.round(X * 64) / 64
    D = np.column_stack([X, X[:, 1] + 2.0 * X[:, 3]])
    mine = LinearRegression(fit_intercept=intercept, solver="qr")
    with pytest.warns(LinAlgWarning, match=r"1 linear relation.* columns 1, 3, 5 "):
        mine.fit(layout(D), y, w)
    assert mine.rank_ == 5
    exact = rational(X, y, w, intercept)
    inner = exact[intercept:]
    # Of all that predict the same, the shortest: minus its part along (0, 1, 0, 2, 0, -1).
    null = np.array([0.0, 1.0, 0.0, 2.0, 0.0, -1.0])
    least = np.append(inner, 0.0)
    least = least - null * (null @ least) / (null @ null)
    np.testing.assert_allclose(mine.coef_, least, rtol=1e-13)
    if intercept:
        assert mine.intercept_ == pytest.approx(exact[0], rel=1e-13)


def test_a_relation_hidden_far_from_zero():
    X, y, _ = regression(200, 4)
    X = np.round(X * 64) / 64 + 2.0**20
    D = np.column_stack([X, X[:, 0] - X[:, 2]])
    mine = LinearRegression(solver="qr")
    with pytest.warns(LinAlgWarning, match="1 linear relation.* columns 0, 2, 4 "):
        mine.fit(dask_rows(D, 5), y)
    exact = rational(X, y)
    null = np.array([1.0, 0.0, -1.0, 0.0, -1.0])
    least = np.append(exact[1:], 0.0)
    least = least - null * (null @ least) / (null @ null)
    np.testing.assert_allclose(mine.coef_, least, rtol=1e-12)


def test_more_columns_than_rows():
    X, y, _ = regression(8, 20)
    with pytest.warns(LinAlgWarning, match="13 linear relation"):
        mine = LinearRegression(solver="qr").fit(dask_rows(X, 3), y)
    exact = np.linalg.lstsq(X - X.mean(axis=0), y - y.mean())[0]
    np.testing.assert_allclose(mine.coef_, exact, rtol=1e-10)
    np.testing.assert_allclose(mine.predict(X), y, rtol=1e-11)


@every_layout
def test_a_constant_column(layout):
    X, y, _ = regression(200, 3)
    D = np.column_stack([X, np.full(200, 0.1)])
    with pytest.warns(LinAlgWarning, match="1 linear relation.* columns 3 "):
        mine = LinearRegression(solver="qr").fit(layout(D), y)
    assert mine.coef_[3] == 0.0
    exact = LinearRegression().fit(X, y)
    np.testing.assert_allclose(mine.coef_[:3], exact.coef_, rtol=1e-13)
    assert mine.intercept_ == pytest.approx(exact.intercept_, rel=1e-13)


# Sums and products in twice the working precision


def exactly(pair):
    return [Fraction(float(h)) + Fraction(float(v)) for h, v in both(*map(np.ravel, pair))]


@pytest.mark.parametrize("spread", [0, 20, 60])
def test_errors_of_sums_and_products_are_exact(spread):
    rng = np.random.default_rng(spread)
    a, b = (
        rng.normal(size=500) * 2.0 ** rng.integers(-spread, spread + 1, size=500) for _ in range(2)
    )
    for operation, pair in (
        (Fraction.__add__, two_sum(a, b)),
        (Fraction.__mul__, two_product(a, b)),
    ):
        exact = [operation(Fraction(u), Fraction(v)) for u, v in both(a.tolist(), b.tolist())]
        assert exactly(pair) == exact


def test_arithmetic_of_doubles():
    rng = np.random.default_rng(3)
    a, b = (Double(rng.normal(size=200), 2.0**-54 * rng.normal(size=200)) for _ in range(2))
    c = rng.normal(size=200)
    size = [abs(u) + abs(v) for u, v in both(exactly(a), exactly(b))]
    for found, exact in (
        (a + b, [u + v for u, v in both(exactly(a), exactly(b))]),
        (a + -b, [u - v for u, v in both(exactly(a), exactly(b))]),
        (a.times(c), [u * Fraction(v) for u, v in both(exactly(a), c.tolist())]),
    ):
        errors = [abs(f - e) / (s + abs(e)) for f, e, s in both(exactly(found), exact, size)]
        assert max(errors) < Fraction(1, 2**100)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 1000])
def test_sums_of_doubles(n):
    rng = np.random.default_rng(n)
    part = rng.normal(size=(n, 2)) * 10.0 ** rng.integers(-8, 8, size=(n, 2))
    # Everything cancels but the last row.
    high = np.concatenate([part, -part, np.array([[1e-9, 3.0]])])
    total = double(high).sum(axis=0)
    exact = [sum((Fraction(v) for v in column), Fraction(0)) for column in high.T.tolist()]
    size = float(np.abs(high).sum(axis=0).max())
    errors = [abs(f - e) for f, e in both(exactly(total), exact)]
    assert max(errors) <= Fraction(size) / 2**98
    np.testing.assert_array_equal(double(high.T).sum(axis=1).high, total.high)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("csr", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_normal_residual(intercept, csr, weighted):
    X, Y, w = regression(60, 4, n_outputs=2)
    design = np.column_stack([np.ones(60), X]) if intercept else X
    theta = np.linalg.lstsq(design, Y)[0]  # a tiny residual score, by cancellation
    solution = Solution(double(theta), intercept)
    kind = sparse.csr_matrix if csr else np.array
    block = Block(kind(X), Y, w if weighted else None)
    found = normal_residual(solution, block)
    halves = [
        Block(kind(X[s]), Y[s], w[s] if weighted else None) for s in (slice(21), slice(21, 60))
    ]
    joined = normal_residual(solution, halves[0]) + normal_residual(solution, halves[1])
    w = w if weighted else np.ones(60)
    A, b = fractions(design), fractions(theta)
    for k in (0, 1):
        r = [
            Fraction(float(y)) - sum(u * v[k] for u, v in both(row, b))
            for row, y in both(A, Y[:, k])
        ]
        weights = [Fraction(float(v)) for v in w]
        score = [sum(v * row[j] * e for v, row, e in both(weights, A, r)) for j in range(len(b))]
        rss = sum(v * e * e for v, e in both(weights, r))
        for part in (found, joined):
            got = exactly((part.score.high[:, k], part.score.low[:, k]))
            assert max(abs(g - s) for g, s in both(got, score)) < Fraction(1, 10**25)
            value = exactly((part.rss.high[k : k + 1], part.rss.low[k : k + 1]))[0]
            assert abs(value - rss) < rss / 10**25


# The R factor


def frame_of(X, y, intercept):
    V = np.column_stack([X, y])
    return ColumnScaling(V.mean(axis=0) * intercept, power_of_two(V.std(axis=0)), intercept)


def framed(X, y, w, frame):
    V = (np.column_stack([X, y]) - frame.centre) / frame.scale
    if frame.intercept:
        V = np.column_stack([np.ones(len(V)), V])
    return V * np.sqrt(w)[:, None]


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("n_blocks", [1, 7, 50])
@pytest.mark.parametrize("csr", [True, False])
def test_r_factor(intercept, n_blocks, csr):
    X, y, w = regression(3000, 6)
    frame = frame_of(X, y, intercept)
    kind = sparse.csr_matrix if csr else np.array
    borders = np.cumsum([0, *chunks_of(3000, n_blocks)])
    parts = [
        r_factor(frame, Block(kind(X[a:b]), y[a:b], w[a:b]))
        for a, b in zip(borders[:-1], borders[1:], strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    A = framed(X, y, w, frame)
    assert total.R.shape == (A.shape[1],) * 2
    np.testing.assert_array_equal(np.tril(total.R, -1), 0.0)
    np.testing.assert_allclose(total.R.T @ total.R, A.T @ A, rtol=1e-12, atol=1e-10)
    assert total.stats.n_rows == 3000


def test_r_factor_of_few_rows_and_of_none():
    X, y, w = regression(3, 6)
    frame = frame_of(X, y, True)
    few = r_factor(frame, Block(X, y, w))
    assert few.R.shape == (3, 8)
    A = framed(X, y, w, frame)
    np.testing.assert_allclose(few.R.T @ few.R, A.T @ A, rtol=1e-12, atol=1e-12)
    none = r_factor(frame, Block(X[:0], y[:0], w[:0]))
    assert none.R.shape == (0, 8)
    for joined in (few + none, none + few, none + none):
        expected = 0.0 if joined.stats.n_rows == 0 else A.T @ A
        np.testing.assert_allclose(joined.R.T @ joined.R, expected, rtol=1e-12, atol=1e-12)
    alone = r_factor(ColumnScaling(np.zeros(6), np.ones(6), False), Block(X))
    np.testing.assert_allclose(alone.R.T @ alone.R, X.T @ X, rtol=1e-12, atol=1e-12)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_r_factor_of_what_is_not_finite_comes_back(value):
    X, y, w = regression(2500, 6)
    bad = X.copy()
    bad[2100, 3] = value
    frame = frame_of(X, y, True)
    with np.errstate(invalid="ignore"):
        spoiled = r_factor(frame, Block(bad, y, w))
    assert np.isnan(spoiled.R).any()
    assert spoiled.stats.invalid[0][:3] == ("X", 2100, 3)
    clean = r_factor(frame, Block(X, y, w))
    for joined in (spoiled + clean, clean + spoiled):
        assert np.isnan(joined.R).any()


def test_r_factor_keeps_what_moments_lose():
    rng = np.random.default_rng(8)
    a = rng.normal(size=500)
    X = np.column_stack([a, a + 1e-9 * rng.normal(size=500)])
    block = Block(X, rng.normal(size=500))
    frame = frame_of(X, block.y, True)
    exact = np.linalg.svd(framed(X, block.y, np.ones(500), frame)[:, 1:3], compute_uv=False)[-1]
    found = np.linalg.svd(r_factor(frame, block).R[:, 1:3], compute_uv=False)[-1]
    assert found == pytest.approx(exact, rel=1e-4)
    cross = moments(NumPy(), block).cross[:2, :2]
    assert abs(np.linalg.eigvalsh(cross)[0] - exact**2) > 0.5 * exact**2


@pytest.mark.parametrize("layout", [LAYOUTS["CSR"], LAYOUTS["Dask CSR"]], ids=["CSR", "Dask CSR"])
def test_moments_of_full_csr_columns_keep_their_digits(layout):
    X, y, w = regression(300, 4)
    X[:, 1], X[:, 3] = X[:, 1] + 1e6, np.where(X[:, 3] == 0.0, 0.0, 1e4 + X[:, 3])
    dense, csr = (LinearRegression(solver="cholesky").fit(A, y + 1e6, w) for A in (X, layout(X)))
    np.testing.assert_allclose(csr.coef_, dense.coef_, rtol=1e-9)
    assert csr.intercept_ == pytest.approx(dense.intercept_, rel=1e-9)


@pytest.mark.parametrize("solver", ["cholesky", "qr", "lbfgs"])
@pytest.mark.parametrize("kind", ["CSR", "unknown"])
def test_shards_without_rows(solver, kind, monkeypatch):
    monkeypatch.setattr(shards, "LARGEST", 1)
    monkeypatch.setattr(shards, "SMALLEST", 1)
    X, y, _ = regression(120, 4)
    half = np.arange(120) // 30 % 2 == 0
    if kind == "CSR":
        A = da.from_array(X[half], chunks=((30, 0, 30, 0), 4))
        A = A.map_blocks(sparse.csr_matrix, dtype=float, meta=sparse.csr_matrix((0, 0)))
        b = da.from_array(y[half], chunks=((30, 0, 30, 0),))
    else:
        A, b = (dask_rows(a, 4)[dask_rows(half, 4)] for a in (X, y))
    mine = LinearRegression(solver=solver, cache="none", tol=1e-12).fit(A, b)
    exact = rational(X[half], y[half])
    assert digits(parameters(mine), exact) >= (8 if solver == "lbfgs" else 12)


def test_same_bits_on_a_cluster(client, tmp_path):
    source = Source(tmp_path, 12, 2000, 25)
    A, y = source.table()
    there = LinearRegression(solver="qr").fit(A, y)
    with dask.config.set(scheduler="synchronous"):
        here = LinearRegression(solver="qr").fit(A, y)
    assert parameters(there).tobytes() == parameters(here).tobytes()
