"""The likelihoods of `infer`: targets, null models and names of ratios."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from daskdsml.utils import registry


class NullModel(NamedTuple):
    """The model of intercepts alone, from the facts of all rows.

    Its log-likelihood (``null``) and that of a model with a parameter a row (``saturated``); the
    ``curvature (E, E)`` of a row's loss at the former; ``constant`` is what the loss leaves out of
    minus the log-likelihood.
    """

    null: float
    saturated: float
    curvature: np.ndarray
    constant: float = 0.0


class Classes(NamedTuple):
    """Logistic and multinomial: ``log p_k / p_0 = z_k`` for the classes k = 1 .. K - 1.

    ``classes (K,)``, the first of which is the baseline; ``class_weight`` (K,) or None. Facts of a
    row are K indicators of its class.
    """

    classes: np.ndarray
    class_weight: tuple[float, ...] | None = None

    @property
    def ratio(self) -> str:
        return "odds ratio" if len(self.classes) == 2 else "relative risk ratio"

    @property
    def loss(self):
        if len(self.classes) == 2:
            return registry.find("losses", "logistic")()
        return registry.find("losses", "multinomial")(len(self.classes))

    def target(self, y) -> np.ndarray:
        """Codes (n,) of labels, as floats."""
        codes = np.full(len(y), -1.0)
        for code, label in enumerate(self.classes):
            codes[y == label] = code
        if (codes < 0.0).any():
            unknown = y[[np.argmin(codes)]].tolist()[0]
            raise ValueError(
                f"y holds the label {unknown!r}, but the model was fitted to the "
                f"classes {self.classes.tolist()}. Pass the y that the model was fitted to."
            )
        return codes

    def scores(self, z) -> np.ndarray:
        """What the loss takes: (n,) for two classes, else (n, K), the baseline's first."""
        if len(self.classes) == 2:
            return z[:, 0]
        return np.column_stack([np.zeros(len(z)), z])

    def facts(self, y, z) -> np.ndarray:
        return (y[:, None] == np.arange(len(self.classes))).astype(float)

    def null_model(self, facts) -> NullModel:
        """Raises ValueError if a class has no row, and so no intercept."""
        if not facts.all():
            raise ValueError(
                "No row of positive weight is of the class "
                f"{self.classes.tolist()[np.argmin(facts)]!r}, which the model knows. Pass the y "
                "that the model was fitted to."
            )
        share = facts / facts.sum()
        curvature = np.diag(share[1:]) - np.outer(share[1:], share[1:])
        return NullModel(float(facts @ np.log(share)), 0.0, curvature)


class Counts(NamedTuple):
    """Poisson: ``log E(y) = z``.

    Facts of a row are 1, y, its own best ``y log y - y``, ``log y!`` and the square of its Pearson
    residual.
    """

    classes: None = None
    class_weight: None = None
    ratio: str = "incidence rate ratio"

    @property
    def loss(self):
        return registry.find("losses", "poisson")()

    def target(self, y) -> np.ndarray:
        """The counts (n,), as floats."""
        if (y < 0).any():
            raise ValueError(
                f"y must hold counts of at least 0, but holds {y[np.argmax(y < 0)]}. Pass the y "
                "that the model was fitted to."
            )
        return y.astype(np.float64)

    def scores(self, z) -> np.ndarray:
        """What the loss takes: (n,)."""
        return z[:, 0]

    def facts(self, y, z) -> np.ndarray:
        mean = np.exp(z[:, 0])
        pearson = (y - mean) ** 2 / np.maximum(mean, 1e-300)
        own = special.xlogy(y, y) - y
        return np.column_stack([np.ones_like(y), y, own, special.gammaln(y + 1.0), pearson])

    def null_model(self, facts) -> NullModel:
        """Raises ValueError if all counts are zero, whose rate has no logarithm."""
        n, total, own, factorials, _ = facts
        if not total > 0.0:
            raise ValueError("y is 0 in every row: no rate can be told. Check how y is made.")
        null = special.xlogy(total, total / n) - total - factorials
        return NullModel(float(null), float(own - factorials), np.array([[total / n]]), factorials)
