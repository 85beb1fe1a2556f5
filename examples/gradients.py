"""What happens inside a deep network: activations, their slopes, and gradients that vanish.

The pictures of a textbook, from networks that run: activation functions and their derivatives; how
the outputs of ten layers are spread before any training, by how wide the weights are drawn, and
with batch norm; and what batch norm does to learning. ``memory.py`` follows gradients through time.

A layer of your own is a class with four names: see ``Peek``. One that begins in another way is a
subclass with an ``init`` of its own: see ``WideDense``.

Run it with ``python examples/gradients.py``; it takes about 20 seconds. The pictures need
matplotlib: the extra ``plot``.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from daskdsml.layers import Activation, BatchNorm, Dense
from daskdsml.neural_network import MLPClassifier, NeuralClassifier, NeuralRegressor, gradient_flow

ACTIVATIONS = ("logistic", "tanh", "relu", "leaky_relu", "elu", "softplus")
DEEP = ("logistic", "tanh", "relu")
DEPTH, UNITS = 10, 100
# Those of Okabe and Ito, whom most of the colour-blind can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


@dataclass(frozen=True)
class WideDense(Dense):
    """A dense layer whose weights are drawn ``factor`` times as wide as they should be."""

    factor: float = 1.0

    def init(self, rng, in_shape):
        params, out_shape = super().init(rng, in_shape)
        return params | {"W": self.factor * params["W"]}, out_shape


@dataclass(frozen=True)
class Peek:
    """Hands everything on as it is, and shows it: what comes forward, and what comes back."""

    forth: Callable
    back: Callable = id

    penalised = frozenset()
    collective = False

    def init(self, rng, in_shape):
        return {}, in_shape

    def forward(self, kernels, params, x, step):
        self.forth(x.copy())
        return x, None

    def backward(self, kernels, params, tape, dout, grads, step):
        self.back(dout.copy())
        return dout


def slopes_of(name, x) -> tuple[np.ndarray, np.ndarray]:
    """An activation and its derivative at the points x (n,): gradients behind it over before it."""
    seen = []
    shown = Peek(lambda array: seen.append(array[:, 0]), lambda array: seen.append(array[:, 0]))
    model = NeuralRegressor([shown, Activation(name), shown], batch_size=len(x))
    gradient_flow(model, x[:, None], np.full(len(x), -10.0))
    _, value, after, before = seen
    return value, before / after


def draw_activations(path) -> None:
    """Six activation functions and their derivatives."""
    from matplotlib import pyplot

    x = np.linspace(-4.0, 4.0, 800)
    figure, axes = pyplot.subplots(
        2, 3, figsize=(11, 6), sharex=True, sharey=True, layout="constrained"
    )
    told = []
    for ax, name in zip(axes.flat, ACTIVATIONS, strict=True):
        value, slope = slopes_of(name, x)
        ax.plot(x, value, label="f(x)")
        ax.plot(x, slope, "--", label="f'(x)")
        ax.grid(color="0.92")
        ax.set(title=name, xlim=(-4.0, 4.0), xticks=(-2, 0, 2), ylim=(-1.2, 2.5))
        told.append(f"{name} {slope.max():.2f}")
    print("largest slope:", ", ".join(told))
    axes[0, 0].legend(loc="upper left", framealpha=0.9, edgecolor="none")
    figure.supxlabel("x")
    figure.suptitle("Activation functions f and their derivatives f', which gradients go through")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def starts(activation) -> dict:
    """Layers of a deep network, by how it starts."""

    def layers(factor):
        return [[WideDense(UNITS, activation, factor=factor)] for _ in range(DEPTH)]

    normed = [[Dense(UNITS), BatchNorm(activation=activation)] for _ in range(DEPTH)]
    return {
        "a third as wide": layers(1 / 3),
        "by default": layers(1.0),
        "3 x as wide": layers(3.0),
        "with batch norm": normed,
    }


def look_inside(layers, X, y):
    """Outputs of each layer (DEPTH, n * UNITS), and the gradient's norm in the weights of each."""
    outputs = []
    shown = Peek(lambda array: outputs.append(array.ravel()))
    whole = [part for layer in layers for part in (*layer, shown)]
    flow = gradient_flow(NeuralClassifier([*whole, Dense(10)], batch_size=len(X)), X, y)
    dense = [i for i, name in enumerate(flow.layers) if "BatchNorm" not in name]
    return np.array(outputs), flow.norms[dense][:DEPTH]


