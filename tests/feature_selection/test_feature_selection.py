"""Forward stepwise selection against the fits it stands for, one least squares per candidate."""

import pickle
import warnings

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LinearRegression as ReferenceRegression
from sklearn.model_selection import KFold, PredefinedSplit, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from tables import Source, bootstraps, csr_rows, dask_rows, regression

from daskdsml.feature_selection import ForwardStepwiseSelector
from daskdsml.linear_model import LinearRegression

X, Y, W = regression(200, 8, seed=3)
# Effects of all sizes, so that criteria stop at different places.
Y = X @ np.array([2.0, 0.0, 0.4, 0.1, 0.0, 0.03, 0.6, 0.0]) + np.random.default_rng(5).normal(
    size=200
)


# Some checks fit noise, of which the criterion rightly takes nothing.
@pytest.mark.filterwarnings("ignore:No features were selected")
@parametrize_with_checks(
    [
        ForwardStepwiseSelector(),
        ForwardStepwiseSelector(1),
        ForwardStepwiseSelector(1, fit_intercept=False),
        ForwardStepwiseSelector(1, criterion="cv", cv=2),
        ForwardStepwiseSelector(criterion="p_value", p_enter=1.0),
    ],
    expected_failed_checks=lambda selector: (
        # The check knows only messages of other words.
        {"check_fit2d_1sample": "says that 2 folds need 2 rows, but X has 1"}
        if selector.criterion == "cv"
        else {}
    ),
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


def rss_of(A, y, w, columns, intercept):
    """Weighted residual sum of squares of the least squares fit on ``columns``."""
    design = np.column_stack([A[:, columns], np.ones((len(A), int(intercept)))])
    root = np.sqrt(w)
    coef = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
    return float(w @ (y - design @ coef) ** 2)


def brute_force(A, y, w=None, intercept=True):
    """Order of entry and RSS path by one least squares fit per candidate."""
    w = np.ones(len(A)) if w is None else w
    order, rss = [], [rss_of(A, y, w, [], intercept)]
    while len(order) < A.shape[1]:
        left = [j for j in range(A.shape[1]) if j not in order]
        tried = [rss_of(A, y, w, [*order, j], intercept) for j in left]
        order.append(left[int(np.argmin(tried))])
        rss.append(min(tried))
    return order, np.array(rss)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_each_step_is_the_best_of_all_fits(seed, weighted, intercept):
    A, y, w = regression(60, 9, seed=seed)
    A[:, 4] += A[:, 2] + 0.3 * A[:, 7]
    w = w if weighted else None
    mine = ForwardStepwiseSelector(fit_intercept=intercept).fit(A, y, w)
    order, rss = brute_force(A, y, w, intercept)
    assert mine.order_.tolist() == order
    np.testing.assert_allclose(mine.rss_path_, rss, rtol=1e-9)


@pytest.mark.parametrize("n_features", [1, 3, 8])
@pytest.mark.parametrize("intercept", [True, False])
def test_model_of_the_selected_columns(n_features, intercept):
    mine = ForwardStepwiseSelector(n_features, fit_intercept=intercept).fit(X, Y, W)
    fit = ReferenceRegression(fit_intercept=intercept).fit(mine.transform(X), Y, W)
    assert mine.n_features_to_select_ == n_features
    assert sorted(mine.order_[:n_features]) == mine.get_support(indices=True).tolist()
    np.testing.assert_allclose(mine.coef_, fit.coef_, rtol=1e-10)
    np.testing.assert_allclose(mine.intercept_, fit.intercept_, rtol=1e-10)


@pytest.mark.parametrize("intercept", [True, False])
def test_information_criteria_are_those_of_statsmodels(intercept):
    import statsmodels.api as sm

    for name in ("aic", "bic"):
        mine = ForwardStepwiseSelector(criterion=name, fit_intercept=intercept).fit(X, Y)
        theirs = []
        for m in range(intercept ^ 1, 9):
            design = X[:, mine.order_[:m]]
            fit = sm.OLS(Y, sm.add_constant(design) if intercept else design).fit()
            theirs.append(getattr(fit, name) - 200 * (np.log(2 * np.pi) + 1))
        np.testing.assert_allclose(mine.criterion_path_[intercept ^ 1 :], theirs, rtol=1e-10)
        best = int(np.argmin(mine.criterion_path_))
        assert mine.n_features_to_select_ == best == mine.support_.sum()
        assert 0 < best < 8


@pytest.mark.parametrize("intercept", [True, False])
def test_p_values_are_those_of_t_at_entry(intercept):
    import statsmodels.api as sm

    mine = ForwardStepwiseSelector(criterion="p_value", fit_intercept=intercept).fit(X, Y)
    assert np.isnan(mine.criterion_path_[0])
    for m in range(1, 9):
        design = X[:, mine.order_[:m]]
        design = sm.add_constant(design) if intercept else design
        assert mine.criterion_path_[m] == pytest.approx(
            sm.OLS(Y, design).fit().pvalues[-1], rel=1e-7
        )
    stop = int(np.argmax(mine.criterion_path_[1:] > 0.05))
    assert mine.n_features_to_select_ == stop > 0
    for limit in (1e-8, 0.5, 1.0):
        other = ForwardStepwiseSelector(
            criterion="p_value", p_enter=limit, fit_intercept=intercept
        ).fit(X, Y)
        entered = other.criterion_path_[1 : other.n_features_to_select_ + 1]
        assert (entered <= limit).all()
    assert other.n_features_to_select_ == 8


def fold_errors(A, y, w, train, test, intercept, n_models):
    """Test errors of the stepwise models made on ``train``, each by a fit of its own."""
    order, _ = brute_force(A[train], y[train], w[train], intercept)
    errors = []
    for m in range(n_models):
        design = np.column_stack([A[:, order[:m]], np.ones((len(A), int(intercept)))])
        root = np.sqrt(w[train])
        coef = np.linalg.lstsq(design[train] * root[:, None], y[train] * root, rcond=None)[0]
        errors.append(np.average((y[test] - design[test] @ coef) ** 2, weights=w[test]))
    return errors


SPLITTERS = {
    "5": 5,
    "shuffled": KFold(4, shuffle=True, random_state=1),
    "overlapping": ShuffleSplit(3, test_size=0.3, random_state=2),
    "bootstrap": bootstraps(200, 2),
    "test rows in train": [(np.arange(200), np.r_[0:50, 0:20])],
    "pairs": [(np.arange(100), np.arange(100, 150)), (np.arange(50, 200), np.arange(40))],
}


@pytest.mark.parametrize("name", SPLITTERS)
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_cross_validation_makes_the_path_anew_on_each_training_set(name, intercept, weighted):
    cv = SPLITTERS[name]
    w = W if weighted else np.ones(200)
    mine = ForwardStepwiseSelector(criterion="cv", cv=cv, fit_intercept=intercept)
    mine.fit(dask_rows(X, 7), dask_rows(Y, 7), dask_rows(w, 7))
    pairs = cv if isinstance(cv, list) else (KFold(5) if cv == 5 else cv).split(X)
    theirs = np.transpose(
        [fold_errors(X, Y, w, train, test, intercept, 9) for train, test in pairs]
    )
    np.testing.assert_allclose(mine.mse_path_, theirs, rtol=1e-9)
    np.testing.assert_allclose(mine.criterion_path_, theirs.mean(axis=1), rtol=1e-9)
    assert mine.order_.tolist() == brute_force(X, Y, w, intercept)[0]
    assert mine.n_features_to_select_ == np.argmin(theirs.mean(axis=1))
    assert mine.n_passes_ == 1


def test_one_standard_error_takes_fewer_columns():
    least = ForwardStepwiseSelector(criterion="cv").fit(X, Y)
    mine = ForwardStepwiseSelector(criterion="cv", rule="1se").fit(X, Y)
    mean, best = mine.criterion_path_, least.n_features_to_select_
    limit = mean[best] + stats.sem(mine.mse_path_[best])
    assert mine.n_features_to_select_ == np.flatnonzero(mean <= limit)[0] < best


def kinds_of(A, y, w):
    """The same table in every form that fit takes."""
    yield A, y, w
    for n_blocks in (1, 7, 50):
        yield dask_rows(A, n_blocks), dask_rows(y, n_blocks), dask_rows(w, n_blocks)
    yield dask_rows(A, 7).rechunk((30, 3)), dask_rows(y, 4), w
    yield sparse.csr_matrix(A), y, w
    yield csr_rows(A, 7), dask_rows(y, 7), w
    frame = pd.DataFrame(A, columns=[f"c{j}" for j in range(A.shape[1])])
    yield frame, pd.Series(y), pd.Series(w)
    yield (
        dd.from_pandas(frame, npartitions=5),
        dd.from_pandas(pd.Series(y), npartitions=5),
        dd.from_pandas(pd.Series(w), npartitions=5),
    )


@pytest.mark.parametrize("criterion", ["bic", "aic", "p_value", "cv"])
def test_equal_for_every_kind_of_data(criterion):
    # Equal and nearly equal columns: where they tie, rounding must not decide.
    A = np.column_stack([X, X[:, 0], -2.0 * X[:, 6], np.full(200, 0.1)])
    first = ForwardStepwiseSelector(criterion=criterion).fit(A, Y, W)
    assert set(first.order_) == set(range(8))
    for A_, y, w in kinds_of(A, Y, W):
        mine = ForwardStepwiseSelector(criterion=criterion).fit(A_, y, w)
        assert mine.order_.tolist() == first.order_.tolist()
        assert mine.n_features_to_select_ == first.n_features_to_select_
        np.testing.assert_array_equal(mine.support_, first.support_)
        np.testing.assert_allclose(mine.rss_path_, first.rss_path_, rtol=1e-9)
        np.testing.assert_allclose(mine.criterion_path_, first.criterion_path_, rtol=1e-8)
        # Folds need the number of rows, which a Dask DataFrame tells in a read of its own.
        assert mine.n_passes_ == 1 + (criterion == "cv" and isinstance(A_, dd.DataFrame))


@pytest.mark.parametrize("criterion", ["bic", "aic", "p_value", "cv"])
def test_integer_weights_are_repeated_rows(criterion):
    counts = np.random.default_rng(1).integers(0, 4, size=200)
    fold = np.arange(200) % 4
    cv, cv_repeated = PredefinedSplit(fold), PredefinedSplit(np.repeat(fold, counts))
    mine = ForwardStepwiseSelector(criterion=criterion, cv=cv).fit(X, Y, counts)
    theirs = ForwardStepwiseSelector(criterion=criterion, cv=cv_repeated).fit(
        np.repeat(X, counts, axis=0), np.repeat(Y, counts)
    )
    assert mine.order_.tolist() == theirs.order_.tolist()
    assert mine.n_features_to_select_ == theirs.n_features_to_select_
    for name in ("rss_path_", "criterion_path_", "coef_", "intercept_"):
        np.testing.assert_allclose(getattr(mine, name), getattr(theirs, name), rtol=1e-10)


@pytest.mark.parametrize("criterion", ["bic", "cv"])
@pytest.mark.parametrize("cache", ["auto", "memory", "none"])
def test_one_read(criterion, cache, tmp_path):
    source = Source(tmp_path, 12, 50, 6)
    A, y = source.table()
    mine = ForwardStepwiseSelector(criterion=criterion, cache=cache).fit(A, y)
    assert source.reads() == mine.n_passes_ == len(mine.history_) == 1


def test_rows_of_unknown_number_are_counted_for_folds():
    A = dask_rows(X, 7)
    chosen, y = A[A[:, 0] > -1.5], dask_rows(Y, 7)[A[:, 0] > -1.5]
    mine = ForwardStepwiseSelector(criterion="cv").fit(chosen, y)
    kept = X[:, 0] > -1.5
    theirs = ForwardStepwiseSelector(criterion="cv").fit(X[kept], Y[kept])
    np.testing.assert_allclose(mine.mse_path_, theirs.mse_path_, rtol=1e-9)
    assert (mine.n_passes_, theirs.n_passes_) == (2, 1)


@pytest.mark.parametrize("criterion", ["bic", "cv"])
def test_on_a_cluster(criterion, client):
    mine = ForwardStepwiseSelector(criterion=criterion).fit(dask_rows(X, 7), dask_rows(Y, 7))
    theirs = ForwardStepwiseSelector(criterion=criterion).fit(dask_rows(X, 7), dask_rows(Y, 7))
    here = ForwardStepwiseSelector(criterion=criterion).fit(X, Y)
    assert mine.order_.tolist() == here.order_.tolist()
    np.testing.assert_array_equal(mine.rss_path_, theirs.rss_path_)
    assert mine.transform(dask_rows(X, 3)).compute().shape == mine.transform(X).shape


@pytest.mark.parametrize("criterion", ["bic", "cv"])
def test_columns_far_from_zero_are_selected_as_if_they_were_centred(criterion):
    """A shift of a column, here by 1e9 spreads, leaves the order, sums of squares and errors."""
    rng = np.random.default_rng(3)
    A = rng.integers(-1000, 1000, size=(120, 4)) / 1000.0
    b = A @ [1.0, 0.5, 0.0, 0.2] + rng.normal(size=120)
    right = ForwardStepwiseSelector(criterion=criterion).fit(A, b)
    far = A + [0.0, 0.0, 1e6, 0.0] + np.array([1e9, 0.0, 0.0, 0.0])
    for B in (far, dask_rows(far, 4), sparse.csr_matrix(far)):
        mine = ForwardStepwiseSelector(criterion=criterion).fit(B, b)
        np.testing.assert_array_equal(mine.order_, right.order_)
        np.testing.assert_allclose(mine.rss_path_, right.rss_path_, rtol=1e-6)
        np.testing.assert_allclose(mine.criterion_path_, right.criterion_path_, rtol=1e-6)


def test_constant_and_dependent_columns_never_enter():
    rng = np.random.default_rng(8)
    A = rng.normal(size=(300, 6)) * [1e-6, 1.0, 1e8, 1.0, 3.0, 1.0] + [0.0, 1e5, 0.0, 0.0, 1.0, 0.0]
    A = np.column_stack([A, A[:, 1] - 2 * A[:, 4], np.full(300, 1e7), A[:, 0], np.zeros(300)])
    y = A[:, 0] * 1e6 + A[:, 4] + rng.normal(size=300)
    for B in (A, sparse.csr_matrix(A), dask_rows(A, 9), A[:, ::-1].copy()):
        mine = ForwardStepwiseSelector().fit(B, y)
        assert len(mine.order_) == 6
        assert len(mine.rss_path_) == len(mine.criterion_path_) == 7
        assert mine.n_features_to_select_ >= 2
        with pytest.raises(ValueError, match="asks for 7 columns.*ends with 6.*Ask for fewer"):
            ForwardStepwiseSelector(7).fit(B, y)
    # Without an intercept a constant column is a column like others.
    assert len(ForwardStepwiseSelector(fit_intercept=False).fit(A, y).order_) == 7


def test_what_a_small_pivot_leaves_of_a_dependent_column_never_enters():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 500))
    y = a + 1e-4 * b + 1e-3 * rng.normal(size=500)
    mine = ForwardStepwiseSelector().fit(np.column_stack([a, a + 1e-5 * b, b]), y)
    assert len(mine.order_) == 2


