"""Training that is killed goes on from its checkpoint, and ends in the same bits."""

import dask.array as da
import numpy as np
import pytest
from kills import Killed, assert_same_fit, dies_after, resumed_until_done
from sklearn.exceptions import ConvergenceWarning

from daskdsml import Checkpoint
from daskdsml.engine.minibatch import cluster
from daskdsml.layers import BatchNorm, Dense, Dropout
from daskdsml.neural_network import MLPClassifier, MLPRegressor, NeuralClassifier
from daskdsml.strategies import Averaging, ParameterServer

rng = np.random.default_rng(0)
X = rng.normal(size=(600, 5))
Y = (X @ rng.normal(size=5) + rng.logistic(size=600) > 0).astype(int)
LAZY = da.from_array(X, chunks=(100, 5)), da.from_array(Y, chunks=100)
LAYERS = [Dense(8), BatchNorm(), Dropout(0.2), Dense(2)]
OFTEN = {"max_iter": 3, "batch_size": 100, "tol": None}
FITS = {
    "adam": (MLPClassifier, {**OFTEN, "early_stopping": True}),
    "layers": (NeuralClassifier, {**OFTEN, "layers": LAYERS, "learning_rate": "cosine"}),
    "adaptive": (
        MLPRegressor,
        {**OFTEN, "solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1},
    ),
    "averaging": (MLPClassifier, {**OFTEN, "strategy": Averaging(2, 1, outer_momentum=0.5)}),
    "server": (MLPClassifier, {**OFTEN, "strategy": ParameterServer()}),
    "lbfgs": (MLPClassifier, {"max_iter": 4, "solver": "lbfgs", "tol": None}),
}


@pytest.mark.parametrize("data", [(X, Y), LAZY], ids=["NumPy", "Dask"])
@pytest.mark.parametrize("name", FITS)
def test_killed_training_ends_in_the_same_bits(name, data, tmp_path, monkeypatch):
    kind, settings = FITS[name]
    settings = settings if kind is NeuralClassifier else {"hidden_layer_sizes": (6,), **settings}
    whole = kind(**settings).fit(*data)
    model, deaths = resumed_until_done(
        lambda **own: kind(**settings, **own),
        lambda model: model.fit(*data),
        tmp_path / "fit",
        monkeypatch,
    )
    assert deaths > 2 * len(whole.history_) or name == "lbfgs"
    # Rows that are kept in memory are read again by each process.
    assert_same_fit(model, whole, but=("n_rows_read_",) if data is LAZY else ())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["adam", "averaging"])
def test_training_on_a_cluster_goes_on(name, client, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "ROUND_SECONDS", 0.0)  # a step at a time
    X, Y = (da.map_blocks(np.copy, a, dtype=a.dtype) for a in LAZY)
    kind, settings = FITS[name]
    whole = kind((6,), **settings).fit(X, Y)
    model, deaths = resumed_until_done(
        lambda **own: kind((6,), **settings, **own),
        lambda model: model.fit(X, Y),
        tmp_path / "fit",
        monkeypatch,
        n_writes=6,
    )
    assert deaths >= 1
    assert_same_fit(model, whole, but=("n_rows_read_",))


def test_training_of_others_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "fit"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        dies_after(patch, 2)
        MLPClassifier((6,), checkpoint=Checkpoint(path, seconds=0)).fit(X, Y)
    for model, data, told in [
        (MLPClassifier((7,)), (X, Y), r"another model: hidden_layer_sizes was \[6\], now it is"),
        (
            MLPRegressor(hidden_layer_sizes=(6,)),
            (X, Y),
            "class was MLPClassifier, now it is MLPRegressor",
        ),
        (MLPClassifier((6,)), (X, 1 - Y), "other data: y has other numbers"),
        (MLPClassifier((6,)), (X[:500], Y[:500]), "other data: table was"),
    ]:
        with pytest.raises(ValueError, match=told):
            model.set_params(checkpoint=str(path)).fit(*data)
    with pytest.raises(ValueError, match="checkpoint has no effect on partial_fit"):
        MLPClassifier(checkpoint=str(path)).partial_fit(X, Y, classes=[0, 1])


def interrupting(n):
    """A schedule in whose step number ``n`` Ctrl-C comes."""

    def factor(step, epoch, n_steps):
        if step == n and n not in met:
            met.append(n)
            raise KeyboardInterrupt
        return 1.0

    met = []
    return factor


@pytest.mark.parametrize("early", [False, True])
def test_interrupted_training_is_usable_and_goes_on(early, tmp_path):
    settings = {**OFTEN, "early_stopping": early, "learning_rate": interrupting(8)}
    model = NeuralClassifier([Dense(4), Dense(2)], checkpoint=str(tmp_path / "fit"), **settings)
    with pytest.warns(ConvergenceWarning, match="was interrupted in epoch 2.* The same call"):
        model.fit(X, Y)
    assert (model.converged_, model.n_iter_, len(model.history_)) == (False, 1, 1)
    assert model.score(X, Y) > 0.3
    whole = NeuralClassifier([Dense(4), Dense(2)], **settings).fit(X, Y)
    assert_same_fit(model.fit(X, Y), whole, but=("n_rows_read_",))


def test_without_a_step_an_interrupt_is_one():
    model = NeuralClassifier([Dense(4), Dense(2)], learning_rate=interrupting(0), **OFTEN)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert not hasattr(model, "weights_")
    with pytest.warns(ConvergenceWarning, match="in epoch 1.* A checkpoint would"):
        model.set_params(learning_rate=interrupting(3)).fit(X, Y)
