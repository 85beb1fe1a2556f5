"""A label for each step of a sequence: which brackets meet, and what stands between them?

Made texts of 5 to 40 signs, "(", ")", "a" and "b", in Dask blocks: a bracket is one of a "pair" or
"lone", a letter is "in" a pair or "out" of all. Brackets before a sign tell whether one is open,
brackets after it whether it will be closed. So a network that sees a sign alone knows little, one
that reads from the left knows half, and one that reads both ways can know all. Texts are of unequal
lengths: a mask hides what fills them up.

Run it with ``python examples/tagging.py``; it takes about 40 seconds. The picture needs
matplotlib: the extra ``plot``.
"""

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import dask.array as da
import numpy as np

from daskdsml.layers import LSTM, Bidirectional, Dense, Embedding
from daskdsml.neural_network import SequenceTagger

SIGNS, LABELS = "()ab", ("in", "lone", "out", "pair")
SHORTEST, LONGEST, BLOCK = 5, 40, 500
SHARES = (0.2, 0.2, 0.3, 0.3)  # of the signs
# Those of Okabe and Ito, whom most of the colour-blind can tell apart.
COLORS = ("#56B4E9", "#E69F00", "#009E73")


class Texts(NamedTuple):
    """Codes of signs, labels and mask, all (n, T)."""

    X: da.Array
    y: da.Array
    mask: da.Array


def make_texts(n_texts, seed) -> Texts:
    """Random texts in blocks; what stands after the end of a text is never looked at."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(len(SIGNS), size=(n_texts, LONGEST), p=SHARES)
    lengths = rng.integers(SHORTEST, LONGEST + 1, size=n_texts)
    labels = np.full(codes.shape, "out", dtype="<U4")
    for row, length, told in zip(codes, lengths, labels, strict=True):
        told[:length] = label([SIGNS[code] for code in row[:length]])
    mask = np.arange(LONGEST) < lengths[:, None]
    return Texts(*(da.from_array(part, chunks=(BLOCK, LONGEST)) for part in (codes, labels, mask)))


def label(signs) -> list[str]:
    """The label of each sign of a text."""
    found = ["lone" if sign in "()" else "out" for sign in signs]
    opened: list[int] = []
    for i, sign in enumerate(signs):
        if sign == "(":
            opened.append(i)
        elif sign == ")" and opened:
            start = opened.pop()
            between = ["in" if found[k] == "out" else found[k] for k in range(start, i)]
            found[start : i + 1] = ["pair", *between[1:], "pair"]
    return found


def taggers(n_epochs) -> dict:
    """Three networks that differ in what they see, by name."""
    seen = {
        "the sign alone": [Dense(64, "relu")],
        "from the left": [LSTM(48, return_sequences=True)],
        "both ways": [Bidirectional(LSTM(24, return_sequences=True))],
    }
    return {
        name: SequenceTagger(
            [Embedding(len(SIGNS), 8), *layers, Dense(len(LABELS))],
            learning_rate_init=0.01,
            learning_rate="cosine",
            batch_size=64,
            max_iter=n_epochs,
            clip_norm=1.0,
        )
        for name, layers in seen.items()
    }


def judge(models, texts: Texts) -> dict:
    """Shares of right labels of each kind, printed; arrays (5,) of all kinds and each, by name."""
    y, mask = texts.y.compute(), texts.mask.compute()
    kinds = [mask, *(mask & (y == kind) for kind in LABELS)]
    print(f"\nRight of {mask.sum():,} signs of {len(y):,} texts held out, in %:")
    print(f"  {'':15}  parameters    all" + "".join(f"{kind:>7}" for kind in LABELS))
    shares = {}
    for name, model in models.items():
        right = model.predict(texts.X, mask=texts.mask).compute() == y
        shares[name] = np.array([100.0 * right[kind].mean() for kind in kinds])
        cells = "".join(f"{share:7.1f}" for share in shares[name])
        print(f"  {name:15}  {model.n_parameters_:10,}{cells}")
    return shares


def draw(models, shares, texts: Texts, path) -> None:
    """Right labels by kind; and the probability each network gives to the right one, by sign.

    Of the texts held out the one is shown where most kinds of labels come in turn.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise SystemExit(
            "The picture needs matplotlib, which is not installed. It comes with the extra "
            '"plot": python -m pip install -e ".[plot]"'
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (top, bottom) = pyplot.subplots(
        2, 1, figsize=(11, 6.5), height_ratios=(3, 2), layout="constrained"
    )
    for i, (name, share) in enumerate(shares.items()):
        where = np.arange(len(share)) + 0.27 * (i - 1)
        bars = top.bar(where, share, width=0.25, color=COLORS[i], label=name)
        top.bar_label(bars, fmt="%.0f", fontsize=9)
    top.set_xticks(range(len(LABELS) + 1), ["all", *LABELS])
    top.set(
        xlabel="true label", ylabel="labelled right, in %", ylim=(0, 118), yticks=range(0, 101, 20),
        title="Signs of texts held out, by what a network sees",
    )  # fmt: skip
    top.legend(loc="upper center", ncols=3, framealpha=0.9, edgecolor="none")
    draw_text(bottom, models, texts)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def draw_text(ax, models, texts: Texts) -> None:
    """One text, and what each network makes of it."""
    X, y, mask = (part[:BLOCK].compute() for part in texts)
    length = mask.sum(axis=1)
    changes = ((y[:, 1:] != y[:, :-1]) & mask[:, 1:]).sum(axis=1)
    i = int(np.argmax(np.where(length <= 30, changes, -1)))
    n, signs = length[i], [SIGNS[code] for code in X[i]]
    right = np.searchsorted(LABELS, y[i, :n])
    probabilities = [
        model.predict_proba(X[i : i + 1], mask=mask[i : i + 1])[0, np.arange(n), right]
        for model in models.values()
    ]
    image = ax.imshow(probabilities, cmap="cividis", vmin=0.0, vmax=1.0, aspect="auto")
    ax.set_yticks(range(len(models)), list(models))
    ax.set_xticks(
        range(n), [f"{sign}\n{told}" for sign, told in zip(signs, y[i, :n], strict=False)]
    )
    ax.tick_params(axis="x", labelsize=8.5, length=0)
    ax.set(title="One of these texts", xlabel="sign, and its true label")
    ax.figure.colorbar(image, ax=ax, pad=0.01, label="probability of\nthe true label")


def main(out: Path, n_texts: int, n_epochs: int) -> None:
    """Learn, judge and draw."""
    texts, fresh = make_texts(n_texts, seed=0), make_texts(n_texts // 3, seed=1)
    filled = 1.0 - float(texts.mask.mean())
    print(
        f"{n_texts:,} texts of {SHORTEST} to {LONGEST} signs in {texts.X.numblocks[0]} blocks, "
        f"{100 * filled:.0f} % of the steps hidden by the mask"
    )
    models = taggers(n_epochs)
    for model in models.values():
        model.fit(texts.X, texts.y, mask=texts.mask)
    print("\n" + str(models["both ways"].describe()))
    shares = judge(models, fresh)
    draw(models, shares, fresh, out / "tagging.png")
    print(f"\nPicture: {out / 'tagging.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=3_000, help="number of texts to learn from")
    parser.add_argument("--epochs", type=int, default=10, help="epochs of each network")
    parser.add_argument("--out", type=Path, help="folder for the picture; default: a temporary one")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="tagging-"))
    folder.mkdir(parents=True, exist_ok=True)
    main(folder, options.texts, options.epochs)
