"""The covariances that may be asked for, by name; for `infer`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from daskdsml.inference._design import Design
from daskdsml.passes.whitened import Whitening


class Covariance(NamedTuple):
    """``factor(n, k, G) (X'wX)^-1 M (X'wX)^-1`` for n rows of non-zero weight, k parameters and G
    clusters.

    ``M = sum_i w_i**2 r_i**2 / (1 - h_i)**power x_i x_i'`` with leverages ``h_i``, or of clusters
    the sum of ``u_g u_g'`` with ``u_g = sum_i w_i r_i x_i``; without ``robust`` ``s**2 X'wX``.
    """

    title: str
    robust: bool = True
    power: int = 0
    clustered: bool = False
    factor: Callable[[int, int, int], float] = lambda n, k, G: 1.0

    def df(self, n: int, k: int, G: int) -> int:
        """Degrees of freedom of t and F."""
        return G - 1 if self.clustered else n - k


COVARIANCES = {
    "nonrobust": Covariance("errors of equal variance", robust=False),
    "HC0": Covariance("robust to unequal variances (White 1980)"),
    "HC1": Covariance(
        "robust to unequal variances, times n/(n-k)", factor=lambda n, k, G: n / (n - k)
    ),
    "HC2": Covariance("robust to unequal variances, residuals over 1 - leverage", power=1),
    "HC3": Covariance(
        "robust to unequal variances, residuals over (1 - leverage) squared", power=2
    ),
    "cluster": Covariance(
        "robust to dependence within clusters",
        clustered=True,
        factor=lambda n, k, G: G / (G - 1) * (n - 1) / (n - k),
    ),
}


# Without leverages, which are those of least squares.
OF_LIKELIHOOD = {
    name: COVARIANCES[name]._replace(title=title)
    for name, title in (
        ("nonrobust", "inverse information"),
        ("HC0", "robust to a wrong variance (White 1982)"),
        ("HC1", "robust to a wrong variance, times n/(n-k)"),
        ("cluster", COVARIANCES["cluster"].title),
    )
}


def find_covariance(cov_type, of_likelihood=False) -> Covariance:
    """The covariance of that name, of least squares or of a likelihood.

    Raises ValueError if there is none.
    """
    known = OF_LIKELIHOOD if of_likelihood else COVARIANCES
    if not isinstance(cov_type, str) or cov_type not in known:
        why = " HC2 and HC3 ask for leverages of least squares." if cov_type in COVARIANCES else ""
        raise ValueError(f"Unknown cov_type {cov_type!r}: expected one of {list(known)}.{why}")
    return known[cov_type]


def meat_of_first_read(sums, design: Design, kind: Covariance) -> np.ndarray:
    """``R^-T M R^-1`` (size, size), from scores or moments that were summed about other points."""
    if kind.clustered:
        rows = design.whiten(design.framed(sums.scores.sums, sums.centre))
        return rows.T @ rows
    weight, mean, cross = sums.meat[1:]
    columns, frame = design.columns, design.frame
    shift = (mean[columns] - frame.centre) / frame.scale
    inner = cross[np.ix_(columns, columns)] / np.outer(frame.scale, frame.scale)
    inner = inner + weight * np.outer(shift, shift)
    border = np.append(weight, weight * shift)
    full = np.block([[border[:1, None], border[None, 1:]], [border[1:, None], inner]])
    one = 1 - int(frame.intercept)
    return design.whiten(design.whiten(full[one:, one:]).T)


def without_noise(meat, distance) -> np.ndarray:
    """A meat (r, r) less the directions of which nothing shows that rows or clusters vary.

    Whitened scores move with the parameters by less than ``distance`` to the optimum in all, so up
    to its square a variance is what the fit's tolerance leaves of zero: of few clusters, of rows
    or clusters with a column of their own.
    """
    values, vectors = np.linalg.eigh(meat)
    known = values > distance**2
    return meat if known.all() else (vectors[:, known] * values[known]) @ vectors[:, known].T


def whitening(fitted, design: Design, kind: Covariance) -> Whitening:
    """The state of the pass `whitened`."""
    frame = design.frame
    coef = fitted.coef[design.columns]
    intercept = fitted.intercept + frame.centre @ coef
    return Whitening(
        frame, design.columns, design.R, coef * frame.scale, intercept, kind.power, kind.clustered
    )


def meat_of_whitened(sums, cov_type, kind: Covariance) -> np.ndarray:
    """The same from the pass `whitened`."""
    if sums.alone >= 0:
        raise ValueError(
            f"cov_type={cov_type!r} divides residuals by 1 - leverage, but row {sums.alone} has "
            "leverage 1: a coefficient is fitted to that row alone. Drop that column or row, or "
            "use cov_type='HC1'."
        )
    return sums.scores.sums.T @ sums.scores.sums if kind.clustered else sums.meat
