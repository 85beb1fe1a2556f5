"""What `infer` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskdsml.inference._summary import Summary, exponentials, p_value_text, summarize
from daskdsml.inference._wald import WaldTest, restrictions, wald

INTERCEPT = "(Intercept)"


@dataclass(frozen=True, repr=False)
class InferenceResult:
    """Standard errors and tests of a model with q parameters; the base of both kinds of results.

    Attributes
    ----------
    names : list of str (q,)
        "(Intercept)" first, if the model has one, then the columns of X; of several classes, that
        for each but the first, as "class: column".
    coef, std_error, statistic, p_value : array (q,)
        Estimates in the user's units, their standard errors, ``coef / std_error`` and its two-sided
        p-value; NaN for columns that are constant.
    conf_int : array (q, 2)
        Limits that hold each parameter with probability ``level``.
    covariance, inverse_information : array (q, q)
        Covariance of the estimates, and what it would be for errors of variance 1 (least squares)
        or where the likelihood is right.
    root, meat : array (q, d), (d, d)
        Factors of these: the covariance is ``root meat root'``, the other ``root root'``.
    df_resid : int
        Rows of non-zero weight less parameters; with a likelihood, the sum of weights less these.
    df_inference : int or float
        Degrees of freedom of t and F: ``df_resid``, or clusters less one. Infinite with a
        likelihood, whose statistics are normal and chi-squared.
    df_model : int
        Slopes: parameters less intercepts.
    log_likelihood, aic, bic : float
        ``-2 log_likelihood`` plus ``2 k`` or ``log(n) k`` for k parameters.
    nobs : int
        Rows of non-zero weight; with a likelihood, the sum of weights.
    n_clusters : int or None
    condition_number : float
        Of the (weighted) design with its intercept and columns of unit length.
    cov_type, cov_title : str
        Name of the covariance, and what it is.
    level : float
    n_passes : int or float
        Complete reads of X.
    notes : tuple of str
    panels : tuple of str
        With more than two classes, the labels of the equations, each of which has ``q / E`` rows.
    separated : tuple of str
        Names of parameters along which a likelihood rises for ever, so that they have no
        estimate; ``coef`` is where the fit stopped, all else about them is NaN.
    """

    names: list[str]
    coef: np.ndarray
    std_error: np.ndarray
    statistic: np.ndarray
    p_value: np.ndarray
    conf_int: np.ndarray
    covariance: np.ndarray
    inverse_information: np.ndarray
    root: np.ndarray
    meat: np.ndarray
    df_resid: float
    df_inference: float
    df_model: int
    log_likelihood: float
    aic: float
    bic: float
    nobs: float
    n_clusters: int | None
    condition_number: float
    cov_type: str
    cov_title: str
    level: float
    n_passes: float
    notes: tuple[str, ...]
    model_name: str
    panels: tuple[str, ...]
    separated: tuple[str, ...]

    def wald_test(self, R, r=None) -> WaldTest:
        """Test that ``R beta = r`` for the parameters beta, in the order of ``names``.

        ``F = d' (R V R')^-1 d / J`` with ``d = R beta - r`` and covariance V, or chi-squared,
        which is J times that, for a likelihood; where V leaves fewer than J directions, which few
        clusters do, only these are tested.

        Parameters
        ----------
        R : array (q,) or (J, q), or str or list of J str
            A restriction a row; names stand for "this parameter", each of them.
        r : float or array (J,), or None for zeros

        Returns
        -------
        WaldTest : statistic, p_value, df_num, df_denom

        Raises
        ------
        ValueError
            If shapes do not fit, a name is unknown, restrictions depend on each other, or ask about
            a constant column, or a separated one.
        """
        matrix, r = restrictions(R, r, self)
        involved = matrix.any(axis=0)
        matrix = matrix[:, involved]
        distance = matrix @ self.coef[involved] - r
        return wald(distance, matrix @ self.root[involved], self.meat, self.df_inference)

    def summary(self) -> Summary:
        """The table as text, as R prints it; a notebook shows it as HTML."""
        return summarize(self)

    def to_frame(self):
        """Coefficients with standard error, statistic, p-value and limits, a row a parameter.

        Returns
        -------
        pandas.DataFrame, indexed by ``names``
        """
        from pandas import DataFrame  # slow to import

        lower, upper = self.conf_int.T
        columns = {
            "coef": self.coef, "std_error": self.std_error, "statistic": self.statistic,
            "p_value": self.p_value, "lower": lower, "upper": upper,
        }  # fmt: skip
        return DataFrame(columns, index=self.names)

    def __str__(self) -> str:
        return str(self.summary())

    def measures(self) -> list[tuple[str, str]]:
        """Names and values of the lines of the table about the fit."""
        raise NotImplementedError

    def __repr__(self) -> str:
        (r_squared,) = (f"{name}: {value}" for name, value in self.measures() if "R²" in name)
        return (
            f"<InferenceResult of {self.model_name}: {len(self.names)} parameters, "
            f"{self.nobs} rows, cov_type={self.cov_type!r}, {r_squared}; print it for the table>"
        )

    def _repr_html_(self) -> str:
        return self.summary().html


@dataclass(frozen=True, repr=False)
class LeastSquaresResult(InferenceResult):
    """Inference for linear regression: p-values and limits are those of Student's t.

    Attributes
    ----------
    r_squared, adj_r_squared : float
        About the mean with an intercept, about zero without.
    f_statistic, f_p_value : float
        Wald test that all slopes are zero; NaN without slopes.
    f_df : int
        Directions that it tests: ``df_model``, or fewer where clusters are few.
    residual_std_error : float
        ``sqrt(sum_i w_i r_i**2 / df_resid)``.
    log_likelihood, aic, bic : float
        Of normal errors of variance ``sigma**2 / w_i``, with ``sigma`` at its maximum and not
        among the parameters.
    """

    r_squared: float
    adj_r_squared: float
    f_statistic: float
    f_p_value: float
    f_df: int
    residual_std_error: float

    def measures(self) -> list[tuple[str, str]]:
        spread, df = f"{self.residual_std_error:.4g}", f"{self.f_df} and {self.df_inference} DF"
        p_value = p_value_text(self.f_p_value)
        return [
            ("Residual standard error", f"{spread} on {self.df_resid} degrees of freedom"),
            ("R²", f"{self.r_squared:.4f}, adjusted R²: {self.adj_r_squared:.4f}"),
            ("F statistic", f"{self.f_statistic:.4g} on {df}, p-value: {p_value}"),
        ]


@dataclass(frozen=True, repr=False)
class LikelihoodResult(InferenceResult):
    """Inference for logistic, multinomial and Poisson regression, with normal statistics.

    Attributes
    ----------
    null_log_likelihood : float
        Of the model of intercepts alone, also for a model without one.
    deviance, null_deviance : float
        Twice the distance of these log-likelihoods from that of a model with a parameter a row,
        which is 0 for classes.
    lr_statistic, lr_p_value : float
        Likelihood ratio against the model of intercepts alone, chi-squared with ``df_model``
        degrees of freedom.
    pseudo_r_squared : float
        McFadden's ``1 - log_likelihood / null_log_likelihood``.
    pearson_chi2, dispersion : float or None
        For counts, ``sum_i w_i (y_i - m_i)**2 / m_i`` for means m, and that over ``df_resid``,
        which is about 1 if variances are as large as means.
    classes : tuple or None
        Labels, the baseline first.
    ratio : str
        What ``exp(coef)`` is called.
    """

    null_log_likelihood: float
    deviance: float
    null_deviance: float
    lr_statistic: float
    lr_p_value: float
    pseudo_r_squared: float
    pearson_chi2: float | None
    dispersion: float | None
    classes: tuple[Any, ...] | None
    ratio: str

    def summary(self, ratios=False) -> Summary:
        """The table as text, as R prints it; a notebook shows it as HTML.

        Parameters
        ----------
        ratios : bool
            Whether to show `odds_ratios` and their limits instead of those of the coefficients.
        """
        return summarize(self, ratios)

    def odds_ratios(self):
        """``exp(coef)`` with limits: odds ratios of two classes, relative risk ratios against the
        first of more classes, incidence rate ratios of counts.

        Returns
        -------
        pandas.DataFrame with columns ``ratio``, ``lower`` and ``upper``, indexed by ``names``; NaN
        where a parameter is separated.
        """
        from pandas import DataFrame  # slow to import

        columns = dict(zip(("ratio", "lower", "upper"), exponentials(self), strict=True))
        return DataFrame(columns, index=self.names)

    def measures(self) -> list[tuple[str, str]]:
        deviance = f"{self.deviance:.7g} on {self.df_resid:.10g} DF"
        ratio, p_value = f"{self.lr_statistic:.4g}", p_value_text(self.lr_p_value)
        measures = [
            ("Deviance", f"{deviance}, null deviance: {self.null_deviance:.7g}"),
            ("Likelihood ratio", f"{ratio} on {self.df_model} DF, p-value: {p_value}"),
            ("McFadden R²", f"{self.pseudo_r_squared:.4f}"),
        ]
        if self.dispersion is not None:
            text = f"{self.pearson_chi2:.7g}, dispersion: {self.dispersion:.4g}"
            measures.append(("Pearson chi²", text))
        return measures
