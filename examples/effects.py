"""Is this effect real? Standard errors that hold when rows differ in variance, or are not alone.

What health insurance does to the number of visits to a doctor, in the RAND Health Insurance
Experiment (20,190 person-years): one least squares fit on Dask blocks, and its errors by four
assumptions. Run it with ``python examples/effects.py``; it takes about ten seconds. The table comes
with statsmodels, the picture needs matplotlib: the extras ``test`` and ``plot``.
"""

import argparse
import tempfile
from pathlib import Path
from textwrap import fill

import dask.dataframe as dd
import numpy as np
import pandas as pd

from daskdsml.inference import infer
from daskdsml.linear_model import LinearRegression

PLAN = ["lncoins", "idp", "lpi", "fmde"]
HEALTH = ["hlthg", "hlthf", "hlthp"]
ERRORS = ["nonrobust", "HC1", "HC3", "cluster"]


def visits() -> tuple[dd.DataFrame, list[str]]:
    """The table in blocks, with a column ``person`` added, and the names of its nine features.

    The table names no person, but lists the years of each one after another: rows in turn whose
    features are all equal come in runs of three or five, the years that people were followed. A
    run is the cluster here. Neighbours that are equal in everything share one, which costs a few
    clusters and does no harm.
    """
    try:
        from statsmodels.datasets import randhie
    except ImportError as error:
        raise SystemExit(
            "This example reads its table from statsmodels, which is not installed. It comes with "
            'the extra "test": python -m pip install -e ".[test]"'
        ) from error
    table = randhie.load_pandas().data
    features = list(table.columns.drop("mdvis"))
    changes = (table[features] != table[features].shift()).any(axis=1)
    return dd.from_pandas(table.assign(person=changes.cumsum()), npartitions=8), features


def infer_all(frame, features) -> dict:
    """The same fit with each kind of standard error: a result for each."""
    X, y = frame[features], frame["mdvis"]
    model = LinearRegression().fit(X, y)
    groups = {"cluster": frame["person"]}
    return {kind: infer(model, X, y, cov_type=kind, groups=groups.get(kind)) for kind in ERRORS}


def side_by_side(results) -> pd.DataFrame:
    """Coefficients, and their standard errors of each kind."""
    frame = pd.DataFrame({kind: result.std_error for kind, result in results.items()})
    frame.index = results["cluster"].names
    frame.insert(0, "coef", results["cluster"].coef)
    frame["cluster / nonrobust"] = frame["cluster"] / frame["nonrobust"]
    return frame


def show_tests(results) -> None:
    """Joint hypotheses, by the errors that ask least and most of the rows."""
    for what, names in {"plan": PLAN, "self-rated health": HEALTH}.items():
        print(f"\nDo visits not depend on {what} ({', '.join(names)} all zero)?")
        for kind in ("nonrobust", "cluster"):
            test = results[kind].wald_test(names)
            print(
                f"  {kind:<10} F({test.df_num}, {test.df_denom}) = {test.statistic:.1f}, "
                f"p = {test.p_value:.2g}"
            )


def show_reading(results, mean) -> None:
    """What the numbers say, of ``mean`` visits a year."""
    errors, cluster = side_by_side(results), results["cluster"].to_frame()
    poor, p_value = errors.loc["hlthp"], results["nonrobust"].to_frame().p_value["hlthp"]
    most = np.log(96.0)  # lncoins of someone who pays 95 % of each bill; 0 is free care
    low, effect, high = (-most * cluster.loc["lncoins", ["upper", "coef", "lower"]]).round(2)
    text = f"""How to read it. The coefficients are the same for all four; what changes is how sure
        they are. HC1 and HC3 let visits vary more for some people than for others. Among the sick
        they do: the error of poor health (hlthp) is {poor.HC3 / poor.nonrobust:.2f} times the
        nonrobust one. HC1 and HC3 agree, for no row out of {results["HC3"].nobs:,} has much
        leverage. Both still take each row for a new piece of evidence, and the years of one person
        are not: with clusters every error grows, that of poor health {poor.iloc[-1]:.1f}-fold in
        all. Its p-value rises from {p_value:.0e} to {cluster.p_value["hlthp"]:.3f}, and the three
        grades of health together are within chance. The plan is not: paying 95 % of each bill
        instead of nothing, the other terms being equal, goes with {effect:.2f} visits a year fewer
        (95 % interval {low:.2f} to {high:.2f}), where the average is {mean:.2f}. Plans were
        assigned by lot, so that is an effect. Health was not, so its coefficients only describe."""
    print("\n" + fill(" ".join(text.split()), 100))


def draw(results, path) -> None:
    """Intervals by the smallest and the largest errors, on one scale."""
    try:
        import matplotlib
    except ImportError as error:
        raise SystemExit(
            "The picture needs matplotlib, which is not installed. It comes with the extra "
            '"plot": python -m pip install -e ".[plot]"'
        ) from error
    matplotlib.use("Agg")  # no window
    from matplotlib import pyplot

    from daskdsml.plotting import EffectDisplay

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharex=True, layout="constrained")
    titles = {"nonrobust": "rows independent, of equal variance", "cluster": "clusters of persons"}
    for ax, (kind, title) in zip(axes, titles.items(), strict=True):
        EffectDisplay.from_result(results[kind]).plot(ax)
        ax.set_title(f"{kind}: {title}", fontsize=10)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main(out: Path) -> None:
    """Fit, infer, print and draw."""
    frame, features = visits()
    results = infer_all(frame, features)
    print(results["cluster"].summary())
    print("\nStandard errors by what they assume:")
    print(side_by_side(results).to_string(float_format="{:.4f}".format))
    reads = ", ".join(f"{kind} {result.n_passes}" for kind, result in results.items())
    print(f"  reads of the data: {reads}")
    show_tests(results)
    show_reading(results, frame["mdvis"].mean().compute())
    draw(results, out / "effects.png")
    print(f"\nPicture: {out / 'effects.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for the picture; default: a temporary one")
    folder = parser.parse_args().out or Path(tempfile.mkdtemp(prefix="effects-"))
    folder.mkdir(parents=True, exist_ok=True)
    main(folder)
