"""Huber regression: linear regression robust to outliers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from daskdsml.data.dataset import is_dask_frame
from daskdsml.engine.full.predict import lazily
from daskdsml.linear_model._base import (
    LARGEST_GRAM,
    LinearRegressor,
    dataset_of,
    named_solver,
    predictor_of,
    publish,
)
from daskdsml.linear_model._generalized import check_penalised
from daskdsml.linear_model._initial import Start, hessian_at, minimize_sample, of_sample
from daskdsml.linear_model._iterative import (
    choose_solver,
    problem_of,
    run_solver,
    sampler_of,
    summary_request,
)
from daskdsml.linear_model._kept import kept_passes
from daskdsml.linear_model._least_norm import least_norm
from daskdsml.linear_model._sample import sample_size
from daskdsml.losses.huber_residual import HuberResidual
from daskdsml.losses.penalties.l2 import L2
from daskdsml.passes.concomitant import Concomitant, residuals
from daskdsml.passes.shift import Shift
from daskdsml.solvers._curvature import DenseHessian
from daskdsml.utils import registry
from daskdsml.utils.validation import check_number, set_parameters

# The start is the sample's optimum to this share of the scale, in so many rounds at most.
SCALE_TOL, MAX_ROUNDS = 1e-3, 50
# Steps on the sample in all rounds, and the multiply-adds of Hessians from which on they are fewer:
# with hardly more rows than columns the scale runs towards zero, and rounds never end.
MIN_STEPS, STEP_WORK = 30, 2**33
# A scale that falls faster than this leaves too few rows near to tell where the next one is.
MAX_SCALE_RATIO = 4.0
# With a scale this small and a gradient this large, in units of y's spread and of one row's slope,
# the fit is one of least absolute deviations, where the slope jumps.
VANISHED_SCALE = 1e-4


class HuberRegressor(LinearRegressor):
    """Least squares for small residuals, least absolute deviations for large ones.

    Minimises ``sum_i w_i (s + s H(r_i / s)) + alpha |b|**2`` over b, b0 and the scale ``s > 0``,
    with residuals ``r_i = y_i - x_i'b - b0``, ``H(u) = u**2`` for ``|u| <= epsilon`` and
    ``2 epsilon |u| - epsilon**2`` beyond: scikit-learn's objective, which is convex in all of them
    together. The intercept is never penalised. If y is multiplied by a number, so are b, b0 and s
    (without a penalty), and the outliers stay the same.

    The first read checks the data and draws a sample; from the sample's optimum, Newton needs about
    three more reads, whatever the scale of the columns.

    Parameters
    ----------
    epsilon : float
        From how many scales on a residual counts by its absolute value; at least 1, where the fit
        is one of least absolute deviations and s need not be unique.
    max_iter : int
        Most steps of the solver. A step takes a read, and another one where it went too far; the
        first read and that of the start are no steps.
    alpha : float
        Strength of the penalty, against the sum over rows; 0 for none.
    warm_start : bool
        Whether to start from the coefficients and the scale of the last fit.
    fit_intercept : bool
        Whether to fit ``b0``.
    tol : float
        The largest entry of the gradient of the mean objective, halved, for centred columns of unit
        spread, at which the fit ends; it has no unit. ``history_`` keeps it for each pass, and half
        the mean objective in units of the interquartile range of y.
    solver : {"auto", "newton", "lbfgs"}
        "newton" holds the Hessian of all p + 2 parameters; "lbfgs" does not: it begins with that of
        a sample, and takes more and cheaper reads. "auto" is as for `LogisticRegression`.
    verbose, n_jobs, cache, backend, checkpoint
        As for `LogisticRegression`.

    Attributes
    ----------
    coef_ : array (p,), float64
    intercept_ : float
    scale_ : float
        The scale s, in the units of y.
    outliers_ : array (n,) of bool
        Whether residuals are above ``epsilon`` scales; kept for data in this process's memory.
        Of Dask collections ``outliers(X, y)`` tells lazily.
    n_iter_, n_passes_, converged_, history_, solver_
        As for `LogisticRegression`.
    n_features_in_ : int
    feature_names_in_ : array (p,) of str, where X has names

    References
    ----------
    Huber, P. J. and Ronchetti, E. M. (2009). Robust Statistics, 2nd ed., section 7.7.
    """

    _label = "huber"
    _solvers = ("newton", "lbfgs")

    def __init__(
        self,
        *,
        epsilon=1.35,
        max_iter=100,
        alpha=0.0001,
        warm_start=False,
        fit_intercept=True,
        tol=1e-05,
        solver="auto",
        verbose=False,
        n_jobs=None,
        cache="auto",
        backend="auto",
        checkpoint=None,
    ):
        set_parameters(self, locals())

    def fit(self, X, y, sample_weight=None):
        """Fit coefficients and scale.

        Parameters, result, errors and warnings are those of `PoissonRegressor.fit`. A ValueError
        also tells of no scale above 0 that is optimal, as where rows are fitted exactly or
        ``epsilon`` is near 1.
        """
        check_penalised(self)
        check_number(self, "epsilon", 1, high=np.finfo(float).max)
        table = dataset_of(self, X, y, sample_weight)
        with kept_passes(self, table, named_solver(self)) as passes:
            # A start without a sample would be too far for a Hessian to tell the way.
            size = sample_size(table, all_rows=True)
            summary = passes.summarize(self, summary_request(self, table, size))
            sampler = sampler_of(self, table, summary, None, size)
            sample: Any = sampler()
            loss = HuberResidual(float(self.epsilon))
            problem = problem_of(self, loss, L2(0.0), summary.stats.weight, table, summary)
            problem = _with_scale(problem, _unit(sample), float(self.alpha))
            if self.fit_intercept:
                problem, sample = _moved(problem, sample, float(np.median(sample.y)))
            name = choose_solver(self, problem, table)
            result = run_solver(self, problem, passes, self._start(problem, sample, name))
        if name == "lbfgs" and not self.alpha:
            result = least_norm(self, problem, sampler, result)
        self._publish(result, problem, passes.n_passes(summary.stats.n_rows, table), name)
        mask = self.outliers(X, y)
        self._outliers = mask if isinstance(mask, np.ndarray) else None
        return self

    def _start(self, problem, sample, name) -> Start:
        """Where to start and the solver that starts there: the last fit, or a sample's optimum."""
        solver = registry.find("solvers", name)(tol=self.tol)
        warm = self._last_fit(problem)
        if warm is not None:
            return Start(warm, solver)
        theta = _location(problem, sample)
        if not of_sample(problem, sample).weight > 0.0:
            return Start(theta, solver)
        if len(sample.y) > problem.size or len(sample.y) == problem.n_rows:
            theta = _in_turn(problem, sample, solver._replace(tol=SCALE_TOL), theta)
        if name == "newton":
            return Start(theta, solver._replace(hessian=hessian_at(problem, sample, theta)))
        if problem.size <= LARGEST_GRAM:
            n_rows = len(sample.y) if len(sample.y) < problem.n_rows else np.inf
            hessian = hessian_at(problem, sample, theta)
            solver = solver._replace(curvature=DenseHessian.of(problem, hessian, n_rows))
        return Start(theta, solver)

    def _last_fit(self, problem):
        """The parameters (size,) of the last fit, if they are to be used and are as many."""
        if not self.warm_start or not hasattr(self, "scale_"):
            return None
        if len(self.coef_) + 1 != problem.n_features:
            return None
        theta = np.concatenate([self.coef_, [self.scale_], [self.intercept_]])
        return problem.shifted(theta[: problem.size]) / problem.backend.unit

    def _publish(self, result, problem, n_passes, solver) -> None:
        """Coefficients and scale, and how the fit went."""
        p, null_space = self.n_features_in_, result.null_space
        over = result.status not in ("max_iter", "interrupted")
        if over and result.theta[p] < VANISHED_SCALE and result.gradient_norm > VANISHED_SCALE:
            raise ValueError(
                "HuberRegressor finds no scale above 0: so many rows can be fitted exactly that "
                f"too few others are within epsilon={self.epsilon:g} scales. Raise epsilon, or use "
                "more rows or fewer columns."
            )
        if null_space is not None:
            null_space = np.delete(null_space, p, axis=0)
        # The scale keeps the optimum from lying at infinity.
        status = "stalled" if result.status == "separated" else result.status
        publish(self, result._replace(null_space=null_space, status=status), n_passes, solver)
        theta = problem.unshifted(result.theta * problem.backend.unit)
        coef, intercept = problem.by_output(theta)
        self.coef_, self.scale_ = coef[0, :-1].copy(), coef[0, -1]
        self.intercept_ = intercept[0]
        self.n_iter_ = result.n_iter

    def outliers(self, X, y):
        """Whether each row's residual is above ``epsilon`` scales, shape (n,). Lazy as X is."""
        check_is_fitted(self)
        table = dataset_of(self, X, y, None, reset=False)
        if is_dask_frame(X) and is_dask_frame(y) and y.ndim == 1:
            residuals = y - self.predict(X)  # with their partitions and index
        elif table.is_local:
            residuals = table.y - predictor_of(self)(table.X)
        else:
            scores = lazily(table.X, predictor_of(self), np.asarray, name="huber-predict")
            residuals = table.y - scores
        return abs(residuals) > self.scale_ * self.epsilon

    @property
    def outliers_(self):
        """The outliers (n,) among the rows of the fit, if they were in this process's memory."""
        if getattr(self, "_outliers", None) is None:
            raise AttributeError(
                "HuberRegressor keeps outliers_ of a fit to arrays in memory alone. Call "
                "outliers(X, y), which is as lazy as X and y are."
            )
        return self._outliers


