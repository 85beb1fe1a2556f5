"""What neural estimators say of bad data and settings, as an impatient user types them."""

from functools import partial

import dask.array as da
import numpy as np
import pytest

from daskdsml.layers.average_pool2d import AveragePool2D
from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.conv2d import Conv2D
from daskdsml.layers.dense import Dense
from daskdsml.layers.dropout import Dropout
from daskdsml.layers.flatten import Flatten
from daskdsml.layers.gru import GRU
from daskdsml.layers.max_pool2d import MaxPool2D
from daskdsml.neural_network import (
    CNNClassifier,
    MLPClassifier,
    NeuralClassifier,
    NeuralRegressor,
    RNNClassifier,
    SequenceTagger,
)
from daskdsml.neural_network.gradient_flow import gradient_flow
from daskdsml.optimizers.adam import Adam

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(60, 5))
IMAGES = RNG.normal(size=(60, 1, 8, 8))
SERIES = RNG.normal(size=(60, 7, 4))
LABELS = np.arange(60) % 3
TAGS = np.arange(420).reshape(60, 7) % 3
MASK = np.arange(7) < np.arange(60)[:, None] % 8
LAYERS = [GRU(3, return_sequences=True), Dense(3)]


def lazy(a):
    return da.from_array(a, chunks=(20, *a.shape[1:]))


def tagger(**settings):
    return SequenceTagger(LAYERS, **({"max_iter": 1} | settings))


def mlp(**settings):
    return MLPClassifier((4,), **({"max_iter": 1, "tol": None} | settings))


def plain(**settings):
    return NeuralClassifier(**({"layers": [Dense(3)], "max_iter": 1} | settings))


def cnn():
    return CNNClassifier((2,), max_iter=1)


def rnn():
    return RNNClassifier(units=3, max_iter=1)


BOTH = pytest.mark.parametrize("given", [np.asarray, lazy], ids=["memory", "dask"])


@BOTH
@pytest.mark.parametrize(
    ("mask", "held"),
    [
        (MASK * 2.5, "2.5"),
        (np.where(MASK, "yes", "no"), "'(no|yes)'"),
        (np.where(MASK, 1.0, np.nan), "nan"),
        (-MASK.astype(int), "-1"),
        (np.tile(np.arange(7), (60, 1)), "2"),
        (np.where(MASK, True, None), "None"),
    ],
    ids=["numbers", "text", "nan", "negative", "positions", "none"],
)
def test_masks_that_are_no_flags(mask, held, given):
    model = rnn().fit(SERIES, LABELS)
    said = f"mask holds {held}: expected True"
    with pytest.raises(ValueError, match=said):
        model.fit(given(SERIES), given(LABELS), mask=given(mask))
    with pytest.raises(ValueError, match=said):
        np.asarray(model.predict(given(SERIES), mask=given(mask)))


@BOTH
@pytest.mark.parametrize("dtype", [float, np.int8, object])
def test_masks_of_ones_and_zeros_are_flags(dtype, given):
    expected = rnn().fit(SERIES, LABELS, mask=MASK).predict_proba(SERIES, mask=MASK)
    mask = given(MASK.astype(dtype))
    found = rnn().fit(SERIES, LABELS, mask=mask).predict_proba(given(SERIES), mask=mask)
    np.testing.assert_array_equal(found, expected)


def test_masks_that_hide_everything():
    nothing = np.zeros((60, 7), dtype=bool)
    model = tagger().fit(SERIES, TAGS)
    for learn in (model.fit, model.partial_fit, model.score):
        with pytest.raises(ValueError, match="mask hides all steps: expected True"):
            learn(SERIES, TAGS, mask=nothing)
    with pytest.raises(ValueError, match="mask hides all steps"):
        rnn().fit(SERIES, LABELS, mask=nothing)
    with pytest.raises(ValueError, match=r"y holds no label at all. Check how y \(or mask\)"):
        tagger().fit(lazy(SERIES), lazy(TAGS), mask=lazy(nothing))


@pytest.mark.parametrize(
    ("model", "X"),
    [
        (mlp(), TABLE),
        (cnn(), IMAGES),
        (NeuralClassifier([Flatten(), Dense(3)], max_iter=1), SERIES),
    ],
    ids=["table", "images", "flattened"],
)
def test_masks_that_no_layer_heeds(model, X):
    mask, said = np.ones(X.shape[:2], dtype=bool), "no layer of this network goes by steps"
    with pytest.raises(ValueError, match=said):
        model.fit(X, LABELS, mask=mask)
    with pytest.raises(ValueError, match=said):
        model.partial_fit(X, LABELS, classes=[0, 1, 2], mask=mask)
    model.fit(X, LABELS)
    for call in (lambda: model.predict(X, mask=mask), lambda: model.score(X, LABELS, mask=mask)):
        with pytest.raises(ValueError, match=said):
            call()


