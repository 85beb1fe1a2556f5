"""Every penalty: derivatives by differences, proximal steps by brute force, free parameters."""

import pickle

import numpy as np
import pytest

from daskdsml.utils import registry

FAMILY = "losses.penalties"
EVERY = pytest.mark.parametrize("name", registry.available(FAMILY))
SMOOTH = pytest.mark.parametrize(
    "name",
    [n for n in registry.available(FAMILY) if registry.find(FAMILY, n).smooth],
)
THETA = np.array([1.5, -0.7, 0.3, 2.0])
# The last parameter, as an intercept, goes free.
SCALE = np.array([1.0, 1.0, 0.5, 0.0])


def penalty_of(name, strength=0.8):
    return registry.find(FAMILY, name)(strength)


@EVERY
def test_prox_beats_random_points(name):
    penalty = penalty_of(name)

    def objective(u):
        return penalty.value(u, SCALE) + 0.5 * np.sum((u - THETA) ** 2)

    best = penalty.prox(THETA, SCALE)
    rng = np.random.default_rng(0)
    for size in (1e-3, 1.0):
        for _ in range(200):
            assert objective(best) < objective(best + size * rng.normal(size=THETA.size))


@EVERY
def test_no_strength_is_no_penalty(name):
    penalty = penalty_of(name, 0.0)
    np.testing.assert_array_equal(penalty.prox(THETA, SCALE), THETA)
    assert penalty.value(THETA, SCALE) == 0.0


@EVERY
def test_free_parameters_are_left_alone(name):
    penalty, moved = penalty_of(name), THETA + [0, 0, 0, 100]
    assert penalty.value(moved, SCALE) == penalty.value(THETA, SCALE) > 0.0
    assert penalty.prox(moved, SCALE)[-1] == moved[-1]
    assert penalty.gradient(moved, SCALE)[-1] == penalty.curvature(moved, SCALE)[-1] == 0.0


@SMOOTH
def test_derivatives_are_those_of_the_value(name):
    penalty, h = penalty_of(name), 1e-5
    direction = np.random.default_rng(1).normal(size=THETA.size)
    ahead, behind = THETA + h * direction, THETA - h * direction
    slope = (penalty.value(ahead, SCALE) - penalty.value(behind, SCALE)) / (2 * h)
    change = (penalty.gradient(ahead, SCALE) - penalty.gradient(behind, SCALE)) / (2 * h)
    assert slope == pytest.approx(penalty.gradient(THETA, SCALE) @ direction, rel=1e-8)
    np.testing.assert_allclose(change, penalty.curvature(THETA, SCALE) * direction, atol=1e-9)


@EVERY
def test_survives_pickling(name):
    assert pickle.loads(pickle.dumps(penalty_of(name))) == penalty_of(name)


def test_l2_is_half_the_squared_norm():
    penalty = penalty_of("l2", 2.0)
    assert penalty.value(np.array([3.0, 4.0]), np.ones(2)) == 25.0
    np.testing.assert_array_equal(penalty.gradient(np.array([3.0, 4.0]), np.ones(2)), [6.0, 8.0])
