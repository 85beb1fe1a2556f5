"""Copies of linear models that descend on parts of the rows, and their averages."""

from __future__ import annotations

import numpy as np

from daskdsml.passes.stochastic import SGDEpoch, SGDState


def of_copy(state: SGDEpoch, copy) -> SGDEpoch:
    """The state from which a copy begins an epoch: that of all, or where its own models stand.

    Steps of a constant size are those of all.
    """
    if copy is None:
        return state._replace(copies=())
    paired = zip(copy, state.models, strict=True)
    models = (own.with_numbers(eta=m.number("eta"), loss=0.0, seen=0.0) for own, m in paired)
    return state._replace(models=tuple(models), copies=())


def averaged(state: SGDEpoch, copies) -> SGDEpoch:
    """``state`` with the means of the models of ``copies``, by the rows that each met in an epoch.

    ``copies`` are tuples of models, closed. The next update of a mean is that of the copy which
    made most of them.
    """
    models = list(state.models)
    for k in np.flatnonzero(state.learn).tolist():
        models[k] = _mean(models[k], [copy[k] for copy in copies], state.rule.l1)
    return state._replace(models=tuple(models))


def _mean(before: SGDState, copies: list[SGDState], l1: float) -> SGDState:
    weights = np.array([copy.number("seen") for copy in copies])
    shares = weights / max(weights.sum(), 1.0)

    def mean(values):
        total = shares[0] * values[0]
        for share, value in zip(shares[1:], values[1:], strict=True):
            total = total + share * value
        return total

    def numbers(name):
        return np.array([copy.number(name) for copy in copies])

    coef, mean_coef, paid = (mean([getattr(c, name) for c in copies]) for name in VECTORS)
    due = float(mean(numbers("due")))
    if l1:
        # Zeros of a copy owe what they could not pay. A mean that is not zero owes nothing.
        paid = np.where(coef != 0.0, -np.sign(coef) * due, paid)
    told = {name: float(mean(numbers(name))) for name in ("intercept", "mean_intercept")}
    told |= {name: float(numbers(name).sum()) for name in ("loss", "seen")}
    clipped = before.number("clipped")
    told["clipped"] = clipped + float((numbers("clipped") - clipped).sum())
    parts = copies[0]._replace(coef=coef, mean=mean_coef, paid=paid)
    return parts.with_numbers(due=due, t=float(numbers("t").max()), **told)


VECTORS = ("coef", "mean", "paid")