def test_masks_that_batch_norm_alone_heeds():
    model = NeuralClassifier([BatchNorm(), Flatten(), Dense(3)], max_iter=1)
    shown = model.fit(SERIES, LABELS, mask=MASK | True).predict_proba(SERIES)
    assert not np.array_equal(model.fit(SERIES, LABELS, mask=MASK).predict_proba(SERIES), shown)


@BOTH
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_weights_that_are_none(bad, given):
    w = np.ones(60)
    w[40] = bad
    model = plain(batch_size=10).fit(TABLE, LABELS)
    said = f"sample_weight must be finite and not negative, but holds {bad}"
    for learn in (model.fit, model.partial_fit, model.score):
        with pytest.raises(ValueError, match=said):
            learn(given(TABLE), given(LABELS), sample_weight=given(w))


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ([], r"two labels or more, none of them NaN, got \[\]"),
        ([0], r"two labels or more.*got \[0\]"),
        ([[0, 1, 2]], "two labels or more"),
        ("abc", "two labels or more.*got 'abc'"),
        (3, "two labels or more.*got 3"),
        ([0, 1, np.nan], "none of them NaN"),
        ([0, "a", None], "cannot be compared: NoneType, int, str"),
    ],
    ids=repr,
)
def test_classes_that_are_none(classes, said):
    with pytest.raises(ValueError, match=said):
        plain().partial_fit(TABLE, LABELS, classes=classes)


@BOTH
def test_labels_that_are_none(given):
    y = LABELS.astype(float)
    y[3] = np.inf
    with pytest.raises(ValueError, match="Input y contains infinity.* Drop such rows"):
        plain().fit(given(TABLE), given(y))
    hot = np.eye(3)[LABELS]
    with pytest.raises(ValueError, match=r"rows of shape \(3,\), expected a label.*np.argmax"):
        plain().fit(given(TABLE), given(hot))
    with pytest.raises(ValueError, match="for a label for each time step use SequenceTagger"):
        rnn().fit(given(SERIES), given(TAGS))
    with pytest.raises(ValueError, match=r"rows of shape \(7, 3\), expected \(T,\), a label for"):
        tagger().fit(given(SERIES), given(np.eye(3)[TAGS]))


@pytest.mark.parametrize(
    ("model", "X", "rows"),
    [(rnn(), SERIES, r"\(4,\)"), (tagger(), SERIES, r"\(4,\)"), (cnn(), IMAGES, r"\(8, 8\)")],
    ids=["rnn", "tagger", "cnn"],
)
def test_a_row_alone_is_no_array_of_rows(model, X, rows):
    model.fit(X, TAGS if isinstance(model, SequenceTagger) else LABELS)
    with pytest.raises(ValueError, match=f"X has rows of shape {rows}, but .* was fitted to rows"):
        model.predict(X[0])


