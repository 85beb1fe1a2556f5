"""Linear classification by stochastic, mini-batch or batch gradient descent."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from daskdsml.data.labels import LabelCodes, check_class_weight, known_classes
from daskdsml.linear_model._base import predict_rows
from daskdsml.linear_model._classifier import Categorical, LinearClassifier
from daskdsml.linear_model._sgd import descend, descend_once
from daskdsml.linear_model._sgd_parameters import losses_of
from daskdsml.linear_model.sgd_regressor import LOSSES as RESIDUAL_LOSSES
from daskdsml.losses.hinge import Hinge
from daskdsml.losses.logistic import Logistic
from daskdsml.losses.modified_huber import ModifiedHuber
from daskdsml.passes.stochastic import Right, Targets, right
from daskdsml.utils.validation import set_parameters

MARGIN_LOSSES = losses_of("classes") | {"perceptron": lambda estimator: Hinge(threshold=0.0)}
# Those whose scores tell probabilities.
PROBABLE = {"log_loss": Logistic(), "modified_huber": ModifiedHuber()}


def _has_probabilities(estimator) -> bool:
    if estimator.loss not in PROBABLE:
        raise AttributeError(
            f"loss={estimator.loss!r} has no probabilities: expected one of {list(PROBABLE)}. "
            "sklearn.calibration.CalibratedClassifierCV gives any classifier some."
        )
    return True


class OneVersusRest(NamedTuple):
    """Class labels, each told from the rest by a model of its own; of two, the second.

    ``margin`` tells whether the loss is one of margins, with targets 0 and 1 in place of -1 and 1;
    ``classes`` are all labels of `partial_fit`, or None for those of y.
    """

    family: Categorical
    margin: bool
    classes: np.ndarray | None = None

    labels = True

    def checked(self, summary):
        if self.classes is not None:
            unknown = np.setdiff1d(summary.labels, self.classes)
            if unknown.size:
                raise ValueError(
                    f"y holds {unknown[:10].tolist()}, which the first call to partial_fit did not "
                    f"name: its classes are {self.classes[:10].tolist()}. Name all labels there "
                    "will be."
                )
            summary = summary._replace(labels=self.classes, counts=np.ones(len(self.classes)))
        self.family.check(summary)
        return summary

    def codes(self, summary) -> LabelCodes:
        return LabelCodes(summary.labels)

    def targets(self, summary) -> Targets:
        n_classes = len(summary.labels)
        weights = self.family.weights(summary) or (1.0,) * n_classes
        low = 0.0 if self.margin else -1.0
        if n_classes == 2:
            return Targets(np.array([1]), low, np.array([weights]))
        return Targets(np.arange(n_classes), low, np.column_stack([np.ones(n_classes), weights]))

    def scorer(self, targets, hold_out):
        return right, (targets.codes, hold_out), Right.scores


class SGDClassifier(LinearClassifier):
    """Linear classification by gradient descent whose updates use one row, k rows, or all of them.

    Minimises ``sum_i w_i loss(y_i, x_i'b + b0) / n + alpha penalty(b)`` as scikit-learn does;
    ``b0`` is not penalised. Of more than two classes each is told from the rest by a model of its
    own; all models learn from the same read of a block.

    An epoch reads every row once. Blocks are gone through one after another, the next being read
    meanwhile; a batch goes on across blocks, and the last of an epoch may be shorter. ``shuffle``
    permutes shards (runs of neighbouring chunks) and the rows within each block: rows sorted by
    label should be shuffled before. The result depends on data, chunks and seed alone, without
    ``shuffle`` on the data alone (up to rounding), never on threads or workers. With
    ``batch_size="full"`` the gradient is a sum over blocks that are read in parallel.

    Coefficients meet an L1 penalty when a row has their column, as much as is due since; what
    would take them past zero makes them zero, and is due later [1]_. Steps are as long in each
    column, so columns should be scaled.

    Parameters
    ----------
    loss : str
        "hinge" (linear support vector machine), "log_loss" (logistic regression),
        "modified_huber", "squared_hinge", "perceptron", or a loss of `SGDRegressor` of targets -1
        and 1.
    penalty : {"l2", "l1", "elasticnet", None}
        ``||b||**2 / 2``, ``|b|_1``, or both by ``l1_ratio``.
    alpha : float
        Strength of the penalty against the mean loss.
    l1_ratio : float
        Share of L1 in "elasticnet".
    fit_intercept : bool
        Whether to fit ``b0``.
    max_iter : int
        Most epochs.
    tol : float or None
        A model ends when ``n_iter_no_change`` epochs in a row did not better its best objective
        (mean loss of the epoch's rows as they were met, plus penalty) or its best validation score
        by ``tol``; None makes ``max_iter`` epochs.
    shuffle : bool
        Whether each epoch has an order of its own; if not, rows are met in their own order.
    verbose : bool
        Whether to show a progress bar.
    epsilon : float
        For the losses of `SGDRegressor`.
    n_jobs : int or None
        Threads for the passes over data in this process; epochs of batches are one chain.
    random_state : int, RandomState or None
        Seed of all that is drawn; None means 0, so that fits can be repeated. A RandomState gives
        each fit a seed of its own.
    learning_rate : {"optimal", "constant", "invscaling", "adaptive", "pa1", "pa2"}
        Step of update t: ``1 / (alpha (t0 + t - 1))`` with ``t0 = alpha**-0.75``, so that the first
        step is ``alpha**-0.25`` [2]_; ``eta0``; ``eta0 / t**power_t``; ``eta0`` divided by 5
        whenever a model would end, which it does from 1e-6 on; for loss "hinge" and updates of one
        row, the passive-aggressive steps ``min(eta0, loss / |x|**2)`` and
        ``loss / (|x|**2 + 1 / (2 eta0))`` [3]_. Derivatives of a row's loss count as 1e12 at most.
    eta0, power_t : float
    early_stopping : bool
        Whether a validation score (accuracy of each model, of the coefficients that would be
        kept) tells when to end. The last coefficients are kept, not the best, as in scikit-learn.
    validation_fraction : float
        Share of rows drawn, each by itself, to be scored and not learnt from. Costs a second read
        an epoch, where blocks are not kept; ``X_val`` of `fit` does not.
    n_iter_no_change : int
    class_weight : dict, "balanced" or None
        Weight of each class; "balanced" is ``n / (K n_class)``, counted with ``sample_weight``.
        With more than two classes, a model's class has its weight and the rest have 1, as in
        scikit-learn.
    warm_start : bool
        Whether `fit` starts from the coefficients of the last fit; t begins at 1 again.
    average : bool or int
        Whether coefficients are averaged over all updates, or from that update on.
    batch_size : int or "full"
        Rows of an update: 1, k, or all rows of an epoch.
    cache : {"auto", "memory", "none"}
        Whether blocks are kept in (workers') memory after the first read: "auto" if they fit.
    strategy : {"auto", "all_reduce", "averaging"} or a strategy of `daskdsml.strategies`
        How work is spread: "all_reduce", which is "auto", is one chain of updates over all rows;
        "averaging" trains copies on parts of the rows at the same time, and averages them.
    checkpoint : str, path-like, `daskdsml.Checkpoint` or None
        File or URL where `fit` keeps what it has come to, for the same call to go on from after it
        was ended. It is removed when the fit is over.

    Attributes
    ----------
    classes_ : array (K,), the labels, sorted
    coef_ : array (1, p) of two classes, (K, p) of more, float64
    intercept_ : array (1,) or (K,)
    t_ : float
        1 plus the number of updates made, of the model that made most.
    n_iter_ : int
        Epochs.
    n_passes_ : int
        Complete reads of X: the summary, the epochs, and those that scored rows held out.
    converged_ : bool
        Whether all models ended before ``max_iter``.
    loss_curve_ : array (n_iter,) or (n_iter, K)
        Mean loss of each epoch's rows as they were met; NaN once a model has ended.
    validation_scores_ : array like ``loss_curve_``, or None
    history_ : list of `daskdsml.contracts.Record`, one a pass
    n_features_in_ : int
    feature_names_in_ : array (p,) of str, where X has names

    References
    ----------
    .. [1] Tsuruoka, Y., Tsujii, J. and Ananiadou, S. (2009). Stochastic gradient descent training
       for L1-regularized log-linear models with cumulative penalty. Proceedings of ACL-IJCNLP.
    .. [2] Bottou, L. (2012). Stochastic gradient descent tricks. Neural Networks: Tricks of the
       Trade.
    .. [3] Crammer, K., Dekel, O., Keshet, J., Shalev-Shwartz, S. and Singer, Y. (2006). Online
       passive-aggressive algorithms. JMLR 7, 551-585.
    """

    _label = "sgd-classifier"
    _losses = MARGIN_LOSSES | RESIDUAL_LOSSES

    def __init__(
        self,
        loss="hinge",
        *,
        penalty="l2",
        alpha=0.0001,
        l1_ratio=0.15,
        fit_intercept=True,
        max_iter=1000,
        tol=1e-3,
        shuffle=True,
        verbose=False,
        epsilon=0.1,
        n_jobs=None,
        random_state=None,
        learning_rate="optimal",
        eta0=0.01,
        power_t=0.5,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        class_weight=None,
        warm_start=False,
        average=False,
        batch_size=1,
        cache="auto",
        strategy="auto",
        checkpoint=None,
    ):
        set_parameters(self, locals())

    def fit(
        self, X, y, coef_init=None, intercept_init=None, sample_weight=None, X_val=None, y_val=None
    ):
        """Fit the coefficients, from zero or, with ``warm_start``, from those of the last fit.

        Parameters
        ----------
        X : array (n, p), CSR, DataFrame, Dask Array or Dask DataFrame
        y : array (n,), series, or Dask collection of them
            Labels: numbers, strings or booleans, of two kinds or more.
        coef_init, intercept_init : arrays shaped as ``coef_`` and ``intercept_``, or None
            Where to start.
        sample_weight : array (n,), series, Dask collection of them, or None
            Factor of each row's loss.
        X_val, y_val : as X and y, or None
            Rows that tell when to stop early, in place of a fraction of X.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If data or parameters cannot be used, or if coefficients grow without limit; the message
            names the remedy.

        Warns
        -----
        ConvergenceWarning
            If ``max_iter`` epochs did not bring what ``tol`` asks for.
        """
        check_class_weight(self.class_weight)
        start = (coef_init, intercept_init)
        targets = self._targets()
        self.classes_ = descend(self, targets, X, y, sample_weight, X_val, y_val, start).labels
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """One epoch over the rows given, from where the last call (or a fit) ended.

        Parameters
        ----------
        X, y, sample_weight : as for `fit`
        classes : array (K,) or None
            All labels there will be; the first call needs them. The last batch of a call may be
            short.

        Returns
        -------
        self
        """
        check_class_weight(self.class_weight)
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs the labels of all rows, which partial_fit does not "
                "see. Pass a dict of weights."
            )
        targets = self._targets(self._classes_of_all_calls(classes))
        self.classes_ = descend_once(self, targets, X, y, sample_weight).labels
        return self

    @available_if(_has_probabilities)
    def predict_proba(self, X):
        """Probabilities (n, K) of the classes in the order of ``classes_``. Lazy as X is.

        Those of one class against the rest (logistic function, or (1 + score) / 2 within [0, 1] for
        "modified_huber"), divided by their sum; all alike where all are zero.
        """
        check_is_fitted(self)
        return predict_rows(self, X, _Shares(PROBABLE[self.loss]), len(self.classes_))

    @available_if(_has_probabilities)
    def predict_log_proba(self, X):
        """Logarithms (n, K) of `predict_proba`; -inf where a probability is zero. Lazy as X is."""
        check_is_fitted(self)
        shares = _Shares(PROBABLE[self.loss])
        return predict_rows(self, X, _Logarithms(shares), len(self.classes_))

    def _classes_of_all_calls(self, classes):
        known = getattr(self, "classes_", None)
        if classes is None and known is None:
            raise ValueError(
                "classes must be passed on the first call to partial_fit: all labels there will be."
            )
        if classes is None:
            return known
        classes = known_classes(classes)
        if known is not None and not np.array_equal(known, classes):
            raise ValueError(
                f"classes={classes[:10].tolist()} is not the same as on the last call to "
                f"partial_fit: {known[:10].tolist()}. Pass all labels there will be at first."
            )
        return classes

    def _targets(self, classes=None) -> OneVersusRest:
        return OneVersusRest(self._family(), self.loss in MARGIN_LOSSES, classes)


class _Shares(NamedTuple):
    """Turns raw scores into probabilities."""

    loss: Any

    def __call__(self, z):
        share = self.loss.mean(np, z)
        if z.ndim == 1:
            return np.column_stack([self.loss.mean(np, -z), share])
        total = share.sum(axis=1, keepdims=True)
        alike = np.full_like(share, 1.0 / share.shape[1])
        return np.divide(share, total, out=alike, where=total > 0.0)


class _Logarithms(NamedTuple):
    """Turns raw scores into logarithms of probabilities."""

    shares: _Shares

    def __call__(self, z):
        with np.errstate(divide="ignore"):
            return np.log(self.shares(z))
