"""What every backend must do, on whatever device; called by the CPU's and the GPU's tests."""

import itertools

import numpy as np
from scipy import sparse

from daskdsml.contracts import Block
from daskdsml.losses.logistic import Logistic
from daskdsml.losses.multinomial import Multinomial
from daskdsml.utils import registry

TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}
REALS = (np.float64, np.float32)
SHAPES = ((0, 3), (1, 1), (1, 3), (5, 2), (2500, 7))
CASES = list(itertools.product(SHAPES, REALS, (False, True)))
EVERY_LOSS = [registry.find("losses", name) for name in registry.available("losses")]
LOSSES = [loss for loss in EVERY_LOSS if not loss.coupled]
GROUPS = 3
# Each combination is compiled anew, for seconds. A loss meets the rest of a kernel in two calls, so
# one loss comes with every pair of precision, weights and Hessian; the others with one combination
# for each layout, of which that with a Hessian needs the second derivative too.
GRADIENT_CASES = [
    (np.float64, True, True),
    (np.float64, False, False),
    (np.float32, True, False),
    (np.float32, False, True),
]
OTHER_LOSSES = [loss() for loss in LOSSES if loss is not Logistic]
# Loss, precision, weighted, grouped.
MODELS_CASES = [
    *itertools.product([Logistic(), Multinomial(3)], REALS, (False, True), (False, True)),
    *[(loss, np.float64, True, True) for loss in OTHER_LOSSES],
]


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


def check_gradient(backend, loss, csr=False):
    """Value, gradient and Hessian equal those of plain NumPy in float64, up to rounding."""
    cases = GRADIENT_CASES if loss is Logistic else [(np.float64, True, not csr)]
    loss = loss()
    for (real, weighted, hessian), shape in itertools.product(cases, SHAPES):
        block = block_of(shape, real, weighted, csr)
        coef = np.linspace(-0.5, 1.0, shape[1])
        found = backend.gradient(loss, block, coef, 0.25, hessian)
        value, gradient, curve = _derivatives(loss, block, coef.astype(real), 0.25)
        tolerance = TOLERANCE[real]
        assert_near(found.value, *value, tolerance)
        assert_near(found.gradient, *gradient, tolerance)
        if hessian:
            assert_near(found.hessian, *curve, tolerance)
        else:
            assert found.hessian is None


def check_models(backend, csr=False):
    """Values of groups, gradients and Hessians of many models, against sums written out."""
    for (loss, real, weighted, grouped), shape in itertools.product(MODELS_CASES, SHAPES):
        block, coef, intercept, member = models_of(loss, shape, real, weighted, grouped, csr)
        some = np.arange(1, shape[1], 2)
        curved = ((2, None), (0, some), (2, some))
        found = backend.models(loss, block, coef, intercept, member, curved)
        assert len(found.hessians) == len(curved)
        for m in range(len(coef)):
            wanted = [(i, columns) for i, (model, columns) in enumerate(curved) if model == m]
            _check_model(found, loss, block, coef, intercept, member, m, wanted, TOLERANCE[real])


def check_models_are_each_by_itself(backend, csr=False):
    """Together, in one group, or alone: the same numbers as from `gradient`.

    What is done with a loss does not know the layout: of CSR rows one loss is enough.
    """
    for loss in [Logistic(), *([] if csr else OTHER_LOSSES)]:
        block, coef, intercept, _ = models_of(loss, (2500, 7), np.float64, True, False, csr)
        together = backend.models(loss, block, coef, intercept, None, ((1, None),))
        for m in range(len(coef)):
            single = backend.gradient(loss, block, coef[m, 0], float(intercept[m, 0]), True)
            one = slice(m, m + 1)
            alone = backend.models(
                loss, block, coef[one], intercept[one], None, ((0, None),) * (m == 1)
            )
            for found in (together.value[0, m], alone.value[0, 0]):
                np.testing.assert_allclose(found, single.value, rtol=1e-12)
            for found in (together.gradient[m, 0], alone.gradient[0, 0]):
                assert_near(found, single.gradient, np.abs(single.gradient).max(), 1e-12)
            if m == 1:
                for hess in (*together.hessians, *alone.hessians):
                    assert_near(hess, single.hessian, np.abs(single.hessian).max(), 1e-12)


def check_models_left_out(backend, csr=False):
    """Rows of weight zero, or outside of a model's training set, add nothing though infinite."""
    loss = registry.find("losses", "poisson")()
    X = np.array([[1.0, 2.0], [0.5, 1.0], [1000.0, 0.0], [900.0, 1.0]])
    y, w, g = np.ones(4), np.array([1.0, 2.0, 1.0, 0.0]), np.array([0, 0, 1, 0])
    coef, intercept = np.array([[[1.0, -0.5]], [[0.5, 0.25]]]), np.zeros((2, 1))
    member, curved = np.array([[1.0, 1.0], [0.0, 1.0]]), ((0, None),)
    block = Block(sparse.csr_matrix(X) if csr else X, y, w, g)
    kept = Block(block.X[:2], y[:2], w[:2], g[:2])
    found = backend.models(loss, block, coef, intercept, member, curved)
    exact = backend.models(loss, kept, coef, intercept, member, curved)
    np.testing.assert_array_equal(found.value[0], exact.value[0])
    assert np.isinf(found.value[1, 0])
    np.testing.assert_allclose(found.gradient[0], exact.gradient[0], rtol=1e-14)
    np.testing.assert_allclose(found.hessians[0], exact.hessians[0], rtol=1e-14)
    block = block._replace(w=np.array([1.0, 2.0, 0.0, 0.0]))
    found, exact = (
        backend.models(loss, some, coef[:1], intercept[:1], None, curved) for some in (block, kept)
    )
    np.testing.assert_allclose(found.value, exact.value, rtol=1e-14)
    np.testing.assert_allclose(found.gradient, exact.gradient, rtol=1e-14)
    np.testing.assert_allclose(found.hessians, exact.hessians, rtol=1e-14)


