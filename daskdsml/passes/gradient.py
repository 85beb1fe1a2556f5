"""Values, gradients and Hessians of a summed loss for many models in one read."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskdsml.contracts import Evaluation


class GradientRequest(NamedTuple):
    """Where, with what and on which device to evaluate a loss, for M models of K outputs.

    ``coef (M, K, p)``, ``intercept (M, K)``; ``member (G, M)`` weighs the rows of each group in
    each model, None is all rows; ``curved`` has a pair (model, columns or None for all) for each
    Hessian that is wanted; ``shift`` moves the rows before, if it is not None.
    """

    backend: Any
    loss: Any
    coef: np.ndarray
    intercept: np.ndarray
    member: np.ndarray | None = None
    curved: tuple = ()
    shift: Any = None


class Gradient(NamedTuple):
    """Sums over rows, float64.

    ``value (G, M)``: the summed loss of the rows of each group, whether or not they count for a
    model; ``gradient (M, K, p + 1)``, the intercept last; ``hessians``: one (K (q + 1), K (q + 1))
    of q columns for each pair of `GradientRequest.curved`; ``weights (G,)`` of the rows of each
    group, None where there are none.
    """

    value: np.ndarray
    gradient: np.ndarray
    hessians: tuple = ()
    weights: np.ndarray | None = None

    def __add__(self, other: Gradient) -> Gradient:
        pairs = zip(self.hessians, other.hessians, strict=True)
        return Gradient(
            self.value + other.value,
            self.gradient + other.gradient,
            tuple(mine + theirs for mine, theirs in pairs),
            None if self.weights is None else self.weights + other.weights,
        )


def gradient(at: GradientRequest, block) -> Gradient:
    """Kernel: what one block adds."""
    block = block if at.shift is None else at.shift(block)
    value, slopes, hessians = at.backend.models(
        at.loss, block, at.coef, at.intercept, at.member, at.curved
    )
    weights = None
    if at.member is not None:
        weights = np.bincount(block.g, block.w, minlength=len(at.member)).astype(np.float64)
    return Gradient(value, slopes, hessians, weights)


def evaluate(run, problems, thetas, hessians) -> list[Evaluation]:
    """Many models, of one loss on the same blocks, in one pass.

    Parameters
    ----------
    run : callable, ``run(kernel, state, name)`` sums a kernel over all blocks
    problems : list of M Problem, with loss, columns, backend and groups in common
    thetas : list of M arrays (size,)
    hessians : list of M flags, or arrays of the columns whose Hessian is wanted
    """
    first = problems[0]
    parts = [first.by_output(theta) for theta in thetas]
    curved = [
        (m, None if wanted is True else wanted)
        for m, wanted in enumerate(hessians)
        if wanted is not False
    ]
    at = GradientRequest(
        first.backend,
        first.loss,
        np.stack([coef for coef, _ in parts]),
        np.stack([intercept for _, intercept in parts]),
        None if first.train is None else np.stack([p.train for p in problems], axis=1),
        tuple(curved),
        first.shift,
    )
    total = run(gradient, at, f"{first.label}-{'hessian' if curved else 'gradient'}")
    found = dict(zip((m for m, _ in curved), total.hessians, strict=True))
    return [
        _evaluation(problem, theta, total, m, found.get(m), hessians[m])
        for m, (problem, theta) in enumerate(zip(problems, thetas, strict=True))
    ]


def _evaluation(problem, theta, total, m, hessian, wanted) -> Evaluation:
    """Mean loss and penalty of model ``m`` from the sums of all; ``wanted`` is as for `evaluate`.

    What sums tell of constant columns is rounding.
    """
    penalty, penalised, one = problem.penalty, problem.penalised, problem.fit_intercept
    losses = total.value[:, m]
    train = np.ones(len(losses)) if problem.train is None else problem.train
    value = float(train @ losses) / problem.weight + penalty.value(theta, penalised)
    total.gradient[m][:, problem.constant] = 0.0
    gradient = total.gradient[m] if one else total.gradient[m, :, :-1]
    gradient = gradient.ravel() / problem.weight + penalty.l2 * penalised * theta
    if hessian is not None:
        K = problem.n_outputs
        q = len(hessian) // K - 1
        kept = np.tile(np.arange(q + 1) < q + one, K)
        hessian = hessian[np.ix_(kept, kept)] / problem.weight
        columns = np.arange(q) if wanted is True else wanted
        rounding = np.flatnonzero(np.isin(columns, problem.constant))
        rounding = (np.arange(K)[:, None] * (q + one) + rounding).ravel()
        hessian[rounding] = hessian[:, rounding] = 0.0
        squares = np.tile(np.arange(q + one) < q, K)
        hessian[np.diag_indices(len(hessian))] += penalty.l2 * squares
    cells = None if total.weights is None else np.stack([losses, total.weights])
    return Evaluation(value, gradient, hessian, cells)