def draw_starts(X, y, path) -> None:
    """How outputs are spread, layer by layer, before any training."""
    from matplotlib import pyplot

    print(f"""
Before training, {DEPTH} layers of {UNITS} units: standard deviation of the outputs of a layer, and
norm of the gradient in its weights.
                               outputs              gradient
                         first       last      first       last""")
    figure, axes = pyplot.subplots(
        3, 4, figsize=(13, 8.5), sharex=True, sharey="row", layout="constrained"
    )
    for row, activation in zip(axes, DEEP, strict=True):
        for ax, (way, layers) in zip(row, starts(activation).items(), strict=True):
            outputs, norms = look_inside(layers, X, y)
            spread = outputs.std(axis=1)
            cells = "".join(f"{number:11.1e}" for number in (*spread[[0, -1]], *norms[[0, -1]]))
            print(f"  {activation:<9}{way:<15}{cells}")
            shares = draw_spread(ax, outputs, activation)
            ax.set_title(f"{activation}, {way}", fontsize=11)
        row[0].set_ylabel("output above 0, log scale" if activation == "relu" else "output")
    for ax in axes[-1]:
        ax.set(xlabel="layer", xticks=range(1, DEPTH + 1))
    told = "number of outputs in a bin, over that in the fullest bin of the layer"
    figure.colorbar(shares, ax=axes, label=told, pad=0.01, aspect=50)
    figure.suptitle(f"Outputs of {DEPTH} layers before any training, by how wide weights are drawn")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def draw_spread(ax, outputs, activation):
    """Histograms of outputs, one column for each layer, each as dark as it is full.

    Outputs of relu that are 0 are left out; the others are shown by their size.
    """
    edges = {
        "logistic": np.linspace(-0.01, 1.01, 61),
        "tanh": np.linspace(-1.02, 1.02, 61),
        "relu": np.geomspace(1e-8, 1e6, 61),
    }[activation]
    counts = [np.histogram(part, edges)[0] for part in outputs]
    shares = np.array([count / count.max() for count in counts]).T
    if activation == "relu":
        ax.set_yscale("log")
    return ax.pcolormesh(np.arange(DEPTH + 1) + 0.5, edges, shares, cmap="Blues")


def compare_training(X, y, n_epochs, path) -> None:
    """Losses of deep networks with batch norm and without."""
    from matplotlib import pyplot

    from daskdsml.plotting import LearningCurveDisplay

    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4.2), sharey=True, layout="constrained")
    print(f"""
Weights too narrow, and outputs no longer tell one picture from another; too wide, and they stick to
the ends or grow without end. Logistic layers hardly teach those before them, however they start: no
slope is above 1/4. Batch norm makes all layers alike.

Loss after {n_epochs} epochs, {DEPTH} hidden layers of 50 units:""")
    for ax, activation in zip(axes, DEEP, strict=True):
        models = {
            name: MLPClassifier(
                (50,) * DEPTH, activation, batch_norm=normed, max_iter=n_epochs, tol=None,
                batch_size=100, learning_rate_init=0.003,
            ).fit(X, y)
            for name, normed in (("without batch norm", False), ("with batch norm", True))
        }  # fmt: skip
        shown = LearningCurveDisplay.from_estimator(models).plot(ax)
        ax.get_legend().remove()
        ax.set(title=activation, yscale="log")
        told = ", ".join(f"{name} {model.loss_:.3f}" for name, model in models.items())
        print(f"  {activation:<9} {told}")
    print("Logistic layers learn with it alone; the others, well drawn, do without.")
    for ax in axes[1:]:
        ax.set_ylabel("")
    figure.legend(shown.loss_lines_, models, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(f"{DEPTH} hidden layers of 50 units learn to read digits (dots: lowest loss)")
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


def main(out: Path, n_epochs: int) -> None:
    """Look, learn and draw."""
    use_matplotlib()
    X, y = load_digits(return_X_y=True)
    X = (X - X.mean(axis=0)) / (X.std(axis=0) + 0.1)
    draw_activations(out / "activations.png")
    draw_starts(X, y, out / "starts.png")
    compare_training(X, y, n_epochs, out / "batch_norm.png")
    names = ("activations", "starts", "batch_norm")
    print("\nPictures:", ", ".join(str(out / f"{name}.png") for name in names))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=15, help="epochs of each network that learns")
    parser.add_argument("--out", type=Path, help="folder for pictures; default: a temporary one")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="gradients-"))
    folder.mkdir(parents=True, exist_ok=True)
    main(folder, options.epochs)