def test_ties_go_to_the_first_column():
    A = np.column_stack([X, X])
    for order in (slice(None), slice(None, None, -1)):
        mine = ForwardStepwiseSelector().fit(A[:, order], Y)
        assert max(mine.order_) < 8
        np.testing.assert_array_equal(
            mine.order_ if order == slice(None) else 7 - mine.order_,
            ForwardStepwiseSelector().fit(X, Y).order_,
        )


def test_a_perfect_fit_ends_the_path():
    y = 3.0 * X[:, 5] - X[:, 1] + 7.0
    for A in (X, dask_rows(X, 7), sparse.csr_matrix(X), X.astype(np.float32)):
        mine = ForwardStepwiseSelector().fit(A, A[:, [5]] @ [3.0] - A[:, [1]] @ [1.0] + 7.0)
        assert mine.order_.tolist() == [5, 1]
        assert mine.rss_path_[-1] == 0.0
        assert mine.criterion_path_[-1] == -np.inf
        assert mine.n_features_to_select_ == 2
    np.testing.assert_allclose(mine.coef_, [-1.0, 3.0], rtol=1e-6)
    for criterion in ("aic", "p_value", "cv"):
        mine = ForwardStepwiseSelector(criterion=criterion).fit(X, y)
        assert mine.support_.sum() == 2
    with pytest.raises(ValueError, match="asks for 3 columns.*ends with 2, which fit y exactly"):
        ForwardStepwiseSelector(3).fit(X, y)


