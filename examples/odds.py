"""Odds ratios with standard errors: who comes back to the hospital within 30 days?

Made data with a known answer: 200,000 patients of 120 hospitals, in a Dask DataFrame whose blocks
are made when they are read, as if from files. A logistic regression without a penalty tells odds
ratios, and `infer` how sure they are. What may mislead is in the data: the drug goes to the sick
(confounding), patients of one hospital are alike (clusters), nobody comes back from a hospice
(separation), and few come back at all (class weights).

Run it with ``python examples/odds.py``; it takes about 15 seconds. The picture needs matplotlib:
the extra ``plot``.
"""

import argparse
import tempfile
import warnings
from pathlib import Path
from textwrap import fill

import dask.dataframe as dd
import numpy as np
import pandas as pd
from scipy.special import expit, logit, ndtr
from sklearn.exceptions import ConvergenceWarning

from daskdsml.inference import infer
from daskdsml.linear_model import LogisticRegression

BLOCK, N_HOSPITALS = 20_000, 120
SHARED = 0.02  # share of chance that all patients of a hospital have in common
TRUE_ODDS = {"age": 1.3, "female": 0.9, "severity": 1.8, "drug": 0.75, "weekend": 1.0, "town": 1.0}
INTERCEPT = -2.4
NAMES = [*TRUE_ODDS, "hospice"]


def make_block(seed, n_patients) -> pd.DataFrame:
    """Patients, age and severity in standard deviations, with their ``outcome``.

    Somebody comes back if ``x'b + e > 0``. The noise e, made from a normal number that patients of
    a hospital share in part, is logistic for each of them: the odds ratios are ``exp(b)`` exactly.
    """
    hospitals = np.random.default_rng(4)
    in_town = hospitals.integers(0, 2, N_HOSPITALS)
    ways = hospitals.standard_normal(N_HOSPITALS)
    rng = np.random.default_rng([1, seed])
    hospital = rng.integers(0, N_HOSPITALS, n_patients)
    age, own, chance = rng.standard_normal((3, n_patients))
    severity = own + 0.3 * age
    shares = {
        "female": 0.5,
        "drug": expit(1.2 * severity - 1.0),
        "weekend": 2 / 7,
        "hospice": 0.004,
    }
    draws = {name: (rng.random(n_patients) < share) * 1 for name, share in shares.items()}
    frame = pd.DataFrame({"age": age, "severity": severity, **draws, "hospital": hospital})
    frame["town"] = in_town[hospital]
    score = INTERCEPT + frame[list(TRUE_ODDS)] @ np.log(list(TRUE_ODDS.values()))
    noise = logit(ndtr(np.sqrt(SHARED) * ways[hospital] + np.sqrt(1.0 - SHARED) * chance))
    back = (score + noise > 0.0) & (frame["hospice"] == 0)
    return frame.assign(outcome=np.where(back, "back", "at home"))


def make_patients(n_patients, first_seed=0) -> dd.DataFrame:
    """Blocks that are made anew, and the same, each time they are read."""
    sizes = [min(BLOCK, n_patients - start) for start in range(0, n_patients, BLOCK)]
    seeds = range(first_seed, first_seed + len(sizes))
    return dd.from_map(make_block, seeds, sizes, meta=make_block(0, 1))


def fit(X, y, **options) -> LogisticRegression:
    """``C=np.inf`` is no penalty: only then do standard errors hold."""
    return LogisticRegression(C=np.inf, **options).fit(X, y)


def fit_separated(X, y) -> LogisticRegression:
    """A fit that has no optimum, and says so."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model = fit(X, y)
    for warning in caught:
        print(fill(f"{warning.category.__name__}: {warning.message}", 100) + "\n")
    return model


def interval(result, name) -> str:
    """An odds ratio and its limits."""
    ratio, low, high = result.odds_ratios().loc[name, ["ratio", "lower", "upper"]]
    return f"{ratio:.2f} (95 % interval {low:.2f} to {high:.2f})"


def show_confounding(X, y, adjusted) -> None:
    """The drug alone, and beside what decides who is given it."""
    alone = infer(fit(X[["drug"]], y), X[["drug"]], y)
    print(f"""
Does the drug help? Odds of coming back with it, over those without it:
  all patients                           {interval(alone, "drug")}
  patients alike in all other columns    {interval(adjusted, "drug")}
