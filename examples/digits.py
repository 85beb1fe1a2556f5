"""Ten classes: which digit is it? And what a read of the data buys, by how it is used.

Multinomial regression (softmax) on scikit-learn's digits, 1,797 pictures of 8 x 8 pixels, in Dask
blocks of 200: how strong a penalty should be, which digits are taken for which, and what the model
looks for. Then the same digits by gradient descent whose updates use one picture, 32, or all.

Run it with ``python examples/digits.py``; it takes about 15 seconds. The pictures need matplotlib:
the extra ``plot``.
"""

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import dask.array as da
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix, log_loss

from daskdsml.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier

BLOCK, N_TEST = 200, 597
PENALTIES = [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]  # C, the inverse of their strength
BATCHES = [1, 32, "full"]
STEPS = [0.03, 0.1, 0.3, 1.0, 3.0]


class Digits(NamedTuple):
    """Pictures (n, 64), from 0 for white to 1 for black, and digits (n,); and those held out."""

    X: da.Array
    y: da.Array
    X_test: da.Array
    y_test: da.Array


def read_digits() -> Digits:
    """All pictures in random order, a third of them held out."""
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[:-N_TEST], order[-N_TEST:]
    blocks = [
        da.from_array(part, chunks=(BLOCK, *part.shape[1:]))
        for rows in (train, test)
        for part in (X[rows] / 16.0, y[rows])
    ]
    return Digits(*blocks)


def compare_penalties(data: Digits) -> LogisticRegressionCV:
    """Errors by penalty, on pictures seen, left out by cross-validation, and fresh."""
    # Where the classes are nearly separated gradients are small long before the fits are right.
    chosen = LogisticRegressionCV(Cs=PENALTIES, cv=5, tol=1e-6).fit(data.X, data.y)
    print("               right           log loss")
    print("     C  reads   seen   fresh    seen   left out   fresh   largest coefficient")
    for C, left_out in zip(chosen.Cs_, -chosen.scores_.mean(axis=(0, 1)), strict=True):
        model = LogisticRegression(C=C).fit(data.X, data.y)
        seen, fresh = judge(model, data.X, data.y), judge(model, data.X_test, data.y_test)
        print(
            f"{C:6g}  {model.n_passes_:5}  {seen[0]:.3f}   {fresh[0]:.3f}   {seen[1]:.3f}   "
            f"{left_out:8.3f}   {fresh[1]:.3f}   {np.abs(model.coef_).max():19.1f}"
        )
    print(f"""
A strong penalty learns too little. A weak one learns the pictures seen by heart, and is certain
where it errs: shares of right answers hardly show it, log losses do. Cross-validation chooses
C = {chosen.C_:g}, from {chosen.n_passes_} reads for all penalties and folds.""")
    return chosen


def judge(model, X, y) -> tuple[float, float]:
    """Share of right answers, and log loss."""
    return model.score(X, y), log_loss(y.compute(), model.predict_proba(X).compute())


def show_confusion(model, data: Digits) -> np.ndarray:
    """Counts (10, 10) of fresh pictures by digit (rows) and answer, printed."""
    counts = confusion_matrix(data.y_test.compute(), model.predict(data.X_test).compute())
    wrong = counts - np.diag(np.diag(counts))
    print(f"\n{wrong.sum()} of {counts.sum()} fresh pictures are misread with C = {model.C_:g}:")
    for digit, row in enumerate(wrong):
        taken = [f"{answer} ({row[answer]})" for answer in np.flatnonzero(row)]
        if taken:
            print(f"  of {counts[digit].sum()} {digit}s, taken for {', '.join(taken)}")
    return counts


def descend(data: Digits, n_epochs) -> dict:
    """Batches of each size, with the step that leads to the lowest loss: the fitted models."""
    print("\nGradient descent, each digit against the rest, 1,200 pictures a read:")
    print("  batch   updates   best step   loss after 1 read   all reads   right, fresh")
    best = {}
    for size in BATCHES:
        models = [sgd(size, step, n_epochs).fit(data.X, data.y) for step in STEPS]
        best[size] = model = min(models, key=lambda model: model.loss_curve_[-1].mean())
        loss = model.loss_curve_.mean(axis=1)
        print(
            f"  {size!s:>5}   {model.t_ - 1:7.0f}   {model.eta0:9g}   {loss[0]:17.3f}   "
            f"{loss[-1]:9.3f}   {model.score(data.X_test, data.y_test):12.3f}"
        )
    print("""
A read costs the same however it is used. One step for all pictures does little with it, a step for
each of them does most, and batches of 32 come close with far fewer steps. Newton above ended after
some 8 reads: none of these comes near it where its Hessian is small enough to hold.""")
    return best


