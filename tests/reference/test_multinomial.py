"""Multinomial regression against scikit-learn, optimality written out, and what must not matter."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.linalg import LinAlgWarning
from scipy.special import softmax
from sklearn import linear_model as theirs
from sklearn.exceptions import ConvergenceWarning
from tables import Source, chunks_of, csr_rows, dask_rows

from daskdsml.linear_model import LogisticRegression

KINDS = [2, 3, 5, 10]
SOLVERS = [("newton", 0.0), ("lbfgs", 0.0), ("proximal_newton", 1.0), ("proximal_newton", 0.4)]
every_solver = pytest.mark.parametrize("solver, l1_ratio", SOLVERS)
every_count = pytest.mark.parametrize("K", KINDS)
LAYOUTS = {
    "NumPy": np.array,
    "CSR": sparse.csr_matrix,
    "Dask": lambda A: dask_rows(A, 7),
    "one chunk": lambda A: dask_rows(A, 1),
    "Dask CSR": lambda A: csr_rows(A, 4),
    "DataFrame": pd.DataFrame,
}


def table(K, n=900, p=6, seed=0):
    """X (n, p), y (n,) of K classes drawn from a multinomial model, weights (n,)."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) + np.linspace(-2.0, 2.0, p)
    X *= rng.random((n, p)) > 1 / 3
    z = (X - X.mean(axis=0)) @ rng.normal(size=(p, K)) / np.sqrt(p) + 0.3 * rng.normal(size=K)
    return X, np.argmax(z + rng.gumbel(size=z.shape), axis=1), rng.uniform(0.2, 3.0, size=n)


def reference(X, y, w=None, **parameters):
    """scikit-learn's model at its best; what classes have in common is taken from intercepts."""
    model = theirs.LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000)
    with warnings.catch_warnings():
        # At 1e-12 its line search can end on rounding; what it found is compared all the same.
        warnings.simplefilter("ignore")
        model.set_params(**parameters).fit(X, y, sample_weight=w)
    if len(model.classes_) > 2:
        model.intercept_ = model.intercept_ - model.intercept_.mean()
        if parameters.get("C") == np.inf:
            model.coef_ = model.coef_ - model.coef_.mean(axis=0)
    return model


