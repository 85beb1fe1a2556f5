"""The compiled kernels against plain NumPy."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy import sparse

pytest.importorskip("numba")

from numba import njit  # noqa: E402

from daskdsml.backends import _kernels, _model_kernels, _scalar  # noqa: E402
from daskdsml.backends import numpy as numpy_backend  # noqa: E402
from daskdsml.losses.logistic import Logistic  # noqa: E402
from daskdsml.losses.squared_error import SquaredError  # noqa: E402


class Huber(NamedTuple):
    """A loss with a parameter, which kernels have to read at run time."""

    epsilon: float

    def value_and_derivative(self, xp, y, z):
        residual = z - y
        clipped = xp.maximum(xp.minimum(residual, self.epsilon), -self.epsilon)
        return clipped * (residual - 0.5 * clipped), clipped

    def second_derivative(self, xp, y, z):
        return xp.where(xp.abs(z - y) <= self.epsilon, 1.0, 0.0)


# Each pair of loss, precision and weights occurs; all triples would compile for a minute.
CASES = [
    (Logistic(), np.float64, True),
    (Logistic(), np.float32, False),
    (SquaredError(), np.float64, False),
    (SquaredError(), np.float32, True),
    (Huber(0.5), np.float64, True),
    (Huber(2.0), np.float64, True),  # the same machine code as the case before
    (Huber(0.5), np.float32, False),
]
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}
SHAPES = [(n, p) for n in (0, 1, 7, 63, 64, 65, 1000) for p in (1, 2, 15, 100)]
every_case = pytest.mark.parametrize("loss, real, weighted", CASES)
every_precision = pytest.mark.parametrize("real", [np.float64, np.float32])


def problem(n, p, real, weighted, density=1.0):
    rng = np.random.default_rng(n + 1000 * p)
    X = rng.normal(size=(n, p)) * (rng.random((n, p)) < density)
    y = rng.integers(0, 2, size=n).astype(float)
    w = rng.uniform(0.5, 2.0, size=n) if weighted else None
    return X.astype(real), y, w, (rng.normal(size=p) / np.sqrt(p)).astype(real), 0.25


def exact_sums(loss, X, y, w, coef, intercept):
    """Each sum in float64, and the sum of absolute values its rounding error is relative to."""
    X = X.astype(float)
    w = np.ones(len(X)) if w is None else w
    z = X @ coef.astype(float) + intercept
    value, dz = loss.value_and_derivative(np, y, z)
    curvature = w * loss.second_derivative(np, y, z)
    terms = {
        "value": w * value,
        "residual": w * dz,
        "grad": (w * dz)[:, None] * X,
        "sums": w[:, None] * X,
        "squares": w[:, None] * X * X,
    }
    sums = {name: (term.sum(0), np.abs(term).sum(0)) for name, term in terms.items()}
    X = np.column_stack([X, np.ones(len(X))])
    weighted_rows = curvature[:, None] * X
    return {**sums, "hess": (X.T @ weighted_rows, np.abs(X).T @ np.abs(weighted_rows))}


def assert_near(found, reference, real):
    exact, size = reference
    excess = np.abs(found - exact) - TOLERANCE[real] * size
    assert np.all(excess <= 0), excess.max()


@every_case
def test_dense_gradient(loss, real, weighted):
    for n, p in SHAPES:
        arguments = problem(n, p, real, weighted)
        exact = exact_sums(loss, *arguments)
        grad = np.zeros(p)
        value, residual = _kernels.dense_gradient(loss, *arguments, grad)
        assert_near(value, exact["value"], real)
        assert_near(residual, exact["residual"], real)
        assert_near(grad, exact["grad"], real)


@every_case
def test_dense_weighted_tile(loss, real, weighted):
    for n, p in SHAPES:
        arguments = problem(n, p, real, weighted)
        exact = exact_sums(loss, *arguments)
        grad, root = np.zeros(p), np.full((n, p + 1), np.nan, real)
        value, residual = _kernels.dense_weighted_tile(loss, *arguments, grad, root)
        assert_near(value, exact["value"], real)
        assert_near(residual, exact["residual"], real)
        assert_near(grad, exact["grad"], real)
        assert_near(root.astype(float).T @ root.astype(float), exact["hess"], real)


@every_case
def test_csr_kernels(loss, real, weighted):
    integer = np.int64 if type(loss) is SquaredError else np.int32
    for n, p in SHAPES:
        X, y, w, coef, intercept = problem(n, p, real, weighted, density=0.3)
        exact = exact_sums(loss, X, y, w, coef, intercept)
        csr = sparse.csr_array(X)
        entries = csr.data, csr.indices.astype(integer), csr.indptr.astype(integer)
        grad, hess = np.zeros(p), np.zeros((p + 1, p + 1))
        value, residual = _kernels.csr_gradient(loss, *entries, y, w, coef, intercept, grad)
        assert_near(value, exact["value"], real)
        assert_near(residual, exact["residual"], real)
        assert_near(grad, exact["grad"], real)
        _kernels.csr_hessian(loss, *entries, y, w, coef, intercept, hess)
        assert_near(hess, [np.tril(part) for part in exact["hess"]], real)


@every_case
@pytest.mark.parametrize("grouped", [False, True])
def test_link_models(loss, real, weighted, grouped):
    for n, M in [(0, 1), (1, 1), (7, 3), (513, 1), (513, 5)]:
        rng = np.random.default_rng(n)
        z, y = rng.normal(size=(M, n)).astype(real), rng.integers(0, 2, size=n).astype(real)
        w = (rng.integers(0, 3, size=n) if weighted else np.ones(n)).astype(real)
        g = rng.integers(0, 4, size=n) if grouped else np.zeros(n, int)
        member = rng.integers(0, 3, size=(4 if grouped else 1, M)).astype(real)
        member = member if grouped else np.ones_like(member)
        losses, slopes = loss.value_and_derivative(np, y.astype(float), z.astype(float))
        exact = np.stack([(w * losses)[:, g == group].sum(axis=1) for group in range(len(member))])
        size = np.abs(losses).sum() + 1.0
        value = np.ones(member.shape)
        arguments = (g, member) if grouped else (None, None)
        _model_kernels.link_models(loss, y, w, *arguments, z, value)
        assert_near(value - 1.0, (exact, 3.0 * size), real)
        assert_near(z, (w * member[g].T * slopes, 10.0 + np.abs(slopes)), real)


@every_case
@pytest.mark.parametrize("columns", [None, [], [0, 2]])
def test_root_of_hessian(loss, real, weighted, columns):
    for n in (0, 1, 7, 513):
        X, y, w, coef, intercept = problem(n, 3, real, weighted)
        exact, size = exact_sums(loss, X, y, w, coef, intercept)["hess"]
        w = np.ones(n) if w is None else w
        z = X @ coef + real(intercept)
        kept = [*(range(3) if columns is None else columns), 3]
        some = None if columns is None else np.array(columns, int)
        root = np.full((n, len(kept)), np.nan, real)
        _model_kernels.root_of_hessian(loss, X, y.astype(real), w.astype(real), z, some, root)
        product = root.astype(float).T @ root.astype(float)
        assert_near(product, (exact[np.ix_(kept, kept)], size[np.ix_(kept, kept)]), real)


@pytest.mark.parametrize("weighted", [False, True])
@every_precision
def test_column_sums(real, weighted):
    for n, p in SHAPES:
        X, y, w, coef, intercept = problem(n, p, real, weighted, density=0.3)
        exact = exact_sums(SquaredError(), X, y, w, coef, intercept)
        csr = sparse.csr_array(X)
        for codes in (None, np.arange(n) % 3):
            sums, squares = np.zeros((2, 3, p)), np.zeros((2, p))
            _kernels.dense_column_sums(X, w, codes, sums[0], squares[0])
            _kernels.csr_column_sums(
                csr.data, csr.indices, csr.indptr, w, codes, sums[1], squares[1]
            )
            for i in range(2):  # in float64 throughout, whatever the data are in
                assert_near(sums[i].sum(axis=0), exact["sums"], np.float64)
                assert_near(squares[i], exact["squares"], np.float64)


def test_kernels_add_to_what_is_there():
    arguments = problem(65, 3, np.float64, True)
    once, twice = np.zeros(3), np.zeros(3)
    _kernels.dense_gradient(Logistic(), *arguments, once)
    for _ in range(2):
        _kernels.dense_gradient(Logistic(), *arguments, twice)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-14)


def test_memory_mapped_blocks(tmp_path):
    X, y, w, coef, intercept = problem(100, 5, np.float64, True)
    for name, array in {"X": X, "y": y, "w": w}.items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "Xyw"]
    usual, from_disk = np.zeros(5), np.zeros(5)
    expected = _kernels.dense_gradient(Logistic(), X, y, w, coef, intercept, usual)
    assert _kernels.dense_gradient(Logistic(), *mapped, coef, intercept, from_disk) == expected
    np.testing.assert_array_equal(from_disk, usual)


def test_nan_reaches_the_result():
    X, y, w, coef, intercept = problem(65, 3, np.float64, False)
    X[40, 1] = np.nan
    grad = np.zeros(3)
    value, residual = _kernels.dense_gradient(Logistic(), X, y, w, coef, intercept, grad)
    assert np.isnan([value, residual, *grad]).all()


@pytest.mark.parametrize("loss", [Logistic(), SquaredError()], ids=repr)
def test_float32_is_not_promoted(loss):
    @njit
    def both(loss, y, z):
        pair = _kernels._value_and_derivative(loss, y, z)
        return (*pair, _kernels._second_derivative(loss, y, z))

    both(loss, np.float32(1), np.float32(0.5))
    assert str(both.nopython_signatures[0].return_type) == "UniTuple(float32 x 3)"


def in_a_loop(function):
    @njit
    def loop(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    def apply(x):
        out = np.empty_like(x)
        loop(x, out)
        return out

    return apply


REFERENCES = [
    ("exp", np.exp, [(-700.0, 709.0), (-86.0, 88.0)]),
    ("log1p", np.log1p, [(-1.0, 50.0), (-1.0, 50.0)]),
    ("log", np.log, [(1e-300, 50.0), (1e-30, 50.0)]),
    ("tanh", np.tanh, [(-20.0, 20.0), (-20.0, 20.0)]),
]


@pytest.mark.parametrize("name, reference, ranges", REFERENCES, ids=[r[0] for r in REFERENCES])
@every_precision
def test_functions_keep_their_precision(name, reference, ranges, real):
    rng = np.random.default_rng(0)
    low, high = ranges[real is np.float32]
    x = np.concatenate([rng.uniform(low, high, 100_000), 10.0 ** rng.uniform(-25, 0, 100_000)])
    x = x.astype(real)
    x = x[x > low]
    exact = reference(x.astype(np.longdouble))
    error = np.abs(in_a_loop(getattr(_scalar, name))(x) - exact)
    tolerance = 4e-16 if real is np.float64 else 2e-7
    assert np.all(error <= tolerance * np.abs(exact))


SPECIAL = {
    np.float64: [np.nan, np.inf, -np.inf, 0.0, -0.0, 709.78, 709.79, -744.0, -746.0, 1.7e308],
    np.float32: [np.nan, np.inf, -np.inf, 0.0, -0.0, 88.72, 88.73, -103.0, -105.0, 3.3e38],
}


@pytest.mark.parametrize("name", ["exp", "log1p", "log", "tanh", "sign", "abs", "sqrt"])
@every_precision
def test_special_values(name, real):
    x = np.array([*SPECIAL[real], -1.0, -2.0, 1.0], real)
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x)
    found = in_a_loop(getattr(_scalar, name))(x)
    np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(real).eps)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_extremes_let_nan_through(name):
    x, y = np.array([1.0, 2.0, np.nan, 1.0]), np.array([2.0, 1.0, 1.0, np.nan])
    found = [getattr(_scalar, name)(a, b) for a, b in zip(x, y, strict=True)]
    np.testing.assert_array_equal(found, getattr(np, name)(x, y))


SCRIPT = """
import importlib, json, sys
import numpy as np
from daskdsml.backends import _kernels
loss = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])()
X, grad = np.ones((4, 2)), np.zeros(2)
value, _ = _kernels.dense_gradient(loss, X, np.ones(4), None, np.ones(2), 0.0, grad)
stats = _kernels.dense_gradient.stats
print(json.dumps([sum(stats.cache_hits.values()), value]))
"""

LOSS = """
from typing import NamedTuple

