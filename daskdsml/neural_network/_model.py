"""What the neural estimators share: the way in, training, and the way out."""

from __future__ import annotations

import warnings
from contextlib import ExitStack, contextmanager
from copy import copy, deepcopy
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from daskdsml.data.dataset import Dataset, is_dask, meta_of
from daskdsml.data.labels import check_weights, checked, split
from daskdsml.data.validation import validate_dataset
from daskdsml.data.windows import WindowedSequences
from daskdsml.engine.full.predict import lazily_rows
from daskdsml.engine.minibatch.batches import open_batches
from daskdsml.neural_network._describe import Description, describe
from daskdsml.neural_network._messages import TrainingBar, failed, out_of_epochs
from daskdsml.neural_network._parameters import (
    check_mask,
    check_parameters,
    check_warm,
    train_config,
)
from daskdsml.neural_network._persistence import Kept
from daskdsml.neural_network._predictor import Predictor, Scorer
from daskdsml.neural_network._training import Trainer
from daskdsml.neural_network.backprop import Backprop
from daskdsml.neural_network.network import Network, Point
from daskdsml.utils import registry
from daskdsml.utils.threads import single_threaded_blas
from daskdsml.utils.validation import check_single_epoch, check_validation, outside, seed_of

# Below this many numbers to learn from, over all epochs, compiling takes longer than training.
COMPILE_FROM = 2**26
# Rows of a batch of predictions while a model is scored.
SCORED_ROWS = 1024


