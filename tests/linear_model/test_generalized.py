"""Poisson, gamma and Huber regression: what must not change a fit, its reads, and bad input."""

import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning
from tables import Source, counts, csr_rows, dask_rows, outlying

from daskdsml.backends.numba import Numba
from daskdsml.backends.numpy import NumPy
from daskdsml.contracts import Block
from daskdsml.data.dataset import Dataset, plain
from daskdsml.engine.full.rows import open_rows
from daskdsml.linear_model import GammaRegressor, HuberRegressor, PoissonRegressor
from daskdsml.losses.gamma import Gamma
from daskdsml.losses.huber_residual import HuberResidual
from daskdsml.losses.poisson import Poisson
from daskdsml.passes.concomitant import Concomitant
from daskdsml.passes.deviance import deviance, half_deviance
from daskdsml.passes.evaluate import LinearPredictor
from daskdsml.passes.summary import Span, SummaryRequest, summarize

N, P = 300, 5
MODELS = [PoissonRegressor, GammaRegressor, HuberRegressor]
LOG_LINK = [PoissonRegressor, GammaRegressor]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
log_link = pytest.mark.parametrize("model", LOG_LINK, ids=lambda model: model.__name__)
dask_too = pytest.mark.parametrize(
    "layout", [np.array, lambda array: dask_rows(array, 5)], ids=["NumPy", "Dask"]
)


def data_of(model, n=N, p=P):
    """X (n, p), y in the model's domain and weights (n,)."""
    if model is HuberRegressor:
        return outlying(n, p)
    X, y, w = counts(n, p)
    return (X, y, w) if model is PoissonRegressor else (X, y + 0.25 + w / 4, w)


def parameters(model):
    scale = [model.scale_] if isinstance(model, HuberRegressor) else []
    return np.array([*model.coef_, model.intercept_, *scale])


def assert_same(mine, other, rtol=1e-9):
    a, b = parameters(mine), parameters(other)
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


# What must not change a fit


@every_model
def test_an_integer_weight_is_so_many_rows(model):
    X, y, _ = data_of(model)
    w = np.random.default_rng(0).integers(0, 4, size=N)
    mine = model(tol=1e-12).fit(dask_rows(X, 7), y, w)
    other = model(tol=1e-12).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    if model is HuberRegressor:
        assert_same(mine, other, 1e-7)
        return
    assert_same(mine, other)
    assert mine.score(X, y, w) == pytest.approx(
        other.score(np.repeat(X, w, axis=0), np.repeat(y, w)), rel=1e-12
    )


@every_model
def test_neither_order_nor_chunks_matter(model):
    X, y, w = data_of(model)
    order = np.random.default_rng(1).permutation(N)
    mine = model(tol=1e-12).fit(X, y, w)
    for A, b, c in ((X, y, w), (X[order], y[order], w[order])):
        for n_blocks in (1, 3, 60):
            assert_same(model(tol=1e-12).fit(dask_rows(A, n_blocks), b, c), mine, 1e-8)
    assert_same(model(tol=1e-12).fit(csr_rows(X, 7), y, w), mine, 1e-8)


@every_model
def test_the_number_of_threads_does_not_change_a_bit(model):
    X, y, w = data_of(model)
    fits = [model(n_jobs=k).fit(dask_rows(X, 7), y, w) for k in (1, 2, 4)]
    for other in fits[1:]:
        np.testing.assert_array_equal(parameters(other), parameters(fits[0]))


@pytest.mark.parametrize("factor", [1e-9, 3.0, 1e9])
def test_huber_has_the_units_of_y(factor):
    X, y, w = data_of(HuberRegressor)
    one = HuberRegressor(alpha=0.0, tol=1e-12).fit(X, y, w)
    other = HuberRegressor(alpha=0.0, tol=1e-12).fit(X, factor * y, w)
    np.testing.assert_allclose(parameters(other), factor * parameters(one), rtol=1e-8)
    np.testing.assert_array_equal(other.outliers_, one.outliers_)


def test_how_far_outliers_are_does_not_matter():
    X, y, w = data_of(HuberRegressor)
    near = HuberRegressor(tol=1e-12).fit(X, y, w)
    far = near.outliers_
    side = np.sign(y - near.predict(X))
    other = HuberRegressor(tol=1e-12).fit(X, y + 1e6 * far * side, w)
    assert_same(other, near, 1e-7)
    assert far.sum() > 20


