"""The checks of every backend, on an NVIDIA card."""

import checks
import numpy as np
import pytest

from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.bidirectional import Bidirectional
from daskdsml.layers.conv2d import Conv2D
from daskdsml.layers.dense import Dense
from daskdsml.layers.dropout import Dropout
from daskdsml.layers.flatten import Flatten
from daskdsml.layers.lstm import LSTM
from daskdsml.layers.max_pool2d import MaxPool2D
from daskdsml.neural_network import NeuralClassifier
from daskdsml.utils import registry

pytestmark = pytest.mark.gpu


@pytest.fixture
def backend():
    backend = registry.find("backends", "cupy")()
    if reasons := backend.refuse():
        pytest.skip("; ".join(reasons))
    return backend


@pytest.mark.parametrize("loss", checks.LOSSES, ids=lambda loss: loss.__name__)
def test_gradient(backend, loss):
    checks.check_gradient(backend, loss)


@pytest.mark.parametrize(
    "check",
    [
        checks.check_models,
        checks.check_models_are_each_by_itself,
        checks.check_models_left_out,
        checks.check_moments,
        checks.check_column_sums,
        checks.check_results_are_host_float64,
        checks.check_round_trip,
        checks.check_input_is_left_alone,
    ],
    ids=lambda check: check.__name__,
)
def test_check(backend, check):
    check(backend)


def test_networks_train_alike(backend):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 8, 8)), np.arange(300) % 3
    layers = [Conv2D(4), BatchNorm(activation="relu"), MaxPool2D(), Flatten(), Dense(3)]
    sequence = [Bidirectional(LSTM(6)), Dropout(0.1), Dense(3)]
    for each in (layers, sequence):
        found = [
            NeuralClassifier(each, dtype="float64", backend=name, max_iter=2).fit(X, y).loss_curve_
            for name in ("numpy", "cupy")
        ]
        np.testing.assert_allclose(*found, rtol=1e-9)