def assert_same(mine, their, tolerance=1e-7):
    np.testing.assert_allclose(mine.coef_, their.coef_, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(mine.intercept_, their.intercept_, rtol=tolerance, atol=tolerance)
    assert mine.coef_.shape == their.coef_.shape
    assert mine.intercept_.shape == their.intercept_.shape
    assert mine.converged_


def kkt(model, X, y, w=None):
    """The subgradient of least size of the mean objective, for centred columns of unit spread."""
    w = np.ones(X.shape[0]) if w is None else w
    share = w / w.sum()
    z = X @ model.coef_.T + model.intercept_
    z = np.column_stack([np.zeros(len(z)), z]) if len(model.classes_) == 2 else z
    residual = softmax(z, axis=1) - (np.asarray(y)[:, None] == model.classes_)
    residual = (residual * share[:, None])[:, -len(model.coef_) :]
    strength = 1.0 / (model.C * w.sum())
    mean = share @ X if model.fit_intercept else np.zeros(X.shape[1])
    slope = (X.T @ residual).T - np.outer(residual.sum(axis=0), mean)
    slope += (1.0 - model.l1_ratio) * strength * model.coef_
    l1 = model.l1_ratio * strength
    there = slope + l1 * np.sign(model.coef_)
    off = np.where(model.coef_ != 0.0, there, np.maximum(np.abs(slope) - l1, 0.0))
    square = X.multiply(X) if sparse.issparse(X) else X * X
    variance = np.ravel(share @ square) - mean**2
    off = off / np.sqrt(np.where(variance > 0.0, variance, 1.0))
    ends = np.abs(residual.sum(axis=0)) if model.fit_intercept else 0.0
    return max(np.abs(off).max(), np.max(ends))


@every_count
@pytest.mark.parametrize("C", [0.02, 1.0, np.inf])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("solver", ["auto", "newton", "lbfgs"])
def test_coefficients(K, C, intercept, solver):
    X, y, w = table(K)
    mine = LogisticRegression(C=C, tol=1e-12, fit_intercept=intercept, solver=solver)
    mine.fit(dask_rows(X, 7), y, w)
    assert_same(mine, reference(X, y, w, C=C, fit_intercept=intercept))


@every_count
@pytest.mark.parametrize("l1_ratio", [0.4, 1.0])
@pytest.mark.parametrize("intercept", [True, False])
def test_sparse_coefficients(K, l1_ratio, intercept):
    X, y, w = table(K, n=300, p=4)
    X /= X.std(axis=0)
    parameters = {"C": 0.2, "l1_ratio": l1_ratio, "fit_intercept": intercept}
    mine = LogisticRegression(tol=1e-12, **parameters).fit(dask_rows(X, 5), y, w)
    their = reference(X, y, w, solver="saga", max_iter=20_000, **parameters)
    # Between the two middle ones of K coefficients, |.|_1 leaves open which number to take off: the
    # objective is flat there, and its rounding hides gradients of the root of that.
    flat = l1_ratio == 1.0 and K % 2 == 0 and K > 2
    assert kkt(mine, X, y, w) <= (1e-8 if flat else 1e-10)
    if flat:
        mine.coef_ -= mine.coef_.mean(axis=0)
        their.coef_ -= their.coef_.mean(axis=0)
    else:
        np.testing.assert_array_equal(mine.coef_ == 0.0, their.coef_ == 0.0)
    assert_same(mine, their, tolerance=1e-6)


@every_count
@pytest.mark.parametrize("C", [0.01, 0.1, 100.0])
def test_sparse_fits_are_optimal(K, C):
    X, y, w = table(K)
    for l1_ratio in (0.4, 1.0):
        mine = LogisticRegression(C=C, l1_ratio=l1_ratio, tol=1e-9).fit(X, y, w)
        assert kkt(mine, X, y, w) <= 1e-9
        assert mine.history_[-1].gradient_norm == pytest.approx(kkt(mine, X, y, w), abs=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
@every_solver
def test_layouts(layout, solver, l1_ratio):
    X, y, w = table(3)
    A = LAYOUTS[layout](X)
    alike = {"C": 0.1, "l1_ratio": l1_ratio, "solver": solver, "tol": 1e-11}
    mine = LogisticRegression(**alike).fit(A, y, w)
    assert_same(mine, LogisticRegression(**alike).fit(X, y, w), tolerance=1e-8)
    for method in ("decision_function", "predict_proba", "predict_log_proba"):
        found = np.asarray(getattr(mine, method)(A))
        assert found.shape == (900, 3)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, rtol=1e-12)


@every_solver
def test_float32(solver, l1_ratio):
    X, y, w = table(3)
    X = X.astype(np.float32)
    alike = {"C": 0.1, "l1_ratio": l1_ratio, "solver": solver, "tol": 1e-5}
    mine = LogisticRegression(**alike).fit(dask_rows(X, 7), y, w)
    exact = LogisticRegression(**{**alike, "tol": 1e-11}).fit(X.astype(float), y, w)
    assert_same(mine, exact, tolerance=1e-3)
    assert mine.predict_proba(X).dtype == np.float32


@pytest.mark.parametrize("class_weight", ["balanced", {0: 1.0, 2: 5.0}])
@pytest.mark.parametrize("weighted", [True, False])
def test_class_weight(class_weight, weighted):
    X, y, w = table(3)
    w = w if weighted else None
    mine = LogisticRegression(tol=1e-12, class_weight=class_weight).fit(dask_rows(X, 7), y, w)
    assert_same(mine, reference(X, y, w, class_weight=class_weight))


WORDS = np.array(["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay"])


@pytest.mark.parametrize("K", [3, 10])
@pytest.mark.parametrize("names", [WORDS, WORDS.astype(object), np.arange(10) - 4, np.arange(10.0)])
@pytest.mark.parametrize("n_blocks", [None, 5])
def test_labels(K, names, n_blocks):
    X, y, _ = table(K)
    labels = names[y]
    target = dask_rows(labels, n_blocks) if n_blocks else labels
    A = dask_rows(X, n_blocks) if n_blocks else X
    mine, plain = (LogisticRegression(tol=1e-10).fit(A, t) for t in (target, y))
    np.testing.assert_array_equal(mine.coef_, plain.coef_)
    assert mine.classes_.tolist() == names[:K].tolist()
    predicted = mine.predict(A)
    assert isinstance(predicted, np.ndarray) == (n_blocks is None)
    predicted = np.asarray(predicted)
    assert predicted.dtype == names.dtype
    np.testing.assert_array_equal(predicted, names[np.argmax(mine.predict_proba(X), axis=1)])
    assert mine.score(A, target) == np.mean(predicted == labels)


@every_solver
def test_the_order_of_classes_does_not_matter(solver, l1_ratio):
    X, y, _ = table(5)
    turn = np.array([2, 0, 4, 1, 3])
    alike = {"C": 0.1, "l1_ratio": l1_ratio, "solver": solver, "tol": 1e-12}
    one = LogisticRegression(**alike).fit(X, y)
    other = LogisticRegression(**alike).fit(X, turn[y])
    np.testing.assert_allclose(other.coef_[turn], one.coef_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(other.intercept_[turn], one.intercept_, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("K", [2, 3])
@every_solver
def test_what_must_not_matter(K, solver, l1_ratio):
    X, y, _ = table(K)
    rng = np.random.default_rng(1)
    w, order = rng.integers(0, 4, size=len(y)), rng.permutation(len(y))
    rows = np.repeat(np.arange(len(y)), w)
    alike = {"C": 0.1, "l1_ratio": l1_ratio, "solver": solver, "tol": 1e-13}
    base = LogisticRegression(**alike).fit(dask_rows(X, 7), y, w)
    again = LogisticRegression(**alike).fit(dask_rows(X, 7), y, w)
    assert base.coef_.tobytes() == again.coef_.tobytes()
    others = [(dask_rows(X, 3), y, w), (X, y, w), (X[order], y[order], w[order])]
    others += [(X[rows], y[rows], None)]
    for A, target, weights in others:
        other = LogisticRegression(**alike).fit(A, target, weights)
        np.testing.assert_allclose(other.coef_, base.coef_, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(other.intercept_, base.intercept_, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("K", [2, 3])
@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_units_and_places_of_columns_do_not_matter(K, solver):
    X, y, w = table(K)
    scales, shift = np.logspace(-4, 4, X.shape[1]), 1e4 * X.std(axis=0)
    plain = LogisticRegression(C=np.inf, tol=1e-12, solver=solver).fit(X, y, w)
    mine = LogisticRegression(C=np.inf, tol=1e-10, solver=solver)
    mine.fit(dask_rows((X + shift) * scales, 7), y, w)
    np.testing.assert_allclose(mine.coef_ * scales, plain.coef_, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("K", [2, 3])
@pytest.mark.parametrize("l1_ratio", [0.4, 1.0])
@pytest.mark.parametrize("tol", [1e-4, 1e-7, 1e-12])
def test_sparse_fits_of_columns_far_from_zero(K, l1_ratio, tol):
    X, y, w = table(K)
    for scales in (1.0, np.logspace(-3, 3, X.shape[1])):
        A = (X + 1e4 * X.std(axis=0)) * scales
        mine = LogisticRegression(l1_ratio=l1_ratio, tol=tol).fit(A, y, w)
        assert mine.converged_
        assert kkt(mine, A, y, w) <= max(tol, 1e-7)
        assert mine.n_passes_ <= 20


@pytest.mark.parametrize("l1_ratio", [0.4, 1.0])
def test_sparse_fits_in_float32_far_from_zero(l1_ratio):
    X, y, w = table(3)
    A = (X + 100.0 * X.std(axis=0)).astype(np.float32)
    mine = LogisticRegression(l1_ratio=l1_ratio).fit(A, y, w)
    assert kkt(mine, A.astype(float), y, w) <= 2e-4


# Reads


def test_reads_of_many_classes():
    X, y, _ = table(10, n=50_000, p=64)
    for tol, most in ((1e-4, 15), (1e-6, 20)):
        mine = LogisticRegression(tol=tol).fit(X, y)
        assert mine.n_passes_ <= most
        assert kkt(mine, X, y) <= tol


@pytest.mark.parametrize("C", [1.0, np.inf])
def test_reads_of_two_classes(C):
    X, y, _ = table(2, n=100_000, p=25)
    mine = LogisticRegression(C=C).fit(X, y)
    assert mine.n_passes_ <= 4
    assert kkt(mine, X, y) <= 1e-6


@every_solver
def test_streamed_is_the_same_and_reads_are_counted(solver, l1_ratio, tmp_path):
    source = Source(tmp_path, 6, 200, 4)
    A, y = source.joint()
    alike = {"C": 0.1, "l1_ratio": l1_ratio, "solver": solver, "tol": 1e-9}
    streamed = LogisticRegression(cache="none", **alike).fit(A, y)
    assert source.reads() == streamed.n_passes_
    kept = LogisticRegression(cache="memory", **alike).fit(A, y)
    assert streamed.coef_.tobytes() == kept.coef_.tobytes()


# Corners


@pytest.mark.parametrize("K", [2, 3])
def test_a_penalty_so_strong_that_nothing_is_left(K):
    X, y, _ = table(K)
    mine = LogisticRegression(C=1e-6, l1_ratio=1.0, tol=1e-10).fit(dask_rows(X, 7), y)
    assert not mine.coef_.any()
    assert mine.n_passes_ <= 3
    np.testing.assert_allclose(mine.predict_proba(X[:1])[0], np.bincount(y) / len(y), rtol=1e-8)


@pytest.mark.parametrize("K", [2, 3])
@every_solver
@pytest.mark.parametrize("C", [1e-12, 1e12])
def test_strengths_at_the_ends(K, solver, l1_ratio, C):
    X, y, w = table(K)
    mine = LogisticRegression(C=C, solver=solver, l1_ratio=l1_ratio, tol=1e-8).fit(X, y, w)
    assert kkt(mine, X, y, w) <= 1e-8


@pytest.mark.parametrize("K", [2, 3])
@pytest.mark.parametrize("l1_ratio", [0.4, 1.0])
@pytest.mark.parametrize("C", [0.1, 10.0])
def test_more_columns_than_rows(K, l1_ratio, C):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 300)), rng.integers(0, K, size=80)
    mine = LogisticRegression(C=C, l1_ratio=l1_ratio, tol=1e-7).fit(dask_rows(X, 3), y)
    assert kkt(mine, X, y) <= 1e-7
    assert np.count_nonzero(mine.coef_) < 0.8 * mine.coef_.size


def test_very_many_columns():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 20_000))
    y = (X[:, :5].sum(axis=1) + rng.normal(size=200) > 0).astype(int)
    mine = LogisticRegression(C=0.3, l1_ratio=1.0, tol=1e-6).fit(X, y)
    assert kkt(mine, X, y) <= 1e-6
    assert mine.n_passes_ <= 10
    assert 5 <= np.count_nonzero(mine.coef_) <= 200


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_very_many_sparse_columns(l1_ratio):
    rng = np.random.default_rng(0)
    n, p = 5000, 50_000
    places = rng.integers(0, p // 2, size=(n, 20)) + rng.integers(0, 2, size=(n, 1)) * (p // 2)
    places[:, :5] = rng.integers(0, 50, size=(n, 5))
    rows = np.repeat(np.arange(n), 20)
    X = sparse.csr_matrix((np.ones(20 * n), (rows, places.ravel())), shape=(n, p))
    z = X[:, :50] @ rng.normal(size=50)
    y = (z + rng.logistic(size=n) > 0).astype(int)
    mine = LogisticRegression(C=0.1, l1_ratio=l1_ratio, tol=1e-5).fit(X, y)
    assert kkt(mine, X, y) <= 1e-5


@pytest.mark.parametrize("K", [2, 3])
@every_solver
def test_warm_start(K, solver, l1_ratio):
    X, y, _ = table(K)
    mine = LogisticRegression(l1_ratio=l1_ratio, solver=solver, tol=1e-8, warm_start=True)
    coef = mine.fit(X, y).coef_
    mine.fit(X, y)
    assert mine.n_iter_[0] == 1
    np.testing.assert_allclose(mine.coef_, coef, rtol=1e-6, atol=1e-8)
    fresh = LogisticRegression(l1_ratio=l1_ratio, solver=solver, tol=1e-8).fit(X[:, :4], y)
    np.testing.assert_array_equal(mine.fit(X[:, :4], y).coef_, fresh.coef_)  # it had six columns


@pytest.mark.parametrize("K", [2, 3])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.4, 1.0])
def test_dependent_columns_with_a_penalty(K, l1_ratio):
    X, y, _ = table(K)
    wide = np.column_stack([X, X[:, 0] - 2 * X[:, 3], X[:, 1], np.ones(len(X)), np.zeros(len(X))])
    mine = LogisticRegression(l1_ratio=l1_ratio, tol=1e-8).fit(wide, y)
    assert kkt(mine, wide, y) <= 1e-8
    assert np.abs(mine.coef_[:, -2:]).max() < 1e-9


def test_dependent_columns_of_many_classes_are_named():
    X, y, _ = table(3)
    frame = pd.DataFrame(X, columns=list("abcdef"))
    frame["g"], frame["h"], frame["i"] = X[:, 0] - 2 * X[:, 3], 3.0, 0.0
    mine = LogisticRegression(C=np.inf, tol=1e-10)
    with pytest.warns(LinAlgWarning, match=r"3 linear relation.* columns a, d, g, h, i "):
        mine.fit(frame, y)
    their = reference(X, y, C=np.inf)
    np.testing.assert_allclose(
        mine.predict_proba(frame), their.predict_proba(X), rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(mine.coef_[:, -2:], 0.0, atol=1e-9)


@pytest.mark.parametrize("K", [2, 3])
def test_separated_classes_are_told(K):
    X, _, _ = table(K)
    y = np.digitize(X[:, 0] + 0.01 * X[:, 1], np.linspace(-2.5, -1.5, K - 1))
    mine = LogisticRegression(C=np.inf)
    with pytest.warns(ConvergenceWarning, match="separated by a linear combination of columns"):
        mine.fit(dask_rows(X, 7), y)
    assert not mine.converged_
    assert mine.n_passes_ <= 30
    assert np.isfinite(mine.predict_proba(X)).all()
    assert mine.score(X, y) > 0.99


@pytest.mark.parametrize("K", [2, 3])
def test_a_column_that_separates_some_rows_is_told(K):
    X, y, _ = table(K)
    some = (y == 0) & (np.random.default_rng(1).random(len(y)) < 0.1)
    with pytest.warns(ConvergenceWarning, match="separated by a linear combination of columns"):
        LogisticRegression(C=np.inf).fit(np.column_stack([X, some]), y)


@pytest.mark.parametrize("K", [2, 3])
@every_solver
def test_a_class_of_one_row(K, solver, l1_ratio):
    X, y, _ = table(K)
    y = np.where(y == 1, 0, y)
    y[17] = 1
    mine = LogisticRegression(l1_ratio=l1_ratio, solver=solver, tol=1e-8).fit(dask_rows(X, 7), y)
    assert kkt(mine, X, y) <= 1e-8
    assert mine.classes_.tolist() == list(range(K))


@pytest.mark.parametrize("K", [2, 3])
@every_solver
def test_stopped_early(K, solver, l1_ratio):
    X, y, _ = table(K)
    mine = LogisticRegression(C=0.1, l1_ratio=l1_ratio, solver=solver, tol=1e-12, max_iter=1)
    said = r"stopped after max_iter=1 iterations with a gradient norm of .* tol=1e-12. Raise max_i"
    with pytest.warns(ConvergenceWarning, match=said):
        mine.fit(X, y)
    assert (mine.converged_, mine.n_iter_.tolist()) == (False, [1])


@pytest.mark.parametrize("K", [2, 3])
@every_solver
def test_no_tolerance_ends_at_rounding(K, solver, l1_ratio):
    X, y, w = table(K)
    mine = LogisticRegression(C=0.1, l1_ratio=l1_ratio, solver=solver, tol=0.0).fit(X, y, w)
    assert mine.converged_
    assert mine.n_passes_ <= 40
    assert kkt(mine, X, y, w) <= 1e-8


def test_classes_in_chunks_of_their_own():
    X, y, w = table(4)
    order = np.argsort(y, kind="stable")
    X, y, w = X[order], y[order], w[order]
    assert chunks_of(len(y), 9)[0] < np.bincount(y).min()
    mine = LogisticRegression(tol=1e-12, cache="none").fit(dask_rows(X, 9), dask_rows(y, 9), w)
    assert_same(mine, reference(X, y, w))
