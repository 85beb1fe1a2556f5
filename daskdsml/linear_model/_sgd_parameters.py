"""The parameters of the estimators of gradient descent: checked, and what they mean for a pass."""

from __future__ import annotations

from functools import partial

import numpy as np

from daskdsml.passes.stochastic import Rule
from daskdsml.utils import registry
from daskdsml.utils.validation import check_epochs, check_flag, check_number

# Losses that scikit-learn calls by other names.
SCIKIT_LEARN = {"huber_residual": "huber", "logistic": "log_loss"}
# Step sizes, by what `stochastic.Rule` calls them.
SCHEDULES = {"constant": 0, "adaptive": 0, "optimal": 1, "invscaling": 2, "pa1": 3, "pa2": 4}
# Passive-aggressive steps, and the losses of one unit of slope that they are made for.
PASSIVE = ("pa1", "pa2")
PASSIVE_LOSSES = ("hinge", "epsilon_insensitive")
PENALTIES = ("l2", "l1", "elasticnet", None)


def check_parameters(estimator) -> None:
    """Raise ValueError if a parameter cannot be used."""
    _check_choices(estimator)
    finite = np.finfo(float).max
    for name in ("alpha", "power_t", "epsilon"):
        check_number(estimator, name, 0, high=finite)
    check_number(estimator, "eta0", 0, strict=True, high=finite)
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
    if estimator.learning_rate in PASSIVE:
        loss = next(name for name in PASSIVE_LOSSES if name in estimator._losses)
        if estimator.loss != loss or estimator.batch_size != 1:
            raise ValueError(
                f"learning_rate={estimator.learning_rate!r} of {type(estimator).__name__} only "
                f"works with loss={loss!r} and batch_size=1, got loss={estimator.loss!r} and "
                f"batch_size={estimator.batch_size!r}. Use these, or another learning_rate."
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


def losses_of(targets) -> dict:
    """What makes each loss of one score and these ``targets``, from an estimator, by its name."""
    losses = registry.losses_of(targets)
    names = {name: loss for name, loss in losses.items() if not loss.coupled}
    return {SCIKIT_LEARN.get(name, name): partial(_loss_of, loss) for name, loss in names.items()}


def _loss_of(loss, estimator):
    return loss(float(estimator.epsilon)) if "epsilon" in loss._fields else loss()
