"""Fits of all estimators at once, from several threads of one process, are as each alone."""

import inspect
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import BaseEstimator, is_classifier
from tables import dask_rows

import daskdsml.linear_model
import daskdsml.neural_network

N_THREADS, N_TIMES = 8, 2
rng = np.random.default_rng(0)
X = rng.normal(size=(240, 4))
Y = X[:, 0] + rng.normal(size=240)
SETTINGS = {
    "CNNClassifier": None, "RNNClassifier": None, "SequenceTagger": None,  # images, sequences
    "NeuralClassifier": None, "NeuralRegressor": None,  # layers must be told: the MLPs have theirs
    "MLPClassifier": {"hidden_layer_sizes": (3,), "max_iter": 3},
    "MLPRegressor": {"hidden_layer_sizes": (3,), "max_iter": 3},
    "SGDClassifier": {"max_iter": 3}, "SGDRegressor": {"max_iter": 3},
}  # fmt: skip


def estimators():
    """An estimator of each class that fits a table."""
    for module in (daskdsml.linear_model, daskdsml.neural_network):
        for name in module.__all__:
            kind = getattr(module, name)
            settings = SETTINGS.get(name, {})
            if inspect.isclass(kind) and issubclass(kind, BaseEstimator) and settings is not None:
                seed = {"random_state": 0} if "random_state" in kind().get_params() else {}
                yield kind(**settings, **seed)


MODELS = list(estimators())


def fitted(job):
    """Numbers of a fit and its predictions."""
    model, lazy = job
    y = np.abs(Y) + 0.1
    y = (Y > 0).astype(int) if is_classifier(model) else y
    X_, y_ = (dask_rows(X, 5), dask_rows(y, 5)) if lazy else (X, y)
    model = type(model)(**model.get_params()).fit(X_, y_)
    return np.asarray(model.predict(X_))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("lazy", [False, True])
def test_all_estimators_at_once(lazy):
    assert len(MODELS) > 12
    with warnings.catch_warnings():  # around all threads, for it is the process's
        warnings.simplefilter("ignore")
        alone = [fitted((model, lazy)) for model in MODELS]
        with ThreadPoolExecutor(N_THREADS) as threads:
            found = list(threads.map(fitted, [(model, lazy) for model in MODELS] * N_TIMES))
    for k, predictions in enumerate(found):
        model = MODELS[k % len(MODELS)]
        np.testing.assert_array_equal(predictions, alone[k % len(MODELS)], str(model))
