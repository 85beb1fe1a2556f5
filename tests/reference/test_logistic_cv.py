"""Cross-validated logistic regression against scikit-learn, single fits and sums written out."""

import time
import warnings

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import log_softmax, softmax
from sklearn import linear_model as theirs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import fbeta_score, get_scorer, jaccard_score, make_scorer
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, StratifiedShuffleSplit
from tables import Source, bootstraps, classes, csr_rows, dask_rows

from daskdsml.linear_model import LogisticRegression, LogisticRegressionCV
from daskdsml.utils.one_standard_error import best_and_simplest

X, TWO, W = classes(300, 4)
NAMES = np.array(["e", "d", "c", "b", "a"])
CS = [1e-3, 0.1, 1.0, 100.0]
FIVE_FOLDS = list(StratifiedKFold(5).split(X, TWO))


def labels(n_classes):
    """0 and 1, or strings drawn from a multinomial model, (300,)."""
    if n_classes == 2:
        return TWO
    rng = np.random.default_rng(n_classes)
    Z = (X - X.mean(axis=0)) @ rng.normal(size=(4, n_classes))
    return NAMES[np.argmax(Z + 1.5 * rng.gumbel(size=Z.shape), axis=1)]


def reference(y, **parameters):
    """scikit-learn's model at its best."""
    model = theirs.LogisticRegressionCV(
        solver="newton-cholesky", tol=1e-12, max_iter=1000, use_legacy_attributes=False,
        l1_ratios=(0.0,),
    )  # fmt: skip
    with warnings.catch_warnings():
        # At 1e-12 its line search can end on rounding; what it found is compared all the same.
        warnings.simplefilter("ignore")
        return model.set_params(**parameters).fit(X, y)


def assert_same(mine, their, rtol=2e-6):
    assert mine.coefs_paths_.shape == their.coefs_paths_.shape
    for name in ("Cs_", "l1_ratios_", "C_", "l1_ratio_", "classes_"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(their, name))
    np.testing.assert_allclose(mine.scores_, their.scores_, rtol=1e-7, atol=1e-12)
    for name in ("coefs_paths_", "coef_", "intercept_"):
        expected = getattr(their, name)
        atol = 0.05 * rtol * np.abs(expected).max()
        np.testing.assert_allclose(
            getattr(mine, name), expected, rtol=rtol, atol=atol, err_msg=name
        )
    assert mine.converged_
    assert (mine.residuals_ <= mine.tol).all()


