"""Inference for logistic, multinomial and Poisson regression against statsmodels and others."""

import warnings

import numpy as np
import pytest
from scipy import optimize, sparse, special
from tables import csr_rows, dask_rows

from daskdsml.inference import infer
from daskdsml.linear_model import LogisticRegression, PoissonRegressor

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of others' imports
    api = pytest.importorskip("statsmodels.api")

COV_TYPES = ["nonrobust", "HC0", "HC1", "cluster"]
KINDS = ["logistic", "multinomial", "poisson"]
LABELS = np.array(["no", "perhaps", "yes"])
LAYOUTS = [(None, False), (1, False), (7, False), (50, False), (7, True)]
every_cov = pytest.mark.parametrize("cov_type", COV_TYPES)
every_kind = pytest.mark.parametrize("kind", KINDS)
INTERCEPT = pytest.mark.parametrize("intercept", [True, False])


def data(n=500, seed=0):
    """X (n, 5) with columns off zero and of other units, and y of each kind."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5)) * [1.0, 10.0, 0.1, 1.0, 1.0] + [0.0, 100.0, 0.0, 5.0, 0.0]
    X *= rng.random((n, 5)) > 0.2
    z = X @ [0.5, 0.01, 3.0, 0.2, -0.4] - 1.5
    scores = np.column_stack([0.0 * z, z, 0.3 * z]) + rng.gumbel(size=(n, 3))
    return X, {
        "logistic": (rng.random(n) < special.expit(z)).astype(int),
        "multinomial": LABELS[np.argmax(scores, axis=1)],
        "poisson": rng.poisson(np.exp(0.3 * z)).astype(float),
    }


X, Y = data()
G = np.random.default_rng(3).integers(0, 23, size=len(X))
W = np.random.default_rng(4).integers(0, 4, size=len(X)).astype(float)


def laid_out(array, n_blocks, csr):
    if n_blocks is None:
        return sparse.csr_matrix(array) if csr else array
    return csr_rows(array, n_blocks) if csr else dask_rows(array, n_blocks)


def reference(kind, X, y, intercept=True, cov_type="nonrobust", groups=None):
    """statsmodels' fit."""
    A = api.add_constant(X, has_constant="add") if intercept else X
    options = {"cov_kwds": {"groups": groups}} if cov_type == "cluster" else {}
    codes = np.unique(y, return_inverse=True)[1] if kind != "poisson" else y
    model = {"logistic": api.Logit, "multinomial": api.MNLogit, "poisson": api.Poisson}[kind]
    return model(codes, A).fit(
        method="newton", tol=1e-13, maxiter=100, disp=0, cov_type=cov_type, **options
    )


def by_hand(kind, params, y, intercept=True):
    """A model with statsmodels' parameters (d,) or (d, E)."""
    theta = np.asarray(params).reshape(len(params), -1).T
    one = int(intercept)
    level = theta[:, 0] if one else np.zeros(len(theta))
    coef = theta[:, one:]
    if kind == "poisson":
        model, coef, level = PoissonRegressor(alpha=0.0), coef[0], float(level[0])
    else:
        model = LogisticRegression(C=np.inf)
        model.classes_ = np.unique(y)
    if kind == "multinomial":
        coef, level = np.vstack([0.0 * coef[:1], coef]), np.append(0.0, level)
        coef, level = coef - coef.mean(axis=0), level - level.mean()
    model.fit_intercept, model.coef_, model.intercept_ = intercept, coef, level
    model.n_features_in_ = X.shape[1]
    return model


def inferred(kind, A, y, w=None, intercept=True, cov_type="nonrobust", groups=None, params=None):
    groups = groups if cov_type == "cluster" else None
    return infer(by_hand(kind, params, y, intercept), A, y, w, cov_type=cov_type, groups=groups)


