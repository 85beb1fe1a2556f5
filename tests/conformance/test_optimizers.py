"""Every optimizer: its equations, minima, states that can be kept, kernels alike."""

import pickle

import numpy as np
import pytest

from daskdsml.backends._layers.array import ArrayKernels
from daskdsml.backends._layers.compiled import CompiledKernels
from daskdsml.optimizers.adagrad import Adagrad
from daskdsml.optimizers.adam import Adam
from daskdsml.optimizers.adamw import AdamW
from daskdsml.optimizers.gradient_descent import GradientDescent
from daskdsml.optimizers.lion import Lion
from daskdsml.optimizers.momentum import Momentum
from daskdsml.optimizers.nesterov import Nesterov
from daskdsml.optimizers.rmsprop import RMSProp
from daskdsml.utils import registry

NAMES = registry.available("optimizers")
EVERY = pytest.mark.parametrize("name", NAMES)
KERNELS = {"arrays": ArrayKernels(np), "compiled": CompiledKernels()}
BOTH = pytest.mark.parametrize("kernels", KERNELS.values(), ids=KERNELS)
PRECISIONS = pytest.mark.parametrize(("dtype", "error"), [("float64", 1e-12), ("float32", 1e-5)])
# Solvers, and how many steps they need to the minimum of a quadratic and of Rosenbrock's function.
TABLE = [
    (GradientDescent(0.1), 400, GradientDescent(0.002), 20_000),
    (Momentum(0.1, 0.8), 200, Momentum(0.001, 0.9), 5_000),
    (Nesterov(0.1, 0.8), 200, Nesterov(0.001, 0.9), 5_000),
    (RMSProp(0.1, 0.9), 2_000, RMSProp(0.02, 0.99), 20_000),
    (Adagrad(1.0), 2_000, Adagrad(0.5), 40_000),
    (Adam(0.1), 2_000, Adam(0.02), 10_000),
    (AdamW(0.1, weight_decay=0.0), 2_000, AdamW(0.02, weight_decay=0.0), 10_000),
    (Lion(0.02), 2_000, Lion(0.002), 20_000),
]


def quadratic(theta):
    return np.array([1.0, 5.0]) * (theta - 1.0)


def rosenbrock(theta):
    x, y = theta
    return np.array([2.0 * (x - 1.0) - 400.0 * x * (y - x * x), 200.0 * (y - x * x)])


# The equations once more, for one parameter at a time: gradients to positions.
def plain(solver, theta, gradients):
    path = []
    for g in gradients:
        theta -= solver.learning_rate * g
        path.append(theta)
    return path


def heavy_ball(solver, theta, gradients, ahead=False):
    u, path = 0.0, []
    for g in gradients:
        u = solver.momentum * u + g
        theta -= solver.learning_rate * (g + solver.momentum * u if ahead else u)
        path.append(theta)
    return path


def by_mean_square(solver, theta, gradients):
    path = []
    for t, g in enumerate(gradients, 1):
        # The mean as a sum over all gradients so far, which no recursion is needed for.
        ages = t - 1 - np.arange(t)
        square = np.sum((1.0 - solver.decay) * solver.decay**ages * np.square(gradients[:t]))
        theta -= solver.learning_rate * g / (np.sqrt(square) + solver.epsilon)
        path.append(theta)
    return path


def by_total_square(solver, theta, gradients):
    path = []
    for t, g in enumerate(gradients, 1):
        root = np.sqrt(np.sum(np.square(gradients[:t])))
        theta -= solver.learning_rate * g / (root + solver.epsilon)
        path.append(theta)
    return path


def by_moments(solver, theta, gradients):
    path = []
    for t in range(1, len(gradients) + 1):
        ages = t - 1 - np.arange(t)
        # Weights of the corrected means: they sum to one.
        first, second = solver.beta_1**ages, solver.beta_2**ages
        mean = np.average(gradients[:t], weights=first)
        square = np.average(np.square(gradients[:t]), weights=second)
        theta -= solver.learning_rate * mean / (np.sqrt(square) + solver.epsilon)
        path.append(theta)
    return path


def decayed(solver, theta, gradients):
    """Adam's steps, each from parameters that were shrunk before it."""
    alone, path = by_moments(solver, 0.0, gradients), []
    for step in np.diff([0.0, *alone]):
        theta += step - solver.learning_rate * solver.weight_decay * theta
        path.append(theta)
    return path