OPTIONS = {
    "plain": {},
    "no intercept": {"fit_intercept": False},
    "means over folds": {"refit": False},
    "balanced": {"class_weight": "balanced"},
    "None": {"cv": None},
    "StratifiedKFold": {"cv": StratifiedKFold(4)},
    "shuffled and stratified": {"cv": StratifiedKFold(3, shuffle=True, random_state=0)},
    "KFold": {"cv": KFold(4, shuffle=True, random_state=0)},
    "ShuffleSplit": {"cv": ShuffleSplit(3, random_state=0)},
    "pairs": {"cv": FIVE_FOLDS[1:4]},
    "bootstrap": {"cv": bootstraps(len(X), 3)},
    "test rows in train": {"cv": [(np.arange(len(X)), np.r_[0:90, 0:70])]},
    "a number of penalties": {"Cs": 3},
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_scikit_learn_finds_the_same(option, n_classes):
    y = labels(n_classes)
    options = {"Cs": CS, "cv": 5, "scoring": "neg_log_loss", **OPTIONS[option]}
    mine = LogisticRegressionCV(tol=1e-9, **options).fit(dask_rows(X, 3), y)
    assert_same(mine, reference(y, **options))


TWO_CLASSES = ["roc_auc", "average_precision", "f1", "precision", "recall"]
# scikit-learn 1.9 cannot make these scores of two classes here: it gives pos_label twice.
MANY_CLASSES = ["f1_macro", "precision_macro", "recall_macro"]
SCORES = [(2, name) for name in TWO_CLASSES] + [(3, name) for name in MANY_CLASSES]
SCORES += [(k, s) for k in (2, 3) for s in ("accuracy", "balanced_accuracy", "neg_brier_score")]


@pytest.mark.filterwarnings("ignore:Precision is ill-defined")  # of the reference
@pytest.mark.parametrize("n_classes, scoring", SCORES)
def test_every_score(n_classes, scoring):
    y = labels(n_classes)
    cv = [*FIVE_FOLDS[:2], *bootstraps(len(X), 1), (np.arange(len(X)), np.r_[0:90, 0:70])]
    options = {"Cs": CS, "cv": cv, "scoring": scoring}
    mine = LogisticRegressionCV(tol=1e-9, cache="none", **options).fit(dask_rows(X, 3), y)
    assert_same(mine, reference(y, **options))
    assert [record.name for record in mine.history_].count("scores") == 1
    assert mine.n_passes_ == len(mine.history_)
    here = mine.score(dask_rows(X, 2), dask_rows(y, 2))
    assert here == pytest.approx(get_scorer(scoring)(mine, X, y), rel=1e-12)


@pytest.mark.parametrize("penalty, ratio", [("l1", 1.0), ("l2", 0.0), ("elasticnet", 0.5)])
def test_the_deprecated_penalty(penalty, ratio):
    options = {"Cs": CS, "cv": 3, "l1_ratios": (0.5,)}
    with pytest.warns(FutureWarning, match=f"l1_ratios=.* in place of penalty='{penalty}'"):
        mine = LogisticRegressionCV(penalty=penalty, solver="saga", **options).fit(X, TWO)
    other = LogisticRegressionCV(**{**options, "l1_ratios": (ratio,)}).fit(X, TWO)
    np.testing.assert_array_equal(mine.coef_, other.coef_)
    np.testing.assert_array_equal(mine.l1_ratios_, [ratio])


def share_of_gains(model, X, y, sample_weight=None):
    """A score that is no scorer of scikit-learn: it is given the model and the rows."""
    p = np.asarray(model.predict_proba(X))
    hits = p[np.arange(len(y)), np.searchsorted(model.classes_, y)] - np.abs(X[:, 0]) / 10.0
    return float(np.average(np.asarray(hits), weights=sample_weight))


OTHER_SCORES = {
    "None": None,
    "jaccard_weighted": make_scorer(jaccard_score, average="weighted"),
    "matthews_corrcoef": "matthews_corrcoef",
    "d2_log_loss_score": "d2_log_loss_score",
    "made": make_scorer(fbeta_score, beta=2.0, average="macro"),
    "callable": share_of_gains,
}


@pytest.mark.filterwarnings("ignore:Precision is ill-defined")  # of the reference
@pytest.mark.parametrize("name", OTHER_SCORES)
@pytest.mark.parametrize("n_classes, weighted", [(2, True), (3, False)])
def test_every_other_score_of_scikit_learn(name, n_classes, weighted):
    y, scoring, w = labels(n_classes), OTHER_SCORES[name], W if weighted else None
    y = np.unique(y, return_inverse=True)[1]
    for cv in (3, bootstraps(len(X), 2)):
        options = {"Cs": CS, "cv": cv, "scoring": scoring, "use_legacy_attributes": False}
        their = theirs.LogisticRegressionCV(
            **options, l1_ratios=(0.0,), tol=1e-10, solver="newton-cholesky"
        ).fit(X, y, w)
        for A, t in ((X, y), (dask_rows(X, 3), dask_rows(y, 3))):
            mine = LogisticRegressionCV(tol=1e-9, **options).fit(A, t, w)
            np.testing.assert_allclose(mine.scores_, their.scores_, rtol=1e-5, atol=1e-7)
            assert mine.C_ == pytest.approx(their.C_)
            whole = their.score(X, y, sample_weight=w)
            assert mine.score(A, t, w) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("class_weight", [None, {0: 1.0, 1: 1.0 + 1e-12}])
def test_log_loss_is_exact_where_probabilities_are_zero(class_weight):
    # The test row of the other class is given the probability exp(-60), which is not clipped.
    A = np.r_[np.linspace(-3.0, -1.0, 10), np.linspace(1.0, 3.0, 10), -60.0][:, None]
    y = np.r_[np.zeros(10), np.ones(11)]
    cv = [(np.arange(20), [20, 0])]
    mine = LogisticRegressionCV(Cs=[1.0], cv=cv, tol=1e-9, class_weight=class_weight).fit(A, y)
    slope, intercept = mine.coefs_paths_[0, 0, 0, 0]
    z = slope * A[[20, 0], 0] + intercept
    exact = -np.mean(np.logaddexp(0.0, [-z[0], z[1]]))
    assert z[0] < -50.0
    assert mine.scores_[0, 0, 0] == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("scoring", ["neg_log_loss", "accuracy", "roc_auc"])
@pytest.mark.parametrize("class_weight", [None, {0: 2.0}])
def test_scores_are_weighted_by_sample_weight_alone(scoring, class_weight):
    options = {"Cs": CS, "class_weight": class_weight}
    mine = LogisticRegressionCV(scoring=scoring, **options).fit(dask_rows(X, 4), TWO, W)
    for f, (_, test) in enumerate(FIVE_FOLDS):
        for c in range(len(CS)):
            part = LogisticRegression()
            part.classes_, part.n_features_in_ = mine.classes_, 4
            part.coef_ = mine.coefs_paths_[f, 0, c, :, :4]
            part.intercept_ = mine.coefs_paths_[f, 0, c, :, 4]
            exact = get_scorer(scoring)(part, X[test], TWO[test], sample_weight=W[test])
            assert mine.scores_[f, 0, c] == pytest.approx(exact, rel=1e-12)
    whole = get_scorer(scoring)(mine, X, TWO, sample_weight=W)
    assert mine.score(dask_rows(X, 4), TWO, W) == pytest.approx(whole, rel=1e-12)


CLASS_WEIGHTS = [None, {"e": 3.0, "c": 0.5}]


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("class_weight", CLASS_WEIGHTS)
@pytest.mark.parametrize("intercept", [True, False])
def test_every_model_is_a_fit_of_its_own(ratio, class_weight, intercept):
    y, common = labels(3), {"class_weight": class_weight, "fit_intercept": intercept}
    cv = ShuffleSplit(2, random_state=1)  # test sets that overlap
    mine = LogisticRegressionCV(Cs=[0.05, 2.0], l1_ratios=[ratio], cv=cv, tol=1e-10, **common)
    mine.fit(dask_rows(X, 3), y, W)
    sets = [train for train, _ in cv.split(X)]
    found = list(mine.coefs_paths_[:, 0])
    for train, paths in zip(sets, found, strict=True):
        for C, theta in zip(mine.Cs_, paths, strict=True):
            one = LogisticRegression(C=C, l1_ratio=ratio, tol=1e-10, **common)
            one.fit(X[train], y[train], W[train])
            np.testing.assert_allclose(theta[:, :4], one.coef_, atol=1e-6)
            if intercept:
                np.testing.assert_allclose(theta[:, 4], one.intercept_, atol=1e-6)
            if ratio:
                np.testing.assert_array_equal(theta[:, :4] == 0.0, one.coef_ == 0.0)
    one = LogisticRegression(C=mine.C_, l1_ratio=ratio, tol=1e-10, **common).fit(X, y, W)
    np.testing.assert_allclose(mine.coef_, one.coef_, atol=1e-6)
    np.testing.assert_allclose(mine.intercept_, one.intercept_, atol=1e-6)


def kkt(theta, A, y, w, C, ratio):
    """The largest distance from the subdifferential, for columns centred and of unit spread.

    Means and spreads are those of all rows, ``A``, ``y`` and ``w`` of the training rows.
    """
    p = A.shape[1]
    Z = A @ theta[:, :p].T + theta[:, p]
    if len(theta) == 1:
        Z = np.column_stack([0.0 * Z, Z])
    wrong = (softmax(Z, axis=1) - (y[:, None] == np.unique(y)))[:, -len(theta) :]
    slope = (w[:, None] * wrong).T @ np.column_stack([A, np.ones(len(A))]) / w.sum()
    strength, coef = 1.0 / (C * w.sum()), theta[:, :p]
    mean = np.average(X, axis=0, weights=W)
    inner = slope[:, :p] - slope[:, p:] * mean + strength * (1.0 - ratio) * coef
    l1 = strength * ratio
    at_zero = np.sign(inner) * np.maximum(np.abs(inner) - l1, 0.0)
    inner = np.where(coef != 0.0, inner + l1 * np.sign(coef), at_zero)
    spread = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=W))
    return max(np.abs(inner / spread).max(), np.abs(slope[:, p]).max())


