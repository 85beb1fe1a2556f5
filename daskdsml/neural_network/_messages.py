"""What training tells its user: on a progress bar, and where it ended short of its aim."""

from __future__ import annotations

import numpy as np

from daskdsml.passes.loop import bar


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


def failed(failure, model) -> str:
    """What to say of a loss that is no longer finite."""
    left = "before this step" if model._train_state.kept is None else "of the best epoch"
    where = "the gradient" if failure.layer is None else f"the output of layer {failure.layer}"
    return (
        f"{type(model).__name__} stopped at step {failure.step} in epoch {failure.epoch}: {where} "
        f"is not finite. The weights are those {left}. Lower learning_rate_init, set clip_norm, or "
        "scale the columns of X (and y, if it holds numbers)."
    )


def out_of_epochs(model) -> str:
    """What to say where ``max_iter`` epochs were not enough."""
    return (
        f"{type(model).__name__} stopped after max_iter={model.max_iter} epochs while the "
        f"{'validation score' if model.early_stopping else 'loss'} was still improving by more "
        f"than tol={model.tol} within n_iter_no_change={model.n_iter_no_change} epochs. "
        "Raise max_iter or tol; tol=None makes max_iter epochs without this warning."
    )


def short_of_optimum(model, state, n_iter) -> str:
    """What to say where L-BFGS ended elsewhere than at an optimum to ``tol``."""
    name = type(model).__name__
    norm = f"the largest entry of the gradient is {state.gradient_norm:.2e}"
    if state.status == "stalled":
        return (
            f"{name} could not lower the loss further after {n_iter} iterations, but {norm}, above "
            f"tol={model.tol}. Scale the columns of X, or raise tol."
        )
    few = n_iter >= model.max_iter
    limit = f"max_iter={n_iter} iterations" if few else f"max_fun={model.max_fun} passes"
    return (
        f"{name} stopped after {limit}, before it converged to tol={model.tol}: {norm}. Raise "
        f"{'max_iter' if few else 'max_fun'} or tol, or scale the columns of X."
    )
