"""Remember one sign over 60 steps of noise: gradients that vanish, explode or come through.

What an Elman network, an LSTM and gated recurrent units (GRU) can learn is decided by what is left
of a gradient on its way back through time. So it is measured, step by step, before and after they
learn; and so it is in networks that begin as they should not: Elman's with weights that shrink or
stretch a state, and a GRU that keeps its state for longer.

A layer that begins in another way is a subclass with an ``init`` of its own: see ``WideRNN``.

Run it with ``python examples/memory.py``; it takes about 30 seconds. The picture needs matplotlib:
the extra ``plot``.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daskdsml.layers import GRU, LSTM, RNN, Dense
from daskdsml.neural_network import NeuralClassifier, gradient_flow

STEPS, UNITS = 60, 32
GUESSING = np.log(2.0)  # the loss of one who gives both signs the same chance
# Those of Okabe and Ito, whom most of the colour-blind can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


@dataclass(frozen=True)
class WideRNN(RNN):
    """An Elman layer whose orthogonal weights from state to state are ``factor`` times as large."""

    factor: float = 1.0

    def init(self, rng, in_shape):
        params, out_shape = super().init(rng, in_shape)
        return params | {"Wh": self.factor * params["Wh"]}, out_shape


@dataclass(frozen=True)
class PatientGRU(GRU):
    """Gated recurrent units whose update gates first keep ``1 / (1 + exp(-bias))`` of a state."""

    bias: float = 3.0

    def init(self, rng, in_shape):
        params, out_shape = super().init(rng, in_shape)
        params["b"][: self.units] = self.bias
        return params, out_shape


def make_memories(n, seed):
    """Sequences (n, STEPS, 2) of noise, and a sign at the first step that is to be remembered."""
    rng = np.random.default_rng(seed)
    X, y = np.zeros((n, STEPS, 2), np.float32), rng.random(n) < 0.5
    X[:, :, 0] = rng.standard_normal((n, STEPS))
    X[:, 0, 1] = np.where(y, 1.0, -1.0)
    return X, y


def networks(n_epochs, seed) -> dict:
    """One recurrent layer each, by name: as they begin by default, and in other ways."""
    cells = {
        "Elman, half as wide": WideRNN(UNITS, factor=0.5),
        "Elman, 3 x as wide": WideRNN(UNITS, factor=3.0),
        "Elman": RNN(UNITS),
        "LSTM": LSTM(UNITS),
        "GRU": GRU(UNITS),
        "GRU, patient": PatientGRU(UNITS),
    }
    return {
        name: NeuralClassifier(
            [cell, Dense(2)],
            batch_size=50,
            learning_rate_init=0.003,
            max_iter=n_epochs,
            tol=None,
            clip_norm=1.0,
            random_state=seed,
        )
        for name, cell in cells.items()
    }


def compare_cells(n_epochs, seed, path) -> None:
    """Gradients through time of recurrent layers, before and after they learned."""
    X, y = make_memories(1_000, 0)
    fresh, truth = make_memories(500, 1)
    # Labels that have nothing to do with the sequences: so there is a gradient, however well a
    # network has learned, and only the way back decides what is left of it.
    chance = np.random.default_rng(2).permutation(truth)
    models = networks(n_epochs, seed)
    before = {name: gradient_flow(model, fresh, chance) for name, model in models.items()}
    for model in models.values():
        model.fit(X, y)
    after = {name: gradient_flow(model, fresh, chance) for name, model in models.items()}
    print(f"""\
Remember a sign over {STEPS} steps of noise: what is left at the first step of a gradient at the
last one, before and after; the first epoch with half the loss of guessing; and the share of
sequences held out that are told right.

                        before learning   after {n_epochs} epochs   learned in   right""")
    for name, model in models.items():
        left = "".join(f"{share_left(flows[name]):18.1e}" for flows in (before, after))
        epoch = learned_in(model) or "-"
        print(f"  {name:<19}{left}{epoch:>13}{model.score(fresh, truth):8.3f}")
    print("""
The state of an Elman network goes through its weights and tanh at each step. Weights that shrink
it leave no gradient to learn from; weights that stretch it give steps that lead nowhere, however
short clip_norm makes them; the orthogonal ones it begins with by default do neither, so in the end
it learns. An LSTM hands its memory on past all weights, a GRU its whole state. They keep 73 % of it
a step at first (bias 1 of the gate, the default): enough for the LSTM. The GRU, which lets less
through, learns late or not at all in so few epochs. Made to keep 95 % (bias 3), it learns soon.""")
    draw(models, before, after, path)


def learned_in(model):
    """The first epoch, from 1 on, with a loss below half of what guessing costs; None if none."""
    below = np.flatnonzero(np.array(model.loss_curve_) < GUESSING / 2.0)
    return int(below[0]) + 1 if len(below) else None


def share_left(flow) -> float:
    """The gradient in the states after the first step, over that after the last."""
    (norms,) = flow.steps.values()
    return norms[0] / norms[-1]


def draw(models, before, after, path) -> None:
    """Norms of gradients by step and layer, before and after; and how the networks learned."""
    from matplotlib import pyplot

    from daskdsml.plotting import GradientFlowDisplay, LearningCurveDisplay

    figure = pyplot.figure(figsize=(16, 8.5), layout="constrained")
    axes = figure.subplot_mosaic([list("abe"), list("cde")], width_ratios=(4, 3, 4))
    axes["c"].sharey(axes["a"])
    for pair, flows, when in (("ab", before, "before learning"), ("cd", after, "after learning")):
        GradientFlowDisplay.from_flows(flows).plot([axes[name] for name in pair])
        axes[pair[0]].set_title(f"gradients by time step, {when}")
        axes[pair[1]].set_title(f"by layer, {when}")
    LearningCurveDisplay.from_estimator(models).plot(axes["e"])
    axes["e"].axhline(GUESSING, color="0.5", ls=":", zorder=1)
    axes["e"].text(1.0, 1.04 * GUESSING, "guessing", color="0.4", va="bottom")
    axes["e"].set(title="learning to remember\n(colours and marks as on the left)", yscale="log")
    for name in "ce":
        axes[name].get_legend().remove()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def use_matplotlib() -> None:
    """Draw to a file, or say what is missing."""
    try:
        import matplotlib
    except ImportError as error:
        raise SystemExit(
            "The picture needs matplotlib, which is not installed. It comes with the extra "
            '"plot": python -m pip install -e ".[plot]"'
        ) from error
    matplotlib.use("Agg")
    matplotlib.rcParams["axes.prop_cycle"] = matplotlib.cycler(color=COLORS)


def main(out: Path, n_epochs: int, seed: int) -> None:
    """Learn, look and draw."""
    use_matplotlib()
    compare_cells(n_epochs, seed, out / "memory.png")
    print(f"\nPicture: {out / 'memory.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=15, help="epochs of each network")
    parser.add_argument("--seed", type=int, default=0, help="what first weights come from")
    parser.add_argument("--out", type=Path, help="folder for the picture; default: a temporary one")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="memory-"))
    folder.mkdir(parents=True, exist_ok=True)
    main(folder, options.epochs, options.seed)
