"""What the estimators with the solvers' own names share, unlike those with scikit-learn's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daskdsml.layers.activation import Activation
from daskdsml.neural_network._parameters import check_layers, schedule_of, solver_of
from daskdsml.utils.validation import check_number

if TYPE_CHECKING:  # a mixin, which its estimators mix with this
    from daskdsml.neural_network._model import NeuralModel
else:
    NeuralModel = object


class SolverOptions(NeuralModel):
    """Mixin: ``solver``, ``learning_rate_init``, ``learning_rate``, ``l1`` and ``l2`` as named."""

    # Activations that the loss already has in it.
    _links: tuple[str, ...] = ()

    def _check(self) -> None:
        for name in ("l1", "l2"):
            check_number(self, name, 0, high=np.finfo(float).max)
        if self.learning_rate_init is not None:
            check_number(self, "learning_rate_init", 0, strict=True)
        super()._check()
        check_layers(self._given())

    def _given(self):
        """The layers as the user describes them."""
        return self.layers

    def _layers(self, in_shape):
        """The layers to the raw scores: a last softmax or logistic function is the loss's."""
        layers = list(self._given())
        last = layers[-1]
        if isinstance(last, Activation) and last.name in self._links and len(layers) > 1:
            layers.pop()
        return layers

    def _solver(self):
        return solver_of(self.solver, self.learning_rate_init)

    def _schedule(self, examples):
        return schedule_of(self.learning_rate)

    def _strengths(self, examples):
        return float(self.l1), float(self.l2)
