"""Every loss: known values, derivatives by differences, and extreme scores."""

import pickle

import numpy as np
import pytest

from daskdsml.losses.logistic import Logistic
from daskdsml.losses.multinomial import Multinomial
from daskdsml.utils import registry

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
    "poisson": [
        (0.0, 0.0, 1.0, 1.0, 1.0),
        (3.0, 0.0, 1.0, -2.0, 1.0),
        (2.0, 1.5, 1.4816890703380647, 2.481689070338065, 4.4816890703380645),
        (0.0, -800.0, 0.0, 0.0, 0.0),
        (1.0, -30.0, 30.000000000000092, -0.9999999999999064, 9.357622968840175e-14),
        (7.0, 20.0, 485165055.4097903, 485165188.4097903, 485165195.4097903),
        (5.0, 800.0, np.inf, np.inf, np.inf),
    ],
    "gamma": [
        (1.0, 0.0, 1.0, 0.0, 1.0),
        (3.0, 0.0, 3.0, -2.0, 3.0),
        (2.5, 1.5, 2.0578254003710748, 0.4421745996289254, 0.5578254003710745),
        (0.5, -20.0, 242582577.70489514, -242582596.70489514, 242582597.70489514),
        (1.0, 30.0, 30.000000000000092, 0.9999999999999064, 9.357622968840175e-14),
        (2.0, 800.0, 800.0, 1.0, 0.0),
        (0.125, -800.0, np.inf, -np.inf, np.inf),
    ],
    "hinge": [
        (1.0, 0.25, 0.75, -1.0, 0.0),
        (0.0, 0.25, 1.25, 1.0, 0.0),
        (1.0, 1.0, 0.0, -1.0, 0.0),  # kinks: the side where the loss is not zero
        (0.0, -1.0, 0.0, 1.0, 0.0),
        (1.0, 1000.0, 0.0, 0.0, 0.0),
        (1.0, -1000.0, 1001.0, -1.0, 0.0),
        (0.25, 3.0, 3.0, 0.75, 0.0),
    ],
    "squared_hinge": [
        (1.0, 0.25, 0.5625, -1.5, 2.0),
        (0.0, 0.25, 1.5625, 2.5, 2.0),
        (1.0, 1.0, 0.0, 0.0, 0.0),
        (1.0, 1000.0, 0.0, 0.0, 0.0),
        (1.0, -1000.0, 1002001.0, -2002.0, 2.0),
        (0.25, 3.0, 12.0, 6.0, 1.5),
    ],
    "modified_huber": [
        (1.0, 0.25, 0.5625, -1.5, 2.0),
        (0.0, 0.25, 1.5625, 2.5, 2.0),
        (1.0, -1.0, 4.0, -4.0, 0.0),
        (1.0, -1000.0, 4000.0, -4.0, 0.0),
        (0.0, 1000.0, 4000.0, 4.0, 0.0),
        (0.25, 3.0, 9.0, 3.0, 0.0),
    ],
    "huber_residual": [
        (2.0, 2.0625, 0.001953125, 0.0625, 1.0),
        (0.0, 0.1, 0.005, 0.1, 1.0),
        (0.0, -3.0, 0.295, -0.1, 0.0),
        (0.0, 1000.0, 99.995, 0.1, 0.0),
    ],
    "epsilon_insensitive": [
        (2.0, 2.0625, 0.0, 0.0, 0.0),
        (0.0, 0.1, 0.0, 0.0, 0.0),
        (0.0, -3.0, 2.9, -1.0, 0.0),
        (1.0, 1000.0, 998.9, 1.0, 0.0),
    ],
    "squared_epsilon_insensitive": [
        (2.0, 2.0625, 0.0, 0.0, 0.0),
        (0.0, 0.1, 0.0, 0.0, 0.0),
        (0.0, -3.0, 8.41, -5.8, 2.0),
        (0.0, 1000.0, 999800.01, 1999.8, 2.0),
    ],
}
# (y, scores, value, probabilities) of three classes, from the formula in 40 digits.
MULTINOMIAL = [
    (0, (0.0, 0.0, 0.0), 1.0986122886681098, (1 / 3, 1 / 3, 1 / 3)),
    (
        2,
        (1.0, 2.0, 3.0),
        0.4076059644443804,
        (0.09003057317038046, 0.24472847105479764, 0.6652409557748219),
    ),
    (
        1,
        (1.0, 2.0, 3.0),
        1.4076059644443804,
        (0.09003057317038046, 0.24472847105479764, 0.6652409557748219),
    ),
    (
        0,
        (40.0, 0.0, -5.0),
        4.276979441097083e-18,
        (1.0, 4.248354255291589e-18, 2.8625185805493937e-20),
    ),
    (1, (1000.0, 0.0, -1000.0), 1000.0, (1.0, 0.0, 0.0)),
    (0, (1000.0, 1000.0, -1000.0), 0.6931471805599453, (0.5, 0.5, 0.0)),
    (2, (-0.25, -0.25, -30.0), 30.443147180560004, (0.5, 0.5, 6.007712865885532e-14)),
]
# Losses whose exponential overflows at extreme scores: infinite there, but never NaN.
UNBOUNDED = {"poisson", "gamma"}


