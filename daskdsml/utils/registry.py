"""From the name a user types to the part of that name; anyone above may import it.

A part is found by its file: ``solver="newton"`` is the one public class of ``solvers/newton.py``,
whose name is that of the file but for capitals and underscores.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

# Each family's folder, and what one of its parts is called.
FAMILIES = {
    "backends": "backend",
    "layers": "layer",
    "losses": "loss",
    "metrics": "metric",
    "optimizers": "optimizer",
    "losses.penalties": "penalty",
    "optimizers.schedules": "schedule",
    "solvers": "solver",
    "solvers.paths": "solver",
    "strategies": "strategy",
}


def available(family: str) -> list[str]:
    """Names of the parts in ``family``, sorted; files that start with ``_`` are private."""
    return list(_names(family))


@lru_cache  # listing a folder takes longer than a small fit
def _names(family: str) -> tuple[str, ...]:
    package = importlib.import_module(f"daskdsml.{family}")
    names = (
        m.name for m in pkgutil.iter_modules(package.__path__) if m.name[0] != "_" and not m.ispkg
    )
    return tuple(sorted(names))


def find(family: str, name: str) -> type[Any]:
    """Return the class that ``name`` stands for in ``family``.

    Raises
    ------
    ValueError
        If there is no such part; the message lists the known names.
    """
    known = available(family)
    if name not in known:
        raise ValueError(f"Unknown {FAMILIES[family]} {name!r}: expected one of {known}.")
    module = importlib.import_module(f"daskdsml.{family}.{name}")
    public = [
        part
        for label, part in inspect.getmembers(module, inspect.isclass)
        if part.__module__ == module.__name__ and not label.startswith("_")
    ]
    if len(public) != 1:
        names = [part.__name__ for part in public]
        raise TypeError(f"{module.__name__} must hold exactly one public class, but holds {names}.")
    return public[0]


def find_solver(name: str) -> type[Any]:
    """The solver ``name``, be it one of single fits or of whole paths."""
    return find("solvers.paths" if name in available("solvers.paths") else "solvers", name)


def losses_of(*targets: str) -> dict[str, type[Any]]:
    """The losses of these kinds of ``targets`` (see `daskdsml.contracts.Loss`), by name."""
    losses = {name: find("losses", name) for name in available("losses")}
    return {name: loss for name, loss in losses.items() if loss.targets in targets}


def find_backend(name: str, automatic: str) -> Any:
    """The backend ``name``, or ``automatic`` if that is "auto".

    Raises
    ------
    RuntimeError
        If it cannot run here; the message tells why.
    """
    name = automatic if name == "auto" else name
    backend = find("backends", name)()
    reasons = backend.refuse()
    if reasons:
        raise RuntimeError(
            f"backend={name!r} cannot run here: {'; '.join(reasons)}. Use backend='auto'."
        )
    return backend


def exports(family: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a family's package: its classes, imported when asked for.

    ``__all__`` is made of them when it is asked for, too.

    ``from daskdsml.layers import Dense`` then needs no list of layers, and imports no other one.
    """

    def get(name: str) -> Any:
        for part in available(family):
            if part.replace("_", "") == name.lower() and find(family, part).__name__ == name:
                return find(family, part)
        if name == "__all__":
            return names()
        raise AttributeError(f"module 'daskdsml.{family}' has no attribute {name!r}")

    def names() -> list[str]:
        return sorted(find(family, part).__name__ for part in available(family))

    return get, names


class Needs(NamedTuple):
    """What somebody of a ``name`` needs of a strategy, as a solver says of itself.

    ``solvers`` are those that may be named in its place.
    """

    name: str
    needs: frozenset[str]
    solvers: tuple[str, ...] = ()


def named_strategy(asked: Any) -> Any:
    """The strategy that a user names or gives; ValueError if it cannot be used."""
    strategy = find("strategies", asked)() if isinstance(asked, str) else asked
    if isinstance(strategy, type) or not hasattr(strategy, "provides"):
        raise ValueError(
            f"strategy must be one of {['auto', *available('strategies')]} or a strategy such as "
            f"daskdsml.strategies.{getattr(asked, '__name__', 'AllReduce')}(), got {asked!r}."
        )
    strategy.check()
    return strategy


def find_strategy(solver: Any, asked: Any = "auto", by_columns: bool = False) -> Any:
    """The strategy that a user names or gives, if it gives ``solver`` what it needs.

    "auto" is the one that suits how X is laid out: "columns" or "all_reduce".

    Raises
    ------
    ValueError
        If there is no such strategy, or it does not do for the solver; the message names those
        strategies and solvers that would.
    """
    automatic = "columns" if by_columns else "all_reduce"
    strategy = named_strategy(automatic if isinstance(asked, str) and asked == "auto" else asked)
    check_needs(solver, strategy)
    return strategy


def check_needs(solver: Any, strategy: Any) -> None:
    """Raise ValueError if ``strategy`` cannot give ``solver`` what it needs, naming what could."""
    missing = sorted(solver.needs - strategy.provides)
    if not missing:
        return
    names = available("strategies")
    serving = [s for s in names if solver.needs <= find("strategies", s)().provides]
    known = getattr(solver, "solvers", None)
    known = [*available("solvers"), *available("solvers.paths")] if known is None else known
    fitting = [name for name in known if find_solver(name).needs <= strategy.provides]
    kind = type(strategy)
    own = kind.__module__.rpartition(".")[2] in serving
    remedies = [f"other settings of {kind.__name__}, such as {kind.__name__}()"] * own
    remedies += [f"one of the strategies {serving}"] * bool(serving)
    remedies += [f"one of the solvers {fitting}"] * bool(fitting)
    name = getattr(solver, "name", type(solver).__name__)
    raise ValueError(
        f"{name!r} needs {missing}, which strategy {strategy!r} does not provide. "
        f"Use {', or '.join(remedies) or 'what is automatic'}."
    )