@every_model
@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_warm_start(model, solver):
    X, y, w = data_of(model)
    mine = model(warm_start=True, solver=solver, tol=1e-8).fit(dask_rows(X, 7), y, w)
    before = parameters(mine)
    mine.fit(dask_rows(X, 7), y, w)
    assert mine.n_iter_ <= 2
    np.testing.assert_allclose(parameters(mine), before, rtol=1e-6, atol=1e-7)
    mine.fit(X[:, :3], y, w)
    assert_same(mine, model(solver=solver, tol=1e-8).fit(X[:, :3], y, w), 1e-5)


@every_model
def test_warm_start_without_intercept(model):
    X, y, w = data_of(model)
    mine = model(warm_start=True, fit_intercept=False).fit(X, y, w)
    before = parameters(mine)
    mine.fit(X, y, w)
    assert mine.n_iter_ <= 2
    np.testing.assert_allclose(parameters(mine), before, rtol=1e-4)


# Reads


@every_model
def test_reads(model, tmp_path):
    source = Source(tmp_path, 10, 10_000, 12)
    X, y = source.table()
    X_here = np.concatenate([source.block(i, 12) for i in range(10)])
    z = X_here @ np.linspace(-0.3, 0.3, 12) + 1.0
    rng = np.random.default_rng(0)
    y = {
        PoissonRegressor: lambda: rng.poisson(np.exp(z)),
        GammaRegressor: lambda: np.exp(z) * rng.gamma(2.0, size=len(z)),
        HuberRegressor: lambda: z + rng.standard_t(2, size=len(z)),
    }[model]()
    mine = model(cache="none").fit(X, dask_rows(y, 10))
    assert mine.n_passes_ == source.reads() == len(mine.history_)
    assert 4 <= mine.n_passes_ <= 6
    assert [record.name for record in mine.history_][:2] == ["summary", "gradient"]


# Bad input


@every_model
@dask_too
def test_bad_parameters(model, layout):
    X, y, _ = data_of(model)
    cases = [
        ({"alpha": -1.0}, "alpha of .* must be a number of at least 0"),
        ({"alpha": np.inf}, "alpha"),
        ({"tol": -1.0}, "tol of .* must be a number of at least 0"),
        ({"max_iter": 0}, "max_iter of .* must be an integer of at least 1"),
        ({"fit_intercept": "no"}, "fit_intercept of .* must be True or False"),
        ({"warm_start": 1}, "warm_start of .* must be True or False"),
        ({"solver": "sag"}, "Unknown solver 'sag' of .*'auto', 'newton', 'lbfgs'"),
        ({"backend": "torch"}, "Unknown backend 'torch'"),
        ({"cache": "disk"}, "disk"),
    ]
    for parameters, said in cases:
        with pytest.raises(ValueError, match=said):
            model(**parameters).fit(layout(X), y)


@pytest.mark.parametrize("epsilon", [0.99, 0.0, np.nan, np.inf, "1.35", None])
def test_bad_epsilon(epsilon):
    X, y, _ = data_of(HuberRegressor)
    with pytest.raises(ValueError, match="epsilon of HuberRegressor must be a number of at least"):
        HuberRegressor(epsilon=epsilon).fit(X, y)


@every_model
@dask_too
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_numbers_are_named(model, layout, bad):
    X, y, w = data_of(model)
    A, b, c = X.copy(), y.copy(), w.copy()
    A[123, 2], b[45], c[7] = bad, bad, bad
    kind = "NaN" if np.isnan(bad) else "infinity"
    for table, said in (
        ((layout(A), y, w), f"Input X contains {kind} at row 123, column 2"),
        ((layout(X), b, w), f"Input y contains {kind} at row 45"),
        ((layout(X), y, c), "sample_weight must be finite and not negative, but row 7"),
    ):
        if np.isinf(bad) and said.startswith("sample") or not said.startswith("Input y"):
            with pytest.raises(ValueError, match=said):
                model().fit(*table)
        else:
            with pytest.raises(ValueError, match="Input y contains"):
                model().fit(*table)
    mine = model().fit(X, y)
    with pytest.raises(ValueError, match=f"Input X contains {kind} at row 123, column 2"):
        mine.score(layout(A), layout(y))


@log_link
@dask_too
def test_targets_out_of_range(model, layout):
    X, y, _ = data_of(model)
    worst = -0.5 if model is PoissonRegressor else 0.0
    bad = y.copy()
    bad[200] = worst
    said = f"{model.__name__} expects .*, but the least value of y is {worst:g}\\. Drop such rows"
    with pytest.raises(ValueError, match=said):
        model().fit(layout(X), layout(bad))
    mine = model().fit(layout(X), layout(y))
    with pytest.raises(ValueError, match=said):
        mine.score(layout(X), layout(bad))


