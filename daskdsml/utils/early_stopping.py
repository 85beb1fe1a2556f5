"""When training by epochs ends, and when its steps become shorter."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# "adaptive" divides the learning rate by this where training would end, down to the smallest.
DROP, SMALLEST_RATE = 5.0, 1e-6


class Verdict(NamedTuple):
    """What an epoch brought each model: the ``best`` cost, epochs since (``stale``), and its end.

    ``ended`` models are over, the learning rate of ``slower`` ones is to be divided by `DROP`.
    """

    best: np.ndarray
    stale: np.ndarray
    ended: np.ndarray
    slower: np.ndarray


class EarlyStopping(NamedTuple):
    """Ends after ``patience`` epochs in a row, none of which bettered the best cost by ``tol``.

    None for ``tol`` is no such end. With ``adaptive`` the learning rate drops first.
    """

    tol: float | None = None
    patience: int = 10
    adaptive: bool = False

    def judge(self, costs, best, stale, rates) -> Verdict:
        """Take in the costs of an epoch; all arguments are numbers, or arrays (K,) of K models.

        Parameters
        ----------
        costs : objectives, or scores with their sign changed; NaN of models that have ended
        best, stale : as in the last `Verdict`; infinite and 0 before the first epoch
        rates : learning rates of the epoch
        """
        with np.errstate(invalid="ignore"):
            better = costs < best - (self.tol or 0.0)
        stale = np.where(better, 0, np.asarray(stale) + 1)
        ended = (stale >= self.patience) & (self.tol is not None)
        slower = ended & (np.asarray(rates) > SMALLEST_RATE) & self.adaptive
        return Verdict(np.fmin(best, costs), np.where(slower, 0, stale), ended & ~slower, slower)
