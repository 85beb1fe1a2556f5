"""The table of a result, as text, as a DataFrame and as HTML; for `result`."""

from __future__ import annotations

from html import escape
from textwrap import fill

import numpy as np

STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."), (np.inf, ""))
LEGEND = "Signif. codes: 0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1"


class Summary(str):
    """A table that prints as text and shows as HTML in a notebook."""

    html: str

    def __new__(cls, text, html):
        self = super().__new__(cls, text)
        self.html = html
        return self

    def __getnewargs__(self):  # what pickle and copy make it from
        return str(self), self.html

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.html


def coefficient_frame(result):
    """A row for each parameter."""
    from pandas import DataFrame  # slow to import

    columns = {
        "coef": result.coef,
        "std_error": result.std_error,
        "statistic": result.statistic,
        "p_value": result.p_value,
        "lower": result.conf_int[:, 0],
        "upper": result.conf_int[:, 1],
    }
    return DataFrame(columns, index=result.names)


def ratio_frame(result):
    """``exp`` of coefficients and their limits, a row for each parameter."""
    from pandas import DataFrame  # slow to import

    ratio, limits = _ratios(result)
    columns = {"ratio": ratio, "lower": limits[:, 0], "upper": limits[:, 1]}
    return DataFrame(columns, index=result.names)


@np.errstate(over="ignore")  # an infinite limit of a ratio is what there is to say
def _ratios(result):
    known = ~np.isnan(result.std_error)
    return np.where(known, np.exp(result.coef), np.nan), np.exp(result.conf_int)


def _columns(result, ratios) -> list[list[str]]:
    """Columns of the table beside the names: a heading, and a cell for each parameter."""
    tail = 0.5 * (1.0 - result.level)
    heads = f"[{tail:.4g}", f"{1.0 - tail:.4g}]"
    limits = result.conf_int
    extra = []
    if ratios:
        values, limits = _ratios(result)
        extra = [[result.ratio.capitalize(), *_column(values)]]
    letter = result.letter
    return [
        ["Estimate", *_column(result.coef)],
        ["Std. Error", *_column(result.std_error)],
        [f"{letter} value", *map(_statistic, result.statistic)],
        [f"Pr(>|{letter}|)", *map(_tail_of(result), result.names, result.p_value)],
        ["", *map(_stars, result.p_value)],
        *extra,
        *([head, *_column(side)] for head, side in zip(heads, limits.T, strict=True)),
    ]


def _tail_of(result):
    """What a p-value shows: its number, or why there is none."""
    return lambda name, p: "separated" if name in result.separated else _p_value(p)


def _statistic(value) -> str:
    return _number(value, 4) if abs(value) >= 1e4 else f"{value:.3f}"


def text_table(result, ratios=False) -> str:
    """The table as R's summary of lm prints it, with a panel for each class but the first."""
    names = [name if len(name) <= 30 else name[:29] + "…" for name in _row_names(result)]
    columns = [["", *names], *_columns(result, ratios)]
    widths = [max(map(len, column)) for column in columns]
    head, *lines = [_line(row, widths) for row in zip(*columns, strict=True)]
    width = max(map(len, [head, *lines]))
    rule = "-" * width
    title = f"{result.model_name}, {_count(result.nobs)} rows"
    facts = [f"{name}: {value}" for name, value in _facts_of(result)]
    notes = [fill(f"Note: {note}", max(width, 80)) for note in result.notes]
    return "\n".join(
        [title, rule, head, *_with_panels(result, lines), rule, LEGEND, "", *facts, *notes]
    )


def _row_names(result) -> list[str]:
    """Names without the class, which heads the panel."""
    if not result.panels:
        return result.names
    size = len(result.names) // len(result.panels)
    return [name[len(f"{result.panels[i // size]}: ") :] for i, name in enumerate(result.names)]


def _with_panels(result, lines) -> list[str]:
    if not result.panels:
        return lines
    size = len(lines) // len(result.panels)
    found = []
    for e, label in enumerate(result.panels):
        found += ["", f"{label} against {result.classes[0]}", *lines[e * size : (e + 1) * size]]
    return found