@dask_too
def test_counts_of_zero_alone(layout):
    X, y, w = data_of(PoissonRegressor)
    with pytest.raises(ValueError, match="expects a positive mean of y, but y is zero in every"):
        PoissonRegressor().fit(layout(X), layout(0 * y))
    with pytest.raises(ValueError, match="expects a positive mean of y"):
        PoissonRegressor().fit(layout(X), layout(y), layout(w * (y == 0)))


@pytest.mark.parametrize("n_blocks", [None, 7])
def test_a_cell_without_counts_has_no_finite_coefficient(n_blocks):
    X, y, _ = data_of(PoissonRegressor)
    cell = (np.arange(N) % 10 == 0).astype(float)
    X, y = np.column_stack([X, cell]), y * (cell == 0)
    A = X if n_blocks is None else dask_rows(X, n_blocks)
    said = "PoissonRegressor found a linear combination of columns that tells rows of y = 0 apart.*"
    with pytest.warns(ConvergenceWarning, match=said + "Set alpha above 0") as seen:
        mine = PoissonRegressor(alpha=0.0).fit(A, y)
    assert seen[0].filename == __file__
    assert not mine.converged_
    assert mine.coef_[-1] < -5.0
    kept = PoissonRegressor(alpha=0.0).fit(X[cell == 0][:, :-1], y[cell == 0])
    np.testing.assert_allclose(mine.coef_[:-1], kept.coef_, atol=1e-2)
    assert PoissonRegressor(alpha=1e-3).fit(A, y).converged_


@every_model
def test_dependent_columns(model):
    X, y, w = data_of(model)
    twice = np.column_stack([X, X[:, 0]])
    with pytest.warns(LinAlgWarning, match="1 linear relation.* among the columns 0, 5 ") as seen:
        mine = model(alpha=0.0, tol=1e-11).fit(dask_rows(twice, 7), y, w)
    assert seen[0].filename == __file__
    other = model(alpha=0.0, tol=1e-11).fit(X, y, w)
    assert mine.coef_[0] == pytest.approx(mine.coef_[-1], rel=1e-6)
    np.testing.assert_allclose(mine.predict(twice), other.predict(X), rtol=1e-6)


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
@pytest.mark.parametrize("n_blocks", [None, 7])
def test_steps_that_overflow_are_taken_back(solver, n_blocks):
    """A cell of one row with a large count: the first Newton step, of n, leads to exp(n)."""
    y = np.append(np.ones(999), 1e6)
    X = (y > 1.0).astype(float)[:, None]
    mine = PoissonRegressor(alpha=0.0, solver=solver, tol=1e-9, max_iter=1000)
    mine.fit(X if n_blocks is None else dask_rows(X, n_blocks), y)
    assert mine.converged_
    assert mine.intercept_ == pytest.approx(0.0, abs=1e-6)
    assert mine.coef_[0] == pytest.approx(np.log(1e6), rel=1e-7)
    assert np.isfinite([record.objective for record in mine.history_[1:]]).all()


# The scale of Huber's regression


@pytest.mark.parametrize("n_blocks", [None, 5])
def test_rows_fitted_exactly(n_blocks):
    """Their scale is nothing but rounding, however large the outliers."""
    rng = np.random.default_rng(0)
    X, coef = rng.normal(size=(N, 4)), np.arange(1.0, 5.0)
    y = X @ coef + 3.0
    for far in (0.0, 100.0):
        y[:40] += far * rng.normal(size=40)
        mine = HuberRegressor(alpha=0.0).fit(X if n_blocks is None else dask_rows(X, n_blocks), y)
        assert mine.converged_
        assert mine.scale_ < 1e-6
        np.testing.assert_allclose(mine.coef_, coef, rtol=1e-7)


@pytest.mark.parametrize("epsilon", [1.0, 1.001])
def test_no_scale(epsilon):
    """A few residuals can be zero, and epsilon**2 for each other one does not make up for it."""
    X, y, _ = data_of(HuberRegressor)
    said = f"no scale above 0: .* epsilon={epsilon:g} scales. Raise epsilon"
    with pytest.raises(ValueError, match=said):
        HuberRegressor(epsilon=epsilon).fit(X, y)


def test_outliers_are_as_lazy_as_the_input():
    X, y, _ = data_of(HuberRegressor)
    here = HuberRegressor().fit(X, y)
    expected = np.abs(y - here.predict(X)) > 1.35 * here.scale_
    np.testing.assert_array_equal(here.outliers_, expected)
    lazy = here.outliers(dask_rows(X, 7), dask_rows(y, 4))
    assert lazy.dtype == bool
    np.testing.assert_array_equal(lazy.compute(), expected)
    there = HuberRegressor().fit(dask_rows(X, 7), dask_rows(y, 7))
    with pytest.raises(AttributeError, match="Call outliers"):
        there.outliers_  # noqa: B018
    assert not hasattr(HuberRegressor(), "outliers_")
    there.fit(X, y)
    assert there.outliers_.shape == (N,)


