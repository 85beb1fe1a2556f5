"""The one iteration loop: steps a solver to its end, keeps the history and shows progress."""

from __future__ import annotations

import time
import warnings

from daskdsml.contracts import Record, Result

# What only some solvers have to tell.
EXTRAS = ("moments", "singular", "paths", "hessian")


class Progress:
    """History of a fit's passes and, if ``verbose``, a bar that shows them as they come."""

    def __init__(self, label: str, verbose: bool):
        self.history: list[Record] = []
        self._bar = _bar(label) if verbose else None

    def add(self, record: Record) -> None:
        """Keep one pass and show it: objective, criterion, seconds."""
        self.history.append(record)
        if self._bar is not None:
            criterion = f"objective {record.objective:.6g}, gradient {record.gradient_norm:.1e}, "
            known = record.objective == record.objective
            self._bar.set_postfix_str(
                f"{record.name}: {criterion if known else ''}{record.seconds:.2f} s", refresh=False
            )
            self._bar.update()

    def close(self) -> None:
        """Take the bar away, leaving its last state in view."""
        if self._bar is not None:
            self._bar.close()


def _bar(label: str):
    with warnings.catch_warnings():
        # In Jupyter without ipywidgets tqdm warns that it will draw with text, which is fine.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    return tqdm(desc=label, unit="pass")


def iterate(solver, objective, theta, max_iter: int, progress: Progress) -> Result:
    """Step ``solver`` from ``theta`` until it has a status or has made ``max_iter`` steps."""
    state = solver.init(theta)
    n_iter = 0
    while state.status is None and n_iter < max_iter:
        start = time.perf_counter()
        state = solver.step(state, objective)
        n_iter += 1
        seconds = time.perf_counter() - start
        progress.add(Record(state.name, seconds, state.value, state.gradient_norm, state.step))
    status = state.status or "max_iter"
    extras = {name: getattr(state, name, None) for name in EXTRAS}
    return Result(state.theta, n_iter, status, progress.history, state.null_space, **extras)
