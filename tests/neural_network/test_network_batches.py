"""What mini-batches mean: weights whatever the batch size, batches of one row, schedules' ends."""

import dask.array as da
import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning

from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.conv2d import Conv2D
from daskdsml.layers.dense import Dense
from daskdsml.layers.flatten import Flatten
from daskdsml.neural_network import (
    MLPClassifier,
    MLPRegressor,
    NeuralClassifier,
    NeuralRegressor,
    SequenceTagger,
)
from daskdsml.neural_network.gradient_flow import gradient_flow


@pytest.fixture(scope="module")
def table():
    return make_classification(300, 6, n_informative=4, n_classes=3, random_state=0)


def thetas(model):
    return np.concatenate([a.ravel() for part in model.weights_ for a in part.values()])


def moved(estimator, layers, data, batch_size, **settings):
    """How far steps too small to change the gradient go together, for each step."""
    settings |= {"solver": "gradient_descent", "dtype": "float64", "l2": 0.3, "l1": 0.1}

    def fitted(rate):
        model = estimator(layers, **settings, learning_rate_init=rate, max_iter=1)
        return thetas(model.set_params(batch_size=batch_size).fit(**data))

    n_steps = len(data["X"]) // batch_size
    return (fitted(1e-8) - fitted(1e-30)) / (1e-8 * n_steps)


def steps_of(X, y):
    """Sequences of 4 steps, of which a mask hides more in the rows at the end."""
    mask = np.arange(4) < 4 - np.arange(len(X))[:, None] * 4 // len(X)
    w = np.random.default_rng(1).random((len(X), 4))
    return np.repeat(X[:, None], 4, axis=1) + w[..., None], np.repeat(y[:, None], 4, axis=1), mask


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kind", ["classes", "rows", "numbers", "steps", "weighed steps"])
def test_weights_mean_the_same_in_batches_of_any_size(table, kind, lazy):
    X, y = table
    w, weighed, layers = np.arange(300.0) % 7, {0: 1.0, 1: 20.0, 2: 0.5}, [Dense(3)]
    estimator, data, settings = NeuralClassifier, {"X": X, "y": y}, {}
    if kind == "classes":
        settings = {"class_weight": weighed}
    elif kind == "rows":
        data["sample_weight"] = w
    elif kind == "numbers":
        estimator, layers = NeuralRegressor, [Dense(1)]
        data["sample_weight"] = w
    else:
        estimator, settings = SequenceTagger, {"class_weight": weighed}
        data = dict(zip(("X", "y", "mask"), steps_of(X, y), strict=True))
        if kind == "weighed steps":
            data["sample_weight"] = np.random.default_rng(2).random((300, 4)) * 9.0
    if lazy:
        data = {name: da.from_array(a, chunks=(130, *a.shape[1:])) for name, a in data.items()}
    whole, single = (moved(estimator, layers, data, size, **settings) for size in (300, 1))
    np.testing.assert_allclose(single, whole, rtol=1e-4, atol=1e-4)
    some = moved(estimator, layers, data, 20, **settings)
    np.testing.assert_allclose(some, whole, rtol=1e-4, atol=1e-4)


def test_weights_of_a_stream_mean_what_those_of_a_fit_do(table):
    # Newton's optimum of the weighted mean is that of rows told one by one, in the long run.
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    X, weight = np.zeros((400, 1)), {0: 1.0, 1: 9.0}
    model = NeuralClassifier(
        [Dense(1)], solver="gradient_descent", learning_rate_init=0.02, class_weight=weight
    )
    for i in rng.permutation(np.arange(1200) % 400):
        model.partial_fit(X[i : i + 1], y[i : i + 1], classes=[0, 1])
    expected = np.log(9.0 * np.mean(y) / np.mean(1 - y))
    np.testing.assert_allclose(model.weights_[0]["b"], [expected], atol=0.25)
    assert model.t_ == 1200
    assert model._train_state.weight == np.sum(1.0 + 8.0 * np.tile(y, 3))


def test_a_stream_does_not_care_for_the_unit_of_weights(table):
    X, y = table
    found = []
    for unit in (1.0, 1024.0):
        model = MLPClassifier((4,), solver="sgd", alpha=0.0, dtype="float64", max_iter=2)
        for rows in (slice(0, 100), slice(100, 101), slice(101, 300)):
            w = unit * (1.0 + np.arange(300)[rows] % 3)
            model.partial_fit(X[rows], y[rows], sample_weight=w, classes=[0, 1, 2])
        found.append(thetas(model))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_alpha_counts_weight_as_scikit_learn_has_it(table, solver):
    X, y = table
    w = np.random.default_rng(0).random(300) * 5.0
    settings = {"hidden_layer_sizes": (), "alpha": 30.0, "solver": solver, "tol": None}
    settings |= {"max_iter": 2000, "batch_size": 300, "learning_rate_init": 0.02}
    settings |= {"n_iter_no_change": 100, "random_state": 0}
    mine = MLPRegressor(**settings, dtype="float64").fit(X, y, sample_weight=w)
    # Ridge of weighted rows, of which the intercept is not penalised.
    centred = X - np.average(X, axis=0, weights=w)
    gram = centred.T @ (w[:, None] * centred) + 30.0 * np.eye(6)
    expected = np.linalg.solve(gram, centred.T @ (w * y))
    np.testing.assert_allclose(mine.coefs_[0][:, 0], expected, rtol=1e-4, atol=1e-6)


