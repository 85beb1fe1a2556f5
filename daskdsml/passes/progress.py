"""Progress of a fit: its history, and a bar that shows it in a terminal or a notebook."""

from __future__ import annotations

import sys

from daskdsml.contracts import Record

# Records that a notebook shows of a long history: half of them from its beginning.
SHOWN_RECORDS = 20
BAR = "{desc}: {n}{unit} in {elapsed}{postfix}"


class History(list):
    """Records of a fit, one a pass or an epoch; a notebook shows them as a table."""

    def to_frame(self):
        """The records as a pandas.DataFrame, a column for each of their fields.

        ``step_losses``, of which a record has as many as a sequence has steps, are left out.
        """
        from pandas import DataFrame  # slow to import

        return DataFrame(list(self)).drop(columns="step_losses", errors="ignore")

    def _repr_html_(self) -> str:
        return (
            self.to_frame()
            .dropna(axis="columns", how="all")
            .to_html(
                index=False,
                max_rows=SHOWN_RECORDS,
                float_format="{:.6g}".format,
                formatters={"seconds": "{:.3f}".format, "rows_per_second": "{:,.0f}".format},
            )
        )


class Progress:
    """History of a fit's passes and, if ``verbose``, a bar that shows them as they come.

    With a ``journal`` (`daskdsml.utils.journal.Journal`), loops can be gone on with in a later
    call. ``ends_early`` tells that a loop is to end where Ctrl-C comes, as ``interrupted`` tells
    then; it is raised in others, such as those of fits to samples.
    """

    def __init__(self, label: str, verbose: bool, journal=None):
        self.history, self.interrupted, self.ends_early = History(), False, False
        self.journal = journal
        self._bar = bar(label, unit=" passes", bar_format=BAR) if verbose else None

    def add(self, record: Record) -> None:
        """Keep one pass and show it: models, objective, criterion."""
        if self.journal is not None and self.journal.replayed:
            record = record._replace(seconds=record.seconds + self.journal.replayed)
            self.journal.replayed = 0.0
        self._show(record)

    def resumed(self, state):
        """Where the loop that begins here stood in an earlier call, or ``state``."""
        if self.journal is None:
            return state
        state, history = self.journal.resumed((state, []))
        for record in history[len(self.history) :]:
            self._show(record)
        return state

    def keep(self, state) -> None:
        """Keep where a loop stands, for a later call."""
        if self.journal is not None:
            self.journal.keep_state((state, list(self.history)))

    def _show(self, record: Record) -> None:
        self.history.append(record)
        if self._bar is not None:
            objective, norm = record.objective, record.gradient_norm
            fields = [
                (True, record.name),
                (record.models > 1, f"{record.models} models"),
                (objective == objective, f"objective {objective:.6g}"),
                (norm == norm, f"gradient_norm {norm:.1e}"),
            ]
            text = ", ".join(field for known, field in fields if known)
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.unit = " passes" if self._bar.n else " pass"
            self._bar.update()

    def close(self) -> None:
        """Take the bar away, leaving its last state in view."""
        if self._bar is not None:
            self._bar.close()


def bar(label: str, **options):
    """A tqdm bar; in a notebook what it saves is one line."""
    if _in_notebook():
        from daskdsml.passes.notebook import notebook_bar  # imports widgets

        return notebook_bar(desc=label, **options)
    from tqdm import tqdm

    return tqdm(desc=label, **options)


def _in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
