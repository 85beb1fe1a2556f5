"""The loop over epochs and mini-batches: what every neural estimator trains with."""

from __future__ import annotations

import time
import warnings
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from daskdsml.neural_network._kept import KeptTraining, Underway
from daskdsml.neural_network._step import Epoch, Failure, TrainConfig, TrainState, TrainStep
from daskdsml.neural_network.backprop import Backprop
from daskdsml.neural_network.network import Point
from daskdsml.passes.progress import History, bar
from daskdsml.utils.checkpoint import how_to_go_on
from daskdsml.utils.early_stopping import DROP, SMALLEST_RATE
from daskdsml.utils.interrupts import uninterrupted
from daskdsml.utils.validation import outside
from daskdsml.utils.variation import Variation, warn_of_descent


class RestOfEpoch(NamedTuple):
    """Batches, or parts, whose rounds begin with step number ``first`` of an epoch."""

    batches: Any
    first: int

    def rounds(self, epoch, *count):
        """See `daskdsml.network_contracts.Batches` and `daskdsml.network_contracts.Parts`."""
        return self.batches.rounds(epoch, *count, first=self.first)


def train_epochs(
    model, trainer: Trainer, batches, score=None, n_epochs=None, kept: KeptTraining | None = None
) -> None:
    """Epochs until one of the ends that were asked for; the best weights are put back.

    There is none where layers hold nothing that training changes.

    ``score(point)`` is that of the rows for validation, None without such; ``n_epochs`` are those
    of `partial_fit`, None for those of a fit, ``max_iter`` at most, which is ``kept``.
    """
    if not trainer.backprop.network.learns:
        model._publish(batches)
        model.converged_ = True
        warn(_nothing_to_learn(model))
        return
    of = f"/{model.max_iter}" if n_epochs is None else ""
    total = (n_epochs or model.max_iter) * batches.n_rows
    options = {"total": total, "unit": " rows", "unit_scale": True}
    # The bar is closed before a warning, which would stand in its line.
    with closing(TrainingBar(model, lambda epoch: f"epoch {epoch}{of}, ", **options)) as shown:
        try:
            unfinished = _epochs(model, trainer, batches, score, shown, n_epochs, kept)
        except KeyboardInterrupt:
            if kept is None or not trainer.underway.train_state.step:
                raise
            unfinished = kept.interrupted = True
            kept.keep(_standing(model, trainer))
            model._train_state = trainer.underway.ended()
    best = model._train_state.best_point
    if best is not None and n_epochs is None:
        model._train_state.point.theta[:] = best.theta
        model._train_state.point.statistics[:] = best.statistics
    model._publish(batches if kept is None else kept)
    if trainer.variation is not None:
        warn_of_descent(model, trainer.variation)
    model.converged_ = not (unfinished or n_epochs or trainer.failure)
    if kept is not None and kept.interrupted:
        warn(interrupted(model))
    elif trainer.failure is not None:
        warn(_failed(trainer.failure, model))
    elif unfinished and model.tol is not None and n_epochs is None:
        warn(_out_of_epochs(model))
    elif n_epochs is not None and trainer.has_ended(model):
        warn(_out_of_schedule(model))


def _epochs(model, trainer, batches, score, shown, n_epochs, kept) -> bool:
    """Make ``n_epochs`` unless one of the other ends comes; whether none of these came."""
    standing = None if kept is None else kept.resumed()
    if standing is not None:
        trainer.underway, history, trainer.variation = standing
        model._train_state, model.history_ = trainer.underway.train_state, History(history)
    for _ in range(n_epochs or max(model.max_iter - model._train_state.epoch, 0)):
        told = partial(_told, model, trainer, shown, kept)
        train_state, record = trainer.epoch(model._train_state, batches, told)
        if trainer.failure is not None:
            return False
        model._train_state = train_state
        if score is not None:
            record = record._replace(score=score(train_state.point))
        cost = record.loss if score is None else -record.score
        model._train_state, going = trainer.judged(train_state, cost, score is not None)
        model.history_.append(record)
        trainer.underway = Underway(model._train_state)
        model._publish(batches if kept is None else kept)
        shown.end(record)
        if ended_by_callback(model, record) or not going:
            return False
        if kept is not None and kept.is_due(ended=True):
            kept.keep(_standing(model, trainer))
    return True