def _with_scale(problem, unit, alpha):
    """The problem whose last coefficient, of no column, is the scale in units of ``unit``."""
    l2 = alpha * unit / problem.weight
    return problem._replace(
        # A scale near the root of the rounding is as good as none: F has no more digits there.
        backend=Concomitant(problem.backend, unit, l2, problem.epsilon**0.5),
        n_features=problem.n_features + 1,
        mean=np.append(problem.mean, 0.0),
        scale=np.append(problem.scale, 1.0),
    )


def _moved(problem, sample, target):
    """Problem and sample with ``target`` taken from y, which may lie far from zero too."""
    shift = (problem.shift or Shift())._replace(target=target)
    return problem._replace(shift=shift), sample._replace(y=sample.y - target)


def _unit(sample) -> float:
    """The interquartile range of sampled y, or what else tells of their spread; above 0."""
    y = np.asarray(sample.y, dtype=float)
    low, high = np.quantile(y, [0.25, 0.75])
    return next(float(u) for u in (high - low, np.std(y), np.abs(y).max(), 1.0) if u > 0.0)


def _location(problem, sample):
    """Parameters (size,) at which all rows are predicted alike."""
    theta = np.zeros(problem.size)
    theta[problem.n_features - 1] = 1.0
    if problem.fit_intercept:
        theta[-1] = np.median(sample.y) / problem.backend.unit
    return theta


