"""Every solver: data with a known optimum, optimality, repeated rows, states that can be kept."""

import pickle

import numpy as np
import pytest
from tables import regression

from daskdsml.backends.numpy import NumPy
from daskdsml.contracts import Block
from daskdsml.losses.logistic import Logistic
from daskdsml.losses.penalties.l2 import L2
from daskdsml.losses.squared_error import SquaredError
from daskdsml.passes.loop import iterate
from daskdsml.passes.objective import Objective, Problem
from daskdsml.passes.progress import Progress
from daskdsml.strategies.all_reduce import AllReduce
from daskdsml.strategies.columns import Columns
from daskdsml.utils import registry

SOLVERS = [*registry.available("solvers"), *registry.available("solvers.paths")]
# Those that one sum over all rows serves; the ones for mini-batches are in test_optimizers.py.
NAMES = [name for name in SOLVERS if registry.find_solver(name).needs <= AllReduce.provides]
EVERY = pytest.mark.parametrize("name", NAMES)
ITERATIVE = pytest.mark.parametrize(
    "name", [n for n in NAMES if registry.find_solver(n).needs & {"gradient", "hessian"}]
)
INTERCEPT = pytest.mark.parametrize("intercept", [True, False])
P = 5
# None is negative, so that solvers with a sign constraint have the same optimum.
COEF = np.linspace(0.5, 1.5, P)


def solver_of(name, tol=1e-11):
    part = registry.find_solver(name)
    return part(tol=tol) if "tol" in part._fields else part()


def objective_of(loss, X, y, w=None, *, intercept=True, strength=0.0):
    """An objective over a single block."""
    weights = np.ones(len(y)) if w is None else w
    total = weights.sum()
    centre = weights @ X / total if intercept else np.zeros(X.shape[1])
    spread = np.sqrt(weights @ (X - centre) ** 2 / total)
    problem = Problem(
        loss, L2(strength), NumPy(), X.shape[1], intercept, len(y), total, centre, spread
    )
    return Objective(lambda kernel, state, name: kernel(state, Block(X, y, w)), problem)


def solution(name, objective, max_iter=200, tol=1e-11, start=0.0):
    start = np.full(objective.problem.size, start)
    return iterate(solver_of(name, tol), objective, start, max_iter, Progress("test", False))


def assert_close(found, exact):
    np.testing.assert_allclose(np.ravel(found), np.ravel(exact), rtol=1e-9, atol=1e-9)


def matrix(n=60):
    """X (n, P) by its singular value decomposition, with singular values from 1 to 10."""
    rng = np.random.default_rng(0)
    U = np.linalg.qr(np.column_stack([np.ones(n), rng.normal(size=(n, P))]))[0][:, 1:]
    V = np.linalg.qr(rng.normal(size=(P, P)))[0]
    return U @ np.diag(np.linspace(1.0, 10.0, P)) @ V.T + 2.0


def least_squares(intercept):
    """X, and y whose optimum is exactly COEF (and 3), with residuals orthogonal to X and 1."""
    X = matrix()
    noise = np.random.default_rng(1).normal(size=len(X))
    Z = np.column_stack([X, np.ones(len(X))])
    noise -= Z @ np.linalg.lstsq(Z, noise)[0]
    return X, X @ COEF + 3.0 * intercept + noise


@EVERY
@INTERCEPT
def test_least_squares_with_known_optimum(name, intercept):
    X, y = least_squares(intercept)
    result = solution(name, objective_of(SquaredError(), X, y, intercept=intercept))
    assert result.status == "converged"
    optimum = np.append(COEF, 3.0)[: P + intercept]
    assert_close(result.theta, optimum)


@EVERY
@INTERCEPT
def test_ridge_satisfies_the_normal_equations(name, intercept):
    X, y, w = regression(80, P)
    y = y - X @ np.linalg.lstsq(X, y)[0] + X @ COEF
    objective = objective_of(SquaredError(), X, y, w, intercept=intercept, strength=0.3)
    theta = np.ravel(solution(name, objective).theta)
    assert (theta[:P] > 0.0).all()  # or the constraint of nnls would show
    A = np.column_stack([X, np.ones(len(X))])[:, : P + intercept]
    penalty = 0.3 * w.sum() * np.diag(objective.problem.penalised)
    exact = np.linalg.solve(A.T @ (w[:, None] * A) + penalty, A.T @ (w * y))
    assert_close(theta, exact)


@ITERATIVE
@INTERCEPT
def test_logistic_with_known_optimum(name, intercept):
    X = matrix() - 2.0
    truth = np.append(COEF, -0.5)[: P + intercept]
    A = np.column_stack([X, np.ones(len(X))])[:, : P + intercept]
    # A target that is the model's own mean has its optimum at the model.
    y = Logistic().mean(np, A @ truth)
    result = solution(name, objective_of(Logistic(), X, y, intercept=intercept))
    assert result.status == "converged"
    assert_close(result.theta, truth)


@ITERATIVE
@pytest.mark.parametrize("strength", [0.0, 0.1])
def test_stops_where_the_gradient_is_small(name, strength):
    X = matrix()
    y = (np.random.default_rng(2).random(len(X)) < Logistic().mean(np, X[:, 0])).astype(float)
    objective = objective_of(Logistic(), X, y, strength=strength)
    result = solution(name, objective, tol=1e-8)
    slope = objective.problem.standardized(objective.evaluate(result.theta).gradient)
    assert result.status == "converged"
    assert np.abs(slope).max() <= 1e-8


@EVERY
def test_weights_count_as_repeated_rows(name):
    X, y = least_squares(True)
    w = np.random.default_rng(3).integers(0, 4, size=len(y))
    repeated = np.repeat(np.arange(len(y)), w)
    weighted = solution(name, objective_of(SquaredError(), X, y, w.astype(float)))
    stacked = solution(name, objective_of(SquaredError(), X[repeated], y[repeated]))
    assert_close(weighted.theta, stacked.theta)


@EVERY
def test_one_step_is_at_most_one_pass(name):
    X, y = least_squares(True)
    objective = objective_of(SquaredError(), X, y)
    run, passes = objective._run, []
    objective._run = lambda kernel, state, label: passes.append(label) or run(kernel, state, label)
    result = solution(name, objective)
    assert len(passes) <= len(result.history) and result.n_iter <= len(result.history)


@EVERY
def test_state_can_be_kept_and_taken_up(name):
    X, y = least_squares(True)
    objective = objective_of(SquaredError(), X, y, strength=0.1)
    solver = solver_of(name)
    state = kept = solver.init(np.zeros(P + 1))
    while state.status is None:
        state = solver.step(state, objective)
        kept = pickle.loads(pickle.dumps(solver.step(kept, objective)))
        assert kept.theta.tobytes() == state.theta.tobytes()
    assert kept.status == state.status == "converged"


@ITERATIVE
def test_says_when_it_is_stopped_early(name):
    X, y = least_squares(True)
    objective = objective_of(Logistic(), X, (y > y.mean()).astype(float), strength=1e-3)
    result = solution(name, objective, max_iter=1)
    assert (result.status, result.n_iter) == ("max_iter", 1)


@ITERATIVE
def test_a_far_start_still_converges(name):
    X = matrix() - 2.0
    y = Logistic().mean(np, X @ COEF)
    objective = objective_of(Logistic(), X, y, strength=1e-3)
    far = solution(name, objective, max_iter=500, start=-40.0)
    assert far.status == "converged"
    assert_close(far.theta, solution(name, objective).theta)


def test_needs_are_known():
    known = AllReduce.provides | Columns.provides
    for name in SOLVERS:
        assert registry.find_solver(name).needs <= known
