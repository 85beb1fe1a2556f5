"""What the neural estimators share: fits, scores, predictions, tables of layers, and files."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy, deepcopy
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils.validation import check_is_fitted

from daskdsml.neural_network import _storage
from daskdsml.neural_network._columns import splits
from daskdsml.neural_network._describe import Description, describe
from daskdsml.neural_network._full_batch import train_full_batch
from daskdsml.neural_network._kept import kept_training
from daskdsml.neural_network._predictor import SCORED_ROWS, network_for, score_at
from daskdsml.neural_network._rows import open_examples
from daskdsml.neural_network._step import TrainConfig
from daskdsml.neural_network._training import Trainer, train_epochs
from daskdsml.neural_network._validation import (
    RowCounts,
    check_channels,
    check_mask,
    check_parameters,
    check_shape,
    check_warm,
    count_rows,
    hold_out,
    read_examples,
    schedule_of,
    solver_of,
    training_examples,
)
from daskdsml.neural_network.backprop import Backprop
from daskdsml.neural_network.network import Network, Point
from daskdsml.passes.progress import History
from daskdsml.solvers.lbfgs import LBFGS
from daskdsml.utils import registry
from daskdsml.utils.early_stopping import EarlyStopping
from daskdsml.utils.threads import single_threaded_blas
from daskdsml.utils.validation import check_single_epoch, check_validation, seed_of

# Below this many multiplications of the layers, over all epochs, compiling (five to ten seconds,
# once on a machine) takes longer than what it saves: of convolutions, recurrent and small dense
# layers 0.3 to 0.7 ns of each, of dense ones on wide tables 0.1 ns. Array code could train
# meanwhile, but for the same bits it would have to run as long in every fit, and is slow: of an MLP
# 2.5 ms a step for 0.8, a small CNN 41 for 4.9, an LSTM 23 for 13.7.
COMPILE_FROM = 2**34


class NeuralModel(BaseEstimator):
    """Base of the neural estimators.

    A subclass has ``_label`` (for names of tasks), ``_ranks`` (numbers of axes that X may have),
    ``_target_options`` (of `validate_dataset`), ``_check()`` of its own parameters,
    ``_learn_targets(examples, classes)``, which takes in what y is, ``_targets``, a
    `Classification` or `Regression` that says so, and ``_layers(n_outputs)`` up to the raw scores.
    The fitted network stands in ``_network``, its weights and the solver in ``_train_state``.
    """

    _label = "network"
    _ranks: tuple[int, ...] | None = None
    _target_options: dict = {}

    def fit(self, X, y, sample_weight=None, mask=None, *, X_val=None, y_val=None, mask_val=None):
        """Train from new weights or, with ``warm_start``, from those of the last fit.

        Parameters
        ----------
        X : array (n, ...), Dask Array chunked by rows, DataFrame, or `WindowedSequences`
            Rows of the shape the first layer takes: (n, p), images (n, C, H, W), sequences
            (n, T, features).
        y : array (n,), series, or Dask collection of them
            Numbers, also (n, K), for a regressor. Labels for a classifier: numbers, strings or
            booleans, of two kinds or more; (n, T) of a tagger.
        sample_weight : array (n,), series, Dask collection of them, or None
            Factor of each row's loss; (n, T) of a tagger, that of each step's.
        mask : array (n, T), bool, or None
            True at the steps of each sequence that count.
        X_val, y_val, mask_val : as X, y and mask, or None
            Rows that tell when to stop early, in place of a fraction of X.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If data or parameters cannot be used, or layer shapes are incompatible.

        Warns
        -----
        ConvergenceWarning
            If a loss is no longer finite (the weights are those before that step), or if
            ``max_iter`` epochs did not bring what ``tol`` asks for, or there is nothing to learn
            because no parameter is trainable.
        """
        check_parameters(self)
        check_validation(self, X_val, y_val, mask_val)
        warm = self.warm_start and hasattr(self, "_train_state")
        with unchanged_on_failure(self):
            classes_before = getattr(self, "classes_", None)
            examples = read_examples(self, X, y, sample_weight, mask, reset=True)
            self._learn_targets(examples)
            examples = self._targets.encoded(examples)
            examples, held_out = hold_out(self, examples, X_val, y_val, mask_val)
            examples = self._targets.weighted(examples)
            network = build_network(self, examples.in_shape, examples.mask)
            point = starting_point(self, network, warm, classes_before)
            backend = find_backend(self, network, examples.n_rows)
            config = self._train_config(count_rows(examples, network.steps))
            strategy = strategy_of(self, config.solver, network)
            self._network, self._backend, self.history_ = network, backend_name(backend), History()
            by_epochs = not isinstance(config.solver, LBFGS)
            drawn = drawn_by(self, network, strategy)
            drawn["shuffle"] &= by_epochs
            with (
                single_threaded_blas(),
                open_examples(self, examples, **drawn) as batches,
                kept_training(self, examples, held_out, batches) as kept,
                validation_score(self, held_out) as score,
            ):
                if by_epochs:
                    backprop = Backprop(network, backend)
                    trainer = Trainer(backprop, config, self.max_iter, strategy)
                    self._train_state = trainer.begin(point)
                    train_epochs(self, trainer, batches, score, kept=kept)
                else:
                    backprop = Backprop(network, backend)
                    train_full_batch(self, backprop, config, point, batches, kept)
        return self

    def _fit_epoch(self, X, y, sample_weight, mask, classes=None):
        """`partial_fit`: one epoch over the rows given, from where the last call ended."""
        check_parameters(self)
        check_single_epoch(self)
        first = not hasattr(self, "_train_state")
        with unchanged_on_failure(self):
            examples = training_examples(self, X, y, sample_weight, mask, first, classes)
            shape = examples.in_shape if first else self._network.in_shape
            network = build_network(self, shape, examples.mask)
            before = None if first else self._train_state
            config = self._train_config(count_rows(examples, network.steps, before))
            point = starting_point(self, network, warm=not first)
            if first or self.backend != "auto":
                self._backend = backend_name(find_backend(self, network, examples.n_rows))
            if first:
                self.history_ = History()
            self._network = network
            backend = registry.find("backends", self._backend)()
            backprop = Backprop(network_for(self, examples.in_shape), backend)
            strategy = strategy_of(self, config.solver, network)
            trainer = Trainer(backprop, config, self.max_iter, strategy)
            if first or not trainer.continues(self._train_state):
                self._train_state = trainer.begin(point)
            else:  # steps change arrays: a call that fails halfway leaves those of before alone
                self._train_state = deepcopy(self._train_state)
            drawn = drawn_by(self, network, strategy)
            with single_threaded_blas(), open_examples(self, examples, **drawn) as batches:
                train_epochs(self, trainer, batches, n_epochs=1)
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self._ranks in (None, (2,))  # CSR matrices are tables
        return tags

    def _first_point(self, network) -> Point:
        """Weights to begin with, before any training."""
        return network.init(np.random.default_rng(seed_of(self)))

    def _train_config(self, counts: RowCounts) -> TrainConfig:
        """How to train on these rows."""
        factor, adaptive = schedule_of(self.learning_rate)
        stopping = EarlyStopping(self.tol, self.n_iter_no_change, adaptive)
        solver = solver_of(self.solver, self.learning_rate_init)
        l1, l2, clip = float(self.l1), float(self.l2), self.clip_norm
        return TrainConfig(solver, factor, stopping, l1, l2, clip, counts.mean_weight)

    def _publish(self, batches=None) -> None:
        """What a fit leaves behind, after each epoch so that callbacks can use the model."""
        train_state, network = self._train_state, self._network
        self.layers_ = list(network.layers)
        self.weights_ = network.views(*train_state.point)
        self.n_parameters_ = network.n_parameters
        self.out_shape_ = network.out_shape
        self.n_iter_, self.t_ = train_state.epoch, train_state.n_rows
        self.loss_curve_ = [record.loss for record in self.history_]
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else float("nan")
        self.best_loss_ = min(self.loss_curve_, default=float("nan"))
        scores = [record.score for record in self.history_]
        scored = not np.isnan(scores).all()
        self.validation_scores_ = scores if scored else None
        self.best_validation_score_ = float(np.nanmax(scores)) if scored else None
        if batches is not None:
            self.n_rows_read_ = batches.n_rows_read

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
        if in_shape is not None:
            check_shape(in_shape)
        if hasattr(self, "_network"):
            return describe(network_for(self, in_shape), type(self).__name__)
        if in_shape is None:
            raise ValueError(
                f"This {type(self).__name__} is not fitted, and the shape of a row is not known. "
                "Pass in_shape, such as (784,), (1, 28, 28) or (n_steps, n_features), or fit it "
                "before."
            )
        check_parameters(self)
        layers = self._layers(2 if is_classifier(self) else 1)
        note = "" if hasattr(self, "layers") else "Before fit: for two classes, or one target."
        network = Network(layers, in_shape, dtype=precision(self))
        return describe(network, type(self).__name__, note)

    def save(self, path) -> None:
        """Write the fitted model to one .npz file: a JSON header and arrays, without pickle.

        All that `predict`, `partial_fit` and ``warm_start`` need is kept, the state of the solver
        too, so training goes on as if it had not been interrupted. Callbacks are not.

        Parameters
        ----------
        path : str or path-like
            Taken as it is: no suffix is added. The file is there whole or not at all.

        Raises
        ------
        ValueError
            If a parameter cannot be written, such as a schedule that is a function.
        """
        check_is_fitted(self)
        _storage.save_model(self, path)

    @classmethod
    def load(cls, path):
        """Read a model that `save` wrote; it is of the class it was saved from.

        Raises
        ------
        ValueError
            If the file is none of ours, or holds another kind of model than this class.
        """
        return _storage.load_model(cls, path)

    def to_torch(self):
        """The equivalent ``torch.nn.Module``: raw scores of rows, in eval mode, in this dtype.

        The weights are copied. Masks are not taken, and running variances follow batches with
        N - 1 for N when it is trained on.

        Raises
        ------
        ImportError
            If PyTorch is not installed: ``pip install "daskdsml[torch]"``.
        """
        check_is_fitted(self)
        try:
            from daskdsml.neural_network._torch import to_torch
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "torch":
                raise
            raise ImportError(
                "to_torch needs PyTorch, which is not installed: pip install 'daskdsml[torch]'."
            ) from error
        return to_torch(self._network, self._train_state.point)


@contextmanager
def unchanged_on_failure(model):
    """Where a call fails before an epoch is over, the model is what it was before."""
    before = dict(vars(model))
    try:
        yield
    except BaseException:
        if vars(model).get("weights_") is before.get("weights_"):
            vars(model).clear()
            vars(model).update(before)
        raise


def build_network(model, in_shape, mask=None) -> Network:
    """The network as the parameters have it now, without weights."""
    layers, dtype = tuple(model._layers(model._targets.n_outputs)), np.dtype(precision(model))
    known = vars(model).get("_network")
    if known and (known.layers, known.in_shape, known.dtype) == (layers, in_shape, dtype):
        network = copy(known)  # to make one anew draws weights, only for their shapes
    else:
        check_channels(layers, in_shape)
        network = Network(layers, in_shape, dtype=dtype)
    network.loss = model._targets.loss(network.out_shape)
    check_mask(network, mask)
    return network


def takes_batches(model) -> bool:
    """Whether the solver takes mini-batches, so that there is `partial_fit`."""
    if model.solver == "lbfgs":
        raise AttributeError(
            "partial_fit makes one epoch of mini-batches, which solver='lbfgs' does not take. Use "
            "solver='adam' or 'sgd', or fit."
        )
    return True


def precision(model):
    """The dtype of weights and of what is computed with them."""
    return "float64" if model.solver == "lbfgs" else model.dtype


def starting_point(model, network, warm, classes_before=None) -> Point:
    """Weights to begin with: new ones, or if ``warm`` those of the last call."""
    if not warm:
        return model._first_point(network)
    check_warm(model, network, classes_before)
    arrays = model._train_state.point
    point = Point(*(array.astype(network.dtype) for array in arrays))
    network.hold(point.theta)
    return point


def find_backend(model, network, n_rows):
    """The backend asked for, or, for "auto", one that suits the work of all epochs."""
    work = n_rows * model.max_iter * network.multiplications
    return registry.find_backend(model.backend, "numpy" if work < COMPILE_FROM else "numba")


def strategy_of(model, solver, network):
    """The strategy that spreads the work; ValueError if it does not do for solver or layers."""
    needs = {"full batch" if isinstance(solver, LBFGS) else "batches"}
    name = f"{type(model).__name__} with solver={model.solver!r}"
    if network.collective and "batches" in needs:
        needs, name = needs | {"batch sums"}, f"{name} and layers such as BatchNorm"
    if not splits(network):
        needs, name = needs | {"whole rows"}, f"{name} and a first layer that is not Dense"
    strategy = registry.find_strategy(registry.Needs(name, frozenset(needs)), model.strategy)
    model.reproducible_ = strategy.reproducible
    return strategy


def drawn_by(model, network, strategy) -> dict:
    """How mini-batches are drawn: see `open_examples`."""
    spread = {name: getattr(strategy, name, None) for name in ("n_parts", "by_columns")}
    return {"shuffle": model.shuffle, "alone": not network.collective, **spread}


def backend_name(backend) -> str:
    """The name users type for a backend."""
    return type(backend).__module__.rpartition(".")[2]


@contextmanager
def validation_score(model, held_out):
    """``score(point)`` of the examples held out; None without such."""
    if held_out is None:
        yield None
        return
    network_for(model, held_out.in_shape)
    with open_examples(model, held_out, rows=SCORED_ROWS) as batches:
        yield partial(score_at, model, batches)
