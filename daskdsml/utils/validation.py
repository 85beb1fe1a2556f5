"""Parameters of estimators and parts, kept and checked; checks of labels."""

from __future__ import annotations

import numbers
import sys
from typing import Any

import numpy as np

# More labels than this are a continuous target by mistake; keeping them would fill the memory.
MOST_LABELS = 10_000


def set_parameters(estimator: Any, given: dict[str, Any]) -> None:
    """Keep each parameter of a constructor, which gives its ``locals()``, under its own name."""
    vars(estimator).update({name: value for name, value in given.items() if name != "self"})


def check_number(
    part: object,
    name: str,
    low: float,
    *,
    strict: bool = False,
    integer: bool = False,
    high: float = np.inf,
    below: float = np.inf,
) -> None:
    """Raise ValueError unless setting ``name`` is a number above ``low`` (or at it).

    ``strict`` leaves out ``low`` itself; ``high`` may be reached, ``below`` may not.
    """
    value = getattr(part, name)
    kind = numbers.Integral if integer else numbers.Real
    good = isinstance(value, kind) and not isinstance(value, bool)
    good = good and (value > low if strict else value >= low) and value <= high
    good = good and (value < below or below == np.inf)
    if not good:
        what = "an integer" if integer else "a number"
        limit = f"{'above' if strict else 'of at least'} {low}"
        if high < np.inf:
            limit += f" and at most {high:g}" if high < np.finfo(float).max else " and finite"
        if below < np.inf:
            limit += f" and below {below:g}"
        raise ValueError(f"{name} of {type(part).__name__} must be {what} {limit}, got {value!r}.")


def check_flag(part: object, *names: str) -> None:
    """Raise ValueError unless the settings ``names`` are True or False."""
    for name in names:
        value = getattr(part, name)
        if not isinstance(value, bool | np.bool_):
            raise ValueError(
                f"{name} of {type(part).__name__} must be True or False, got {value!r}."
            )


def check_epochs(estimator: Any) -> None:
    """Raise ValueError if a parameter that tells how long to train cannot be used."""
    check_number(estimator, "max_iter", 1, integer=True)
    if estimator.n_iter_no_change != np.inf:
        check_number(estimator, "n_iter_no_change", 1, integer=True)
    check_flag(estimator, "shuffle", "early_stopping", "warm_start")
    if estimator.tol is not None:
        check_number(estimator, "tol", 0)
    if estimator.early_stopping:
        check_number(estimator, "validation_fraction", 0, strict=True, below=1)
    check_seed(estimator)


def check_validation(estimator: Any, X_val: Any, y_val: Any, mask_val: Any = None) -> None:
    """Raise ValueError unless rows for validation are given as a whole, and are of use."""
    if X_val is None and mask_val is not None:
        raise ValueError("mask_val was given without X_val: pass X_val and y_val, or neither.")
    if (X_val is None) != (y_val is None):
        given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
        raise ValueError(f"{given} was given without {missing}: pass both, or neither.")
    if X_val is not None and not estimator.early_stopping:
        raise ValueError(
            "X_val and y_val tell when to stop early, but early_stopping is False. Set "
            "early_stopping=True, or do not pass them."
        )


def check_single_epoch(estimator: Any) -> None:
    """Raise ValueError if ``partial_fit`` is to stop early, or to keep a checkpoint."""
    if estimator.checkpoint is not None:
        raise ValueError(
            "checkpoint has no effect on partial_fit, whose calls are one epoch. Use "
            "checkpoint=None and save the model, or fit."
        )
    if estimator.early_stopping:
        raise ValueError(
            "early_stopping=True has no effect on partial_fit, which makes one epoch. Use "
            "early_stopping=False, or fit."
        )


def check_seed(estimator: Any) -> None:
    """Raise ValueError unless ``random_state`` can seed what an estimator draws."""
    seed = estimator.random_state
    if seed is None or isinstance(seed, np.random.RandomState):
        return
    good = isinstance(seed, numbers.Integral) and not isinstance(seed, bool)
    if not good or seed < 0:
        raise ValueError(
            f"random_state of {type(estimator).__name__} must be an integer of at least 0, a "
            f"numpy.random.RandomState or None, got {seed!r}."
        )


def check_running(estimator: Any) -> None:
    """Raise ValueError unless seed, threads and progress, where there are such, can be used."""
    if hasattr(estimator, "random_state"):
        check_seed(estimator)
    n_jobs = getattr(estimator, "n_jobs", None)
    if n_jobs is not None and (not isinstance(n_jobs, numbers.Integral) or n_jobs == 0):
        raise ValueError(
            f"n_jobs of {type(estimator).__name__} must be a number of threads or None, got "
            f"{n_jobs!r}. Use None, or -1, for all."
        )
    if not isinstance(getattr(estimator, "verbose", False), numbers.Integral | np.bool_):
        raise ValueError(
            f"verbose of {type(estimator).__name__} must be True or False, or a number, got "
            f"{estimator.verbose!r}."
        )


def seed_of(estimator: Any) -> int:
    """A seed of what an estimator draws: 0 without one, so that fits can be repeated.

    A RandomState is asked anew at each call, as scikit-learn's estimators do.
    """
    seed = getattr(estimator, "random_state", None)
    if isinstance(seed, np.random.RandomState):
        return int(seed.randint(np.iinfo(np.int32).max))
    return 0 if seed is None else int(seed)


def check_labels(labels: np.ndarray) -> None:
    """Raise ValueError if sorted distinct ``labels`` are those of a continuous target."""
    continuous = labels.dtype.kind == "f" and (labels != np.trunc(labels)).any()
    if continuous or labels.size > MOST_LABELS:
        raise ValueError(
            f"Unknown label type: continuous. y holds {labels.size} different values such as "
            f"{labels[0]}: expected class labels. Use a regressor, or bin y first."
        )


def outside() -> int:
    """How far up the stack the user's own call is, for the function that warns."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("daskdsml."):
        frame, level = frame.f_back, level + 1
    return level


def random_state_of(estimator: Any) -> np.random.RandomState:
    """Draws the numbers that scikit-learn's estimators draw with the same ``random_state``."""
    seed = getattr(estimator, "random_state", None)
    return seed if isinstance(seed, np.random.RandomState) else np.random.RandomState(seed or 0)