def test_validation_rows_that_do_not_fit():
    seen = []
    model = plain(early_stopping=True, callbacks=[lambda m, record: seen.append(record)])
    with pytest.raises(ValueError, match="mask_val was given without X_val"):
        model.fit(TABLE, LABELS, mask_val=MASK)
    model.set_params(layers=[GRU(3), Dense(3)])
    with pytest.raises(ValueError, match=r"X has rows of shape \(7, 3\), but .* \(7, 4\)"):
        model.fit(SERIES, LABELS, X_val=SERIES[..., :3], y_val=LABELS)
    assert not seen
    with pytest.raises(ValueError, match=r"1 of 1 rows.*Lower the fraction \(validation_fraction"):
        NeuralRegressor([Dense(1)], early_stopping=True).fit(TABLE[:1], LABELS[:1])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"callbacks": print}, r"in a list, got <built-in function print>. Pass \[f\]"),
        ({"callbacks": 3}, "in a list, got 3"),
        ({"layers": [Dense, Dense(3)]}, r"which is no layer.*with their settings: Dense\(64\)"),
        ({"solver": Adam}, "solver must be one of .*got <class"),
        ({"learning_rate": lambda step, epoch, n: np.nan}, "learning_rate gave nan at step 0"),
        ({"learning_rate": lambda step, epoch, n: "x"}, "learning_rate gave 'x' at step 0"),
        ({"learning_rate": lambda step, epoch, n: -1.0}, "a finite factor of at least 0"),
        ({"random_state": -1}, "random_state of NeuralClassifier must be an integer of at least 0"),
        ({"dtype": None}, "dtype must be 'float32' or 'float64', got None"),
        ({"dtype": "words"}, "dtype must be 'float32' or 'float64', got 'words'"),
        ({"l1": np.inf}, "l1 of NeuralClassifier must be .* finite, got inf"),
        ({"class_weight": np.ones(3)}, "class_weight must be a dict, 'balanced' or None"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_settings_that_are_none(settings, said):
    with pytest.raises(ValueError, match=said):
        plain(**settings).fit(TABLE, LABELS)


@pytest.mark.parametrize("dtype", [np.float64, np.dtype("float64"), float])
def test_precisions_may_be_types(dtype, tmp_path):
    model = plain(dtype=dtype).fit(TABLE, LABELS)
    model.save(tmp_path / "model")
    other = NeuralClassifier.load(tmp_path / "model")
    assert other.predict_proba(TABLE).dtype == "float64"
    np.testing.assert_array_equal(other.predict_proba(TABLE), model.predict_proba(TABLE))


@pytest.mark.parametrize("sizes", [3.5, None, "abc", (0,), -3, (4, 2.5)], ids=repr)
def test_sizes_that_are_none(sizes):
    with pytest.raises(ValueError, match="hidden_layer_sizes must be a positive integer or"):
        MLPClassifier(sizes).fit(TABLE, LABELS)


def test_momentum_and_cells():
    with pytest.raises(ValueError, match="momentum of MLPClassifier .* at most 1, got 2"):
        mlp(momentum=2).fit(TABLE, LABELS)
    with pytest.raises(ValueError, match=r"Unknown cell \['gru'\]: expected one of"):
        RNNClassifier(["gru"]).fit(SERIES, LABELS)


def test_tables_that_hold_no_numbers():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(TABLE).assign(day=pd.Timestamp("2020-01-01"))
    with pytest.raises(ValueError, match="X must hold numbers, but .*'day'.*Encode or drop"):
        plain().fit(frame, LABELS)
    with pytest.raises(ValueError, match="could not convert string to float: 'x'. Encode or drop"):
        plain().fit(frame.assign(day="x"), LABELS)
    with pytest.raises(ValueError, match="Complex data not supported: X has dtype complex128"):
        plain().fit(TABLE * 1j, LABELS)


def test_a_callback_that_fails_leaves_the_epoch_before_it():
    def stumble(model, record):
        if record.epoch == 2:
            raise RuntimeError("the disk is full")

    model = plain(max_iter=4, callbacks=[stumble])
    with pytest.raises(RuntimeError, match="the disk is full"):
        model.fit(TABLE, LABELS)
    assert model.n_iter_ == 2
    assert np.isfinite(model.predict_proba(TABLE)).all()


@pytest.mark.parametrize("lazy", [False, True])
def test_a_value_that_is_not_finite_is_named_wherever_it_is_met(lazy):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 3)), rng.integers(0, 2, 300)
    bad = np.where((np.arange(300) == 130)[:, None] & (np.arange(3) == 2), np.nan, X)
    Xd, yd = da.from_array(bad, chunks=(70, 3)), da.from_array(y, chunks=70)
    given = (Xd, yd) if lazy else (bad, y)
    model = NeuralClassifier([Dense(2)], max_iter=1).fit(X, y)
    for call in (model.partial_fit, model.fit, model.score, partial(gradient_flow, model)):
        with pytest.raises(ValueError, match="Input X contains NaN at row 130, column 2, but"):
            call(*given)
    with pytest.raises(ValueError, match="NaN at row 130, column 2"):
        full = MLPClassifier(solver="lbfgs", max_iter=3)
        full.fit(*given)
    if not lazy:
        with pytest.raises(ValueError, match="NaN at row 130, column 2"):
            model.predict(bad)
        with pytest.raises(ValueError, match="infinity at row 7, column 0"):
            NeuralRegressor([Dense(1)]).fit(X, np.where(np.arange(300) == 7, np.inf, 1.0))
        with pytest.raises(ValueError, match=r"row 130, column 2.*of shape \(1, 3\), flattened"):
            NeuralClassifier([Flatten(), Dense(2)]).fit(bad[:, None], y)
        with pytest.raises(ValueError, match="too large for float32"):
            NeuralClassifier([Dense(2)]).fit(X * 1e60, y)