def _in_turn(problem, sample, solver, theta):
    """Parameters near the sample's optimum: coefficients at a scale, and its scale, in turn.

    Each is the minimum of the convex objective in its own parameters, so it falls in every round.
    """
    within, p = problem.backend, problem.n_features - 1
    plain = problem._replace(
        backend=within.backend, n_features=p, mean=problem.mean[:p], scale=problem.scale[:p]
    )
    steps = max(MIN_STEPS, int(STEP_WORK / (len(sample.y) * problem.size**2)))
    for _ in range(MAX_ROUNDS):
        s = theta[p]
        rows = sample._replace(y=sample.y / (within.unit * s))
        fit = plain._replace(penalty=L2(within.l2 * s))
        result = minimize_sample(fit, rows, solver, np.delete(theta, p) / s, min(100, steps))
        location, steps = result.theta * s, steps - result.n_iter
        coef, intercept = plain.by_output(location)
        rest = residuals(sample, coef[0], intercept[0], within.unit)
        scale = _scale(rest, sample.w, problem.loss.epsilon, within.floor)
        theta = np.insert(location, p, max(scale, s / MAX_SCALE_RATIO))
        if abs(theta[p] - s) <= SCALE_TOL * s or steps <= 0:
            break
    return theta


def _scale(rest, w, epsilon, floor) -> float:
    """The scale s at which the mean of ``min(r, epsilon s)**2`` is ``s**2``.

    Newton's method in ``s**2``, from above: that mean is concave in it, so steps never go too far,
    and they end where no residual changes sides.
    """
    squares, w = rest**2, np.ones(len(rest)) if w is None else w
    square, before = w @ squares / w.sum(), np.inf
    while square < before:
        before = square
        near = squares <= epsilon**2 * square
        far = w.sum() - epsilon**2 * w[~near].sum()
        square = w[near] @ squares[near] / far if far > 0.0 else square
    return float(np.hypot(np.sqrt(square), floor))
