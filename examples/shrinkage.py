"""Overfitting and shrinkage, as the textbooks show them, on scikit-learn's diabetes table.

With their squares and products its 10 columns make 64, too many for 221 patients: the more of them
least squares may use, the better it fits these patients and, from a handful on, the worse others.
Choosing few columns (forward stepwise) or shrinking them (ridge, lasso) is what helps; how much is
left to cross-validation. Run it with ``python examples/shrinkage.py``; it takes about 20 seconds.
The pictures need matplotlib: the extra ``plot``.

References: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd ed., chapter
3 and section 7.10; James, Witten, Hastie and Tibshirani, An Introduction to Statistical Learning,
chapter 6.
"""

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from daskdsml.feature_selection import ForwardStepwiseSelector
from daskdsml.linear_model import LassoCV, LinearRegression, RidgeCV

FOLDS = 10
ALPHAS = np.geomspace(10.0, 1e5, 80)  # of ridge: against the summed squared error


class Split(NamedTuple):
    """Half of the patients to learn from, and the other half to test on."""

    X: dd.DataFrame
    y: dd.Series
    X_test: dd.DataFrame
    y_test: dd.Series


def patients() -> tuple[pd.DataFrame, pd.Series]:
    """Ten columns with their squares and products, and the progression of the disease."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    make = PolynomialFeatures(2, include_bias=False).set_output(transform="pandas")
    # Of two values, sex tells nothing more by its square.
    return make.fit_transform(X / X.std()).drop(columns="sex^2"), y


def split(X, y, seed) -> Split:
    """Two halves, drawn at random, with columns scaled as the first half says."""
    order = np.random.default_rng(seed).permutation(len(y))
    train, test = order[: len(y) // 2], order[len(y) // 2 :]
    table = ((X - X.iloc[train].mean()) / X.iloc[train].std()).assign(y=y)
    # Unsorted, the folds of a cross-validation, which are runs of rows, are random too.
    halves = [dd.from_pandas(table.iloc[rows], npartitions=4, sort=False) for rows in (train, test)]
    return Split(*(half[part] for half in halves for part in (list(X.columns), "y")))


def compare(data: Split) -> pd.DataFrame:
    """Errors on the patients learned from and on the others, by model and how it was chosen."""
    rows = {"least squares, all columns": judge(LinearRegression(), data)}
    for rule, words in {"min": "lowest error", "1se": "one standard error"}.items():
        selector = ForwardStepwiseSelector(criterion="cv", cv=FOLDS, rule=rule)
        few = make_pipeline(selector, LinearRegression())
        rows[f"stepwise, {words}"] = judge(few, data)
        rows[f"ridge, {words}"] = judge(RidgeCV(ALPHAS, cv=FOLDS, rule=rule), data)
        rows[f"lasso, {words}"] = judge(LassoCV(cv=FOLDS, rule=rule), data)
    return pd.DataFrame(rows).T


def judge(model, data: Split) -> dict:
    """Fit, and count columns and errors."""
    model.fit(data.X, data.y)
    last = model[-1] if hasattr(model, "steps") else model
    return {
        "columns": np.count_nonzero(last.coef_),
        "training error": mean_squared_error(model, data.X, data.y),
        "test error": mean_squared_error(model, data.X_test, data.y_test),
    }


def mean_squared_error(model, X, y) -> float:
    """Predictions of Dask collections are lazy: NumPy asks for them."""
    return float(np.mean((np.asarray(y) - np.asarray(model.predict(X))) ** 2))


def along_size(data: Split) -> tuple[ForwardStepwiseSelector, np.ndarray]:
    """The stepwise path from one read, and the test error of each model on it."""
    selector = ForwardStepwiseSelector(criterion="cv", cv=FOLDS, rule="1se").fit(data.X, data.y)
    X, y, X_test, y_test = dask.compute(*data)  # small, and 64 fits to come
    errors = [np.mean((y_test - y.mean()) ** 2)]
    for k in range(1, len(selector.order_) + 1):
        names = X.columns[selector.order_[:k]]
        model = LinearRegression().fit(X[names], y)
        errors.append(mean_squared_error(model, X_test[names], y_test))
    return selector, np.array(errors)


def show_sizes(selector, test, n_rows) -> None:
    """Errors by the number of columns."""
    p, best = len(selector.order_), int(test.argmin())
    names = selector.feature_names_in_[selector.order_]
    print(f"{n_rows} patients to learn from, {p} columns; the first to enter: {list(names[:5])}")
    print("  columns   training error   cross-validation   test error")
    for k in sorted({0, 1, 2, best, selector.n_features_to_select_, 10, 20, 40, p}):
        training, left_out = selector.rss_path_[k] / n_rows, selector.criterion_path_[k]
        print(f"  {k:7}   {training:14.0f}   {left_out:16.0f}   {test[k]:10.0f}")
    print(
        f"  one standard error rule: {selector.n_features_to_select_} columns; "
        f"the test error is lowest with {best}"
    )


def show_table(tables) -> None:
    """Means over the splits."""
    rows = pd.concat(tables).groupby(level=0, sort=False)
    mean = rows.mean()
    mean["columns"] = mean["columns"].map("{:.1f}".format)
    print(f"\nMean over {len(tables)} random halves:")
    print(mean.to_string(float_format="{:.0f}".format))
    print("""
