"""What every backend must do, on whatever device; called by the CPU's and the GPU's tests."""

import itertools

import numpy as np
from scipy import sparse

from daskdsml import registry
from daskdsml.contracts import Block

TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}
REALS = (np.float64, np.float32)
SHAPES = ((0, 3), (1, 1), (1, 3), (5, 2), (2500, 7))
CASES = list(itertools.product(SHAPES, REALS, (False, True)))
EVERY_LOSS = [registry.find("losses", name) for name in registry.available("losses")]
LOSSES = [loss for loss in EVERY_LOSS if not loss.coupled]


def block_of(shape, real, weighted, csr=False, n_outputs=None):
    """A block (n, p) off zero, with y of 0 and 1, or (n, n_outputs) of numbers."""
    n, p = shape
    rng = np.random.default_rng(n + 100 * p)
    X = ((rng.normal(size=shape) + 0.5) * (rng.random(shape) < 0.6)).astype(real)
    y = rng.integers(0, 2, size=n).astype(float)
    if n_outputs:
        y = rng.normal(size=(n, n_outputs)) + 3.0
    w = rng.uniform(0.0, 2.0, size=n) if weighted else None
    return Block(sparse.csr_matrix(X) if csr else X, y, w)


def check_gradient(backend, csr=False):
    """Value, gradient and Hessian equal those of plain NumPy in float64, up to rounding."""
    for part, case, hessian in itertools.product(LOSSES, CASES, (False, True)):
        loss, block = part(), block_of(*case, csr=csr)
        coef = np.linspace(-0.5, 1.0, case[0][1])
        found = backend.gradient(loss, block, coef, 0.25, hessian)
        value, gradient, curve = _derivatives(loss, block, coef.astype(case[1]), 0.25)
        tolerance = TOLERANCE[case[1]]
        assert_near(found.value, *value, tolerance)
        assert_near(found.gradient, *gradient, tolerance)
        if hessian:
            assert_near(found.hessian, *curve, tolerance)
        else:
            assert found.hessian is None


def check_moments(backend, csr=False):
    """Moments equal those of plain NumPy, in float64 whatever X is in."""
    for case, n_outputs in itertools.product(CASES, (None, 2)):
        block = block_of(*case, csr=csr, n_outputs=n_outputs)
        found = backend.moments(block)
        V = np.column_stack([_dense(block), block.y])
        w = np.ones(len(V)) if block.w is None else block.w
        size = w @ np.abs(V)
        mean = w @ V / (w.sum() or 1.0)
        weighted = w[:, None] * (V - mean)
        assert_near(found.weight, w.sum(), w.sum(), 1e-12)
        assert_near(found.mean, mean, size / (w.sum() or 1.0), 1e-12)
        assert_near(found.cross, weighted.T @ (V - mean), (w[:, None] * V**2).sum(), 1e-12)


def check_column_sums(backend, csr=False):
    """Sums of columns and of their squares, in float64 whatever X is in."""
    for case in CASES:
        block = block_of(*case, csr=csr)
        X = _dense(block)
        w = np.ones(len(X)) if block.w is None else block.w
        sums, squares = backend.column_sums(block)
        assert_near(sums, w @ X, w @ np.abs(X), 1e-12)
        assert_near(squares, w @ X**2, w @ X**2, 1e-12)


def check_results_are_host_float64(backend):
    """What a backend returns is NumPy in float64, or a float: it can be added anywhere."""
    block = block_of((5, 2), np.float32, True)
    loss = registry.find("losses", "logistic")()
    part = backend.gradient(loss, block, np.zeros(2), 0.0, True)
    arrays = [part.gradient, part.hessian, *backend.moments(block)[1:], *backend.column_sums(block)]
    assert [type(array) for array in arrays] == [np.ndarray] * 6
    assert [array.dtype for array in arrays] == [np.float64] * 6
    assert type(part.value) is float


def check_round_trip(backend):
    """What is put on the device comes back as it was."""
    for real in REALS:
        array = np.arange(6, dtype=real).reshape(2, 3)
        back = backend.get(backend.put(array))
        assert type(back) is np.ndarray
        assert back.dtype == real
        np.testing.assert_array_equal(back, array)


def check_input_is_left_alone(backend):
    """No array of a block is written to."""
    for csr in (False, True) if backend_takes_csr(backend) else (False,):
        block = block_of((5, 2), np.float64, True, csr)
        parts = [block.X.data if csr else block.X, block.y, block.w]
        for part in parts:
            part.flags.writeable = False
        loss = registry.find("losses", "logistic")()
        backend.gradient(loss, block, np.zeros(2), 0.0, True)
        backend.moments(block)
        backend.column_sums(block)


def backend_takes_csr(backend):
    """Whether a backend takes CSR blocks: those that stay on the host do."""
    return isinstance(backend.put(np.zeros(1)), np.ndarray)


def assert_near(found, exact, size, tolerance):
    """Each entry within ``tolerance`` of the sum of absolute values ``size`` it was added from."""
    found, exact = np.asarray(found, dtype=float), np.asarray(exact)
    assert found.shape == exact.shape
    excess = np.abs(found - exact) - tolerance * np.asarray(size)
    assert np.all(excess <= 0.0), excess.max()


def _derivatives(loss, block, coef, intercept):
    """(exact, sum of absolute values) of value, gradient and Hessian, in float64."""
    X, y = _dense(block), block.y
    w = np.ones(len(X)) if block.w is None else block.w
    z = X @ coef.astype(float) + intercept
    value, dz = loss.value_and_derivative(np, y, z)
    c = w * loss.second_derivative(np, y, z)
    A = np.column_stack([X, np.ones(len(X))])
    return (
        (w @ value, w @ np.abs(value)),
        (A.T @ (w * dz), np.abs(A).T @ (w * np.abs(dz))),
        (A.T @ (c[:, None] * A), np.abs(A).T @ (c[:, None] * np.abs(A))),
    )


def _dense(block):
    X = block.X.toarray() if sparse.issparse(block.X) else block.X
    return X.astype(float)