def test_more_columns_than_rows():
    A, y, _ = regression(12, 40)
    for criterion in ("bic", "aic", "p_value", "cv"):
        mine = ForwardStepwiseSelector(criterion=criterion).fit(A, y)
        assert len(mine.order_) == 11
        assert mine.rss_path_[-1] == 0.0
        assert mine.n_features_to_select_ < 11
    assert mine.mse_path_.shape == (12, 5)
    assert np.isfinite(mine.mse_path_).all()


def test_no_column_may_be_the_best():
    noise = np.random.default_rng(0).normal(size=200)
    mine = ForwardStepwiseSelector(criterion="p_value", p_enter=1e-6).fit(X, noise)
    assert mine.n_features_to_select_ == mine.support_.sum() == 0
    assert mine.intercept_ == pytest.approx(noise.mean())
    for A in (X, dask_rows(X, 7), dd.from_pandas(pd.DataFrame(X), npartitions=2)):
        with pytest.warns(UserWarning, match="No features were selected"):
            empty = mine.transform(A)
        assert empty.shape[1] == 0
        if not isinstance(A, np.ndarray):
            assert empty.compute().shape == (200, 0)


def test_float32_is_summed_in_float64():
    A = X.astype(np.float32)
    mine = ForwardStepwiseSelector().fit(A, Y)
    np.testing.assert_allclose(
        mine.rss_path_, ForwardStepwiseSelector().fit(A.astype(float), Y).rss_path_, rtol=1e-12
    )
    assert mine.transform(A).dtype == mine.transform(dask_rows(A, 3)).compute().dtype == np.float32


