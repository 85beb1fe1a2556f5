"""Which strategy spreads the work of a linear model, and which solvers it leaves to choose from."""

from __future__ import annotations

from typing import Any

from daskdsml.engine.full.by_columns import suits_columns
from daskdsml.strategies.columns import Columns
from daskdsml.utils import registry


def strategy_for(estimator, solver, table, asked=None):
    """The strategy asked for, or one that suits the table; ValueError if it cannot serve a solver.

    ``solver`` is one, or its class; ``asked`` is what the estimator asks for unless it is told.
    """
    kind: Any = solver if isinstance(solver, type) else type(solver)
    name, needs = kind.__module__.rpartition(".")[2], kind.needs
    what = f"{type(estimator).__name__} with solver={name!r}"
    wanted = registry.Needs(what, needs, getattr(estimator, "_solvers", ()))
    by_columns = "row products" in needs or ("column gradient" in needs and suits_columns(table))
    strategy = registry.find_strategy(wanted, asked or asked_strategy(estimator), by_columns)
    if getattr(strategy, "by_columns", False) and table.n_rows is None:
        raise ValueError(
            "strategy='columns' keeps y and residuals of all rows in this process, but how many "
            "there are is unknown. Call X.compute_chunk_sizes() before (of a DataFrame "
            "X.to_dask_array(lengths=True)), or use "
            "strategy='all_reduce'."
        )
    if hasattr(strategy, "check_size"):
        strategy.check_size(table.n_features)
    return strategy


def strategy_of_descent(model):
    """The strategy of gradient descent; ValueError if it does not do for ``batch_size``."""
    needs = frozenset({"full batch" if model.batch_size == "full" else "epochs"})
    name = f"{type(model).__name__} with batch_size={model.batch_size!r}"
    return registry.find_strategy(registry.Needs(name, needs), model.strategy)


def asked_strategy(estimator):
    """What the user asks for, "auto" where there is no choice."""
    return getattr(estimator, "strategy", "auto")


def asked_or_wide(estimator, solver, table):
    """What the user asks for, or "columns" for a table of more columns than rows laid out so.

    ``solver`` is the class of the one asked for, or None.
    """
    asked = asked_strategy(estimator)
    free = solver is None or solver.needs <= Columns.provides
    if isinstance(asked, str) and asked == "auto" and free and estimator.backend != "cupy":
        wide = suits_columns(table) and table.n_features > table.n_rows
        return "columns" if wide else asked
    return asked


def first_served(asked, *solvers) -> str:
    """The first of these names of solvers that the strategy ``asked`` for serves, or the first."""
    if isinstance(asked, str) and asked == "auto":
        return solvers[0]
    provided = registry.named_strategy(asked).provides
    served = [name for name in solvers if registry.find_solver(name).needs <= provided]
    return [*served, solvers[0]][0]
