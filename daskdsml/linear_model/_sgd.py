"""What the estimators of gradient descent share: the loop over epochs, stopping, validation."""

from __future__ import annotations

import time
import warnings
from typing import Any, NamedTuple, Protocol

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from daskdsml.backends.numpy import NumPy
from daskdsml.contracts import Record
from daskdsml.engine.identity import described
from daskdsml.linear_model._base import Passes, dataset_of, dense_coef, passes_over
from daskdsml.linear_model._kept import kept_passes
from daskdsml.linear_model._sgd_parameters import PASSIVE, SCHEDULES, check_parameters, rule_of
from daskdsml.linear_model._strategy import strategy_of_descent
from daskdsml.passes import stochastic
from daskdsml.passes.evaluate import LinearPredictor
from daskdsml.passes.stochastic import HoldOut, SGDEpoch, SGDState, Targets
from daskdsml.passes.summary import DataSummary, SummaryRequest
from daskdsml.utils.checkpoint import how_to_go_on
from daskdsml.utils.early_stopping import DROP, EarlyStopping
from daskdsml.utils.validation import check_single_epoch, check_validation, outside, seed_of
from daskdsml.utils.variation import warn_of_descent


class TargetKind(Protocol):
    """What an estimator of gradient descent makes of y; ``summary`` is that of the first pass."""

    @property
    def labels(self) -> bool:
        """Whether y holds class labels."""

    def checked(self, summary: DataSummary) -> DataSummary:
        """The summary with all labels there will be; raises ValueError if y cannot be used."""

    def codes(self, summary: DataSummary) -> Any:
        """What turns the targets of a block into codes, or None."""

    def targets(self, summary: DataSummary) -> Targets: ...

    def scorer(self, targets: Targets, hold_out: HoldOut | None) -> tuple[Any, tuple, Any]:
        """The kernel of a validation, its arguments after the predictor, and the score of a sum."""


class Validation(NamedTuple):
    """How to tell when to stop: ``score(sum of kernel((predictor, *arguments)) over rows)``."""

    rows: Any
    kernel: Any
    arguments: tuple
    score: Any


def descend(model, kind: TargetKind, X, y, sample_weight, X_val, y_val, start) -> DataSummary:
    """Fit from the first epoch on and publish; returns the summary of the data.

    ``start`` are the coefficients and intercepts the user names, or None for each.
    """
    check_parameters(model)
    check_validation(model, X_val, y_val)
    strategy = strategy_of_descent(model)
    table = dataset_of(model, X, y, sample_weight, labels=kind.labels)
    others, facts = None, {}
    if X_val is not None:
        others = dataset_of(model, X_val, y_val, None, labels=kind.labels, reset=False)
        facts = {"rows for validation": described(others)}
    with kept_passes(model, table, strategy=strategy, **facts) as passes:
        summary = _summarize(model, kind, passes)
        warn_of_descent(model, summary.variation)
        holds_out = model.early_stopping and X_val is None
        hold_out = HoldOut(model.validation_fraction if holds_out else 0.0, seed_of(model))
        state = _begin(model, kind, summary, table.n_features, hold_out, start)
        if others is None:
            scorer = kind.scorer(state.targets, hold_out) if holds_out else None
            validation = scorer and Validation(passes.rows, *scorer)
            state, learn, objectives = _epochs(model, passes, state, strategy, validation)
        else:
            journal = passes.progress.journal
            with passes_over(model, others, label="validation", journal=journal) as held:
                _encode_validation(model, kind, held, summary)
                validation = Validation(held.rows, *kind.scorer(state.targets, None))
                state, learn, objectives = _epochs(model, passes, state, strategy, validation)
    worse = _grown(objectives)
    model.converged_ = not learn.any() and worse is None
    _publish(model, state, passes, summary, table)
    if _warn_of_clipping(model, state):
        model.converged_ = False
    elif passes.progress.interrupted:
        model.converged_ = False
        _warn(model, f" was interrupted after {model.n_iter_} epochs", how_to_go_on(model))
    elif worse is not None:
        _warn(model, "'s objective grew from {:.3g} to {:.3g}".format(*worse), _remedy(model))
    elif not model.converged_ and model.tol is not None:
        _warn_of_end(model)
    return summary