@pytest.mark.parametrize("n_classes", [2, 3])
def test_residuals_are_what_they_say(n_classes):
    y = labels(n_classes)
    mine = LogisticRegressionCV(Cs=4, l1_ratios=(0.0, 0.3, 1.0), cv=3, tol=1e-7)
    mine.fit(dask_rows(X, 5), y, W)
    for f, (train, _) in enumerate(StratifiedKFold(3).split(X, y)):
        for r, ratio in enumerate(mine.l1_ratios_):
            for c, C in enumerate(mine.Cs_):
                theta = mine.coefs_paths_[f, r, c]
                exact = kkt(theta, X[train], y[train], W[train], C, ratio)
                assert exact <= 1.01e-7
                assert mine.residuals_[f, r, c] == pytest.approx(exact, rel=1e-2, abs=1e-13)


def test_saga_finds_the_same():
    A = (X - X.mean(axis=0)) / X.std(axis=0)
    options = {"Cs": [0.03, 0.3], "l1_ratios": (0.4, 1.0), "cv": 3, "scoring": "neg_log_loss"}
    mine = LogisticRegressionCV(tol=1e-9, **options).fit(A, TWO)
    their = theirs.LogisticRegressionCV(
        solver="saga", tol=1e-9, max_iter=5000, use_legacy_attributes=False, random_state=0,
        **options,
    ).fit(A, TWO)  # fmt: skip
    np.testing.assert_allclose(mine.coefs_paths_, their.coefs_paths_, atol=1e-6)
    np.testing.assert_allclose(mine.scores_, their.scores_, rtol=1e-6)
    assert (mine.C_, mine.l1_ratio_) == (their.C_, their.l1_ratio_)
    np.testing.assert_allclose(mine.coef_, their.coef_, atol=1e-6)


