"""What the two multi-layer perceptrons share: scikit-learn's parameters, and full batches."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np

from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.dense import Dense
from daskdsml.layers.dropout import Dropout
from daskdsml.neural_network._full_batch import train_full_batch
from daskdsml.neural_network._presets import check_activation
from daskdsml.optimizers.adam import Adam
from daskdsml.optimizers.gradient_descent import GradientDescent
from daskdsml.optimizers.momentum import Momentum
from daskdsml.optimizers.nesterov import Nesterov
from daskdsml.optimizers.schedules.constant import Constant
from daskdsml.optimizers.schedules.invscaling import Invscaling
from daskdsml.utils.validation import check_flag, check_number

if TYPE_CHECKING:  # a mixin, which its estimators mix with this
    from daskdsml.neural_network._model import NeuralModel
else:
    NeuralModel = object

SOLVERS = ("adam", "sgd", "lbfgs")
LEARNING_RATES = ("constant", "invscaling", "adaptive")
# Rows of a step where batch_size is "auto", as scikit-learn has it.
AUTO_ROWS = 200


class MLP(NeuralModel):
    """Mixin: a perceptron by scikit-learn's parameters."""

    _ranks = (2,)
    _rows_by_itself = True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _sizes(self) -> tuple:
        sizes = self.hidden_layer_sizes
        return (sizes,) if isinstance(sizes, numbers.Integral) else tuple(sizes)

    def _layers(self, in_shape):
        layers: list[Any] = []
        for units in self._sizes():
            layers.append(Dense(units, activation=None if self.batch_norm else self.activation))
            if self.batch_norm:
                layers.append(BatchNorm(activation=self.activation))
            if self.dropout:
                layers.append(Dropout(self.dropout))
        return [*layers, Dense(self._n_scores())]

    def _solver(self):
        rate = float(self.learning_rate_init)
        if self.solver == "adam":
            return Adam(rate, self.beta_1, self.beta_2, self.epsilon)
        if self.momentum == 0:
            return GradientDescent(rate)
        return (Nesterov if self.nesterovs_momentum else Momentum)(rate, self.momentum)

    def _schedule(self, examples):
        if self.learning_rate == "invscaling":
            return Invscaling(float(self.power_t), examples.n_rows).factor, False
        return Constant().factor, self.learning_rate == "adaptive"

    def _strengths(self, examples):
        # alpha / 2 ||W||**2 counts once a batch, whose loss is a mean over its rows.
        rows = examples.n_rows if self.solver == "lbfgs" else self._batch_rows(examples)
        return 0.0, float(self.alpha) / rows

    def _batch_rows(self, examples) -> int:
        size = AUTO_ROWS if self.batch_size == "auto" else self.batch_size
        return min(size, examples.n_rows)

    def _precision(self):
        return "float64" if self.solver == "lbfgs" else self.dtype

    def _train(self, trainer, examples, held, n_epochs=None) -> None:
        if self.solver != "lbfgs":
            super()._train(trainer, examples, held, n_epochs)
            return
        if n_epochs is not None:
            raise ValueError(
                "partial_fit makes one epoch of mini-batches, which solver='lbfgs' does not take. "
                "Use solver='adam' or 'sgd', or fit."
            )
        train_full_batch(self, trainer, examples)

    def _publish(self, batches=None) -> None:
        super()._publish(batches)
        dense = [p for p in self.weights_ if "W" in p]
        self.coefs_, self.intercepts_ = [p["W"] for p in dense], [p["b"] for p in dense]
        self.n_layers_ = len(dense) + 1
        self.n_outputs_ = self.out_shape_[-1]

    def _check(self) -> None:
        super()._check()
        sizes = self.hidden_layer_sizes
        sizes = sizes if np.iterable(sizes) else (sizes,)
        if not all(isinstance(k, numbers.Integral) and int(k) > 0 for k in sizes):
            raise ValueError(
                "hidden_layer_sizes must be a positive integer or a tuple of such, got "
                f"{self.hidden_layer_sizes!r}."
            )
        for name, known in (("solver", SOLVERS), ("learning_rate", LEARNING_RATES)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"Unknown {name} {getattr(self, name)!r} of {type(self).__name__}: expected "
                    f"one of {list(known)}."
                )
        check_activation(self)
        check_number(self, "alpha", 0, high=np.finfo(float).max)
        check_number(self, "learning_rate_init", 0, strict=True)
        check_number(self, "power_t", 0)
        check_number(self, "momentum", 0, high=1)
        for name in ("beta_1", "beta_2"):
            check_number(self, name, 0, below=1)
        check_number(self, "epsilon", 0, strict=True)
        check_number(self, "max_fun", 1, integer=True)
        check_flag(self, "nesterovs_momentum", "batch_norm")
        batched = self.batch_norm or self.dropout or self.early_stopping or self.clip_norm
        if self.solver == "lbfgs" and batched:
            raise ValueError(
                "solver='lbfgs' takes all rows at once, block by block: batch_norm, dropout, "
                "early_stopping and clip_norm need mini-batches. Use solver='adam' or 'sgd', or "
                "leave them out."
            )