class Scaled(NamedTuple):
    scale: float = 1.0

    def value_and_derivative(self, xp, y, z):
        return self.scale * {factor} * z, 0.0 * z
"""


def in_new_process(tmp_path, module, name):
    """Return the number of cache hits and the value, as a process without a history finds them."""
    package = Path(_kernels.__file__).parents[2]
    path = os.pathsep.join([str(package), str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": path}
    command = [sys.executable, "-B", "-c", SCRIPT, module, name]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(output.stdout)


def test_cache_lives_on_disk_and_notices_an_edited_loss(tmp_path):
    source = tmp_path / "made_up_loss.py"
    source.write_text(LOSS.format(factor="1.0"))
    assert in_new_process(tmp_path, "made_up_loss", "Scaled") == [0, 8.0]
    assert in_new_process(tmp_path, "made_up_loss", "Scaled") == [1, 8.0]
    source.write_text(LOSS.format(factor="3.0"))
    assert in_new_process(tmp_path, "made_up_loss", "Scaled") == [0, 24.0]
    source.unlink()  # others must not need a loss that can no longer be imported
    assert in_new_process(tmp_path, "daskdsml.losses.squared_error", "SquaredError")[0] == 0


@pytest.mark.parametrize("density", [0.0, 0.02, 0.2, 1.0])
def test_products_of_csr_rows_however_full(density):
    rng = np.random.default_rng(0)
    X, c = rng.normal(size=(700, 600)) * (rng.random((700, 600)) < density), rng.normal(size=700)
    found = numpy_backend._cross(sparse.csr_array(X), c)
    np.testing.assert_allclose(found, X.T @ (c[:, None] * X), atol=1e-10)
