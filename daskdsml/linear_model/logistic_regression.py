"""Binary logistic regression."""

from __future__ import annotations

import numbers
from typing import NamedTuple

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from daskdsml import registry
from daskdsml.data.door import Table
from daskdsml.data.encode import LabelCodes
from daskdsml.engine.rows import open_rows
from daskdsml.linear_model._base import LinearModel, check_flag, check_number
from daskdsml.loop import Progress
from daskdsml.losses.logistic import Logistic
from daskdsml.objective import Problem
from daskdsml.passes.evaluate import hits
from daskdsml.passes.targets import Look
from daskdsml.penalties.l2 import L2
from daskdsml.strategies.all_reduce import AllReduce

# A sample of m rows puts the start about sqrt(p / m) from the optimum, in units where 1 is far.
SAMPLE_ROWS, SAMPLE_ROWS_PER_COLUMN, SAMPLE_BYTES = 10_000, 200, 2**26
# A sample of more than this share of the rows costs more than the passes it saves.
SAMPLE_SHARE = 0.2


class LogisticRegression(ClassifierMixin, LinearModel):
    """Binary logistic regression with an L2 penalty or none, in a handful of reads of the data.

    Minimises ``sum_i w_i log(1 + exp(-s_i (x_i'b + b0))) + ||b||**2 / (2 C)``, ``s_i = 1`` for the
    second class and ``-1`` for the first: scikit-learn's objective; the intercept is not penalised.

    The first read checks the data and draws a sample; from the sample's optimum, Newton needs about
    three more reads, whatever the scale of the columns.

    Parameters
    ----------
    penalty : "deprecated"
        As in scikit-learn 1.9: use ``C``; ``C=np.inf`` means no penalty.
    C : float
        Inverse strength of the penalty, above 0; ``np.inf`` for none.
    l1_ratio : float
        Share of an L1 penalty; only 0 is supported so far.
    dual : bool
        Only False: there is no dual solver.
    tol : float
        Largest entry of the gradient of the mean objective, for centred columns of unit spread, at
        which the fit ends. Newton also wants the step that remains to be below a twentieth of a
        standard error, and then takes it.
    fit_intercept : bool
        Whether to fit ``b0``.
    intercept_scaling : float
        Only 1: the intercept is never penalised, so scaling it would change nothing.
    class_weight : dict, "balanced" or None
        Weight of each class, multiplied with ``sample_weight``; "balanced" weighs classes by
        ``n / (2 n_class)``, counted with ``sample_weight``.
    random_state : int or None
        Seed of the sample that the first read draws; None means 0, so that fits can be repeated.
    solver : {"auto", "newton", "lbfgs"}
        "newton" holds a p x p Hessian; "lbfgs" does not, and takes more reads. "auto" is "newton"
        up to 4096 columns.
    max_iter : int
        Most reads that the solver may take after the first look.
    verbose : bool
        Whether to show a progress bar with objective, criterion and seconds of each pass.
    warm_start : bool
        Whether to start from the coefficients of the last fit.
    n_jobs : int or None
        Threads for data in this process; None means all, or what ``dask.config`` says. On a cluster
        its workers' threads are used.
    cache : {"auto", "memory", "none"}
        Whether blocks are kept in (workers') memory after the first read: "auto" if they fit.
    backend : {"auto", "numpy", "numba", "cupy"}
        What evaluates a block; "auto" is "numba", or "numpy" for data below 2**24 entries.

    Attributes
    ----------
    classes_ : array (2,), the labels, sorted
    coef_ : array (1, p), float64
    intercept_ : array (1,)
    n_iter_ : array (1,)
        Passes the solver took over all rows.
    n_passes_ : int
        Complete reads of X, counted where blocks are read.
    converged_ : bool
    history_ : list of `daskdsml.contracts.Record`, one a pass
    solver_ : str
        The solver that ran.
    n_features_in_ : int
    feature_names_in_ : array (p,) of str, where X has names

    References
    ----------
    McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed., chapter 4.
    """

    _label = "logistic"
    _solvers = ("newton", "lbfgs")

    def __init__(
        self,
        penalty="deprecated",
        *,
        C=1.0,
        l1_ratio=0.0,
        dual=False,
        tol=1e-4,
        fit_intercept=True,
        intercept_scaling=1,
        class_weight=None,
        random_state=None,
        solver="auto",
        max_iter=100,
        verbose=False,
        warm_start=False,
        n_jobs=None,
        cache="auto",
        backend="auto",
    ):
        self.penalty = penalty
        self.C = C
        self.l1_ratio = l1_ratio
        self.dual = dual
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.max_iter = max_iter
        self.verbose = verbose
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.cache = cache
        self.backend = backend

    def fit(self, X, y, sample_weight=None):
        """Fit the coefficients.

        Parameters
        ----------
        X : array (n, p), CSR, DataFrame, Dask Array or Dask DataFrame
        y : array (n,), series, or Dask collection of them
            Labels of any two kinds: numbers, strings, booleans.
        sample_weight : array (n,), series, Dask collection of them, or None
            Weight of each row; an integer weight counts as that many equal rows.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If data or parameters cannot be used; the message says how to mend it.

        Warns
        -----
        ConvergenceWarning
            If ``tol`` is not reached in ``max_iter`` passes, or if the classes are separated and
            nothing keeps the coefficients finite.
        scipy.linalg.LinAlgWarning
            If columns depend on each other and ``C=np.inf``.
        """
        self._check_parameters()
        table = self._admit(X, y, sample_weight, labels=True)
        solver = self._find_solver(table.n_features, "newton", "lbfgs")
        rows = self._open(table)
        progress = Progress(type(self).__name__, self.verbose)
        try:
            found = self._look(rows, self._what_to_look_for(table, solver), progress)
            self._check_classes(found.labels)
            coded, rows = rows, rows.map(self._codes(found))
            coded.close()
            problem = self._problem(table, found)
            part = registry.find("solvers", solver)(tol=self.tol)
            strategy = AllReduce()
            registry.check_needs(part, strategy)
            theta, part = self._start(problem, found, part)
            result = strategy.minimize(
                problem, rows, part, theta, max_iter=self.max_iter, progress=progress
            )
        finally:
            progress.close()
            rows.close()
        p = table.n_features
        self.classes_ = found.labels
        self.coef_ = result.theta[None, :p].copy()
        self.intercept_ = result.theta[p:].copy() if self.fit_intercept else np.zeros(1)
        self.n_iter_ = np.array([result.n_iter], dtype=np.int32)
        self._publish(result, rows, table, found.census.n_rows, solver)
        return self

    def _problem(self, table, found) -> Problem:
        weights = self._class_weights(found)
        scales = self._scales(found, table)
        scales["weight"] = float(found.counts @ np.asarray(weights or (1.0, 1.0)))
        return Problem(
            Logistic(),
            L2(1.0 / (self.C * scales["weight"])),
            self._find_backend(found.census.n_rows * table.n_features),
            table.n_features,
            bool(self.fit_intercept),
            names=getattr(self, "feature_names_in_", None),
            label=self._label,
            **scales,
        )

    def _what_to_look_for(self, table, solver) -> Look:
        n, p = table.n_rows, table.n_features
        size = min(max(SAMPLE_ROWS, SAMPLE_ROWS_PER_COLUMN * p), SAMPLE_BYTES // (8 * p) + 1)
        if solver != "newton" or (n is not None and size > SAMPLE_SHARE * n):
            size = 0
        rate = 1.0 if n is None else min(1.0, 1.5 * size / n)
        seed = 0 if self.random_state is None else int(self.random_state)
        backend = self._find_backend(None if n is None else n * p)
        return Look(backend, True, size, rate, seed)

    def _codes(self, found) -> LabelCodes:
        return LabelCodes(found.labels, self._class_weights(found))

    def _class_weights(self, found) -> tuple[float, float] | None:
        """Weights of the two classes, or None if they weigh the same."""
        if self.class_weight is None:
            return None
        if isinstance(self.class_weight, str):
            return tuple(found.counts.sum() / (2.0 * found.counts))
        labels = found.labels.tolist()
        strangers = [key for key in self.class_weight if key not in labels]
        if strangers:
            raise ValueError(
                f"class_weight names {strangers}, but y holds {labels}. Use the labels of y."
            )
        return tuple(float(self.class_weight.get(label, 1.0)) for label in labels)

    def _start(self, problem, found, solver):
        """Where to start and the solver that starts there.

        At the coefficients of the last fit, a sample's optimum, or those of the class shares alone.
        """
        theta = np.zeros(problem.size)
        fitted = getattr(self, "coef_", None)
        if self.warm_start and fitted is not None and fitted.shape == (1, problem.n_features):
            theta[: problem.n_features] = fitted[0]
            if self.fit_intercept:
                theta[-1] = self.intercept_[0]
            return theta, solver
        if self.fit_intercept:
            counts = found.counts * np.asarray(self._class_weights(found) or (1.0, 1.0))
            theta[-1] = np.log(counts[1]) - np.log(counts[0]) if counts.all() else 0.0
        sample = found.sample.block()
        if sample is None or not {*np.unique(sample.y)} >= {*found.labels}:
            return theta, solver
        return _optimum_of_sample(problem, self._codes(found)(sample), solver, theta)

    def _check_parameters(self) -> None:
        check_number(self, "C", 0, strict=True)
        check_number(self, "tol", 0)
        check_number(self, "max_iter", 1, integer=True)
        check_flag(self, "fit_intercept", "warm_start")
        if self.penalty != "deprecated":
            raise ValueError(
                f"penalty={self.penalty!r} is not taken: scikit-learn 1.9 deprecates it. Use C for "
                "an L2 penalty and C=np.inf for none."
            )
        for name, only, why in (
            ("l1_ratio", 0.0, "only the L2 penalty is supported so far"),
            ("dual", False, "there is no dual solver"),
            ("intercept_scaling", 1, "the intercept is never penalised"),
        ):
            if getattr(self, name) != only:
                raise ValueError(f"{name}={getattr(self, name)!r} is not taken: {why}. Use {only}.")
        if not (self.random_state is None or isinstance(self.random_state, numbers.Integral)):
            raise ValueError(f"random_state must be an integer or None, got {self.random_state!r}.")
        good = self.class_weight is None or isinstance(self.class_weight, dict)
        if not good and self.class_weight != "balanced":
            raise ValueError(
                f"class_weight must be a dict, 'balanced' or None, got {self.class_weight!r}."
            )
        if isinstance(self.class_weight, dict):
            for label, weight in self.class_weight.items():
                if not (isinstance(weight, numbers.Real) and 0 <= weight < np.inf):
                    raise ValueError(
                        f"class_weight must hold a finite number of at least 0 for each label, got "
                        f"{weight!r} for {label!r}."
                    )

    def _check_classes(self, labels) -> None:
        if len(labels) == 1:
            raise ValueError(
                "LogisticRegression needs samples of 2 classes, but y holds one class: "
                f"{labels.tolist()[0]!r}. Check how y is made or filtered."
            )
        if len(labels) > 2:
            raise ValueError(
                f"Only binary classification is supported so far, but y holds {len(labels)} "
                f"classes: {labels[:5].tolist()}{' ...' * (len(labels) > 5)}. Wrap the model in "
                "sklearn.multiclass.OneVsRestClassifier, or keep two classes. Unknown label type."
            )

    def decision_function(self, X):
        """Raw scores ``x'b + b0``, positive where the second class is the likelier.

        Parameters
        ----------
        X : array (n, p), CSR, DataFrame, Dask Array or Dask DataFrame

        Returns
        -------
        array (n,): a lazy Dask Array for a Dask collection, else NumPy.
        """
        return self._scores(X, _scores)

    def predict(self, X):
        """The likelier label of each row, in the labels' own dtype, shape (n,). Lazy as X is."""
        check_is_fitted(self)
        return self._scores(X, _Labels(self.classes_), dtype=self.classes_.dtype)

    def predict_proba(self, X):
        """Probabilities (n, 2) of the classes in the order of ``classes_``. Lazy as X is."""
        return self._scores(X, _probabilities, columns=2)

    def predict_log_proba(self, X):
        """Logarithms (n, 2) of the probabilities, exact where these underflow. Lazy as X is."""
        return self._scores(X, _log_probabilities, columns=2)

    def score(self, X, y, sample_weight=None) -> float:
        """Share of rows, by weight, whose label is predicted; one pass over X and y."""
        check_is_fitted(self)
        state = (self._predictor(), self.classes_)
        total = self._evaluate(hits, state, X, y, sample_weight, labels=True)
        return total.correct / total.census.weight

    def _is_flat(self) -> bool:
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


def _optimum_of_sample(problem, block, solver, theta):
    """The optimum over sampled rows in random order, and the solver with its Hessian.

    ``theta`` and ``solver`` as they are if the sample has none. Most Newton steps are taken on the
    first tenth of the rows, where they cost a tenth.
    """
    start, hessian = theta, None
    for share in (0.1, 1.0):
        m = int(share * len(block.y))
        w = None if block.w is None else block.w[:m]
        weight = float(m if w is None else w.sum())
        if not weight > 0.0:
            continue
        part = problem._replace(n_rows=m, weight=weight, label="sample")
        rows = open_rows(Table(block.X[:m], block.y[:m], w), "memory")
        result = AllReduce().minimize(part, rows, solver, start, max_iter=30)
        converged = result.status == "converged"
        start, hessian = (result.theta, result.hessian) if converged else (theta, None)
    return start, solver._replace(hessian=hessian)


def _scores(z):
    return z


def _probabilities(z):
    second = Logistic().mean(np, z)
    return np.column_stack([Logistic().mean(np, -z), second])


def _log_probabilities(z):
    return -np.logaddexp(0.0, np.column_stack([z, -z]))


class _Labels(NamedTuple):
    """Turns raw scores (n,) into labels."""

    classes: np.ndarray

    def __call__(self, z):
        return self.classes[(z > 0).astype(int)]
