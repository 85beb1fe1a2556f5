"""Edges, or filters of its own: from which of two photographs is a patch of 16 x 16 grey pixels?

A convolution can be given its filters. Here a network looks at patches through the filters of
Sobel, which answer to edges and are left as they are: ``Conv2D(weights=..., trainable=False)``.
Another one learns four filters of its own, and one sees bare pixels. All learn from the left part
of both photographs, which come with scikit-learn, and are judged on patches of the right part.
Patches have their mean taken out and unit spread: brightness and contrast tell nothing.

Run it with ``python examples/edges.py``; it takes about 15 seconds. The picture needs matplotlib:
the extra ``plot``.
"""

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import dask.array as da
import numpy as np
from scipy.ndimage import uniform_filter
from scipy.signal import correlate2d
from sklearn.datasets import load_sample_image

from daskdsml.layers import AveragePool2D, Conv2D, Dense, Flatten
from daskdsml.neural_network import NeuralClassifier

PHOTOS = ("china.jpg", "flower.jpg")
SIZE, BLOCK = 16, 1_000  # pixels along a side of a patch; patches in a block
SPLIT = 400  # columns to the left of it are learned from, of 640
SOBEL = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4.0
# From dark to bright and back, across and down.
EDGES = {"to the right": SOBEL, "to the left": -SOBEL, "down": SOBEL.T, "up": -SOBEL.T}


class Patches(NamedTuple):
    """Patches X (n, SIZE, SIZE), and the photograph y (n,) that each is from."""

    X: da.Array
    y: da.Array


def grey_photos() -> list:
    """Both photographs (427, 640), from 0 to 1."""
    return [load_sample_image(name).mean(axis=2) / 255.0 for name in PHOTOS]


def cut(photos, n, columns, seed) -> Patches:
    """``n`` patches of each photograph at random places among ``columns (first, end)``."""
    rng = np.random.default_rng(seed)
    top = rng.integers(0, photos[0].shape[0] - SIZE, 2 * n)
    left = rng.integers(columns[0], columns[1] - SIZE, 2 * n)
    y = rng.permutation(np.repeat([0, 1], n))
    windows = [np.lib.stride_tricks.sliding_window_view(photo, (SIZE, SIZE)) for photo in photos]
    X = np.stack([windows[k][i, j] for k, i, j in zip(y, top, left, strict=True)])
    X = X - X.mean(axis=(1, 2), keepdims=True)
    X /= X.std(axis=(1, 2), keepdims=True) + 0.01
    names = np.array([Path(name).stem for name in PHOTOS])[y]
    chunks = (BLOCK, SIZE, SIZE)
    return Patches(da.from_array(X.astype(np.float32), chunks), da.from_array(names, BLOCK))


def networks(n_epochs) -> dict:
    """Three networks that differ in their first layer, by name."""
    edges = Conv2D(
        weights=np.stack([*EDGES.values()]), trainable=False, padding="same", activation="relu"
    )
    own = Conv2D(len(EDGES), 5, padding="same", activation="relu")
    behind = [Flatten(), Dense(16, "relu"), Dense(2, "softmax")]
    first = {
        "bare pixels": [],
        "edges, given": [edges, AveragePool2D(4)],
        "own filters": [own, AveragePool2D(4)],
    }
    return {
        name: NeuralClassifier(
            [*layers, *behind], learning_rate_init=0.003, learning_rate="cosine", max_iter=n_epochs
        )
        for name, layers in first.items()
    }


def judge(models, seen: Patches, fresh: Patches) -> dict:
    """Shares of right answers on patches of the left and the right part, printed, by network."""
    print(f"\nRight of {len(seen.X):,} patches learned from, and of {len(fresh.X):,} others, in %:")
    shares = {}
    for name, model in models.items():
        shares[name] = [100.0 * model.score(*patches) for patches in (seen, fresh)]
        learned = sum(a.size for layer in trained(model) for a in layer.values())
        cells = "".join(f"{share:7.1f}" for share in shares[name])
        print(f"  {name:13} {learned:6,} numbers learned {cells}")
    return shares


