"""Neural estimators: training, stopping, weights, labels, masks, predictions, and bad input."""

import pickle
import warnings
from typing import NamedTuple

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score

from daskdsml.layers.activation import Activation
from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.bidirectional import Bidirectional
from daskdsml.layers.conv1d import Conv1D
from daskdsml.layers.conv2d import Conv2D
from daskdsml.layers.dense import Dense
from daskdsml.layers.dropout import Dropout
from daskdsml.layers.embedding import Embedding
from daskdsml.layers.flatten import Flatten
from daskdsml.layers.gru import GRU
from daskdsml.neural_network import (
    CNNClassifier,
    MLPClassifier,
    MLPRegressor,
    NeuralClassifier,
    NeuralRegressor,
    RNNClassifier,
    SequenceTagger,
    WindowedSequences,
)
from daskdsml.neural_network._model import COMPILE_FROM, backend_name, find_backend
from daskdsml.neural_network._training import Epoch, TrainingBar
from daskdsml.neural_network.network import Network
from daskdsml.optimizers.adam import Adam


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16.0, y


@pytest.fixture(scope="module")
def blobs():
    return make_classification(300, 6, n_informative=4, n_classes=3, random_state=0)


def small(layers=None, **settings):
    """A quick classifier of three classes."""
    layers = [Dense(16, "relu"), Dense(3)] if layers is None else layers
    settings = {"max_iter": 10, "batch_size": 32, "learning_rate_init": 0.01} | settings
    return NeuralClassifier(layers, **settings)


def thetas(model):
    return np.concatenate([a.ravel() for part in model.weights_ for a in part.values()])


