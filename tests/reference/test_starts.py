"""Starts and curvature from samples: what they are, and fits of shapes that poison them."""

import warnings

import numpy as np
import pytest
from scipy import linalg, optimize, sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Theirs
from sklearn.linear_model import PoissonRegressor as TheirPoisson
from tables import classes, dask_rows
from threadpoolctl import threadpool_limits

from daskdsml.backends.numpy import NumPy
from daskdsml.contracts import Block
from daskdsml.data.dataset import Dataset
from daskdsml.data.labels import LabelCodes
from daskdsml.engine.full.rows import open_rows
from daskdsml.linear_model import (
    GammaRegressor,
    HuberRegressor,
    LogisticRegression,
    PoissonRegressor,
    _iterative,
)
from daskdsml.linear_model._base import dataset_of, passes_over
from daskdsml.linear_model._initial import null_evaluation, plain_reads
from daskdsml.linear_model._sample import SampledLine, Sampler, anisotropy
from daskdsml.losses.logistic import Logistic
from daskdsml.losses.multinomial import Multinomial
from daskdsml.losses.penalties.l2 import L2
from daskdsml.losses.poisson import Poisson
from daskdsml.passes.loop import iterate
from daskdsml.passes.objective import Objective, Problem
from daskdsml.passes.progress import Progress
from daskdsml.passes.summary import SummaryRequest, labels_and_codes, summarize
from daskdsml.solvers._curvature import DenseHessian, Diagonal, Kronecker
from daskdsml.solvers.lbfgs import LBFGS


def neighbours(n, p, rho, seed=0):
    """Rows (n, p) of unit spread whose neighbouring columns correlate at ``rho``."""
    X = np.random.default_rng(seed).normal(size=(n, p))
    for j in range(1, p):
        X[:, j] = rho * X[:, j - 1] + np.sqrt(1.0 - rho**2) * X[:, j]
    return X


def labelled(X, K, spread, separable=False, seed=1):
    """Labels (n,) of K classes from scores of this standard deviation."""
    rng = np.random.default_rng(seed)
    Z = X @ rng.normal(size=(X.shape[1], K))
    Z *= spread / Z.std()
    return np.argmax(Z if separable else Z + rng.gumbel(size=Z.shape), axis=1)


def objective(model, X, y):
    """The mean objective with C = 1."""
    Z = X @ model.coef_.T + model.intercept_
    Z = np.column_stack([np.zeros(len(y)), Z]) if Z.shape[1] == 1 else Z
    losses = np.logaddexp.reduce(Z, axis=1) - Z[np.arange(len(y)), y]
    return losses.mean() + 0.5 * np.sum(model.coef_**2) / len(y)


# A sample's optimum or its curvature is misleading in each of these.
SHAPES = {
    "few rows a column": (1400, 300, 2, 1.0, 0.0, False),
    "strong effects": (4000, 300, 2, 5.0, 0.0, False),
    "no effects": (3000, 300, 2, 1e-9, 0.0, False),
    "correlated": (4000, 300, 2, 1.0, 0.8, False),
    "correlated and strong": (4000, 300, 2, 5.0, 0.8, False),
    "separable": (3000, 300, 2, 5.0, 0.0, True),
    "separable and correlated": (4000, 300, 2, 5.0, 0.8, True),
    "columns nearly as many as rows": (450, 400, 2, 1.0, 0.0, False),
    "five classes": (3000, 100, 5, 2.0, 0.0, False),
    "five correlated classes": (4000, 100, 5, 2.0, 0.8, False),
    "many classes": (4000, 40, 20, 2.0, 0.0, False),
    "tall": (60_000, 12, 2, 2.0, 0.5, False),
}