def assert_same(mine, their, rtol=1e-9, factor=1.0):
    """Every number within ``rtol`` of statsmodels', with variances times ``factor``."""
    error = _by_equation(their.bse) * np.sqrt(factor)
    statistic = _by_equation(their.params) / error
    p_value = 2.0 * special.ndtr(-np.abs(statistic))
    half = 1.959963984540054 * error
    pairs = {
        "coef": _by_equation(their.params), "std_error": error, "statistic": statistic,
        "log_likelihood": their.llf, "aic": their.aic, "bic": their.bic,
        "df_resid": their.df_resid, "df_model": their.df_model, "nobs": their.nobs,
        "deviance": getattr(their, "deviance", None),
    }  # fmt: skip
    for name, value in pairs.items():
        if value is not None:
            np.testing.assert_allclose(getattr(mine, name), value, rtol=rtol, err_msg=name)
    limits = np.column_stack([_by_equation(their.params) - half, _by_equation(their.params) + half])
    assert (
        np.abs(mine.conf_int - limits) <= rtol * (half + np.abs(limits).max(axis=1))[:, None]
    ).all()
    if factor == 1.0:
        np.testing.assert_allclose(
            mine.conf_int, np.asarray(their.conf_int()).reshape(-1, 2), rtol=1e-7
        )
        np.testing.assert_allclose(p_value, _by_equation(their.pvalues), rtol=1e-12)
    seen = p_value > 1e-12
    np.testing.assert_allclose(mine.p_value[seen], p_value[seen], rtol=rtol * 100)


def _by_equation(array):
    return np.asarray(array).T.ravel()


@every_cov
@every_kind
@INTERCEPT
@pytest.mark.parametrize("n_blocks, csr", LAYOUTS)
def test_statsmodels_agrees(kind, cov_type, intercept, n_blocks, csr):
    their = reference(kind, X, Y[kind], intercept, cov_type, G)
    A = laid_out(X, n_blocks, csr)
    mine = inferred(kind, A, Y[kind], None, intercept, cov_type, G, their.params)
    # statsmodels' HC1 of these models is HC0.
    factor = mine.nobs / mine.df_resid if cov_type == "HC1" else 1.0
    assert_same(mine, their, factor=factor)
    assert mine.n_passes == 1
    assert mine.separated == ()


@every_kind
def test_null_models(kind):
    y = Y[kind]
    their = reference(kind, X, y)
    mine = inferred(kind, dask_rows(X, 7), y, params=their.params)
    # statsmodels stops its null model early; this one is known exactly.
    null = reference(kind, np.zeros((len(y), 0)), y).llf
    assert mine.null_log_likelihood == pytest.approx(null, rel=1e-12)
    assert mine.lr_statistic == pytest.approx(2.0 * (their.llf - null), rel=1e-10)
    assert mine.lr_p_value == pytest.approx(their.llr_pvalue, rel=1e-5)
    assert mine.pseudo_r_squared == pytest.approx(1.0 - their.llf / null, rel=1e-10)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("kind", ["logistic", "poisson"])
@pytest.mark.parametrize("cov_type", ["nonrobust", "HC0"])
def test_generalised_linear_models_agree(kind, cov_type, weighted):
    family = api.families.Binomial() if kind == "logistic" else api.families.Poisson()
    w = W if weighted else np.ones(len(X))
    used = w > 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that weights and robust covariances were little tested
        their = api.GLM(
            Y[kind][used], api.add_constant(X[used]), family=family, freq_weights=w[used]
        ).fit(tol=1e-14, cov_type=cov_type)
        null_deviance = their.null_deviance
    mine = inferred(kind, dask_rows(X, 7), Y[kind], w, True, cov_type, params=their.params)
    # Their covariance is that of the step before the last.
    np.testing.assert_allclose(mine.std_error, their.bse, rtol=1e-7)
    assert mine.log_likelihood == pytest.approx(their.llf, rel=1e-11)
    assert mine.deviance == pytest.approx(their.deviance, rel=1e-11)
    assert mine.null_deviance == pytest.approx(null_deviance, rel=1e-11)
    assert mine.df_resid == their.df_resid
    assert mine.aic == pytest.approx(their.aic, rel=1e-11)
    if kind == "poisson":
        assert mine.pearson_chi2 == pytest.approx(their.pearson_chi2, rel=1e-10)
        assert mine.dispersion == pytest.approx(their.pearson_chi2 / their.df_resid, rel=1e-10)