def loss_of(name):
    part = registry.find("losses", name)
    return part(3) if part.coupled else part()


def targets(name, rng, n):
    """Targets in the loss's own domain."""
    if name == "multinomial":
        return rng.integers(0, 3, size=n).astype(float)
    if name == "poisson":
        return rng.poisson(2.0, size=n).astype(float)
    if name == "gamma":
        return rng.gamma(2.0, size=n) + 0.01
    if name in ("logistic", "hinge", "squared_hinge", "modified_huber"):
        return rng.random(n)
    return rng.normal(size=n)


def scores(name, dtype=float):
    """Targets of the loss, and scores of every size up to 1000."""
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(size=50), [0.0, 1e-300, 30.0, -30.0, 700.0, 1e3, -1e3]])
    y = targets(name, rng, z.size)
    if loss_of(name).coupled:
        z = np.stack([z, rng.permutation(z), rng.permutation(z)], axis=1)
    return y.astype(dtype), z.astype(dtype)


def everything(loss, xp, y, z):
    """Value, first and second derivative, and mean, without NumPy's word on an overflow."""
    with np.errstate(over="ignore"):
        parts = [*loss.value_and_derivative(xp, y, z), loss.second_derivative(xp, y, z)]
        return [*parts, loss.mean(xp, z)]


def shapes_of(loss, leading):
    outputs = (3,) if loss.coupled else ()
    return [leading, leading + outputs, leading + 2 * outputs, leading + outputs]


def test_every_loss_has_known_values():
    assert {*KNOWN, "multinomial"} == set(registry.available("losses"))


@pytest.mark.parametrize("name", KNOWN)
def test_known_values(name):
    y, z, *known = np.array(KNOWN[name]).T
    found = everything(loss_of(name), np, y, z)[:3]
    for part, exact in zip(found, known, strict=True):
        np.testing.assert_allclose(part, exact, rtol=1e-14)


def test_known_values_of_classes():
    y, z, value, share = (np.array(column, float) for column in zip(*MULTINOMIAL, strict=True))
    found = everything(loss_of("multinomial"), np, y, z)
    np.testing.assert_allclose(found[0], value, rtol=1e-14)
    np.testing.assert_allclose(found[1], share - np.eye(3)[y.astype(int)], atol=1e-13)
    curvature = np.einsum("ik,kl->ikl", share, np.eye(3)) - np.einsum("ik,il->ikl", share, share)
    np.testing.assert_allclose(found[2], curvature, atol=1e-13)
    np.testing.assert_allclose(found[3], share, rtol=1e-12)


@EVERY
def test_derivatives_are_those_of_the_value(name):
    """Along random directions in the scores, by central differences."""
    loss, h = loss_of(name), 1e-5
    rng = np.random.default_rng(1)
    shape = (100, 3) if loss.coupled else (100,)
    y, z, direction = targets(name, rng, 100), rng.normal(size=shape), rng.normal(size=shape)
    ends = [loss.value_and_derivative(np, y, z + s * h * direction) for s in (1, -1)]
    differences = [(a - b) / (2 * h) for a, b in zip(*ends, strict=True)]
    first, second = loss.value_and_derivative(np, y, z)[1], loss.second_derivative(np, y, z)
    if loss.coupled:
        slopes = [(first * direction).sum(-1), (second @ direction[..., None])[..., 0]]
    else:
        slopes = [first * direction, second * direction]
    for difference, slope in zip(differences, slopes, strict=True):
        np.testing.assert_allclose(difference, slope, rtol=1e-7, atol=1e-8)