@pytest.mark.parametrize(
    ("decades", "csr", "lazy"),
    [(0, False, False), (8, False, True), (0, True, False)],
    ids=["dense", "eight decades, Dask", "CSR"],
)
@pytest.mark.parametrize("shape", SHAPES)
def test_unkind_shapes_converge_no_slower_than_plain_lbfgs(shape, decades, csr, lazy):
    n, p, K, spread, rho, separable = SHAPES[shape]
    X = neighbours(n, p, rho)
    if csr:
        X[np.random.default_rng(2).random(X.shape) < 0.9] = 0.0
    y = labelled(X, K, spread, separable)
    scales = 10.0 ** np.random.default_rng(3).permutation(np.linspace(-decades / 2, decades / 2, p))
    X = X * scales
    given = sparse.csr_matrix(X) if csr else X
    mine = LogisticRegression(solver="auto" if shape == "tall" else "lbfgs")
    mine.fit(dask_rows(X, 7) if lazy else given, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = Theirs().fit(given, y)
    assert mine.converged_
    lowest = objective(theirs, X, y)
    # Where classes are all but separated, lbfgs itself is percents above the optimum.
    assert objective(mine, X, y) <= lowest + (1e-4 if separable else 2e-6) * lowest
    assert mine.n_passes_ <= theirs.n_iter_[0] + (8 if separable else 3)


def test_counts_converge_no_slower_than_plain_lbfgs():
    X = neighbours(2000, 200, 0.0)
    y = np.random.default_rng(1).poisson(np.exp(0.5 * X[:, :4].sum(axis=1)))
    mine, theirs = PoissonRegressor(alpha=1e-3).fit(X, y), TheirPoisson(alpha=1e-3).fit(X, y)
    assert mine.n_passes_ <= theirs.n_iter_ + 2
    np.testing.assert_allclose(mine.coef_, theirs.coef_, atol=2e-3)


def test_rows_sorted_by_label_and_column():
    """A sample is drawn over all blocks, whatever order the rows are in."""
    X = neighbours(6000, 300, 0.5)
    y = labelled(X, 2, 2.0)
    order = np.lexsort([X[:, 0], y])
    plain = LogisticRegression(tol=1e-9).fit(X, y).coef_
    for rows in (X[order], dask_rows(X[order], 9)):
        mine = LogisticRegression(tol=1e-9).fit(rows, y[order])
        assert mine.converged_
        np.testing.assert_allclose(mine.coef_, plain, atol=1e-6)


@pytest.mark.parametrize("K", [2, 4])
def test_the_same_bits_on_any_number_of_threads(K):
    X = neighbours(4000, 600 // K, 0.8)
    y = labelled(X, K, 3.0)
    bits = set()
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            mine = LogisticRegression(n_jobs=n_threads, solver="lbfgs").fit(X, y)
        bits.add(mine.coef_.tobytes())
    assert len(bits) == 1


@pytest.mark.parametrize("spread", [1.0, 3.0])
@pytest.mark.parametrize("K", [2, 3])
def test_rows_of_very_different_weight(K, spread):
    X = neighbours(1500, 150, 0.8)
    y = labelled(X, K, 2.0)
    w = np.exp(spread * np.random.default_rng(0).normal(size=1500))
    mine = LogisticRegression(solver="lbfgs", tol=1e-8, max_iter=1000).fit(X, y, w)
    exact = LogisticRegression(solver="newton", tol=1e-10).fit(X, y, w)
    assert mine.converged_
    np.testing.assert_allclose(mine.coef_, exact.coef_, atol=1e-4)


@pytest.mark.parametrize("shift", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("K", [2, 3])
def test_columns_far_from_zero_without_an_intercept(K, shift):
    """Their curvature is that about zero: about the means it would be a hundredth of it."""
    X = neighbours(1500, 150, 0.8) + shift
    y = labelled(X - shift, K, 2.0)
    options = {"fit_intercept": False, "solver": "lbfgs", "max_iter": 1000}
    mine = LogisticRegression(tol=1e-9, **options).fit(X, y)
    exact = LogisticRegression(tol=1e-10, **{**options, "solver": "newton"}).fit(X, y)
    assert mine.converged_
    near = LogisticRegression(**options).fit(X, y)
    assert objective(near, X, y) <= (1.0 + 1e-3) * objective(exact, X, y)
    np.testing.assert_allclose(objective(mine, X, y), objective(exact, X, y), rtol=1e-7)


def test_a_warm_start_of_the_same_fit_takes_no_more_than_three_reads():
    X = neighbours(4000, 300, 0.8)
    y = labelled(X, 2, 1.0)
    mine = LogisticRegression(warm_start=True).fit(X, y)
    assert mine.fit(X, y).n_passes_ <= 3
    assert mine.converged_


# The null model


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("kind", ["two", "four", "counts", "amounts"])
def test_the_first_look_tells_the_objective_at_the_null_model(kind, fit_intercept, weighted):
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(300, 5)) + 2.0, rng.uniform(0.5, 2.0, 300) if weighted else None
    if kind in ("two", "four"):
        y = rng.integers(0, 2 if kind == "two" else 4, 300) * 2 + 5
        model = LogisticRegression(class_weight="balanced" if weighted else None)
    else:
        y = rng.poisson(2.0, 300).astype(float) if kind == "counts" else rng.gamma(2.0, size=300)
        model = PoissonRegressor() if kind == "counts" else GammaRegressor()
    model.set_params(fit_intercept=fit_intercept)
    family = model._family()
    table = dataset_of(model, X, y, w, labels=family.labels)
    with passes_over(model, table) as passes:
        request = _iterative.summary_request(model, table, (0, 1.0), family.labels, family.products)
        summary = passes.summarize(model, request)
        if family.labels:
            passes.encode(family.codes(summary))
        weight, loss = family.weight(summary), family.loss_of(summary)
        problem = _iterative.problem_of(model, loss, L2(0.1), weight, table, summary)
        theta = family.null(problem, summary)
        exact = Objective(passes.rows.run, problem).evaluate(theta)
    known = family.null_evaluation(problem, summary, theta)
    assert known.value == pytest.approx(exact.value, rel=1e-12)
    np.testing.assert_allclose(known.gradient, exact.gradient, atol=1e-12)


def test_an_evaluation_that_is_known_is_not_made_again():
    X, y = neighbours(200, 3, 0.0), np.arange(200) % 2
    problem, rows = problem_of(X, y)
    theta = np.zeros(4)
    known = null_evaluation(problem, theta, *(np.array(a) for a in sums_of(X, y)))
    result = iterate(LBFGS(), Objective(rows.run, problem), theta, 100, Progress("t", False), known)
    assert rows.n_rows_read == 200 * len(result.history)
    again = iterate(LBFGS(), Objective(rows.run, problem), theta, 100, Progress("t", False))
    assert len(again.history) == len(result.history) + 1
    np.testing.assert_allclose(result.theta, again.theta, atol=1e-12)


def problem_of(X, y, loss=None, l2=1e-2):
    """A problem and rows of X (n, p) and codes or counts y (n,)."""
    n, p = X.shape
    loss = Logistic() if loss is None else loss
    rows = open_rows(Dataset(X, np.asarray(y, dtype=float)), "memory")
    means, spread = X.mean(axis=0), X.std(axis=0)
    return Problem(loss, L2(l2), NumPy(), p, True, n, float(n), means, spread), rows


def sums_of(X, y):
    """Counts and sums of columns by class."""
    return np.bincount(y), [X[y == k].sum(axis=0) for k in range(y.max() + 1)]


@pytest.mark.parametrize(
    "y",
    [
        np.array([3, 1, 1, 2]),
        np.array([-5, 5, 0], dtype=np.int8),
        np.array([250, 0, 255], dtype=np.uint8),
        np.array([2**62, -(2**62)]),
        np.array([2**64 - 1, 0], dtype=np.uint64),
        np.array([True, False, True]),
        np.array(["b", "a", "b"]),
        np.array([1.0, 0.0]),
        np.array([7]),
        np.array([], dtype=int),
    ],
    ids=str,
)
def test_labels_and_codes(y):
    labels, codes = labels_and_codes(y)
    exact, places = np.unique(y, return_inverse=True)
    assert labels.dtype == exact.dtype
    np.testing.assert_array_equal(labels, exact)
    np.testing.assert_array_equal(codes, places)


# Samples


@pytest.mark.parametrize("n_blocks", [None, 5])
def test_samples_are_rows_of_the_table(n_blocks):
    X, y = np.arange(2000.0).reshape(1000, 2), np.arange(1000) % 3
    table = Dataset(X, y) if n_blocks is None else Dataset(dask_rows(X, n_blocks), dask_rows(y, 5))
    request = SummaryRequest(NumPy(), True, 0 if n_blocks is None else 400)
    found = open_rows(table).run(summarize, request, "summary")
    sampler = Sampler(table, found, LabelCodes(found.labels), 0, 400)
    for size, skip in ((10, 0), (100, 50), (400, 0)):
        block = sampler(size, skip)
        assert len(block.y) == size
        np.testing.assert_array_equal(block.y, (block.X[:, 0] / 2) % 3)
        assert len(np.unique(block.X[:, 0])) == size
    assert sampler.most == (1000 if n_blocks is None else 400)
    assert sampler(0) is None
    np.testing.assert_array_equal(sampler(10).X, sampler(10).X)
    np.testing.assert_allclose(sampler.class_means()[:, 0], [X[k::3, 0].mean() for k in range(3)])


def test_anisotropy_is_that_of_the_correlation_matrix():
    for rho in (0.0, 0.5, 0.8):
        X = neighbours(256, 2000, rho)
        problem, _ = problem_of(X, np.zeros(256))
        problem = problem._replace(mean=np.zeros(2000), scale=np.ones(2000))
        expected = (1.0 + rho**2) / (1.0 - rho**2)
        assert anisotropy(problem, Block(X, np.zeros(256))) == pytest.approx(expected, rel=0.1)
    same = np.repeat(np.random.default_rng(0).normal(size=(256, 1)), 30, axis=1)
    problem, _ = problem_of(same, np.zeros(256))
    # The fourth moment of normal numbers is three times the square of their second.
    assert anisotropy(problem, Block(same, np.zeros(256))) == pytest.approx(30.0, rel=0.3)


def test_anisotropy_is_that_within_classes():
    y = np.arange(256) % 2
    X = neighbours(256, 500, 0.0) + 10.0 * y[:, None]
    problem, _ = problem_of(X, y)
    problem = problem._replace(scale=np.ones(500))
    means = np.stack([X[y == k].mean(axis=0) for k in range(2)])
    assert anisotropy(problem, Block(X, y)) > 100.0
    assert anisotropy(problem, Block(X, y), means) == pytest.approx(1.0, abs=0.1)


def test_reads_of_plain_lbfgs_grow_with_correlation():
    assert plain_reads(1.0) == pytest.approx(6.0)
    assert plain_reads((1.0 + 0.8**2) / (1.0 - 0.8**2)) == pytest.approx(30.0)


@pytest.mark.parametrize("kind", ["two", "three", "counts"])
def test_a_line_through_all_rows_ends_at_its_minimum(kind):
    X, rng = neighbours(800, 6, 0.3), np.random.default_rng(4)
    if kind == "counts":
        loss, y = Poisson(), rng.poisson(np.exp(0.3 * X[:, 0]))
    else:
        loss, y = (Logistic(), labelled(X, 2, 2.0)) if kind == "two" else (Multinomial(3), None)
        y = labelled(X, 3, 2.0) if y is None else y
    problem, rows = problem_of(X, y, loss)
    value = Objective(rows.run, problem).evaluate
    theta = 0.1 * rng.normal(size=problem.size)
    for scale in (0.5, 1.0, 2.0):
        direction = -scale * value(theta).gradient / value(theta, True).hessian.diagonal().mean()
        slope = float(value(theta).gradient @ direction)
        exact = optimize.minimize_scalar(
            lambda t, d=direction: value(theta + t * d).value, bounds=(0.25, 4.0), method="bounded"
        ).x
        found = SampledLine(problem, Block(X, y.astype(float)))(theta, direction, slope)
        assert found == pytest.approx(exact, abs=0.05)


def test_a_line_that_few_rows_bend_is_left_as_it_is():
    X, y = neighbours(800, 6, 0.3), np.arange(800) % 2
    X[10:] = 0.0
    problem, _ = problem_of(X + 1e-9, y)
    direction = np.append(np.ones(6), 0.0)
    assert SampledLine(problem, Block(X, y.astype(float)))(np.zeros(7), direction, -1.0) == 1.0


# Curvature


@pytest.mark.parametrize("K", [1, 4])
def test_curvature_at_the_null_model_is_the_inverse_of_the_hessian(K):
    rng = np.random.default_rng(0)
    X = (neighbours(4000, 6, 0.6) + 100.0) * 10.0 ** np.linspace(-3, 3, 6)
    y = rng.integers(0, max(K, 2), 4000)
    loss = Logistic() if K == 1 else Multinomial(K)
    problem, rows = problem_of(X, y, loss, l2=0.0)
    shares = np.bincount(y) / len(y)
    theta = np.zeros((K, 7))
    theta[:, -1] = np.log(shares[1] / shares[0]) if K == 1 else np.log(shares)
    here = Objective(rows.run, problem).evaluate(theta.ravel(), True)
    weights = np.array([shares[0] * shares[1]]) if K == 1 else shares
    mine = Kronecker.of(problem, np.corrcoef(X.T), weights, np.inf)
    gradient = here.gradient + problem.penalised * rng.normal(size=problem.size) * 1e-3
    if K > 1:
        rows_of = gradient.reshape(K, -1)
        gradient = (rows_of - rows_of.mean(axis=0)).ravel()
    step = mine.times(problem, gradient)
    np.testing.assert_allclose(
        problem.standardized(here.hessian @ step), problem.standardized(gradient), atol=1e-7
    )


def test_a_dense_curvature_of_coupled_outputs_far_from_zero():
    """What makes moves that are alike regular must not be as large as the columns' means."""
    rng = np.random.default_rng(0)
    X = neighbours(900, 4, 0.3)
    y = labelled(X, 3, 1.0)
    near, rows = problem_of(X, y, Multinomial(3), l2=0.0)
    far, far_rows = problem_of(X + 1e4, y, Multinomial(3), l2=0.0)
    gradient = rng.normal(size=(3, 5))
    gradient -= gradient.mean(axis=0)
    steps = []
    for problem, these in ((near, rows), (far, far_rows)):
        hessian = Objective(these.run, problem).evaluate(np.zeros(15), True).hessian
        given = gradient.copy()
        given[:, :4] += given[:, 4:] * problem.mean
        steps.append(
            DenseHessian.of(problem, hessian, 400).times(problem, given.ravel()).reshape(3, 5)
        )
    np.testing.assert_allclose(steps[1][:, :4], steps[0][:, :4], rtol=1e-4)


@pytest.mark.parametrize("factor", [1e-4, 1e-2, 1e2, 1e4])
@pytest.mark.parametrize("renewals", [0, 3])
def test_a_wrong_curvature_costs_a_few_reads(factor, renewals):
    X = neighbours(3000, 30, 0.5)
    y = labelled(X, 2, 3.0)
    problem, rows = problem_of(X, y, l2=1e-3)
    run = Objective(rows.run, problem)
    hessian = run.evaluate(np.zeros(31), True).hessian
    fits = []
    for curvature, renew in (
        (Diagonal(0.25), None),
        (
            DenseHessian.of(problem, factor * hessian),
            lambda theta: DenseHessian.of(problem, hessian),
        ),
    ):
        solver = LBFGS(1e-6, curvature=curvature, renew=renew, renewals=renewals)
        fits.append(iterate(solver, run, np.zeros(31), 200, Progress("test", False)))
    plain, wrong = fits
    assert plain.status == wrong.status == "converged"
    assert len(wrong.history) <= len(plain.history) + 10
    np.testing.assert_allclose(wrong.theta, plain.theta, atol=1e-4)


def test_a_curvature_that_knows_nothing_of_some_directions():
    """Half of the columns do not vary in the sample: its steps there lead out of all bounds."""
    X = neighbours(3000, 20, 0.0)
    y = labelled(X, 2, 3.0)
    problem, rows = problem_of(X, y, l2=1e-3)
    blind = X[:300].copy()
    blind[:, 10:] = blind[:, 10:].mean(axis=0)
    small, small_rows = problem_of(blind + 1e-12, y[:300], l2=1e-12)
    small = small._replace(scale=problem.scale, mean=problem.mean)
    hessian = Objective(small_rows.run, small).evaluate(np.zeros(21), True).hessian
    solver = LBFGS(curvature=DenseHessian.of(problem, hessian))
    result = iterate(
        solver, Objective(rows.run, problem), np.zeros(21), 100, Progress("test", False)
    )
    assert result.status == "converged"
    exact = optimize.minimize(
        lambda t: (lambda e: (e.value, e.gradient))(Objective(rows.run, problem).evaluate(t)),
        np.zeros(21), jac=True, tol=1e-10,
    ).x  # fmt: skip
    np.testing.assert_allclose(result.theta, exact, atol=2e-3)
    assert linalg.norm(result.theta - exact) < 0.01


@pytest.mark.parametrize("rho", [0.0, 0.8])
@pytest.mark.parametrize("alpha", [1e-3, 1e-6])
def test_newton_takes_over_where_gradients_alone_take_long(rho, alpha):
    X = neighbours(1400, 320, rho)
    z = X @ np.random.default_rng(1).normal(size=320)
    y = np.random.default_rng(2).poisson(np.exp(z / z.std()))
    ours = PoissonRegressor(alpha=alpha).fit(X, y)
    exact = PoissonRegressor(alpha=alpha, solver="newton", tol=1e-8).fit(X, y)
    assert (ours.solver_, ours.converged_) == ("lbfgs", True)
    assert "hessian" in {record.name for record in ours.history_}
    values = [model.history_[-1].objective for model in (ours, exact)]
    assert values[0] == pytest.approx(values[1], rel=1e-4)


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(solver="newton"),
        LogisticRegression(solver="lbfgs", C=0.01),
        LogisticRegression(l1_ratio=0.5),
        PoissonRegressor(),
        PoissonRegressor(solver="lbfgs"),
        GammaRegressor(),
        HuberRegressor(),
    ],
    ids=repr,
)
def test_fits_of_one_step_get_to_the_optimum_of_one_fit(model):
    """The read of the start is no step, or else such fits would stay where they begin."""
    X, y, _ = classes(400, 4, seed=3)
    y = y + 1.0 if isinstance(model, GammaRegressor) else y
    best = clone(model).set_params(tol=1e-9, max_iter=1000).fit(X, y).coef_
    model = clone(model).set_params(warm_start=True, max_iter=1, tol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        away = [np.abs(model.fit(X, y).coef_ - best).max() for _ in range(30)]
    assert away[-1] < max(1e-3 * away[0], 1e-7)


@pytest.mark.parametrize("C, most", [(1e2, 1e-2), (1e5, 0.2)])
def test_all_but_separated_classes_do_not_end_far_from_the_minimum(C, most):
    """Gradients are small long before the objective is."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 300)) * np.logspace(0, -3, 300) @ rng.normal(size=(300, 300))
    y = (X @ rng.normal(size=300) > 0).astype(int)
    exact = LogisticRegression(C=C, solver="newton", tol=1e-10, max_iter=500).fit(X, y)
    ours = LogisticRegression(C=C, solver="lbfgs", max_iter=1000).fit(X, y)
    values = [
        np.logaddexp(0.0, -(2 * y - 1) * m.decision_function(X)).sum() + (m.coef_**2).sum() / 2 / C
        for m in (ours, exact)
    ]
    assert values[1] <= values[0] * (1.0 + 1e-9) <= values[1] * (1.0 + most)