The drug is given to the sick, who come back more often, drug or not. The truth is 0.75.""")


def show_clusters(results) -> None:
    """Errors of patients who are alone, and of those who share a hospital."""
    frames = {kind: result.to_frame() for kind, result in results.items()}
    table = pd.DataFrame(
        {
            "truth": TRUE_ODDS,
            "odds ratio": results["cluster"].odds_ratios()["ratio"],
            **{f"p, {kind}": frame["p_value"] for kind, frame in frames.items()},
            "s.e., cluster / nonrobust": frames["cluster"]["std_error"]
            / frames["nonrobust"]["std_error"],
        }
    )
    print("\nIs it the hospital? Errors by whether patients of a hospital are alike:")
    print(table.loc[list(TRUE_ODDS)].to_string(float_format="{:.3g}".format))
    text = f"""Whether a hospital is in town tells nothing in truth, but all its patients share the
        answer: {results["cluster"].n_clusters} hospitals are the evidence there, not
        {results["cluster"].nobs:,} patients. What differs from patient to patient is known about as
        well as it seemed."""
    print(fill(" ".join(text.split()), 100))


def at_risk(patients) -> tuple[dd.DataFrame, dd.Series]:
    """X and y of those who were not sent to a hospice."""
    stay = patients[patients["hospice"] == 0]
    return stay[list(TRUE_ODDS)], stay["outcome"]


def show_separation(result, without) -> None:
    """Without the patients of a hospice the other odds ratios are what they were."""
    k = len(without.coef)
    coef = np.abs(without.coef / result.coef[:k] - 1.0).max()
    errors = np.abs(without.std_error / result.std_error[:k] - 1.0).max()
    text = f"""And the {", ".join(result.separated)}? No odds ratio is small enough for a column of
        whose patients nobody came back, so none is reported. The other numbers are those of a fit
        without these patients: coefficients differ by {coef:.0e} of their size at most, standard
        errors by {errors:.0e}."""
    print("\n" + fill(" ".join(text.split()), 100))


def show_chances(models, X, y) -> None:
    """What was foretold of patients not seen yet, and what came."""
    back = (y == "back").mean().compute()
    print(f"\nOf {len(y):,} fresh patients {100 * back:.1f} % came back. Foretold on average:")
    for name, model in models.items():
        chance = float(model.predict_proba(X)["back"].mean().compute())
        print(f"  {name:<28} {100 * chance:.1f} %")
    text = """Both tell equally well who is at greater risk, and that is all that
        class_weight="balanced" leaves right: its probabilities are those of a world where every
        other patient comes back."""
    print(fill(" ".join(text.split()), 100))


def draw(result, models, X, y, path) -> None:
    """Odds ratios; and on patients not seen yet, who is told from whom, and what is foretold."""
    try:
        import matplotlib
    except ImportError as error:
        raise SystemExit(
            "The picture needs matplotlib, which is not installed. It comes with the extra "
            '"plot": python -m pip install -e ".[plot]"'
        ) from error
    matplotlib.use("Agg")  # no window
    from matplotlib import pyplot

    from daskdsml.plotting import CalibrationDisplay, EffectDisplay, RocCurveDisplay

    figure, axes = pyplot.subplots(1, 3, figsize=(15, 4.8), layout="constrained")
    EffectDisplay.from_result(result, ratios=True).plot(axes[0])
    for (name, model), line in zip(models.items(), ("-", "--"), strict=True):
        options = {"pos_label": "back", "name": name, "curve_kwargs": {"linestyle": line}}
        RocCurveDisplay.from_estimator(model, X, y, ax=axes[1], **options)
        CalibrationDisplay.from_estimator(
            model, X, y, ax=axes[2], n_bins=10, strategy="quantile", **options
        )
    for ax, title in zip(axes, ("odds ratios", "who comes back", "how likely"), strict=True):
        ax.set_title(title)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main(out: Path, n_patients: int) -> None:
    """Fit, infer, print and draw."""
    patients = make_patients(n_patients)
    X, y, hospital = patients[NAMES], patients["outcome"], patients["hospital"]
    print(f"{n_patients:,} patients in {patients.npartitions} blocks, {N_HOSPITALS} hospitals\n")
    model = fit_separated(X, y)
    results = {
        "nonrobust": infer(model, X, y),
        "cluster": infer(model, X, y, cov_type="cluster", groups=hospital),
    }
    print(results["cluster"].summary(ratios=True))
    print(f"\nReads of the data: the fit {model.n_passes_}, infer {results['cluster'].n_passes}")
    show_confounding(X, y, results["cluster"])
    show_clusters(results)
    X, y = at_risk(patients)
    models = {"no weights": fit(X, y), "balanced": fit(X, y, class_weight="balanced")}
    show_separation(results["nonrobust"], infer(models["no weights"], X, y))
    X, y = at_risk(make_patients(n_patients // 4, first_seed=10_000))
    show_chances(models, X, y)
    draw(results["cluster"], models, X, y, out / "odds.png")
    print(f"\nPicture: {out / 'odds.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=200_000, help="number of patients")
    parser.add_argument("--out", type=Path, help="folder for the picture; default: a temporary one")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="odds-"))
    folder.mkdir(parents=True, exist_ok=True)
    main(folder, options.patients)