def by_sign(solver, theta, gradients):
    path = []
    for t, g in enumerate(gradients):
        ages = t - 1 - np.arange(t)
        mean = np.sum((1.0 - solver.beta_2) * solver.beta_2**ages * np.array(gradients[:t]))
        step = np.sign(solver.beta_1 * mean + (1.0 - solver.beta_1) * g)
        theta -= solver.learning_rate * (step + solver.weight_decay * theta)
        path.append(theta)
    return path


EQUATIONS = [
    (GradientDescent(0.3), plain),
    (Momentum(0.3, 0.7), heavy_ball),
    (Nesterov(0.3, 0.7), lambda *given: heavy_ball(*given, ahead=True)),
    (RMSProp(0.05, 0.8, 1e-3), by_mean_square),
    (Adagrad(0.2, 1e-3), by_total_square),
    (Adam(0.05, 0.8, 0.95, 1e-3), by_moments),
    (AdamW(0.05, 0.8, 0.95, 1e-3, 0.3), decayed),
    (Lion(0.05, 0.8, 0.95, 0.3), by_sign),
]


def drawn(d=37, steps=8, dtype="float64"):
    """Parameters (d,) and gradients (steps, d), some of them zero."""
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(steps, d))
    gradients[:, :2] = gradients[0, 2:5] = 0.0
    return rng.normal(size=d).astype(dtype), gradients.astype(dtype)


def walked(solver, kernels, theta, gradients, factor=1.0):
    """All states' parameters, (steps, d)."""
    state, path = solver.init(theta.copy()), []
    for gradient in gradients:
        state = solver.update(kernels, state, gradient, factor)
        path.append(state.theta.copy())
    return np.array(path)


def test_the_tables_hold_every_solver():
    parts = {registry.find("optimizers", name) for name in NAMES}
    assert parts == {type(row[0]) for row in TABLE} == {type(row[0]) for row in EQUATIONS}


@BOTH
@pytest.mark.parametrize(("solver", "equations"), EQUATIONS)
def test_steps_are_those_of_the_equations(solver, equations, kernels):
    theta, gradients = drawn()
    expected = [equations(solver, theta[j], gradients[:, j]) for j in range(len(theta))]
    found = walked(solver, kernels, theta, gradients)
    np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: type(row[0]).__name__)
@pytest.mark.parametrize("problem", ["quadratic", "rosenbrock"])
def test_finds_minima(row, problem):
    solver, steps = row[:2] if problem == "quadratic" else row[2:]
    slope = quadratic if problem == "quadratic" else rosenbrock
    state = solver.init(np.array([-1.0, 2.0]))
    for step in range(steps):
        factor = 1.0 - step / steps  # steps of one length would go round the minimum for ever
        state = solver.update(KERNELS["compiled"], state, slope(state.theta), factor)
    np.testing.assert_allclose(state.theta, 1.0, atol=1e-3)


@PRECISIONS
@EVERY
def test_compiled_and_plain_steps_are_the_same(name, dtype, error):
    solver = registry.find("optimizers", name)()
    theta, gradients = drawn(d=1003, dtype=dtype)
    paths = [walked(solver, kernels, theta, gradients, 0.7) for kernels in KERNELS.values()]
    np.testing.assert_allclose(*paths, rtol=error, atol=error)


@BOTH
@EVERY
def test_keeps_the_precision_and_the_array_of_the_parameters(name, kernels):
    solver = registry.find("optimizers", name)()
    theta, gradients = drawn(dtype="float32")
    state, kept = solver.init(theta), gradients[0].copy()
    after = solver.update(kernels, state, gradients[0])
    assert after.theta is theta
    assert all(array.dtype == "float32" for array in after if isinstance(array, np.ndarray))
    assert (gradients[0] == kept).all()


@EVERY
def test_a_factor_is_one_of_the_learning_rate(name):
    part = registry.find("optimizers", name)
    theta, gradients = drawn()
    kernels = KERNELS["compiled"]
    half = walked(part(learning_rate=0.05), kernels, theta, gradients)
    assert (walked(part(learning_rate=0.1), kernels, theta, gradients, 0.5) == half).all()


@EVERY
def test_a_state_can_be_kept_and_taken_up(name):
    solver = registry.find("optimizers", name)()
    theta, gradients = drawn(dtype="float32")
    whole, kept = solver.init(theta.copy()), solver.init(theta.copy())
    for gradient in gradients:
        whole = solver.update(KERNELS["compiled"], whole, gradient)
        kept = pickle.loads(pickle.dumps(solver.update(KERNELS["compiled"], kept, gradient)))
    assert pickle.dumps(kept) == pickle.dumps(pickle.loads(pickle.dumps(whole)))


