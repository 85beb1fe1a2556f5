"""The table of a result, as text, as a DataFrame and as HTML; for `result`."""

from __future__ import annotations

from html import escape
from textwrap import fill

import numpy as np

from daskdsml.inference._covariance import COVARIANCES

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


def _columns(result) -> list[list[str]]:
    """Columns of the table beside the names: a heading, and a cell for each parameter."""
    tail = 0.5 * (1.0 - result.level)
    limits = f"[{tail:.4g}", f"{1.0 - tail:.4g}]"
    return [
        ["Estimate", *_column(result.coef)],
        ["Std. Error", *_column(result.std_error)],
        ["t value", *(_number(t, 4) if abs(t) >= 1e4 else f"{t:.3f}" for t in result.statistic)],
        ["Pr(>|t|)", *map(_p_value, result.p_value)],
        ["", *map(_stars, result.p_value)],
        *([head, *_column(side)] for head, side in zip(limits, result.conf_int.T, strict=True)),
    ]


def text_table(result) -> str:
    """The table as R's summary of lm prints it."""
    names = (name if len(name) <= 30 else name[:29] + "…" for name in result.names)
    columns = [["", *names], *_columns(result)]
    widths = [max(map(len, column)) for column in columns]
    lines = [_line(row, widths) for row in zip(*columns, strict=True)]
    width = max(map(len, lines))
    rule = "-" * width
    title = f"{result.model_name}, {result.nobs} rows"
    facts = [f"{name}: {value}" for name, value in facts_of(result)]
    notes = [fill(f"Note: {note}", max(width, 80)) for note in result.notes]
    return "\n".join([title, rule, *lines, rule, LEGEND, "", *facts, *notes])


def html_table(result) -> str:
    """The table as HTML; names are escaped."""
    from pandas import DataFrame  # slow to import

    frame = DataFrame({head: cells for head, *cells in _columns(result)}, index=result.names)
    facts = [f"<b>{escape(name)}</b>: {escape(value)}" for name, value in facts_of(result)]
    notes = [f"<i>Note: {escape(note)}</i>" for note in result.notes]
    title = f"<b>{escape(result.model_name)}</b>, {result.nobs} rows"
    lines = [escape(LEGEND), *facts, *notes]
    return f"<p>{title}</p>{frame.to_html()}<p>{'<br>'.join(lines)}</p>"


def facts_of(result) -> list[tuple[str, str]]:
    """Pairs of what it is called and what it is, below the coefficients."""
    df = f"{result.df_resid} degrees of freedom"
    covariance = f"{result.cov_type}: {COVARIANCES[result.cov_type].title}"
    if result.n_clusters is not None:
        covariance += f" ({result.n_clusters} clusters)"
    likelihood = (
        f"{_number(result.log_likelihood, 7)}, AIC: {_number(result.aic, 7)}, "
        f"BIC: {_number(result.bic, 7)}"
    )
    test = (
        f"{_number(result.f_statistic, 4)} on {result.df_model} and {result.df_inference} DF, "
        f"p-value: {_p_value(result.f_p_value)}"
    )
    return [
        ("Residual standard error", f"{_number(result.residual_std_error, 4)} on {df}"),
        ("R²", f"{result.r_squared:.4f}, adjusted R²: {result.adj_r_squared:.4f}"),
        ("F statistic", test),
        ("Log-likelihood", likelihood),
        ("Condition number", _number(result.condition_number, 3)),
        ("Covariance", covariance),
    ]


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