def sgd(batch_size, step, n_epochs) -> SGDClassifier:
    """Logistic regression of each digit against the rest, by a given number of reads."""
    return SGDClassifier(
        loss="log_loss",
        batch_size=batch_size,
        learning_rate="constant",
        eta0=step,
        tol=None,
        max_iter=n_epochs,
    )


def draw_digits(model, data: Digits, path) -> None:
    """What speaks for each digit (blue) and against it (red), and the worst mistakes."""
    from matplotlib import pyplot

    X, y = data.X_test.compute(), data.y_test.compute()
    chances = model.predict_proba(data.X_test).compute()
    answers = chances.argmax(axis=1)
    mistakes = np.flatnonzero(answers != y)
    worst = mistakes[np.argsort(-chances[mistakes, answers[mistakes]])][: len(model.classes_)]
    figure, axes = pyplot.subplots(2, len(model.classes_), figsize=(15, 3.8), layout="constrained")
    most = np.abs(model.coef_).max()
    for ax, digit, coef in zip(axes[0], model.classes_, model.coef_, strict=True):
        ax.imshow(coef.reshape(8, 8), cmap="RdBu", vmin=-most, vmax=most)
        ax.set_title(f"{digit}", fontsize=12)
    for ax, i in zip(axes[1], worst, strict=False):
        ax.imshow(X[i].reshape(8, 8), cmap="Greys", vmin=0.0, vmax=1.0)
        ax.set_title(f"{y[i]} read as {answers[i]}\n({100 * chances[i].max():.0f} %)", fontsize=10)
    for ax in axes.flat:
        ax.set_axis_off()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def draw_curves(model, counts, descents, data: Digits, path) -> None:
    """Precision over recall by digit, who is taken for whom, and loss by reads of the data."""
    from matplotlib import pyplot

    from daskdsml.plotting import PrecisionRecallDisplay

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(17, 5.2), layout="constrained")
    PrecisionRecallDisplay.from_estimator(
        model, data.X_test, data.y_test, name="digit", ax=left, plot_chance_level=False
    )
    left.set(xlim=(0.6, 1.01), ylim=(0.6, 1.01))
    middle.imshow(counts, cmap="Blues", norm="symlog")
    for digit, answer in np.argwhere(counts > 0):
        colour = "white" if digit == answer else "black"
        middle.text(answer, digit, counts[digit, answer], ha="center", va="center", color=colour)
    middle.set(xlabel="answer", ylabel="digit", xticks=range(10), yticks=range(10))
    for size, descent in descents.items():
        loss = descent.loss_curve_.mean(axis=1)
        label = f"batch_size={size!r}, eta0={descent.eta0:g}"
        right.plot(np.arange(1, len(loss) + 1), loss, label=label)
    right.set(xlabel="reads of the data", ylabel="mean loss, each digit against the rest")
    right.set_yscale("log")
    right.legend(framealpha=0.9, edgecolor="none")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


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


def main(out: Path, n_epochs: int) -> None:
    """Fit, judge, descend and draw."""
    data = read_digits()
    print(f"{len(data.X)} pictures to learn from, {len(data.X_test)} fresh ones, 10 digits\n")
    model = compare_penalties(data)
    counts = show_confusion(model, data)
    descents = descend(data, n_epochs)
    use_matplotlib()
    draw_digits(model, data, out / "digits.png")
    draw_curves(model, counts, descents, data, out / "curves.png")
    print(f"\nPictures: {out / 'digits.png'}, {out / 'curves.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30, help="reads of each gradient descent")
    parser.add_argument("--out", type=Path, help="folder for pictures; default: a temporary one")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="digits-"))
    folder.mkdir(parents=True, exist_ok=True)
    main(folder, options.epochs)
