"""What neural classifiers share: labels, their weights, probabilities."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from daskdsml.data.labels import (
    check_class_weight,
    check_known,
    class_weights,
    classes_of,
    encode,
    known_classes,
    weigh,
)
from daskdsml.losses.logistic import Logistic
from daskdsml.losses.multinomial import Multinomial
from daskdsml.neural_network._model import NeuralModel, unwound
from daskdsml.neural_network._predictor import likeliest
from daskdsml.utils.validation import check_labels


class NeuralClassification(ClassifierMixin, NeuralModel):
    """Base of the classifiers and of the tagger."""

    _metric = "accuracy"
    _target_options = {"labels": True}
    # Axes of the scores of one row.
    _out_rank = 1

    def fit(self, X, y, sample_weight=None, mask=None, *, X_val=None, y_val=None, mask_val=None):
        """Train from new weights or, with ``warm_start``, from those of the last fit.

        Parameters
        ----------
        X : array (n, ...), Dask Array chunked by rows, DataFrame, or `WindowedSequences`
            Rows of the shape the first layer takes: (n, p), images (n, C, H, W), sequences
            (n, T, features).
        y : array (n,), series, or Dask collection of them
            Labels: numbers, strings or booleans, of two kinds or more; (n, T) of a tagger.
        sample_weight : array (n,), series, Dask collection of them, or None
            Factor of each row's loss.
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
            ``max_iter`` epochs did not bring what ``tol`` asks for.
        """
        self._named = None
        self._fit(X, y, sample_weight, mask, (X_val, y_val, mask_val))
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None, mask=None):
        """One epoch over the rows given, from where the last call (or a fit) ended.

        Parameters
        ----------
        X, y, sample_weight, mask : as for `fit`
        classes : array (K,) or None
            All labels there will be; the first call needs them.

        Returns
        -------
        self
        """
        self._learn_named(classes)
        self._fit_once(X, y, sample_weight, mask)
        return self

    def _dataset(self, X, y, sample_weight, mask, *, reset):
        row = getattr(unwound(y), "shape", ())[1:]
        if len(row) >= self._out_rank and row != (1,):
            wanted = "a label" if self._out_rank == 1 else "(T,), a label for each step"
            raise ValueError(
                f"y has rows of shape {row}, expected {wanted}. Turn one-hot rows into codes with "
                "np.argmax(y, axis=-1); for a label for each time step use SequenceTagger."
            )
        return super()._dataset(X, y, sample_weight, mask, reset=reset)

    def _targets(self, examples, first=True):
        """The examples with codes of classes; the classes are learnt where ``first``."""
        if first:
            found, counts = classes_of(examples)
            check_known(found)
            check_labels(found)
            named = getattr(self, "_named", None)
            self.classes_ = found if named is None else named
            if len(self.classes_) < 2:
                held = f"one class: {found.tolist()[0]!r}" if len(found) else "no label at all"
                raise ValueError(
                    f"{type(self).__name__} needs samples of 2 classes or more, but y holds "
                    f"{held}. Check how y (or mask) is made or filtered."
                )
            self._class_weight = class_weights(self.class_weight, self.classes_, counts)
        return encode(examples, self.classes_)

    def _weighted(self, examples):
        """The examples with weights of their classes: balanced ones are those of the first call."""
        if not isinstance(self.class_weight, str):
            self._class_weight = class_weights(self.class_weight, self.classes_, None)
        return examples if self._class_weight is None else weigh(examples, self._class_weight)

    def _loss(self, out_shape):
        """Softmax of K scores, or the logistic loss of one score of two classes."""
        K, wanted = len(self.classes_), "(K,)" if self._out_rank == 1 else "(T, K)"
        fits = out_shape[-1:] == (K,) or (K, out_shape[-1:]) == (2, (1,))
        if len(out_shape) != self._out_rank or not fits:
            raise ValueError(
                f"The last layer gives {out_shape} for each row, but y holds {K} classes: expected "
                f"{wanted} with K={K}. Let the last layer be Dense({K})."
            )
        return Logistic() if out_shape[-1] == 1 else Multinomial(K)

    def _learn_named(self, classes) -> None:
        """The classes of all calls of partial_fit."""
        known = getattr(self, "classes_", None)
        if classes is None and known is None:
            raise ValueError(
                "classes must be passed on the first call to partial_fit: all labels there will be."
            )
        if classes is not None:
            classes = known_classes(classes)
            if known is not None and not np.array_equal(known, classes):
                raise ValueError(
                    f"classes={classes[:10].tolist()} is not the same as on the last call to "
                    f"partial_fit: {known[:10].tolist()}. Pass all labels there will be at first."
                )
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs the labels of all rows, which partial_fit does not "
                "see. Pass a dict of weights."
            )
        self._named = classes if known is None else known

    def _check(self) -> None:
        check_class_weight(self.class_weight)
        super()._check()

    def predict(self, X, mask=None):
        """The likeliest label of each row, in the labels' own dtype. Lazy as X is.

        Parameters
        ----------
        X : array (n, ...), DataFrame, Dask collection or `WindowedSequences`
        mask : array (n, T) or None
            True at the steps of each sequence that count.
        """
        check_is_fitted(self)
        finish = _Labels(self.classes_)
        return self._predicted(X, mask, finish, lambda shape: shape[:-1], self.classes_.dtype)

    def predict_proba(self, X, mask=None):
        """Probabilities of the classes, in the order of ``classes_``, on the last axis. Lazy."""
        check_is_fitted(self)
        K = len(self.classes_)
        return self._predicted(X, mask, probabilities, lambda shape: (*shape[:-1], K), None)

    def predict_log_proba(self, X, mask=None):
        """Logarithms of `predict_proba`, exact where these underflow. Lazy as X is."""
        check_is_fitted(self)
        K = len(self.classes_)
        return self._predicted(X, mask, log_probabilities, lambda shape: (*shape[:-1], K), None)

    def score(self, X, y, sample_weight=None, mask=None) -> float:
        """Share of rows (steps of a tagger), by weight, whose label is predicted."""
        return self._score(X, y, sample_weight, mask)


class _Labels(NamedTuple):
    """Turns raw scores into labels."""

    classes: np.ndarray

    def __call__(self, z):
        return self.classes[likeliest(z)]


def probabilities(z):
    """Probabilities (..., K) from raw scores (..., K), or (..., 1) of the second of two classes."""
    if z.shape[-1] == 1:
        return np.concatenate([Logistic().mean(np, -z), Logistic().mean(np, z)], axis=-1)
    return Multinomial(z.shape[-1]).mean(np, z)


def log_probabilities(z):
    """Logarithms of `probabilities`, exact where these underflow."""
    if z.shape[-1] == 1:
        return -np.logaddexp(0.0, np.concatenate([z, -z], axis=-1)).astype(z.dtype)
    shifted = z - z.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
