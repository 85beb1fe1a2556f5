"""Array-likes that lie outside of memory: small ones are read, large ones refused."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from tables import classes, dask_rows

from daskdsml.data import dataset
from daskdsml.inference import infer
from daskdsml.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from daskdsml.neural_network import MLPClassifier, WindowedSequences

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")

X, Y, W = classes(200, 4)
MODELS = [
    LogisticRegression(),
    SGDClassifier("log_loss", max_iter=2, tol=None),
    MLPClassifier((3,), max_iter=2, tol=None),
]


@pytest.fixture
def stored(tmp_path):
    """What stores an array in a file, by kind."""
    with h5py.File(tmp_path / "a.h5", "w") as file:

        def hdf5(a):
            return file.create_dataset(str(len(file)), data=a)

        def zarred(a):
            return zarr.array(a, store=str(tmp_path / f"{len(list(tmp_path.iterdir()))}.zarr"))

        yield {"h5py": hdf5, "zarr": zarred}


REMEDIES = {"h5py": r"from_array\({}, chunks='auto'\)", "zarr": r"from_zarr\({}\)"}
both = pytest.mark.parametrize("kind", REMEDIES)


@both
@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_large_ones_are_refused(stored, kind, model, monkeypatch):
    A, y, w = map(stored[kind], (X, Y, W))
    expected = model.fit(X, Y).predict(X)
    np.testing.assert_array_equal(model.fit(A, y).predict(A), expected)
    model.score(A, y)
    monkeypatch.setattr(dataset, "LARGEST_READ", 1000)

    def refused(name):
        remedy = REMEDIES[kind].format(name)
        return pytest.raises(ValueError, match=f"{name} is a {kind}.* MiB.*{remedy}")

    for lazy in (X, dask_rows(X, 3)):
        with refused("y"):
            model.fit(lazy, y)
        with refused("sample_weight"):
            model.fit(lazy, Y, sample_weight=w)
    for method in (model.fit, model.score):
        with refused("X"):
            method(A, Y)
    for method in (model.predict, model.predict_proba):
        with refused("X"):
            method(A)


@both
def test_elsewhere(stored, kind, monkeypatch):
    A, groups = stored[kind](X), stored[kind](np.arange(200) % 20)
    model = LinearRegression().fit(X, Y)
    infer(model, A, Y, cov_type="cluster", groups=groups)
    monkeypatch.setattr(dataset, "LARGEST_READ", 1000)
    for name, given in (("X", (A, Y)), ("groups", (X, Y))):
        with pytest.raises(ValueError, match=f"{name} is a .*would be read whole"):
            infer(model, *given, cov_type="cluster", groups=groups if name == "groups" else W)
    with pytest.raises(ValueError, match="would be read whole"):
        WindowedSequences(A, 3)


def test_arrays_of_other_packages(monkeypatch):
    xarray = pytest.importorskip("xarray")
    A = xarray.DataArray(X)
    np.testing.assert_array_equal(Ridge().fit(A, Y).coef_, Ridge().fit(X, Y).coef_)
    monkeypatch.setattr(dataset, "LARGEST_READ", 1000)
    with pytest.raises(ValueError, match=r"X is a xarray.*X.chunk\(\).data"):
        Ridge().fit(A, Y)


def test_what_is_in_memory_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "LARGEST_READ", 1000)
    mapped = np.memmap(tmp_path / "x", dtype=float, mode="w+", shape=X.shape)
    mapped[:] = X
    for A in (mapped, pd.DataFrame(X), sparse.csr_matrix(X), sparse.coo_array(X), X.tolist()):
        Ridge().fit(A, pd.Series(Y), sample_weight=pd.array(W))