# Layouts


def tidy(**parameters):
    options = {"Cs": [0.1, 10.0], "l1_ratios": (0.0, 0.7), "cv": 4, "tol": 1e-9}
    return LogisticRegressionCV(**{**options, **parameters})


LAYOUTS = {
    "blocks": lambda A: dask_rows(A, 7),
    "rows": lambda A: dask_rows(A, len(A)),
    "column chunks": lambda A: dask_rows(A, 4).rechunk((75, 2)),
    "CSR": sparse.csr_matrix,
    "CSR blocks": lambda A: csr_rows(A, 7),
    "frame": pd.DataFrame,
    "Dask frame": lambda A: dd.from_pandas(pd.DataFrame(A), npartitions=3),
}


@pytest.fixture(scope="module")
def exact():
    return tidy().fit(X, labels(3), W)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cache", ["memory", "none"])
def test_layouts_do_not_matter(layout, cache, exact):
    mine = tidy(cache=cache).fit(LAYOUTS[layout](X), labels(3), W)
    np.testing.assert_allclose(mine.coefs_paths_, exact.coefs_paths_, atol=1e-6)
    np.testing.assert_allclose(mine.scores_, exact.scores_, rtol=1e-7)
    np.testing.assert_allclose(mine.coef_, exact.coef_, atol=1e-6)
    assert (mine.C_, mine.l1_ratio_, mine.C_1se_) == (exact.C_, exact.l1_ratio_, exact.C_1se_)