def descend_once(model, kind: TargetKind, X, y, sample_weight) -> DataSummary:
    """One epoch over the rows given, from where the last call ended; returns their summary."""
    check_parameters(model)
    check_single_epoch(model)
    strategy, first = strategy_of_descent(model), not hasattr(model, "_models")
    table = dataset_of(model, X, y, sample_weight, labels=kind.labels, reset=first)
    with passes_over(model, table, strategy=strategy) as passes:
        summary = _summarize(model, kind, passes)
        if first:
            warn_of_descent(model, summary.variation)
        state = _begin(model, kind, summary, table.n_features, HoldOut(seed=seed_of(model)))
        if not first:
            state = state._replace(models=_continued(model, state.models))
        start = time.perf_counter()
        epoch = int(state.models[0].number("t"))
        state = _run_epoch(model, passes.rows, state, strategy, epoch)
        _record(passes, state, start)
    earlier = () if first else model.loss_curve_
    model.loss_curve_ = np.array([*earlier, *_curve([_losses(state)])])
    model.n_iter_ = 1
    model.validation_scores_ = None
    model.converged_ = False
    _publish(model, state, passes, summary, table)
    _warn_of_clipping(model, state)
    return summary


def _summarize(model, kind: TargetKind, passes: Passes) -> DataSummary:
    """The first pass, after which rows have the targets of the loss."""
    summary = passes.summarize(model, SummaryRequest(NumPy(), kind.labels))
    summary = kind.checked(summary)
    passes.encode(kind.codes(summary))
    return summary


def _encode_validation(model, kind: TargetKind, passes: Passes, summary) -> None:
    """Let rows for validation have the targets of the loss, as those of the fit do."""
    labels = passes.summarize(model, SummaryRequest(NumPy(), kind.labels)).labels
    unknown = np.setdiff1d(labels, summary.labels)
    if unknown.size:
        raise ValueError(
            f"y_val holds {unknown[:10].tolist()}, but y holds {summary.labels[:10].tolist()}. "
            "Use labels of y only."
        )
    passes.encode(kind.codes(summary))


def _begin(model, kind: TargetKind, summary, n_features, hold_out, start=(None, None)) -> SGDEpoch:
    """SGDStates at zero, at ``start`` or, with ``warm_start``, at the last fit."""
    targets, rule = kind.targets(summary), rule_of(model)
    n_models = 1 if targets.codes is None else len(targets.codes)
    coef, intercept = start
    if model.warm_start and hasattr(model, "coef_"):
        coef = dense_coef(model) if coef is None else coef
        intercept = model.intercept_ if intercept is None else intercept
    coef = _started("coef_init", coef, (n_models, n_features))
    intercept = _started("intercept_init", intercept, (n_models,))
    models = tuple(SGDState.start(*each, rule) for each in zip(coef, intercept, strict=True))
    loss = model._losses[model.loss](model)
    return SGDEpoch(models, (True,) * n_models, loss, rule, targets, hold_out)


def _started(name, given, shape) -> np.ndarray:
    """Parameters to start from, or zeros where none are given."""
    if given is None:
        return np.zeros(shape)
    values = np.asarray(given, dtype=np.float64)
    got = f"shape {values.shape}" + " with NaN or infinity" * (not np.isfinite(values).all())
    # Of one model, scikit-learn takes its coefficients in any shape.
    values = values.reshape(shape) if shape[0] == 1 and values.size == np.prod(shape) else values
    if values.shape != shape or not np.isfinite(values).all():
        raise ValueError(
            f"{name} (with warm_start=True, what the last fit left) does not match the dataset: "
            f"expected finite numbers of shape {shape}, got {got}. Pass such an "
            "array, or None."
        )
    return values


def _continued(model, fresh) -> tuple:
    """The states of the last call; ``fresh`` ones show what these should look like."""
    shapes = [
        [[array.shape for array in state] for state in states] for states in (model._models, fresh)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "penalty and average must be of the same kind in all calls of partial_fit: "
            "averages and L1 penalties are kept from the first update on. Call fit instead."
        )
    return tuple(model._models)


