"""From the parameters of the estimators of gradient descent to the rule that models follow."""

from __future__ import annotations

import numpy as np

from daskdsml.passes.stochastic import Rule
from daskdsml.utils.validation import check_epochs, check_flag, check_number

# Step sizes, by what `stochastic.Rule` calls them.
SCHEDULES = {"constant": 0, "adaptive": 0, "optimal": 1, "invscaling": 2}
PENALTIES = ("l2", "l1", "elasticnet", None)


def check_parameters(estimator) -> None:
    """Raise ValueError if a parameter cannot be used."""
    _check_choices(estimator)
    check_number(estimator, "alpha", 0, high=np.finfo(float).max)
    check_number(estimator, "eta0", 0, strict=True)
    check_number(estimator, "power_t", 0)
    check_number(estimator, "epsilon", 0)
    check_epochs(estimator)
    check_flag(estimator, "fit_intercept")
    if estimator.penalty == "elasticnet":
        check_number(estimator, "l1_ratio", 0, high=1)
    if not isinstance(estimator.average, bool | np.bool_):
        check_number(estimator, "average", 1, integer=True)
    if not isinstance(estimator.batch_size, str):
        check_number(estimator, "batch_size", 1, integer=True)


def _check_choices(estimator) -> None:
    for name, known in (
        ("loss", list(estimator._losses)),
        ("penalty", PENALTIES),
        ("learning_rate", list(SCHEDULES)),
    ):
        value = getattr(estimator, name)
        if not (value is None or isinstance(value, str)) or value not in known:
            raise ValueError(
                f"Unknown {name} {value!r} of {type(estimator).__name__}: expected one of "
                f"{list(known)}."
            )
    if isinstance(estimator.batch_size, str) and estimator.batch_size != "full":
        raise ValueError(
            f"batch_size must be a number of rows or 'full', got {estimator.batch_size!r}."
        )
    if estimator.learning_rate == "optimal" and estimator.alpha == 0:
        raise ValueError(
            "learning_rate='optimal' makes steps of 1 / (alpha t), but alpha is 0. Use alpha "
            "above 0, or another learning_rate with eta0."
        )


def rule_of(estimator) -> Rule:
    """How the models of an estimator with good parameters move."""
    share = {"l2": 0.0, "l1": 1.0, "elasticnet": estimator.l1_ratio, None: 0.0}[estimator.penalty]
    alpha = float(estimator.alpha)
    strength = 0.0 if estimator.penalty is None else alpha
    # The first step is about as long as coefficients are large (Bottou, 2012).
    offset = 1.0 / (alpha * alpha**-0.25) if alpha > 0.0 else 0.0
    return Rule(
        SCHEDULES[estimator.learning_rate],
        alpha,
        float(estimator.eta0),
        float(estimator.power_t),
        offset,
        l1=strength * share,
        l2=strength * (1.0 - share),
        batch=2**62 if estimator.batch_size == "full" else int(estimator.batch_size),
        average=float(estimator.average) if estimator.average else np.inf,
        intercept=float(estimator.fit_intercept),
    )