def _told(model, trainer, shown, kept, record) -> None:
    """Show, and keep, what some steps have led to."""
    underway = trainer.underway
    shown.step(underway.train_state.epoch + 1, underway.met.objective, record.n_rows)
    if kept is not None and kept.is_due():
        kept.keep(_standing(model, trainer))


def _standing(model, trainer) -> tuple:
    """All that another process needs to go on."""
    return trainer.underway, list(model.history_), trainer.variation


def ended_by_callback(model, record) -> bool:
    """Whether a callback wants training to end; all are called."""
    return any([bool(callback(model, record)) for callback in model.callbacks or ()])


class Trainer:
    """Trains a network on mini-batches; ``n_epochs`` are planned, which schedules refer to."""

    def __init__(self, backprop: Backprop, config: TrainConfig, n_epochs: int, strategy):
        self._strategy = strategy
        self.backprop, self.config, self._n_epochs = backprop, config, n_epochs
        self.failure: Failure | None = None
        self.variation: Variation | None = None
        self.underway: Any = None

    def begin(self, point: Point) -> TrainState:
        """Before the first step; the arrays of ``point`` are copied, for steps change them."""
        state = self.config.solver.init(point.theta.copy())
        train_state = TrainState(state, point.statistics.copy())
        self.underway = Underway(train_state)
        return train_state

    def continues(self, train_state: TrainState) -> bool:
        """Whether a train state is one of this optimizer, and of this dtype."""
        theta = train_state.point.theta
        same = type(self.config.solver.init(theta[:0])) is type(train_state.state)
        return same and theta.dtype == self.backprop.network.dtype

    def epoch(self, train_state: TrainState, batches, told) -> tuple[TrainState, Epoch]:
        """Every row once, or those that are left of the epoch that is `Underway`.

        ``told(record)`` is called after some steps.
        """
        step = TrainStep(self.backprop, self.config, self._n_epochs, batches.steps_per_epoch)
        underway = self.underway
        if underway is None or not underway.met.n_steps:
            underway = Underway(train_state._replace(start=train_state.step))
        begun = time.perf_counter() - underway.seconds
        rest = RestOfEpoch(batches, underway.n_steps)
        rounds = self._strategy.train(step, underway.train_state, rest, train_state.epoch)
        while underway.met.failure is None:
            with uninterrupted() as step.hold:
                after = next(rounds, None)
                if after is None:
                    break
                met, seconds = sum(after[1], underway.met), time.perf_counter() - begun
                self.underway = underway = Underway(after[0], met, seconds)
            if met.failure is None:
                told(sum(after[1][1:], after[1][0]))
        train_state, met, _ = underway
        self.failure, self.variation = met.failure, self.variation or met.variation
        seconds = time.perf_counter() - begun
        rate = norm = float("nan")
        if met.n_steps:
            last = train_state._replace(step=train_state.step - 1)
            rate = self.config.solver.learning_rate * step.factor(last)
            norm = met.norm / met.n_steps
        sums = (met.objective, float("nan"), norm, rate, met.n_rows / seconds, met.step_losses)
        record = Epoch(train_state.epoch + 1, seconds, *sums)
        return underway.ended()._replace(epoch=record.epoch), record

    def judged(self, train_state: TrainState, cost: float, keep: bool) -> tuple[TrainState, bool]:
        """Take in the ``cost`` of an epoch: from where training goes on, and whether it does.

        ``keep`` copies the weights if it is the best one.
        """
        rate = self.config.solver.learning_rate * train_state.drop
        verdict = self.config.stopping.judge(cost, train_state.best, train_state.stale, rate)
        if cost < train_state.best:
            copy = Point(*map(np.copy, train_state.point)) if keep else None
            train_state = train_state._replace(best=cost, best_point=copy)
        if verdict.slower:
            train_state = train_state._replace(drop=train_state.drop / DROP)
        return train_state._replace(stale=int(verdict.stale)), not verdict.ended

    def has_ended(self, model) -> bool:
        """Whether the schedule, or "adaptive", left nothing of the learning rate."""
        rate = model.history_[-1].learning_rate
        dropped = self.config.stopping.adaptive and model._train_state.drop < 1.0
        return rate == 0.0 or (dropped and rate <= SMALLEST_RATE)