class NeuralModel(Kept, BaseEstimator):
    """Base of the neural estimators.

    A subclass gives ``_label`` (for names of tasks), ``_ranks`` (numbers of axes that X may have),
    ``_metric`` (the name of its score), ``_targets(examples)`` (examples with targets for the loss,
    learning what ``_known`` asks), ``_layers(in_shape)`` and ``_loss(out_shape)``.
    """

    _label = "network"
    _ranks: tuple[int, ...] | None = None
    _metric = "r2"
    _target_options: dict = {}
    # Whether batch_size="auto" is known.
    _rows_by_itself = False

    def describe(self, in_shape=None) -> Description:
        """A table of the layers: shapes of one row, parameters, bytes.

        Parameters
        ----------
        in_shape : tuple of int or None
            Shape of one row of X; None for that of the fit. An estimator that is not fitted needs
            it, and knows neither classes nor targets: its own last layer is that for two classes,
            or for one target.

        Returns
        -------
        Description
            Prints as a table, shows as one in a notebook; ``frame`` is a pandas DataFrame.

        Raises
        ------
        ValueError
            If there is no shape, layer shapes are incompatible, or a parameter cannot be used.
        """
        return describe(self, in_shape)

    def _check(self) -> None:
        """Raise ValueError if a parameter of the subclass cannot be used."""

    def _fit(self, X, y, sample_weight=None, mask=None, validation=(None, None, None)) -> None:
        check_parameters(self)
        check_validation(self, *validation)
        warm = self.warm_start and hasattr(self, "_train_state")
        with self._as_before_on_failure():
            known = getattr(self, "classes_", None)
            examples = self._targets(self._dataset(X, y, sample_weight, mask, reset=True))
            examples, held = self._held_out(examples, validation)
            examples = self._weighted(examples)
            network = self._composed(examples.in_shape, examples.mask)
            point = self._resumed(network, known) if warm else self._drawn(network)
            backend = self._find_backend(examples)
            trainer = self._trainer(network, backend, examples)
            self._network, self._backend = network, backend_name(backend)
            self.history_: list = []
            self._train_state = trainer.begin(point)
            with single_threaded_blas():
                self._train(trainer, examples, held)

    def _fit_once(self, X, y, sample_weight=None, mask=None) -> None:
        """One epoch over the rows given, from where the last call ended."""
        check_parameters(self)
        check_single_epoch(self)
        with self._as_before_on_failure():
            first = not hasattr(self, "_train_state")
            examples = self._dataset(X, y, sample_weight, mask, reset=first)
            examples = self._weighted(self._targets(examples, first))
            if not first:
                self._predictor(examples.in_shape)
            shape = examples.in_shape if first else self._network.in_shape
            network = self._composed(shape, examples.mask)
            point = self._drawn(network) if first else self._resumed(network)
            if first or self.backend != "auto":
                self._backend = backend_name(self._find_backend(examples))
            if first:
                self.history_ = []
            self._network = network
            network = self._predictor(examples.in_shape, point).network
            backend = registry.find("backends", self._backend)()
            trainer = self._trainer(network, backend, examples)
            if first or not self._goes_on(trainer):
                self._train_state = trainer.begin(point)
            else:  # steps change arrays: a call that fails halfway leaves those of before alone
                self._train_state = deepcopy(self._train_state)
            with single_threaded_blas():
                self._train(trainer, examples, None, n_epochs=1)

    def _trainer(self, network, backend, examples) -> Trainer:
        return Trainer(Backprop(network, backend), train_config(self, examples), self.max_iter)

    def _drawn(self, network) -> Point:
        """Weights to begin with."""
        return network.init(np.random.default_rng(seed_of(self)))

    def _resumed(self, network, known=None) -> Point:
        """The weights of the last call, for a network with layers of the same shapes."""
        check_warm(self, network, known)
        return Point(*(part.astype(network.dtype, copy=False) for part in self._train_state.point))

    def _goes_on(self, trainer) -> bool:
        """Whether the state of the solver can be gone on with."""
        same = self._train_state.point.theta.dtype == self._network.dtype
        return same and trainer.continues(self._train_state)

    @contextmanager
    def _as_before_on_failure(self):
        """Where a call fails before an epoch is over, the model is what it was before."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            if vars(self).get("weights_") is before.get("weights_"):
                self.__dict__.clear()
                self.__dict__.update(before)
            raise

    def _weighted(self, examples):
        """The examples with the weights of their classes, where there are such."""
        return examples

    def _train(self, trainer, examples, held, n_epochs=None) -> None:
        """Epochs until one of the ends that were asked for; the best weights are put back."""
        partial, n_epochs = n_epochs is not None, n_epochs or self.max_iter
        of = "" if partial else f"/{n_epochs}"
        with ExitStack() as opened:
            batches = self._open(examples, shuffle=self.shuffle)
            opened.callback(batches.close)
            shown = TrainingBar(
                self,
                lambda epoch: f"epoch {epoch}{of}, ",
                total=n_epochs * batches.n_rows,
                unit=" rows",
                unit_scale=True,
            )
            opened.callback(shown.close)
            others = None
            if held is not None:
                self._predictor(held.in_shape)
                others = self._open(held, rows=SCORED_ROWS)
                opened.callback(others.close)
            going = self._epochs(trainer, batches, others, shown, n_epochs)
            shown.close()  # before a warning, which would stand in its line
            self._end(trainer, batches, out_of_epochs(self) if going else "", partial)

    def _epochs(self, trainer, batches, others, shown, n_epochs) -> bool:
        """Make ``n_epochs`` unless one of the other ends comes; whether none of these came."""
        for _ in range(n_epochs):
            train_state, record = trainer.epoch(self._train_state, batches, shown.step)
            if trainer.failure is not None:
                return False
            self._train_state = train_state
            if others is not None:
                record = record._replace(score=self._score_on(others, train_state.point))
            cost = record.loss if others is None else -record.score
            self._train_state, going = trainer.judged(train_state, cost, others is not None)
            self.history_.append(record)
            self._publish(batches)
            shown.end(record)
            if self._called(record) or not going:
                return False
        return True

    def _end(self, trainer, batches, shortfall, partial=False) -> None:
        """Put the best weights back, publish, and say what did not go well.

        ``shortfall`` says what kept training from its end, "" where nothing did.
        """
        if self._train_state.kept is not None and not partial:
            best = self._train_state.kept
            self._train_state.point.theta[:] = best.theta
            self._train_state.point.statistics[:] = best.statistics
        self._publish(batches)
        self.converged_ = not (shortfall or partial or trainer.failure)
        if trainer.failure is not None:
            self._warn(failed(trainer.failure, self))
        elif shortfall and self.tol is not None and not partial:
            self._warn(shortfall)

    def _called(self, record) -> bool:
        """Whether a callback wants training to end."""
        return any([bool(callback(self, record)) for callback in self.callbacks or ()])

    def _publish(self, batches=None) -> None:
        """What a fit leaves behind, after each epoch so that callbacks can use the model."""
        train_state, network = self._train_state, self._network
        self.layers_ = list(network.layers)
        self.weights_ = network.views(*train_state.point)
        self.n_parameters_ = network.n_parameters
        self.out_shape_ = network.out_shape
        self.n_iter_, self.t_ = train_state.epoch, train_state.step
        self.loss_curve_ = [record.loss for record in self.history_]
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else float("nan")
        self.best_loss_ = min(self.loss_curve_, default=float("nan"))
        scores = [record.score for record in self.history_]
        scored = not np.isnan(scores).all()
        self.validation_scores_ = scores if scored else None
        self.best_validation_score_ = float(np.nanmax(scores)) if scored else None
        if batches is not None:
            self.n_rows_read_ = batches.n_rows_read

    def _warn(self, text) -> None:
        warnings.warn(text, ConvergenceWarning, stacklevel=outside())

    def _dataset(self, X, y, sample_weight, mask, *, reset) -> Dataset:
        """The examples of a fit (``reset``) or a score, with features counted and named."""
        X, y, mask = unwound(X), unwound(y), unwound(mask)
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None. Call fit(X, y)."
            )
        examples = self._validated(
            X, mask, y=y, sample_weight=sample_weight, **self._target_options
        )
        self._count_features(X, examples, reset)
        if isinstance(examples.mask, np.ndarray) and not examples.mask.any():
            raise ValueError("mask hides all steps: expected True at those that count.")
        return examples if examples.w is None else checked(examples, "w", check_weights)

    def _validated(self, X, mask, **targets) -> Dataset:
        return validate_dataset(
            X,
            mask=mask,
            ranks=self._ranks,
            any_dtype=True,
            known_rows=True,
            estimator=self,
            **targets,
        )

    def _count_features(self, X, examples, reset) -> None:
        """Count and name the columns of a table; rows of more axes have a shape in their place."""
        fitted = vars(self).get("_network")
        if len(examples.in_shape) == 1 and (reset or fitted is None or len(fitted.in_shape) == 1):
            validate_data(self, meta_of(X), skip_check_array=True, reset=reset)
        elif reset:
            self.n_features_in_ = int(np.prod(examples.in_shape))
            self.__dict__.pop("feature_names_in_", None)

    def _held_out(self, examples, validation):
        """Rows to learn from and rows to be scored, or None for these."""
        X_val, y_val, mask_val = validation
        if X_val is not None:
            held = self._dataset(X_val, y_val, None, mask_val, reset=False)
            return examples, self._targets(held, first=False)
        if not self.early_stopping:
            return examples, None
        return split(examples, self.validation_fraction, seed_of(self), self._metric == "accuracy")

    def _open(self, examples, *, shuffle=False, rows=None):
        size = self._batch_rows(examples) if rows is None else rows
        return open_batches(
            examples,
            size,
            shuffle=shuffle,
            seed=seed_of(self),
            pool_bytes=self.pool_bytes,
            cache=self.cache,
        )

    def _composed(self, in_shape, mask=None) -> Network:
        """The network as it is set now, without weights."""
        layers, dtype = tuple(self._layers(in_shape)), np.dtype(self._precision())
        known = vars(self).get("_network")
        if known and (known.layers, known.in_shape, known.dtype) == (layers, in_shape, dtype):
            network = copy(known)  # to make one anew draws weights, only for their shapes
        else:
            network = Network(layers, in_shape, dtype=dtype)
        network.loss = self._loss(network.out_shape)
        check_mask(network, mask)
        return network

    def _precision(self):
        return self.dtype

    def _batch_rows(self, examples) -> int:
        return min(self.batch_size, examples.n_rows)

    def _find_backend(self, examples):
        """The backend asked for, or, for "auto", one that suits what is to be learnt from."""
        numbers = examples.n_rows * self.max_iter * int(np.prod(examples.in_shape))
        return registry.find_backend(self.backend, "numpy" if numbers < COMPILE_FROM else "numba")

    def _predictor(self, in_shape=None, point=None) -> Predictor:
        """Raw scores of rows of ``in_shape``; sequences may be longer or shorter than learnt."""
        network = self._network
        if in_shape is not None and tuple(in_shape) != network.in_shape:
            other = None
            if len(in_shape) == len(network.in_shape):
                try:
                    other = Network(network.layers, in_shape, network.loss, network.dtype)
                except ValueError:
                    other = None
            if other is None or other.n_parameters != network.n_parameters:
                raise ValueError(
                    f"X has rows of shape {tuple(in_shape)}, but {type(self).__name__} was fitted "
                    f"to rows of shape {network.in_shape}. Reshape X."
                )
            network = other
        return Predictor(
            network, self._train_state.point if point is None else point, self._backend
        )

    def _score_on(self, batches, point) -> float:
        """The metric of all rows of ``batches`` at ``point``."""
        metric = registry.find("metrics", self._metric)()
        scorer = Scorer(self._predictor(batches.in_shape, point), metric)
        return batches.run(scorer, point, f"{self._label}-score").value(metric)

    def _score(self, X, y, sample_weight=None, mask=None) -> float:
        check_is_fitted(self)
        examples = self._dataset(X, y, sample_weight, mask, reset=False)
        examples = self._targets(examples, first=False)
        check_mask(self._network, examples.mask)
        batches = self._open(examples, rows=SCORED_ROWS)
        try:
            with single_threaded_blas():
                return self._score_on(batches, self._train_state.point)
        finally:
            batches.close()

    def _predicted(self, X, mask, finish, tail, dtype):
        """``finish`` of the raw scores of X: lazily for a Dask collection, at once otherwise."""
        check_is_fitted(self)
        X, mask = unwound(X), unwound(mask)
        lazy = is_dask(X)
        examples = self._validated(X, mask)
        self._count_features(X, examples, reset=False)
        predictor = self._predictor(examples.in_shape)
        check_mask(predictor.network, examples.mask)
        if not lazy:
            with single_threaded_blas():
                return finish(predictor(examples.X, examples.mask))
        # Solvers change the arrays in place: what is computed later has the weights of now.
        predictor = predictor.at(Point(*map(np.copy, predictor.point)))
        tail = tail(predictor.network.out_shape)
        return lazily_rows(
            examples.X,
            examples.mask,
            predictor,
            finish,
            tail=tail,
            dtype=self._network.dtype if dtype is None else dtype,
            name=f"{self._label}-predict",
        )


def unwound(X) -> Any:
    """The array behind a `WindowedSequences`; anything else as it is."""
    return X.X if isinstance(X, WindowedSequences) else X


def backend_name(backend) -> str:
    """The name users type for a backend."""
    return type(backend).__module__.rpartition(".")[2]
