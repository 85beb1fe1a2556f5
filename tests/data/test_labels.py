"""Labels that cannot be used: missing, or of another kind, at the fit and at a score."""

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from daskdsml.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier
from daskdsml.neural_network import MLPClassifier

X = np.random.default_rng(0).normal(size=(40, 2))
CODES = (X[:, 0] > 0.0).astype(int)
MODELS = [LogisticRegression, LogisticRegressionCV, SGDClassifier, MLPClassifier]
MODELS = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


def spoiled(kind, value):
    """Labels of a dtype, of which row 7 is missing or of another kind."""
    y = pd.Series(CODES).astype(kind)
    if value is None:
        y[7] = None
        return y
    y = y.to_numpy(copy=True)
    y[7] = value
    return y


TEXT = pd.Series(np.where(CODES, "a", "b"))
MISSING = {
    "Int64": spoiled("Int64", None),
    "boolean": spoiled("boolean", None),
    "object": spoiled("object", np.nan),
    "float": spoiled("float", np.inf),
    "string": TEXT.astype("string").where(np.arange(40) != 7),
    "category": TEXT.astype("category").where(np.arange(40) != 7),
}
MIXED = {"text": spoiled("object", "no"), "number": np.where(np.arange(40) == 7, 1, TEXT)}


def few_epochs(model):
    return model(max_iter=2, batch_size=20, tol=None) if model is MLPClassifier else model()


def in_chunks(y):
    """X and y in chunks of five rows."""
    if isinstance(y, pd.Series):
        return dd.from_pandas(pd.DataFrame(X), npartitions=8), dd.from_pandas(y, npartitions=8)
    return da.from_array(X, chunks=(5, 2)), da.from_array(y, chunks=5)


@MODELS
@pytest.mark.parametrize("kind", [*MISSING, *MIXED])
def test_labels_that_cannot_be_used_are_named(kind, model):
    y = (MISSING | MIXED)[kind]
    said = "y contains (NaN|infinity) at row 7" if kind in MISSING else "y holds .* at row 7, but"
    for rows in ((X, y), in_chunks(y)):
        with pytest.raises(ValueError, match=said):
            few_epochs(model).fit(*rows)
        if kind in MISSING:
            with pytest.raises(ValueError, match="or a label. Drop such rows."):
                few_epochs(model).fit(*rows)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@MODELS
def test_a_score_names_labels_of_another_kind(model):
    fitted = few_epochs(model).fit(X, CODES)
    share = pytest.approx(fitted.score(X, CODES), rel=1e-12)
    for same in (CODES == 1, CODES * 1.0, CODES.astype(object), pd.Series(CODES).astype("Int64")):
        assert fitted.score(X, same) == share
        assert fitted.score(*in_chunks(same)) == share
    place = "row 2, .* within a chunk, which has 5" if model is MLPClassifier else "row 7, "
    for y, said in ((MIXED["text"], ""), (MISSING["Int64"], "column 0")):
        with pytest.raises(ValueError, match=f"y .*row 7, {said}"):
            fitted.score(X, y)
        with pytest.raises(ValueError, match=f"y .*{place}"):
            fitted.score(*in_chunks(y))
    with pytest.raises(ValueError, match="Mix of label input types: y holds '.' at row 0, .*0"):
        fitted.score(X, CODES.astype(str))
    named = few_epochs(model).fit(X, TEXT)
    assert named.score(X, TEXT.astype(object)) == named.score(X, TEXT.to_numpy().astype(str))
    with pytest.raises(ValueError, match="y holds . at row 0, but those of the fit are of kind s"):
        named.score(X, CODES)


@MODELS
def test_a_list_of_text_and_numbers_is_no_text(model):
    with pytest.raises(ValueError, match="y holds 'no' at row 7, but those before it are of"):
        few_epochs(model).fit(X, MIXED["text"].tolist())


@MODELS
def test_blocks_of_different_kinds(model):
    parts = [da.from_array(part, chunks=20) for part in (CODES[:20], TEXT.to_numpy()[20:])]
    with pytest.raises(ValueError, match="y holds '.' at row 20, but those before it .* number"):
        few_epochs(model).fit(
            da.from_array(X, chunks=(20, 2)), da.concatenate(parts).astype(object)
        )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@MODELS
def test_a_score_refuses_measurements_and_bytes(model):
    """scikit-learn: "Classification metrics can't handle a mix of binary and continuous"."""
    fitted, named = few_epochs(model).fit(X, CODES), few_epochs(model).fit(X, TEXT)
    for y in (CODES + 0.25 * (np.arange(40) == 7), X[:, 0]):
        for rows in ((X, y), in_chunks(y)):
            with pytest.raises(ValueError, match=r"y holds .* are whole numbers, such as 0"):
                fitted.score(*rows)
    for rows in ((X, TEXT.to_numpy().astype("S1")), in_chunks(TEXT.to_numpy().astype("S1"))):
        with pytest.raises(ValueError, match=r"y holds b'.' at row 0, .* of kind string"):
            named.score(*rows)
        few_epochs(model).fit(*rows)


def test_sgd_refuses_classes_that_no_row_can_have():
    for classes in ([0.0, np.nan, 1.0], [0], [[0, 1]]):
        with pytest.raises(ValueError, match=r"classes must be a list of two labels or more"):
            SGDClassifier().partial_fit(X, CODES, classes=classes)


FRAME = pd.DataFrame(X, columns=["a", "b"])
LABELS = {
    "text": TEXT,
    "object": TEXT.astype(object),
    "bytes": TEXT.str.encode("ascii").astype(object),
    "array": TEXT.to_numpy().astype(str),
    "nullable text": TEXT.astype("string"),
    "category": TEXT.astype("category"),
    "codes": pd.Series(CODES).astype("category"),
    "bool": pd.Series(CODES == 1),
    "bool objects": pd.Series(CODES == 1).astype(object),
    "int": pd.Series(CODES).astype("int32"),
    "nullable": pd.Series(CODES).astype("Int64"),
    "float": pd.Series(CODES * 1.0),
    "dates": pd.Series(pd.to_datetime("2024-01-01") + CODES * pd.Timedelta(days=1)),
}


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # Dask's own set_index
@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("arrow", [True, False])
@pytest.mark.parametrize("model", [LogisticRegression, MLPClassifier])
def test_predicted_labels_are_in_the_dtype_that_is_promised(kind, arrow, model, tmp_path):
    with dask.config.set({"dataframe.convert-string": arrow}):
        table = dd.from_pandas(FRAME, npartitions=4)
        fitted = few_epochs(model).fit(FRAME, LABELS[kind])
        labels = fitted.predict(table)
        values = labels.compute()
        assert labels.dtype == values.dtype
        np.testing.assert_array_equal(values, fitted.predict(FRAME))
        assert labels.partitions[0].loc[:-1].compute().dtype == values.dtype  # of no row
        if values.dtype == object:  # which Dask cannot store without a schema
            return
        table.assign(p=labels).to_parquet(tmp_path)
        assert len(table.assign(p=labels).set_index("p").loc[values[0]].compute())


@MODELS
def test_predicted_text_can_be_merged_with_text(model):
    fitted = few_epochs(model).fit(FRAME, TEXT)
    for arrow in (True, False):
        with dask.config.set({"dataframe.convert-string": arrow}):
            table = dd.from_pandas(FRAME, npartitions=4)
            prices = dd.from_pandas(pd.DataFrame({"p": ["a", "b"], "price": 1.0}), npartitions=1)
            found = table.assign(p=fitted.predict(table)).merge(prices, on="p")
            assert len(found.compute()) == 40