def trained(model) -> list:
    """The weights of the layers that training changed."""
    pairs = zip(model.layers_, model.weights_, strict=True)
    return [weights for layer, weights in pairs if getattr(layer, "trainable", True)]


def draw(models, shares, photos, path) -> None:
    """Both photographs, their edges, and what the filters that were learned answer to."""
    try:
        import matplotlib
    except ImportError as error:
        raise SystemExit(
            "The picture needs matplotlib, which is not installed. It comes with the extra "
            '"plot": python -m pip install -e ".[plot]"'
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    given, own = (models[name].weights_[0]["K"][:, 0] for name in ("edges, given", "own filters"))
    figure = pyplot.figure(figsize=(13, 9), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1)  # inches: titles stay clear of the edge
    above, below = figure.subfigures(2, 1, height_ratios=(5, 2))
    seen = {
        "learned from: left of the line": None,
        "what the given filters answer to": given,
        "what the learned filters answer to": own,
    }
    for axes, photo in zip(above.subplots(2, 3), photos, strict=True):
        for ax, (title, filters) in zip(axes, seen.items(), strict=True):
            ax.imshow(photo if filters is None else answers(photo, filters), cmap="gray")
            ax.axvline(SPLIT, color="tab:orange", linewidth=1.5)
            ax.set(title=title, xticks=[], yticks=[])
    draw_filters(below, given, own, shares)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def answers(photo, filters):
    """The sum over filters of what a rectifier leaves of them, up to its 99th percentile.

    As in patches, the mean of the surroundings is taken out.
    """
    photo = photo - uniform_filter(photo, SIZE)
    total = sum(np.maximum(correlate2d(photo, K, mode="same", boundary="symm"), 0) for K in filters)
    return np.minimum(total, np.quantile(total, 0.99))


def draw_filters(figure, given, own, shares) -> None:
    """All filters, and how often each network is right."""
    left, right = figure.subfigures(1, 2, width_ratios=(3, 2))
    for axes, name, filters in zip(
        left.subplots(2, len(EDGES)), ("given", "learned"), (given, own), strict=True
    ):
        for ax, K in zip(axes, filters, strict=True):
            reach = np.abs(K).max()
            ax.imshow(K, cmap="RdBu_r", vmin=-reach, vmax=reach)
            ax.set(xticks=[], yticks=[])
        axes[0].set_ylabel(name)
        for ax, direction in zip(axes, EDGES if name == "given" else (), strict=False):
            ax.set_title(direction, fontsize="medium")
    left.suptitle("Filters: red adds, blue takes away")
    ax = right.subplots()
    bars = ax.barh(list(shares), [share for _, share in shares.values()], color="tab:blue")
    ax.bar_label(bars, fmt="%.1f", padding=3)
    ax.set(xlim=(50, 103), xlabel="right on the right part of the photographs, in %")
    ax.invert_yaxis()


def main(out: Path, n_patches: int, n_epochs: int) -> None:
    """Cut, learn, judge and draw."""
    photos = grey_photos()
    seen = cut(photos, n_patches, (0, SPLIT), seed=0)
    fresh = cut(photos, n_patches // 2, (SPLIT, photos[0].shape[1]), seed=1)
    models = networks(n_epochs)
    for model in models.values():
        model.fit(seen.X, seen.y)
    print(models["edges, given"].describe())
    shares = judge(models, seen, fresh)
    draw(models, shares, photos, out / "edges.png")
    print(f"\nPicture: {out / 'edges.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=4_000, help="patches of each photograph")
    parser.add_argument("--epochs", type=int, default=15, help="epochs of each network")
    parser.add_argument("--out", type=Path, help="folder for the picture; default: a temporary one")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="edges-"))
    folder.mkdir(parents=True, exist_ok=True)
    main(folder, options.patches, options.epochs)
