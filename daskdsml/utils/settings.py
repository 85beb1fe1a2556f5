"""Checks of the settings of estimators and parts; anyone may import it."""

from __future__ import annotations

import numbers
import sys

import numpy as np


def check_number(
    part, name, low, *, strict=False, integer=False, high=np.inf, below=np.inf
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


def check_flag(part, *names) -> None:
    """Raise ValueError unless the settings ``names`` are True or False."""
    for name in names:
        value = getattr(part, name)
        if not isinstance(value, bool | np.bool_):
            raise ValueError(
                f"{name} of {type(part).__name__} must be True or False, got {value!r}."
            )


def outside() -> int:
    """How far up the stack the user's own call is, for the function that warns."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("daskdsml."):
        frame, level = frame.f_back, level + 1
    return level
