"""What the estimators of gradient descent share: parameters, the loop over epochs, stopping."""

from __future__ import annotations

import time
import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from daskdsml.backends.numpy import NumPy
from daskdsml.contracts import Record
from daskdsml.engine.full.rows import open_rows
from daskdsml.linear_model._base import LinearModel, _whole
from daskdsml.linear_model._sgd_parameters import check_parameters, rule_of
from daskdsml.passes import stochastic
from daskdsml.passes.evaluate import LinearPredictor
from daskdsml.passes.loop import Progress
from daskdsml.passes.stochastic import HoldOut, SGDEpoch, SGDState
from daskdsml.passes.summary import SummaryRequest
from daskdsml.utils.early_stopping import DROP, EarlyStopping
from daskdsml.utils.validation import check_single_epoch, check_validation, outside, seed_of


class Validation(NamedTuple):
    """How to tell when to stop: ``score(sum of kernel((predictor, *facts)) over rows)``."""

    rows: Any
    kernel: Any
    facts: tuple
    score: Any


class SGD(LinearModel):
    """Base of the estimators of gradient descent.

    A subclass gives ``_losses`` (what makes the loss of each name, from the estimator),
    ``_targets(found)``, ``_validated(state, hold_out)`` and
    ``_publish_coefficients(coef, intercept, found)``; ``found`` is what the first look told.
    """

    loss_curve_: np.ndarray
    validation_scores_: np.ndarray | None

    _labels = False
    _losses: dict = {}

    def _descend(self, X, y, sample_weight, X_val, y_val) -> None:
        """Fit from the first epoch on."""
        self._check_parameters()
        check_validation(self, X_val, y_val)
        table = self._dataset(X, y, sample_weight, labels=self._labels)
        progress = Progress(type(self).__name__, self.verbose)
        rows, others = self._open(table), None
        try:
            found = self._look(rows, SummaryRequest(NumPy(), self._labels), progress)
            self._check_found(found)
            rows = self._with_targets(rows, found)
            if X_val is not None:
                others = self._open_validation(X_val, y_val, found)
            holds_out = self.early_stopping and others is None
            hold_out = HoldOut(self.validation_fraction if holds_out else 0.0, seed_of(self))
            state = self._begin(found, table.n_features)._replace(hold_out=hold_out)
            validation = None
            if self.early_stopping:
                kernel, facts, score = self._validated(state, hold_out if holds_out else None)
                validation = Validation(others or rows, kernel, facts, score)
            state, learn, objectives = self._epochs(rows, state, validation, progress)
        finally:
            progress.close()
            for opened in (rows, others):
                if opened is not None:
                    opened.close()
        grown = _grown(objectives)
        self.converged_ = not learn.any() and grown is None
        self._keep(state, found, rows, table, progress)
        if grown is not None:
            self._warn("'s objective grew from {:.3g} to {:.3g}".format(*grown), self._shorter())
        elif not self.converged_ and self.tol is not None:
            self._warn_of_end()

    def _descend_once(self, X, y, sample_weight, classes=None) -> None:
        """One epoch over the rows given, from where the last call ended."""
        self._check_parameters()
        check_single_epoch(self)
        first = not hasattr(self, "_models")
        table = self._dataset(X, y, sample_weight, labels=self._labels, reset=first)
        progress = Progress(type(self).__name__, self.verbose)
        rows = self._open(table)
        try:
            found = self._look(rows, SummaryRequest(NumPy(), self._labels), progress)
            found = self._known(found, classes)
            rows = self._with_targets(rows, found)
            state = self._begin(found, table.n_features)
            if not first:
                state = state._replace(models=self._continued(state.models))
            start = time.perf_counter()
            state = self._epoch(rows, state, int(state.models[0].number("t")))
            self._note(state, progress, start)
        finally:
            progress.close()
            rows.close()
        earlier = () if first else self.loss_curve_
        self.loss_curve_ = np.array([*earlier, *_curve([_losses(state)])])
        self.n_iter_ = 1
        self.validation_scores_ = None
        self.converged_ = False
        self._keep(state, found, rows, table, progress)

    def _continued(self, fresh) -> tuple:
        """The models of the last call; ``fresh`` ones show what these should look like."""
        shapes = [
            [[part.shape for part in each] for each in some] for some in (self._models, fresh)
        ]
        if shapes[0] != shapes[1]:
            raise ValueError(
                "penalty and average must be of the same kind in all calls of partial_fit: "
                "averages and L1 penalties are kept from the first update on. Call fit instead."
            )
        return tuple(self._models)

    def _with_targets(self, rows, found):
        codes = self._codes(found)
        if codes is None:
            return rows
        coded = rows.map(codes)
        rows.close()
        return coded

    def _begin(self, found, n_features) -> SGDEpoch:
        """SGDStates at zero or, with ``warm_start``, at the coefficients of the last fit."""
        targets, rule = self._targets(found), rule_of(self)
        n_models = 1 if targets.codes is None else len(targets.codes)
        coef, intercept = np.zeros((n_models, n_features)), np.zeros(n_models)
        fitted = np.atleast_2d(getattr(self, "coef_", np.empty((0, 0))))
        if self.warm_start and fitted.shape == coef.shape:
            coef, intercept = fitted, np.ravel(self.intercept_)
        models = tuple(SGDState.start(*each, rule) for each in zip(coef, intercept, strict=True))
        loss = self._losses[self.loss](self)
        return SGDEpoch(models, (True,) * n_models, loss, rule, targets)

    def _epochs(self, rows, state, validation, progress):
        """Epochs until all models have ended; the last state, and who would go on."""
        adaptive = self.learning_rate == "adaptive"
        stopping = EarlyStopping(self.tol, self.n_iter_no_change, adaptive)
        best, stale = np.full(len(state.models), np.inf), np.zeros(len(state.models), dtype=int)
        learn = np.ones(len(state.models), dtype=bool)
        curve, scores, objectives = [], [], []
        for epoch in range(self.max_iter):
            start = time.perf_counter()
            state = self._epoch(rows, state, epoch)
            curve.append(_losses(state))
            costs = self._note(state, progress, start)
            objectives.append(costs)
            if validation is not None:
                start = time.perf_counter()
                scores.append(np.where(state.learn, self._score_on(validation, state), np.nan))
                progress.add(Record("validation", time.perf_counter() - start))
                costs = -scores[-1]
            steps = np.array([model.number("eta") for model in state.models])
            best, stale, ended, slower = stopping.judge(costs, best, stale, steps)
            learn, steps = learn & ~ended, np.where(slower, steps / DROP, steps)
            paired = zip(state.models, steps, strict=True)
            models = tuple(model.with_numbers(eta=eta) for model, eta in paired)
            state = state._replace(models=models, learn=tuple(learn.tolist()))
            if not learn.any():
                break
        self.n_iter_ = epoch + 1
        self.loss_curve_ = _curve(curve)
        self.validation_scores_ = _curve(scores) if validation is not None else None
        return state, learn, np.array(objectives)

    def _epoch(self, rows, state: SGDEpoch, epoch: int) -> SGDEpoch:
        """Every row once."""
        state = stochastic.opened(state)
        if self.batch_size == "full":
            total = rows.run(stochastic.batch, state, f"{self._label}-batch")
            state = stochastic.with_batch(state, total)
        else:
            order = list(range(rows.n_shards))
            if self.shuffle:
                seed = (seed_of(self), stochastic.SHUFFLE_SHARDS, epoch)
                order = np.random.default_rng(seed).permutation(order).tolist()
                state = state._replace(shuffle=(seed_of(self), stochastic.SHUFFLE_ROWS, epoch))
            state = rows.fold(stochastic.advance, state, order, f"{self._label}-epoch")
        state = stochastic.closed(state)
        self._check_epoch(state, epoch)
        return state

    def _check_epoch(self, state, epoch) -> None:
        model = state.models[int(np.argmax(state.learn))]
        if not model.number("seen"):
            raise ValueError(
                f"validation_fraction={self.validation_fraction} leaves no row to learn from. "
                "Lower it, or pass X_val and y_val."
            )
        if not all(model.is_finite() for model in state.models):
            raise ValueError(
                f"{type(self).__name__} diverged in epoch {epoch + 1}: coefficients or losses are "
                f"no longer finite. {self._shorter()}."
            )

    def _shorter(self) -> str:
        steps = (
            "raise alpha, which sets the steps of learning_rate='optimal', or choose another "
            "learning_rate with a small eta0"
            if self.learning_rate == "optimal"
            else f"lower eta0 (now {self.eta0:g})"
        )
        return f"The steps are too long for this data: scale the columns, or {steps}"

    def _note(self, state, progress, start):
        """Keep the epoch in the history; returns the objectives (K,)."""
        rule = state.rule
        coefs = np.array([model.coef for model in state.models])
        size = rule.l1 * np.abs(coefs).sum(axis=1) + 0.5 * rule.l2 * (coefs**2).sum(axis=1)
        objectives = _losses(state) + size
        value = float(objectives[0]) if len(objectives) == 1 else float("nan")
        progress.add(Record("epoch", time.perf_counter() - start, value))
        return objectives

    def _score_on(self, validation, state) -> np.ndarray:
        """Accuracies (K,) or the coefficient of determination (1,) of the rows for validation."""
        parameters = [model.parameters(state.rule) for model in state.models]
        coef, intercept = (np.array(part) for part in zip(*parameters, strict=True))
        predictor = LinearPredictor(coef, intercept, flat=False)
        asked = (predictor, *validation.facts)
        total = validation.rows.run(validation.kernel, asked, f"{self._label}-validation")
        if not total.weight > 0.0:
            raise ValueError(
                f"No row with weight is left for validation: expected validation_fraction (now "
                f"{self.validation_fraction}) times the number of rows to be well above 1. Raise "
                "it, or pass X_val and y_val."
            )
        return np.atleast_1d(validation.score(total))

    def _open_validation(self, X_val, y_val, found):
        table = self._dataset(X_val, y_val, None, labels=self._labels, reset=False)
        rows = open_rows(table, self.cache, getattr(self, "n_jobs", None))
        looked = self._look(
            rows, SummaryRequest(NumPy(), self._labels), Progress("validation", False)
        )
        strangers = np.setdiff1d(looked.labels, found.labels)
        if strangers.size:
            raise ValueError(
                f"y_val holds {strangers[:10].tolist()}, but y holds {found.labels[:10].tolist()}. "
                "Use labels of y only."
            )
        return self._with_targets(rows, found)

    def _keep(self, state, found, rows, table, progress) -> None:
        """What a fit leaves behind."""
        parameters = [model.parameters(state.rule) for model in state.models]
        coef, intercept = (np.array(part) for part in zip(*parameters, strict=True))
        self._models = list(state.models)
        self.t_ = max(model.number("t") for model in state.models)
        self.n_passes_ = _whole(rows.n_rows_read / found.stats.n_rows + table.extra_reads)
        self.history_ = progress.history
        self._publish_coefficients(coef, intercept, found)

    def _warn_of_end(self) -> None:
        what = "validation score" if self.early_stopping else "objective"
        self._warn(
            f" stopped after max_iter={self.max_iter} epochs while the {what} was still improving "
            f"by more than tol={self.tol:g} within n_iter_no_change={self.n_iter_no_change} epochs",
            "Raise max_iter or tol; tol=None makes max_iter epochs without this warning",
        )

    def _warn(self, what, remedy) -> None:
        text = f"{type(self).__name__}{what}. {remedy}."
        warnings.warn(text, ConvergenceWarning, stacklevel=outside())

    def _check_parameters(self) -> None:
        """Raise ValueError if a parameter cannot be used."""
        check_parameters(self)


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
