"""Perceptrons beside scikit-learn's: the same weights, step by step, and the same attributes."""

import dask.array as da
import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import make_classification, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning

from daskdsml.neural_network import MLPClassifier, MLPRegressor, NeuralClassifier

# Exact arithmetic, no dropped ends: what is left is rounding.
EXACT = {"dtype": "float64"}


def data_of(kind):
    if kind == "several":
        X, y = make_multilabel_classification(120, 5, n_classes=4, random_state=0)
        return (X - X.mean(axis=0)) / X.std(axis=0), y
    X, y = make_classification(120, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
    targets = {"two": y > 0, "three": y, "numbers": X @ [1.0, 2.0, 0.0, -1.0, 0.5] + y}
    return X, targets[kind]


def pair(kind, **settings):
    """Our perceptron and scikit-learn's."""
    name = "MLPRegressor" if kind == "numbers" else "MLPClassifier"
    ours = {"MLPRegressor": MLPRegressor, "MLPClassifier": MLPClassifier}[name]
    settings = {"hidden_layer_sizes": (7, 3), "random_state": 3} | settings
    return ours(**settings, **EXACT), getattr(theirs, name)(**settings)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("kind", ["two", "three", "several", "numbers"])
def test_epochs_are_those_of_scikit_learn(kind, weighed):
    X, y = data_of(kind)
    w = 1.0 + np.arange(120) % 3 if weighed else None
    settings = {"max_iter": 6, "alpha": 0.7, "shuffle": False, "activation": "tanh"}
    # Where batches differ in weight, scikit-learn divides each by its own.
    settings["batch_size"] = 120 if weighed else 40
    # Its Adam adds epsilon before the bias of the mean square is taken out.
    settings["epsilon"] = 1e-14
    for solver, rtol in (("sgd", 1e-9), ("adam", 1e-6)):
        ours, reference = pair(kind, solver=solver, **settings)
        ours.fit(X, y, sample_weight=w)
        reference.fit(X, y, sample_weight=w)
        for name in ("coefs_", "intercepts_"):
            for a, b in zip(getattr(ours, name), getattr(reference, name), strict=True):
                np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol / 100)
        np.testing.assert_allclose(ours.loss_curve_, reference.loss_curve_, rtol=rtol)
        for name in ("t_", "n_iter_", "n_layers_", "n_outputs_", "out_activation_"):
            assert getattr(ours, name) == getattr(reference, name), name
        np.testing.assert_allclose(ours.best_loss_, reference.best_loss_, rtol=rtol)
        assert ours.validation_scores_ is reference.validation_scores_ is None
        np.testing.assert_allclose(
            ours.predict(X), reference.predict(X), rtol=rtol, atol=rtol / 100
        )
        assert ours.predict(X).dtype.kind == reference.predict(X).dtype.kind
        np.testing.assert_allclose(ours.score(X, y), reference.score(X, y), rtol=rtol)


@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_first_weights_are_those_of_scikit_learn(activation):
    X, y = data_of("three")
    settings = {"activation": activation, "learning_rate_init": 1e-30, "solver": "sgd"}
    settings |= {"max_iter": 1, "tol": 0.0, "n_iter_no_change": np.inf}
    fits = [
        estimator(**settings, random_state=np.random.RandomState(5))
        for estimator in (MLPClassifier, theirs.MLPClassifier)
    ]
    for model in fits:
        with pytest.warns(ConvergenceWarning):
            model.fit(X, y)
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(*(getattr(model, name) for model in fits), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_random_state_goes_on_from_fit_to_fit():
    X, y = data_of("three")
    settings = {"tol": None, "max_iter": 2, "early_stopping": True}
    model = MLPClassifier((4,), random_state=np.random.RandomState(0), **settings)
    again = clone(model)
    first, second = model.fit(X, y).coefs_[0].copy(), model.fit(X, y).coefs_[0].copy()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(again.fit(X, y).coefs_[0], first)
    np.testing.assert_array_equal(again.fit(X, y).coefs_[0], second)
    assert model.best_loss_ is None
    assert len(model.validation_scores_) == 2
    with pytest.raises(ValueError, match="random_state of MLPClassifier must be an integer"):
        model.set_params(random_state=-1).fit(X, y)


def test_several_labels_of_a_row_lazily_and_from_a_file(tmp_path):
    X, y = data_of("several")
    Xd, yd = da.from_array(X, chunks=(50, 5)), da.from_array(y, chunks=(50, 4))
    model = MLPClassifier((6,), max_iter=5, tol=None, shuffle=False).fit(Xd, yd)
    here = MLPClassifier((6,), max_iter=5, tol=None, shuffle=False).fit(X, y)
    np.testing.assert_allclose(model.coefs_[0], here.coefs_[0], rtol=1e-6)
    for name in ("predict", "predict_proba", "predict_log_proba"):
        lazy = getattr(model, name)(Xd)
        assert lazy.shape == (120, 4)
        found = getattr(model, name)(X)
        assert (lazy.dtype, lazy.shape) == (found.dtype, found.shape)
        np.testing.assert_allclose(lazy.compute(), found, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(X), model.predict_proba(X) > 0.5)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X), 1e-5)
    expected = np.mean((model.predict(X) == y).all(axis=1))
    np.testing.assert_allclose([model.score(Xd, yd), model.score(X, y)], expected)
    model.save(tmp_path / "model")
    loaded = MLPClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    streamed = MLPClassifier((6,), shuffle=False)
    for learner in (loaded, model, streamed):
        learner.partial_fit(X, y, classes=range(4))
    np.testing.assert_array_equal(loaded.coefs_[0], model.coefs_[0])
    stopped = MLPClassifier((6,), early_stopping=True, max_iter=3, tol=None).fit(X, y)
    assert len(stopped.validation_scores_) == 3


def test_several_labels_that_are_refused():
    X, y = data_of("several")
    model = MLPClassifier((6,), max_iter=1, tol=None)
    with pytest.raises(ValueError, match="4 labels, each expected to be 0 or 1, but holds 2"):
        model.fit(X, y * 2)
    with pytest.raises(ValueError, match="class_weight weighs rows by their class"):
        clone(model).set_params(class_weight="balanced").fit(X, y)
    with pytest.raises(ValueError, match=r"expected their numbers, \[0, 1, 2, 3\]"):
        clone(model).partial_fit(X, y, classes=[1, 2, 3, 4])
    with pytest.raises(ValueError, match=r"rows of shape \(4,\), expected a label.*MLPClassifier"):
        NeuralClassifier(model.fit(X, y[:, 0]).layers_).fit(X, y)
    with pytest.raises(ValueError, match=r"rows of shape \(4,\), expected a label"):
        model.partial_fit(X, y)
    with pytest.raises(ValueError, match=r"rows of shape \(3,\), but this fit began with 4"):
        model.fit(X, y).partial_fit(X, y[:, :3])
    with pytest.warns(DataConversionWarning, match="column-vector"):
        model.fit(X, y[:, :1])
    assert model.classes_.tolist() == [0, 1]