@every_cov
@every_kind
def test_integer_weights_are_repeated_rows(kind, cov_type):
    many = np.repeat(np.arange(len(X)), W.astype(int))
    y = Y[kind]
    params = reference(kind, X[many], y[many]).params
    once = inferred(kind, dask_rows(X, 7), y, W, True, cov_type, G, params)
    rows = inferred(kind, X[many], y[many], None, True, cov_type, G[many], params)
    np.testing.assert_allclose(once.covariance, rows.covariance, rtol=1e-8, atol=1e-14)
    for name in ("nobs", "df_resid", "bic", "lr_p_value", "deviance", "null_deviance"):
        assert getattr(once, name) == pytest.approx(getattr(rows, name), rel=1e-10)
    assert isinstance(once.nobs, int)


@every_kind
@pytest.mark.parametrize("n_blocks", [None, 7])
def test_our_own_fits(kind, n_blocks):
    their = reference(kind, X, Y[kind])
    A = laid_out(X, n_blocks, False)
    options = {"tol": 1e-12, "max_iter": 1000}
    model = LogisticRegression(C=np.inf, **options)
    model = PoissonRegressor(alpha=0.0, **options) if kind == "poisson" else model
    assert_same(infer(model.fit(A, Y[kind]), A, Y[kind]), their, rtol=1e-8)


@every_cov
@every_kind
def test_units_and_origins_cost_no_digits(kind, cov_type):
    y, scale, shift = Y[kind], np.logspace(-3, 3, 5), 1e5
    their = reference(kind, X, y)
    expected = inferred(kind, X, y, None, True, cov_type, G, their.params)
    theta = np.asarray(their.params).reshape(6, -1).copy()
    theta[1:] /= scale[:, None]
    theta[0] -= shift * theta[1:].sum(axis=0)
    A = dask_rows(X * scale + shift, 7)
    mine = inferred(kind, A, y, None, True, cov_type, G, theta)
    slopes = np.tile(np.arange(6) > 0, theta.shape[1])
    units = np.tile(scale, theta.shape[1])
    np.testing.assert_allclose(
        mine.std_error[slopes] * units, expected.std_error[slopes], rtol=1e-7
    )


@every_kind
def test_any_chunking_gives_the_same_numbers(kind):
    params = reference(kind, X, Y[kind]).params
    order = np.argsort(X[:, 1])  # so that blocks have other means
    cases = [X[order], *(dask_rows(X[order], k) for k in (1, 3, 50, 500))]
    found = [
        inferred(kind, A, Y[kind][order], None, True, "cluster", G[order], params) for A in cases
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other.std_error, found[0].std_error, rtol=1e-10)
        assert other.aic == pytest.approx(found[0].aic, rel=1e-12)


def test_float32_is_summed_in_float64():
    A = X.astype(np.float32)
    their = reference("logistic", A.astype(float), Y["logistic"])
    assert_same(inferred("logistic", dask_rows(A, 7), Y["logistic"], params=their.params), their)


@every_kind
@pytest.mark.parametrize("cov_type", ["nonrobust", "HC0", "cluster"])
def test_wald_test(kind, cov_type):
    their = reference(kind, X, Y[kind], True, cov_type, G)
    mine = inferred(kind, dask_rows(X, 7), Y[kind], None, True, cov_type, G, their.params)
    q = mine.coef.size
    R = np.zeros((2, q))
    R[0, 1], R[0, q - 1], R[1, 3] = 1.0, -1.0, 2.0
    theirs = their.wald_test(R, scalar=True)
    ours = mine.wald_test(R)
    assert ours.statistic == pytest.approx(theirs.statistic, rel=1e-8)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-7)
    assert ours[2:] == (2, np.inf)
    one = mine.wald_test(mine.names[2])
    assert one.statistic == pytest.approx(mine.statistic[2] ** 2, rel=1e-12)
    assert one.p_value == pytest.approx(mine.p_value[2], rel=1e-10)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 3.0}])