@EVERY
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_keeps_shape_and_precision_at_extreme_scores(name, dtype):
    loss = loss_of(name)
    y, z = scores(name, dtype)
    parts = everything(loss, np, y, z)
    assert [part.shape for part in parts] == shapes_of(loss, y.shape)
    for part in parts:
        assert part.dtype == dtype
        assert not np.isnan(part).any() if name in UNBOUNDED else np.isfinite(part).all()


@EVERY
def test_is_convex_and_least_at_its_mean(name):
    loss = loss_of(name)
    y, z = scores(name)
    z = np.clip(z, -30.0, 30.0)
    curvature = loss.second_derivative(np, y, z)
    if loss.coupled:
        assert (np.linalg.eigvalsh(curvature) >= -1e-15).all()
        np.testing.assert_array_equal(curvature, np.swapaxes(curvature, -1, -2))
        every_class = np.broadcast_to(np.arange(3.0), z.shape)
        _, slope = loss.value_and_derivative(np, every_class, z[:, None, :])
        expected = np.einsum("ik,ikl->il", loss.mean(np, z), slope)
        np.testing.assert_allclose(expected, 0.0, atol=1e-15)
        return
    assert (curvature >= 0.0).all()
    z = np.linspace(-5.0, 5.0, 11)
    _, derivative = loss.value_and_derivative(np, loss.mean(np, z), z)
    np.testing.assert_allclose(derivative, 0.0, atol=1e-13)


@EVERY
def test_no_rows(name):
    loss = loss_of(name)
    z = np.empty((0, 3) if loss.coupled else 0)
    parts = everything(loss, np, np.empty(0), z)
    assert [part.shape for part in parts] == shapes_of(loss, (0,))


@EVERY
def test_leading_axes(name):
    """Many models at once, (rows, models), are each model by itself."""
    loss = loss_of(name)
    y, z = scores(name)
    models = np.stack([z, -z[::-1]], axis=1)
    together = everything(loss, np, y[:, None], models)
    assert [part.shape for part in together] == shapes_of(loss, (y.size, 2))
    for m in range(2):
        for part, alone in zip(together, everything(loss, np, y, models[:, m]), strict=True):
            np.testing.assert_allclose(part[:, m], alone, rtol=1e-14)


@EVERY
def test_needs_nothing_but_the_array_api(name):
    strict = pytest.importorskip("array_api_strict")
    loss = loss_of(name)
    y, z = scores(name)
    expected = everything(loss, np, y, z)
    # A device of its own: there, NumPy's functions raise.
    y, z = (strict.asarray(a, device=strict.Device("device1")) for a in (y, z))
    for exact, found in zip(expected, everything(loss, strict, y, z), strict=True):
        found = np.asarray(found.to_device(strict.Device("CPU_DEVICE")))
        np.testing.assert_allclose(found, exact, rtol=1e-15)


@EVERY
def test_survives_pickling(name):
    assert pickle.loads(pickle.dumps(loss_of(name))) == loss_of(name)


def test_probabilities_of_opposite_scores_add_up_to_one():
    z = np.linspace(-1000, 1000, 401)
    total = Logistic().mean(np, z) + Logistic().mean(np, -z)
    np.testing.assert_allclose(total, 1.0, rtol=1e-15)


def test_two_classes_are_the_logistic_loss():
    z = np.linspace(-50, 50, 401)
    y = (np.arange(401) % 2).astype(float)
    two = Multinomial(2)
    value, slope = two.value_and_derivative(np, y, np.stack([np.zeros_like(z), z], axis=1))
    expected = Logistic().value_and_derivative(np, y, z)
    # The logarithm of a sum of powers is rounded as the largest score is, 50.
    np.testing.assert_allclose(value, expected[0], rtol=1e-14, atol=4e-14)
    np.testing.assert_allclose(slope, np.stack([-expected[1], expected[1]], axis=1), atol=1e-15)


def test_a_common_shift_of_all_scores_changes_nothing():
    y, z = scores("multinomial")
    pairs = zip(
        everything(loss_of("multinomial"), np, y, np.round(z)),
        everything(loss_of("multinomial"), np, y, np.round(z) + 64.0),
        strict=True,
    )
    for part, shifted in pairs:
        np.testing.assert_array_equal(part, shifted)


@pytest.mark.parametrize(
    ("name", "taken"), [("poisson", [False, True, True]), ("gamma", [False, False, True])]
)
def test_a_loss_says_which_targets_it_takes(name, taken):
    loss = registry.find("losses", name)()
    assert loss.takes(np.array([-1.0, 0.0, 0.5])).tolist() == taken
    assert not loss.takes(np.nan)