@EVERY
def test_a_state_is_arrays_and_numbers(name):
    solver = registry.find("optimizers", name)()
    theta, _ = drawn()
    state = solver.init(theta)
    assert state._fields[0] == "theta"
    for entry in state:
        assert isinstance(entry, int | float) or entry.shape == theta.shape


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [0.0, -1.0, np.inf, np.nan, "fast", None, True])
def test_a_learning_rate_that_is_none(name, rate):
    part = registry.find("optimizers", name)
    with pytest.raises(ValueError, match=f"learning_rate of {part.__name__} must be a number abov"):
        part(learning_rate=rate).init(np.zeros(1))


@pytest.mark.parametrize(
    ("solver", "message"),
    [
        (
            Momentum(momentum=1.1),
            "momentum of Momentum must be .* at least 0 and at most 1, got 1.1",
        ),
        (Nesterov(momentum=-0.1), "momentum of Nesterov must be .* at least 0 and at most 1"),
        (RMSProp(decay=1.0), "decay of RMSProp must be .* at least 0 and below 1"),
        (RMSProp(epsilon=0.0), "epsilon of RMSProp must be .* above 0"),
        (Adagrad(epsilon=-1.0), "epsilon of Adagrad must be .* above 0"),
        (Adam(beta_1=1.0), "beta_1 of Adam must be .* at least 0 and below 1"),
        (Adam(beta_2=np.nan), "beta_2 of Adam must be .* at least 0 and below 1"),
        (Adam(epsilon=0.0), "epsilon of Adam must be .* above 0"),
        (AdamW(weight_decay=-1.0), "weight_decay of AdamW must be .* at least 0"),
        (Lion(beta_2=1.0), "beta_2 of Lion must be .* at least 0 and below 1"),
    ],
)
def test_settings_out_of_range(solver, message):
    with pytest.raises(ValueError, match=message):
        solver.init(np.zeros(1))


@BOTH
@PRECISIONS
@pytest.mark.parametrize(("l1", "penalty"), [(0.1, 0.1 * 2.5 + 0.15 * 4.25), (0.0, 0.15 * 4.25)])
def test_gradients_are_scaled_and_penalised(kernels, dtype, error, l1, penalty):
    theta = np.array([-2.0, 0.0, 0.5, 3.0], dtype)
    gradient, scale = np.full(4, 2.0, dtype), np.array([1.0, 1.0, 1.0, 0.0], dtype)
    value, norm = kernels.complete(gradient, theta, scale, 0.5, l1, 0.3)
    assert value == pytest.approx(penalty, rel=1e-15)
    expected = [1.0 - l1 - 0.6, 1.0, 1.0 + l1 + 0.15, 1.0]
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient, expected, rtol=error)
    assert norm == pytest.approx(np.sum(np.square(expected)), rel=error)


@BOTH
@PRECISIONS
def test_gradients_are_measured_and_clipped(kernels, dtype, error):
    gradient = drawn(d=1003, dtype=dtype)[1][3]
    given, theta, scale = gradient.copy(), np.ones_like(gradient), np.ones_like(gradient)
    penalty, norm = kernels.complete(gradient, theta, scale, 1.0, 0.0, 0.0)
    assert penalty == 0.0
    np.testing.assert_array_equal(gradient, given)
    expected = np.sum(np.square(gradient, dtype=np.longdouble))
    assert norm == pytest.approx(float(expected), rel=1e-13)
    kernels.scale(gradient, 0.3)
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient, 0.3 * given, rtol=error)


def squares(kernels, gradient):
    d = np.ones_like(gradient)
    return kernels.complete(gradient, d, d, 1.0, 0.0, 0.0)[1]


@BOTH
@pytest.mark.parametrize("fault", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_norm_tells_of_faults(kernels, fault, dtype):
    gradient = np.ones(1003, dtype)
    gradient[700] = fault
    assert not np.isfinite(squares(kernels, gradient))


@BOTH
def test_the_norm_of_float32_does_not_overflow(kernels):
    assert squares(kernels, np.full(4, 1e30, "float32")) == pytest.approx(4e60, rel=1e-6)


@BOTH
def test_sums_that_overflow_are_infinite(kernels):
    theta = np.full(4, 1e200)
    assert squares(kernels, theta) == np.inf
    assert kernels.complete(np.zeros(4), theta, np.ones(4), 1.0, 0.0, 1.0) == (np.inf, np.inf)