def models_of(loss, shape, real, weighted, grouped, csr=False):
    """A block, coefficients (4, K, p), intercepts (4, K) and members (3, 4) or None."""
    n, p = shape
    K = loss.n_outputs if loss.coupled else 1
    rng = np.random.default_rng(7)
    block = block_of(shape, real, weighted, csr)
    if loss.coupled:
        block = block._replace(y=rng.integers(0, K, size=n).astype(float))
    # The intercepts are no binary fractions, so that no score is the same in both precisions.
    coef, intercept = 0.3 * rng.normal(size=(4, K, p)), 0.3 * rng.normal(size=(4, K))
    if not grouped:
        return block, coef, intercept, None
    member = rng.uniform(0.5, 2.0, size=(GROUPS, 4))
    member[1, 2] = 0.0
    return block._replace(g=rng.integers(0, GROUPS, size=n)), coef, intercept, member


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
        codes = np.arange(len(X)) % 3
        parts, squares = backend.column_sums(block, codes, 4)
        member = (codes[:, None] == np.arange(4)) * w[:, None]
        assert_near(parts, member.T @ X, member.T @ np.abs(X), 1e-12)
        assert_near(squares, w @ X**2, w @ X**2, 1e-12)
        sums, again = backend.column_sums(block)
        assert_near(sums, [w @ X], [w @ np.abs(X)], 1e-12)
        assert_near(again, squares, squares, 1e-12)


def check_results_are_host_float64(backend):
    """What a backend returns is NumPy in float64, or a float: it can be added anywhere."""
    block = block_of((5, 2), np.float32, True)
    loss = Logistic()
    part = backend.gradient(loss, block, np.zeros(2), 0.0, True)
    arrays = [part.gradient, part.hessian, *backend.moments(block)[1:], *backend.column_sums(block)]
    for case in MODELS_CASES:
        block, *parameters = models_of(case[0], (5, 2), *case[1:])
        some = backend.models(case[0], block, *parameters, ((0, None),))
        arrays += [some.value, some.gradient, *some.hessians]
    assert {type(array) for array in arrays} == {np.ndarray}
    assert {array.dtype for array in arrays} == {np.dtype(np.float64)}
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
        loss = Logistic()
        backend.gradient(loss, block, np.zeros(2), 0.0, True)
        member, coef = np.ones((2, 3)), np.zeros((3, 1, 2))
        grouped = block._replace(g=np.array([0, 1, 0, 1, 1]))
        for part in (grouped.g, member, coef):
            part.flags.writeable = False
        for some in (None, member):
            backend.models(loss, grouped, coef, np.zeros((3, 1)), some, ((1, np.array([1])),))
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


def _check_model(found, loss, block, coef, intercept, member, m, wanted, tolerance):
    """One model of what `models` found, with sums over rows and outputs written out."""
    n, p = block.X.shape
    A = np.column_stack([_dense(block), np.ones(n)])
    w = np.ones(n) if block.w is None else block.w
    share = w if member is None else w * member[block.g, m]
    theta = np.column_stack([coef[m].astype(block.X.dtype), intercept[m]])
    z = A @ theta.T
    z = z if loss.coupled else z[:, 0]
    value, dz = loss.value_and_derivative(np, block.y, z)
    c = loss.second_derivative(np, block.y, z)
    dz, c = (dz, c) if loss.coupled else (dz[:, None], c[:, None, None])
    groups = np.zeros((1, n)) == 0.0 if member is None else np.arange(GROUPS)[:, None] == block.g
    # A score is rounded before the link: what comes after has its relative error.
    size = np.abs(A) @ np.abs(theta).T @ np.ones(len(theta)) + 1.0
    assert_near(found.value[:, m], groups @ (w * value), groups @ (w * size), tolerance)
    steep = np.abs(dz) + size[:, None] * np.abs(c).sum(axis=2)
    sums = [np.einsum("i,ik,ij->kj", share, *pair) for pair in ((dz, A), (steep, np.abs(A)))]
    assert_near(found.gradient[m], *sums, tolerance)
    for i, columns in wanted:
        B = A if columns is None else A[:, [*columns, p]]
        scale = size[:, None, None] * np.abs(c).max(axis=(1, 2), initial=0.0, keepdims=True)
        exact, bound = (
            np.einsum("i,ikl,ia,ib->kalb", share, *parts)
            for parts in ((c, B, B), (scale + 0.0 * c, np.abs(B), np.abs(B)))
        )
        order = (len(theta) * B.shape[1],) * 2
        assert_near(found.hessians[i], exact.reshape(order), bound.reshape(order), tolerance)
        np.testing.assert_array_equal(found.hessians[i], found.hessians[i].T)


def _dense(block):
    X = block.X.toarray() if sparse.issparse(block.X) else block.X
    return X.astype(float)