@pytest.mark.parametrize("cov_type", ["HC0", "cluster"])
def test_class_weights_as_a_sandwich(class_weight, cov_type):
    y = Y["logistic"]
    model = LogisticRegression(C=np.inf, tol=1e-12, class_weight=class_weight).fit(X, y)
    groups = G if cov_type == "cluster" else None
    mine = infer(model, dask_rows(X, 7), y, cov_type=cov_type, groups=groups)
    weights = [3.0, 1.0]
    if class_weight == "balanced":
        weights = len(y) / (2.0 * np.bincount(y))
    w = np.where(y == 1, weights[1], weights[0])
    A = api.add_constant(X)
    m = special.expit(A @ np.append(model.intercept_, model.coef_))
    bread = np.linalg.inv(A.T @ (A * (w * m * (1 - m))[:, None]))
    scores, factor = A * (w * (m - y))[:, None], 1.0
    if groups is not None:
        scores = np.array([scores[groups == g].sum(axis=0) for g in np.unique(groups)])
        k = len(scores)
        factor = k / (k - 1) * (len(y) - 1) / (len(y) - 6)
    expected = factor * bread @ (scores.T @ scores) @ bread
    np.testing.assert_allclose(mine.covariance, expected, rtol=1e-7, atol=1e-12)
    assert mine.n_passes == 1 + (class_weight == "balanced")


def test_sampling_weights_are_clusters_of_one_row():
    y, w = Y["logistic"], np.random.default_rng(5).uniform(0.2, 3.0, len(X))
    A = api.add_constant(X)
    model = LogisticRegression(C=np.inf, tol=1e-12).fit(X, y, w)
    mine = infer(model, X, y, w, cov_type="cluster", groups=np.arange(len(y)))
    m = special.expit(A @ np.append(model.intercept_, model.coef_))
    bread = np.linalg.inv(A.T @ (A * (w * m * (1 - m))[:, None]))
    scores = A * (w * (m - y))[:, None]
    n = len(y)
    factor = n / (n - 1) * (w.sum() - 1) / (w.sum() - 6)
    expected = factor * bread @ (scores.T @ scores) @ bread
    np.testing.assert_allclose(mine.covariance, expected, rtol=1e-7, atol=1e-12)
    assert "whole numbers" in " ".join(mine.notes)


def test_overdispersed_counts():
    rng = np.random.default_rng(6)
    y = rng.negative_binomial(1.0, 0.3, size=len(X)).astype(float)
    their = reference("poisson", X, y)
    mine = inferred("poisson", X, y, params=their.params)
    assert mine.dispersion > 2.0
    assert "overdispersion" in " ".join(mine.notes)
    calm = inferred("poisson", X, Y["poisson"], params=reference("poisson", X, Y["poisson"]).params)
    assert "overdispersion" not in " ".join(calm.notes)


# Separation


def newton(X, y, n_classes, tol=1e-8):
    """Parameters (E, 1 + p) that a plain Newton method, with halved steps, ends at.

    It ends at a gradient of ``tol`` for columns of unit spread, once the step that remains is below
    a twentieth of a standard error; ``n_classes`` None means counts.
    """
    A = np.column_stack([np.ones(len(X)), X])
    n, a = A.shape
    E = 1 if n_classes is None else n_classes - 1

    def loss(theta):
        z = A @ theta.T
        if n_classes is None:
            return float(np.sum(np.exp(z[:, 0]) - y * z[:, 0]))
        z = np.column_stack([np.zeros(n), z])
        return float(np.sum(special.logsumexp(z, axis=1) - z[np.arange(n), y.astype(int)]))

    theta = np.zeros((E, a))
    for _ in range(300):
        z = A @ theta.T
        if n_classes is None:
            dz, c = np.exp(z) - y[:, None], np.exp(z)[:, :, None]
        else:
            share = special.softmax(np.column_stack([np.zeros(n), z]), axis=1)[:, 1:]
            dz = share - (y[:, None] == np.arange(1, n_classes))
            c = share[:, :, None] * (np.eye(E) - share[:, None, :])
        gradient = (dz.T @ A).ravel()
        hessian = np.einsum("nef,ni,nj->eifj", c, A, A).reshape(E * a, E * a)
        inverse = np.linalg.pinv(hessian, rcond=1e-15, hermitian=True)
        step = -inverse @ gradient
        error = np.sqrt(np.abs(np.diag(inverse)))
        spread = np.tile(np.append(1.0, X.std(axis=0)), E)
        if (np.abs(gradient) <= tol * n * spread).all() and np.mean((step / error) ** 2) < 0.05**2:
            return theta
        share, value = 1.0, loss(theta)
        while share > 1e-10 and not loss(theta + share * step.reshape(E, a)) <= value + 1e-12 * n:
            share /= 2.0
        theta = theta + share * step.reshape(E, a)
    return theta


