"""The protocols and value types every part of the package speaks in; anyone may import it.

Symbols
-------
``n`` rows, ``p`` columns of X, ``K`` outputs, ``d`` parameters of one model (``p + 1`` with an
intercept, which is always the last parameter).

``X (n, p)``, target ``y (n,)`` or ``(n, K)``, weights ``w (n,)`` or None for all ones, raw score
``z (n,)``, parameters ``theta (d,)`` or ``(K, d)``; ``xp`` is a namespace with NumPy's functions.
A loss of K coupled outputs has ``z (n, K)``; solvers see its parameters as one vector
``theta (K d,)``, output by output. ``M`` models are trained at once, on rows in ``G`` groups.

Every objective is ``sum_i w_i loss_i / sum_i w_i + penalty(theta)``; the intercept is never
penalised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np


class Block(NamedTuple):
    """Consecutive rows as a kernel receives them.

    ``X (n, p)`` is a C-contiguous float array or a SciPy CSR matrix; ``y`` is (n,), (n, K) or None;
    ``w`` is (n,) float64 or None; ``g`` is (n,), the group of each row (the cell of a
    cross-validation, or the cluster of a covariance), or None; ``id`` is (shard, position in the
    shard), which seeds whatever a kernel draws at random, so that a draw depends on the data alone
    and not on scheduling.
    """

    X: Any
    y: Any = None
    w: Any = None
    g: Any = None
    id: tuple[int, int] = (0, 0)


class Evaluation(NamedTuple):
    """An objective at one parameter vector.

    ``gradient (size,)`` and ``hessian`` (or None) are those of the smooth part: the loss and the
    squares of a penalty; a Hessian of some columns alone has the parameters of these.
    ``cells (2, G)`` are the summed losses of the rows of each group, and their weights; None where
    there are no groups.
    """

    value: float
    gradient: np.ndarray
    hessian: np.ndarray | None
    cells: np.ndarray | None = None


class Record(NamedTuple):
    """One pass over the data, as ``history_`` keeps it.

    ``seconds`` is the wall time of the pass and of the step it led to; ``objective`` the mean loss
    plus penalty; ``gradient_norm`` the KKT residual: the largest absolute gradient entry with every
    column scaled to unit spread, or, for a penalty with kinks, the largest distance of an entry
    from the penalty's subdifferential; ``step`` the fraction of the proposed step that led here.
    ``models`` were evaluated by the pass; of many, objective and step are not told, and
    ``gradient_norm`` is that of the worst.
    """

    name: str
    seconds: float
    objective: float = float("nan")
    gradient_norm: float = float("nan")
    step: float = float("nan")
    models: int = 1


class PathSpec(NamedTuple):
    """One path of a fit: one output under penalties of falling strength.

    ``alphas`` are strengths in descending order, relative to the mean loss, or to the summed loss
    if ``summed``; an integer stands for that many, from the smallest that leaves no coefficient
    down to ``eps`` times it. They are fitted to all rows, and then to the rows of each of
    ``trains`` (tuples of labels of rows, which count as often as their label is named). ``output``
    is the column of y.
    """

    alphas: Any
    l1_ratio: float = 1.0
    output: int = 0
    eps: float = 1e-3
    summed: bool = False
    trains: tuple[tuple[int, ...], ...] = ()


class Fit(NamedTuple):
    """Coefficients of one model, the duality gap of its objective as a mean, and sweeps made."""

    coef: np.ndarray
    gap: float = 0.0
    n_iter: int = 1
    converged: bool = True


class Paths(NamedTuple):
    """What solvers of paths found.

    ``alphas`` of each spec, as it asked for them; ``fits[spec][i][alpha]``, where i is 0 for all
    rows and then counts its ``trains``. Coefficients are those of ``columns (m,)`` alone, all
    others are zero; ``groups`` has the moments of [X y] in these columns, by label of rows.
    """

    columns: np.ndarray
    groups: Any
    alphas: list[np.ndarray]
    fits: list[list[list[Fit]]]


class Result(NamedTuple):
    """What a strategy hands back to an estimator.

    ``status`` is "converged", "separated" (the optimum lies at infinity), "stalled" (no step lowers
    the objective) or "max_iter"; ``null_space (d, r)`` spans the directions the data say nothing
    about and is None where they fix all parameters; ``moments`` of [X y], the ``singular`` values
    (p,) of X, the ``paths`` of paths, the last ``hessian`` (of ``columns``, or of all if None), the
    losses and weights ``cells (2, G)`` of each group of rows and the KKT residual ``gradient_norm``
    are given by solvers that have them.
    """

    theta: np.ndarray
    n_iter: int
    status: str
    history: list[Record]
    null_space: np.ndarray | None = None
    moments: Any = None
    singular: np.ndarray | None = None
    paths: Paths | None = None
    hessian: np.ndarray | None = None
    columns: np.ndarray | None = None
    cells: np.ndarray | None = None
    gradient_norm: float = float("nan")


class SmoothProblem(Protocol):
    """What L-BFGS asks of the problem whose parameters ``theta (size,)`` it looks for.

    ``penalised (size,)`` is 1 for parameters with a penalty; ``unbounded`` tells that nothing but
    the data bounds the parameters. ``noise`` is the rounding error of a ``value`` of the objective,
    ``residual`` the largest entry of a ``gradient``, ``largest_move`` that of a step, all for
    parameters of like scale. ``standardized`` takes a gradient to such parameters and
    ``standardized_step`` a step, which ``original`` takes back; there the penalty's second
    derivatives are ``penalty_curvature``, a number or (size,).
    """

    penalty: Penalty
    penalised: np.ndarray
    unbounded: bool
    penalty_curvature: Any

    def noise(self, theta: np.ndarray, value: float) -> float: ...
    def residual(self, theta: np.ndarray, gradient: np.ndarray) -> float: ...
    def largest_move(self, step: np.ndarray) -> float: ...
    def standardized(self, gradient: np.ndarray) -> np.ndarray: ...
    def standardized_step(self, step: np.ndarray) -> np.ndarray: ...
    def original(self, step: np.ndarray) -> np.ndarray: ...


class Summable(Protocol):
    """What a kernel returns for one block. Addition follows the order of the rows."""

    def __add__(self, other: Any) -> Any: ...


Kernel = Callable[[Any, Block], Summable]


class Rows(Protocol):
    """A table laid out for passes over all its rows, in this process or on a cluster.

    ``run`` is the sum of ``kernel(state, block)`` over all blocks; ``fold`` the state after
    ``state = kernel(state, block)`` for one block after another, shards in ``order``; ``map`` the
    same rows with ``transform`` applied to every block; ``name`` says what a pass is for. Results
    depend on the layout of the data alone. ``close`` lets go of what is held.

    ``parts`` is what ``kernel(common, state, kept, rows)`` returns for each of ``states``, in one
    task each: part k of n has the shards k, k + n, ..., with ``run`` and ``fold``. With ``keep`` it
    also stays where it was made, for calls that give kernel and common of it as ``kept``.
    """

    n_rows_read: float

    def run(self, kernel: Kernel, state: Any, name: str) -> Any: ...
    def fold(
        self, kernel: Callable[[Any, Block], Any], state: Any, order: Any, name: str
    ) -> Any: ...
    def parts(
        self, kernel: Callable, common: Any, states: Any, name: str, keep: bool = False, kept=None
    ) -> list: ...
    def map(self, transform: Callable[[Block], Block]) -> Rows: ...
    def close(self) -> None: ...


class Loss(Protocol):
    """Loss of one row at a raw score, with its first two derivatives in the score.

    A NamedTuple of the loss's parameters. Stable for every finite score; written in functions of
    ``xp`` without branches, so that one source serves arrays on any device and compiled loops.

    A ``coupled`` loss takes ``n_outputs`` scores of a row together: ``z (..., K)`` and ``y (...)``
    give values (...), derivatives (..., K) and second derivatives (..., K, K).

    ``targets`` says what y is: "real" numbers, "positive" ones or "classes". SGD and networks offer
    the losses of their targets.
    """

    coupled: bool
    targets: str

    def value_and_derivative(self, xp: Any, y: Any, z: Any) -> tuple[Any, Any]: ...
    def second_derivative(self, xp: Any, y: Any, z: Any) -> Any: ...
    def mean(self, xp: Any, z: Any) -> Any: ...


class Penalty(Protocol):
    """A penalty on the parameters. ``scale (d,)`` is 0 where a parameter is not penalised.

    ``l1`` and ``l2`` are its factors of ``|theta_j|`` and of ``theta_j**2 / 2``.
    """

    l1: float
    l2: float

    def value(self, theta: np.ndarray, scale: np.ndarray) -> float: ...
    def gradient(self, theta: np.ndarray, scale: np.ndarray) -> np.ndarray: ...


class Solver(Protocol):
    """Decides the next parameters; its state is a NamedTuple with ``theta`` and ``status``.

    ``needs`` names what it asks of an objective: "gradient", "hessian", "column hessian" (of some
    columns), "moments" of all columns, "column gradient" (of all columns, with the moments of
    some), or "row products". One ``step`` costs at most one pass over the data where rows are
    spread. ``status`` is None while the solver goes on.

    Solvers that go from point to point can be stepped together, many models in one read: their
    state has the point to be evaluated next, ``trial``, and ``curved``, the Hessian wanted there
    (True, False, or an array of columns), and ``tell(state, here, problem)`` is the state after the
    Evaluation ``here``. A Hessian that is wanted may be missing: then it is too much at once.
    """

    needs: frozenset[str]

    def init(self, theta: np.ndarray) -> Any: ...
    def step(self, state: Any, objective: Any) -> Any: ...


@runtime_checkable
class Backend(Protocol):
    """Evaluates one block on one kind of device. Results are host arrays in float64."""

    def refuse(self) -> list[str]: ...
    def layers(self): ...
    def put(self, array): ...
    def get(self, array): ...
    def gradient(self, loss, block, coef, intercept, hessian): ...
    def models(self, loss, block, coef, intercept, member, curved): ...
    def moments(self, block): ...
    def column_sums(self, block, codes=None, n_codes=1): ...


class Strategy(Protocol):
    """The only place that knows how work is spread over the rows.

    ``provides`` names what a solver may need. With "gradient" or the like there is
    ``minimize(problem, rows, solver, theta, **options)``, a Result; with "batches"
    ``train(step, state, batches, epoch)``, an iterator of (state, records of steps), and
    ``reproducible``; with "epochs" ``epoch(kernel, state, rows, order, name)``, the state after
    every row. With ``n_parts`` or ``by_columns`` rows come so. ``check`` may raise ValueError.
    """

    provides: frozenset[str]

    def check(self) -> None: ...


class Metric(Protocol):
    """A score of predictions, the greater the better, from sums over rows.

    ``needs`` names what it compares with y: "probabilities" (n, K) of all classes, "labels" (n,),
    the codes of predicted classes, "scores" (n,), higher for the second of two classes, or (n, K),
    or "predictions" (n,) of a regression. ``count`` takes y (n,), codes of the classes 0 to
    ``n_classes - 1`` or a regression's target, what it needs as ``predicted``, and weights or
    None; all are finite. Sums of several models are counted from one read. ``value`` is the score
    of all.
    """

    needs: str

    def count(
        self, y: np.ndarray, predicted: np.ndarray, w: np.ndarray | None, n_classes: int
    ) -> Summable: ...
    def value(self, total: Any) -> float: ...
