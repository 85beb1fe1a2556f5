"""Which models inference holds for, and what it takes from them; for `infer`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from daskdsml.inference._families import Classes, Counts
from daskdsml.inference.result import INTERCEPT


class FittedModel(NamedTuple):
    """A fitted linear model: ``coef (p,)``, ``intercept``, the columns' names (p,).

    ``family`` is the likelihood, or None for least squares. With one, ``coef`` is (E, p) and
    ``intercept`` (E,): an equation for each class but the first, as log-odds against that one.
    ``reasons`` say why its covariance does not hold.
    """

    model: Any
    coef: np.ndarray
    intercept: Any
    fit_intercept: bool
    names: list[str]
    reasons: tuple[str, ...]
    family: Any = None


def unwrap(model, X) -> tuple[FittedModel, Any]:
    """The linear model at the end of a pipeline, and X as that model received it.

    Raises TypeError or ValueError, with the remedy, if inference is not known for the model.
    """
    reasons, names = [], None
    while hasattr(model, "steps"):
        for name, step in model.steps[:-1]:
            if hasattr(step, "get_support"):
                reasons.append(_selected(f"step {name!r} ({type(step).__name__}) of the pipeline"))
        if len(model.steps) > 1:
            X = model[:-1].transform(X)
            names = _names_out(model[:-1])
        model = model.steps[-1][1]
    _check_known(model)
    reasons += _penalties(model)
    coef, intercept, family = _parameters(model)
    p = coef.shape[-1]
    known = getattr(model, "feature_names_in_", names)
    names = [f"x{j}" for j in range(p)] if known is None else [str(name) for name in known]
    _check_columns(X, model, p)
    fit_intercept = bool(model.fit_intercept)
    return FittedModel(model, coef, intercept, fit_intercept, names, tuple(reasons), family), X


def check_reasons(fitted: FittedModel, robust, allow_penalized) -> FittedModel:
    """The model, whose reasons will be notes; ValueError if there are any, unless allowed."""
    reasons = list(fitted.reasons)
    weighted = getattr(fitted.model, "class_weight", None) is not None
    if weighted and not robust:
        reasons.append(
            "class_weight makes the objective a weighted pseudo-likelihood, the inverse of whose "
            "Hessian is not the covariance. Use cov_type='HC0', or fit with class_weight=None."
        )
    if reasons and not allow_penalized:
        raise ValueError(
            f"{' '.join(reasons)} Or pass allow_penalized=True, to see the numbers with a note "
            "that they do not hold."
        )
    if weighted and robust:
        reasons.append(
            "with class_weight, log-likelihoods and what is made of them (likelihood ratio, R², "
            "AIC, BIC) are those of a weighted pseudo-likelihood, and the intercept is shifted."
        )
    return fitted._replace(reasons=tuple(reasons))


def _parameters(model):
    coef = model.coef_.toarray() if sparse.issparse(model.coef_) else model.coef_
    coef = np.asarray(coef, dtype=np.float64)
    intercept = np.ravel(np.asarray(model.intercept_, dtype=np.float64))
    if _likelihood(model) == "normal":
        return np.ravel(coef), float(intercept[0]) if intercept.size else 0.0, None
    if _likelihood(model) == "poisson":
        return np.atleast_2d(coef), intercept, Counts()
    family = Classes(np.asarray(model.classes_))
    if len(family.classes) > 2:
        coef, intercept = coef[1:] - coef[0], intercept[1:] - intercept[0]
    return coef, intercept, family


def _likelihood(model) -> str | None:
    """What the model says that y is, given X: "normal", "categorical", "poisson", or None."""
    return getattr(model, "_likelihood", None)


def _check_known(model) -> None:
    kind = type(model).__name__
    if not any(parent.__module__.startswith("daskdsml.") for parent in type(model).__mro__):
        hint = (
            "Pass model.best_estimator_."
            if hasattr(model, "best_estimator_")
            else "Fit its counterpart of daskdsml.linear_model, with the same parameters."
        )
        raise TypeError(
            "infer expects a linear, logistic or Poisson regression of daskdsml.linear_model, or a "
            f"pipeline that ends in one, got {type(model).__module__}.{kind}. {hint}"
        )
    if hasattr(model, "get_support"):
        raise TypeError(
            f"infer expects a linear regression, got the selector {kind}. Fit LinearRegression to "
            "the columns it selects, selector.transform(X), of other rows, and infer that."
        )
    if _likelihood(model) is None:
        raise TypeError(
            f"infer expects a linear, logistic or Poisson regression, got {kind}, whose standard "
            "errors are not offered. Fit LinearRegression, LogisticRegression(C=np.inf) or "
            "PoissonRegressor(alpha=0)."
        )
    if not hasattr(model, "coef_"):
        raise ValueError(
            f"This {kind} instance is not fitted yet. Call model.fit(X, y) before infer(model, X, "
            "y)."
        )
    several = np.ndim(model.coef_) == 2 and len(model.coef_) > 1
    if several and not hasattr(model, "classes_"):
        raise ValueError(
            f"infer expects a model of one output, but coef_ has shape {np.shape(model.coef_)}. "
            "Fit and infer one column of y at a time, such as y[:, 0]: the coefficients are the "
            "same."
        )


def _penalties(model) -> list[str]:
    """Sentences that say why the covariance does not hold for a model."""
    kind, reasons = type(model).__name__, []
    likely = _likelihood(model) != "normal"
    unknown = f"the covariance of {'maximum likelihood' if likely else 'least squares'} does not"
    unknown += " hold for them."
    name, free = ("C", np.inf) if hasattr(model, "classes_") else ("alpha", 0.0)
    strength = getattr(model, f"{name}_", getattr(model, name, free))
    strength = free if getattr(model, "penalty", "deprecated") is None else strength
    if np.any(np.asarray(strength, dtype=np.float64) != free):
        instead = kind.removesuffix("CV") if likely else "LinearRegression"
        instead += {"C": "(C=np.inf)", "alpha": "(alpha=0)" if likely else ""}[name]
        reasons.append(
            f"{kind} is penalised ({name}={_brief(strength)}): its coefficients are biased towards "
            f"zero, and {unknown} Fit {instead}."
        )
        ratio = getattr(model, "l1_ratio_", getattr(model, "l1_ratio", None))
        if np.any(np.asarray(0.0 if ratio is None else ratio, dtype=np.float64) != 0.0):
            reasons.append(_selected(f"The L1 penalty of {kind}"))
    if getattr(model, "positive", False):
        reasons.append(
            f"{kind} keeps coefficients at or above zero (positive=True): they are not normal, and "
            f"{unknown} Fit LinearRegression()."
        )
    return reasons


def _brief(alpha) -> str:
    return f"{alpha:.4g}" if np.ndim(alpha) == 0 else str(alpha)


def _selected(what) -> str:
    return (
        f"{what} selects columns by the same data: intervals and p-values that take the columns as "
        "given are too small. Fit LinearRegression with the columns selected to other rows."
    )


def _names_out(steps):
    try:
        return steps.get_feature_names_out()
    except (AttributeError, ValueError):  # a transformer that has none
        return None


def _check_columns(X, model, p) -> None:
    known = getattr(model, "feature_names_in_", None)
    columns = getattr(X, "columns", None)
    if known is None or columns is None or len(columns) != p:
        return
    for j, (given, name) in enumerate(zip(columns, known, strict=True)):
        if given != name:
            raise ValueError(
                f"Column {j} of X is {given!r}, but the model was fitted to {name!r} there. "
                "Pass X[model.feature_names_in_]."
            )


def names_of(fitted: FittedModel) -> list[str]:
    """Names (q,) of all parameters, equation by equation."""
    columns = [INTERCEPT] * fitted.fit_intercept + fitted.names
    panels = panels_of(fitted)
    return [f"{label}: {name}" for label in panels for name in columns] if panels else columns


def panels_of(fitted: FittedModel) -> tuple[str, ...]:
    """Labels of the classes but the first, if there are more than two."""
    classes = getattr(fitted.family, "classes", None)
    return () if classes is None or len(classes) == 2 else tuple(map(str, classes[1:].tolist()))