@pytest.mark.parametrize("backend", [NumPy(), Numba()], ids=["numpy", "numba"])
@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_derivatives_in_coefficients_and_scale(backend, csr, weighted):
    X, y, w = data_of(HuberRegressor)
    block = Block(sparse.csr_matrix(X) if csr else X, y, w if weighted else None)
    within = Concomitant(backend, 2.0, 0.01, 1e-3)
    rng = np.random.default_rng(0)
    theta, move = rng.normal(size=P + 2), rng.normal(size=P + 2)
    theta[P] = 0.7

    def at(theta):
        return within.models(
            HuberResidual(1.35), block, theta[None, None, :-1], theta[None, -1:], None, ((0, None),)
        )

    h = 1e-6
    value, gradient, (hessian,) = at(theta)
    ahead, behind = at(theta + h * move), at(theta - h * move)
    assert (ahead[0] - behind[0]) / (2 * h) == pytest.approx(gradient[0, 0] @ move, rel=1e-7)
    slope = (ahead[1] - behind[1])[0, 0] / (2 * h)
    np.testing.assert_allclose(slope, hessian @ move, rtol=1e-4, atol=1e-4 * np.abs(slope).max())
    assert np.linalg.eigvalsh(hessian)[0] > 0.0
    u = np.abs(y / 2.0 - X @ theta[:P] - theta[-1]) / 0.7
    each = 0.7 * (0.5 + np.where(u <= 1.35, u**2 / 2, 1.35 * u - 1.35**2 / 2))
    each += 0.5 * (0.01 * theta[:P] @ theta[:P] + 1e-6 / 0.7)
    assert value.item() == pytest.approx((w if weighted else np.ones(N)) @ each, rel=1e-12)


def test_a_scale_of_zero_or_less_costs_infinity():
    X, y, _ = data_of(HuberRegressor)
    for s in (0.0, -1.0):
        value, gradient, hessians = Concomitant(NumPy(), 1.0, 0.0, 0.0).models(
            HuberResidual(1.35),
            Block(X, y),
            np.append(np.zeros(P), s)[None, None],
            np.zeros((1, 1)),
            None,
            ((0, None),),
        )
        assert value.item() == np.inf
        assert gradient.shape == (1, 1, P + 2)
        assert hessians[0].shape == (P + 2, P + 2)


# Passes


@pytest.mark.parametrize("weighted", [False, True])
def test_the_first_look_tells_of_targets(weighted):
    X, y, w = data_of(PoissonRegressor)
    w = w if weighted else None
    for n_blocks in (1, 7, 60):
        parts = [
            None if a is None else plain(dask_rows(a, n_blocks)) for a in (X, y.astype(int), w)
        ]
        rows = open_rows(Dataset(*parts), "none")
        span = rows.run(summarize, SummaryRequest(NumPy(), labels=False), "summary").span
        total = y.sum() if w is None else w @ y
        np.testing.assert_allclose(span, (total, y.min(), y.max()), rtol=1e-13)
        assert rows.run(summarize, SummaryRequest(NumPy(), labels=True), "summary").span == Span()


@pytest.mark.parametrize("loss, y, z, expected", [
    (Poisson(), 0.0, 0.0, 1.0),
    (Poisson(), 2.0, np.log(2.0), 0.0),
    (Poisson(), 3.0, 0.0, 3.0 * np.log(3.0) - 2.0),
    (Gamma(), 2.0, np.log(2.0), 0.0),
    (Gamma(), 3.0, 0.0, 2.0 - np.log(3.0)),
])  # fmt: skip
def test_known_deviances(loss, y, z, expected):
    found = half_deviance(loss, np.array([y]), np.array([z]))
    assert found[0] == pytest.approx(expected, rel=1e-14, abs=1e-14)


@log_link
def test_scores_without_deviance(model):
    """y is constant: 1 if it is predicted, 0 if it is not."""
    X = np.zeros((10, 1))
    for z, score in ((np.log(3.0), 1.0), (0.0, 0.0)):
        state = LinearPredictor(np.zeros((1, 1)), np.array([z])), model._loss
        block = Block(X, np.full(10, 3.0))
        total = deviance(state, block) + deviance(state, block)
        assert total.explained() == score
