"""Stochastic, mini-batch and batch gradient descent: models that go from block to block."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from daskdsml.contracts import Block
from daskdsml.passes.evaluate import Errors, LinearPredictor, errors

# What a seed is for: no two uses may draw the same numbers.
HOLD_OUT, SHUFFLE_ROWS, SHUFFLE_SHARDS = range(3)
NUMBERS = np.dtype(
    [
        (name, np.float64)
        for name in (
            *("scale", "intercept", "t", "eta", "due", "mass", "norm", "mean_intercept"),
            *("slope", "rows", "loss", "seen", "clipped"),
        )
    ]
)


class Rule(NamedTuple):
    """How parameters move.

    Attributes
    ----------
    schedule : int
        Of step sizes at update t = 1, 2, ...: 0, the model's ``eta``; 1,
        ``1 / (alpha (offset + t - 1))``; 2, ``eta0 / t**power_t``; 3 and 4, passive-aggressive, as
        long as undoes the loss of a row.
    alpha, eta0, power_t, offset : float
    l1, l2 : float
        Factors of ``|b_j|`` and ``b_j**2 / 2`` in the objective.
    batch : int
        Rows of an update.
    average : float
        The update from which on parameters are averaged; infinite for never.
    intercept : float
        1 if there is an intercept, else 0.
    """

    schedule: int
    alpha: float
    eta0: float
    power_t: float
    offset: float
    l1: float
    l2: float
    batch: int
    average: float
    intercept: float


class SGDState(NamedTuple):
    """A model and where its descent stands.

    ``numbers (1,)`` is a record: ``scale`` times ``coef (p,)`` are the coefficients, beside the
    ``intercept``; ``t`` is the next update; ``eta`` the step size where it is constant; ``mean``
    (p,), or (0,) without averaging, with ``mass``, ``norm`` and ``mean_intercept`` their means;
    ``due`` and ``paid (p,)`` the L1 penalty so far; ``waiting (p,)`` and ``slope`` the summed
    gradient of ``rows`` that wait for a batch to be full; ``loss`` and ``seen`` the summed loss and
    number of rows of this epoch; ``clipped`` how often a loss was too steep.
    """

    numbers: np.ndarray
    coef: np.ndarray
    mean: np.ndarray
    paid: np.ndarray
    waiting: np.ndarray

    @classmethod
    def start(cls, coef, intercept: float, rule: Rule) -> SGDState:
        """A model that has made no update yet."""
        numbers = np.zeros(1, NUMBERS)
        for name, value in {"scale": 1.0, "norm": 1.0, "t": 1.0, "eta": rule.eta0}.items():
            numbers[name] = value
        numbers["intercept"] = intercept
        p = coef.size
        mean, paid = np.zeros(p * (rule.average < np.inf)), np.zeros(p * (rule.l1 > 0.0))
        return cls(numbers, np.array(coef, dtype=float), mean, paid, np.zeros(p))

    def copy(self) -> SGDState:
        return SGDState(*(part.copy() for part in self))

    def number(self, name: str) -> float:
        """One of the numbers of a model, as `SGDState` names them."""
        return float(self.numbers[name][0])

    def with_numbers(self, **values) -> SGDState:
        """A copy with other numbers."""
        changed = self.copy()
        for name, value in values.items():
            changed.numbers[name] = value
        return changed

    def parameters(self, rule: Rule) -> tuple[np.ndarray, float]:
        """Coefficients and intercept after `closed`: averaged from that update on."""
        if self.mean.size and self.number("t") - 1.0 >= rule.average:
            return self.mean, self.number("mean_intercept")
        return self.coef, self.number("intercept")

    def is_finite(self) -> bool:
        parts = (self.coef, self.mean, self.numbers["intercept"], self.numbers["loss"])
        return all(np.isfinite(part).all() for part in parts)


class Targets(NamedTuple):
    """What each of K models is to tell.

    ``codes (K,)`` are the classes told from the rest, whose targets are 1 and ``low``, and
    ``weights (K, 2)`` weigh the rest and the class; ``codes`` None: the one target is y itself.
    """

    codes: Any = None
    low: float = 0.0
    weights: Any = None

    def of(self, k: int, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Targets and weights (n,) of model k, in float64."""
        w = np.ones(block.X.shape[0]) if block.w is None else block.w
        if self.codes is None:
            return np.asarray(block.y, dtype=np.float64), np.asarray(w, dtype=np.float64)
        own = (block.y == self.codes[k]).astype(np.float64)
        rest, weight = self.weights[k]
        if (rest, weight) != (1.0, 1.0):
            w = w * (rest + (weight - rest) * own)
        return own if self.low == 0.0 else self.low + (1.0 - self.low) * own, w


class HoldOut(NamedTuple):
    """Rows kept for validation: each by itself, with probability ``share``."""

    share: float = 0.0
    seed: int = 0

    def chosen(self, block: Block) -> np.ndarray:
        """Whether each row (n,) is kept for validation."""
        if self.share == 0.0:
            return np.zeros(block.X.shape[0], dtype=bool)
        draws = np.random.default_rng([self.seed, HOLD_OUT, *block.id])
        return draws.random(block.X.shape[0]) < self.share