class Epochs(NamedTuple):
    """Epochs so far: the last state, best costs (K,) and epochs since, and who goes on.

    Of each epoch there are mean losses, scores of a validation, and objectives, (K,) each.
    """

    state: SGDEpoch
    best: np.ndarray
    stale: np.ndarray
    learn: np.ndarray
    curve: tuple = ()
    scores: tuple = ()
    objectives: tuple = ()

    @classmethod
    def before(cls, state: SGDEpoch) -> Epochs:
        """Before the first one."""
        n = len(state.models)
        return cls(state, np.full(n, np.inf), np.zeros(n, dtype=int), np.ones(n, dtype=bool))


def _epochs(model, passes: Passes, state, strategy, validation):
    """Epochs until all models have ended; the last state, and who would go on."""
    epochs = passes.progress.resumed(Epochs.before(state))
    while len(epochs.curve) < model.max_iter and epochs.learn.any():
        try:
            epochs = _one_more(model, passes, epochs, strategy, validation)
        except KeyboardInterrupt:
            if not epochs.curve:
                raise
            passes.progress.interrupted = True
            break
        passes.progress.keep(epochs)
    model.n_iter_ = len(epochs.curve)
    model.loss_curve_ = _curve(epochs.curve)
    model.validation_scores_ = _curve(epochs.scores) if validation is not None else None
    return epochs.state, epochs.learn, np.array(epochs.objectives)


def _one_more(model, passes: Passes, epochs: Epochs, strategy, validation) -> Epochs:
    """The epochs with one more."""
    start, scores = time.perf_counter(), epochs.scores
    state = _run_epoch(model, passes.rows, epochs.state, strategy, len(epochs.curve))
    curve = (*epochs.curve, _losses(state))
    costs = _record(passes, state, start)
    objectives = (*epochs.objectives, costs)
    if validation is not None:
        start = time.perf_counter()
        scores = (*scores, np.where(state.learn, _score_on(model, validation, state), np.nan))
        passes.progress.add(Record("validation", time.perf_counter() - start))
        costs = -scores[-1]
    steps = np.array([each.number("eta") for each in state.models])
    stopping = EarlyStopping(model.tol, model.n_iter_no_change, model.learning_rate == "adaptive")
    best, stale, ended, slower = stopping.judge(costs, epochs.best, epochs.stale, steps)
    learn, steps = epochs.learn & ~ended, np.where(slower, steps / DROP, steps)
    paired = zip(state.models, steps, strict=True)
    models = tuple(each.with_numbers(eta=eta) for each, eta in paired)
    state = state._replace(models=models, learn=tuple(learn.tolist()))
    return Epochs(state, best, stale, learn, curve, scores, objectives)


def _run_epoch(model, rows, state: SGDEpoch, strategy, epoch: int) -> SGDEpoch:
    """Every row once."""
    state = stochastic.opened(state)
    if model.batch_size == "full":
        total = rows.run(stochastic.batch, state, f"{model._label}-batch")
        state = stochastic.with_batch(state, total)
    else:
        order = list(range(rows.n_shards))
        if model.shuffle:
            seed = state.hold_out.seed
            draws = np.random.default_rng((seed, stochastic.SHUFFLE_SHARDS, epoch))
            order = draws.permutation(order).tolist()
            state = state._replace(shuffle=(seed, stochastic.SHUFFLE_ROWS, epoch))
        name = f"{model._label}-epoch"
        state = strategy.epoch(stochastic.advance, state, rows, order, name)
    state = stochastic.closed(state)
    _check_epoch(model, state, epoch)
    return state


def _check_epoch(model, state, epoch) -> None:
    first = state.models[int(np.argmax(state.learn))]
    if not first.number("seen"):
        raise ValueError(
            f"validation_fraction={model.validation_fraction} leaves no row to learn from. "
            "Lower it, or pass X_val and y_val."
        )
    if not all(each.is_finite() for each in state.models):
        raise ValueError(
            f"{type(model).__name__} diverged in epoch {epoch + 1}: coefficients or losses are "
            f"no longer finite. {_remedy(model)}."
        )


