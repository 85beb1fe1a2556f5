"""Checks after the first read; for `least_squares` and `likelihood`."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from daskdsml.passes.row_stats import raise_invalid, raise_overflow

# A model that was fitted to other data is more than this many standard errors from the optimum.
STEP_IN_SE = 0.05


def check_rows(sums, fitted, kind) -> None:
    """Raise ValueError if the rows, or the labels of their clusters, cannot be used."""
    raise_invalid(sums.moments.stats, fitted.names)
    raise_overflow(sums.moments.cross)
    if sums.unlabelled >= 0:
        raise ValueError(
            f"groups must label every row, but the label of row {sums.unlabelled} is missing. "
            "Drop the row, or give it a label of its own."
        )
    if kind.clustered and len(sums.scores.labels) < 2:
        raise ValueError(
            "cov_type='cluster' needs two clusters or more, but all rows have the label "
            f"{sums.scores.labels[0]!r}. Use cov_type='HC1' for rows that are independent."
        )


def check_degrees(n, k) -> None:
    """Raise ValueError unless n rows of non-zero weight are more than k parameters."""
    if n <= k:
        raise ValueError(
            f"No residual degrees of freedom: {n:g} rows of non-zero weight for {k} "
            "parameters leave nothing to estimate errors from. Use more rows or fewer columns."
        )


def check_step(distance, n_parameters, model_is, refit="") -> None:
    """Raise ValueError if the optimum is too far from a model.

    ``distance`` is the length of the step there in the metric of the information: the largest
    number of standard errors that any combination of the parameters is off. One parameter alone
    may hide it, as an intercept far from the data does, which has a large error.
    """
    if distance <= STEP_IN_SE * n_parameters**0.5:
        return
    raise ValueError(
        f"The model is not {model_is} these data: a combination of coefficients is {distance:.2g} "
        f"standard errors from theirs, which may be {STEP_IN_SE * n_parameters**0.5:.2g}. Pass the "
        f"X, y and sample_weight that the model was fitted to, or fit it to these{refit}."
    )


def raise_dependent(n_relations, names) -> NoReturn:
    """Raise LinAlgError for columns that depend on each other."""
    raise np.linalg.LinAlgError(
        f"The covariance is singular: {n_relations} linear relation(s) among the columns "
        f"{listed(names)}. Drop a column of each relation and fit again."
    )


def listed(names) -> str:
    """The first ten names."""
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def count_reads(rows, table, n_rows) -> float:
    """Complete reads of X so far, an integer where they are whole."""
    n = rows.n_rows_read / n_rows + table.extra_reads
    return int(n) if n == int(n) else n