class SGDEpoch(NamedTuple):
    """The state of a pass: models, which of them still ``learn``, and how they do.

    ``copies`` are the models of each part of the rows, where these are never put together.
    """

    models: tuple[SGDState, ...]
    learn: tuple[bool, ...]
    loss: Any
    rule: Rule
    targets: Targets
    hold_out: HoldOut = HoldOut()
    shuffle: tuple[int, ...] | None = None
    copies: tuple = ()


def advance(state: SGDEpoch, block: Block) -> SGDEpoch:
    """Kernel of a fold: take the models through the rows of one block."""
    from daskdsml.backends._sgd_kernels import walk  # compiles

    order = np.flatnonzero(~state.hold_out.chosen(block))
    if state.shuffle is not None:
        order = np.random.default_rng([*state.shuffle, *block.id]).permutation(order)
    X = block.X
    parts = (X.data, X.indices, X.indptr) if sparse.issparse(X) else (X, None, None)
    models = list(state.models)
    for k in np.flatnonzero(state.learn).tolist():
        models[k] = models[k].copy()
        walk(state.loss, *parts, *state.targets.of(k, block), order, state.rule, models[k])
    return state._replace(models=tuple(models))


class BatchSums(NamedTuple):
    """Sums over the rows of a pass: losses (K,), gradients (K, p + 1), and the number of rows.

    ``clipped (K,)`` counts the losses that were too steep.
    """

    loss: np.ndarray
    gradient: np.ndarray
    n_rows: int
    clipped: np.ndarray

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is found after the epoch
    def __add__(self, other: BatchSums) -> BatchSums:
        return BatchSums(
            self.loss + other.loss,
            self.gradient + other.gradient,
            self.n_rows + other.n_rows,
            self.clipped + other.clipped,
        )


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is found after the epoch
def batch(state: SGDEpoch, block: Block) -> BatchSums:
    """Kernel: what one block adds to the one update of an epoch."""
    from daskdsml.backends._sgd_kernels import STEEPEST  # compiles

    rows = ~state.hold_out.chosen(block)
    block = block if rows.all() else subset(block, rows)
    X = block.X
    coef = np.array([model.coef for model in state.models])
    scores = np.asarray(X @ coef.T.astype(X.dtype), dtype=np.float64)
    loss, clipped, slopes = np.zeros(len(coef)), np.zeros(len(coef)), np.empty_like(scores)
    for k, model in enumerate(state.models):
        y, w = state.targets.of(k, block)
        z = scores[:, k] + model.number("intercept")
        value, slope = state.loss.value_and_derivative(np, y, z)
        loss[k], slopes[:, k] = w @ value, w * np.clip(slope, -STEEPEST, STEEPEST)
        clipped[k] = (np.abs(slope) > STEEPEST).sum()
    gradient = np.asarray((X.T @ slopes.astype(X.dtype)).T, dtype=np.float64)
    gradient = np.column_stack([gradient, slopes.sum(axis=0)])
    return BatchSums(loss, gradient, X.shape[0], clipped)


def with_batch(state: SGDEpoch, total: BatchSums) -> SGDEpoch:
    """The models with the sums of all rows waiting for their update."""
    models = list(state.models)
    for k in np.flatnonzero(state.learn):
        clipped = models[k].number("clipped") + total.clipped[k]
        numbers = {"rows": total.n_rows, "seen": total.n_rows, "clipped": clipped}
        models[k] = models[k].with_numbers(
            slope=total.gradient[k, -1], loss=total.loss[k], **numbers
        )
        models[k].waiting[:] = total.gradient[k, :-1]
    return state._replace(models=tuple(models))


def opened(state: SGDEpoch) -> SGDEpoch:
    """The state at the begin of an epoch: nothing seen yet."""
    models = (model.with_numbers(loss=0.0, seen=0.0) for model in state.models)
    return state._replace(models=tuple(models))


def closed(state: SGDEpoch) -> SGDEpoch:
    """The state at the end of an epoch: no rows wait, and coefficients are what they stand for."""
    from daskdsml.backends._sgd_kernels import close  # compiles

    models = list(state.models)
    for k in np.flatnonzero(state.learn).tolist():
        models[k] = models[k].copy()
        close(state.rule, models[k])
    return state._replace(models=tuple(models))


class Right(NamedTuple):
    """Weight of the rows, and of those (K,) on whose side of zero each score is."""

    weight: float
    correct: np.ndarray

    def __add__(self, other: Right) -> Right:
        return Right(self.weight + other.weight, self.correct + other.correct)

    def scores(self) -> np.ndarray:
        """Accuracy (K,) of each model."""
        return self.correct / self.weight


def right(state, block: Block) -> Right:
    """Kernel: how often models are right about rows held out, or all if ``hold_out`` is None."""
    predictor, codes, hold_out = state
    block = block if hold_out is None else subset(block, hold_out.chosen(block))
    w = np.ones(block.X.shape[0]) if block.w is None else block.w
    hit = (predictor(block.X) > 0.0) == (block.y[:, None] == codes)
    return Right(float(w.sum()), w @ hit)


def held_out_errors(state: tuple[LinearPredictor, HoldOut | None], block: Block) -> Errors:
    """Kernel: squared errors of rows held out, or of all if ``hold_out`` is None."""
    predictor, hold_out = state
    return errors(predictor, block if hold_out is None else subset(block, hold_out.chosen(block)))


def subset(block: Block, rows) -> Block:
    """The block with some of its rows (a mask or indices)."""
    X, *others, id = block
    y, w, g = (None if part is None else part[rows] for part in others)
    return Block(X[rows], y, w, g, id)