def test_float32():
    exact = tidy(tol=1e-4).fit(X, TWO, W)
    mine = tidy(tol=1e-4).fit(dask_rows(X.astype(np.float32), 7), TWO, W)
    np.testing.assert_allclose(mine.scores_, exact.scores_, rtol=1e-3)
    assert mine.coef_.dtype == np.float64
    assert mine.predict_proba(X.astype(np.float32)).dtype == np.float32


def test_rows_of_unknown_number():
    y = labels(3)
    frame = dd.from_pandas(pd.DataFrame(X).assign(y=y), npartitions=5)
    kept = frame[frame[0] > -3.0]
    here = X[:, 0] > -3.0
    mine = tidy().fit(kept[[0, 1, 2, 3]], kept["y"])
    exact = tidy().fit(X[here], y[here])
    np.testing.assert_allclose(mine.scores_, exact.scores_, rtol=1e-7)
    np.testing.assert_allclose(mine.coef_, exact.coef_, atol=1e-6)


def test_on_a_cluster(client, tmp_path):
    A, y = Source(tmp_path, 6, 60, 4).table()
    common = {"scoring": "roc_auc", "class_weight": "balanced", "tol": 1e-3}
    mine = tidy(cache="none", **common).fit(A, y)
    kept = tidy(cache="memory", **common).fit(A, y)
    with dask.config.set(scheduler="synchronous"):
        here = tidy(cache="none", **common).fit(A, y)
    for other in (kept, here):
        np.testing.assert_array_equal(mine.coefs_paths_, other.coefs_paths_)
        np.testing.assert_array_equal(mine.scores_, other.scores_)
        assert mine.n_passes_ == other.n_passes_
    assert mine.score(A, y) == here.score(A.compute(), y.compute())


def test_processes_serve_every_pass():
    with dask.config.set(scheduler="processes"):
        mine = tidy(class_weight="balanced", scoring="accuracy", tol=1e-4)
        mine.fit(dask_rows(X, 2), dask_rows(TWO, 2))
    here = tidy(class_weight="balanced", scoring="accuracy", tol=1e-4).fit(X, TWO)
    np.testing.assert_allclose(mine.scores_, here.scores_, atol=1e-12)


def test_splitters_see_labels_in_memory_beside_a_dask_array():
    cv = StratifiedShuffleSplit(3, random_state=0)
    mine, exact = tidy(cv=cv).fit(dask_rows(X, 7), TWO), tidy(cv=cv).fit(X, TWO)
    np.testing.assert_allclose(mine.scores_, exact.scores_, rtol=1e-7)
    for kind in (cv, StratifiedKFold(3, shuffle=True, random_state=0)):
        with pytest.raises(ValueError, match="need y in this process's memory.*Use cv=5"):
            tidy(cv=kind).fit(dask_rows(X, 7), dask_rows(TWO, 7))


def test_weights_count_rows():
    times = np.random.default_rng(0).integers(0, 4, size=300)
    mine = tidy(Cs=[0.3], l1_ratios=[0.7]).fit(X, TWO, times)
    many = tidy(Cs=[0.3], l1_ratios=[0.7]).fit(np.repeat(X, times, axis=0), np.repeat(TWO, times))
    np.testing.assert_allclose(mine.coef_, many.coef_, atol=1e-6)
    np.testing.assert_allclose(mine.intercept_, many.intercept_, atol=1e-6)


# Choices


