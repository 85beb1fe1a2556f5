"""What users give the neural estimators, checked: parameters, layers and data."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import validate_data

from daskdsml.data.dataset import Dataset, meta_of
from daskdsml.data.folds import split
from daskdsml.data.labels import check_weights, checked
from daskdsml.data.validation import target_names, validate_dataset
from daskdsml.data.weights import summed_weight
from daskdsml.data.windows import WindowedSequences
from daskdsml.layers._images import told_format
from daskdsml.layers.average_pool2d import AveragePool2D
from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.bidirectional import Bidirectional
from daskdsml.layers.conv1d import Conv1D
from daskdsml.layers.conv2d import Conv2D
from daskdsml.layers.embedding import Embedding
from daskdsml.layers.gru import GRU
from daskdsml.layers.lstm import LSTM
from daskdsml.layers.max_pool2d import MaxPool2D
from daskdsml.layers.rnn import RNN
from daskdsml.utils import registry
from daskdsml.utils.validation import check_epochs, check_number, seed_of

# Channels that images have: grey, colours, colours with transparency.
CHANNELS = (1, 3, 4)
ACTIVATIONS = ("identity", "logistic", "tanh", "relu")


def check_parameters(model) -> None:
    """Raise ValueError if a parameter that all neural estimators have cannot be used."""
    check_epochs(model)
    check_number(model, "pool_bytes", 1, integer=True)
    if model.clip_norm is not None:
        check_number(model, "clip_norm", 0, strict=True)
    if not _is_precision(model.dtype):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {model.dtype!r}.")
    listed = model.callbacks is None or isinstance(model.callbacks, list | tuple)
    for callback in (model.callbacks or ()) if listed else (model.callbacks,):
        if not (listed and callable(callback)):
            raise ValueError(
                "callbacks must be callables f(model, record) in a list, got "
                f"{model.callbacks!r}. Pass [f], or None."
            )
    model._check()


def _is_precision(dtype) -> bool:
    try:
        return dtype is not None and np.dtype(dtype).name in ("float32", "float64")
    except TypeError:
        return False


def check_solver_options(model) -> None:
    """Raise ValueError if batch size, penalties or learning rate cannot be used."""
    check_number(model, "batch_size", 1, integer=True)
    for name in ("l1", "l2"):
        check_number(model, name, 0, high=np.finfo(float).max)
    if model.learning_rate_init is not None:
        check_number(model, "learning_rate_init", 0, strict=True)


def solver_of(solver, learning_rate):
    """The solver a user names, at a learning rate (None for the solver's own), or gave."""
    if not isinstance(solver, str):
        if isinstance(solver, type) or not callable(getattr(solver, "update", None)):
            raise ValueError(
                f"solver must be one of {registry.available('optimizers')} or an optimizer such as "
                f"daskdsml.optimizers.Adam(), got {solver!r}."
            )
        return solver
    known = registry.available("optimizers")
    if solver not in known:
        raise ValueError(f"Unknown solver {solver!r}: expected one of {known}.")
    optimizer = registry.find("optimizers", solver)
    return optimizer() if learning_rate is None else optimizer(learning_rate=float(learning_rate))


def schedule_of(schedule):
    """``factor(step, epoch, n_steps)`` of what a user names or gave, and whether it adapts."""
    if schedule == "adaptive":
        return registry.find("optimizers.schedules", "constant")().factor, True
    if isinstance(schedule, str):
        known = [*registry.available("optimizers.schedules"), "adaptive"]
        if schedule not in known:
            raise ValueError(f"Unknown learning_rate {schedule!r}: expected one of {known}.")
        return registry.find("optimizers.schedules", schedule)().factor, False
    factor = getattr(schedule, "factor", schedule)
    if isinstance(schedule, type) or not callable(factor):
        raise ValueError(
            "learning_rate must be the name of a schedule, a schedule, or a callable "
            f"f(step, epoch, n_steps), got {schedule!r}. The rate itself is learning_rate_init."
        )
    return _CheckedFactor(factor), False


class _CheckedFactor(NamedTuple):
    """A user's factor of the learning rate, refused where it is none."""

    factor: Callable

    def __call__(self, step, epoch, n_steps) -> float:
        factor = self.factor(step, epoch, n_steps)
        good = isinstance(factor, numbers.Real)
        if not (good and 0.0 <= factor < np.inf):
            raise ValueError(
                f"learning_rate gave {factor!r} at step {step}: expected a finite factor of at "
                "least 0, which multiplies learning_rate_init."
            )
        return float(factor)


def check_layers(layers) -> None:
    """Raise ValueError unless ``layers`` is a list of layers."""
    if not isinstance(layers, list | tuple) or not layers:
        raise ValueError(
            f"layers must be a list of layers, such as [Dense(64, 'relu'), Dense(10)], got "
            f"{layers!r}."
        )
    for layer in layers:
        made = not isinstance(layer, type)
        if not (made and hasattr(layer, "forward") and hasattr(layer, "backward")):
            raise ValueError(
                f"layers holds {layer!r}, which is no layer. Use those of daskdsml.layers, with "
                "their settings: Dense(64)."
            )


def check_sizes(model, name, least=0) -> None:
    """Raise ValueError unless parameter ``name`` is a sequence of ``least`` positive integers."""
    sizes = getattr(model, name)
    good = isinstance(sizes, list | tuple) and len(sizes) >= least
    if not good or not all(isinstance(k, numbers.Integral) and int(k) > 0 for k in sizes):
        raise ValueError(
            f"{name} of {type(model).__name__} must be a tuple of positive integers, got {sizes!r}."
        )


def check_activation(model) -> None:
    """Raise ValueError if the activation or the dropout cannot be used."""
    if model.activation not in ACTIVATIONS:
        raise ValueError(
            f"Unknown activation {model.activation!r} of {type(model).__name__}: expected one of "
            f"{list(ACTIVATIONS)}."
        )
    check_number(model, "dropout", 0, below=1)


def check_warm(model, network, classes) -> None:
    """Raise ValueError unless the weights of the last fit fit ``network`` and its classes."""
    if classes is not None and not np.array_equal(classes, model.classes_):
        raise ValueError(
            f"warm_start=True goes on with the classes {classes[:10].tolist()} of the last fit, "
            f"but y holds {model.classes_[:10].tolist()}. Use warm_start=False, or partial_fit "
            "with all classes at its first call."
        )
    if network.layout != model._network.layout:
        raise ValueError(
            "Training is to go on with the weights of the last fit, but the layers are others or "
            "have other shapes now. Use fit with warm_start=False, or the layers of the last fit."
        )


def check_mask(network, mask) -> None:
    """Raise ValueError if there is a mask that none of the layers heeds."""
    if mask is not None and not network.steps and not any(map(_heeds_masks, network.placed)):
        raise ValueError(
            "mask tells which time steps count, but no layer of this network goes by steps. Leave "
            "it out, or use recurrent layers, Conv1D or Embedding."
        )


def _heeds_masks(placed) -> bool:
    layer, own = placed.layer, type(placed.layer).__module__.startswith("daskdsml.layers.")
    if isinstance(layer, BatchNorm):
        return len(placed.in_shape) == 2
    return not own or isinstance(layer, RNN | LSTM | GRU | Bidirectional | Conv1D | Embedding)


def read_examples(model, X, y, sample_weight, mask, *, reset) -> Dataset:
    """The examples of a fit (``reset``) or a score, with features counted and named."""
    X, y, mask = unwrapped(X), unwrapped(y), unwrapped(mask)
    if y is None:
        raise ValueError(
            f"This {type(model).__name__} estimator requires y to be passed, but the target y "
            "is None. Call fit(X, y)."
        )
    options = model._target_options
    if options.get("labels"):
        several = "multi_output" in options and (reset or model._multilabel)
        several &= getattr(y, "shape", ())[1:] != (1,)
        if not several:
            check_label_rows(y, of_steps="y_steps" in options)
        options = options | {"multi_output": several}
    examples = validated(model, X, mask, y=y, sample_weight=sample_weight, **options)
    count_features(model, X, examples, reset)
    if reset:
        model._target_names = target_names(y)
    if isinstance(examples.mask, np.ndarray) and not examples.mask.any():
        raise ValueError("mask hides all steps: expected True at those that count.")
    return examples if examples.w is None else checked(examples, "w", check_weights)


def training_examples(model, X, y, sample_weight, mask, first, classes=None) -> Dataset:
    """Examples with targets for the loss; what y is (and ``classes``) is learnt if ``first``."""
    examples = read_examples(model, X, y, sample_weight, mask, reset=first)
    if first:
        model._learn_targets(examples, classes)
    return model._targets.weighted(model._targets.encoded(examples))


def check_label_rows(y, of_steps) -> None:
    """Raise ValueError if y has a row of its own where a label is wanted, as one-hot codes have."""
    row = getattr(y, "shape", ())[1:]
    if len(row) > of_steps and row != (1,):
        wanted = "(T,), a label for each step" if of_steps else "a label"
        raise ValueError(
            f"y has rows of shape {row}, expected {wanted}. Turn one-hot rows into codes with "
            "np.argmax(y, axis=-1); for a label for each time step use SequenceTagger, for several "
            "labels of a row MLPClassifier."
        )


def validated(model, X, mask, **targets) -> Dataset:
    """X and mask, and what else is given, checked and aligned."""
    options = {"ranks": model._ranks, "any_dtype": True, "estimator": model}
    return validate_dataset(X, mask=mask, **options, **{"known_rows": True, **targets})


def count_features(model, X, examples, reset) -> None:
    """Count and name the columns of a table; rows of more axes have a shape in their place."""
    fitted = vars(model).get("_network")
    if len(examples.in_shape) == 1 and (reset or fitted is None or len(fitted.in_shape) == 1):
        validate_data(model, meta_of(X), skip_check_array=True, reset=reset)
    elif reset:
        model.n_features_in_ = int(np.prod(examples.in_shape))
        vars(model).pop("feature_names_in_", None)


def hold_out(model, examples, X_val, y_val, mask_val):
    """Examples to learn from and, with ``early_stopping``, those to be scored, or None."""
    if X_val is not None:
        held_out = read_examples(model, X_val, y_val, None, mask_val, reset=False)
        return examples, model._targets.encoded(held_out)
    if not model.early_stopping:
        return examples, None
    stratify = model._targets.metric == "accuracy"
    return split(examples, model.validation_fraction, seed_of(model), stratify)


class RowCounts(NamedTuple):
    """Rows of a call, the mean weight of a row, and the mean rows of an epoch so far."""

    n_rows: int
    mean_weight: float
    epoch_rows: float


def count_rows(examples, of_steps, before=None) -> RowCounts:
    """Count examples, whose steps have weights if ``of_steps``; those of a stream join the others.

    ``before`` is the `TrainState` that training goes on from, None where it begins.
    """
    n_rows, weight = examples.n_rows, summed_weight(examples, of_steps)
    if before is None or not before.epoch:
        check_weight(weight)
        return RowCounts(n_rows, weight / n_rows, n_rows)
    mean_weight = (before.weight + weight) / (before.n_rows + n_rows)
    return RowCounts(n_rows, mean_weight, before.n_rows / before.epoch)


def check_weight(weight) -> None:
    """Raise ValueError unless the summed weight of rows is positive."""
    if not weight > 0.0:
        raise ValueError(
            "No row (or step) has a positive weight; with all at zero there is nothing to learn "
            "from. Expected sample_weight and class_weight above 0, and a mask that leaves steps."
        )


def unwrapped(X) -> Any:
    """The array behind a `WindowedSequences`; anything else as it is."""
    return X.X if isinstance(X, WindowedSequences) else X


def check_channels(layers, in_shape) -> None:
    """Raise ValueError if rows of X look like images with their channels last."""
    of_images = [each for each in layers if isinstance(each, Conv2D | MaxPool2D | AveragePool2D)]
    if not of_images or told_format(layers) is not None or len(in_shape) != 3:
        return
    if in_shape[2] in CHANNELS and in_shape[0] > max(CHANNELS) < in_shape[1]:
        raise ValueError(
            f"X has rows of shape {tuple(in_shape)}, which look like images with their channels "
            f"last: {type(of_images[0]).__name__} takes (channels, height, width). Pass "
            "X.transpose(0, 3, 1, 2), or data_format='channels_last' of Conv2D, pooling layers or "
            "CNNClassifier; 'channels_first' takes them as they are."
        )


def check_shape(in_shape) -> None:
    """Raise ValueError unless ``in_shape`` can be the shape of one row."""
    good = isinstance(in_shape, tuple | list) and in_shape
    if not good or not all(isinstance(k, numbers.Integral) and int(k) > 0 for k in in_shape):
        raise ValueError(
            "in_shape must be the shape of one row, a tuple of positive integers such as (784,), "
            f"got {in_shape!r}."
        )