def _remedy(model) -> str:
    steps = (
        "raise alpha, which sets the steps of learning_rate='optimal', or choose another "
        "learning_rate with a small eta0"
        if model.learning_rate == "optimal"
        else f"lower eta0 (now {model.eta0:g})"
    )
    return f"The steps are too long for this data: scale the columns, or {steps}"


@np.errstate(over="ignore")  # finite coefficients may have squares that are not
def _record(passes: Passes, state, start) -> np.ndarray:
    """Keep the epoch in the history; returns the objectives (K,)."""
    rule = state.rule
    coefs = np.array([each.coef for each in state.models])
    objectives = _losses(state)
    if rule.schedule not in map(SCHEDULES.get, PASSIVE):  # whose steps lower the loss alone
        objectives += rule.l1 * np.abs(coefs).sum(axis=1) + 0.5 * rule.l2 * (coefs**2).sum(axis=1)
    value = float(objectives[0]) if len(objectives) == 1 else float("nan")
    passes.progress.add(Record("epoch", time.perf_counter() - start, value))
    return objectives


def _parameters(state) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (K, p) and intercepts (K,)."""
    parameters = [each.parameters(state.rule) for each in state.models]
    coef, intercept = (np.array(values) for values in zip(*parameters, strict=True))
    return coef, intercept


def _score_on(model, validation, state) -> np.ndarray:
    """Accuracies (K,) or the coefficient of determination (1,) of the rows for validation."""
    request = (LinearPredictor(*_parameters(state), flat=False), *validation.arguments)
    total = validation.rows.run(validation.kernel, request, f"{model._label}-validation")
    if not total.weight > 0.0:
        raise ValueError(
            f"No row with weight is left for validation: expected validation_fraction (now "
            f"{model.validation_fraction}) times the number of rows to be well above 1. Raise "
            "it, or pass X_val and y_val."
        )
    return np.atleast_1d(validation.score(total))


def _publish(model, state, passes: Passes, summary, table) -> None:
    """What a fit leaves behind: coefficients (K, p) and intercepts (K,) among them."""
    model.coef_, model.intercept_ = _parameters(state)
    model._models = [each.with_numbers(clipped=0.0) for each in state.models]
    model.t_ = max(each.number("t") for each in state.models)
    model.n_passes_ = passes.n_passes(summary.stats.n_rows, table)
    model.history_ = passes.progress.history


def _warn_of_clipping(model, state) -> bool:
    """Warn if the loss of some rows was too steep to follow; returns whether."""
    n_rows = sum(each.number("clipped") for each in state.models)
    if n_rows:
        what = f" clipped the derivative of a row's loss to 1e12 in size, {n_rows:.0f} time(s)"
        _warn(model, what, _remedy(model))
    return n_rows > 0


def _warn_of_end(model) -> None:
    what = "validation score" if model.early_stopping else "objective"
    _warn(
        model,
        f" stopped after max_iter={model.max_iter} epochs while the {what} was still improving "
        f"by more than tol={model.tol:g} within n_iter_no_change={model.n_iter_no_change} epochs",
        "Raise max_iter or tol; tol=None makes max_iter epochs without this warning",
    )


def _warn(model, what, remedy) -> None:
    text = f"{type(model).__name__}{what}. {remedy}."
    warnings.warn(text, ConvergenceWarning, stacklevel=outside())


def _losses(state) -> np.ndarray:
    """Mean loss (K,) of the rows of this epoch, NaN of models that have ended."""
    pairs = zip(state.models, state.learn, strict=True)
    return np.array([m.number("loss") / m.number("seen") if on else np.nan for m, on in pairs])


def _curve(values) -> np.ndarray:
    """A list of (K,) as (n,) for one model, else (n, K)."""
    curve = np.array(values)
    return curve[:, 0] if curve.shape[1] == 1 else curve


def _grown(objectives):
    """The first and last objective of a model whose every epoch made it worse; None if none."""
    for path in objectives.T:
        path = path[np.isfinite(path)]
        if len(path) > 2 and (np.diff(path) > 0.0).all() and path[-1] > 2.0 * path[0]:
            return path[0], path[-1]
    return None
