"""Progress of a fit: its history, and a bar that shows it in a terminal or a notebook."""

from __future__ import annotations

import importlib.util
import sys

from daskdsml.contracts import Record


class History(list):
    """Records of a fit, one a pass or an epoch; a notebook shows them as a table."""

    def to_frame(self):
        """The records as a pandas.DataFrame, a column for each of their fields."""
        from pandas import DataFrame  # slow to import

        return DataFrame(list(self))

    def _repr_html_(self) -> str:
        return self.to_frame().dropna(axis="columns", how="all").to_html(index=False)


class Progress:
    """History of a fit's passes and, if ``verbose``, a bar that shows them as they come."""

    def __init__(self, label: str, verbose: bool):
        self.history = History()
        self._bar = bar(label, unit="pass") if verbose else None

    def add(self, record: Record) -> None:
        """Keep one pass and show it: objective, criterion, seconds."""
        self.history.append(record)
        if self._bar is not None:
            fields = [
                (record.models > 1, f"{record.models} models"),
                (record.objective == record.objective, f"objective {record.objective:.6g}"),
                (record.gradient_norm == record.gradient_norm, f"KKT {record.gradient_norm:.1e}"),
                (True, f"{record.seconds:.2f} s"),
            ]
            text = ", ".join(field for known, field in fields if known)
            self._bar.set_postfix_str(f"{record.name}: {text}", refresh=False)
            self._bar.update()

    def close(self) -> None:
        """Take the bar away, leaving its last state in view."""
        if self._bar is not None:
            self._bar.close()


def bar(label: str, **options):
    """A tqdm bar: in a notebook a widget, or without ipywidgets a line that is saved once."""
    if not _in_notebook():
        from tqdm import tqdm

        return tqdm(desc=label, **options)
    if importlib.util.find_spec("ipywidgets") is None:
        from tqdm import tqdm

        return tqdm(desc=label, file=DisplayedLine(), **options)
    from tqdm.notebook import tqdm

    return tqdm(desc=label, **options)


def _in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class DisplayedLine:
    """A text file whose last line a notebook shows in place, and saves once."""

    encoding = "utf-8"

    def __init__(self):
        self._handle = None

    def write(self, text: str) -> None:
        """Show the text instead of that before."""
        line = text.strip()
        if not line:
            return
        if self._handle is None:
            from IPython.display import display

            self._handle = display({"text/plain": line}, raw=True, display_id=True)
        else:
            self._handle.update({"text/plain": line}, raw=True)

    def flush(self) -> None:
        """Nothing waits to be shown."""
