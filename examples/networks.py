"""Which digit is it? Three networks look at the same pictures in three ways.

scikit-learn's digits, 1,797 pictures of 8 x 8 pixels in Dask blocks of 240, a fifth of them held
out: a perceptron sees 64 numbers, a convolutional network a picture, and gated recurrent units read
the 8 rows from the top to the bottom. What the networks are made of, how they learn, which pictures
they misread, and a network that comes back from a file.

Run it with ``python examples/networks.py``; it takes about half a minute. The pictures need
matplotlib: the extra ``plot``.
"""

import argparse
import tempfile
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import dask.array as da
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from daskdsml.neural_network import CNNClassifier, MLPClassifier, RNNClassifier

BLOCK = 240
# Those of Okabe and Ito, whom most of the colour-blind can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73")
SHAPES = {"perceptron": (64,), "convolutions": (1, 8, 8), "recurrent": (8, 8)}


class Digits(NamedTuple):
    """Pictures (n, 64), from 0 for white to 1 for black, and digits (n,); and those held out."""

    X: np.ndarray
    y: da.Array
    X_test: np.ndarray
    y_test: da.Array


def read_digits() -> Digits:
    """All pictures, of each digit a fifth held out."""
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X.astype(np.float32) / 16.0, y, test_size=0.2, stratify=y, random_state=0
    )
    return Digits(X, in_blocks(y), X_test, in_blocks(y_test))


def in_blocks(array) -> da.Array:
    """A Dask Array, chunked by rows."""
    return da.from_array(array, chunks=(BLOCK, *array.shape[1:]))


def seen_as(name, X) -> da.Array:
    """Pictures as network ``name`` takes them."""
    return in_blocks(X.reshape(-1, *SHAPES[name]))


def networks(n_epochs, seed) -> dict:
    """The three networks, by name."""
    common = {"batch_size": 64, "max_iter": n_epochs, "random_state": seed}
    falling = {"learning_rate": "cosine", **common}
    return {
        "perceptron": MLPClassifier(
            (128,), batch_norm=True, dropout=0.2, learning_rate_init=0.003, tol=None, **common
        ),
        "convolutions": CNNClassifier(
            (16, 32), batch_norm=True, dropout=0.3, learning_rate_init=0.003, **falling
        ),
        "recurrent": RNNClassifier(
            "gru", units=96, dropout=0.4, learning_rate_init=0.01, **falling
        ),
    }


def learn(models, data: Digits) -> dict:
    """Fit each network, and print how well it reads the pictures held out; answers by name."""
    for name, model in models.items():
        print(model.fit(seen_as(name, data.X), data.y).describe(), "\n")
    print(f"{'':12}  parameters  seconds  rows/s  loss, last epoch  right of those held out")
    answers, digits = {}, data.y_test.compute()
    for name, model in models.items():
        answers[name] = model.predict(seen_as(name, data.X_test)).compute()
        seconds = sum(epoch.seconds for epoch in model.history_)
        rows = len(data.X) * len(model.history_) / seconds
        print(
            f"{name:12}  {model.n_parameters_:10,}  {seconds:7.1f}  {rows:6,.0f}  "
            f"{model.loss_:16.4f}  {np.mean(answers[name] == digits):23.4f}"
        )
    return answers


def keep(model, X, path) -> None:
    """Write a network to a file, read it, and compare what both say."""
    model.save(path)
    back = type(model).load(path)
    same = np.array_equal(model.predict_proba(X).compute(), back.predict_proba(X).compute())
    print(f"""
{type(model).__name__} in a file of {path.stat().st_size / 1024:.0f} KiB, and read from it again: \
the same probabilities, to the bit: {same}""")


def draw_curves(models, path) -> None:
    """Losses, epoch by epoch."""
    from matplotlib import pyplot

    from daskdsml.plotting import LearningCurveDisplay

    figure, ax = pyplot.subplots(figsize=(7.5, 4.5), layout="constrained")
    LearningCurveDisplay.from_estimator(models).plot(ax)
    ax.set(yscale="log", title="How three networks learn to read digits")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def draw_misread(answers, data: Digits, path) -> None:
    """Pictures held out that a network misreads, most networks first, with the answers of all."""
    from matplotlib import pyplot

    digits = data.y_test.compute()
    wrong = np.array([found != digits for found in answers.values()])
    order = np.argsort(-wrong.sum(axis=0), kind="stable")
    shown = islice((i for i in order if wrong[:, i].any()), 10)
    figure, axes = pyplot.subplots(2, 5, figsize=(11, 6.4), layout="constrained")
    for ax in axes.flat:
        ax.set_visible(False)
    for ax, i in zip(axes.flat, shown, strict=False):
        ax.imshow(data.X_test[i].reshape(8, 8), cmap="Greys", vmin=0.0, vmax=1.0)
        said = [(name, found[i]) for name, found in answers.items()]
        told = [f"{name}: {it}" + (" (wrong)" if it != digits[i] else "") for name, it in said]
        ax.set(visible=True, xticks=[], yticks=[], xlabel="\n".join(told), title=digits[i])
    figure.suptitle("Pictures held out that a network misreads: the digit, and what each reads")
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
    matplotlib.rcParams["axes.prop_cycle"] = matplotlib.cycler(color=COLORS)


def main(out: Path, n_epochs: int, seed: int) -> None:
    """Fit, judge, keep and draw."""
    data = read_digits()
    print(f"{len(data.X)} pictures to learn from, {len(data.X_test)} held out, 10 digits\n")
    models = networks(n_epochs, seed)
    answers = learn(models, data)
    with tempfile.TemporaryDirectory() as folder:
        keep(
            models["convolutions"],
            seen_as("convolutions", data.X_test),
            Path(folder) / "convolutions.npz",
        )
    use_matplotlib()
    draw_curves(models, out / "learning.png")
    draw_misread(answers, data, out / "misread.png")
    print(f"\nPictures: {out / 'learning.png'}, {out / 'misread.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40, help="epochs of each network")
    parser.add_argument("--seed", type=int, default=0, help="what all random numbers come from")
    parser.add_argument("--out", type=Path, help="folder for pictures; default: a temporary one")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="networks-"))
    folder.mkdir(parents=True, exist_ok=True)
    main(folder, options.epochs, options.seed)