def test_one_standard_error():
    scores = -np.array([[3.0, 1.2, 1.1, 1.3], [3.0, 1.0, 0.7, 0.9]])
    # The best mean is -0.9 with an error of 0.2, so -1.1 is near enough and -3 is not.
    assert best_and_simplest(scores.T) == (2, 1)
    assert best_and_simplest(scores[:1].T) == (2, 2)
    least, near = tidy(Cs=10).fit(X, TWO), tidy(Cs=10, rule="1se").fit(X, TWO)
    assert near.C_ == near.C_1se_ == least.C_1se_ < least.C_
    ratio = list(near.l1_ratios_).index(near.l1_ratio_)
    scores = near.scores_[:, ratio]
    best = scores.mean(axis=0).max()
    error = scores[:, scores.mean(axis=0).argmax()].std(ddof=1) / 2.0
    where = list(near.Cs_).index(near.C_)
    assert scores[:, where].mean() >= best - error > scores[:, where - 1].mean()
    one = LogisticRegression(C=near.C_, l1_ratio=near.l1_ratio_, tol=1e-9).fit(X, TWO)
    np.testing.assert_allclose(near.coef_, one.coef_, atol=1e-6)


def test_penalties_in_any_order():
    mine, other = tidy(Cs=[10.0, 0.1]).fit(X, TWO), tidy(Cs=(0.1, 10.0)).fit(X, TWO)
    assert mine.Cs_.tolist() == [0.1, 10.0]
    np.testing.assert_array_equal(mine.scores_, other.scores_)


# Reads, and data that are hard


@pytest.mark.parametrize("ratios, n", [((0.0,), 100_000), ((1.0,), 100_000), ((0, 0.5, 1), 20_000)])
def test_reads(ratios, n):
    rng = np.random.default_rng(0)
    A = rng.normal(size=(n, 30))
    z = A @ (rng.normal(size=30) * (np.arange(30) % 3 == 0))
    y = rng.random(n) < 1.0 / (1.0 + np.exp(-z))
    mine = LogisticRegressionCV(Cs=20, cv=5, l1_ratios=ratios, tol=1e-6).fit(A, y)
    assert mine.converged_
    assert mine.residuals_.shape == (5, len(ratios), 20)
    assert (mine.residuals_ <= 1e-6).all()
    assert mine.n_passes_ <= 25


HARD = {
    "separable": lambda A, y: (A, A[:, 0] > 0.0),
    "noise": lambda A, y: (A, y),
    "twins": lambda A, y: (np.column_stack([A, A[:, 0]]), A[:, 0] > 0.0),
    "constant": lambda A, y: (np.column_stack([A, np.full(60, 3.0), np.zeros(60)]), y),
    "units": lambda A, y: (A * 10.0 ** (np.arange(40) % 12 - 6.0), A[:, 0] > 0.0),
}


@pytest.mark.parametrize("kind", HARD)
def test_few_rows_of_many_columns(kind):
    rng = np.random.default_rng(0)
    A, y = HARD[kind](rng.normal(size=(60, 40)), rng.integers(0, 2, size=60))
    start = time.thread_time()  # of the machine's time others may have their share
    mine = LogisticRegressionCV(Cs=10, l1_ratios=(0.0, 1.0)).fit(A, y)
    assert mine.converged_
    assert (mine.residuals_ <= 1e-4).all()
    assert mine.n_passes_ <= 120
    assert time.thread_time() - start < 30.0


def test_too_few_passes_warn():
    said = "LogisticRegressionCV stopped after max_iter=1 .*limit tol=1e-09. Raise max_iter"
    with pytest.warns(ConvergenceWarning, match=said) as seen:
        mine = LogisticRegressionCV(Cs=3, max_iter=1, tol=1e-9).fit(dask_rows(X, 3), TWO)
    assert seen[0].filename == __file__
    assert not mine.converged_
    assert (mine.n_iter_ == 1).all()
    assert mine.predict(X).shape == (300,)