def sequences(n=160, T=9, seed=0):
    """Sequences (n, T, 2) with a label for each step: whether the running sum is positive."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, T, 2)).astype(np.float32)
    mask = np.arange(T) < rng.integers(1, T + 1, size=n)[:, None]
    return X, np.where(np.cumsum(X[..., 0], axis=1) > 0, "up", "down"), mask


def test_digits_by_perceptron(digits):
    X, y = digits
    model = MLPClassifier((64,), max_iter=60, tol=None, learning_rate_init=0.01).fit(X[::2], y[::2])
    assert model.score(X[1::2], y[1::2]) > 0.96
    assert model.loss_curve_[-1] < 0.1 * model.loss_curve_[0]
    assert [c.shape for c in model.coefs_] == [(64, 64), (64, 10)]


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_other_solvers_of_the_perceptron(digits, solver):
    X, y = digits
    settings = {"sgd": {"learning_rate_init": 0.1, "tol": None}, "lbfgs": {"tol": 1e-6}}[solver]
    model = MLPClassifier((32,), solver=solver, max_iter=60, random_state=1, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X[::2], y[::2])
    assert model.score(X[1::2], y[1::2]) > 0.94


def full_batch(**settings):
    return MLPClassifier((8,), solver="lbfgs", **settings)


def test_full_batches_stop_where_they_are_told(blobs, capsys):
    X, y = blobs
    model = full_batch(tol=1e-2, verbose=True).fit(X, y)
    assert model.converged_
    assert model.n_iter_ == len(model.loss_curve_) < 200
    assert model.n_iter_ < model._train_state.step == model.n_rows_read_ / len(X)
    assert model.t_ == 300 * model.n_iter_
    assert model.loss_curve_ == sorted(model.loss_curve_, reverse=True)
    assert f"{model.n_iter_}/200" in (shown := capsys.readouterr().err)
    assert f"loss {model.loss_:.4g}" in shown
    with pytest.warns(ConvergenceWarning, match="max_iter=3 iterations.*gradient.*Raise max_iter"):
        short = full_batch(max_iter=3).fit(X, y)
    assert (short.n_iter_, short.converged_) == (3, False)
    with pytest.warns(ConvergenceWarning, match=r"max_fun=3 passes.* Raise max_fun or tol"):
        assert full_batch(max_fun=3).fit(X, y).n_rows_read_ == 3 * 300
    ended = full_batch(callbacks=[lambda m, record: record.epoch == 2]).fit(X, y)
    assert (ended.n_iter_, ended.converged_) == (2, True)
    again = model.set_params(warm_start=True, tol=1.0).fit(X, y)
    assert (again.n_iter_, again.loss_curve_) == (0, [again.loss_])


def test_full_batches_that_cannot_go_on(blobs):
    X, y = blobs
    model = MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs")
    with pytest.raises(ValueError, match="first weights is inf.*Scale them"):
        model.fit(X, y * 1e200)
    with pytest.raises(AttributeError, match="no attribute 'partial_fit'") as error:
        model.partial_fit(X, y)
    assert "partial_fit makes one epoch of mini-batches" in str(error.value.__cause__)


def test_mini_batches_after_full_batches_begin_anew(blobs, tmp_path):
    X, y = blobs
    model = full_batch(tol=1e-1).fit(X, y)
    model.save(tmp_path / "model")
    before = thetas(model).copy()
    model.set_params(solver="sgd", dtype="float64", learning_rate_init=1e-12).partial_fit(X, y)
    assert model.n_iter_ == 1
    np.testing.assert_allclose(thetas(model), before, atol=1e-9)
    other = MLPClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(thetas(other), before)


def test_rows_read_are_counted(blobs):
    X, y = blobs
    assert small(max_iter=4).fit(X, y).n_rows_read_ == 4 * 300


def test_regressors_learn_a_curve():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(400, 1))
    y = np.column_stack([np.sin(2 * X[:, 0]), X[:, 0] ** 2])
    model = MLPRegressor(
        hidden_layer_sizes=(32, 32), activation="tanh", max_iter=150, learning_rate_init=0.01
    )
    model.set_params(tol=None).fit(X, y)
    assert model.score(X, y) > 0.99
    assert model.predict(X).shape == (400, 2)
    one = NeuralRegressor([Dense(16, "tanh"), Dense(1)], max_iter=100, learning_rate_init=0.01)
    assert one.fit(X, y[:, 0]).predict(X).shape == (400,)
    assert one.score(X, y[:, 0]) > 0.9


def test_counts_by_poisson_loss():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2))
    y = rng.poisson(np.exp(0.5 + X[:, 0]))
    model = NeuralRegressor([Dense(1)], loss="poisson", max_iter=200, learning_rate_init=0.02)
    model.fit(X, y)
    np.testing.assert_allclose(model.weights_[0]["W"].ravel(), [1.0, 0.0], atol=0.1)
    assert (model.predict(X) > 0).all()
    np.testing.assert_allclose(model.score(X, y), r2_score(y, model.predict(X)), rtol=1e-6)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("loss", "least"), [("poisson", 0.0), ("gamma", 0.5)])
def test_targets_out_of_the_range_of_a_loss(loss, least, lazy):
    X, y = np.random.default_rng(0).normal(size=(60, 2)), np.full((60, 2), 2.0)
    y[3, 1] = least
    bad = y.copy()
    bad[50, 0] = least - 0.5
    X, y, bad = (da.from_array(a, chunks=(20, 2)) if lazy else a for a in (X, y, bad))
    model = NeuralRegressor([Dense(2)], loss=loss, max_iter=2).fit(X, y)
    said = f"NeuralRegressor with loss='{loss}' expects .*, but y holds {least - 0.5:g}. Drop"
    whole = clone(model).set_params(early_stopping=True)
    for learn in (model.fit, model.partial_fit, model.score):
        with pytest.raises(ValueError, match=said):
            learn(X, bad)
    with pytest.raises(ValueError, match=said):
        whole.fit(X, y, X_val=X, y_val=bad)
    mlp = MLPRegressor(loss, (3,), solver="lbfgs", max_iter=2)
    with pytest.raises(ValueError, match=said.replace("Neural", "MLP")):
        mlp.fit(X, bad)


def test_presets_on_images_and_sequences(digits):
    X, y = digits
    images = X.reshape(-1, 8, 8)
    cnn = CNNClassifier((8,), batch_norm=True, dropout=0.1, max_iter=8, learning_rate_init=0.01)
    assert cnn.fit(images[::2], y[::2]).score(images[1::2], y[1::2]) > 0.9
    rnn = RNNClassifier("elman", units=24, bidirectional=True, n_layers=2, max_iter=12)
    rnn.set_params(learning_rate_init=0.01, hidden_layer_sizes=(16,))
    assert rnn.fit(images[::2], y[::2]).score(images[1::2], y[1::2]) > 0.85


def test_tagger_ignores_what_a_mask_hides():
    X, y, mask = sequences()
    layers = [Bidirectional(GRU(12, return_sequences=True)), Dense(2)]
    settings = {"max_iter": 15, "learning_rate_init": 0.02, "batch_size": 32}
    model = SequenceTagger(layers, **settings).fit(X, y, mask=mask)
    assert model.score(X, y, mask=mask) > 0.85
    other_X, other_y = X.copy(), y.copy()
    other_X[~mask], other_y[~mask] = 7.0, "never"
    other = SequenceTagger(layers, **settings).fit(other_X, other_y, mask=mask)
    np.testing.assert_array_equal(thetas(model), thetas(other))
    assert model.score(X, y, mask=mask) == other.score(other_X, other_y, mask=mask)
    assert set(np.unique(model.predict(X, mask))) <= {"up", "down"}


@pytest.mark.parametrize("lazy", [False, True])
def test_tagger_never_looks_at_hidden_labels(lazy):
    X, y, mask = sequences(60)
    y = y.astype(object)
    y[~mask] = None
    Xd, yd, md = (da.from_array(a, chunks=(17, *a.shape[1:])) if lazy else a for a in (X, y, mask))
    model = SequenceTagger([Dense(2)], max_iter=1, shuffle=False).fit(Xd, yd, mask=md)
    assert model.classes_.tolist() == ["down", "up"]
    other = SequenceTagger([Dense(2)], shuffle=False)
    other.partial_fit(Xd, yd, classes=["up", "down"], mask=md)
    np.testing.assert_array_equal(thetas(model), thetas(other))
    assert other.score(Xd, yd, mask=md) == np.mean((other.predict(X) == y)[mask])
    for learn in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match="Input y contains NaN at row"):
            learn(Xd, yd)


def test_tagger_weighs_classes_of_steps():
    X, y, mask = sequences()
    heavy = SequenceTagger([Dense(2)], class_weight={"up": 50.0}, learning_rate_init=0.1)
    heavy.fit(X, y, mask=mask)
    assert np.mean(heavy.predict(X) == "up") > 0.9
    lazily = SequenceTagger([Dense(2)], class_weight={"up": 50.0}, max_iter=20, shuffle=False)
    w = np.linspace(0.5, 1.5, len(X))
    at_once = clone(lazily).fit(X, y, sample_weight=w, mask=mask)
    chunked = [da.from_array(a, chunks=(len(X), *a.shape[1:])) for a in (X, y, w, mask)]
    lazily.fit(chunked[0], chunked[1], sample_weight=chunked[2], mask=chunked[3])
    np.testing.assert_allclose(thetas(lazily), thetas(at_once), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("labels", [[0, 1, 2], ["a", "b", "c"], [1.0, 2.0, 9.0]])
def test_labels_of_any_kind(blobs, labels):
    X, y = blobs
    named = np.array(labels)[y]
    model = small().fit(X, named)
    assert model.predict(X).dtype == named.dtype
    np.testing.assert_array_equal(model.classes_, np.unique(named))
    np.testing.assert_array_equal(model.predict_proba(X), small().fit(X, y).predict_proba(X))


def test_two_classes_have_one_score_or_two(blobs):
    X, y = blobs
    one = small([Dense(1)]).fit(X, y > 0)
    two = small([Dense(2)]).fit(X, y > 0)
    for model in (one, two):
        shares = model.predict_proba(X)
        assert shares.shape == (300, 2)
        np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-6)
        np.testing.assert_array_equal(shares[:, 1] > 0.5, model.predict(X))
        np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), shares, rtol=1e-5)


@pytest.mark.parametrize(
    ("ending", "plain"),
    [
        ([Dense(3, "softmax")], [Dense(3)]),
        ([Dense(3), Activation("softmax")], [Dense(3)]),
        ([Dense(3, "softmax"), Activation("softmax")], [Dense(3)]),
        ([Dense(3, "logistic", bias=False)], [Dense(3, bias=False)]),
        ([Dense(3), BatchNorm(activation="logistic")], [Dense(3), BatchNorm()]),
        ([Dense(1, "logistic")], [Dense(1)]),
        ([Dense(1), Activation("logistic"), Activation("identity")], [Dense(1)]),
        ([Dense(4, "logistic"), Dense(3)], [Dense(4, "logistic"), Dense(3)]),
    ],
)
def test_a_last_link_is_taken_into_the_loss(blobs, ending, plain, tmp_path):
    X, y = blobs
    y = y > 0 if plain[-1] == Dense(1) else y
    model, other = small(ending).fit(X, y), small(plain).fit(X, y)
    assert model.layers_ == plain
    assert model.describe().frame.equals(other.describe().frame)
    np.testing.assert_array_equal(thetas(model), thetas(other))
    model.save(tmp_path / "model")
    loaded = NeuralClassifier.load(tmp_path / "model")
    assert loaded.layers == ending
    np.testing.assert_array_equal(loaded.predict_proba(X), other.predict_proba(X))
    np.testing.assert_array_equal(thetas(loaded.partial_fit(X, y)), thetas(other.partial_fit(X, y)))


@pytest.mark.parametrize("ending", [[Dense(2, "softmax")], [Dense(1, "logistic")]])
def test_a_last_link_of_a_tagger_is_taken_into_the_loss(ending):
    X, y, mask = sequences()
    model = SequenceTagger(ending, max_iter=3).fit(X, y, mask=mask)
    other = SequenceTagger([Dense(ending[0].units)], max_iter=3).fit(X, y, mask=mask)
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(X))


def test_activations_that_scores_of_classes_do_not_take(blobs):
    X, y = blobs
    relu, softmax = Activation("relu"), Activation("softmax")
    for layers in (
        [Dense(3, "relu")],
        [Dense(3), relu],
        [Dense(3, "tanh"), Activation("identity")],
    ):
        with pytest.raises(ValueError, match="behind the activation '(relu|tanh)' of the last"):
            small(layers).fit(X, y)
    for layers in ([Dense(1, "softmax")], [Dense(1), softmax], [Dense(1), BatchNorm(), softmax]):
        with pytest.raises(ValueError, match="always makes 1. Use 'logistic' for one score"):
            small(layers).fit(X, y > 0)


def test_links_that_a_loss_of_numbers_does_not_take(blobs):
    X, y = blobs
    for name in ("relu", "softplus", "logistic"):
        for ending in ([Dense(1, name)], [Dense(1), Activation(name)]):
            with pytest.raises(ValueError, match=f"never be below 1 behind .*{name}"):
                NeuralRegressor(ending, loss="poisson").fit(X, y)
    with pytest.raises(ValueError, match="always makes 1"):
        NeuralRegressor([Dense(1, "softmax")]).fit(X, y)
    bounded = NeuralRegressor([Dense(1, "logistic")], max_iter=2).fit(X, y > 0).predict(X)
    assert ((bounded > 0.0) & (bounded < 1.0)).all()
    for name, here in (("sigmoid", "logistic"), ("linear", "identity"), ("exp", "None")):
        with pytest.raises(ValueError, match=f"Unknown activation '{name}'.* Write '?{here}"):
            Dense(1, name)


def test_weights_are_repeated_rows(blobs):
    X, y = blobs
    w = np.arange(300) % 3
    layers = [Dense(8, "tanh"), Dense(3)]
    settings = {"shuffle": False, "batch_size": 1000, "dtype": "float64", "l2": 0.1}
    weighed = small(layers, **settings).fit(X, y, sample_weight=w)
    repeated = small(layers, **settings).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    np.testing.assert_allclose(thetas(weighed), thetas(repeated), rtol=1e-9, atol=1e-12)


def test_class_weight_is_a_weight_of_rows(blobs):
    X, y = blobs
    given = {0: 2.0, 1: 1.0, 2: 0.5}
    by_class = small(class_weight=given).fit(X, y)
    by_row = small().fit(X, y, sample_weight=np.vectorize(given.get)(y))
    np.testing.assert_array_equal(thetas(by_class), thetas(by_row))
    balanced = small(class_weight="balanced").fit(X, y)
    counts = np.bincount(y)
    equal = small(class_weight=dict(enumerate(300 / (3 * counts)))).fit(X, y)
    np.testing.assert_array_equal(thetas(balanced), thetas(equal))


def test_same_bits_whatever_the_threads(blobs):
    X, y = blobs
    Xd, yd = da.from_array(X, chunks=(70, 6)), da.from_array(y, chunks=70)
    layers = [Dense(16), BatchNorm(activation="relu"), Dropout(0.2), Dense(3)]
    found = []
    for workers in (1, 2, 3):
        with dask.config.set(scheduler="threads", num_workers=workers):
            found.append(thetas(small(layers, random_state=3).fit(Xd, yd)))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert not np.array_equal(found[0], thetas(small(layers, random_state=4).fit(Xd, yd)))


def test_sorted_labels_train_like_shuffled_ones():
    rng = np.random.default_rng(0)
    n, p, K = 400_000, 48, 10
    centres = rng.normal(size=(K, p)) * 0.5
    y = np.sort(rng.integers(0, K, n))
    X = (centres[y] + rng.normal(size=(n, p))).astype(np.float32)
    order = rng.permutation(n)
    scores = []
    for rows in (np.arange(n), order):
        # Lazily made, so that rows come in chunks through a pool of a quarter of them.
        Xd = da.from_array(X[rows], chunks=(5_500, p)).map_blocks(np.copy, dtype=np.float32)
        model = NeuralClassifier(
            [Dense(32, "relu"), Dense(K)], max_iter=2, pool_bytes=X.nbytes // 4, cache="none"
        )
        scores.append(model.fit(Xd, y[rows]).score(X, y))
    assert scores[0] > scores[1] - 0.005


@pytest.mark.parametrize(
    ("layers", "shape", "expected"),
    [
        ([Dense(5), Dense(2)], (7,), 7 * 5 + 5 + 5 * 2 + 2),
        ([Dense(5)], (3, 7), 3 * (7 * 5 + 5)),
        ([Conv2D(4, padding="same"), Flatten()], (6, 8), 6 * 8 * (4 * 9 + 4)),
        ([Conv2D(4, stride=2), Dropout(0.5)], (2, 7, 9), 3 * 4 * (2 * 4 * 9 + 4)),
        ([GRU(3)], (5, 2), 5 * 3 * 3 * (2 + 3 + 1)),
        ([Embedding(1000, 2), GRU(3, return_sequences=True)], (5,), 5 * 3 * 3 * (2 + 3 + 1)),
    ],
)
def test_work_is_counted_by_layers_and_epochs(layers, shape, expected):
    network = Network(layers, shape)
    assert network.multiplications == expected
    least = -(-COMPILE_FROM // (expected * 10))
    for n_rows, name in ((least - 1, "numpy"), (least, "numba")):
        model = small(layers, max_iter=10)
        assert backend_name(find_backend(model, network, n_rows)) == name


def test_backends_agree(blobs):
    X, y = blobs
    layers = [Dense(16), BatchNorm(activation="relu"), Dense(3)]
    models = [small(layers, backend=b, dtype="float64").fit(X, y) for b in ("numpy", "numba")]
    np.testing.assert_allclose(*map(thetas, models), rtol=1e-8, atol=1e-8)


def test_early_stopping_puts_the_best_weights_back(blobs):
    X, y = blobs
    seen = []
    model = small(
        [Dense(64, "relu"), Dense(3)],
        max_iter=200,
        learning_rate_init=0.05,
        early_stopping=True,
        tol=1e-4,
        n_iter_no_change=5,
        callbacks=[lambda m, record: seen.append((record.score, thetas(m).copy()))],
    ).fit(X, y)
    assert model.n_iter_ < 200
    assert model.converged_
    scores = [score for score, _ in seen]
    assert model.validation_scores_ == scores
    best = seen[int(np.argmax(scores))][1]
    np.testing.assert_array_equal(thetas(model), best)
    assert model.best_validation_score_ == max(scores)


def test_validation_rows_of_the_user(blobs):
    X, y = blobs
    model = small(early_stopping=True).fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    assert model.best_validation_score_ == model.score(X[200:], y[200:])


def test_partial_fit_is_an_epoch(blobs):
    X, y = blobs
    model = small(shuffle=False, max_iter=1)
    for _ in range(4):
        model.partial_fit(X, y, classes=[0, 1, 2])
    whole = small(shuffle=False, max_iter=4).fit(X, y)
    np.testing.assert_array_equal(thetas(model), thetas(whole))
    assert len(model.history_) == 4


def test_partial_fit_refuses_unknown_labels(blobs):
    X, y = blobs
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        small().partial_fit(X, y)
    with pytest.raises(ValueError, match="label 2, which is none of the classes"):
        small([Dense(2)]).partial_fit(X, y, classes=[0, 1])
    model = small().partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="not the same as on the last call"):
        model.partial_fit(X, y, classes=[0, 1])


def test_warm_start_goes_on(blobs):
    X, y = blobs
    model = small(warm_start=True, solver="gradient_descent", shuffle=False).fit(X, y)
    first = model.loss_
    assert model.fit(X, y).loss_curve_[0] < first


def test_resumed_after_pickling(blobs):
    X, y = blobs
    model = small(shuffle=False).partial_fit(X, y, classes=[0, 1, 2])
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(thetas(model.partial_fit(X, y)), thetas(other.partial_fit(X, y)))


def test_resumed_from_a_file(blobs, tmp_path):
    X, y = blobs
    layers = [Dense(8), BatchNorm(activation="relu"), Dropout(0.1), Dense(3)]
    named = np.array(["ox", "cow", "yak"])[y]
    model = small(layers).partial_fit(X, named, classes=np.unique(named))
    model.save(tmp_path / "model.npz")
    other = NeuralClassifier.load(tmp_path / "model.npz")
    assert other.get_params() == model.get_params()
    assert other.loss_curve_ == model.loss_curve_
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    for each in (model, other):
        each.partial_fit(X, named)
    np.testing.assert_array_equal(thetas(other), thetas(model))
    with pytest.raises(ValueError, match=r"Use NeuralClassifier\.load"):
        MLPClassifier.load(tmp_path / "model.npz")


@pytest.mark.parametrize(
    "model",
    [
        MLPRegressor(hidden_layer_sizes=(4,), tol=None, max_iter=2),
        MLPClassifier((4,), solver="lbfgs", tol=None, max_iter=2),
        RNNClassifier("lstm", units=4, max_iter=2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_kept_in_files(model, blobs, tmp_path):
    X, y = blobs
    X = X[..., None] if isinstance(model, RNNClassifier) else X
    model.fit(X, y).save(tmp_path / "model")
    other = type(model).load(tmp_path / "model")
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    assert other.score(X, y) == model.score(X, y)


@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "momentum"},
        {"solver": Adam(0.3)},
        {"solver": "unknown"},
        {"loss": "poisson"},
        {"dtype": "float64"},
        {"layers": [Dense(2)]},
        {"backend": "numba", "learning_rate_init": 3.0},
    ],
    ids=str,
)
def test_what_was_fitted_is_kept_whatever_was_set_since(settings, blobs, tmp_path):
    X, y = blobs
    model = NeuralRegressor([Dense(4, "tanh"), Dense(1)], max_iter=2).fit(X, y)
    before = model.predict(X)
    model.set_params(**settings).save(tmp_path / "model")
    other = NeuralRegressor.load(tmp_path / "model")
    assert other.get_params() == model.get_params()
    np.testing.assert_array_equal(other.predict(X), before)
    np.testing.assert_array_equal(model.predict(X), before)
    assert type(other._train_state.state) is type(model._train_state.state)
    assert other._train_state.point.theta.dtype == "float32"


def test_a_perceptron_tells_of_the_layers_it_was_fitted_with(blobs, tmp_path):
    X, y = blobs
    model = MLPRegressor(hidden_layer_sizes=(4, 3), solver="lbfgs", tol=None, max_iter=2).fit(X, y)
    before = model.predict(X)
    settings = {"loss": "poisson", "solver": "adam", "hidden_layer_sizes": (5,), "dtype": "float32"}
    model.set_params(**settings).save(tmp_path / "model")
    other = MLPRegressor.load(tmp_path / "model")
    np.testing.assert_array_equal(other.predict(X), before)
    assert other.n_layers_ == model.n_layers_ == 4
    assert other.out_activation_ == "identity"


def test_validation_scores_survive_a_file(blobs, tmp_path):
    X, y = blobs
    model = small(early_stopping=True, max_iter=3).fit(X, y)
    model.set_params(early_stopping=False).save(tmp_path / "model")
    other = NeuralClassifier.load(tmp_path / "model")
    assert other.validation_scores_ == model.validation_scores_
    assert other.partial_fit(X, y).best_validation_score_ == max(model.validation_scores_)


class Own(Adam):
    """A solver of the user."""

    def init(self, theta):
        return OwnState(theta)

    def update(self, kernels, state, gradient, factor=1.0):
        kernels.scale(state.theta, 0.9)
        return state


class OwnState(NamedTuple):
    theta: np.ndarray


def test_states_of_other_solvers_are_not_kept(blobs, tmp_path):
    X, y = blobs
    model = small(solver=Own()).fit(X, y).set_params(solver="adam")
    with pytest.raises(ValueError, match=r"Cannot save the state .* Fit with one of these"):
        model.save(tmp_path / "model")
    model.partial_fit(X, y).save(tmp_path / "model")


def test_settings_of_later_calls_are_heard(blobs):
    X, y = blobs
    model = small([Dense(4), Dense(3)]).fit(X, y)
    with pytest.raises(ValueError, match=r"the layers are others.*warm_start=False"):
        model.set_params(layers=[Dense(5), Dense(3)]).partial_fit(X, y)
    model.set_params(layers=[Dense(4, "relu"), Dense(3)], dtype="float64", backend="numba")
    model.partial_fit(X, y)
    assert model.layers_[0].activation == "relu"
    assert (thetas(model).dtype, model._backend) == ("float64", "numba")
    counts = NeuralRegressor([Dense(1)], max_iter=1).fit(X, y)
    assert (counts.set_params(loss="poisson").partial_fit(X, y).predict(X) > 0).all()


def test_names_of_columns_go_with_their_table(blobs):
    pd = pytest.importorskip("pandas")
    X, y = blobs
    model = small([Flatten(), Dense(3)], max_iter=1)
    assert model.fit(pd.DataFrame(X).add_prefix("c"), y).feature_names_in_[0] == "c0"
    model.fit(X[:, :, None], y)
    assert not hasattr(model, "feature_names_in_")
    assert model.n_features_in_ == 6


@pytest.mark.parametrize(
    "names", [["u", "v"], [0, 1], [("u", 1), ("v", 2)], pd.date_range("2020", periods=2)], ids=str
)
def test_names_of_targets_are_saved(names, blobs, tmp_path):
    frame = pd.DataFrame(blobs[0])
    outputs = pd.DataFrame(blobs[0][:, :2], columns=names)
    model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=1, tol=None).fit(frame, outputs)
    model.save(tmp_path / "model")
    table = dd.from_pandas(frame, npartitions=2)
    for again in (MLPRegressor.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert again.predict(table).compute().columns.equals(outputs.columns)
    model.fit(frame, outputs.to_numpy()).save(tmp_path / "model")
    unnamed = MLPRegressor.load(tmp_path / "model").predict(table)
    assert unnamed.columns.tolist() == [0, 1]


@pytest.mark.parametrize("lazy", [False, True])
def test_perceptrons_refuse_images(digits, lazy):
    images = digits[0].reshape(-1, 1, 8, 8)
    images = da.from_array(images, chunks=(500, 1, 8, 8)) if lazy else images
    said = r"got 4D array.*X\.reshape\(len\(X\), -1\), or use CNNClassifier"
    with pytest.raises(ValueError, match=said):
        MLPClassifier().fit(images, digits[1])
    model = MLPClassifier(max_iter=1, tol=None).fit(*digits)
    with pytest.raises(ValueError, match=said):
        model.predict(images)


def test_as_a_torch_module(blobs):
    torch = pytest.importorskip("torch")
    X, y = blobs
    layers = [Dense(8), BatchNorm(activation="relu"), Dropout(0.1), Dense(3)]
    model = small(layers, dtype="float64").fit(X, y)
    with torch.no_grad():
        shares = torch.softmax(model.to_torch()(torch.from_numpy(X)), dim=1).numpy()
    np.testing.assert_allclose(shares, model.predict_proba(X), atol=1e-10)


def test_callbacks_can_end_training(blobs):
    X, y = blobs
    model = small(callbacks=[lambda m, record: record.epoch == 3]).fit(X, y)
    assert (model.n_iter_, model.converged_) == (3, True)
    record = model.history_[-1]
    assert record.rows_per_second > 0
    assert record.gradient_norm > 0
    assert record.learning_rate == 0.01


def test_schedules_and_solvers(blobs):
    X, y = blobs
    halved = small(learning_rate=lambda step, epoch, n_steps: 0.5**epoch, max_iter=3).fit(X, y)
    rates = [record.learning_rate for record in halved.history_]
    np.testing.assert_allclose(rates, [0.01, 0.005, 0.0025])
    own = small(solver=Adam(0.01, beta_1=0.8)).fit(X, y)
    assert not np.array_equal(thetas(own), thetas(small().fit(X, y)))
    adaptive = small(learning_rate="adaptive", tol=10.0, n_iter_no_change=1, max_iter=50)
    adaptive.fit(X, y)
    assert adaptive.history_[-1].learning_rate < 0.01


def test_clipped_gradients_make_short_steps(blobs):
    X, y = blobs
    settings = {"solver": "gradient_descent", "learning_rate_init": 1.0, "batch_size": 300}
    start = small(**settings, max_iter=1, clip_norm=1e-9).fit(X, y)
    model = small(**settings, max_iter=1, clip_norm=0.01).fit(X, y)
    np.testing.assert_allclose(np.linalg.norm(thetas(model) - thetas(start)), 0.01, rtol=1e-3)


def test_l1_and_l2_pull_weights_to_zero(blobs):
    X, y = blobs
    free, pulled = small(max_iter=30).fit(X, y), small(max_iter=30, l2=1.0).fit(X, y)
    assert np.abs(pulled.weights_[0]["W"]).sum() < 0.2 * np.abs(free.weights_[0]["W"]).sum()
    sparse = small(max_iter=60, l1=0.5).fit(X, y)
    assert np.abs(sparse.weights_[0]["W"]).max() < 0.1


def test_frames_in_frames_out_and_nothing_read_at_the_call(blobs):
    X, y = blobs
    reads = []

    def counted(part):
        reads.append(len(part))
        return part

    frame = pd.DataFrame(X, index=np.arange(len(X)) * 3)
    table = dd.from_pandas(frame, npartitions=4).map_partitions(counted, meta=frame.iloc[:0])
    with dask.config.set(scheduler="synchronous"):
        model = MLPClassifier((5,), max_iter=2, tol=None).fit(frame, y)
        reads.clear()
        labels, shares = model.predict(table), model.predict_proba(table)
        assert not reads
        labels, shares = labels.compute(), shares.compute()
    assert sum(reads) == 2 * len(X)
    np.testing.assert_array_equal(labels, model.predict(frame))
    np.testing.assert_allclose(shares, model.predict_proba(frame), rtol=1e-5)
    assert labels.index.equals(frame.index) and shares.index.equals(frame.index)
    assert shares.columns.tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
def test_no_row_that_is_not_finite_is_predicted(blobs, activation, value):
    X, y = blobs
    model = MLPClassifier((5,), activation=activation, max_iter=2, tol=None).fit(X, y)
    bad = X.copy()
    bad[130, 2] = value
    frame = dd.from_pandas(pd.DataFrame(bad, index=np.arange(300) + 1000), npartitions=3)
    for A, where in ((da.from_array(bad, chunks=(100, 6)), "row 30, column 2"), (frame, "1130")):
        with pytest.raises(ValueError, match=where):
            model.predict(A).compute()


def test_networks_of_layers_take_csr_matrices_and_say_so(blobs):
    X, y = blobs
    X = np.where(np.abs(X) > 1.0, X, 0.0)
    for model in (small(), NeuralRegressor([Dense(1)], max_iter=2)):
        dense = clone(model).fit(X, y).predict(X)
        np.testing.assert_allclose(model.fit(csr_matrix(X), y).predict(csr_matrix(X)), dense)
        assert model.__sklearn_tags__().input_tags.sparse


def test_lazy_in_lazy_out(blobs):
    X, y = blobs
    Xd = da.from_array(X, chunks=(100, 3))
    model = small().fit(Xd, da.from_array(y, chunks=100))
    for name in ("predict", "predict_proba"):
        lazy = getattr(model, name)(Xd)
        assert isinstance(lazy, da.Array)
        np.testing.assert_allclose(lazy.compute(), getattr(model, name)(X), rtol=1e-5)
    np.testing.assert_allclose(model.score(Xd, y), model.score(X, y))
    assert isinstance(model.score(Xd, y), float)


def test_lazy_predictions_keep_the_weights_of_their_time(blobs):
    X, y = blobs
    model = small(learning_rate_init=0.1).fit(X, y)
    then = model.predict_proba(X)
    lazy = model.predict_proba(da.from_array(X, chunks=(100, 6)))
    model.partial_fit(X, y)
    np.testing.assert_allclose(lazy.compute(), then, rtol=1e-5)


def test_partial_fit_takes_longer_sequences_but_no_others():
    X, y, mask = sequences()
    model = SequenceTagger([GRU(4, return_sequences=True), Dense(2)], max_iter=2)
    model.fit(X, y).partial_fit(X[:, :5], y[:, :5])
    with pytest.raises(ValueError, match="was fitted to rows of shape"):
        model.partial_fit(np.swapaxes(X, 1, 2), y[:, :2])


def test_a_call_that_fails_changes_nothing(blobs):
    X, y = blobs
    model = small([Dense(1)]).fit(X, y > 0)
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match="y holds 3 classes"):
        model.fit(X, y)
    with pytest.raises(ValueError, match="contains (NaN|infinity) at row"):
        model.fit(np.full_like(X, np.nan), y > 0)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    np.testing.assert_array_equal(model.classes_, [False, True])
    fresh = small()
    with pytest.raises(ValueError, match="y holds 2 classes"):
        fresh.partial_fit(X, y > 0, classes=[False, True])
    fresh.partial_fit(X, y, classes=[0, 1, 2])


def test_an_epoch_that_fails_halfway_changes_nothing(blobs):
    X, y = blobs
    late = np.where(np.arange(300)[:, None] < 290, X, np.nan)
    model = small(shuffle=False).fit(X, y)
    before, state = thetas(model).copy(), model._train_state
    for learn in (model.partial_fit, model.fit):
        with pytest.raises(ValueError, match="contains (NaN|infinity) at row"):
            learn(late, y)
        np.testing.assert_array_equal(thetas(model), before)
        assert model._train_state[2:] == state[2:]

    def interrupted(step, epoch, n_steps):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.set_params(learning_rate=interrupted).fit(X[:, :3], y)
    np.testing.assert_array_equal(model.predict(X), small(shuffle=False).fit(X, y).predict(X))


def test_a_loss_that_is_lost_ends_with_the_best_epoch(blobs):
    X, y = blobs
    seen = []
    model = NeuralRegressor(
        [Dense(8), Dense(1)],
        solver="gradient_descent",
        learning_rate_init=1.0,
        learning_rate=lambda step, epoch, n_steps: 1e-3 if epoch < 3 else 1e30,
        early_stopping=True,
        callbacks=[lambda m, record: seen.append((record.score, thetas(m).copy()))],
    )
    with pytest.warns(ConvergenceWarning, match="weights are those of the best epoch"):
        model.fit(X, y * 1.0)
    np.testing.assert_array_equal(thetas(model), max(seen, key=lambda pair: pair[0])[1])


def test_warm_start_refuses_what_does_not_fit(blobs):
    X, y = blobs
    model = small(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="the layers are others or have other shapes now"):
        model.set_params(layers=[Dense(8), Dense(3)]).fit(X, y)
    with pytest.raises(ValueError, match="with the classes"):
        model.set_params(layers=[Dense(16, "relu"), Dense(3)]).fit(X, y + 1)


def test_another_solver_starts_anew(blobs):
    X, y = blobs
    model = small().fit(X, y)
    model.set_params(solver="momentum").partial_fit(X, y)
    assert hasattr(model._train_state.state, "velocity")


def test_balanced_weights_survive_a_file(blobs, tmp_path):
    X, y = blobs
    keep = np.flatnonzero((y > 0) | (np.arange(300) % 5 == 0))
    model = small(class_weight="balanced").fit(X[keep], y[keep])
    model.save(tmp_path / "model")
    other = NeuralClassifier.load(tmp_path / "model").set_params(class_weight={0: 3.0})
    np.testing.assert_array_equal(other._class_weight, len(keep) / (3 * np.bincount(y[keep])))
    with pytest.raises(ValueError, match="batch_size of NeuralClassifier"):
        small(batch_size="auto").fit(X, y)


def test_lazy_tags():
    X, y, mask = sequences()
    model = SequenceTagger([GRU(6, return_sequences=True), Dense(2)], max_iter=2)
    model.fit(X, y, mask=mask)
    Xd, maskd = da.from_array(X, chunks=(50, 9, 2)), da.from_array(mask, chunks=(50, 9))
    np.testing.assert_array_equal(model.predict(Xd, maskd).compute(), model.predict(X, mask))
    assert model.predict_proba(Xd).shape == (160, 9, 2)
    longer = np.concatenate([X, X], axis=1)
    assert model.predict(longer).shape == (160, 18)
    with pytest.raises(ValueError, match="was fitted to rows of shape"):
        model.predict(X[..., :1])


def test_windows_of_a_series():
    t = np.arange(600)
    series = np.sin(t / 5.0)
    windows = WindowedSequences(series, window=12, horizon=1)
    model = NeuralRegressor([GRU(8), Dense(1)], max_iter=30, learning_rate_init=0.01)
    assert model.fit(windows, windows.after(series)).score(windows, windows.after(series)) > 0.95


def test_a_loss_that_is_lost_ends_with_good_weights(blobs):
    X, y = blobs
    model = NeuralRegressor(
        [Dense(32), Dense(1)], solver="gradient_descent", learning_rate_init=1e4, max_iter=20
    )
    with pytest.warns(ConvergenceWarning, match=r"stopped at step \d+ in epoch \d+.*layer"):
        model.fit(X, y)
    assert np.isfinite(thetas(model)).all()
    assert not model.converged_


def test_the_last_epoch_asks_for_more(blobs):
    X, y = blobs
    with pytest.warns(ConvergenceWarning, match="Raise max_iter or tol"):
        MLPClassifier((4,), max_iter=2).fit(X, y)


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        ([Conv2D(4), Dense(3)], (8, 8), r"layer 0, Conv2D.*\(4, \d, \d\).*layer 1, Dense"),
        ([Dense(3), Conv2D(4)], (6,), r"layer 0, Dense.*\(3,\).*layer 1, Conv2D"),
        ([GRU(3), GRU(3)], (5, 2), r"layer 0, GRU.*\(3,\).*layer 1, GRU.*return_sequences=T"),
        ([GRU(3), Conv1D(2), Dense(3)], (5, 2), "layer 1, Conv1D.*return_sequences=True in a"),
        ([Dense(7)], (6,), r"gives \(7,\) for each row, but y holds 3 classes.*Dense\(3\)"),
        ([Flatten(), Dense(1)], (6,), r"gives \(1,\)"),
        ([GRU(3, return_sequences=True), Dense(3)], (5, 2), r"gives \(5, 3\).*Leave return_s"),
        ([GRU(3, True), Embedding(5, 2), GRU(3), Dense(3)], (5, 2), "Let it be the first"),
        ([], (6,), "layers must be a list of layers"),
        ([3], (6,), "which is no layer"),
    ],
    ids=str,
)
def test_layers_that_do_not_meet(layers, shape, message):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=message):
        small(layers).fit(rng.normal(size=(30, *shape)), np.arange(30) % 3)


def test_steps_that_a_recurrent_layer_leaves_out_or_in():
    X, y, _ = sequences()
    for layers in ([GRU(3), Dense(2)], [Bidirectional(GRU(3)), Dense(2)], [Flatten(), Dense(2)]):
        with pytest.raises(ValueError, match=r"one vector for all .* set return_sequences=True in"):
            SequenceTagger(layers).fit(X, y)
    with pytest.raises(ValueError, match=r"K=2\. Let the last layer be Dense\(2\)"):
        SequenceTagger([GRU(3, return_sequences=True), Dense(3)]).fit(X, y)
    with pytest.raises(ValueError, match="Leave return_sequences=True out of the last"):
        NeuralRegressor([GRU(3, return_sequences=True), Dense(1)]).fit(X, X[:, 0, 0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"solver": "newton"}, "Unknown solver 'newton': expected one of"),
        ({"learning_rate": "fast"}, "Unknown learning_rate 'fast'"),
        ({"batch_size": 0}, "batch_size of NeuralClassifier must be"),
        ({"dtype": "float16"}, "dtype must be"),
        ({"class_weight": {7: 1.0}}, r"class_weight names \[7\]"),
        ({"callbacks": [1]}, "callbacks must be callables"),
        ({"backend": "gpu"}, "Unknown backend 'gpu'"),
        ({"validation_fraction": 2.0, "early_stopping": True}, "validation_fraction"),
        ({"random_state": "x"}, "random_state of .* must be"),
        ({"clip_norm": -1.0}, "clip_norm"),
    ],
    ids=str,
)
def test_bad_settings(blobs, settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings).fit(*blobs)


def test_bad_data(blobs):
    X, y = blobs
    with pytest.raises(ValueError, match="contains (NaN|infinity) at row"):
        small().fit(np.where(X > 2, np.nan, X), y)
    with pytest.raises(ValueError, match="contains (NaN|infinity) at row"):
        small().fit(X, y).predict(np.where(X > 2, np.inf, X))
    with pytest.raises(ValueError, match="expected 3 or 4"):
        CNNClassifier().fit(X, y)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        small().fit(X, y + 0.5)
    with pytest.raises(ValueError, match="No row .* has a positive weight"):
        small().fit(X, y, sample_weight=np.zeros(300))
    with pytest.raises(ValueError, match="one class"):
        small().fit(X, np.zeros(300))
    images, tags, mask = sequences()
    tagger = SequenceTagger([GRU(3, return_sequences=True), Dense(2)])
    with pytest.raises(ValueError, match=r"mask.shape == \(160, 8\), expected \(160, 9\)"):
        tagger.fit(images, tags, mask=mask[:, :8])
    with pytest.raises(ValueError, match="one target per step"):
        tagger.fit(images, tags[:, :8])
    with pytest.raises(ValueError, match="X_val was given without y_val"):
        small(early_stopping=True).fit(X, y, X_val=X)
    with pytest.raises(ValueError, match="early_stopping is False"):
        small().fit(X, y, X_val=X, y_val=y)
    with pytest.raises(ValueError, match="fewer than window"):
        WindowedSequences(np.zeros(5), window=6)
    with pytest.raises(ValueError, match="Unknown activation"):
        Dense(3, "swosh")


def test_progress_is_shown(blobs, capsys):
    model = small(verbose=True, max_iter=3, early_stopping=True).fit(*blobs)
    shown = capsys.readouterr().err
    assert "NeuralClassifier" in shown
    assert "rows/s" in shown
    score = f"validation score {model.validation_scores_[-1]:.4g}"
    assert f"epoch 3/3, loss {model.loss_:.4g}, {score}" in shown
    model.set_params(early_stopping=False).partial_fit(*blobs)
    assert f"epoch 4, loss {model.loss_:.4g}" in capsys.readouterr().err


def test_a_score_stays_on_the_bar_until_the_next(capsys):
    shown = TrainingBar(small(verbose=True), lambda epoch: f"epoch {epoch}/2, ", mininterval=0)
    shown.end(Epoch(1, 1.0, 0.5, 0.983, 1.0, 0.1, 10.0))
    shown.step(2, 0.0414, 1)
    shown.close()
    assert "epoch 2/2, loss 0.0414, validation score 0.983" in capsys.readouterr().err


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_bars_are_closed_before_a_warning(solver, blobs, monkeypatch, capsys):
    left = []
    monkeypatch.setattr(
        warnings, "warn", lambda *args, **options: left.append(capsys.readouterr().err)
    )
    MLPClassifier((4,), solver=solver, max_iter=2, verbose=True).fit(*blobs)
    assert left[0].endswith("\n")