The more columns least squares may use, the lower the training error, which is no guide; the test
error turns up. Leaving columns out or shrinking them costs a little bias and saves much variance.
The rule of one standard error takes the simpler model where the folds cannot tell: on new patients
it costs some error here, and leaves stepwise and lasso with a handful of columns.""")


def draw_sizes(selector, test, n_rows, path) -> None:
    """Training error falls, test error turns up."""
    from matplotlib import pyplot

    folds = selector.mse_path_
    sizes, mean = np.arange(len(test)), folds.mean(axis=1)
    spread = folds.std(axis=1, ddof=1) / np.sqrt(folds.shape[1])
    figure, ax = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    ax.plot(sizes, selector.rss_path_ / n_rows, color="C0", label="training")
    ax.plot(sizes, test, color="C3", label="test: the other half")
    ax.plot(sizes, mean, color="C2", label=f"cross-validation, {folds.shape[1]} folds")
    ax.fill_between(
        sizes, mean - spread, mean + spread, color="C2", alpha=0.2, linewidth=0,
        label="± 1 standard error",
    )  # fmt: skip
    ax.axvline(
        selector.n_features_to_select_, color="0.2", linestyle=":", label="one standard error rule"
    )
    ax.set_xlim(0, sizes[-1])
    ax.set_ylim(0, 1.5 * test[0])
    ax.set_xlabel("columns in the model, in their order of entry")
    ax.set_ylabel("mean squared error")
    ax.legend(framealpha=0.9, edgecolor="none")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def draw_paths(data: Split, path) -> None:
    """Ridge at the left, lasso at the right: coefficients above, errors below."""
    from matplotlib import pyplot

    from daskdsml.plotting import CoefficientPathDisplay, CrossValidationPathDisplay

    figure, axes = pyplot.subplots(2, 2, figsize=(12, 8), layout="constrained")
    models = {"ridge": RidgeCV(ALPHAS, cv=FOLDS), "lasso": LassoCV(cv=FOLDS, eps=0.01)}
    for (name, model), (above, below) in zip(models.items(), axes.T, strict=True):
        model.fit(data.X, data.y)
        CoefficientPathDisplay.from_estimator(model).plot(above, n_labels=6)
        CrossValidationPathDisplay.from_estimator(model).plot(below)
        above.set_title(f"{name}: coefficients per standard deviation")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main(out: Path, n_splits: int) -> None:
    """Print both tables and draw both pictures."""
    X, y = patients()
    data = split(X, y, seed=0)
    n_rows = len(data.y)
    selector, test = along_size(data)
    show_sizes(selector, test, n_rows)
    show_table([compare(split(X, y, seed)) for seed in range(n_splits)])
    use_matplotlib()
    draw_sizes(selector, test, n_rows, out / "sizes.png")
    draw_paths(data, out / "paths.png")
    print(f"\nPictures: {out / 'sizes.png'}, {out / 'paths.png'}")


def use_matplotlib() -> None:
    """Draw to files, or say what is missing."""
    try:
        import matplotlib
    except ImportError as error:
        raise SystemExit(
            "The pictures need matplotlib, which is not installed. It comes with the extra "
            '"plot": python -m pip install -e ".[plot]"'
        ) from error
    matplotlib.use("Agg")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=5, help="random halves to average over")
    parser.add_argument("--out", type=Path, help="folder for pictures; default: a temporary one")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="shrinkage-"))
    folder.mkdir(parents=True, exist_ok=True)
    main(folder, options.splits)
