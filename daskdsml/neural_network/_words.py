"""What training tells its user: on a progress bar, and where it ended short of its aim."""

from __future__ import annotations

import numpy as np


def teller(shown):
    """What tells a bar, or nobody, of each step: ``tell(n_rows, loss)``."""
    if shown is None:
        return lambda n_rows, loss: None

    def tell(n_rows, loss):
        shown.set_postfix_str(f"loss {loss:.4g}", refresh=False)
        shown.update(n_rows)

    return tell


def summary(record) -> str:
    """An epoch in a few words."""
    score = "" if np.isnan(record.score) else f", validation score {record.score:.4g}"
    return f"loss {record.loss:.4g}{score}"


def failed(failure, model) -> str:
    """What to say of a loss that is no longer finite."""
    left = "before this step" if model._standing.kept is None else "of the best epoch"
    where = "the gradient" if failure.layer is None else f"the output of layer {failure.layer}"
    return (
        f"{type(model).__name__} stopped at step {failure.step} in epoch {failure.epoch}: {where} "
        f"is not finite. The weights are those {left}. Lower learning_rate_init, set clip_norm, or "
        "scale the columns of X (and y, if it holds numbers)."
    )


def out_of_epochs(model) -> str:
    """What to say where ``max_iter`` epochs were not enough."""
    return (
        f"{type(model).__name__} stopped after max_iter={model.max_iter} epochs, before "
        f"n_iter_no_change={model.n_iter_no_change} epochs in a row bettered the "
        f"{'validation score' if model.early_stopping else 'loss'} by less than tol={model.tol}. "
        "Raise max_iter or tol; tol=None makes max_iter epochs without this warning."
    )


def short_of_optimum(model, state, n_iter) -> str:
    """What to say where L-BFGS ended elsewhere than at an optimum to ``tol``."""
    name, norm = (
        type(model).__name__,
        f"the largest entry of the gradient is {state.gradient_norm:.2e}",
    )
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
