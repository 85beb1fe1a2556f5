"""Which of 20,000 genes matter for health, when 200 patients are all there are to learn from?

Made data with a known answer. Genes come in modules of 20 that share a factor, so that two genes of
a module correlate at 0.5 and others not; 15 genes, each in a module of its own, have an effect on
health of 0.6 to 1.4 standard deviations of the noise, up or down. A lasso with its penalty chosen
by cross-validation looks for them; fresh patients then tell which of those found to believe.

Run it with ``python examples/genes.py``; it takes about 20 seconds. The pictures need matplotlib:
the extra ``plot``.
"""

import argparse
import tempfile
import time
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

import dask.array as da
import numpy as np

from daskdsml.inference import infer
from daskdsml.linear_model import LassoCV, LinearRegression

MODULE, CORRELATION, N_EFFECTS = 20, 0.5, 15
BLOCK = 50  # patients
MOST_DRAWN = 30


class Study(NamedTuple):
    """Genes X (n, p) and health y (n,) in blocks of patients, with the true effects (p,)."""

    X: da.Array
    y: da.Array
    effects: np.ndarray

    def patients(self, first, last) -> tuple[da.Array, da.Array]:
        """Those rows of X and y."""
        return self.X[first:last], self.y[first:last]


def make_study(n_patients, n_genes, seed=0) -> Study:
    """``x = sqrt(c) factor + sqrt(1 - c) own``, ``y = X effects + noise``, all standard normal."""
    rng = np.random.default_rng(seed)
    modules = rng.choice(n_genes // MODULE, N_EFFECTS, replace=False)
    genes = modules * MODULE + rng.integers(0, MODULE, N_EFFECTS)
    effects = np.zeros(n_genes)
    effects[genes] = rng.choice([-1.0, 1.0], N_EFFECTS) * rng.uniform(0.6, 1.4, N_EFFECTS)
    random = da.random.default_rng(seed)
    factors = random.normal(size=(n_patients, n_genes // MODULE), chunks=(BLOCK, -1))
    own = random.normal(size=(n_patients, n_genes), chunks=(BLOCK, -1))
    shared = da.repeat(factors, MODULE, axis=1).rechunk(own.chunks)
    X = np.sqrt(CORRELATION) * shared + np.sqrt(1.0 - CORRELATION) * own
    y = X @ effects + random.normal(size=n_patients, chunks=BLOCK)
    # A Dask collection must give the same data each time it is read: here it stays in memory.
    return Study(X.persist(), y.persist(), effects)


def find_genes(X, y) -> LassoCV:
    """A lasso by cross-validation, with the rule of one standard error.

    With more genes than patients the weak end of the usual grid fits noise alone: ``eps`` ends it
    at a fiftieth of the strongest penalty.
    """
    start = time.perf_counter()
    model = LassoCV(rule="1se", alphas=40, eps=0.02).fit(X, y)
    print(
        f"LassoCV on {X.shape[0]} patients: solver {model.solver_}, {model.n_passes_} reads of X "
        f"for {len(model.alphas_)} penalties on 6 sets of rows, {time.perf_counter() - start:.1f} s"
    )
    print(
        f"  duality gap {model.dual_gap_:.1e}, of a variance of health of {y.var().compute():.1f}"
    )
    return model


def show_found(model, effects) -> np.ndarray:
    """Genes found by both rules, right and wrong; those of one standard error are returned."""
    for rule, alpha in {"lowest error": model.alpha_min_, "one s.e.": model.alpha_1se_}.items():
        found = np.flatnonzero(model.coef_path_[:, list(model.alphas_).index(alpha)])
        right = np.count_nonzero(effects[found])
        false = found[effects[found] == 0.0]
        near = np.isin(false // MODULE, np.flatnonzero(effects) // MODULE).sum()
        print(
            f"  {rule:<12} alpha {alpha:.3f}: {len(found):3} genes, {right} of the {N_EFFECTS} "
            f"true ones, {len(false)} false ({near} in a true one's module)"
        )
    return found


def target(effects, found) -> np.ndarray:
    """What least squares on the genes found estimates: effects of genes left out go to neighbours.

    ``S_ff^-1 S_f. effects`` with the correlations S of all genes.
    """
    module = np.arange(len(effects)) // MODULE
    matters = np.flatnonzero(effects)

    def correlations(one, other):
        shared = CORRELATION * (module[one][:, None] == module[other])
        return np.where(one[:, None] == other, 1.0, shared)

    return np.linalg.solve(
        correlations(found, found), correlations(found, matters) @ effects[matters]
    )


def judge(name, result, truth, is_true) -> None:
    """How many genes look significant, and how many intervals hold what they estimate."""
    slopes = result.to_frame().iloc[1:]
    significant = slopes.p_value.to_numpy() < 0.05
    holds = (slopes.lower.to_numpy() <= truth) & (truth <= slopes.upper.to_numpy())
    print(
        f"  {name:<15} {(significant & is_true).sum():2} of {is_true.sum()} true genes and "
        f"{(significant & ~is_true).sum():2} of {(~is_true).sum()} false ones significant at 5 %; "
        f"{holds.sum()} of {len(holds)} intervals hold"
    )


def infer_twice(study, model, found, half):
    """Inference by the patients that chose the genes, and by those that did not."""
    print()
    try:
        infer(model, *study.patients(0, half))
    except ValueError as refusal:
        print(fill(f"infer(model, X, y) refuses: {refusal}", 100))
    print("""
That is the first reason: the lasso's coefficients are biased towards zero. The second: the genes
were chosen among thousands because they fit these very patients, so here even a false gene looks
real, and takes from the true ones. Least squares on the genes found mends the first, fresh patients
mend both:
""")
    truth, is_true = target(study.effects, found), study.effects[found] != 0.0
    results = {}
    for name, rows in {"same patients": (0, half), "fresh patients": (half, 2 * half)}.items():
        X, y = study.patients(*rows)
        few = LinearRegression().fit(X[:, found], y)
        results[name] = infer(few, X[:, found], y, cov_type="HC3")
        judge(name, results[name], truth, is_true)
    return results, truth


def draw_paths(model, effects, path) -> None:
    """Errors along the path, and coefficients of the genes that enter it."""
    from matplotlib import pyplot

    from daskdsml.plotting import CoefficientPathDisplay, CrossValidationPathDisplay

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    CrossValidationPathDisplay.from_estimator(model).plot(left)
    entered = np.flatnonzero(model.coef_path_.any(axis=1))  # not thousands of lines at zero
    names = [f"gene {j}{' (true)' if effects[j] else ''}" for j in entered]
    shown = CoefficientPathDisplay(model.alphas_, model.coef_path_[entered], names, model.alpha_)
    shown.plot(right)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def draw_effects(results, truth, found, effects, path) -> None:
    """Intervals of both halves beside what they estimate: true genes, then the largest others."""
    from matplotlib import pyplot

    from daskdsml.plotting import EffectDisplay

    looks = np.abs(results["same patients"].coef[1:])
    order = np.lexsort([-looks, effects[found] == 0.0])[:MOST_DRAWN]
    names = [f"gene {j}{' (true)' if effects[j] else ''}" for j in found[order]]
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 7), sharex=True, layout="constrained")
    for ax, (title, result) in zip(axes, results.items(), strict=True):
        coef, limits = result.coef[1:][order], result.conf_int[1:][order]
        EffectDisplay(names, coef, limits, result.level).plot(ax)
        ax.plot(truth[order], np.arange(len(names)), "x", color="C3", zorder=4, label="truth")
        ax.set_title(title)
    axes[0].legend(loc="lower right", framealpha=0.9, edgecolor="none")
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


def main(out: Path, n_genes: int) -> None:
    """Find genes with half of 400 patients, and believe the other half."""
    half = 200
    study = make_study(2 * half, n_genes)
    print(f"{2 * half} patients, {n_genes:,} genes, {N_EFFECTS} of them with an effect")
    model = find_genes(*study.patients(0, half))
    found = show_found(model, study.effects)
    results, truth = infer_twice(study, model, found, half)
    use_matplotlib()
    draw_paths(model, study.effects, out / "genes.png")
    draw_effects(results, truth, found, study.effects, out / "intervals.png")
    print(f"\nPictures: {out / 'genes.png'}, {out / 'intervals.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genes", type=int, default=20_000, help="number of genes")
    parser.add_argument("--out", type=Path, help="folder for pictures; default: a temporary one")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="genes-"))
    folder.mkdir(parents=True, exist_ok=True)
    main(folder, options.genes)