def test_a_last_batch_of_one_row_joins_the_one_before(table):
    X, y = table
    rows = {size: [] for size in (299, 40)}
    layers = [BatchNorm(), Dense(3)]
    for size, fits in rows.items():
        for n in (size + 1, 2 * size if size == 40 else size):
            model = NeuralClassifier(layers, batch_size=size, max_iter=1, shuffle=False)
            fits.append(model.fit(X[:n], y[:n]).weights_[0]["var"])
    joined = X.var(axis=0) * 0.1 + 0.9
    np.testing.assert_allclose(rows[299][0], joined, rtol=1e-5)
    Xd = da.from_array(X[:281], chunks=(17, 6))
    for data in (X[:281], Xd):
        model = NeuralClassifier(layers, batch_size=40, pool_bytes=1000, max_iter=3)
        model.fit(data, y[:281])
        assert model._train_state.step == 3 * 7
    assert np.isfinite(gradient_flow(model, X[:281], y[:281]).norms).all()


def test_batch_norm_refuses_batches_of_one_row(table):
    X, y = table
    message = "2 entries or more of each feature in a batch, got 1"
    model = NeuralClassifier([BatchNorm(), Dense(3)], batch_size=40, max_iter=1)
    with pytest.raises(ValueError, match=message):
        NeuralClassifier([BatchNorm(), Dense(3)], batch_size=1).fit(X, y)
    before = thetas(model.fit(X, y)).copy()
    with pytest.raises(ValueError, match=message):
        model.partial_fit(X[:1], y[:1])
    np.testing.assert_array_equal(thetas(model), before)
    X, y, mask = steps_of(X, y)
    with pytest.raises(ValueError, match=message):
        SequenceTagger([BatchNorm(), Dense(3)], batch_size=1, max_iter=1).fit(X, y, mask=mask)


def test_batch_norm_takes_one_image_and_skips_what_is_hidden(table):
    X, y = table
    images = [Conv2D(2, 2), BatchNorm(), Flatten(), Dense(3)]
    model = NeuralClassifier(images, batch_size=1, max_iter=1).fit(
        X[:9].reshape(9, 2, 3, 1).repeat(3, axis=3), np.arange(9) % 3
    )
    assert np.isfinite(thetas(model)).all()
    X, y, _ = steps_of(X, y)
    hidden = np.repeat(np.arange(300)[:, None] >= 20, 4, axis=1)
    layers = [BatchNorm(momentum=1.0), Dense(3)]
    fits = [
        SequenceTagger(
            layers, batch_size=20, max_iter=1, shuffle=False, solver="gradient_descent"
        ).fit(X[rows], y[rows], mask=hidden[rows])
        for rows in (slice(40), slice(20, 40))
    ]
    for name in ("mean", "var"):
        np.testing.assert_allclose(*(fit.weights_[0][name] for fit in fits), rtol=1e-6)


def test_the_end_of_a_schedule_is_told(table):
    X, y = table
    model = NeuralClassifier([Dense(3)], learning_rate="cosine", max_iter=3).fit(X, y)
    before = thetas(model).copy()
    with pytest.warns(ConvergenceWarning, match="at 0, after 3 epochs.*raise max_iter"):
        model.partial_fit(X, y)
    np.testing.assert_array_equal(thetas(model), before)
    model.set_params(max_iter=10).partial_fit(X, y)
    assert not np.array_equal(thetas(model), before)


def test_an_adaptive_rate_that_has_come_to_its_end_is_told(table):
    X, y = table
    settings = {"learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1, "max_iter": 50}
    model = NeuralClassifier([Dense(3)], learning_rate_init=0.05, **settings).fit(X, y)
    assert model.converged_
    with pytest.warns(ConvergenceWarning, match="come to its end at .*learning_rate='constant'"):
        model.partial_fit(X, y)
    before = thetas(model).copy()
    model.set_params(learning_rate="constant").partial_fit(X, y)
    assert model.history_[-1].learning_rate == 0.05
    assert np.abs(thetas(model) - before).max() > 0.01


def test_schedules_go_by_the_share_of_a_stream(table):
    X, y = table
    schedule = {"learning_rate": "cosine", "batch_size": 10, "max_iter": 20}
    model, rates = NeuralClassifier([Dense(3)], **schedule), []
    for i in range(20):
        model.partial_fit(X[: 300 if i % 3 else 20], y[: 300 if i % 3 else 20], classes=[0, 1, 2])
        rates.append(model.history_[-1].learning_rate)
    assert (np.diff(rates) < 0.0).all()
    # The last step of an epoch of k steps lies 1 / k of the epoch before its end.
    steps = np.where(np.arange(20) % 3, 30, 2)
    over = (np.arange(1, 21) - 1.0 / steps) / 20
    expected = 0.001 * 0.5 * (1.0 + np.cos(np.pi * over))
    np.testing.assert_allclose(rates, expected, rtol=0.02, atol=2e-6)
    whole = NeuralClassifier([Dense(3)], **schedule).fit(X, y)
    for _ in range(2):
        in_turn = NeuralClassifier([Dense(3)], **schedule)
        for _ in range(20):
            in_turn.partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_array_equal(thetas(in_turn), thetas(whole))


def test_inverse_scaling_counts_the_rows_of_a_stream(table):
    X, y = table
    model = MLPClassifier((), solver="sgd", learning_rate="invscaling", power_t=1.0)
    seen = 0
    for n in (300, 10, 300, 50):
        model.partial_fit(X[:n], y[:n], classes=[0, 1, 2])
        np.testing.assert_allclose(model.history_[-1].learning_rate, 0.001 / (seen + 1.0))
        seen += n
        assert model.t_ == seen