def test_log_loss_of_hopeless_predictions_is_exact():
    # A row far on the wrong side costs its distance, however large, as the models' own loss has it.
    A = np.concatenate([np.linspace(-3.0, 3.0, 41), [3000.0]])[:, None]
    y = np.concatenate([np.arange(41) > 20, [False]])
    cv = [(np.arange(30), np.arange(30, 42))]
    mine = LogisticRegressionCV(Cs=[1.0], cv=cv).fit(A, y)
    theta = mine.coefs_paths_[0, 0, 0, 0]
    z = A[30:, 0] * theta[0] + theta[1]
    log_p = log_softmax(np.column_stack([0.0 * z, z]), axis=1)
    exact = log_p[np.arange(12), y[30:].astype(int)].mean()
    assert mine.scores_[0, 0, 0] == pytest.approx(exact, rel=1e-12)
    assert exact < -300.0


# Bad input


def refuse(said, y=TWO, w=None, A=X, **parameters):
    with pytest.raises(ValueError, match=said):
        LogisticRegressionCV(**{"Cs": 2, **parameters}).fit(A, y, w)


SORTED = np.repeat([0, 1], [200, 100])


@pytest.mark.parametrize("kind", [np.asarray, lambda y: dask_rows(y, 7)], ids=["NumPy", "Dask"])
def test_a_class_that_a_fold_lacks(kind):
    A = X if kind is np.asarray else dask_rows(X, 7)
    y = NAMES[SORTED + 1]
    refuse("training set of fold 2 has no row of class 'c'.*stratified", kind(y), A=A, cv=KFold(3))
    refuse("fold 4 has no row of class 1", kind(np.eye(300)[7].astype(int)), A=A)
    # Each training set has both classes, but the first test set has one of them.
    y = np.concatenate([np.zeros(100, dtype=int), TWO[100:]])
    common = {"y": kind(y), "A": A, "cv": KFold(3)}
    refuse("test set of fold 0 cannot be scored. .*roc_auc.*class 1 ", scoring="roc_auc", **common)
    refuse("test set of fold 0 cannot be scored. .*recall.*class 1 ", scoring="recall", **common)
    mine = LogisticRegressionCV(Cs=2, cv=KFold(3)).fit(A, kind(y))
    assert np.isfinite(mine.scores_).all()


def test_folds_without_weight():
    w = np.ones(300)
    w[100:200] = 0.0
    said = "test set of fold 1 cannot be scored. A score needs .* row of positive weight"
    refuse(said, w=w, cv=KFold(3))
    refuse(said, w=w, cv=KFold(3), scoring="accuracy")
    refuse("training set of fold 1 has no row of positive weight", w=1.0 - w, cv=KFold(3))


def test_splits_that_are_none():
    refuse("cv holds no splits", cv=[])
    refuse("test set of fold 0 cannot be scored. .*at least one row", cv=[(np.arange(300), [])])
    refuse("rows that there are not: X has 300 rows", cv=[(np.arange(300), [300])])
    refuse("cv=201 stratified folds need a class of at least 201 rows.* has 200", SORTED, cv=201)
    refuse("cv=301 folds need at least 301 rows", cv=KFold(301))


def test_scores_of_another_kind():
    refuse("scoring='roc_auc' is for two classes, but there are 3", labels(3), scoring="roc_auc")
    refuse("scoring='f1' is for two classes.*Use 'f1_macro'", labels(3), scoring="f1")


@pytest.mark.parametrize("n_blocks", [None, 3])
def test_labels_that_the_fit_did_not_meet(n_blocks):
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = (X[:, 0] > 0.0).astype(int)
    strange = np.where(np.arange(60) < 5, 2, y)
    model = LogisticRegressionCV(Cs=[1.0], cv=3, scoring="accuracy").fit(X, y)
    right = np.mean(model.predict(X) == strange)
    A, b = (X, strange) if n_blocks is None else (dask_rows(X, n_blocks), dask_rows(strange, 3))
    assert model.score(A, b) == pytest.approx(right)
    with pytest.raises(ValueError, match="y holds the label 2"):
        model.set_params(scoring="neg_log_loss").score(A, b)


