"""Every loss: known values, derivatives by differences, and extreme scores."""

import pickle

import numpy as np
import pytest

from daskdsml import registry
from daskdsml.losses.logistic import Logistic

EVERY = pytest.mark.parametrize("name", registry.available("losses"))
# (y, z, value, first derivative, second derivative), from the formula in 40 digits.
KNOWN = {
    "logistic": [
        (0.0, 0.0, 0.6931471805599453, 0.5, 0.25),
        (1.0, 0.0, 0.6931471805599453, -0.5, 0.25),
        (1.0, 2.0, 0.1269280110429725, -0.11920292202211756, 0.10499358540350652),
        (0.0, -30.0, 9.357622968839737e-14, 9.357622968839299e-14, 9.357622968838423e-14),
        (0.0, 1000.0, 1000.0, 1.0, 0.0),
        (1.0, 1000.0, 0.0, 0.0, 0.0),
        (1.0, -1000.0, 1000.0, -1.0, 0.0),
        (0.25, 1.0, 1.0632616875182228, 0.4810585786300049, 0.19661193324148185),
    ],
    "squared_error": [
        (0.0, 0.0, 0.0, 0.0, 1.0),
        (1.0, 3.0, 2.0, 2.0, 1.0),
        (-2.0, -5.0, 4.5, -3.0, 1.0),
        (0.0, 1000.0, 500000.0, 1000.0, 1.0),
    ],
}


def loss_of(name):
    return registry.find("losses", name)()


def scores(dtype=float):
    """Targets within [0, 1] and scores of every size up to 1000."""
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(size=50), [0.0, 1e-300, 30.0, -30.0, 700.0, 1e3, -1e3]])
    return rng.integers(0, 2, size=z.size).astype(dtype), z.astype(dtype)


@EVERY
def test_known_values(name):
    y, z, value, first, second = np.array(KNOWN[name]).T
    found, derivative = loss_of(name).value_and_derivative(np, y, z)
    np.testing.assert_allclose(found, value, rtol=1e-14)
    np.testing.assert_allclose(derivative, first, rtol=1e-14)
    np.testing.assert_allclose(loss_of(name).second_derivative(np, y, z), second, rtol=1e-14)


@EVERY
def test_derivatives_are_those_of_the_value(name):
    loss, h = loss_of(name), 1e-5
    rng = np.random.default_rng(1)
    y, z, direction = rng.random(100), 3 * rng.normal(size=100), rng.normal(size=100)
    ends = [loss.value_and_derivative(np, y, z + s * h * direction) for s in (1, -1)]
    _, first = loss.value_and_derivative(np, y, z)
    second = loss.second_derivative(np, y, z)
    differences = [(a - b) / (2 * h) for a, b in zip(*ends, strict=True)]
    np.testing.assert_allclose(differences[0], first * direction, atol=1e-8)
    np.testing.assert_allclose(differences[1], second * direction, atol=1e-8)


@EVERY
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_finite_and_of_the_same_precision_at_extreme_scores(name, dtype):
    loss = loss_of(name)
    y, z = scores(dtype)
    parts = [*loss.value_and_derivative(np, y, z), loss.second_derivative(np, y, z)]
    for part in [*parts, loss.mean(np, z)]:
        assert part.shape == z.shape
        assert part.dtype == dtype
        assert np.isfinite(part).all()


@EVERY
def test_is_convex_and_least_at_its_mean(name):
    loss = loss_of(name)
    y, z = scores()
    assert (loss.second_derivative(np, y, z) >= 0.0).all()
    z = np.linspace(-5.0, 5.0, 11)
    _, derivative = loss.value_and_derivative(np, loss.mean(np, z), z)
    np.testing.assert_allclose(derivative, 0.0, atol=1e-15)


@EVERY
def test_no_rows(name):
    empty = np.empty(0)
    loss = loss_of(name)
    parts = [*loss.value_and_derivative(np, empty, empty), loss.second_derivative(np, empty, empty)]
    assert [part.shape for part in [*parts, loss.mean(np, empty)]] == [(0,)] * 4


@EVERY
def test_needs_nothing_but_the_array_api(name):
    strict = pytest.importorskip("array_api_strict")
    loss = loss_of(name)
    y, z = scores()
    expected = _all_of(loss, np, y, z)
    # A device of its own: there, NumPy's functions raise.
    y, z = (strict.asarray(a, device=strict.Device("device1")) for a in (y, z))
    for exact, found in zip(expected, _all_of(loss, strict, y, z), strict=True):
        found = np.asarray(found.to_device(strict.Device("CPU_DEVICE")))
        np.testing.assert_allclose(found, exact, rtol=1e-15)


def _all_of(loss, xp, y, z):
    parts = [*loss.value_and_derivative(xp, y, z), loss.second_derivative(xp, y, z)]
    return [*parts, loss.mean(xp, z)]


@EVERY
def test_survives_pickling(name):
    assert pickle.loads(pickle.dumps(loss_of(name))) == loss_of(name)


def test_probabilities_of_opposite_scores_add_up_to_one():
    z = np.linspace(-1000, 1000, 401)
    total = Logistic().mean(np, z) + Logistic().mean(np, -z)
    np.testing.assert_allclose(total, 1.0, rtol=1e-15)
