"""One adapter per library, all with the same ``fit``; rows load them by name.

An adapter is a module with ``fit(problem, *, solver=None, tol=None, max_iter=None) -> Fitted``
whose docstring says how the library's penalty converts to ours. It imports its library at the top,
so that `load` can tell why one is missing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import numpy as np


class Problem(NamedTuple):
    """Minimise ``sum_i w_i loss_i / sum_i w_i + strength / 2 ||b||**2``; the intercept goes free.

    ``X (n, p)``, ``y (n,)`` and ``sample_weight (n,)`` or None, all NumPy, SciPy CSR or Dask;
    ``kind`` is "ols", "ridge" (loss: half the squared error) or "logistic" (loss: minus the log
    likelihood).
    """

    X: Any
    y: Any
    kind: str = "logistic"
    strength: float = 0.0
    fit_intercept: bool = True
    sample_weight: Any = None

    @property
    def weight(self) -> float:
        """Sum of the weights, or the number of rows."""
        if self.sample_weight is None:
            return float(self.X.shape[0])
        return float(self.sample_weight.sum())


class Fitted(NamedTuple):
    """``coef (p,)``, ``intercept``, iterations as the library counts them, and its own verdict."""

    coef: np.ndarray
    intercept: float
    n_iter: int | None
    converged: bool | None


def load(name: str):
    """The adapter module ``name`` and None, or None and the reason why it cannot be had."""
    try:
        return import_module(f"libraries.{name}"), None
    except ImportError as error:
        return None, f"not installed: {error}"


def given(**options) -> dict:
    """The options that were given, so that a library's own default holds for the others."""
    return {name: value for name, value in options.items() if value is not None}


def flat(coef, intercept) -> tuple[np.ndarray, float]:
    """Coefficients (p,) and intercept of a single model, whatever shapes a library gives."""
    return np.ravel(np.asarray(coef)), float(np.ravel(np.asarray(intercept))[0])