def test_labels_that_were_not_learned_are_scored_as_wrong():
    X, y = np.arange(6.0)[:, None] - 2.5, np.array([0, 0, 0, 1, 1, 1])
    model = NeuralClassifier([Dense(1)], max_iter=200, learning_rate_init=0.1).fit(X, y)
    np.testing.assert_allclose(model.score(X, [0, 0, 2, 1, 1, 1]), 5 / 6)
    with pytest.raises(ValueError, match="Mix of label input types"):
        model.score(X, list("001111"))


def test_a_column_of_numbers_is_a_vector():
    X = np.random.default_rng(0).normal(size=(50, 2))
    column, row = X[:, :1] * 2.0, X[:, 0] * 2.0
    for data in (X, da.from_array(X, chunks=(20, 2))):
        model = NeuralRegressor([Dense(1)], max_iter=2, shuffle=False).fit(data, column)
        assert model.predict(data).shape == (50,)
        other = NeuralRegressor([Dense(1)], max_iter=2, shuffle=False).fit(data, row)
        np.testing.assert_array_equal(model.weights_[0]["W"], other.weights_[0]["W"])
        np.testing.assert_allclose(model.score(X, column), other.score(X, row))
        model.partial_fit(X, row)


def test_images_with_their_channels_last():
    X, y = np.moveaxis(np.repeat(IMAGES, 3, axis=1), 1, 3), np.arange(60) % 2
    first = np.ascontiguousarray(np.moveaxis(X, 3, 1))
    settings = {"filters": (2,), "max_iter": 2}
    for model in (CNNClassifier(**settings), NeuralClassifier([Conv2D(2), Flatten(), Dense(2)])):
        with pytest.raises(ValueError, match=r"rows of shape \(8, 8, 3\), which look like images"):
            model.fit(X, y)
    here = CNNClassifier(**settings).fit(first, y)
    last = CNNClassifier(**settings, data_format="channels_last")
    for data in (X, lazy(X)):
        np.testing.assert_array_equal(last.fit(data, y).predict_proba(X), here.predict_proba(first))
    as_they_are = CNNClassifier(**settings, data_format="channels_first").fit(X, y)
    assert as_they_are.weights_[0]["K"].shape == (2, 8, 3, 3)
    with pytest.raises(ValueError, match="data_format of Conv2D must be"):
        CNNClassifier(data_format="NHWC").fit(X, y)


def images_last(first, second, pool):
    """A network that is told of channels last by some of its layers."""
    return [
        Dropout(0.2),
        Conv2D(5, data_format=first),
        AveragePool2D(2, 1, pool),
        BatchNorm(),
        Conv2D(4, 2, data_format=second),
        Flatten(),
        Dense(2),
    ]


LAST = "channels_last"


@pytest.mark.parametrize(
    "told", [(LAST, LAST, LAST), (LAST, None, None), (None, LAST, None), (None, None, LAST)]
)
def test_channels_last_told_by_any_layer_are_those_of_the_images(told):
    X, y = np.random.default_rng(0).normal(size=(60, 8, 7, 3)), np.arange(60) % 2
    first = np.ascontiguousarray(np.moveaxis(X, 3, 1))
    last = NeuralClassifier(images_last(*told), max_iter=3).fit(X, y)
    here = NeuralClassifier(images_last(None, None, None), max_iter=3).fit(first, y)
    assert last.weights_[4]["K"].shape == (4, 5, 2, 2)
    assert last.out_shape_ == (2,)
    for one, other in zip(last.weights_, here.weights_, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    np.testing.assert_array_equal(last.predict_proba(lazy(X)), here.predict_proba(first))
    assert last.describe().layers[1].output_shape == (5, 6, 5)


def test_layers_that_tell_both_formats():
    model = NeuralClassifier(images_last(LAST, "channels_first", None))
    with pytest.raises(ValueError, match="Give one of both, to the first layer or to all"):
        model.fit(np.ones((60, 8, 8, 3)), np.arange(60) % 2)
    with pytest.raises(ValueError, match="data_format of MaxPool2D must be"):
        MaxPool2D(data_format="NHWC")


@pytest.mark.parametrize("shape", [(60, 0, 3), (60, 4, 0), (60, 1, 0, 8)])
def test_rows_that_are_empty(shape):
    model = RNNClassifier() if len(shape) == 3 else CNNClassifier()
    for X in (np.zeros(shape), da.zeros(shape)):
        with pytest.raises(ValueError, match="whose rows are empty: expected one entry or more"):
            model.fit(X, np.arange(60) % 2)
