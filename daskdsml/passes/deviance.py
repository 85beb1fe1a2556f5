"""How much of the deviance of a target with the log link a linear model explains, over blocks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.passes.row_stats import RowStats, row_stats_of
from daskdsml.passes.summary import Span, span_of


class Deviance(NamedTuple):
    """Sums over rows of half the deviances: ``total`` of the mean of y, ``residual`` of a model."""

    loss: NamedTuple
    stats: RowStats
    span: Span
    mean: float
    total: float
    residual: float

    @np.errstate(over="ignore", invalid="ignore")  # row stats name what is not finite
    def __add__(self, other: Deviance) -> Deviance:
        weights = self.stats.weight, other.stats.weight
        share = weights[1] / sum(weights) if sum(weights) else 0.0
        mean = self.mean + share * (other.mean - self.mean)
        # Deviances from any number are those from the mean, and the mean's own from that number.
        moved = [
            part.total + weight * float(half_deviance(self.loss, part.mean, _log(mean)))
            for part, weight in zip((self, other), weights, strict=True)
        ]
        return Deviance(
            self.loss,
            self.stats + other.stats,
            self.span + other.span,
            mean,
            sum(moved),
            self.residual + other.residual,
        )

    def explained(self) -> float:
        """Share of the deviance explained, D²; 0 or 1 for a y that is constant."""
        if self.total > 0.0 and self.span.greatest > self.span.least:
            return 1.0 - self.residual / self.total
        return 0.0 if self.residual > 0.0 else 1.0


def half_deviance(loss, y, z):
    """Half the unit deviance: the loss at score ``z`` above the one at ``log(y)``, its least.

    At ``y = 0`` that is the score of the smallest number, where the loss is its limit.

    References
    ----------
    McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed., section 2.3.
    """
    value, _ = loss.value_and_derivative(np, y, z)
    least, _ = loss.value_and_derivative(np, y, _log(y))
    return value - least


@np.errstate(over="ignore", invalid="ignore")  # an infinite expectation has infinite deviance
def deviance(state, block) -> Deviance:
    """Kernel: deviances of one block; ``state`` is (predictor, loss)."""
    predictor, loss = state
    y, z = block.y.astype(np.float64), predictor(block.X).astype(np.float64)
    stats = row_stats_of(block, suspect_X=not np.isfinite(z).all())
    span = span_of(y, block.w)
    mean = span.total / stats.weight if stats.weight else 0.0
    sums = []
    for scores in (np.full_like(y, _log(mean)), z):
        each = half_deviance(loss, y, scores)
        sums.append(float(each.sum() if block.w is None else block.w @ np.where(block.w, each, 0)))
    return Deviance(loss, stats, span, mean, *sums)


def _log(y):
    return np.log(np.maximum(y, np.finfo(np.float64).tiny))
