"""What linear classifiers share: labels, their weights, predictions in the user's labels."""

from __future__ import annotations

import numbers
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from daskdsml.data.encode import LabelCodes
from daskdsml.data.labels import check_class_weight, class_weights
from daskdsml.linear_model._initial import null_evaluation
from daskdsml.linear_model._iterative import IterativeModel
from daskdsml.losses.logistic import Logistic
from daskdsml.losses.multinomial import Multinomial
from daskdsml.losses.penalties.l1_l2 import L1L2
from daskdsml.losses.penalties.l2 import L2
from daskdsml.passes.evaluate import hits, likeliest
from daskdsml.utils.validation import check_flag, check_number


class LinearClassifier(ClassifierMixin, IterativeModel):
    """Base of logistic and multinomial regression; see `LogisticRegression`."""

    _labels = True

    def _loss(self, found):
        n_classes = len(found.labels)
        return Logistic() if n_classes == 2 else Multinomial(n_classes)

    def _codes(self, found) -> LabelCodes:
        return LabelCodes(found.labels, self._class_weights(found))

    def _total_weight(self, found) -> float:
        return float(self._weighted_counts(found).sum())

    def _weighted_counts(self, found):
        """Summed weights (K,) of the classes' rows, with those of the classes."""
        weights = self._class_weights(found)
        return found.counts if weights is None else found.counts * np.asarray(weights)

    def _class_weights(self, found) -> tuple[float, ...] | None:
        """Weights of the classes, or None if they weigh the same."""
        return class_weights(self.class_weight, found.labels, found.counts)

    def _first(self, problem, found):
        """The optimum of the intercepts alone: logarithms of the class shares."""
        theta = np.zeros((problem.n_outputs, problem.size // problem.n_outputs))
        counts = self._weighted_counts(found)
        if self.fit_intercept and counts.all():
            logs = np.log(counts)
            theta[:, -1] = logs - logs.mean() if problem.loss.coupled else logs[1] - logs[0]
        return theta.ravel()

    def _warm(self, problem):
        theta = super()._warm(problem)
        if theta is None or not problem.loss.coupled or problem.penalty.l1:
            return theta
        # Classes may all be moved alike without any effect: the penalty wants them to sum to zero.
        rows = theta.reshape(problem.n_outputs, -1)
        return (rows - rows.mean(axis=0)).ravel()

    def _known(self, problem, found, theta):
        given = self._class_weights(found)
        weights = np.ones(len(found.counts)) if given is None else np.asarray(given)
        counts, sums = found.counts * weights, found.sums * weights[:, None]
        return null_evaluation(problem, theta, counts, sums)

    def _publish_classes(self, labels, thetas) -> None:
        """Coefficients and intercepts from parameters (K, d)."""
        p = self.n_features_in_
        self.classes_ = labels
        self.coef_ = thetas[:, :p].copy()
        self.intercept_ = thetas[:, p].copy() if self.fit_intercept else np.zeros(len(thetas))

    def _check_classifier(self) -> None:
        """Raise ValueError if a parameter that all classifiers have cannot be used."""
        check_number(self, "tol", 0)
        check_number(self, "max_iter", 1, integer=True)
        check_flag(self, "fit_intercept")
        if self.penalty != "deprecated":
            raise ValueError(
                f"penalty={self.penalty!r} is not taken: scikit-learn 1.9 deprecates it. Use C (or "
                "Cs) for its strength, C=np.inf for none, and l1_ratio (l1_ratios) for its kind."
            )
        if self.dual is not False:
            raise ValueError(
                f"dual={self.dual!r} is not taken: there is no dual solver. Use False."
            )
        if self.intercept_scaling != 1:
            raise ValueError(
                f"intercept_scaling={self.intercept_scaling!r} is not taken: the intercept is "
                "never penalised. Use 1."
            )
        if not (self.random_state is None or isinstance(self.random_state, numbers.Integral)):
            raise ValueError(f"random_state must be an integer or None, got {self.random_state!r}.")
        self._check_class_weight()

    def _check_class_weight(self) -> None:
        check_class_weight(self.class_weight)

    def _check_found(self, found) -> None:
        labels = found.labels.tolist()
        if len(labels) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of 2 classes or more, but y holds one class: "
                f"{labels[0]!r}. Check how y is made or filtered."
            )
        counts = self._weighted_counts(found)
        if not counts.all():
            raise ValueError(
                f"The rows of class {labels[int(np.argmin(counts))]!r} have no weight, so nothing "
                "tells when it is likely. Drop these rows, or give them a weight above 0 (see "
                "class_weight and sample_weight)."
            )

    def decision_function(self, X):
        """Raw scores ``x'b + b0``: (n,) of the second of two classes, (n, K) of more.

        Parameters
        ----------
        X : array (n, p), CSR, DataFrame, Dask Array or Dask DataFrame

        Returns
        -------
        array: a lazy Dask Array for a Dask collection, else NumPy.
        """
        check_is_fitted(self)
        return self._scores(X, _scores, columns=None if self._is_flat() else len(self.classes_))

    def predict(self, X):
        """The likeliest label of each row, in the labels' own dtype, shape (n,). Lazy as X is."""
        check_is_fitted(self)
        return self._scores(X, _Labels(self.classes_), dtype=self.classes_.dtype)

    def predict_proba(self, X):
        """Probabilities (n, K) of the classes in the order of ``classes_``. Lazy as X is."""
        check_is_fitted(self)
        return self._scores(X, probabilities, columns=len(self.classes_))

    def predict_log_proba(self, X):
        """Logarithms (n, K) of the probabilities, exact where these underflow. Lazy as X is."""
        check_is_fitted(self)
        return self._scores(X, log_probabilities, columns=len(self.classes_))

    def score(self, X, y, sample_weight=None) -> float:
        """Share of rows, by weight, whose label is predicted; one pass over X and y."""
        check_is_fitted(self)
        state = (self._predictor(), self.classes_)
        total = self._evaluate(hits, state, X, y, sample_weight, labels=True)
        return total.correct / total.stats.weight

    def _is_flat(self) -> bool:
        return len(self.classes_) == 2


def penalty_of(strength, l1_ratio):
    """The penalty of an elastic net of this strength, relative to the mean loss."""
    return L1L2(strength, l1_ratio) if l1_ratio and strength else L2(strength)


def probabilities(z):
    """Probabilities (n, K) from raw scores (n,) of the second of two classes or (n, K) of all."""
    if z.ndim == 1:
        return np.column_stack([Logistic().mean(np, -z), Logistic().mean(np, z)])
    return Multinomial(z.shape[1]).mean(np, z)


def log_probabilities(z):
    """Logarithms of `probabilities`, exact where these underflow."""
    if z.ndim == 1:
        return -np.logaddexp(0.0, np.column_stack([z, -z])).astype(z.dtype)
    return z - logsumexp(z, axis=1, keepdims=True)


def _scores(z):
    return z


class _Labels(NamedTuple):
    """Turns raw scores into labels."""

    classes: np.ndarray

    def __call__(self, z):
        return self.classes[likeliest(z)]
