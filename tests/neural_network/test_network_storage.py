"""Networks in files: what comes back, what is refused."""

import json

import numpy as np
import pytest

from daskdsml.layers.conv2d import Conv2D
from daskdsml.layers.dense import Dense
from daskdsml.layers.dropout import Dropout
from daskdsml.layers.flatten import Flatten
from daskdsml.layers.lstm import LSTM
from daskdsml.neural_network import _storage
from daskdsml.neural_network._storage import from_json, load, save, to_json
from daskdsml.optimizers.adam import Adam
from daskdsml.optimizers.schedules.cosine import Cosine

VALUES = [
    None,
    True,
    3,
    0.1,
    float("inf"),
    "text",
    [1, "two", [None]],
    (1, (2, [3])),
    {"a": 1, 2: ("b",), None: {}},
    Adam(0.01, beta_1=0.8),
    Cosine(warmup=0.1),
    [Conv2D(8, (3, 5), padding="same", activation="relu"), Flatten(), Dense(3), Dropout(0.5)],
    LSTM(4, return_sequences=True, initial_state="learned"),
    np.dtype("float32"),
]
LABELS = [
    np.array(["no", "yes", "ß"]),
    np.array([b"no", b"yes"]),
    np.array([-1, 1], "int8"),
    np.array([False, True]),
    np.array([0.5, 1.5], "float32"),
    np.array(["2020-01-01", "2021-01-01"], "datetime64[D]"),
    np.array(["no", "yes", "a much longer one"], object),
    np.array([["a", 1], [2.5, True]], object),
    np.array(["no", "yes"], np.dtypes.StringDType()),
    np.array([], object),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_equal(value):
    found = from_json(json.loads(json.dumps(to_json(value))))
    assert found == value
    assert type(found) is type(value)


def test_numpy_numbers_come_back_as_plain_ones():
    found = from_json(to_json([np.int64(3), np.float32(0.5), np.bool_(True), Dense(np.int64(4))]))
    assert found == [3, 0.5, True, Dense(4)]
    assert [type(entry) for entry in found] == [int, float, bool, Dense]
    assert from_json(to_json(np.float32)) == np.dtype("float32")


@pytest.mark.parametrize("labels", LABELS, ids=lambda labels: str(labels.dtype))
def test_arrays_come_back_as_they_were(tmp_path, labels):
    path = tmp_path / "net"
    weights = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    save(path, {}, {"classes": labels, "weights": weights, "number": np.array(7)})
    header, arrays = load(path)
    assert header == {}
    assert arrays["classes"].dtype == labels.dtype
    assert arrays["classes"].shape == labels.shape
    assert arrays["classes"].tolist() == labels.tolist()
    assert [type(a) for a in arrays["classes"].flat] == [type(a) for a in labels.flat]
    assert arrays["weights"].tobytes() == weights.tobytes()
    assert arrays["number"].item() == 7


def test_the_file_is_a_plain_archive(tmp_path):
    save(tmp_path / "net.npz", {"layers": [Dense(2, "relu")]}, {"theta": np.arange(3.0)})
    with np.load(tmp_path / "net.npz", allow_pickle=False) as file:
        assert set(file.files) == {"header", "theta"}
        header = json.loads(file["header"].item())
    drawn = {"bias": True, "weights": None, "trainable": True}
    assert header["content"]["dict"] == [
        ["layers", [{"layer": "dense", "settings": {"units": 2, "activation": "relu"} | drawn}]]
    ]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "net"
    save(path, {"n": 1}, {"theta": np.arange(3.0)})

    def broken(file, **arrays):
        file.write(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(_storage.np, "savez", broken)
    with pytest.raises(OSError, match="no space left"):
        save(path, {"n": 2}, {"theta": np.arange(4.0)})
    assert [entry.name for entry in tmp_path.iterdir()] == ["net"]
    header, arrays = load(path)
    assert header == {"n": 1}
    assert len(arrays["theta"]) == 3


def test_a_file_is_replaced(tmp_path):
    for n in (1, 2):
        save(tmp_path / "net", {"n": n}, {})
    assert load(tmp_path / "net") == ({"n": 2}, {})


class Stranger(tuple):
    """No part of the package."""

    def _asdict(self):
        return {}


@pytest.mark.parametrize(
    "value", [abs, object(), {1, 2}, [lambda step: 1.0]], ids=["function", "object", "set", "list"]
)
def test_what_cannot_be_saved(value):
    with pytest.raises(ValueError, match="Cannot save .*: expected numbers, text, lists"):
        to_json(value)


def test_parts_of_others_cannot_be_saved():
    with pytest.raises(ValueError, match=r"Cannot save \(\): .*Stranger is no part of daskdsml"):
        to_json(Stranger())
    with pytest.raises(ValueError, match="_State is no part of daskdsml"):
        to_json(Adam().init(np.zeros(2)))


def test_arrays_that_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="Cannot save the array 'a' of dtype .*Convert it"):
        save(tmp_path / "net", {}, {"a": np.zeros(2, [("x", float)])})
    with pytest.raises(ValueError, match="Cannot save .*set"):
        save(tmp_path / "net", {}, {"a": np.array([set()], object)})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["text", "empty", "npy", "npz", "pickle", "cut"])
def test_files_of_others_are_refused(tmp_path, content):
    path = tmp_path / "net"
    if content == "npz":
        with path.open("wb") as file:
            np.savez(file, theta=np.zeros(3))
    elif content in ("npy", "pickle"):
        with path.open("wb") as file:
            np.save(file, np.zeros(3, float if content == "npy" else object))
    elif content == "cut":
        save(path, {}, {"theta": np.zeros(100)})
        path.write_bytes(path.read_bytes()[:-50])
    else:
        path.write_text("theta = 1" if content == "text" else "")
    with pytest.raises(ValueError, match=f"'{path}' is no network saved by daskdsml, or is damag"):
        load(path)


def test_damage_within_the_file_is_found(tmp_path):
    path = tmp_path / "net"
    save(path, {}, {"theta": np.full(100, 3.0)})
    content = bytearray(path.read_bytes())
    content[content.index(np.float64(3.0).tobytes()) + 7] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="or is damaged"):
        load(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "net")
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "nowhere" / "net", {}, {})


def test_a_newer_file_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(_storage, "VERSION", 7)
    save(tmp_path / "net", {}, {})
    monkeypatch.setattr(_storage, "VERSION", 1)
    with pytest.raises(ValueError, match="has version 7 .* up to version 1. Install a newer"):
        load(tmp_path / "net")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"layer": "dance", "settings": {}}, "layer 'dance' .*Unknown layer 'dance': expected one"),
        ({"layer": "dense", "settings": {"size": 3}}, "layer 'dense' .* cannot make: .*'size'"),
        ({"layer": "dense", "settings": {"units": 0}}, "units of Dense must be .* got 0"),
        ({"thing": 3}, "holds {'thing': 3}, which is no value this daskdsml knows"),
    ],
)
def test_parts_this_version_does_not_have(value, message):
    with pytest.raises(ValueError, match=message):
        from_json(value)