def test_nothing_is_fitted_where_no_score_can_be(tmp_path):
    A, y = Source(tmp_path, 5, 40, 3).table()
    source = Source(tmp_path, 5, 40, 3)
    with pytest.raises(ValueError, match="two classes, but there are 3"):
        LogisticRegressionCV(scoring="f1").fit(A, y + (A[:, 0] > 0.0))
    assert source.reads() <= 2  # X once, and once more for the labels made from it


def test_scoring_rows_that_cannot_be():
    mine = LogisticRegressionCV(Cs=2).fit(X, TWO)
    bad = X.copy()
    bad[7, 2] = np.nan
    with pytest.raises(ValueError, match="NaN at row 7, column 2"):
        mine.score(dask_rows(bad, 3), TWO)
    with pytest.raises(ValueError, match=r"label 2, but the model .* classes \[0, 1\]"):
        mine.score(X, TWO + 1)


def test_values_that_cannot_be():
    bad = X.copy()
    bad[107, 2] = np.nan
    refuse("NaN at row 107, column 2", A=dask_rows(bad, 4))
    refuse(r"NaN at row 107, column 2 \('c'\)", A=pd.DataFrame(bad, columns=list("abcd")))
    refuse("y contains NaN at row 4", np.where(np.arange(300) == 4, np.nan, TWO))
    refuse("needs samples of 2 classes or more, but y holds one class: 0", 0 * TWO)
    refuse("y holds 300 different values|continuous", X[:, 0])


@pytest.mark.parametrize("p, l1_ratio", [(150, 0.0), (150, 1.0), (1100, 0.0)])
def test_folds_forget_their_test_rows_where_classes_are_separated(p, l1_ratio):
    # Gradients are then small at the fit to all rows.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, p))
    y = (X[:, :5].sum(axis=1) + rng.normal(size=120) > 0).astype(int)
    model = LogisticRegressionCV(Cs=[1.0, 1e3], cv=3, l1_ratios=(l1_ratio,)).fit(X, y)
    for f, (train, test) in enumerate(StratifiedKFold(3).split(X, y)):
        for c, C in enumerate(model.Cs_):
            single = LogisticRegression(C=C, l1_ratio=l1_ratio, tol=1e-7, max_iter=1000)
            single.fit(X[train], y[train])
            logs = single.predict_log_proba(X[test])[np.arange(len(test)), y[test]]
            assert model.scores_[f, 0, c] == pytest.approx(logs.mean(), rel=0.02)


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("n, p, K", [(200, 160, 2), (200, 60, 3), (90, 1200, 2), (400, 10, 2)])
def test_labels_drawn_at_random_cannot_be_told(n, p, K, l1_ratio):
    # Also where folds are left before they have converged.
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(n, p)), rng.integers(0, K, size=n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for max_iter in (1, 8):
            options = {"l1_ratios": (l1_ratio,), "scoring": "accuracy", "max_iter": max_iter}
            scores = LogisticRegressionCV(Cs=5, **options).fit(X, y).scores_.mean(axis=0)
            assert np.all(np.abs(scores - 1.0 / K) < 4.0 * np.sqrt(0.25 / n))


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_a_rare_class_drawn_at_random_cannot_be_told(l1_ratio):
    # Each class can be separated from the other, with many rows for each parameter.
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 20)), np.zeros(400, dtype=int)
    y[rng.choice(400, 6, replace=False)] = 1
    options = {"l1_ratios": (l1_ratio,), "scoring": "roc_auc", "cv": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = LogisticRegressionCV(Cs=[1.0, 1e4, 1e7], **options).fit(X, y).scores_
    assert np.all(scores.mean(axis=0) < 0.85)


def test_single_precision_far_from_zero_is_fitted():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 10))
    y = (X[:, 0] + rng.normal(size=500) > 0).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        far = LogisticRegressionCV().fit((X + 1000.0).astype(np.float32), y)
    # Sums of single precision end the fits early, at places that depend on the processor.
    np.testing.assert_allclose(far.scores_, LogisticRegressionCV().fit(X, y).scores_, rtol=0.04)