def warn(text) -> None:
    """Warn of what did not converge, at the user's own call."""
    warnings.warn(text, ConvergenceWarning, stacklevel=outside())


class TrainingBar:
    """A bar of training, where ``verbose`` asks for one: loss and the last validation score.

    ``prefix(epoch)`` is what it says before them; ``options`` are tqdm's.
    """

    def __init__(self, model, prefix, **options):
        self._bar = bar(type(model).__name__, **options) if model.verbose else None
        self._prefix, self._score = prefix, ""

    def step(self, epoch, loss, n) -> None:
        """Go ``n`` units ahead, in an ``epoch`` whose loss so far is ``loss``."""
        if self._bar is not None:
            text = f"{self._prefix(epoch)}loss {loss:.4g}{self._score}"
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(n)

    def end(self, record) -> None:
        """An epoch is over: its score stays in view until the next one."""
        if not np.isnan(record.score):
            self._score = f", validation score {record.score:.4g}"
        self.step(record.epoch, record.loss, 0)

    def close(self) -> None:
        """Take the bar away, leaving its last state in view."""
        if self._bar is not None:
            self._bar.close()


def _failed(failure: Failure, model) -> str:
    best = model._train_state.best_point
    left = "before this step" if best is None else "of the best epoch"
    where = "the gradient" if failure.layer is None else f"the output of layer {failure.layer}"
    return (
        f"{type(model).__name__} stopped at step {failure.step} in epoch {failure.epoch}: {where} "
        f"is not finite. The weights are those {left}. Lower learning_rate_init, set clip_norm, or "
        "scale the columns of X (and y, if it holds numbers)."
    )


def interrupted(model) -> str:
    """What tells of a fit that Ctrl-C has ended."""
    best = model._train_state.best_point
    left = "those it had come to" if best is None else "of the best epoch"
    return (
        f"{type(model).__name__} was interrupted in epoch {model.n_iter_ + 1}: the weights are "
        f"{left}. {how_to_go_on(model)}."
    )


def _nothing_to_learn(model) -> str:
    return (
        f"{type(model).__name__} made no epoch: none of its layers holds a parameter that is "
        "trainable, so there is nothing to learn. It predicts with the weights given or drawn; "
        "leave trainable=False out of a layer to train it."
    )


def _out_of_schedule(model) -> str:
    return (
        f"{type(model).__name__} learned nothing from these rows: learning_rate="
        f"{model.learning_rate!r} has come to its end at {model.history_[-1].learning_rate:.1g}, "
        f"after {model.n_iter_ - 1} epochs of max_iter={model.max_iter}. Set "
        "learning_rate='constant', or raise max_iter, which most schedules are planned for."
    )


def _out_of_epochs(model) -> str:
    return (
        f"{type(model).__name__} stopped after max_iter={model.max_iter} epochs while the "
        f"{'validation score' if model.early_stopping else 'loss'} was still improving by more "
        f"than tol={model.tol} within n_iter_no_change={model.n_iter_no_change} epochs. "
        "Raise max_iter or tol; tol=None makes max_iter epochs without this warning."
    )
