"""Inverse powers of time. Found by name."""

from __future__ import annotations

from typing import NamedTuple

from daskdsml.utils.validation import check_number


class Invscaling(NamedTuple):
    """``1 / (t + 1)**power_t``, where t counts the steps, or the rows, before.

    Gradient descent on convex functions converges if the steps of all time sum to infinity and
    their squares do not: for powers above 1/2, up to 1.

    Parameters
    ----------
    power_t : float of at least 0
    rows : float or None
        None: t is the number of steps. Else the mean rows of an epoch: t is the number of rows in
        the epochs that are over, so the factor is the same all through an epoch. That is what
        ``learning_rate="invscaling"`` means in scikit-learn's MLPClassifier, where it falls
        steeply: after one epoch of 10,000 rows to a hundredth, at ``power_t=0.5``.

    References
    ----------
    Robbins, H. and Monro, S. (1951). A stochastic approximation method. Annals of Mathematical
    Statistics 22(3), 400-407.
    """

    power_t: float = 0.5
    rows: float | None = None

    def factor(self, step: int, epoch: int, n_steps: int) -> float:
        """The factor at ``step`` of ``epoch``, from 0; ValueError for settings out of range."""
        check_number(self, "power_t", 0)
        if self.rows is None:
            return (step + 1.0) ** -self.power_t
        check_number(self, "rows", 1)
        return (epoch * self.rows + 1.0) ** -self.power_t