def html_table(result, ratios=False) -> str:
    """The table as HTML; names are escaped."""
    from pandas import DataFrame  # slow to import

    columns = {head: cells for head, *cells in _columns(result, ratios)}
    frame = DataFrame(columns, index=result.names)
    facts = [f"<b>{escape(name)}</b>: {escape(value)}" for name, value in _facts_of(result)]
    notes = [f"<i>Note: {escape(note)}</i>" for note in result.notes]
    title = f"<b>{escape(result.model_name)}</b>, {_count(result.nobs)} rows"
    lines = [escape(LEGEND), *facts, *notes]
    return f"<p>{title}</p>{frame.to_html()}<p>{'<br>'.join(lines)}</p>"


def _facts_of(result) -> list[tuple[str, str]]:
    """Pairs of what it is called and what it is, below the coefficients."""
    covariance = f"{result.cov_type}: {result.cov_title}"
    if result.n_clusters is not None:
        covariance += f" ({result.n_clusters} clusters)"
    return [
        *result.measures(),
        ("Log-likelihood", _likelihood(result)),
        ("Condition number", _number(result.condition_number, 3)),
        ("Covariance", covariance),
    ]


def _likelihood(result) -> str:
    return (
        f"{_number(result.log_likelihood, 7)}, AIC: {_number(result.aic, 7)}, "
        f"BIC: {_number(result.bic, 7)}"
    )


def least_squares_measures(result) -> list[tuple[str, str]]:
    """Measures of fit of least squares."""
    df = f"{result.df_resid} degrees of freedom"
    test = (
        f"{_number(result.f_statistic, 4)} on {result.df_model} and {result.df_inference} DF, "
        f"p-value: {_p_value(result.f_p_value)}"
    )
    return [
        ("Residual standard error", f"{_number(result.residual_std_error, 4)} on {df}"),
        ("R²", f"{result.r_squared:.4f}, adjusted R²: {result.adj_r_squared:.4f}"),
        ("F statistic", test),
    ]


def likelihood_measures(result) -> list[tuple[str, str]]:
    """Measures of fit of a likelihood."""
    test = (
        f"{_number(result.lr_statistic, 4)} on {result.df_model} DF, "
        f"p-value: {_p_value(result.lr_p_value)}"
    )
    deviances = (
        f"{_number(result.deviance, 7)} on {_count(result.df_resid)} DF, "
        f"null deviance: {_number(result.null_deviance, 7)}"
    )
    measures = [
        ("Deviance", deviances),
        ("Likelihood ratio", test),
        ("McFadden R²", f"{result.pseudo_r_squared:.4f}"),
    ]
    if result.dispersion is not None:
        pearson = f"{_number(result.pearson_chi2, 7)}, dispersion: {_number(result.dispersion, 4)}"
        measures.append(("Pearson chi²", pearson))
    return measures


def _count(n) -> str:
    return f"{n}" if isinstance(n, int) else f"{n:.6g}"


def _line(row, widths) -> str:
    name, *others = row
    cells = [name.ljust(widths[0])]
    for cell, width in zip(others, widths[1:], strict=True):
        cells.append(cell.ljust(width) if cell.strip("*. ") == "" else cell.rjust(width))
    return "  ".join(cells).rstrip()


def _column(values) -> list[str]:
    """With decimals in common, for four digits of the smallest, unless that makes it wide."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0.0)])
    if not sizes.size:
        return [_number(value) for value in values]
    most, least = np.floor(np.log10([sizes.max(), sizes.min()])).astype(int)
    decimals = max(3 - least, 0)
    if max(most, 0) + decimals > 9:
        return [_number(value) for value in values]
    return [f"{value:.{decimals}f}" for value in values]


def _number(value, digits=5) -> str:
    """With that many digits, zeros at the end among them."""
    if not np.isfinite(value):
        return str(float(value))
    text = f"{value:#.{digits}g}"
    if "e" in text or not 1e-5 <= abs(value) < 10.0**digits:
        return "0" if value == 0.0 else f"{value:.{digits}g}"
    return text


def _p_value(value) -> str:
    if np.isnan(value):
        return "nan"
    return "< 2e-16" if value < 2e-16 else f"{value:.3g}" if value < 1e-4 else f"{value:.4f}"


def _stars(p) -> str:
    return "" if np.isnan(p) else next(stars for limit, stars in STARS if p <= limit)
