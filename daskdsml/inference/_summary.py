"""The table of a result, which pandas lays out as text and as HTML; for `result`."""

from __future__ import annotations

from html import escape
from textwrap import fill

import numpy as np

STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."), (np.inf, ""))
LEGEND = "Signif. codes: 0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1"


class Summary(str):
    """A table that prints as text and shows as HTML in a notebook."""

    html = ""

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.html


def summarize(result, ratios=False) -> Summary:
    """The table of coefficients with measures of fit and notes; names in HTML are escaped."""
    table, measures = _table(result, ratios), _measures(result)
    name, nobs = result.model_name, f"{result.nobs:.10g} rows"
    text = table.to_string(max_colwidth=30)
    width = max(map(len, text.splitlines()))
    lines = [f"{name}, {nobs}", "-" * width, text, "-" * width, LEGEND, ""]
    lines += [f"{measure}: {value}" for measure, value in measures]
    lines += [fill(f"Note: {note}", max(width, 80)) for note in result.notes]
    below = [escape(LEGEND)]
    below += [f"<b>{escape(measure)}</b>: {escape(value)}" for measure, value in measures]
    below += [f"<i>Note: {escape(note)}</i>" for note in result.notes]
    summary = Summary("\n".join(lines))
    title = f"<b>{escape(name)}</b>, {nobs}"
    summary.html = f"<p>{title}</p>{table.to_html()}<p>{'<br>'.join(below)}</p>"
    return summary


def _table(result, ratios):
    """A DataFrame of texts, a row for each parameter."""
    from pandas import DataFrame  # slow to import

    tail, limits = 0.5 * (1.0 - result.level), result.conf_int
    letter = "t" if np.isfinite(result.df_inference) else "z"
    columns = {
        "Estimate": _column(result.coef),
        "Std. Error": _column(result.std_error),
        f"{letter} value": [f"{t:.4g}" if abs(t) >= 1e4 else f"{t:.3f}" for t in result.statistic],
        f"Pr(>|{letter}|)": [
            "separated" if name in result.separated else p_value_text(p)
            for name, p in zip(result.names, result.p_value, strict=True)
        ],
        "": [_stars(p).ljust(3) for p in result.p_value],
    }
    if ratios:
        ratio, *limits = exponentials(result)
        columns[result.ratio.capitalize()] = _column(ratio)
        limits = np.column_stack(limits)
    columns[f"[{tail:.4g}"] = _column(limits[:, 0])
    columns[f"{1.0 - tail:.4g}]"] = _column(limits[:, 1])
    return DataFrame(columns, index=_index(result))


def _index(result):
    """Names of parameters; of several classes, first which one against the baseline."""
    if not result.panels:
        return result.names
    from pandas import MultiIndex

    panels = np.repeat(result.panels, len(result.names) // len(result.panels))
    pairs = zip(panels, result.names, strict=True)
    baseline = result.classes[0]
    return MultiIndex.from_tuples(
        [(f"{panel} against {baseline}", name.removeprefix(f"{panel}: ")) for panel, name in pairs]
    )


@np.errstate(over="ignore")  # an infinite limit of a ratio is what there is to say
def exponentials(result) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``exp`` of coefficients (q,), NaN where these have no error, and of their limits."""
    ratio = np.where(np.isnan(result.std_error), np.nan, np.exp(result.coef))
    return ratio, *np.exp(result.conf_int.T)


def _measures(result) -> list[tuple[str, str]]:
    """Names and values of the lines below the coefficients."""
    covariance = f"{result.cov_type}: {result.cov_title}"
    if result.n_clusters is not None:
        covariance += f" ({result.n_clusters} clusters)"
    likelihood = f"{result.log_likelihood:.7g}, AIC: {result.aic:.7g}, BIC: {result.bic:.7g}"
    return [
        *result.measures(),
        ("Log-likelihood", likelihood),
        ("Condition number", f"{result.condition_number:.3g}"),
        ("Covariance", covariance),
    ]


def _column(values) -> list[str]:
    """With decimals in common, for four digits of the smallest, unless that makes it wide."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0.0)])
    most, least = np.floor(np.log10([sizes.max(), sizes.min()])) if sizes.size else (10, 0)
    decimals = int(max(3 - least, 0))
    if max(most, 0) + decimals > 9:
        return [f"{value:.5g}" for value in values]
    return [f"{value:.{decimals}f}" for value in values]


def p_value_text(value) -> str:
    if np.isnan(value):
        return "nan"
    return "< 2e-16" if value < 2e-16 else f"{value:.3g}" if value < 1e-4 else f"{value:.4f}"


def _stars(p) -> str:
    return "" if np.isnan(p) else next(stars for limit, stars in STARS if p <= limit)
