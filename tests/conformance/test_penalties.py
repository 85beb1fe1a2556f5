"""Every penalty: derivatives by differences, its factors, parameters without a penalty."""

import pickle

import numpy as np
import pytest

from daskdsml.utils import registry

FAMILY = "losses.penalties"
EVERY = pytest.mark.parametrize("name", registry.available(FAMILY))
THETA = np.array([1.5, -0.7, 0.3, 2.0])
# The last parameter, as an intercept, is not penalised.
SCALE = np.array([1.0, 1.0, 0.5, 0.0])


def penalty_of(name, strength=0.8):
    return registry.find(FAMILY, name)(strength)


@EVERY
def test_no_strength_is_no_penalty(name):
    penalty = penalty_of(name, 0.0)
    assert not penalty.gradient(THETA, SCALE).any()
    assert penalty.value(THETA, SCALE) == 0.0


@EVERY
def test_some_parameters_are_not_penalised(name):
    penalty, moved = penalty_of(name), THETA + [0, 0, 0, 100]
    assert penalty.value(moved, SCALE) == penalty.value(THETA, SCALE) > 0.0
    assert penalty.gradient(moved, SCALE)[-1] == 0.0


@EVERY
def test_the_gradient_is_that_of_the_value(name):
    penalty, h = penalty_of(name), 1e-5
    direction = np.random.default_rng(1).normal(size=THETA.size)
    ahead, behind = THETA + h * direction, THETA - h * direction
    slope = (penalty.value(ahead, SCALE) - penalty.value(behind, SCALE)) / (2 * h)
    assert slope == pytest.approx(penalty.gradient(THETA, SCALE) @ direction, rel=1e-8)


@EVERY
def test_factors_are_those_of_the_value(name):
    penalty = penalty_of(name)
    sizes = penalty.l1 * np.abs(THETA) + 0.5 * penalty.l2 * THETA**2
    assert penalty.value(THETA, SCALE) == pytest.approx(SCALE @ sizes, rel=1e-14)


@EVERY
def test_survives_pickling(name):
    assert pickle.loads(pickle.dumps(penalty_of(name))) == penalty_of(name)


def test_l2_is_half_the_squared_norm():
    penalty = penalty_of("l2", 2.0)
    assert penalty.value(np.array([3.0, 4.0]), np.ones(2)) == 25.0
    np.testing.assert_array_equal(penalty.gradient(np.array([3.0, 4.0]), np.ones(2)), [6.0, 8.0])
