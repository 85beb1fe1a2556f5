"""Which models inference holds for, and what it takes from them; for `infer`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

INTERCEPT = "(Intercept)"
UNKNOWN = "the covariance of least squares does not hold for them."


class Fitted(NamedTuple):
    """A fitted linear model of one output: ``coef (p,)``, ``intercept``, the columns' names (p,).

    ``notes`` say why its covariance does not hold, where the user asked for it all the same.
    """

    model: Any
    coef: np.ndarray
    intercept: float
    fit_intercept: bool
    names: list[str]
    notes: tuple[str, ...]


def take_apart(model, X, allow_penalized) -> tuple[Fitted, Any]:
    """The linear model at the end of a pipeline, and X as that model received it.

    Raises
    ------
    TypeError, ValueError
        If inference is not known for the model; the message says what to do instead.
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
    if reasons and not allow_penalized:
        raise ValueError(
            f"{' '.join(reasons)} Or pass allow_penalized=True, to see the numbers with a note "
            "that they do not hold."
        )
    coef = np.ravel(np.asarray(model.coef_, dtype=np.float64))
    intercept = float(np.ravel(model.intercept_)[0]) if np.size(model.intercept_) else 0.0
    known = getattr(model, "feature_names_in_", names)
    names = [f"x{j}" for j in range(coef.size)] if known is None else [str(name) for name in known]
    _check_columns(X, model, coef.size)
    return Fitted(model, coef, intercept, bool(model.fit_intercept), names, tuple(reasons)), X


def _check_known(model) -> None:
    kind = type(model).__name__
    if not any(parent.__module__.startswith("daskdsml.") for parent in type(model).__mro__):
        hint = (
            "Pass model.best_estimator_."
            if hasattr(model, "best_estimator_")
            else "Fit daskdsml.linear_model.LinearRegression with the same parameters."
        )
        raise TypeError(
            "infer expects a linear regression of daskdsml.linear_model, or a pipeline that ends "
            f"in one, got {type(model).__module__}.{kind}. {hint}"
        )
    if hasattr(model, "predict_proba") or hasattr(model, "classes_"):
        raise TypeError(
            f"infer expects a linear regression, got the classifier {kind}: standard errors of "
            "classifiers are not offered yet."
        )
    if hasattr(model, "get_support"):
        raise TypeError(
            f"infer expects a linear regression, got the selector {kind}. Fit LinearRegression to "
            "the columns it selects, selector.transform(X), of other rows, and infer that."
        )
    if not hasattr(model, "coef_"):
        raise ValueError(
            f"This {kind} instance is not fitted yet. Call model.fit(X, y) before infer(model, X, "
            "y)."
        )
    if np.ndim(model.coef_) == 2 and len(model.coef_) > 1:
        raise ValueError(
            f"infer expects a model of one output, but coef_ has shape {np.shape(model.coef_)}. "
            "Fit and infer one column of y at a time, such as y[:, 0]: the coefficients are the "
            "same."
        )


def _penalties(model) -> list[str]:
    """Sentences that tell why the least squares covariance does not hold for a model."""
    kind, reasons = type(model).__name__, []
    alpha = getattr(model, "alpha_", getattr(model, "alpha", 0.0))
    if np.any(np.asarray(alpha, dtype=np.float64) != 0.0):
        reasons.append(
            f"{kind} is penalised (alpha={_brief(alpha)}): its coefficients are biased towards "
            f"zero, and {UNKNOWN} Fit LinearRegression."
        )
        if np.any(np.asarray(getattr(model, "l1_ratio", 0.0)) != 0.0):
            reasons.append(_selected(f"The L1 penalty of {kind}"))
    if getattr(model, "positive", False):
        reasons.append(
            f"{kind} keeps coefficients at or above zero (positive=True): they are not normal, and "
            f"{UNKNOWN} Fit LinearRegression()."
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
    except (AttributeError, ValueError):  # a transformer that cannot tell them
        return None


def _check_columns(X, model, p) -> None:
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) == 2 and shape[1] != p:
        raise ValueError(
            f"X has {shape[1]} columns, but {type(model).__name__} was fitted to {p}. Pass the X "
            "that the model was fitted to."
        )
    known = getattr(model, "feature_names_in_", None)
    columns = getattr(X, "columns", None)
    if known is not None and columns is not None and list(columns) != list(known):
        j = next(j for j in range(p) if columns[j] != known[j])
        raise ValueError(
            f"Column {j} of X is {columns[j]!r}, but the model was fitted to {known[j]!r} there. "
            "Pass X[model.feature_names_in_]."
        )