def infinite(X, y, n_classes):
    """Which parameters have no estimate, by the linear program of Konis (2007)."""
    A = np.column_stack([np.ones(len(X)), X])
    A = A / np.abs(A).max(axis=0)
    others = [(i, k) for i in range(len(y)) for k in range(n_classes) if k != y[i]]
    zero_gradient = np.zeros((len(others), n_classes, A.shape[1]))
    for row, (i, k) in enumerate(others):
        zero_gradient[row, y[i]] += A[i]
        zero_gradient[row, k] -= A[i]
    zero_gradient = zero_gradient[:, 1:].reshape(len(others), -1)
    found = optimize.linprog(
        -zero_gradient.sum(axis=0), A_ub=-zero_gradient, b_ub=np.zeros(len(others)), bounds=(-1, 1)
    )
    return np.abs(found.x) > 1e-7 if -found.fun > 1e-7 else np.zeros(zero_gradient.shape[1], bool)


def random_problem(seed):
    """A small table, often with separated classes, of columns of four kinds."""
    rng = np.random.default_rng(seed)
    n, n_classes = int(rng.integers(40, 120)), int(rng.integers(2, 4))
    normal, rare = rng.normal(size=(n, 3)), rng.random((n, 3)) < [0.5, 0.1, 0.05]
    X = [
        normal,
        rare.astype(float),
        np.column_stack([normal[:, 0], rng.integers(0, 4, n), np.maximum(normal[:, 1] - 1.0, 0.0)]),
        np.column_stack([rng.exponential(size=n) ** 3, rare[:, 1], 100.0 * normal[:, 0] + 50.0]),
    ][seed % 4].astype(float)
    effects = rng.normal(size=(3, n_classes - 1)) * rng.choice([1, 3, 10])
    z = np.column_stack([np.zeros(n), X / X.std(axis=0) @ effects])
    return X, np.argmax(z + rng.gumbel(size=(n, n_classes)), axis=1), n_classes


def test_separation_as_by_linear_programming():
    agree, separated, seen = 0, 0, 0
    for seed in range(80):
        X, y, n_classes = random_problem(seed)
        full = np.linalg.matrix_rank(np.column_stack([np.ones(len(X)), X])) == 4
        if not full or len(np.unique(y)) < n_classes:
            continue
        truth = infinite(X, y, n_classes)
        model = by_hand(
            "logistic" if n_classes == 2 else "multinomial", newton(X, y, n_classes).T, y
        )
        mine = infer(model, dask_rows(X, 3), y)
        seen += 1
        separated += truth.any()
        agree += bool(mine.separated) == truth.any()
        # A vertex of the program may leave out a parameter that is infinite too, but none more.
        named = np.array([name in mine.separated for name in mine.names])
        assert (named >= truth).all() or not named.any()
        assert not (mine.p_value[truth] < 0.05).any()
        assert mine.n_passes == 1 or truth.any()
    assert seen > 60
    assert seen - 5 > separated > 20
    assert agree == seen


def separated_case(kind, what):
    """X (400, 4), y, number of classes and the places of parameters without an estimate."""
    rng = np.random.default_rng(7)
    n = 400
    X = rng.normal(size=(n, 3))
    z = X @ [1.0, -1.0, 0.5]
    y = (rng.random(n) < special.expit(z)).astype(int)
    if kind == "multinomial":
        y = np.argmax(np.column_stack([0.0 * z, z, 0.3 * z]) + rng.gumbel(size=(n, 3)), axis=1)
    if kind == "poisson":
        y = rng.poisson(np.exp(0.3 * z + 0.5)).astype(float)
    set_, p = np.arange(n) < 30, 5
    if what == "column":  # where it is set, class 1 never is, or no event ever happens
        y = np.where(set_, {"logistic": 0, "poisson": 0}.get(kind, 2 * (y > 1)), y)
        return np.column_stack([X, set_]), y, [4]
    if what == "combination":  # neither column alone, but their difference
        a, b = rng.integers(0, 2, n), rng.integers(0, 2, n)
        y = np.where(a > b, 1, np.where(a < b, 0, y))
        return np.column_stack([X, a, b]), y, [4, 5]
    if what == "baseline":  # where it is set, the first class never is
        y = np.where(set_ & (y == 0), 1 + rng.integers(0, 2, n), y)
        return np.column_stack([X, set_]), y, [4, 4 + p]
    return np.column_stack([X, z]), y, list(range(5))