@pytest.mark.parametrize("wanted, n", [(0.5, 4), (1.0, 8), (0.01, 1), (3, 3), (np.int64(2), 2)])
def test_numbers_and_shares(wanted, n):
    mine = ForwardStepwiseSelector(wanted).fit(X, Y)
    assert mine.n_features_to_select_ == mine.transform(X).shape[1] == n
    assert len(mine.order_) == 8


def test_transform_is_as_lazy_as_the_input():
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    mine = ForwardStepwiseSelector(3).fit(frame, Y)
    names = mine.get_feature_names_out().tolist()
    lazy = mine.transform(dd.from_pandas(frame, npartitions=3))
    assert isinstance(lazy, dd.DataFrame)
    pd.testing.assert_frame_equal(lazy.compute(), frame[names])
    mine = ForwardStepwiseSelector(3).fit(X, Y)
    here = mine.transform(X)
    np.testing.assert_array_equal(here, frame[names])
    for A in (dask_rows(X, 7), csr_rows(X, 7), dask_rows(X, 4).rechunk((50, 3))):
        lazy = mine.transform(A)
        assert isinstance(lazy, da.Array)
        assert lazy.chunks[0] == A.chunks[0]
        values = lazy.compute()
        assert sparse.issparse(values) == sparse.issparse(A._meta)
        np.testing.assert_array_equal(values.toarray() if sparse.issparse(values) else values, here)
    assert sparse.issparse(mine.transform(sparse.csr_matrix(X)))
    lazy = mine.fit_transform(dask_rows(X, 7), dask_rows(Y, 7), dask_rows(W, 7))
    assert isinstance(lazy, da.Array)
    chosen = dask_rows(X, 7)[dask_rows(X, 7)[:, 0] > 0]
    assert mine.transform(chosen).compute().shape == ((X[:, 0] > 0).sum(), 3)


