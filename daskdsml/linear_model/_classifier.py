"""What linear classifiers share: labels, their weights, predictions in the user's labels."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from daskdsml.data.labels import LabelCodes, check_class_weight, class_weights
from daskdsml.linear_model._base import SparseCoefficients, evaluate, predict_rows, predictor_of
from daskdsml.linear_model._initial import null_evaluation
from daskdsml.losses.logistic import Logistic
from daskdsml.losses.multinomial import Multinomial
from daskdsml.losses.penalties.l1_l2 import L1L2
from daskdsml.losses.penalties.l2 import L2
from daskdsml.passes.evaluate import Labels, hits, log_probabilities, probabilities
from daskdsml.utils.validation import check_flag, check_number, check_seed, outside

PENALTIES = ("deprecated", "l1", "l2", "elasticnet", None)


class Categorical(NamedTuple):
    """The family of class labels: logistic loss of two classes, multinomial of more.

    ``class_weight`` is the user's; ``name`` is the estimator's, for messages.
    """

    class_weight: Any
    name: str

    labels = True
    products = False

    def check(self, summary) -> None:
        """Raise ValueError unless there are two classes whose rows have weight."""
        labels = summary.labels.tolist()
        if len(labels) < 2:
            raise ValueError(
                f"{self.name} needs samples of 2 classes or more, but y holds one class: "
                f"{labels[0]!r}. Check how y is made or filtered."
            )
        if not summary.counts.all():
            raise ValueError(
                f"The rows of class {labels[int(np.argmin(summary.counts))]!r} have no weight, so "
                "nothing tells when it is likely. Drop these rows, or give them a sample_weight "
                "above 0."
            )
        if not self.counts(summary).any():
            raise ValueError(
                "class_weight must leave a class with weight, but all in y have 0: no row would "
                "count. Give one of them a number above 0."
            )

    def weights(self, summary) -> tuple[float, ...] | None:
        """Weights of the classes, or None if they weigh the same."""
        return class_weights(self.class_weight, summary.labels, summary.counts)

    def codes(self, summary) -> LabelCodes:
        return LabelCodes(summary.labels, self.weights(summary))

    def counts(self, summary) -> np.ndarray:
        """Summed weights (K,) of the classes' rows, with those of the classes."""
        weights = self.weights(summary)
        return summary.counts if weights is None else summary.counts * np.asarray(weights)

    def weight(self, summary) -> float:
        return float(self.counts(summary).sum())

    def loss_of(self, summary):
        n_classes = len(summary.labels)
        return Logistic() if n_classes == 2 else Multinomial(n_classes)

    def null(self, problem, summary) -> np.ndarray:
        """The optimum of the intercepts alone: logarithms of the class shares."""
        theta = np.zeros((problem.n_outputs, problem.size // problem.n_outputs))
        counts = self.counts(summary)
        if problem.fit_intercept and counts.all():
            logs = np.log(counts)
            theta[:, -1] = logs - logs.mean() if problem.loss.coupled else logs[1] - logs[0]
        return theta.ravel()

    def null_evaluation(self, problem, summary, theta):
        weights = np.asarray(self.weights(summary) or np.ones(len(summary.labels)))
        counts, sums = summary.counts * weights, summary.sums * weights[:, None]
        return null_evaluation(problem, theta, counts, sums)


class LinearClassifier(SparseCoefficients, ClassifierMixin, BaseEstimator):
    """Base of linear classifiers: predictions from ``classes_``, ``coef_`` and ``intercept_``."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _family(self) -> Categorical:
        return Categorical(self.class_weight, type(self).__name__)

    def decision_function(self, X):
        """Raw scores: (n,) of the second of two classes, (n, K) of more. Lazy as X is."""
        check_is_fitted(self)
        n_classes = len(self.classes_)
        return predict_rows(self, X, np.asarray, None if n_classes == 2 else n_classes)

    def predict(self, X):
        """The likeliest label of each row, in the labels' own dtype, shape (n,). Lazy as X is."""
        check_is_fitted(self)
        return predict_rows(self, X, Labels(self.classes_), dtype=self.classes_.dtype)

    def predict_proba(self, X):
        """Probabilities (n, K) of the classes in the order of ``classes_``. Lazy as X is."""
        check_is_fitted(self)
        return predict_rows(self, X, probabilities, len(self.classes_))

    def predict_log_proba(self, X):
        """Logarithms (n, K) of the probabilities, exact where these underflow. Lazy as X is."""
        check_is_fitted(self)
        return predict_rows(self, X, log_probabilities, len(self.classes_))

    def score(self, X, y, sample_weight=None) -> float:
        """Share of rows, by weight, whose label is predicted; one pass over X and y."""
        check_is_fitted(self)
        state = (predictor_of(self), self.classes_)
        total = evaluate(self, hits, state, X, y, sample_weight, labels=True)
        return total.correct / total.stats.weight


def publish_classes(model, labels, thetas) -> None:
    """Coefficients and intercepts from parameters (K, d)."""
    p = model.n_features_in_
    model.classes_ = labels
    model.coef_ = thetas[:, :p].copy()
    model.intercept_ = thetas[:, p].copy() if model.fit_intercept else np.zeros(len(thetas))


def check_classifier(model) -> None:
    """Raise ValueError if a parameter that all classifiers have cannot be used."""
    check_number(model, "tol", 0)
    check_number(model, "max_iter", 1, integer=True)
    check_flag(model, "fit_intercept")
    if model.penalty not in PENALTIES:
        raise ValueError(
            f"Unknown penalty {model.penalty!r} of {type(model).__name__}: expected one of "
            f"{list(PENALTIES)}."
        )
    if model.dual is not False:
        raise ValueError(f"dual={model.dual!r} is not taken: there is no dual solver. Use False.")
    if model.intercept_scaling != 1:
        raise ValueError(
            f"intercept_scaling={model.intercept_scaling!r} is not taken: the intercept is "
            "never penalised. Use 1."
        )
    check_seed(model)
    check_class_weight(model.class_weight)


def strength_of(model) -> tuple[float, float]:
    """``C`` and ``l1_ratio``, as the deprecated ``penalty`` has them if it is given: a warning."""
    if model.penalty == "deprecated":
        return model.C, model.l1_ratio
    C = np.inf if model.penalty is None else model.C
    l1_ratio = {"l1": 1.0, "elasticnet": model.l1_ratio}.get(model.penalty, 0.0)
    ignored = [f"C={model.C!r}"] * (C != model.C and model.C != 1.0)
    ignored += [f"l1_ratio={model.l1_ratio!r}"] * (l1_ratio != model.l1_ratio != 0.0)
    warnings.warn(
        f"'penalty' of {type(model).__name__} is deprecated, as in scikit-learn since 1.8: use "
        f"C={C!r} and l1_ratio={l1_ratio!r} in place of penalty={model.penalty!r}"
        + (f", which leaves {' and '.join(ignored)} without effect." if ignored else "."),
        FutureWarning,
        stacklevel=outside(),
    )
    return C, l1_ratio


def penalty_of(strength, l1_ratio):
    """The penalty of an elastic net of this strength, relative to the mean loss."""
    return L1L2(strength, l1_ratio) if l1_ratio and strength else L2(strength)