@pytest.mark.parametrize("tol", [1e-4, 1e-8])
@pytest.mark.parametrize(
    "kind, what",
    [("logistic", "column"), ("logistic", "combination"), ("multinomial", "column"),
     ("multinomial", "baseline"), ("poisson", "column")],
)  # fmt: skip
def test_separated_columns_are_named(kind, what, tol):
    A, y, places = separated_case(kind, what)
    n_classes = {"logistic": 2, "multinomial": 3, "poisson": None}[kind]
    model = by_hand(kind, newton(A, y, n_classes, tol).T, y)
    for cov_type in COV_TYPES:
        groups = np.arange(len(y)) % 50 if cov_type == "cluster" else None
        mine = infer(model, dask_rows(A, 5), y, cov_type=cov_type, groups=groups)
        assert mine.separated == tuple(mine.names[j] for j in places)
        assert np.isnan(mine.p_value[places]).all()
        others = np.delete(np.arange(mine.coef.size), places)
        assert np.isfinite(mine.std_error[others]).all()
        assert mine.n_passes == 2
        assert "separated" in str(mine)


@every_cov
@pytest.mark.parametrize("kind", ["logistic", "poisson"])
def test_other_columns_have_the_errors_of_the_limit(kind, cov_type):
    # In the limit, rows where the column is set are predicted without error and tell nothing.
    A, y, places = separated_case(kind, "column")
    n_classes = 2 if kind == "logistic" else None
    groups = np.arange(len(y)) % 50
    mine = infer(
        by_hand(kind, newton(A, y, n_classes, 1e-12).T, y), A, y, cov_type=cov_type,
        groups=groups if cov_type == "cluster" else None,
    )  # fmt: skip
    rest = A[:, 3] == 0
    their = reference(kind, A[rest, :3], y[rest], True, cov_type, groups[rest])
    factor = 1.0
    if cov_type in ("HC1", "cluster"):  # corrections count all rows and parameters
        n, m = len(y), rest.sum()
        factor = n / (n - 5) if cov_type == "HC1" else (n - 1) / (n - 5) * (m - 4) / (m - 1)
    others = np.delete(np.arange(5), places)
    np.testing.assert_allclose(mine.std_error[others], np.sqrt(factor) * their.bse, rtol=1e-6)
    assert mine.log_likelihood == pytest.approx(their.llf, rel=1e-8)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_complete_separation(n_classes):
    rng = np.random.default_rng(8)
    A = rng.normal(size=(300, 3))
    y = np.digitize(A[:, 0] + 0.2 * A[:, 1], [0.1, 0.9][: n_classes - 1])
    kind = "logistic" if n_classes == 2 else "multinomial"
    mine = infer(by_hand(kind, newton(A, y, n_classes).T, y), dask_rows(A, 5), y)
    assert mine.separated == tuple(mine.names)
    assert np.isnan(mine.p_value).all()
    assert mine.pseudo_r_squared == pytest.approx(1.0, abs=1e-3)


def test_what_looks_separated_but_is_not():
    rng = np.random.default_rng(9)
    n = 500
    A = rng.normal(size=(n, 3))
    strong = (rng.random(n) < special.expit(30.0 * A[:, 0])).astype(int)
    tails = np.column_stack([A, np.exp(3.0 * rng.normal(size=n))])
    hundred = np.column_stack([A, np.arange(n) < 100])
    one = np.where(np.arange(n) < 100, np.arange(n) != 7, rng.random(n) < 0.5).astype(int)
    for table, y in [(A, strong), (tails, one), (hundred, one)]:
        their = reference("logistic", table, y)
        mine = inferred("logistic", dask_rows(table, 3), y, params=their.params)
        assert mine.separated == ()
        assert mine.n_passes == 1
        np.testing.assert_allclose(mine.std_error, their.bse, rtol=1e-7)