def test_inverse_transform():
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    mine = ForwardStepwiseSelector(3).fit(X, Y)
    wide = np.where(mine.support_, X, 0.0)
    np.testing.assert_array_equal(mine.inverse_transform(mine.transform(X)), wide)
    for A in (dask_rows(X, 7), csr_rows(X, 7), dd.from_pandas(frame, npartitions=3)):
        selector = mine if isinstance(A, da.Array) else clone(mine).fit(frame, Y)
        lazy = selector.inverse_transform(selector.transform(A))
        assert isinstance(lazy, da.Array if isinstance(A, da.Array) else dd.DataFrame)
        np.testing.assert_array_equal(lazy.compute(), wide)
    assert lazy.columns.tolist() == list("abcdefgh") and lazy.npartitions == 3
    with pytest.raises(ValueError, match="X has 8 columns, but ForwardStepwiseSelector selected 3"):
        mine.inverse_transform(dask_rows(X, 7))


def test_set_output():
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    mine = ForwardStepwiseSelector(3).set_output(transform="pandas").fit(frame, Y)
    pd.testing.assert_frame_equal(mine.transform(frame), frame[mine.get_feature_names_out()])
    with config_context(transform_output="pandas"):
        lazy = mine.transform(dd.from_pandas(frame, npartitions=3))
        again = ForwardStepwiseSelector(3).fit_transform(dask_rows(X, 7), Y)
    assert isinstance(lazy, dd.DataFrame)
    assert isinstance(again, da.Array)


