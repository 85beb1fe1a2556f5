"""Which of 3,000 genes tell a malignant biopsy from a benign one, with 300 patients to learn from?

Made data with a known answer: 12 genes matter, the others are noise. With ten times as many genes
as patients, some combination of them tells these patients apart whatever the truth is: a fit
without a penalty is perfect on them, certain of itself, and poor on others. A sparse logistic
regression whose penalty is chosen by cross-validation finds the genes.

Run it with ``python examples/biopsies.py``; it takes about 15 seconds. The picture needs
matplotlib: the extra ``plot``.
"""

import argparse
import tempfile
import time
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

import dask.array as da
import numpy as np
from sklearn.metrics import log_loss

from daskdsml.linear_model import LogisticRegression, LogisticRegressionCV

N_EFFECTS, BLOCK = 12, 50  # genes that matter; patients in a block
N_SEEN, N_FRESH = 300, 1000
PENALTIES = np.geomspace(0.02, 1.0, 15)  # C: from no gene at all to where noise alone is left


class Study(NamedTuple):
    """Genes X (n, p) and labels y (n,) of patients to learn from, and of fresh ones; the truth."""

    X: da.Array
    y: da.Array
    X_fresh: da.Array
    y_fresh: da.Array
    effects: np.ndarray


def make_study(n_genes, seed=0) -> Study:
    """Independent genes of unit variance; log-odds ``x'effects``, each up to 1.8 up or down."""
    rng = np.random.default_rng(seed)
    effects = np.zeros(n_genes)
    genes = rng.choice(n_genes, N_EFFECTS, replace=False)
    effects[genes] = rng.choice([-1.0, 1.0], N_EFFECTS) * rng.uniform(0.8, 1.8, N_EFFECTS)
    random = da.random.default_rng(seed)
    X = random.normal(size=(N_SEEN + N_FRESH, n_genes), chunks=(BLOCK, -1))
    score = X @ effects + random.logistic(size=len(X), chunks=BLOCK)
    y = da.where(score > 0.0, "malignant", "benign")
    # A Dask collection must give the same data each time it is read: here it stays in memory.
    X, y = X.persist(), y.persist()
    return Study(X[:N_SEEN], y[:N_SEEN], X[N_SEEN:], y[N_SEEN:], effects)


def choose(study: Study) -> LogisticRegressionCV:
    """All penalties, pure L1 and half of it, on five folds: one call."""
    start = time.perf_counter()
    model = LogisticRegressionCV(Cs=PENALTIES, l1_ratios=(0.5, 1.0), cv=5).fit(study.X, study.y)
    n_fits = model.scores_.size + len(model.Cs_) * len(model.l1_ratios_)
    print(
        f"LogisticRegressionCV: {n_fits} fits in {model.n_passes_} reads of X, "
        f"{time.perf_counter() - start:.1f} s; worst KKT residual {model.residuals_.max():.0e}"
    )
    for ratio, scores in zip(model.l1_ratios_, model.scores_.mean(axis=0), strict=True):
        best = scores.argmax()
        print(
            f"  l1_ratio {ratio:g}: log loss of left-out patients {-scores[best]:.3f} at "
            f"C = {model.Cs_[best]:.3g}; {-scores[0]:.3f} at C = {model.Cs_[0]:g}, "
            f"{-scores[-1]:.3f} at C = {model.Cs_[-1]:g}"
        )
    return model


def compare(study: Study, chosen) -> dict:
    """The model chosen, the simplest one as good by the folds, and one without a penalty."""
    return {
        "lowest loss": chosen,
        "one standard error": LogisticRegression(C=chosen.C_1se_, l1_ratio=chosen.l1_ratio_).fit(
            study.X, study.y
        ),
        # Newton's matrices of all pairs of genes would take longer than all else here.
        "no penalty": LogisticRegression(C=np.inf, solver="lbfgs").fit(study.X, study.y),
    }


def show(models, study: Study) -> None:
    """Genes found, right and wrong, and how each model does on patients it has not seen."""
    print("\n                     genes found        patients seen        fresh patients")
    print("                     true   false      right   log loss     right   log loss   certain")
    for name, model in models.items():
        found = np.flatnonzero(model.coef_)
        true = np.count_nonzero(study.effects[found])
        seen, fresh = judge(model, study.X, study.y), judge(model, study.X_fresh, study.y_fresh)
        print(
            f"  {name:<18} {true:4}   {len(found) - true:5}   {100 * seen[0]:6.1f} %   "
            f"{seen[1]:8.3f}   {100 * fresh[0]:5.1f} %   {fresh[1]:8.3f}   {100 * fresh[2]:5.1f} %"
        )


def judge(model, X, y) -> tuple[float, float, float]:
    """Shares of right answers, log loss, and share of patients told with 99 % certainty."""
    chances, truth = model.predict_proba(X).compute(), y.compute()
    right = model.classes_[chances.argmax(axis=1)] == truth
    return right.mean(), log_loss(truth, chances), (chances.max(axis=1) > 0.99).mean()


def draw(model, effects, path) -> None:
    """The loss of left-out patients by penalty, and coefficients of the genes found."""
    try:
        import matplotlib
    except ImportError as error:
        raise SystemExit(
            "The picture needs matplotlib, which is not installed. It comes with the extra "
            '"plot": python -m pip install -e ".[plot]"'
        ) from error
    matplotlib.use("Agg")  # no window
    from matplotlib import pyplot

    from daskdsml.plotting import CrossValidationPathDisplay

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    CrossValidationPathDisplay.from_estimator(model).plot(left)
    found = np.flatnonzero(model.coef_[0])
    order = found[np.argsort(-np.abs(model.coef_[0, found]))]
    true = effects[order] != 0.0
    rank = np.arange(len(order))
    for kind, style in ((true, "C0"), (~true, "0.6")):
        right.vlines(rank[kind], 0.0, model.coef_[0, order[kind]], color=style, linewidth=2.0)
    right.plot(rank[true], model.coef_[0, order[true]], "o", color="C0", label="genes that matter")
    right.plot(rank[~true], model.coef_[0, order[~true]], "o", color="0.6", ms=3, label="others")
    right.plot(rank[true], effects[order[true]], "x", color="C3", label="truth")
    right.axhline(0.0, color="0.4", linewidth=0.8)
    right.set(xlabel="genes found, by size of their coefficient", ylabel="coefficient")
    right.legend(framealpha=0.9, edgecolor="none")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main(out: Path, n_genes: int) -> None:
    """Choose, compare, print and draw."""
    study = make_study(n_genes)
    print(f"{N_SEEN} patients, {n_genes:,} genes, {N_EFFECTS} of which matter\n")
    chosen = choose(study)
    models = compare(study, chosen)
    show(models, study)
    text = """Without a penalty all patients seen are told apart, and their log loss says that
        nothing is left to learn. Fresh patients know better: few more than by tossing a coin are
        right, and where the model is certain that means little. The penalty finds the genes that
        matter, in the company of more that do not: folds ask who foretells best, and small
        coefficients of useless genes do little harm there. The large ones are to be believed, and
        all are too small, which is the price of leaving the rest at zero."""
    print("\n" + fill(" ".join(text.split()), 100))
    draw(chosen, study.effects, out / "biopsies.png")
    print(f"\nPicture: {out / 'biopsies.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genes", type=int, default=3000, help="number of genes")
    parser.add_argument("--out", type=Path, help="folder for the picture; default: a temporary one")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="biopsies-"))
    folder.mkdir(parents=True, exist_ok=True)
    main(folder, options.genes)
