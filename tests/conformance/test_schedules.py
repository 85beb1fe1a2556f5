"""Every schedule of learning rates: values worked out by hand, bounds, settings out of range."""

import math
import pickle

import numpy as np
import pytest
from sklearn.neural_network import MLPRegressor

from daskdsml.optimizers.schedules.cosine import Cosine
from daskdsml.optimizers.schedules.exponential import Exponential
from daskdsml.optimizers.schedules.invscaling import Invscaling
from daskdsml.optimizers.schedules.step_decay import StepDecay
from daskdsml.utils import registry

EVERY = pytest.mark.parametrize("name", registry.available("optimizers.schedules"))
STEPS = 10  # of an epoch


def factors(schedule, n_epochs=5):
    n = n_epochs * STEPS
    return np.array([schedule.factor(step, step // STEPS, n) for step in range(n)])


@EVERY
def test_factors_are_shares_of_the_learning_rate_and_start_with_all_of_it(name):
    found = factors(registry.find("optimizers.schedules", name)(), n_epochs=30)
    assert found[0] == 1.0
    assert ((found >= 0.0) & (found <= 1.0)).all()
    assert (np.diff(found) <= 0.0).all()


@EVERY
def test_a_schedule_can_be_kept(name):
    schedule = registry.find("optimizers.schedules", name)()
    assert pickle.loads(pickle.dumps(schedule)) == schedule


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        (Invscaling(), 0, 1.0),
        (Invscaling(), 3, 0.5),
        (Invscaling(power_t=1.0), 24, 0.04),
        (Invscaling(power_t=1.0, rows=9), 9, 1.0),
        (Invscaling(power_t=1.0, rows=9), 11, 0.1),
        (Exponential(0.5), 9, 1.0),
        (Exponential(0.5), 31, 0.125),
        (StepDecay(every=2, decay=0.1), 19, 1.0),
        (StepDecay(every=2, decay=0.1), 45, 0.01),
        (Cosine(), 25, 0.5),
        (Cosine(floor=0.2), 25, 0.6),
        (Cosine(), 10, 0.5 + 0.5 * math.cos(math.pi / 5)),
        (Cosine(floor=0.2), 50, 0.2),
        (Cosine(floor=0.2), 1000, 0.2),
        (Cosine(warmup=0.2), 0, 1 / 11),
        (Cosine(warmup=0.2), 9, 10 / 11),
        (Cosine(warmup=0.2), 10, 1.0),
        (Cosine(warmup=0.2), 30, 0.5),
    ],
)
def test_known_values(schedule, step, expected):
    assert schedule.factor(step, step // STEPS, 50) == pytest.approx(expected, rel=1e-14)


def test_a_plan_of_a_single_step():
    assert Cosine(floor=0.1, warmup=0.5).factor(0, 0, 1) == pytest.approx(1 / 1.5)
    assert Cosine(floor=0.1, warmup=0.5).factor(1, 1, 1) == 0.1


def test_rows_are_counted_as_scikit_learn_counts_them():
    # One row with X = 0 of all, so only the intercept learns: its steps are rate * (target - z).
    n, rate, power = 4, 0.1, 0.7
    X, y = np.zeros((n, 1)), np.ones(n)
    model = MLPRegressor(
        hidden_layer_sizes=(), solver="sgd", learning_rate="invscaling", learning_rate_init=rate,
        power_t=power, momentum=0.0, batch_size=n, alpha=0.0, random_state=0,
    )  # fmt: skip
    schedule, before = Invscaling(power, rows=n), None
    for epoch in range(5):
        model.partial_fit(X, y)
        after = model.intercepts_[0][0]
        if epoch:
            step = rate * schedule.factor(epoch, epoch, 5) * (1.0 - before)
            assert after - before == pytest.approx(step, rel=1e-12)
        before = after


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (Invscaling(power_t=-1), "power_t of Invscaling must be a number of at least 0, got -1"),
        (Invscaling(rows=0), "rows of Invscaling must be a number of at least 1, got 0"),
        (Exponential(0.0), "decay of Exponential must be a number above 0 and at most 1, got 0.0"),
        (StepDecay(decay=2.0), "decay of StepDecay must be a number above 0 and at most 1"),
        (StepDecay(every=1.5), "every of StepDecay must be an integer of at least 1, got 1.5"),
        (Cosine(floor=2), "floor of Cosine must be a number of at least 0 and at most 1, got 2"),
        (Cosine(warmup=1), "warmup of Cosine must be a number of at least 0 and below 1, got 1"),
        (Cosine(floor="low"), "floor of Cosine must be a number of at least 0 and at most 1"),
    ],
)
def test_settings_out_of_range(schedule, message):
    with pytest.raises(ValueError, match=message):
        schedule.factor(0, 0, 10)