def test_pipeline():
    for A, y in ((X, Y), (dask_rows(X, 7), dask_rows(Y, 7)), (sparse.csr_matrix(X), Y)):
        model = make_pipeline(ForwardStepwiseSelector(3), LinearRegression()).fit(A, y)
        direct = LinearRegression().fit(X[:, model[0].support_], Y)
        np.testing.assert_allclose(model[1].coef_, direct.coef_, rtol=1e-10)
        np.testing.assert_allclose(model[1].coef_, model[0].coef_, rtol=1e-10)
        assert model.predict(A).shape == (200,)
        assert model.score(A, y) == pytest.approx(direct.score(X[:, model[0].support_], Y))


def test_pickle_and_refit():
    mine = ForwardStepwiseSelector(criterion="cv").fit(dask_rows(X, 7), dask_rows(Y, 7))
    saved = pickle.dumps(mine)
    assert len(saved) < 10_000
    np.testing.assert_array_equal(pickle.loads(saved).transform(X), mine.transform(X))
    assert not hasattr(mine.set_params(criterion="bic").fit(X, Y), "mse_path_")


def test_verbose_shows_a_bar(capsys):
    ForwardStepwiseSelector(verbose=True).fit(dask_rows(X, 7), Y)
    shown = capsys.readouterr().err
    assert "ForwardStepwiseSelector" in shown
    assert "moments" in shown


def with_entry(value, row, column):
    A = X.copy()
    A[row, column] = value
    return A


BAD = {
    "criterion": (X, Y, None, {"criterion": "cp"}, r"Unknown criterion 'cp'.*'cv'"),
    "criterion kind": (X, Y, None, {"criterion": 3}, "Unknown criterion 3"),
    "rule": (X, Y, None, {"rule": "2se"}, "Unknown rule '2se'.*'1se'"),
    "p_enter": (X, Y, None, {"p_enter": 1.5}, "p_enter .* above 0 and at most 1, got 1.5"),
    "p_enter text": (X, Y, None, {"p_enter": "5%"}, "p_enter .* got '5%'"),
    "p_enter NaN": (X, Y, None, {"p_enter": np.nan}, "p_enter .* got nan"),
    "intercept": (X, Y, None, {"fit_intercept": "yes"}, "fit_intercept .* True or False"),
    "verbose": (X, Y, None, {"verbose": 2}, "verbose .* True or False"),
    "none": (X, Y, None, {"n_features_to_select": 0}, "integer from 1 to the 8 columns"),
    "too many": (X, Y, None, {"n_features_to_select": 9}, "the 8 columns of X.*got 9"),
    "share": (X, Y, None, {"n_features_to_select": 1.5}, "share of them.*got 1.5"),
    "flag": (X, Y, None, {"n_features_to_select": True}, "got True"),
    "text": (X, Y, None, {"n_features_to_select": "best"}, "got 'best'"),
    "folds": (X[:3], Y[:3], None, {"criterion": "cv"}, "need at least 5 rows, but X has 3"),
    "one fold": (X, Y, None, {"criterion": "cv", "cv": 1}, "k-fold"),
    "cv": (X, Y, None, {"criterion": "cv", "cv": "five"}, "Expected `?cv`? as an integer"),
    "one split": (
        X, Y, None, {"criterion": "cv", "rule": "1se", "cv": ShuffleSplit(1, random_state=0)},
        "rule='1se' needs .* one split",
    ),
    "empty test": (
        X, Y, None, {"criterion": "cv", "cv": [(np.arange(200), [])]}, "no row of positive weight"
    ),
    "weightless fold": (
        X, Y, np.repeat([0.0, 1.0], [40, 160]), {"criterion": "cv"}, "no row of positive weight"
    ),
    "backend": (X, Y, None, {"backend": "abacus"}, "Unknown backend 'abacus'"),
    "cache": (X, Y, None, {"cache": "disk"}, "Unknown cache 'disk'"),
    "no y": (X, None, None, {}, "requires y to be passed"),
    "outputs": (X, np.column_stack([Y, Y]), None, {}, "one target, but y has 2.*Fit one selector"),
    "length": (X, Y[:-1], None, {}, "inconsistent numbers of samples"),
    "NaN": (with_entry(np.nan, 7, 2), Y, None, {}, "X contains NaN at row 7, column 2"),
    "infinity": (with_entry(np.inf, 199, 0), Y, None, {}, "X contains infinity at row 199"),
    "NaN in folds": (
        with_entry(np.nan, 150, 2), Y, None, {"criterion": "cv"}, "X contains NaN at row 150"
    ),
    "NaN in y": (X, np.where(np.arange(200) == 9, np.nan, Y), None, {}, "y contains NaN at row 9"),
    "huge": (X * 1e300, Y, None, {}, "overflow float64"),
    "constant y": (X, 0 * Y + 0.1, None, {}, "y is constant over all rows"),
    "zero y": (X, 0 * Y, None, {"fit_intercept": False}, "y is zero over all rows"),
    "one row": (X[:1], Y[:1], None, {}, r"1 sample\(s\) while a minimum of 2"),
    "negative weight": (X, Y, -W, {}, "finite and not negative"),
    "zero weight": (X, Y, 0 * W, {}, "positive sum"),
    "shares as weights": (X, Y, W / W.sum(), {}, "sums to 1, .* number of observations"),
    "too wide": (np.zeros((2, 4097)), Y[:2], None, {}, "at most 4096 columns. Screen them first"),
    "too many cells": (
        np.zeros((100, 4000)), Y[:100], None, {"criterion": "cv", "cv": 20},
        "20 cells .* more than 2 GiB. Use fewer folds",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("n_blocks", [None, 2])
def test_bad_input_is_refused_with_a_sentence(name, n_blocks):
    A, y, w, options, said = BAD[name]
    if n_blocks and len(A) > 1:
        A = dask_rows(A, n_blocks)
    with pytest.raises(ValueError, match=f"(?s){said}"):
        ForwardStepwiseSelector(**options).fit(A, y, w)


def test_transform_refuses_what_was_not_fitted():
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        ForwardStepwiseSelector().transform(dask_rows(X, 7))
    mine = ForwardStepwiseSelector(3).fit(X, Y)
    with pytest.raises(ValueError, match="X has 5 features, but ForwardStepwiseSelector"):
        mine.transform(dask_rows(X[:, :5], 7))


def test_named_columns_are_named_in_faults():
    frame = pd.DataFrame(with_entry(np.nan, 7, 2), columns=list("abcdefgh"))
    with pytest.raises(ValueError, match=r"row 7, column 2 \('c'\)"):
        ForwardStepwiseSelector().fit(dd.from_pandas(frame, npartitions=2), Y)


def test_no_warning_is_left():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for criterion in ("bic", "aic", "p_value", "cv"):
            ForwardStepwiseSelector(criterion=criterion).fit(dask_rows(X, 7), dask_rows(Y, 7), W)
